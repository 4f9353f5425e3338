// How many questions one credential's provider is asked at once: a slow one does not fill the machine, and holds up no other
// credential. Called by `lease-holder.ts`.

import { ProviderError } from './issuer.ts'

const WAITING_MAX = 1000

/** Lets so many through at once; the others wait their turn. */
export class MintGate {
  readonly #openMax: number
  readonly #waiting: Set<() => void> = new Set()
  #open = 0

  /** @param openMax let through at once */
  constructor(openMax: number) {
    this.#openMax = openMax
  }

  /**
   * Waits for a turn.
   * @returns what ends it, to be called once
   * @throws ProviderError where too many wait; the signal's reason
   */
  async enter(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted()
    if (this.#open < this.#openMax) this.#open += 1
    else await this.#wait(signal)
    let isOver = false
    return () => {
      if (isOver) return
      isOver = true
      this.#leave()
    }
  }

  #wait(signal: AbortSignal): Promise<void> {
    if (this.#waiting.size >= WAITING_MAX)
      throw new ProviderError('too many tasks wait for the provider')
    return new Promise((resolve, reject) => {
      const give = (): void => {
        signal.removeEventListener('abort', give)
        this.#waiting.delete(give)
        if (signal.aborted) reject(signal.reason)
        else resolve()
      }
      this.#waiting.add(give)
      signal.addEventListener('abort', give)
    })
  }

  // A turn that ends is the next one's: the number of open ones stays.
  #leave(): void {
    const [next] = this.#waiting
    if (next === undefined) this.#open -= 1
    else next()
  }
}
