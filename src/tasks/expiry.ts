// How long a task may live, from its making or its extending on. Called by `create.ts` and `desk.ts`.

import type { Limits } from '../limits.ts'
import type { LifetimeBound } from '../policy/profiles.ts'
import { formatDuration } from '../wire/units.ts'
import { ControlError } from './control-error.ts'

/**
 * Refuses a life that is too long.
 * @param bound what the task's rules allow; undefined: they do not say
 * @throws ControlError where it is longer than the limit, or than the rules allow
 */
export function checkExpiry(
  lifetimeMs: number,
  limits: Pick<Limits, 'taskLifetimeMs'>,
  bound: LifetimeBound | undefined,
): void {
  if (bound !== undefined && lifetimeMs > bound.lifetimeMs)
    throw new ControlError(
      'definition-invalid',
      `a rule has the profile ${bound.profile}: its tasks live ${formatDuration(bound.lifetimeMs)} at the most`,
      '/expires',
    )
  if (lifetimeMs > limits.taskLifetimeMs)
    throw new ControlError(
      'definition-invalid',
      `limits.taskLifetimeMs is ${limits.taskLifetimeMs / 1000} s`,
      '/expires',
    )
}
