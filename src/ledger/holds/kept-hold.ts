// A hold as it is kept on the disk, and as it is shown. Data only. Called by `holds.ts`.

import {
  HOLD_STATES,
  type HeldRequest,
  type HeldTask,
  type HoldAnswer,
  type HoldReviewer,
  type HoldState,
  type HoldView,
} from '../../tasks/hold-view.ts'
import type { RuleRef } from '../../policy/decision.ts'

/** What happens to a hold, as it is put on record. */
export type HoldAction =
  | 'hold-opened'
  | 'hold-approved'
  | 'hold-denied'
  | 'hold-timed-out'
  | 'hold-used'
  | 'hold-withdrawn'

/** One line of the file. */
export interface KeptHold {
  /** A ULID. */
  readonly id: string
  readonly state: HoldState
  readonly digest: string
  /** What the call was judged by: the rules, the rule, and what the call would owe. */
  readonly basis: string
  readonly task: HeldTask
  /** Ids from the root task down to the task. */
  readonly path: readonly string[]
  readonly requesters: readonly string[]
  readonly rule: RuleRef
  readonly request: HeldRequest
  readonly separate: boolean
  readonly reviewers?: readonly string[]
  /** Epoch milliseconds, as all times here. */
  readonly openedAt: number
  readonly waitsUntil: number
  readonly answeredAt?: number
  readonly by?: string
  readonly via?: HoldReviewer['via']
  readonly reason?: string
  readonly answerUntil?: number
  readonly usedBy?: string
  readonly cause?: string
  /** When it came to its end. */
  readonly endedAt?: number
}

/** Whether a hold may still come to something: it waits for an answer, or an approval waits for its call. */
export function isOpen({ state }: KeptHold): boolean {
  return state === 'pending' || state === 'approved'
}

/** Shows a hold. @param waiting how many clients wait for it */
export function viewOf(hold: KeptHold, waiting: number): HoldView {
  const { id, state, digest, task, rule, request, separate, reviewers } = hold
  const { by, via, reason, usedBy, cause } = hold
  const { answeredAt, answerUntil } = hold
  return {
    id,
    state,
    digest,
    task,
    rule,
    request,
    separate,
    ...(reviewers && { reviewers }),
    openedAt: isoTime(hold.openedAt),
    waitsUntil: isoTime(hold.waitsUntil),
    waiting,
    ...(answeredAt !== undefined && { answeredAt: isoTime(answeredAt) }),
    ...(by !== undefined && { by }),
    ...(via !== undefined && { via }),
    ...(reason !== undefined && { reason }),
    ...(answerUntil !== undefined && { answerUntil: isoTime(answerUntil) }),
    ...(usedBy !== undefined && { usedBy }),
    ...(cause !== undefined && { cause }),
  }
}

/** Tells whether a line of the file is a hold. */
export function isKeptHold(value: unknown): value is KeptHold {
  if (typeof value !== 'object' || value === null) return false
  const states: readonly unknown[] = HOLD_STATES
  return (
    ['id', 'digest', 'basis', 'rule', 'request', 'requesters', 'path', 'separate'].every(
      (name) => name in value,
    ) &&
    states.includes(Reflect.get(value, 'state')) &&
    typeof Reflect.get(value, 'openedAt') === 'number' &&
    typeof Reflect.get(value, 'waitsUntil') === 'number' &&
    typeof Reflect.get(value, 'task') === 'object'
  )
}

/** What somebody answered. */
interface GivenAnswer {
  readonly answer: HoldAnswer
  readonly by: HoldReviewer
  readonly reason: string | undefined
  readonly at: number
  readonly until: number
}

/** A hold once it is answered. */
export function answeredHold(hold: KeptHold, given: GivenAnswer): KeptHold {
  const { answer, by, reason, at, until } = given
  const isDenied = answer === 'deny'
  return {
    ...hold,
    state: isDenied ? 'denied' : 'approved',
    answeredAt: at,
    by: by.name,
    via: by.via,
    ...(reason !== undefined && { reason }),
    answerUntil: until,
    ...(isDenied && { endedAt: at }),
  }
}

/** Tells why a hold takes no answer. */
export function whyNot({ state, by }: KeptHold): string {
  const who = by === undefined ? '' : ` by ${by}`
  return `the hold is not pending any more: ${state}${who}`
}

function isoTime(at: number): string {
  return new Date(at).toISOString()
}
