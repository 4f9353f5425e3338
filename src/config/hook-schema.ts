// The grammar of `hooks:`, by name: what ends a sandbox. Only the configuration says what is run; a task names it. Pure;
// called by `schema.ts`.

import { z } from 'zod'

import { boundedText, duration } from '../tasks/scalars.ts'

/** One hook as it is written: exactly one of the three. */
export interface HookSection {
  /** A program and its arguments. */
  readonly exec?: readonly string[] | undefined
  readonly http?:
    { readonly url: string; readonly headers: Readonly<Record<string, string>> } | undefined
  /** To the process that the task's sandbox names. */
  readonly signal?: 'TERM' | 'INT' | 'HUP' | 'KILL' | undefined
  /** Milliseconds. */
  readonly timeout: number
}

const KINDS = ['exec', 'http', 'signal'] as const

const hook: z.ZodType<HookSection> = z
  .strictObject({
    exec: z
      .array(boundedText(4096))
      .min(1, { error: 'expected a program and its arguments' })
      .optional()
      .describe('A program and its arguments; exit code 0 confirms that the sandbox is gone.'),
    http: z
      .strictObject({
        url: z
          .string({ error: 'expected an http:// or https:// URL' })
          .regex(/^https?:\/\/[^\s/@#][^\s@#]*$/, {
            error: 'expected an http:// or https:// URL without user and fragment',
          })
          .refine((written) => URL.canParse(written), { error: 'expected a URL' }),
        headers: z.record(z.string(), z.string()).default({}),
      })
      .optional()
      .describe('Told by POST; a 2xx confirms that the sandbox is gone.'),
    signal: z
      .enum(['TERM', 'INT', 'HUP', 'KILL'], { error: 'expected TERM, INT, HUP or KILL' })
      .optional()
      .describe("Sent to the sandbox's process, and KILL where it has not ended in time."),
    timeout: duration.prefault('10s').describe('How long the sandbox has for its end.'),
  })
  .refine((written) => KINDS.filter((kind) => written[kind] !== undefined).length === 1, {
    error: 'expected exactly one of exec, http and signal',
  })

/** All hooks by name. */
export const hooksSchema: z.ZodType<Readonly<Record<string, HookSection>>> = z
  .record(
    z.string().regex(/^[A-Za-z0-9][\w-]{0,62}$/, {
      error: 'expected letters, digits, _ and - only, 63 at the most',
    }),
    hook,
  )
  .prefault({})
  .describe('What ends sandboxes; a task names one as sandbox.hooks.end.')
