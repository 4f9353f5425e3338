// What every route is given: the app, the parts, and the task that its path names, for a principal that may. Called by the
// routes.

import type { IncomingMessage } from 'node:http'

import { OpenAPIHono } from '@hono/zod-openapi'
import type { ZodType } from 'zod'

import { ControlError } from '../tasks/control-error.ts'
import type { TaskView } from '../tasks/view.ts'
import type { ControlParts } from './parts.ts'
import { invalidOf } from './problems.ts'
import { canChange, canSee, notAllowed, type Principal } from './roles.ts'

/** What comes with each request. */
export interface ControlEnv {
  Bindings: {
    readonly principal: Principal
    readonly incoming: IncomingMessage
  }
}

/** The app that routes are added to. */
export type RouteApp = OpenAPIHono<ControlEnv>

/** Makes an app that refuses what its schemas do not take by a ControlError. */
export function makeRouteApp(): RouteApp {
  return new OpenAPIHono<ControlEnv>({
    defaultHook: (result) => {
      if (!result.success) throw invalidOf(result.error)
    },
  })
}

/** Describes an answer of JSON. */
export function answers<Schema extends ZodType>(
  description: string,
  schema: Schema,
): { description: string; content: { 'application/json': { schema: Schema } } } {
  return { description, content: { 'application/json': { schema } } }
}

/** Describes a body of JSON. */
export function body<Schema extends ZodType, Required extends boolean>(
  schema: Schema,
  required: Required,
): { required: Required; content: { 'application/json': { schema: Schema } } } {
  return { required, content: { 'application/json': { schema } } }
}

/**
 * Finds a task that a principal may see.
 * @param field where the id was written
 * @throws ControlError not-found, principal-not-allowed
 */
export function visibleTask(
  { tasks }: ControlParts,
  id: string,
  principal: Principal,
  field = '/id',
): TaskView {
  const task = tasks.show(id)
  if (task === undefined) throw new ControlError('not-found', 'there is no such task', field)
  if (!canSee(principal, task)) throw notAllowed('the principal may not see this task')
  return task
}

/**
 * Finds a task that a principal may change.
 * @param field where the id was written
 * @throws ControlError not-found, principal-not-allowed
 */
export function changeableTask(
  parts: ControlParts,
  id: string,
  principal: Principal,
  field = '/id',
): TaskView {
  const task = visibleTask(parts, id, principal, field)
  if (!canChange(principal, task)) throw notAllowed('the principal may not change this task')
  return task
}
