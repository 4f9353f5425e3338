// Looks after the tasks that nobody asks about: those past their end, without a heartbeat, whose sandbox has exited, or
// whose sandbox did not end when it was told to. Deliberately the slow way round: a call that comes past a task's end is
// refused by the clock, not by this. Made by `sidecar.ts`.

import { setImmediate as nextTurn } from 'node:timers/promises'

import type { Reason } from '../errors.ts'
import type { Limits } from '../limits.ts'
import type { TaskClock } from './clock.ts'
import { Denials } from './denials.ts'
import type { EndingSaga } from './ending.ts'
import type { TaskEntry } from './entry.ts'
import { SIDECAR, type TaskRegistry } from './registry.ts'
import { hasSandboxExited } from './sandbox.ts'
import type { Cause } from './states.ts'
import type { Switches } from './switches.ts'
import { piecesOf } from './turns.ts'

/** What watching needs. */
export interface WatchOptions {
  readonly registry: TaskRegistry
  readonly switches: Pick<Switches, 'saveUnsaved'>
  readonly saga: EndingSaga
  readonly clock: TaskClock
  readonly limits: Pick<
    Limits,
    'teardownRetryMs' | 'taskDenialsPerMinute' | 'denialsSuspendMax' | 'denialsSuspendMs'
  >
  readonly onProblem: (error: unknown) => void
}

/** How a call was refused. */
export interface Refused {
  readonly reason: Reason
  /** Messages in it that were refused each by itself. */
  readonly messages: number
}

// Streams of a task are cut within two seconds of its end.
const EVERY_MS = 250
const SANDBOX_EVERY = 4
const MINUTE_MS = 60_000
const SUSPENDED_A_TURN = 64

/** The watch over one registry. */
export class TaskWatch {
  readonly #options: WatchOptions
  readonly #timer: NodeJS.Timeout
  readonly #denials: Denials
  readonly #retryAt: Map<TaskEntry, number> = new Map()
  #rounds = 0

  constructor(options: WatchOptions) {
    this.#options = options
    this.#denials = new Denials(options)
    this.#timer = setInterval(() => this.#look(), EVERY_MS)
    this.#timer.unref()
  }

  /**
   * Counts a call that is over; a task that is refused too often is suspended, and ends where it goes on.
   * @param refused why it was, and how many messages in it; undefined: it was let out
   */
  count(entry: TaskEntry, refused: Refused | undefined): void {
    if (refused === undefined) {
      entry.allowed += 1
      return
    }
    this.#denials.note(entry, refused.reason, Math.max(1, refused.messages))
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
    // Those of one cause end together: each wait for the disk holds up every call.
    const ending = new Map<Cause, TaskEntry[]>()
    const silent: TaskEntry[] = []
    for (const entry of registry.entries.live) {
      // Asked for its state, one whose time has come begins.
      if (entry.kept.state === 'pending') void entry.state
      const cause = this.#causeToEnd(entry, withSandbox)
      if (cause !== undefined) groupOf(ending, cause).push(entry)
      else if (this.#isSilent(entry)) silent.push(entry)
    }
    for (const [cause, entries] of ending) void registry.end(entries, cause, SIDECAR)
    this.#suspend(silent).catch(onProblem)
    if (withSandbox) this.#retryTeardowns()
  }

  #causeToEnd(entry: TaskEntry, withSandbox: boolean): Cause | undefined {
    if (entry.isExpired()) return 'expired'
    const { heartbeat, state } = entry.kept
    if (heartbeat !== undefined && (state === 'active' || state === 'suspended'))
      if (this.#silentMs(entry) >= heartbeat.endAfterMs) return 'heartbeat-lost'
    return withSandbox && hasSandboxExited(entry) ? 'sandbox-exited' : undefined
  }

  async #suspend(entries: readonly TaskEntry[]): Promise<void> {
    for (const piece of piecesOf(entries, SUSPENDED_A_TURN)) {
      const silent = piece.filter((entry) => this.#isSilent(entry))
      this.#options.registry.moveAll(silent, 'heartbeat-lost', SIDECAR)
      await nextTurn()
    }
  }

  #isSilent(entry: TaskEntry): boolean {
    const { heartbeat, state } = entry.kept
    return (
      heartbeat !== undefined && state === 'active' && this.#silentMs(entry) >= heartbeat.withinMs
    )
  }

  #silentMs({ lastBeat }: TaskEntry): number {
    return this.#options.clock.monotonic() - lastBeat
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

function groupOf(groups: Map<Cause, TaskEntry[]>, cause: Cause): TaskEntry[] {
  const group = groups.get(cause) ?? []
  groups.set(cause, group)
  return group
}
