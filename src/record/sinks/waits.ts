// What a feed waits for: records, company for a record, the next attempt. Each wait ends with the feed. Called by `feed.ts`.

import { setTimeout as sleep } from 'node:timers/promises'

/** The waits of one feed, one at a time. */
export class Waits {
  readonly #stop: AbortSignal
  #wake: (() => void) | undefined
  #backOff: AbortController | undefined

  /** @param stop ends every wait */
  constructor(stop: AbortSignal) {
    this.#stop = stop
    stop.addEventListener('abort', () => this.wake())
  }

  /** Whether the next attempt is waited for. */
  get isBackingOff(): boolean {
    return this.#backOff !== undefined
  }

  /** Waits until `wake` is called. */
  forRecords(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  /** Ends the wait for records. */
  wake(): void {
    this.#wake?.()
    this.#wake = undefined
  }

  /** Waits so long. @throws AbortError at the feed's end */
  async forMs(waitMs: number): Promise<void> {
    await sleep(waitMs, undefined, { signal: this.#stop })
  }

  /** Waits for the next attempt, until it is cut or the feed ends. */
  async backOff(waitMs: number): Promise<void> {
    this.#backOff = new AbortController()
    const signal = AbortSignal.any([this.#stop, this.#backOff.signal])
    await sleep(waitMs, undefined, { signal }).catch(() => undefined)
    this.#backOff = undefined
  }

  /** Lets the next attempt be made now. */
  cutBackOff(): void {
    this.#backOff?.abort()
  }
}
