// What a call owes where several rules allow it: every limit counts, the highest class, the strictest of each choice.
// Pure; called by `decide.ts`.

import { DATA_CLASSES } from '../tasks/task.ts'
import type { Obligations, Quota } from './decision.ts'
import type { Dues } from './bound-rule.ts'
import { CONTENT_MODES, type ContentMode, type ContentModes } from './subject.ts'

/** What a call owes that no rule says anything about, or that is refused. */
export const NOTHING_OWED: Obligations = Object.freeze({
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
    ...acceptTogether(allows, guards),
    ...limitTogether(all.map(({ quota }) => quota)),
    ...oweStrictest(all),
    clientAuth: passes ? 'pass' : 'drop',
    placeholderInBody: all.some((dues) => dues.placeholderInBody === 'refuse') ? 'refuse' : 'pass',
  }
}

/**
 * What a message of an MCP session itself owes: it passes by any rule of its server and brings nothing of what they name, so that
 * what comes back is of the lowest class.
 */
export function oweOfSession(
  { data: _highest, ...owed }: Obligations,
  allows: readonly Dues[],
): Obligations {
  const { accepts: data } = lowestAccepted(allows.map((dues) => dues.data))
  return data === undefined ? owed : { ...owed, data }
}

// What one of the rules does not say it accepts is not accepted; rules that only bind count where they say so.
function acceptTogether(
  allows: readonly Dues[],
  guards: readonly Dues[],
): Pick<Obligations, 'accepts'> {
  const written = guards.filter(({ accepts }) => accepts !== undefined)
  return lowestAccepted([...allows, ...written].map(({ accepts }) => accepts))
}

/** The class that all of several accept; nothing where one of them accepts only what is public. */
export function lowestAccepted(
  all: readonly (Obligations['accepts'] | undefined)[],
): Pick<Obligations, 'accepts'> {
  const accepts = all.includes(undefined)
    ? undefined
    : DATA_CLASSES.find((name) => all.includes(name))
  return accepts === undefined ? {} : { accepts }
}

/** All limits: a rule that is there twice is counted once. */
export function limitTogether(all: readonly (Quota | undefined)[]): Pick<Obligations, 'quotas'> {
  const quotas = [...new Set(all.filter((quota) => quota !== undefined))]
  return quotas.length > 0 ? { quotas } : {}
}

/** What rules may say in numbers, lists and classes. */
type Bounds = Partial<
  Pick<
    Dues,
    | 'static'
    | 'bodyBytesMax'
    | 'data'
    | 'regulation'
    | 'category'
    | 'maxPackBytes'
    | 'record'
    | 'pins'
  >
>

/**
 * Puts together bounds, classes and records: the smallest, the highest, all regulations, the fullest, and of two definitions of
 * one tool the first.
 */
export function oweStrictest(all: readonly Bounds[]): Pick<Obligations, keyof Bounds> {
  const refusesStatic = all.some((each) => each.static === false)
  const bodyBytesMax = smallest(all.map((each) => each.bodyBytesMax))
  const maxPackBytes = smallest(all.map((each) => each.maxPackBytes))
  const data = DATA_CLASSES.findLast((name) => all.some((each) => each.data === name))
  const regulation = unionOf(all.map((each) => each.regulation))
  const category = unionOf(all.map((each) => each.category))
  const record = fullest(all.map((each) => each.record))
  const pins = all.map((each) => each.pins).filter((each) => each !== undefined)
  return {
    ...(refusesStatic && { static: false }),
    ...(bodyBytesMax !== undefined && { bodyBytesMax }),
    ...(data !== undefined && { data }),
    ...(regulation && { regulation }),
    ...(category && { category }),
    ...(maxPackBytes !== undefined && { maxPackBytes }),
    ...(record && { record }),
    ...(pins.length > 0 && { pins: new Map(pins.toReversed().flatMap((each) => [...each])) }),
  }
}

function smallest(bounds: readonly (number | undefined)[]): number | undefined {
  const written = bounds.filter((bound) => bound !== undefined)
  return written.length > 0 ? Math.min(...written) : undefined
}

// The list itself where only one rule has any: its text is made once.
function unionOf(lists: readonly (readonly string[] | undefined)[]): readonly string[] | undefined {
  const written = lists.filter((list) => list !== undefined)
  const [first] = written
  return written.length > 1 ? [...new Set(written.flat())].toSorted() : first
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
