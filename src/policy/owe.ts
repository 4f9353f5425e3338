// What a call owes where several rules allow it: every limit counts, the highest class, the strictest of each choice.
// Pure; called by `decide.ts`.

import { DATA_CLASSES } from '../tasks/task.ts'
import type { Obligations } from './decision.ts'
import type { Dues } from './match.ts'
import { CONTENT_MODES, type ContentMode, type ContentModes } from './subject.ts'

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
  const passes =
    allows.length > 0 &&
    allows.every(({ clientAuth }) => clientAuth === 'pass') &&
    guards.every(({ clientAuth }) => clientAuth !== 'drop')
  return {
    ...(credential !== undefined && { credential }),
    ...oweStrictest(all),
    data: DATA_CLASSES.findLast((name) => all.some(({ data }) => data === name)) ?? 'public',
    clientAuth: passes ? 'pass' : 'drop',
    placeholderInBody: all.some((dues) => dues.placeholderInBody === 'refuse') ? 'refuse' : 'pass',
  }
}

/** What rules may say in numbers and lists. */
type Bounds = Partial<Pick<Dues, 'bodyBytesMax' | 'maxPackBytes' | 'record' | 'pins'>>

/** Puts together bounds and records: the smallest, the fullest, and of two definitions of one tool the first. */
export function oweStrictest(
  all: readonly Bounds[],
): Pick<Obligations, 'bodyBytesMax' | 'maxPackBytes' | 'record' | 'pins'> {
  const bodyBytesMax = smallest(all.map((each) => each.bodyBytesMax))
  const maxPackBytes = smallest(all.map((each) => each.maxPackBytes))
  const record = fullest(all.map((each) => each.record))
  const pins = all.map((each) => each.pins).filter((each) => each !== undefined)
  return {
    ...(bodyBytesMax !== undefined && { bodyBytesMax }),
    ...(maxPackBytes !== undefined && { maxPackBytes }),
    ...(record && { record }),
    ...(pins.length > 0 && { pins: new Map(pins.toReversed().flatMap((each) => [...each])) }),
  }
}

function smallest(bounds: readonly (number | undefined)[]): number | undefined {
  const written = bounds.filter((bound) => bound !== undefined)
  return written.length > 0 ? Math.min(...written) : undefined
}

function fullest(
  records: readonly (Partial<ContentModes> | undefined)[],
): Partial<ContentModes> | undefined {
  const fullestOf = (what: keyof ContentModes): ContentMode | undefined =>
    CONTENT_MODES.findLast((mode) => records.some((record) => record?.[what] === mode))
  const prompts = fullestOf('prompts')
  const tools = fullestOf('tools')
  if (prompts === undefined && tools === undefined) return undefined
  return { ...(prompts && { prompts }), ...(tools && { tools }) }
}
