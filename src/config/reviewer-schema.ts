// The grammar of `reviewers:`, by name: who is asked about held calls by a signed webhook, and may answer by one. Pure; called
// by `schema.ts`.

import { z } from 'zod'

import { boundedText, duration } from '../tasks/scalars.ts'
import type { SinkSecret } from './sink-definition.ts'
import { sinkUrl } from './sink-scalars.ts'

/** One reviewer as it is written. */
export interface ReviewerSection {
  readonly webhook: {
    readonly url: string
    /** Signs both ways. */
    readonly secret: Exclude<SinkSecret, { readonly text: string }>
    /** Milliseconds. */
    readonly timeout: number
  }
  /** Teams that it is limited to; empty: any. */
  readonly teams: readonly string[]
}

const REVIEWERS_MAX = 64

const secret: z.ZodType<ReviewerSection['webhook']['secret']> = z.union(
  [
    z.strictObject({
      env: z
        .string()
        .regex(/^[A-Za-z_]\w{0,127}$/, { error: 'expected the name of an environment variable' }),
    }),
    z.strictObject({ file: boundedText(4096) }),
  ],
  { error: 'expected { env: NAME } or { file: PATH }' },
)

const reviewer: z.ZodType<ReviewerSection> = z.strictObject({
  webhook: z
    .strictObject({
      url: sinkUrl,
      secret: secret.describe('16 characters or more, or whsec_ and base64; signs both ways.'),
      timeout: duration.prefault('30s').describe('For one answer of the receiver.'),
    })
    .describe('Told of every hold that it may answer, by POST as Standard Webhooks has it.'),
  teams: z
    .array(boundedText(256))
    .default([])
    .describe("Owners' teams whose tasks it is limited to; none: any."),
})

/** All reviewers by name. */
export const reviewersSchema: z.ZodType<Readonly<Record<string, ReviewerSection>>> = z
  .record(
    z.string().regex(/^[A-Za-z0-9][\w.@-]{0,127}$/, {
      error: 'expected letters, digits, _ . @ and - only, 128 at the most',
    }),
    reviewer,
  )
  .refine((written) => Object.keys(written).length <= REVIEWERS_MAX, {
    error: `expected at most ${REVIEWERS_MAX} reviewers`,
  })
  .prefault({})
  .describe('Who is asked about held calls by webhook; rules name them as they name principals.')
