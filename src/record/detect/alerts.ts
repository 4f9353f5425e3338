// Writes detections as records and keeps them from becoming a flood themselves: of each kind and task so many within a
// window get an alert of their own, those beyond are told in one with exact numbers. Called by `recorder.ts` and
// `detector.ts`, which see what is to be told.

import type { Reason } from '../../errors.ts'
import type { Limits } from '../../limits.ts'
import type { Task } from '../../tasks/task.ts'
import type { Endpoint } from '../../wire/authority.ts'
import type { RecordBody } from '../body.ts'
import { CallSample } from './call-sample.ts'
import { DETECTIONS, type DetectionName } from './detections.ts'
import { eventRecord, type EventFields } from '../ecs.ts'

/** One thing that was detected. */
export interface Detected {
  readonly name: DetectionName
  readonly task: Task | undefined
  /** Ids of the calls whose records explain it. */
  readonly calls: readonly string[]
  /** How many calls it is made of. */
  readonly count: number
  /** In a few words what it is about, for the alert that tells many: a destination, a tool, the name of a credential. */
  readonly about?: string
  readonly reason?: Reason
  readonly endpoint?: Endpoint
  readonly detail?: Readonly<Record<string, unknown>>
}

/** What writing alerts needs. */
export interface AlertOptions {
  readonly limits: Pick<Limits, 'alertsPerTask' | 'alertFoldMs'>
  /** Takes the records. */
  readonly append: (record: RecordBody) => void
  /** Told of every detection, those that are folded included. */
  readonly onDetected: (name: DetectionName) => void
  /** Epoch milliseconds. */
  readonly now: () => number
}

interface Window {
  readonly name: DetectionName
  readonly task: Task | undefined
  /** Epoch milliseconds. */
  readonly from: number
  written: number
  folded: Folded | undefined
}

interface Folded {
  alerts: number
  readonly calls: CallSample
  readonly about: Set<string>
}

const ABOUT_MAX = 20
const SWEEP_MS_MAX = 1000

/** The alerts of one sidecar. */
export class Alerts {
  readonly #options: AlertOptions
  /** By detection and task; emptied as windows end, so only what was seen just now is in it. */
  readonly #windows: Map<string, Window> = new Map()
  #timer: NodeJS.Timeout | undefined

  constructor(options: AlertOptions) {
    this.#options = options
  }

  /** Whether the next one of this kind and task gets an alert of its own. */
  hasRoom(name: DetectionName, task: Task | undefined): boolean {
    const window = this.#windows.get(keyOf(name, task))
    if (window === undefined || !this.#isRunning(window)) return true
    return window.written < this.#options.limits.alertsPerTask
  }

  /** Tells one; by itself or, beyond the number, together with others. @param isFolded together with others in any case */
  raise(detected: Detected, isFolded = false): void {
    const { now, append, onDetected, limits } = this.#options
    const { name, task, calls, count, about, reason, endpoint, detail } = detected
    onDetected(name)
    const window = this.#windowOf(name, task)
    if (!isFolded && window.written < limits.alertsPerTask) {
      window.written += 1
      const callId = calls.length === 1 ? calls[0] : undefined
      const fields = { task, reason, endpoint, detail, callId, now: now() }
      append(alertRecord(name, name, { calls, count }, fields))
      return
    }
    window.folded ??= { alerts: 0, calls: new CallSample(), about: new Set() }
    window.folded.alerts += 1
    window.folded.calls.addAll(calls, count)
    if (about !== undefined && window.folded.about.size < ABOUT_MAX) window.folded.about.add(about)
  }

  /** Writes what is folded so far; before the journal is closed. */
  close(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    for (const window of this.#windows.values()) this.#report(window)
    this.#windows.clear()
  }

  #windowOf(name: DetectionName, task: Task | undefined): Window {
    const key = keyOf(name, task)
    const known = this.#windows.get(key)
    if (known !== undefined && this.#isRunning(known)) return known
    if (known !== undefined) this.#report(known)
    const window = { name, task, from: this.#options.now(), written: 0, folded: undefined }
    this.#windows.set(key, window)
    this.#schedule()
    return window
  }

  #isRunning({ from }: Window): boolean {
    const age = this.#options.now() - from
    return age >= 0 && age < this.#options.limits.alertFoldMs
  }

  #schedule(): void {
    const { alertFoldMs } = this.#options.limits
    this.#timer ??= setTimeout(() => this.#sweep(), Math.min(alertFoldMs, SWEEP_MS_MAX))
    this.#timer.unref()
  }

  #sweep(): void {
    this.#timer = undefined
    for (const [key, window] of this.#windows) {
      if (this.#isRunning(window)) continue
      this.#report(window)
      this.#windows.delete(key)
    }
    if (this.#windows.size > 0) this.#schedule()
  }

  #report(window: Window): void {
    const { name, task, from, folded } = window
    if (folded === undefined) return
    window.folded = undefined
    const { now, append, limits } = this.#options
    const at = now()
    const { alerts, calls, about } = folded
    const detail = {
      count: alerts,
      ...(about.size > 0 && { about: [...about] }),
      from: isoOf(from),
      to: isoOf(Math.max(from, Math.min(at, from + limits.alertFoldMs))),
    }
    const made = { calls: calls.ids(), count: calls.count }
    append(alertRecord(name, `${name}-repeated`, made, { task, detail, now: at }))
  }
}

function alertRecord(
  name: DetectionName,
  action: string,
  made: Pick<Detected, 'calls' | 'count'>,
  fields: EventFields,
): RecordBody {
  const { severity, asi, threat } = DETECTIONS[name]
  const record = eventRecord(action, { ...fields, kind: 'alert' })
  const detection = { name, severity, asi, calls: made.calls, count: made.count }
  return { ...record, threat, sallyport: { ...record.sallyport, detection } }
}

function keyOf(name: DetectionName, task: Task | undefined): string {
  return `${name} ${task?.id ?? ''}`
}

function isoOf(time: number): string {
  return new Date(time).toISOString()
}
