// One dial that several calls wait for: what comes of it lies in the pool for whoever is first. It ends early when nobody waits
// for it any more. Made by `pool.ts`.

import { EgressError } from '../errors.ts'
import type { AddressPolicy } from '../policy/decision.ts'
import type { HttpProtocol } from '../wire/protocol.ts'

/** What a dial does; ends when the signal is aborted. */
export interface DialSteps {
  /** Connects; resolves with what is spoken. */
  readonly connect: (signal: AbortSignal) => Promise<HttpProtocol>
  /** Makes what was connected ready for calls. */
  readonly prepare: () => Promise<void>
}

/** A dial under way. */
export class SharedDial {
  /** The addresses that it may reach. */
  readonly addresses: AddressPolicy
  readonly #abort = new AbortController()
  readonly #spoken: Promise<HttpProtocol>
  readonly #ready: Promise<void>
  #waiting = 0
  #isConnected = false

  /** @param onOver called when there is nothing more to wait for */
  constructor(addresses: AddressPolicy, steps: DialSteps, onOver: () => void) {
    this.addresses = addresses
    this.#spoken = steps.connect(this.#abort.signal)
    this.#ready = this.#spoken.then(() => this.#prepare(steps)).finally(onOver)
    // Whoever waits is told; where nobody does, nobody is.
    for (const promise of [this.#spoken, this.#ready]) promise.catch(() => undefined)
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting
  }

  /** Whether nobody is left for whom it goes on. */
  get isGivenUp(): boolean {
    return this.#abort.signal.aborted
  }

  /** What is spoken, as soon as that is known. @throws client-gone once the signal is aborted; whatever dialing throws */
  spoken(signal: AbortSignal): Promise<HttpProtocol> {
    return this.#wait(this.#spoken, signal)
  }

  /** Resolves once a connection lies in the pool. @throws client-gone once the signal is aborted; whatever dialing throws */
  ready(signal: AbortSignal): Promise<void> {
    return this.#wait(this.#ready, signal)
  }

  // From here on it is the pool's, whoever waits.
  #prepare(steps: DialSteps): Promise<void> {
    this.#isConnected = true
    return steps.prepare()
  }

  async #wait<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
    this.#waiting += 1
    try {
      return await orAborted(promise, signal)
    } finally {
      this.#waiting -= 1
      if (this.#waiting === 0 && !this.#isConnected) this.#abort.abort()
    }
  }
}

function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(new EgressError('client-gone'))
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
