// Whether a task may make another below it: how many, how deep, how fast, and that the child is on no axis wider than its
// parent. What cannot be compared is said, not guessed: at use the parent's rules must allow every call anyhow (I9).
// Called by `create.ts`.

import type { Limits } from '../limits.ts'
import type { Policy } from '../policy/compile.ts'
import { isAbove } from '../policy/facts.ts'
import { comparePolicies } from '../policy/narrow.ts'
import { ControlError } from './control-error.ts'
import type { TaskEntry } from './entry.ts'
import { findWiderLimit } from './limits-schema.ts'
import type { TaskRegistry } from './registry.ts'
import type { TaskDefinition } from './schema.ts'
import type { Task } from './task.ts'

/** The bounds of delegation. */
export type DelegationLimits = Pick<
  Limits,
  'childrenPerTaskMax' | 'childrenPerMinute' | 'taskDepthMax'
>

const MINUTE_MS = 60_000

/**
 * Finds the parent and checks that it may have one more child.
 * @throws ControlError
 */
export function parentFor(
  id: string,
  registry: TaskRegistry,
  limits: DelegationLimits,
  now: number,
): TaskEntry {
  const parent = registry.entries.get(id)
  if (parent === undefined) throw new ControlError('not-found', `there is no task ${id}`, '/parent')
  const state = registry.weakest(parent)?.state
  if (state === 'revoking' || state === 'ended' || state === undefined)
    throw new ControlError('task-ended', 'the parent, or a task above it, has ended', '/parent')
  if (state !== 'active')
    throw new ControlError(
      'task-not-active',
      `the parent, or a task above it, is ${state}`,
      '/parent',
    )
  const live = registry.entries
    .childrenOf(parent)
    .filter((child) => registry.entries.live.has(child))
  if (live.length >= limits.childrenPerTaskMax)
    throw new ControlError(
      'quota-exceeded',
      `the parent has ${live.length} children; limits.childrenPerTaskMax is ${limits.childrenPerTaskMax}`,
      '/parent',
    )
  while (parent.childTimes.length > 0 && parent.childTimes[0]! <= now - MINUTE_MS)
    parent.childTimes.shift()
  if (parent.childTimes.length >= limits.childrenPerMinute)
    throw new ControlError(
      'quota-exceeded',
      `the parent made ${parent.childTimes.length} children within a minute; limits.childrenPerMinute is ${limits.childrenPerMinute}`,
      '/parent',
    )
  return parent
}

/** How many levels may be below a child. @throws ControlError delegation-widening */
export function depthBelow(
  definition: TaskDefinition,
  parent: TaskEntry | undefined,
  limits: DelegationLimits,
): number | undefined {
  if (parent === undefined) return definition.depth
  if (parent.task.path.length >= limits.taskDepthMax)
    throw widening(
      '/parent',
      `axis depth: ${parent.task.path.length} tasks stand above each other already; limits.taskDepthMax is ${limits.taskDepthMax}`,
    )
  const { depth } = parent.kept
  if (depth === undefined) return definition.depth
  if (depth < 1) throw widening('/parent', 'axis depth: the parent may have no children')
  if (definition.depth !== undefined && definition.depth > depth - 1)
    throw widening('/depth', `axis depth: at most ${depth - 1} below this parent`)
  return definition.depth ?? depth - 1
}

/**
 * Compares a child with its parent on every axis that can be decided.
 * @param now epoch milliseconds
 * @returns the axes that could not be compared
 * @throws ControlError delegation-widening
 */
export function compareWithParent(
  child: { readonly task: Task; readonly policy: Policy },
  parent: { readonly task: Task; readonly policy: Policy },
  now: number,
): readonly string[] {
  const { task } = child
  if (task.environment !== parent.task.environment)
    throw widening('/environment', `axis environment: the parent's is ${parent.task.environment}`)
  if (isAbove(task.ceiling, parent.task.ceiling))
    throw widening('/ceiling', `axis ceiling: the parent's is ${parent.task.ceiling}`)
  const wider = findWiderLimit(task.limits, parent.task.limits)
  if (wider !== undefined)
    throw widening(wider.field, `axis ${wider.axis}: the parent's is ${wider.parents}`)
  if (task.expiresAt > parent.task.expiresAt)
    throw widening(
      '/expires',
      `axis expiry: the parent ends at ${new Date(parent.task.expiresAt).toISOString()}`,
    )
  const { widened, unproven } = comparePolicies(child.policy, parent.policy, now)
  const [first] = widened
  if (first !== undefined)
    throw widening(
      '/rules',
      widened
        .map(({ axis, rule, detail }) => `axis ${axis}: ${rule.ruleset}/${rule.id}: ${detail}`)
        .join('; '),
    )
  return unproven
}

function widening(field: string, detail: string): ControlError {
  return new ControlError('delegation-widening', detail, field)
}
