// Which of the rules of a host match a call, and how far the others got: denies and allows, and holds, which deny where it is not
// known whether they hold. Pure; called by `decide.ts`.

import type { Reason } from '../errors.ts'
import type { Endpoint } from '../wire/authority.ts'
import type { Entry } from './bound-rule.ts'
import type { Question } from './decision.ts'
import type { Moment } from './facts.ts'
import { looksInside, type HostRules } from './host-index.ts'
import { BETWEEN, ERRED, isOfSession, MATCHED, type Stage } from './match.ts'

/** One question, the rules of its host, and what reaching means for questions of its kind. */
export interface Matter {
  readonly endpoint: Endpoint
  readonly rules: HostRules
  readonly stageOf: (entry: Entry) => Stage
  /** How far it gets with what an allow or a hold lets pass. */
  readonly grantOf: (entry: Entry) => Stage
  /** Of an HTTP call. */
  readonly question: Question | undefined
  readonly moment: Moment
}

/** Whether a rule has its say: a deny, and what only binds, also where its condition could not be evaluated. */
export function isMet({ rule: { verdict, binding } }: Entry, stage: Stage): boolean {
  if (stage === MATCHED) return true
  return stage === ERRED && (verdict === 'deny' || (verdict === 'allow' && binding === 'always'))
}

/** Which rules match, and how far the others got. */
export interface Gathered {
  readonly enforced: readonly Entry[]
  readonly observed: readonly Entry[]
  readonly furthest: Stage
  readonly furthestEnforced: Stage
}

const NONE: Gathered = { enforced: [], observed: [], furthest: 0, furthestEnforced: 0 }

/** Sorts the denies or the allows of a host. */
export function gather(entries: readonly Entry[], { stageOf }: Matter): Gathered {
  if (entries.length === 0) return NONE
  const enforced: Entry[] = []
  const observed: Entry[] = []
  let furthest = 0
  let furthestEnforced = 0
  for (const entry of entries) {
    const { observe } = entry.rule
    const stage = stageOf(entry)
    if (isMet(entry, stage)) (observe ? observed : enforced).push(entry)
    else if (stage > furthest) furthest = stage
    if (!observe && stage > furthestEnforced) furthestEnforced = stage
  }
  return { enforced, observed, furthest, furthestEnforced }
}

/** A rule that denies, and why. */
export interface Chosen {
  readonly entry: Entry
  readonly reason: Reason
}

/** The holds of a host, sorted. */
export interface GatheredHolds {
  /** A person has to approve what they match. */
  readonly holding: readonly Entry[]
  /** Those that let pass what they match, once that is done; all of the task's own. */
  readonly granting: readonly Entry[]
  /** One that denies: outside its window, or with a condition that could not be evaluated. */
  readonly denied: Chosen | undefined
  /** How far the task's own got that do not match. */
  readonly furthest: Stage
}

/** Where there are none. */
export const NO_HOLDS: GatheredHolds = { holding: [], granting: [], denied: undefined, furthest: 0 }

/** Sorts the holds of a host. */
export function gatherHolds(
  entries: readonly Entry[],
  { stageOf, grantOf, question }: Matter,
): GatheredHolds {
  const holding: Entry[] = []
  const granting: Entry[] = []
  let denied: Chosen | undefined
  let furthest = 0
  for (const entry of entries) {
    const { rule } = entry
    const isOwn = rule.binding === 'task'
    // Messages of the session itself pass with any rule for their server.
    const isPassing = question !== undefined && isOfSession(rule, question)
    const stage = stageOf(entry)
    if (stage === MATCHED && !isPassing) holding.push(entry)
    else if (stage === BETWEEN && !isPassing) denied ??= { entry, reason: 'outside-time-window' }
    else if (stage === ERRED) denied ??= { entry, reason: erringReason(rule, question) }
    if (!isOwn) continue
    const granted = grantOf(entry)
    if (granted === MATCHED) granting.push(entry)
    else if (granted > furthest) furthest = granted
  }
  return { holding, granting, denied, furthest }
}

function erringReason(rule: Entry['rule'], question: Question | undefined): Reason {
  const fault = question?.content?.fault
  return fault !== undefined && looksInside(rule) ? fault : 'condition-error'
}

/** Sorts rules as they are in force. */
export function inOrder(entries: readonly Entry[]): Entry[] {
  return entries.toSorted((one, other) => one.rule.ordinal - other.rule.ordinal)
}

/** The first one; where the call could not be understood, one that denies it all the same, else the fault is the reason. */
export function chooseDeny(
  denying: readonly Entry[],
  { question, stageOf }: Matter,
): Chosen | undefined {
  const [first] = denying
  if (first === undefined) return undefined
  const fault = question?.content?.fault
  const isSure = (entry: Entry): boolean => stageOf(entry) === MATCHED
  if (fault !== undefined) {
    const sure = denying.find((entry) => !looksInside(entry.rule) && isSure(entry))
    return sure ? { entry: sure, reason: 'denied-by-rule' } : { entry: first, reason: fault }
  }
  const sure = denying.find(isSure)
  return sure
    ? { entry: sure, reason: 'denied-by-rule' }
    : { entry: first, reason: 'condition-error' }
}
