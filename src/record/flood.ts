// Keeps a client that is refused over and over from filling the journal: beyond a number a task and second, refusals are
// counted and reported in one record with exact numbers. Called by `recorder.ts` before it records a refused call,
// message or DNS query.

import type { Reason } from '../errors.ts'
import type { Task } from '../tasks/task.ts'
import type { RecordBody } from './body.ts'
import { eventRecord } from './ecs.ts'

/** How refusals are limited. */
export interface DenialLimiterOptions {
  /** Refusals a task and second that get a record of their own. */
  readonly perSecond: number
  /** Takes the records that report counts; the journal's `append`. */
  readonly append: (record: RecordBody) => Promise<void>
  readonly now: () => number
}

type DeniedAction = 'call-denied' | 'message-denied' | 'dns-denied'

interface Window {
  readonly task: Task | undefined
  /** Epoch milliseconds. */
  readonly from: number
  written: number
  /** Counted, not written, by action and reason. */
  counted: Map<DeniedAction, Map<Reason, number>> | undefined
}

const WINDOW_MS = 1000

/** Decides a task and second at a time whether a refusal is written or counted. */
export class DenialLimiter {
  readonly #options: DenialLimiterOptions
  /** By task id; refusals without a task share one window. Emptied every second, so only tasks refused just now are in it. */
  readonly #windows = new Map<string, Window>()
  #timer: NodeJS.Timeout | undefined

  constructor(options: DenialLimiterOptions) {
    this.#options = options
  }

  /** Tells whether this refusal, now (epoch milliseconds), gets its own record; where not, it has been counted. */
  admit(
    task: Task | undefined,
    reason: Reason,
    now: number,
    action: DeniedAction = 'call-denied',
  ): boolean {
    const key = task?.id ?? ''
    let window = this.#windows.get(key)
    if (window === undefined || now - window.from >= WINDOW_MS || now < window.from) {
      if (window !== undefined) this.#report(window, now)
      window = { task, from: now, written: 0, counted: undefined }
      this.#windows.set(key, window)
      this.#timer ??= setTimeout(() => this.#sweep(), WINDOW_MS)
      this.#timer.unref()
    }
    if (window.written < this.#options.perSecond) {
      window.written += 1
      return true
    }
    window.counted ??= new Map()
    const counts = window.counted.get(action) ?? new Map<Reason, number>()
    counts.set(reason, (counts.get(reason) ?? 0) + 1)
    window.counted.set(action, counts)
    return false
  }

  /** Reports what is counted so far; before the journal is closed. */
  close(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const now = this.#options.now()
    for (const window of this.#windows.values()) this.#report(window, now)
    this.#windows.clear()
  }

  #sweep(): void {
    this.#timer = undefined
    const now = this.#options.now()
    for (const [key, window] of this.#windows) {
      if (now - window.from < WINDOW_MS && now >= window.from) continue
      this.#report(window, now)
      this.#windows.delete(key)
    }
    if (this.#windows.size === 0) return
    this.#timer = setTimeout(() => this.#sweep(), WINDOW_MS / 4)
    this.#timer.unref()
  }

  #report(window: Window, now: number): void {
    const { task, from, counted } = window
    if (counted === undefined) return
    window.counted = undefined
    for (const [action, counts] of counted) {
      let count = 0
      for (const number of counts.values()) count += number
      const record = eventRecord(`${action}-repeated`, {
        now,
        ...(task === undefined ? {} : { task }),
        detail: {
          count,
          reasons: Object.fromEntries(counts),
          from: new Date(from).toISOString(),
          to: new Date(Math.min(now, from + WINDOW_MS)).toISOString(),
        },
      })
      // A journal that cannot write keeps the counts by itself.
      this.#options.append(record).catch(() => undefined)
    }
  }
}
