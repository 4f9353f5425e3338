// The routes of what agents ask people for: which requests there are, and closing one with an answer. Closing changes no rule.
// Called by `app.ts`.

import { createRoute, z } from '@hono/zod-openapi'

import { ControlError } from '../../tasks/control-error.ts'
import { boundedText } from '../../tasks/scalars.ts'
import type { RequestView } from '../../tasks/view.ts'
import { REFUSALS, type AnswerSchema } from '../answers.ts'
import { answers, body, type RouteApp } from '../context.ts'
import type { ControlParts } from '../parts.ts'
import { actorOf, inTeams, requireRole } from '../roles.ts'

const STATES = ['open', 'granted', 'refused', 'lapsed'] as const
const requestAnswer: AnswerSchema<RequestView> = z
  .object({
    id: z.string(),
    task: z.string(),
    owner: z.object({ name: z.string(), team: z.string() }),
    agent: z.object({ account: z.string(), instance: z.string() }),
    environment: z.string(),
    method: z.string(),
    url: z.string().describe('As the sidecar reads it.'),
    verdict: z.enum(['allow', 'deny', 'hold']).describe('Of the rules, when it was asked for.'),
    verdictReason: z.string(),
    agentSays: z
      .string()
      .describe("The agent's words, and nothing more than that: they may be a stranger's."),
    state: z.enum(STATES),
    openedAt: z.iso.datetime(),
    closedAt: z.iso.datetime().optional(),
    closedBy: z.string().optional(),
    answer: z.string().optional(),
  })
  .openapi('Request')
const requestsAnswer: AnswerSchema<{ requests: RequestView[] }> = z.object({
  requests: z.array(requestAnswer),
})

/** Adds the routes. */
export function addRequestRoutes(app: RouteApp, { requests }: ControlParts): void {
  const list = createRoute({
    method: 'get',
    path: '/v1/requests',
    request: {
      query: z.strictObject({
        state: z.enum(STATES).optional(),
        task: z.string().max(64).optional().describe("A task's id."),
      }),
    },
    responses: {
      200: answers('What agents ask for, the oldest first', requestsAnswer),
      ...REFUSALS,
    },
  })
  app.openapi(list, (c) => {
    const { principal } = c.env
    const { state, task } = c.req.valid('query')
    requireRole(principal, 'viewer', 'approver', 'operator')
    const shown = requests
      .list()
      .filter(({ owner }) => inTeams(principal, owner.team))
      .filter((one) => (state ?? one.state) === one.state && (task ?? one.task) === one.task)
    return c.json({ requests: shown }, 200)
  })

  const close = createRoute({
    method: 'post',
    path: '/v1/requests/{id}/close',
    request: {
      params: z.object({ id: boundedText(64) }),
      body: body(
        z.strictObject({
          answer: z.enum(['granted', 'refused'], { error: 'expected granted or refused' }),
          reason: boundedText(1024).optional().describe('Put on record, and told to the agent.'),
        }),
        true,
      ),
    },
    responses: { 200: answers('The request as it is now', requestAnswer), ...REFUSALS },
  })
  app.openapi(close, (c) => {
    const { principal } = c.env
    requireRole(principal, 'approver')
    const { id } = c.req.valid('param')
    const { answer, reason } = c.req.valid('json')
    const known = requests.list().find((one) => one.id === id)
    if (known === undefined || !inTeams(principal, known.owner.team))
      throw new ControlError('not-found', 'there is no such request', '/id')
    return c.json(requests.close(id, answer, reason, actorOf(principal)), 200)
  })
}
