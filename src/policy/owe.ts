// What a call owes where several rules allow it: every limit counts, the highest class, the strictest of each choice.
// Pure; called by `decide.ts`.

import { DATA_CLASSES } from '../tasks/task.ts'
import type { Obligations } from './decision.ts'
import type { Dues } from './match.ts'

/** What a call owes that no rule says anything about, or that is refused. */
export const NOTHING_OWED: Obligations = Object.freeze({
  data: 'public',
  clientAuth: 'drop',
  placeholderInBody: 'pass',
})

/**
 * Puts together what is owed.
 * @param allows of the rules that allow the call, in their order: the first that names a credential gives it, and what a
 *   client sends to authenticate passes only where all of them say so
 * @param guards of the sets that bind every task: they only make it stricter, by what they say in so many words
 */
export function oweTogether(allows: readonly Dues[], guards: readonly Dues[]): Obligations {
  const all = [...allows, ...guards]
  const credential = allows.find((dues) => dues.credential !== undefined)?.credential
  const bounds = all.map((dues) => dues.bodyBytesMax).filter((bound) => bound !== undefined)
  const passes =
    allows.length > 0 &&
    allows.every(({ clientAuth }) => clientAuth === 'pass') &&
    guards.every(({ clientAuth }) => clientAuth !== 'drop')
  return {
    ...(credential !== undefined && { credential }),
    ...(bounds.length > 0 && { bodyBytesMax: Math.min(...bounds) }),
    data: DATA_CLASSES.findLast((name) => all.some(({ data }) => data === name)) ?? 'public',
    clientAuth: passes ? 'pass' : 'drop',
    placeholderInBody: all.some((dues) => dues.placeholderInBody === 'refuse') ? 'refuse' : 'pass',
  }
}
