// What the routes of the record answer, as schemas, like those of `answers.ts`. Called by the routes.

import { z } from '@hono/zod-openapi'

import type { AnswerSchema } from './answers.ts'
import type { CheckpointDesk, CheckpointView } from './parts.ts'

const time = z.iso.datetime()
const text = z.string()

const checkpoint = z
  .object({
    journal: text,
    task: text.optional().describe("The task whose own chain it is; absent: the journal's."),
    seq: z.int().describe('The last record that it covers.'),
    hash: text.describe("SHA-256 of that record's line, in hex."),
    time,
    final: z.literal(true).optional().describe('The task has ended.'),
    key: text,
    signature: text.describe('base64url; see docs/proof.md for what is signed.'),
  })
  .openapi('Checkpoint')

/** A checkpoint that was made. */
export const checkpointAnswer: AnswerSchema<CheckpointView> = checkpoint

/** Checkpoints and the keys that they are checked with. */
export const checkpointsAnswer: AnswerSchema<ReturnType<CheckpointDesk['show']>> = z.object({
  journal: text,
  keys: z.array(
    z.object({ kty: text, crv: text, x: text, kid: text, from: time, until: time.optional() }),
  ),
  checkpoints: z.array(checkpoint),
})

/** Records of calls, as they stand in the journal. */
export const callsAnswer: z.ZodType<{ readonly calls: readonly object[] }> = z.object({
  calls: z.array(z.looseObject({})),
})
