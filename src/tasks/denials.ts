// Suspends tasks that are refused over and over: who goes on asking for what it may not have is looked at by a person before it
// does anything more. Every refusal counts, those that records tell together included; what passes by itself does not, so
// that no client is punished for waiting and trying again. Called by `watch.ts`.

import { REASONS, type Reason } from '../errors.ts'
import type { Limits } from '../limits.ts'
import type { TaskEntry } from './entry.ts'
import { SIDECAR, type TaskRegistry } from './registry.ts'
import { SlidingCount } from './sliding-count.ts'

/** What suspending needs. */
export interface DenialOptions {
  readonly registry: Pick<TaskRegistry, 'move'>
  readonly clock: { monotonic(): number }
  readonly limits: Pick<Limits, 'denialsSuspendMax' | 'denialsSuspendMs'>
}

const BUCKETS = 60
const NOT_ITS_OWN: ReadonlySet<Reason> = new Set<Reason>(['task-ended', 'killed'])

/** Whether a refusal says that the task asked for what it may not have: it stays so, however often it asks. */
function isDenial(reason: Reason): boolean {
  const { status, retry } = REASONS[reason]
  return status >= 400 && status < 500 && retry === 'no' && !NOT_ITS_OWN.has(reason)
}

/** The refusals of all tasks, each within the last while. */
export class Denials {
  readonly #options: DenialOptions
  readonly #counts: WeakMap<TaskEntry, SlidingCount> = new WeakMap()

  constructor(options: DenialOptions) {
    this.#options = options
  }

  /** Counts refusals of one call; at the limit the task is suspended. @param count more than one where messages in it were */
  note(entry: TaskEntry, reason: Reason, count: number): void {
    if (!isDenial(reason)) return
    const { registry, clock, limits } = this.#options
    const { denialsSuspendMax, denialsSuspendMs } = limits
    let denials = this.#counts.get(entry)
    if (denials === undefined) {
      denials = new SlidingCount(denialsSuspendMs, BUCKETS)
      this.#counts.set(entry, denials)
    }
    const now = clock.monotonic()
    denials.add(now, count)
    const most = Math.min(denialsSuspendMax, entry.task.limits?.denials ?? Infinity)
    if (denials.sum(now) < most) return
    const within = `${most} refused calls within ${denialsSuspendMs / 1000} s`
    // Once it is resumed, it is counted anew.
    if (registry.move(entry, 'denials', SIDECAR, { reason: within })) denials.clear()
  }
}
