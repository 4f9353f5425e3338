// Looks after the tasks that nobody asks about: those past their end, without a heartbeat, whose sandbox has exited, or
// whose sandbox did not end when it was told to. Deliberately the slow way round: a call that comes past a task's end is
// refused by the clock, not by this. Made by `sidecar.ts`.

import type { Limits } from '../limits.ts'
import type { TaskClock } from './clock.ts'
import type { EndingSaga } from './ending.ts'
import type { TaskEntry } from './entry.ts'
import { SIDECAR, type TaskRegistry } from './registry.ts'
import { hasSandboxExited } from './sandbox.ts'
import type { Switches } from './switches.ts'

/** What watching needs. */
export interface WatchOptions {
  readonly registry: TaskRegistry
  readonly switches: Pick<Switches, 'saveUnsaved'>
  readonly saga: EndingSaga
  readonly clock: TaskClock
  readonly limits: Pick<Limits, 'teardownRetryMs' | 'taskDenialsPerMinute'>
  readonly onProblem: (error: unknown) => void
}

// Streams of a task are cut within two seconds of its end.
const EVERY_MS = 250
const SANDBOX_EVERY = 4
const MINUTE_MS = 60_000

/** The watch over one registry. */
export class TaskWatch {
  readonly #options: WatchOptions
  readonly #timer: NodeJS.Timeout
  readonly #retryAt: Map<TaskEntry, number> = new Map()
  #rounds = 0

  constructor(options: WatchOptions) {
    this.#options = options
    this.#timer = setInterval(() => this.#look(), EVERY_MS)
    this.#timer.unref()
  }

  /** Counts a call that is over; a task that is refused too often ends. */
  count(entry: TaskEntry, wasDenied: boolean): void {
    if (!wasDenied) {
      entry.allowed += 1
      return
    }
    const { clock, limits, registry } = this.#options
    const now = clock.monotonic()
    entry.denied += 1
    if (now - entry.denialsFrom >= MINUTE_MS) {
      entry.denialsFrom = now
      entry.denialsInWindow = 0
    }
    entry.denialsInWindow += 1
    if (entry.denialsInWindow > limits.taskDenialsPerMinute)
      void registry.end([entry], 'denials', SIDECAR)
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    const { registry, switches, clock, onProblem } = this.#options
    this.#rounds += 1
    try {
      clock.keep()
      registry.saveUnsaved()
      switches.saveUnsaved()
    } catch (error) {
      onProblem(error)
    }
    const withSandbox = this.#rounds % SANDBOX_EVERY === 0
    for (const entry of registry.entries.live) {
      // Asking is enough where the clock is past its end.
      void entry.state
      this.#checkHeartbeat(entry)
      if (withSandbox && hasSandboxExited(entry))
        void registry.end([entry], 'sandbox-exited', SIDECAR)
    }
    if (withSandbox) this.#retryTeardowns()
  }

  #checkHeartbeat(entry: TaskEntry): void {
    const { heartbeat, state } = entry.kept
    if (heartbeat === undefined || (state !== 'active' && state !== 'suspended')) return
    const { registry, clock } = this.#options
    const silentMs = clock.monotonic() - entry.lastBeat
    if (silentMs >= heartbeat.endAfterMs) void registry.end([entry], 'heartbeat-lost', SIDECAR)
    else if (silentMs >= heartbeat.withinMs && state === 'active')
      registry.move(entry, 'heartbeat-lost', SIDECAR)
  }

  #retryTeardowns(): void {
    const { registry, clock, limits, onProblem } = this.#options
    const now = clock.monotonic()
    for (const entry of registry.entries.unconfirmed) {
      const dueAt = this.#retryAt.get(entry)
      if (dueAt !== undefined && now < dueAt) continue
      this.#retryAt.set(entry, now + limits.teardownRetryMs)
      // The first look only says when the first retry is due.
      if (dueAt === undefined) continue
      this.#retryTeardown(entry).catch(onProblem)
    }
  }

  async #retryTeardown(entry: TaskEntry): Promise<void> {
    const receipt = await this.#options.saga.retryTeardown(entry)
    if (receipt === undefined) return
    this.#retryAt.delete(entry)
    this.#options.registry.amend(entry, receipt)
  }
}
