// What the routes of credentials answer, as schemas, like those of `answers.ts`. Called by the routes.

import { z } from '@hono/zod-openapi'

import type { AnswerSchema } from './answers.ts'
import type { CredentialView } from './parts.ts'

const text = z.string()
const texts = z.array(text)
const count = z.int()

/** Credentials, never their values. */
export const credentialsAnswer: AnswerSchema<{ credentials: CredentialView[] }> = z.object({
  credentials: z.array(
    z.object({
      name: text,
      hosts: texts,
      inject: text,
      source: text.describe('Kind of what it comes from.'),
      static: z.boolean().describe('The same value for all tasks, valid beyond them.'),
      state: z.enum(['available', 'idle', 'unavailable', 'backing-off']),
      leases: count.describe('Valid ones that are held, all tasks together.'),
      expires: text.optional().describe('When the next of them ends.'),
      ageSeconds: count.optional().describe('Of a static value: since it was seen to change.'),
      problem: text.optional().describe('What is wrong, in words of the sidecar.'),
      retry: text.optional().describe('When its provider is asked again at the soonest.'),
    }),
  ),
})
