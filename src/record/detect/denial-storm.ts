// Storms of refusals: a task, or clients that proved none, refused again and again within a while. The beginning is an
// alert, the end a record with the exact number. Called by `detector.ts`.

import type { Reason } from '../../errors.ts'
import type { Limits } from '../../limits.ts'
import type { Task } from '../../tasks/task.ts'
import type { Alerts } from './alerts.ts'
import type { RecordBody } from '../body.ts'
import { CallSample } from './call-sample.ts'
import { DETECTIONS } from './detections.ts'
import { eventRecord } from '../ecs.ts'

/** What seeing storms needs. */
export interface StormOptions {
  readonly alerts: Alerts
  readonly limits: Pick<Limits, 'denialStormCount' | 'denialStormMs'>
  readonly append: (record: RecordBody) => void
  /** Epoch milliseconds. */
  readonly now: () => number
}

interface Weather {
  readonly task: Task | undefined
  /** Of the first refusal that is counted; epoch milliseconds. */
  readonly began: number
  /** Of the window that runs. */
  from: number
  inWindow: number
  isStorm: boolean
  readonly calls: CallSample
  readonly reasons: Map<Reason, number>
}

const SWEEP_MS_MAX = 1000

/** Counts refusals, a window a task at a time. */
export class DenialStorms {
  readonly #options: StormOptions
  /** By task; only those refused within the last window are in it. */
  readonly #weather: Map<string, Weather> = new Map()
  #timer: NodeJS.Timeout | undefined

  constructor(options: StormOptions) {
    this.#options = options
  }

  /** Counts one refusal. @param callId undefined where it has no record of its own */
  note(task: Task | undefined, reason: Reason, callId: string | undefined): void {
    const { limits, now } = this.#options
    const key = task?.id ?? ''
    const at = now()
    let weather = this.#weather.get(key)
    if (weather !== undefined && !this.#goesOn(weather, at)) weather = undefined
    if (weather === undefined) {
      weather = {
        task,
        began: at,
        from: at,
        inWindow: 0,
        isStorm: false,
        calls: new CallSample(),
        reasons: new Map(),
      }
      this.#weather.set(key, weather)
      this.#schedule()
    }
    weather.inWindow += 1
    weather.calls.add(callId)
    weather.reasons.set(reason, (weather.reasons.get(reason) ?? 0) + 1)
    if (weather.isStorm || weather.inWindow < limits.denialStormCount) return
    weather.isStorm = true
    this.#tell(weather)
  }

  /** Ends every storm. */
  close(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    for (const weather of this.#weather.values()) this.#end(weather, this.#options.now())
    this.#weather.clear()
  }

  // Begins the next window of a storm that has not ceased; whatever else is over is told and forgotten.
  #goesOn(weather: Weather, at: number): boolean {
    const { denialStormMs, denialStormCount } = this.#options.limits
    const age = at - weather.from
    if (age >= 0 && age < denialStormMs) return true
    if (weather.isStorm && weather.inWindow >= denialStormCount && age < 2 * denialStormMs) {
      weather.from = at
      weather.inWindow = 0
      return true
    }
    this.#end(weather, at)
    return false
  }

  #schedule(): void {
    const { denialStormMs } = this.#options.limits
    this.#timer ??= setTimeout(() => this.#sweep(), Math.min(denialStormMs, SWEEP_MS_MAX))
    this.#timer.unref()
  }

  #sweep(): void {
    this.#timer = undefined
    const at = this.#options.now()
    for (const [key, weather] of this.#weather)
      if (!this.#goesOn(weather, at)) this.#weather.delete(key)
    if (this.#weather.size > 0) this.#schedule()
  }

  #tell(weather: Weather): void {
    const { task, began, calls, reasons } = weather
    this.#options.alerts.raise({
      name: 'denial-storm',
      task,
      calls: calls.ids(),
      count: calls.count,
      detail: { reasons: Object.fromEntries(reasons), from: isoOf(began) },
    })
  }

  #end({ task, began, isStorm, calls, reasons }: Weather, at: number): void {
    if (!isStorm) return
    const { severity, asi, threat } = DETECTIONS['denial-storm']
    const detail = {
      reasons: Object.fromEntries(reasons),
      from: isoOf(began),
      to: isoOf(Math.max(at, began)),
    }
    const record = eventRecord('denial-storm-ended', { task, detail, now: at })
    const made = { calls: calls.ids(), count: calls.count }
    const detection = { name: 'denial-storm', severity, asi, ...made }
    this.#options.append({
      ...record,
      threat,
      sallyport: { ...record.sallyport, detection },
    })
  }
}

function isoOf(time: number): string {
  return new Date(time).toISOString()
}
