// What was used of the limits of one thing: a task, one of its tools, a rule as a task uses it. What is used is covered by what
// is written down before it is granted: a mark ahead of the use, moved on in steps, so that few calls wait for a write and a
// crash gives nothing back, but takes what was reserved and not used. Pure; `quotas.ts` asks several of them at once and
// writes.

import { SlidingCount } from '../tasks/sliding-count.ts'
import type { CallLimits } from '../tasks/task.ts'
import type { KeptMeter, KeptWindow, TotalName, WindowName } from './kept-meter.ts'

/** A limit by its name, as tasks and rules write it. */
export type LimitName = keyof CallLimits

/** What is to be used at once. */
export interface Need {
  readonly calls: number
  readonly bytesOut: number
  readonly bytesIn: number
  /** Bytes known to follow: refused already where there is no room for them, and taken as they come. */
  readonly bytesFollowing: number
}

/** Why something cannot be used. */
export interface Lack {
  readonly limit: LimitName
  /** Milliseconds until it could be; undefined: never by itself. */
  readonly waitMs: number | undefined
}

/** What was taken of one meter, to give it back. */
export interface Taken {
  readonly meter: Meter
  readonly need: Need
  /** The bucket of each window, in the order of the windows. */
  readonly buckets: readonly (number | undefined)[]
}

interface Total {
  used: number
  /** What is written down: never less than what is used. */
  reserved: number
}

interface Window {
  readonly count: SlidingCount
  /** How much may still be used before the next write. */
  ahead: number
}

const TOTALS = ['calls', 'bytesOut', 'bytesIn'] as const
const WINDOWS = ['callsPerMinute', 'callsPerHour', 'callsPerDay'] as const
const MINUTE_MS = 60_000
const WINDOW_SHAPES: Readonly<Record<WindowName, readonly [windowMs: number, buckets: number]>> = {
  callsPerMinute: [MINUTE_MS, 60],
  callsPerHour: [60 * MINUTE_MS, 60],
  callsPerDay: [24 * 60 * MINUTE_MS, 96],
}
// Each crash costs at most such a part of a limit, and a limit is used up with so many writes.
const STEPS_OF_TOTAL = 64
const STEPS_OF_WINDOW = 32
// When a call that is under way will be over, nobody knows.
const CONCURRENT_WAIT_MS = 1000

/** One meter. Whoever grants asks `lackOf` first, and `isCovered`; where it is not, what `reserve` returns is written first. */
export class Meter {
  readonly id: string
  /** Its task has ended: nothing is granted. */
  isGone = false
  readonly #totals: Partial<Record<TotalName, Total>> = {}
  readonly #windows: Partial<Record<WindowName, Window>> = {}
  #open = 0
  #kept: KeptMeter | undefined

  /** @param kept what was written of it before: all that was reserved counts as used */
  constructor(id: string, kept: KeptMeter | undefined) {
    this.id = id
    this.#kept = kept
  }

