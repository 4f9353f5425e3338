// The time that limits a minute, an hour or a day are counted by: goes on with the monotonic clock from where the tasks' clock
// was at the start, so that no step of the wall clock refills anything. Called by `quotas.ts`.

/** The clocks of tasks. */
export interface Clocks {
  /** Epoch milliseconds that never go back, over restarts either. */
  now(): number
  /** Milliseconds since some beginning. */
  monotonic(): number
}

/** One such clock. */
export class QuotaClock {
  readonly #clocks: () => Clocks
  /** What to add to the monotonic clock. */
  #offset: number | undefined

  /** @param clocks asked for when time is asked for the first time */
  constructor(clocks: () => Clocks) {
    this.#clocks = clocks
  }

  /** Epoch milliseconds, as they were at the start, and what has passed since. */
  now(): number {
    const clocks = this.#clocks()
    const monotonic = clocks.monotonic()
    this.#offset ??= clocks.now() - monotonic
    return this.#offset + monotonic
  }
}
