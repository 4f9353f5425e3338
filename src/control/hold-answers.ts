// What the routes of holds answer, as schemas, like those of `answers.ts`. Called by the routes.

import { z } from '@hono/zod-openapi'

import { HOLD_STATES, type HoldView } from '../tasks/hold-view.ts'
import type { AnswerSchema } from './answers.ts'

const time = z.iso.datetime()
const text = z.string()

const request = z.object({
  kind: z.enum(['request', 'upgrade', 'tunnel']),
  method: text,
  scheme: text,
  host: text,
  port: z.int(),
  path: text.optional(),
  query: text.optional(),
  headers: z
    .array(z.tuple([text, text]))
    .readonly()
    .optional(),
  body: z
    .object({
      bytes: z.int(),
      sha256: text,
      type: text.optional(),
      preview: text.optional(),
      truncated: z.literal(true).optional(),
    })
    .optional(),
  tools: z
    .array(
      z.object({
        name: text,
        arguments: z.looseObject({}).optional(),
        truncated: z.literal(true).optional(),
      }),
    )
    .readonly()
    .optional(),
  unshown: z
    .object({ headers: z.int().optional(), tools: z.int().optional() })
    .optional()
    .describe('How many fields and tools there are beside those that are shown.'),
  credential: text.optional(),
  data: text.optional(),
  regulation: z.array(text).optional(),
})

const hold = z
  .object({
    id: text,
    state: z.enum(HOLD_STATES),
    digest: text.describe('Over what is approved; see docs/holds.md.'),
    task: z.object({
      id: text,
      intent: text,
      intentDigest: text,
      owner: z.object({ name: text, team: text }),
      agent: z.object({ account: text, instance: text }),
      principal: text.optional(),
      environment: text,
    }),
    rule: z.object({ id: text, ruleset: text, version: text }),
    request: request.describe('Written by the sidecar from what it judged, without secrets.'),
    separate: z.boolean(),
    reviewers: z.array(text).optional().describe('Absent: every approver.'),
    openedAt: time,
    waitsUntil: time,
    waiting: z.int().describe('Clients that wait at the moment.'),
    answeredAt: time.optional(),
    by: text.optional(),
    via: z.enum(['control', 'webhook']).optional(),
    reason: text.optional(),
    answerUntil: time.optional(),
    usedBy: text.optional().describe('The call that was let through.'),
    cause: text.optional().describe('Why it was withdrawn, or what of it timed out.'),
  })
  .openapi('Hold')

/** One hold. */
export const holdAnswer: AnswerSchema<HoldView> = hold

/** Holds. */
export const holdsAnswer: AnswerSchema<{ holds: HoldView[] }> = z.object({ holds: z.array(hold) })
