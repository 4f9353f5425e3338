// The grammar of a source `exec`: a program that prints a credential, and one that takes it back. Paths are as written. Called
// by `source-schema.ts`.

import { z } from 'zod'

import type { ExecSourceDefinition } from '../../credentials/source-definition.ts'
import { boundedText } from '../../tasks/scalars.ts'
import { flag, variableName } from './scalars.ts'

const command = z
  .array(boundedText(4096))
  .min(1, { error: 'expected a program and its arguments' })
  .max(256, { error: 'expected at most 256 words' })

// The first is always passed, the second are ours, the rest have programs load code.
const TAKEN = /^(?:PATH$|SALLYPORT_|LD_|DYLD_|NODE_OPTIONS$|BASH_ENV$|ENV$)/

const passedName = variableName.refine((name) => !TAKEN.test(name), {
  error: 'this variable cannot be passed on',
})

/** A source `exec` as it is written. */
export const execSource: z.ZodType<ExecSourceDefinition> = z
  .strictObject({
    command: command.describe('A program and its arguments; it prints one JSON object.'),
    revoke: command
      .optional()
      .describe('Gets on stdin what was printed; exit code 0 says that it works no more.'),
    env: z
      .array(passedName)
      .max(64, { error: 'expected at most 64 names' })
      .default([])
      .describe("Names of the sidecar's variables that both are given."),
    static: flag
      .optional()
      .describe('What is printed is not made for a task and is valid beyond it.'),
  })
  .refine(({ revoke, static: isStatic }) => revoke === undefined || isStatic === undefined, {
    error: 'what is static is not revoked with a task: write `revoke` or `static`',
  })
  .transform(({ command: words, revoke, env, static: isStatic }): ExecSourceDefinition => ({
    kind: 'exec',
    command: words,
    ...(revoke && { revoke }),
    env,
    isStatic: isStatic === true,
  }))
