// How often each task asks: so many calls within a minute, counted in memory. Called by `envelope.ts`.

import { LRUCache } from 'lru-cache'

import { EgressError } from '../errors.ts'

interface Minute {
  /** By the monotonic clock, milliseconds. */
  readonly from: number
  count: number
}

const MINUTE_MS = 60_000
const TASKS_MAX = 20_000

/** Counts the calls of all tasks. */
export class CallRate {
  readonly #perMinute: number
  readonly #minutes: LRUCache<string, Minute> = new LRUCache({ max: TASKS_MAX })

  constructor(perMinute: number) {
    this.#perMinute = perMinute
  }

  /** Counts one call of a task. @throws EgressError quota-exceeded with the time to wait */
  take(taskId: string): void {
    const now = performance.now()
    let minute = this.#minutes.get(taskId)
    if (minute === undefined || now - minute.from >= MINUTE_MS) {
      minute = { from: now, count: 0 }
      this.#minutes.set(taskId, minute)
    }
    minute.count += 1
    if (minute.count <= this.#perMinute) return
    const wait = Math.max(1, Math.ceil((minute.from + MINUTE_MS - now) / 1000))
    throw new EgressError('quota-exceeded', { limit: 'envelopeCallsPerMinute' }, { wait })
  }
}
