// What is written down of a meter, one line of the file. Called by `meter.ts`, which makes and reads it, and `quotas.ts`, which
// keeps it.

import type { Buckets } from '../tasks/sliding-count.ts'

/** Limits of what is used in all. */
export type TotalName = 'calls' | 'bytesOut' | 'bytesIn'

/** Limits of what is used within a while. */
export type WindowName = 'callsPerMinute' | 'callsPerHour' | 'callsPerDay'

/** What is written down of a meter. */
export interface KeptMeter {
  readonly id: string
  /** The task has ended. */
  readonly isGone?: true
  /** What counts as used in all. */
  readonly totals?: Readonly<Partial<Record<TotalName, number>>>
  /** What was used of windows by then, and what was reserved from then on. */
  readonly windows?: Readonly<Partial<Record<WindowName, KeptWindow>>>
}

/** What was used within a while, by the time it was written. */
export interface KeptWindow {
  readonly buckets: Buckets
  /** What may have been used since. */
  readonly ahead: number
}

/** Whether a line of the file is one that was written: what was used must not be forgotten by a change of it. */
export function isKeptMeter(value: unknown): value is KeptMeter {
  if (typeof value !== 'object' || value === null) return false
  const id: unknown = Reflect.get(value, 'id')
  if (typeof id !== 'string' || !/^\S+ ./.test(id)) return false
  return isNumbers(Reflect.get(value, 'totals')) && isWindows(Reflect.get(value, 'windows'))
}

function isNumbers(value: unknown): boolean {
  if (value === undefined) return true
  return typeof value === 'object' && value !== null && Object.values(value).every(isAmount)
}

function isWindows(value: unknown): boolean {
  if (value === undefined) return true
  if (typeof value !== 'object' || value === null) return false
  return Object.values(value).every((window: unknown) => {
    if (typeof window !== 'object' || window === null) return false
    const buckets: unknown = Reflect.get(window, 'buckets')
    if (!isAmount(Reflect.get(window, 'ahead')) || !Array.isArray(buckets)) return false
    return buckets.every(
      (bucket: unknown) => Array.isArray(bucket) && bucket.length === 2 && bucket.every(isAmount),
    )
  })
}

function isAmount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}
