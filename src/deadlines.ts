// Deadlines of many sockets by one timer: an item's deadline is a number that a sweep looks at, so that setting one costs
// nothing. Late by at most two sweeps, never early. Made by `listen/` and `forward/`, one each.

/** Something that has a deadline. */
export interface Timed {
  /** The sweep at which it is due, as `DeadlineSweep.after` gives it; `NEVER` for none. */
  dueSweep: number
  /** Called once it is due, with no deadline left. */
  onDeadline(): void
}

/** No deadline. */
export const NEVER: number = Number.POSITIVE_INFINITY

const EVERY_MS_MIN = 10
const EVERY_MS_MAX = 1000
const SWEEPS_PER_TIMEOUT = 4

/** The timer of one kind of items. */
export class DeadlineSweep<Item extends Timed> {
  /** All that is watched. */
  readonly items: Set<Item> = new Set()
  readonly #everyMs: number
  readonly #timer: NodeJS.Timeout
  #sweeps = 0

  /** @param timeoutsMs those that will be asked for: the shortest says how fine the sweep is */
  constructor(timeoutsMs: readonly number[]) {
    const fine = Math.min(...timeoutsMs) / SWEEPS_PER_TIMEOUT
    this.#everyMs = Math.max(EVERY_MS_MIN, Math.min(EVERY_MS_MAX, fine))
    this.#timer = setInterval(() => this.#sweep(), this.#everyMs)
    this.#timer.unref()
  }

  /** When something is due that may take so long from now. */
  after(timeoutMs: number): number {
    return this.#sweeps + 1 + Math.ceil(timeoutMs / this.#everyMs)
  }

  /** Ends the timer. */
  close(): void {
    clearInterval(this.#timer)
  }

  #sweep(): void {
    this.#sweeps += 1
    for (const item of this.items) {
      if (item.dueSweep > this.#sweeps) continue
      item.dueSweep = NEVER
      item.onDeadline()
    }
  }
}
