// Calls that wait for a person: each hold is for one call of one task, whatever client brings it, and lets one through at the
// most. What it is answered is on the disk before it counts. Deliberately judges no call: whoever joins brings what judges it
// again. Made by `config/holds.ts`; joined by held calls, answered by `control/` and webhooks.

import { EgressError, type Reason } from '../../errors.ts'
import type { Limits } from '../../limits.ts'
import { ControlError } from '../../tasks/control-error.ts'
import type { HoldAnswer, HoldReviewer, HoldState, HoldView } from '../../tasks/hold-view.ts'
import { HoldBook } from './hold-book.ts'
import {
  answeredHold,
  isOpen,
  viewOf,
  whyNot,
  type HoldAction,
  type KeptHold,
} from './kept-hold.ts'
import { openHold, type AskedHold } from './open-hold.ts'
import { checkReviewer, objectionTo, type HeldFor } from './reviewers.ts'
import { pendingOf, WaitingClients, type HoldGrant, type HoldWaiter } from './waiting.ts'

/** What holding needs. */
export interface HoldsOptions {
  readonly stateDir: string
  readonly limits: Pick<
    Limits,
    'holdWaitMs' | 'holdTtlMs' | 'grantTtlMs' | 'holdsMax' | 'holdsPerTaskMax'
  >
  /** Epoch milliseconds. */
  readonly now: () => number
  /** Who made a task, and on whose behalf it acts. */
  readonly askersOf: (taskId: string) => readonly string[]
  /** Told of every change, after it counts. @param callId of the call that brought it about, where one did */
  readonly onChange: (action: HoldAction, hold: HoldView, callId: string | undefined) => void
  /** Told where a hold's end could not be written down. */
  readonly onProblem: (error: unknown) => void
}

/** A call that waits, or need not. */
interface Joined {
  /** The hold's. */
  readonly id: string
  readonly granted: Promise<HoldGrant>
}

/** How many holds there are, and what became of them. */
export interface HoldNumbers {
  readonly open: number
  readonly actions: ReadonlyMap<HoldAction, number>
}

const SWEEP_MS_MIN = 20
const SWEEP_MS_MAX = 1000
const SWEEPS_PER_TIMEOUT = 4

/** The holds of one sidecar. */
export class Holds {
  readonly #options: HoldsOptions
  readonly #book: HoldBook
  readonly #waiting: WaitingClients
  readonly #actions: Map<HoldAction, number> = new Map()
  readonly #sweepMs: number
  #timer: NodeJS.Timeout | undefined

  /** @throws Error where what is kept of holds cannot be read */
  constructor(options: HoldsOptions) {
    this.#options = options
    const { holdTtlMs, grantTtlMs } = options.limits
    const fine = Math.min(holdTtlMs, grantTtlMs) / SWEEPS_PER_TIMEOUT
    this.#sweepMs = Math.max(SWEEP_MS_MIN, Math.min(SWEEP_MS_MAX, fine))
    this.#waiting = new WaitingClients(options.limits.holdWaitMs)
    this.#book = new HoldBook(options.stateDir, options.onProblem)
    this.#watchTime()
  }