  /** What of the need is not there; of several lacks the one that lasts longest. */
  lackOf(limits: CallLimits, need: Need, now: number): Lack | undefined {
    this.#recover(now)
    let worst: Lack | undefined
    for (const name of TOTALS) {
      const most = limits[name]
      if (most === undefined) continue
      const least = leastOf(name, need)
      if (least > 0 && this.#totalOf(name).used + least > most)
        return { limit: name, waitMs: undefined }
    }
    if (need.calls === 0) return undefined
    for (const name of WINDOWS) {
      const most = limits[name]
      if (most === undefined) continue
      if (need.calls > most) return { limit: name, waitMs: undefined }
      const waitMs = this.#windowOf(name).count.waitMs(now, most - need.calls)
      if (waitMs > (worst?.waitMs ?? 0)) worst = { limit: name, waitMs }
    }
    const { concurrentCalls } = limits
    if (worst !== undefined || concurrentCalls === undefined) return worst
    if (this.#open + need.calls <= concurrentCalls) return undefined
    const waitMs = need.calls > concurrentCalls ? undefined : CONCURRENT_WAIT_MS
    return { limit: 'concurrentCalls', waitMs }
  }

  /** Whether what is written down covers the need. */
  isCovered(limits: CallLimits, need: Need): boolean {
    for (const name of TOTALS) {
      if (limits[name] === undefined || need[name] === 0) continue
      const { used, reserved } = this.#totalOf(name)
      if (used + need[name] > reserved) return false
    }
    if (need.calls === 0) return true
    return WINDOWS.every(
      (name) => limits[name] === undefined || this.#windowOf(name).ahead >= need.calls,
    )
  }

  /** What to write so that the need is covered, and more after it. */
  reserve(limits: CallLimits, need: Need, now: number): KeptMeter {
    const totals: Partial<Record<TotalName, number>> = {}
    for (const name of TOTALS) {
      const total = this.#totals[name]
      const most = limits[name]
      if (total === undefined) continue
      const least = total.used + need[name]
      const step = most === undefined ? 0 : Math.ceil(most / STEPS_OF_TOTAL)
      totals[name] = Math.max(least, Math.min(least + step, most ?? 0))
    }
    const windows: Partial<Record<WindowName, KeptWindow>> = {}
    for (const name of WINDOWS) {
      const window = this.#windows[name]
      if (window === undefined) continue
      const step = Math.ceil((limits[name] ?? 0) / STEPS_OF_WINDOW)
      const ahead = Math.max(need.calls, step)
      windows[name] = { buckets: window.count.buckets(now), ahead }
    }
    return { id: this.id, totals, windows }
  }

  /** What was returned by `reserve` is written. */
  cover({ totals, windows }: KeptMeter): void {
    for (const name of TOTALS) {
      const reserved = totals?.[name]
      if (reserved !== undefined) this.#totalOf(name).reserved = reserved
    }
    for (const name of WINDOWS) {
      const ahead = windows?.[name]?.ahead
      if (ahead !== undefined) this.#windowOf(name).ahead = ahead
    }
  }

  /** Uses what is there and covered. */
  take(limits: CallLimits, need: Need, now: number): Taken {
    for (const name of TOTALS)
      if (limits[name] !== undefined) this.#totalOf(name).used += need[name]
    const buckets = WINDOWS.map((name) => {
      if (limits[name] === undefined || need.calls === 0) return undefined
      const window = this.#windowOf(name)
      window.ahead -= need.calls
      return window.count.add(now, need.calls)
    })
    this.#open += need.calls
    return { meter: this, need, buckets }
  }

  /** Gives back what was taken by what did not leave. */
  giveBack({ need, buckets }: Taken): void {
    for (const name of TOTALS) {
      const total = this.#totals[name]
      if (total) total.used = Math.max(0, total.used - need[name])
    }
    for (const [at, name] of WINDOWS.entries()) {
      const bucket = buckets[at]
      if (bucket !== undefined) this.#windowOf(name).count.takeBack(bucket, need.calls)
    }
  }

  /** Calls are over. */
  release(calls: number): void {
    this.#open -= calls
  }

  /** What is used of a limit. */
  usedOf(name: LimitName, now: number): number {
    this.#recover(now)
    if (name === 'concurrentCalls') return this.#open
    if (isWindow(name)) return this.#windows[name]?.count.sum(now) ?? 0
    return this.#totals[name]?.used ?? 0
  }

  /** Whether forgetting it gives nothing back. */
  isEmpty(now: number): boolean {
    this.#recover(now)
    return (
      this.#open === 0 &&
      TOTALS.every((name) => (this.#totals[name]?.used ?? 0) === 0) &&
      WINDOWS.every((name) => (this.#windows[name]?.count.sum(now) ?? 0) === 0)
    )
  }

  /** What is to be written so that nothing reserved is lost; undefined where nothing is. */
  settle(now: number): KeptMeter | undefined {
    if (this.#kept !== undefined) return undefined
    const isAhead =
      TOTALS.some((name) => {
        const total = this.#totals[name]
        return total !== undefined && total.reserved > total.used
      }) || WINDOWS.some((name) => (this.#windows[name]?.ahead ?? 0) > 0)
    return isAhead ? this.reserve({}, NOTHING, now) : undefined
  }

  // Not before there is a clock: what was reserved may have been used until just now.
  #recover(now: number): void {
    const kept = this.#kept
    if (kept === undefined) return
    this.#kept = undefined
    for (const name of TOTALS) {
      const used = kept.totals?.[name]
      if (used !== undefined) this.#totals[name] = { used, reserved: used }
    }
    for (const name of WINDOWS) {
      const window = kept.windows?.[name]
      if (window === undefined) continue
      const { count } = this.#windowOf(name)
      count.restore(now, window.buckets)
      if (window.ahead > 0) count.add(now, window.ahead)
    }
  }

  #totalOf(name: TotalName): Total {
    return (this.#totals[name] ??= { used: 0, reserved: 0 })
  }

  #windowOf(name: WindowName): Window {
    return (this.#windows[name] ??= { count: new SlidingCount(...WINDOW_SHAPES[name]), ahead: 0 })
  }
}

/** Nothing at all. */
export const NOTHING: Need = Object.freeze({ calls: 0, bytesOut: 0, bytesIn: 0, bytesFollowing: 0 })

// A call to which nothing may come back any more is not begun.
function leastOf(name: TotalName, need: Need): number {
  if (name === 'bytesOut') return need.bytesOut + need.bytesFollowing
  return name === 'bytesIn' && need.calls > 0 ? Math.max(1, need.bytesIn) : need[name]
}

function isWindow(name: LimitName): name is WindowName {
  return Object.hasOwn(WINDOW_SHAPES, name)
}
