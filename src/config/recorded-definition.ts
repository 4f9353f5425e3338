// What the record of a task's beginning says of its definition. Pure. Called by `task-room.ts`.

import type { KeptTask } from '../tasks/entry.ts'
import type { Cause, Transition } from '../tasks/states.ts'
import type { Task } from '../tasks/task.ts'

/** The causes by which a task begins. */
const BEGINNINGS: ReadonlySet<Cause> = new Set([
  'created',
  'evidence-required',
  'not-before',
  'renewed',
])

/** The definition, where a task begins. */
export function definitionAt(cause: Cause, task: Task): object {
  return BEGINNINGS.has(cause) ? { definition: definitionOf(task) } : {}
}

/** What a task's beginning leaves unproven, and what it was attested by. */
export function proofsOf({ from }: Transition, cause: Cause, kept: KeptTask): object {
  return {
    ...(from === undefined && kept.unproven.length > 0 && { unproven: kept.unproven }),
    ...(cause === 'attested' && { evidence: kept.evidence }),
  }
}

/** What of a task's definition decides on its calls, so that a record can be judged again; the rest is with every record. */
function definitionOf(task: Task): object {
  const { rules, params, environment, ceiling, subject, sources, sandbox, notBefore, expiresAt } =
    task
  const { intent, capabilities, labels, observe, limits } = task
  return {
    intent,
    ...(capabilities && { capabilities }),
    ...(labels && { labels }),
    ...(observe && { observe }),
    rules,
    params,
    environment,
    ceiling,
    ...(limits && { limits }),
    ...(subject !== undefined && { subject }),
    ...(sources.length > 0 && { sources }),
    ...(sandbox.image !== undefined && { image: sandbox.image }),
    ...(notBefore !== undefined && { notBefore: new Date(notBefore).toISOString() }),
    expiresAt: new Date(expiresAt).toISOString(),
  }
}