  /** How many are open, and what became of all since the start. */
  get numbers(): HoldNumbers {
    return { open: this.#book.open, actions: this.#actions }
  }

  /**
   * Joins the hold of a call, or opens one; an approval that waits for the call is used at once.
   * @returns the hold's id, and what becomes of the call: it rejects with approval-pending, approval-denied, approval-timeout,
   *   client-gone, or what changed
   * @throws EgressError quota-exceeded; audit-unavailable where the hold cannot be written down
   */
  join(asked: AskedHold, waiter: HoldWaiter): Joined {
    this.#sweep()
    const known = this.#book.find(asked.task.id, asked.digest)
    if (known?.basis === asked.basis) {
      const { id, state } = known
      if (state === 'pending') return this.#wait(known, waiter)
      if (state === 'approved') return { id, granted: this.#take(known, waiter) }
      if (state === 'denied' && this.#isWithin(known.answerUntil))
        return { id, granted: Promise.reject(refusal('approval-denied', known)) }
    } else if (known && isOpen(known))
      this.#withdraw(known, 'changed', refusal('approval-denied', known, 'changed'))
    return this.#wait(this.#open(asked, waiter.callId), waiter)
  }

  /** All that are kept, those opened first first. */
  list(): HoldView[] {
    this.#sweep()
    return [...this.#book.values()].map((hold) => this.#view(hold))
  }

  show(id: string): HoldView | undefined {
    this.#sweep()
    const hold = this.#book.get(id)
    return hold && this.#view(hold)
  }

  /** Whether somebody may answer for a hold. */
  mayAnswer(id: string, reviewer: Pick<HoldReviewer, 'name' | 'teams'>): boolean {
    const hold = this.#book.get(id)
    return hold !== undefined && objectionTo(reviewer, heldFor(hold)) === undefined
  }

  /**
   * Answers for a hold; the first answer counts.
   * @throws ControlError not-found, principal-not-allowed, conflict, audit-unavailable
   */
  answer(id: string, answer: HoldAnswer, by: HoldReviewer, reason: string | undefined): HoldView {
    this.#sweep()
    const hold = this.#book.get(id)
    if (hold === undefined) throw new ControlError('not-found', 'there is no such hold', '/id')
    checkReviewer(by, heldFor(hold))
    if (hold.state !== 'pending') throw new ControlError('conflict', whyNot(hold))
    const answered = this.#keepAnswer(hold, answer, by, reason)
    const action = answer === 'approve' ? 'hold-approved' : 'hold-denied'
    this.#tell(action, answered, undefined)
    if (answer === 'approve') this.#letNewestThrough(answered)
    else this.#waiting.refuseAll(id, refusal('approval-denied', answered))
    return this.#view(this.#book.get(id) ?? answered)
  }

  /**
   * Withdraws what is open of tasks that may do nothing any more.
   * @param isMeant by the ids from the root task down to the task
   * @param error what the clients that wait are told
   * @returns how many
   */
  withdrawWhere(isMeant: (path: readonly string[]) => boolean, error: EgressError): number {
    const meant = [...this.#book.values()].filter((hold) => isOpen(hold) && isMeant(hold.path))
    for (const hold of meant) this.#withdraw(hold, error.reason, error)
    return meant.length
  }

  /** Sends clients that wait away; what they wait for stays. */
  drain(): void {
    this.#waiting.drain()
  }

  close(): void {
    this.drain()
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#book.close()
  }

  #open(asked: AskedHold, callId: string): KeptHold {
    const { limits, now, askersOf } = this.#options
    const { id, path } = asked.task
    if (this.#book.openOf(id) >= limits.holdsPerTaskMax)
      throw new EgressError('quota-exceeded', { bound: 'holdsPerTaskMax' })
    if (this.#book.open >= limits.holdsMax)
      throw new EgressError('quota-exceeded', { bound: 'holdsMax' })
    const opened = openHold(asked, { ...limits, now: now(), askers: path.flatMap(askersOf) })
    const hold = this.#put(opened, false)
    this.#watchTime()
    this.#tell('hold-opened', hold, callId)
    return hold
  }

  #wait({ id }: KeptHold, waiter: HoldWaiter): Joined {
    return { id, granted: this.#waiting.wait(id, waiter) }
  }

  // The client that came last is the one that is there for sure: those before it may have given up unnoticed.
  #letNewestThrough(approved: KeptHold): void {
    const waiting = this.#waiting.of(approved.id)
    let failure: EgressError | undefined
    for (let newest = waiting.pop(); newest !== undefined; newest = waiting.pop()) {
      try {
        newest.grant(this.#use(approved, newest.waiter))
        for (const other of waiting) other.refuse(pendingOf(approved.id))
        return
      } catch (error) {
        if (!(error instanceof EgressError)) throw error
        failure = error
        newest.refuse(error)
      }
    }
    if (failure) this.#void(approved, failure)
  }

  // What came after the approval uses it, or finds it void.
  #take(approved: KeptHold, waiter: HoldWaiter): Promise<HoldGrant> {
    try {
      return Promise.resolve(this.#use(approved, waiter))
    } catch (error) {
      if (!(error instanceof EgressError)) throw error
      this.#void(approved, error)
      return Promise.reject(error)
    }
  }

  // An approval is for the call as it was judged; where only the disk is full, it may still be used.
  #void(approved: KeptHold, error: EgressError): void {
    if (error.reason !== 'audit-unavailable') this.#withdraw(approved, error.reason, error)
  }

  // On the disk before the call leaves: a grant that was used stays used.
  #use(hold: KeptHold, waiter: HoldWaiter): HoldGrant {
    waiter.recheck()
    const { id, by = '', via = 'control', answeredAt = 0 } = hold
    const { callId } = waiter
    const used = { ...hold, state: 'used', usedBy: callId, endedAt: this.#options.now() } as const
    this.#put(used, true)
    this.#tell('hold-used', used, callId)
    return { id, by, via, at: answeredAt }
  }

  #keepAnswer(
    hold: KeptHold,
    answer: HoldAnswer,
    by: HoldReviewer,
    reason: string | undefined,
  ): KeptHold {
    const { now, limits } = this.#options
    const given = { answer, by, reason, at: now(), until: now() + limits.grantTtlMs }
    try {
      return this.#book.put(answeredHold(hold, given), answer === 'deny')
    } catch (error) {
      this.#options.onProblem(error)
      throw new ControlError('audit-unavailable', 'the answer could not be written down')
    }
  }

  #withdraw(hold: KeptHold, cause: string, error: EgressError): void {
    this.#end(hold, 'withdrawn', cause, error)
  }

  #end(hold: KeptHold, state: HoldState, cause: string, error: EgressError): void {
    const ended = this.#book.end({ ...hold, state, cause, endedAt: this.#options.now() })
    this.#tell(state === 'withdrawn' ? 'hold-withdrawn' : 'hold-timed-out', ended, undefined)
    this.#waiting.refuseAll(hold.id, error)
  }

  #put(hold: KeptHold, isSynced: boolean): KeptHold {
    try {
      return this.#book.put(hold, isSynced)
    } catch (error) {
      this.#options.onProblem(error)
      throw new EgressError('audit-unavailable', { hold: hold.id }, { cause: error })
    }
  }

  #tell(action: HoldAction, hold: KeptHold, callId: string | undefined): void {
    this.#actions.set(action, (this.#actions.get(action) ?? 0) + 1)
    this.#options.onChange(action, this.#view(hold), callId)
  }

