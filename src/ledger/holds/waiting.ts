// The clients that wait for an answer: for so long, or until they leave. Called by `holds.ts`.

import { EgressError } from '../../errors.ts'

/** Leave for one call to go through. */
export interface HoldGrant {
  /** The hold's. */
  readonly id: string
  readonly by: string
  readonly via: 'control' | 'webhook'
  /** Epoch milliseconds. */
  readonly at: number
}

/** A call that may be held. */
export interface HoldWaiter {
  readonly callId: string
  /** Judges the call as things are now. @throws EgressError where it would not be held for the same any more */
  recheck(): void
  /** Registers what to do when the client leaves, or the call is cut. */
  onGone(leave: () => void): void
}

/** Seconds after which a call is worth repeating: it then waits again. */
const RETRY_SECONDS = 5

/** What a client is told that is to come back. */
export function pendingOf(holdId: string): EgressError {
  return new EgressError('approval-pending', { hold: holdId }, { wait: RETRY_SECONDS })
}

/** A client that waits. */
class Waiting {
  readonly waiter: HoldWaiter
  readonly granted: Promise<HoldGrant>
  /** Whether it was granted or refused. */
  isOver = false
  readonly #timer: NodeJS.Timeout
  readonly #onOver: (waiting: Waiting) => void
  readonly #settle: PromiseWithResolvers<HoldGrant>

  /**
   * @param holdId of the hold
   * @param waitMs after which the client is told to come back
   * @param onOver called once when it waits no more
   */
  constructor(
    waiter: HoldWaiter,
    holdId: string,
    waitMs: number,
    onOver: (waiting: Waiting) => void,
  ) {
    this.waiter = waiter
    this.#onOver = onOver
    this.#settle = Promise.withResolvers()
    this.granted = this.#settle.promise
    this.#timer = setTimeout(() => this.refuse(pendingOf(holdId)), waitMs)
    waiter.onGone(() => this.refuse(new EgressError('client-gone', { hold: holdId })))
  }

  grant(grant: HoldGrant): void {
    this.#end()
    this.#settle.resolve(grant)
  }

  refuse(error: EgressError): void {
    this.#end()
    this.#settle.reject(error)
  }

  #end(): void {
    this.isOver = true
    clearTimeout(this.#timer)
    this.#onOver(this)
  }
}

/** All clients that wait, by hold. */
export class WaitingClients {
  readonly #waitMs: number
  readonly #byHold: Map<string, Set<Waiting>> = new Map()

  /** @param waitMs after which a client is told to come back */
  constructor(waitMs: number) {
    this.#waitMs = waitMs
  }

  /** Those of a hold, who came first first. */
  of(holdId: string): Waiting[] {
    return [...(this.#byHold.get(holdId) ?? [])]
  }

  /** Lets a client wait. @returns what becomes of its call */
  wait(holdId: string, waiter: HoldWaiter): Promise<HoldGrant> {
    const all = this.#byHold.get(holdId) ?? new Set()
    this.#byHold.set(holdId, all)
    const waiting = new Waiting(waiter, holdId, this.#waitMs, (over) => {
      all.delete(over)
      if (all.size === 0 && this.#byHold.get(holdId) === all) this.#byHold.delete(holdId)
    })
    // A call that was cut before it came here has left already.
    if (!waiting.isOver) all.add(waiting)
    return waiting.granted
  }

  refuseAll(holdId: string, error: EgressError): void {
    for (const waiting of this.of(holdId)) waiting.refuse(error)
  }

  /** Sends all of them away. */
  drain(): void {
    for (const holdId of this.#byHold.keys())
      this.refuseAll(holdId, new EgressError('draining', { hold: holdId }))
  }
}
