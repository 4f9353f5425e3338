// The routes that change a task: its life, its proofs, its end. The tasks room puts each on record with the principal.
// Called by `app.ts`.

import { createRoute, z } from '@hono/zod-openapi'

import { boundedText, duration } from '../../tasks/scalars.ts'
import { capabilitiesSchema, evidenceShape, labelsSchema, taskId } from '../../tasks/schema.ts'
import type { Actor, TaskView } from '../../tasks/view.ts'
import { receiptAnswer, REFUSALS, taskAnswer } from '../answers.ts'
import { answers, body, changeableTask, visibleTask, type RouteApp } from '../context.ts'
import type { ControlParts } from '../parts.ts'
import { actorOf, requireRole } from '../roles.ts'

const params = z.object({ id: taskId })
const evidence = z.strictObject(evidenceShape)
const noted = z.strictObject({ reason: boundedText(1024).optional().describe('Put on record.') })
const changed = { 200: answers('The task as it is now', taskAnswer), ...REFUSALS }

/** Adds the routes. */
export function addTaskChangeRoutes(app: RouteApp, parts: ControlParts): void {
  const { tasks } = parts
  addStateRoute(app, parts, 'suspend', (...change) => tasks.suspend(...change))
  addStateRoute(app, parts, 'resume', (...change) => tasks.resume(...change))
  addStateRoute(app, parts, 'heartbeat', (id, actor) => tasks.heartbeat(id, actor))
  addProofRoutes(app, parts)
  addIntentRoute(app, parts)

  const revoke = createRoute({
    method: 'post',
    path: '/v1/tasks/{id}/revoke',
    request: { params, body: body(noted, false) },
    responses: {
      200: answers('The receipt: what ended, item by item', receiptAnswer),
      ...REFUSALS,
    },
  })
  app.openapi(revoke, async (c) => {
    const { id } = changeableTask(parts, c.req.valid('param').id, c.env.principal)
    const { reason } = c.req.valid('json')
    return c.json(await tasks.revoke(id, actorOf(c.env.principal), reason), 200)
  })
}

function addStateRoute(
  app: RouteApp,
  parts: ControlParts,
  name: 'suspend' | 'resume' | 'heartbeat',
  change: (id: string, actor: Actor, reason: string | undefined) => TaskView,
): void {
  const route = createRoute({
    method: 'post',
    path: `/v1/tasks/{id}/${name}`,
    request: { params, body: body(noted, false) },
    responses: changed,
  })
  app.openapi(route, (c) => {
    const { id } = changeableTask(parts, c.req.valid('param').id, c.env.principal)
    return c.json(change(id, actorOf(c.env.principal), c.req.valid('json').reason), 200)
  })
}

function addProofRoutes(app: RouteApp, parts: ControlParts): void {
  const { tasks } = parts
  const extend = createRoute({
    method: 'post',
    path: '/v1/tasks/{id}/extend',
    request: {
      params,
      body: body(
        z.strictObject({
          expires: duration.describe('Life from now on, such as 30m.'),
          evidence: evidence.optional(),
        }),
        true,
      ),
    },
    responses: changed,
  })
  app.openapi(extend, (c) => {
    const { id } = changeableTask(parts, c.req.valid('param').id, c.env.principal)
    const { expires, evidence: shown } = c.req.valid('json')
    return c.json(tasks.extend(id, expires, actorOf(c.env.principal), shown), 200)
  })

  const attest = createRoute({
    method: 'post',
    path: '/v1/tasks/{id}/attest',
    request: { params, body: body(evidence, true) },
    responses: changed,
  })
  app.openapi(attest, (c) => {
    const { id } = changeableTask(parts, c.req.valid('param').id, c.env.principal)
    return c.json(tasks.attest(id, c.req.valid('json'), actorOf(c.env.principal)), 200)
  })
}

const extension = z
  .strictObject({
    intent: boundedText(8192).optional().describe('Replaces the text.'),
    addCapabilities: capabilitiesSchema.optional(),
    labels: labelsSchema.optional().describe('Further ones, or other values of those there are.'),
    reason: boundedText(1024).describe('Put on record.'),
  })
  .refine(
    ({ intent, addCapabilities, labels }) =>
      intent !== undefined ||
      (addCapabilities ?? []).length > 0 ||
      Object.keys(labels ?? {}).length > 0,
    { error: 'expected an intent, capabilities or labels' },
  )

// Whoever starts tasks does not say what they are for a second time: that takes a person with this role.
function addIntentRoute(app: RouteApp, parts: ControlParts): void {
  const extend = createRoute({
    method: 'post',
    path: '/v1/tasks/{id}/intent',
    request: { params, body: body(extension, true) },
    responses: changed,
  })
  app.openapi(extend, (c) => {
    const { principal } = c.env
    requireRole(principal, 'approver')
    const { id } = visibleTask(parts, c.req.valid('param').id, principal)
    return c.json(parts.tasks.extendIntent(id, c.req.valid('json'), actorOf(principal)), 200)
  })
}