  #view(hold: KeptHold): HoldView {
    return viewOf(hold, this.#waiting.of(hold.id).length)
  }

  #isWithin(until: number | undefined): boolean {
    return until !== undefined && this.#options.now() < until
  }

  // A timer runs only while there is something to time out.
  #watchTime(): void {
    if (this.#timer !== undefined || this.#book.open === 0) return
    this.#timer = setInterval(() => this.#sweep(), this.#sweepMs)
    this.#timer.unref()
  }

  #sweep(): void {
    if (this.#book.open > 0)
      for (const hold of this.#book.values()) {
        const { state } = hold
        if (state === 'pending' && !this.#isWithin(hold.waitsUntil))
          this.#end(hold, 'timed-out', 'no-answer', refusal('approval-timeout', hold))
        else if (state === 'approved' && !this.#isWithin(hold.answerUntil))
          this.#end(hold, 'timed-out', 'unused', pendingOf(hold.id))
      }
    if (this.#book.open > 0 || this.#timer === undefined) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}

function heldFor({ task, separate, reviewers, requesters }: KeptHold): HeldFor {
  return { team: task.owner.team, separate, reviewers, requesters }
}

function refusal(reason: Reason, { id }: KeptHold, why?: string): EgressError {
  return new EgressError(reason, { hold: id, ...(why !== undefined && { why }) })
}
