// The routes of held calls: which wait for a person, and answering for one. Who may answer for which is the rule's word; that
// it takes an approver is decided here. Called by `app.ts`.

import { createRoute, z } from '@hono/zod-openapi'

import { ControlError } from '../../tasks/control-error.ts'
import { HOLD_STATES, type HoldAnswer, type HoldView } from '../../tasks/hold-view.ts'
import { boundedText } from '../../tasks/scalars.ts'
import { taskId } from '../../tasks/schema.ts'
import { REFUSALS } from '../answers.ts'
import { answers, body, type RouteApp } from '../context.ts'
import { holdAnswer, holdsAnswer } from '../hold-answers.ts'
import type { ControlParts } from '../parts.ts'
import { hasRole, inTeams, notAllowed, requireRole, type Principal } from '../roles.ts'

const params = z.object({ id: boundedText(64) })
const reasonBody = body(
  z.strictObject({ reason: boundedText(1024).optional().describe('Put on record.') }),
  false,
)
const signedBody = body(
  z.strictObject({
    hold: boundedText(64).describe('The id in the path again.'),
    answer: z.enum(['approve', 'deny']),
    reason: boundedText(1024).optional().describe('Put on record.'),
  }),
  true,
)
const query = z.strictObject({
  task: taskId.optional().describe('Of this task only.'),
  state: z.enum(HOLD_STATES).optional().describe('In this state only.'),
})

/** Adds the routes. */
export function addHoldRoutes(app: RouteApp, parts: ControlParts): void {
  const { holds } = parts
  const list = createRoute({
    method: 'get',
    path: '/v1/holds',
    request: { query },
    responses: { 200: answers('Held calls, opened last last', holdsAnswer), ...REFUSALS },
  })
  app.openapi(list, (c) => {
    const { principal } = c.env
    requireRole(principal, 'viewer', 'approver', 'operator')
    const { task, state } = c.req.valid('query')
    const shown = holds
      .list()
      .filter(
        (hold) =>
          canSeeHold(parts, hold, principal) &&
          (task === undefined || hold.task.id === task) &&
          (state === undefined || hold.state === state),
      )
    return c.json({ holds: shown }, 200)
  })

  const show = createRoute({
    method: 'get',
    path: '/v1/holds/{id}',
    request: { params },
    responses: { 200: answers('A held call', holdAnswer), ...REFUSALS },
  })
  app.openapi(show, (c) =>
    c.json(visibleHold(parts, c.req.valid('param').id, c.env.principal), 200),
  )

  addAnswerRoute(app, parts, 'approve', 'Lets the held call through, once')
  addAnswerRoute(app, parts, 'deny', 'Refuses the held call')
  describeSignedAnswer(app)
}

// Answered by `signed-answer.ts`, before anybody is asked for a token; here so that the document has it.
function describeSignedAnswer(app: RouteApp): void {
  const name = z.string().max(256)
  const headers = z.object({
    'webhook-id': name,
    'webhook-timestamp': name.describe('Seconds since 1970.'),
    'webhook-signature': name.describe('As Standard Webhooks signs: v1,… by the reviewer.'),
  })
  app.openAPIRegistry.registerPath({
    method: 'post',
    path: '/v1/holds/{id}/answer',
    request: { params, headers, body: signedBody },
    responses: {
      200: answers('Answers for the held call by a signature in place of a token', holdAnswer),
      ...REFUSALS,
    },
  })
}

function addAnswerRoute(
  app: RouteApp,
  parts: ControlParts,
  answer: HoldAnswer,
  description: string,
): void {
  const route = createRoute({
    method: 'post',
    path: `/v1/holds/{id}/${answer}`,
    request: { params, body: reasonBody },
    responses: { 200: answers(description, holdAnswer), ...REFUSALS },
  })
  app.openapi(route, (c) => {
    const { principal } = c.env
    const { id } = c.req.valid('param')
    requireRole(principal, 'approver')
    visibleHold(parts, id, principal)
    const { name, teams } = principal
    const by = { name, teams, via: 'control' } as const
    return c.json(parts.holds.answer(id, answer, by, c.req.valid('json').reason), 200)
  })
}

function visibleHold({ holds }: ControlParts, id: string, principal: Principal): HoldView {
  const hold = holds.show(id)
  if (hold === undefined) throw new ControlError('not-found', 'there is no such hold', '/id')
  if (!canSeeHold({ holds }, hold, principal))
    throw notAllowed('the principal may not see this hold')
  return hold
}

// Whom the rule names sees it, of whatever team the task is.
function canSeeHold(
  { holds }: Pick<ControlParts, 'holds'>,
  { id, task }: HoldView,
  principal: Principal,
): boolean {
  if (!hasRole(principal, 'viewer', 'approver', 'operator')) return false
  return (
    inTeams(principal, task.owner.team) ||
    (hasRole(principal, 'approver') && holds.mayAnswer(id, principal))
  )
}
