// How often each task asks: so many calls within a minute, counted in memory. Called by `envelope.ts`.

import { LRUCache } from 'lru-cache'

import { EgressError } from '../errors.ts'
import { SlidingCount } from '../tasks/sliding-count.ts'

const MINUTE_MS = 60_000
const BUCKETS = 12
const TASKS_MAX = 20_000

/** Counts the calls of all tasks. */
export class CallRate {
  readonly #perMinute: number
  readonly #counts: LRUCache<string, SlidingCount> = new LRUCache({ max: TASKS_MAX })

  constructor(perMinute: number) {
    this.#perMinute = perMinute
  }

  /** Counts one call of a task. @throws EgressError quota-exceeded with the time to wait */
  take(taskId: string): void {
    const now = performance.now()
    let count = this.#counts.get(taskId)
    if (count === undefined) {
      count = new SlidingCount(MINUTE_MS, BUCKETS)
      this.#counts.set(taskId, count)
    }
    const waitMs = count.waitMs(now, this.#perMinute - 1)
    if (waitMs > 0) {
      const wait = Math.ceil(waitMs / 1000)
      throw new EgressError('quota-exceeded', { limit: 'envelopeCallsPerMinute' }, { wait })
    }
    count.add(now, 1)
  }
}
