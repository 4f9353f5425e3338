// The routes of checkpoints: the keys and the latest ones, and making one now, of the journal or of one task. Called by
// `app.ts`.

import { createRoute, z } from '@hono/zod-openapi'

import { EgressError } from '../../errors.ts'
import { ControlError } from '../../tasks/control-error.ts'
import { taskId } from '../../tasks/schema.ts'
import { REFUSALS } from '../answers.ts'
import { checkpointAnswer, checkpointsAnswer } from '../record-answers.ts'
import { answers, body, visibleTask, type RouteApp } from '../context.ts'
import type { CheckpointView, ControlParts } from '../parts.ts'
import { requireRole, type Principal } from '../roles.ts'

/** Adds the routes. */
export function addCheckpointRoutes(app: RouteApp, parts: ControlParts): void {
  const show = createRoute({
    method: 'get',
    path: '/v1/checkpoints',
    responses: {
      200: answers('The keys, the one in use first, and the latest checkpoints', checkpointsAnswer),
      ...REFUSALS,
    },
  })
  // Whoever is given a record can check it.
  app.openapi(show, (c) => {
    const { journal, keys, checkpoints } = parts.checkpoints.show()
    return c.json({ journal, keys: [...keys], checkpoints: [...checkpoints] }, 200)
  })

  const make = createRoute({
    method: 'post',
    path: '/v1/checkpoints',
    request: {
      body: body(
        z.strictObject({ task: taskId.optional().describe('Of its records alone.') }),
        false,
      ),
    },
    responses: {
      200: answers('A checkpoint that was made now and is on record', checkpointAnswer),
      ...REFUSALS,
    },
  })
  app.openapi(make, async (c) => {
    const { task } = c.req.valid('json')
    return c.json(await makeNow(parts, task, c.env.principal), 200)
  })
}

async function makeNow(
  parts: ControlParts,
  task: string | undefined,
  principal: Principal,
): Promise<CheckpointView> {
  if (task === undefined) requireRole(principal, 'operator')
  else visibleTask(parts, task, principal, '/task')
  const { checkpoints } = parts
  try {
    const made = await (task === undefined ? checkpoints.make() : checkpoints.makeOf(task))
    if (made !== undefined) return made
  } catch (error) {
    if (error instanceof EgressError)
      throw new ControlError('audit-unavailable', 'the journal takes no records at the moment')
    throw error
  }
  throw new ControlError('not-found', 'there is no such task', '/task')
}
