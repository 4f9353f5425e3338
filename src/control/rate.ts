// A rate by token bucket: so many a second, and so many at once after a pause. Pure; asked by `guard.ts`.

/** How often something may happen. */
export class Rate {
  readonly #perSecond: number
  readonly #burst: number
  readonly #now: () => number
  #left: number
  #at: number

  /** @param now milliseconds that never go back */
  constructor(perSecond: number, burst: number, now: () => number) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#now = now
    this.#left = burst
    this.#at = now()
  }

  /** Takes one. @returns 0, or after how many whole seconds there is one again */
  take(): number {
    const now = this.#now()
    this.#left = Math.min(this.#burst, this.#left + ((now - this.#at) / 1000) * this.#perSecond)
    this.#at = now
    if (this.#left >= 1) {
      this.#left -= 1
      return 0
    }
    return Math.max(1, Math.ceil((1 - this.#left) / this.#perSecond))
  }
}
