// What the record of a task's beginning says of its definition. Pure. Called by `task-room.ts`.

import type { Cause } from '../tasks/states.ts'
import type { Task } from '../tasks/task.ts'

/** The causes by which a task begins. */
export const BEGINNINGS: ReadonlySet<Cause> = new Set(['created', 'evidence-required', 'renewed'])

/** What of a task's definition decides on its calls, so that a record can be judged again; the rest is with every record. */
export function definitionOf(task: Task): object {
  const { rules, params, environment, ceiling, subject, sources, sandbox, expiresAt } = task
  return {
    rules,
    params,
    environment,
    ceiling,
    ...(subject !== undefined && { subject }),
    ...(sources.length > 0 && { sources }),
    ...(sandbox.image !== undefined && { image: sandbox.image }),
    expiresAt: new Date(expiresAt).toISOString(),
  }
}
