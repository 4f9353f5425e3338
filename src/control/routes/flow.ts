// The route that takes back what a tree of tasks has read: for a person who has looked at it, and who is none of those who
// made or own what is in the tree. Called by `app.ts`.

import { createRoute, z } from '@hono/zod-openapi'

import { boundedText } from '../../tasks/scalars.ts'
import { personName } from '../../tasks/person-name.ts'
import { taskId } from '../../tasks/schema.ts'
import type { TaskView } from '../../tasks/view.ts'
import { REFUSALS, taskAnswer } from '../answers.ts'
import { answers, body, visibleTask, type RouteApp } from '../context.ts'
import type { ControlParts } from '../parts.ts'
import {
  ADMINISTRATOR,
  actorOf,
  canSee,
  notAllowed,
  requireRole,
  type Principal,
} from '../roles.ts'

/** Adds the route. */
export function addFlowRoutes(app: RouteApp, parts: ControlParts): void {
  const reset = createRoute({
    method: 'post',
    path: '/v1/tasks/{id}/flow/reset',
    request: {
      params: z.object({ id: taskId }),
      body: body(z.strictObject({ reason: boundedText(1024).describe('Put on record.') }), true),
    },
    responses: { 200: answers('The task as it is now', taskAnswer), ...REFUSALS },
  })
  app.openapi(reset, (c) => {
    const { principal } = c.env
    const { id } = c.req.valid('param')
    const task = visibleTask(parts, id, principal)
    requireRole(principal, 'approver')
    requireStranger(parts, task, principal)
    return c.json(parts.flow.reset(id, actorOf(principal), c.req.valid('json').reason), 200)
  })
}

// The one administrator is everybody: there is nobody else to ask.
function requireStranger(parts: ControlParts, task: TaskView, principal: Principal): void {
  if (principal === ADMINISTRATOR) return
  const ids = [task.path[0] ?? task.id]
  for (let id = ids.pop(); id !== undefined; id = ids.pop()) {
    const one = parts.tasks.show(id)
    if (one === undefined) continue
    if (!canSee(principal, one))
      throw notAllowed(
        'the mark is that of the whole tree, and the principal may not see all of it',
      )
    const askers = [one.createdBy, one.owner.name, one.principal ?? one.createdBy]
    if (askers.map(personName).includes(personName(principal.name)))
      throw notAllowed('who made a task of the tree, or owns one, does not take back what was read')
    ids.push(...one.children)
  }
}
