// The calls that are open: counted against the bounds, swept for those on which nothing moves, cut when their task ends,
// an operator says so, or the sidecar stops. Filled by `server.ts`.

import { setTimeout as sleep } from 'node:timers/promises'

import type { Call } from '../call.ts'
import { EgressError, type Reason } from '../errors.ts'
import type { Limits } from '../limits.ts'
import type { Content } from '../policy/subject.ts'

/** A call whose decision time may change, and what was read of it. */
export interface TimedCall {
  readonly call: Call
  readonly contents: readonly Content[] | undefined
}

/** What the sweep does besides cutting. */
export interface SweepOptions {
  readonly limits: Limits
  readonly now: () => number
  /** Writes `call-progress`. */
  readonly onProgress: (call: Call) => void
  /** Given, at every sweep, the calls that left and whose decision time may change; not called where there are none. */
  readonly onTimed: (calls: readonly TimedCall[]) => void
}

interface Share {
  calls: number
  tunnels: number
  heldBytes: number
}

interface Watch {
  movedAt: number
  movedBytes: number
  progressAt: number
  progressBytes: number
}

const SWEEP_MS_MAX = 1000
const ENDED_POLL_MS = 10

/** All open calls of a sidecar. */
export class OpenCalls {
  readonly #options: SweepOptions
  /** What a sweep saw of a call; most are over before the first. */
  readonly #calls: Map<Call, Watch | undefined> = new Map()
  /** By task; a task that has ended is let go by `endTask`. */
  readonly #shares: Map<string, Share> = new Map()
  readonly #contents: WeakMap<Call, readonly Content[]> = new WeakMap()
  #tunnels = 0
  #heldBytes = 0
  readonly #timer: NodeJS.Timeout
  #emptied: () => void = () => undefined

  constructor(options: SweepOptions) {
    this.#options = options
    const { idleTimeoutMs, progressMs } = options.limits
    const everyMs = Math.max(10, Math.min(SWEEP_MS_MAX, idleTimeoutMs / 4, progressMs / 2))
    this.#timer = setInterval(() => this.#sweep(), everyMs)
    this.#timer.unref()
  }

  get size(): number {
    return this.#calls.size
  }

  get tunnels(): number {
    return this.#tunnels
  }

  /** @throws busy at the bound; the call is not open then */
  add(call: Call): void {
    const { callsMax, tunnelsMax } = this.#options.limits
    const isTunnel = call.arrival.kind === 'tunnel'
    if (isTunnel && this.#tunnels >= tunnelsMax)
      throw new EgressError('busy', { bound: 'tunnelsMax' })
    // Tunnels have a bound of their own, so that the calls inside them find room.
    if (!isTunnel && this.#calls.size - this.#tunnels >= callsMax)
      throw new EgressError('busy', { bound: 'callsMax' })
    if (isTunnel) this.#tunnels += 1
    this.#calls.set(call, undefined)
  }

  /** Counts an open call against its task's share, once the task is known. @throws busy beyond it */
  claim(call: Call): void {
    const { task } = call
    if (task === undefined || call.isCounted || !this.#calls.has(call)) return
    const { callsPerTaskMax, tunnelsPerTaskMax } = this.#options.limits
    let share = this.#shares.get(task.id)
    if (share === undefined) {
      share = { calls: 0, tunnels: 0, heldBytes: 0 }
      this.#shares.set(task.id, share)
    }
    if (call.arrival.kind === 'tunnel') {
      if (share.tunnels >= tunnelsPerTaskMax)
        throw new EgressError('busy', { bound: 'tunnelsPerTaskMax' })
      share.tunnels += 1
    } else {
      if (share.calls >= callsPerTaskMax)
        throw new EgressError('busy', { bound: 'callsPerTaskMax' })
      share.calls += 1
    }
    call.isCounted = true
  }

  /**
   * Counts bytes that wait in memory for the inspection of an open call.
   * @param contents what was read of them, to ask about it again when time changes the answer
   * @throws busy beyond the bounds
   */
  hold(call: Call, bytes: number, contents?: readonly Content[]): void {
    if (contents) this.#contents.set(call, contents)
    const share = this.#shareOf(call)
    if (share === undefined || !this.#calls.has(call)) return
    const { inspectedBytesMax, inspectedBytesPerTaskMax } = this.#options.limits
    if (share.heldBytes + bytes > inspectedBytesPerTaskMax)
      throw new EgressError('busy', { bound: 'inspectedBytesPerTaskMax' })
    if (this.#heldBytes + bytes > inspectedBytesMax)
      throw new EgressError('busy', { bound: 'inspectedBytesMax' })
    this.#count(call, share, bytes)
  }

  /** Takes back what `hold` counted. */
  letGo(call: Call, bytes: number): void {
    const share = this.#shareOf(call)
    if (share) this.#count(call, share, -Math.min(bytes, call.heldBytes))
  }

  delete(call: Call): void {
    this.letGo(call, call.heldBytes)
    if (!this.#calls.delete(call)) return
    const share = this.#shareOf(call)
    if (call.arrival.kind === 'tunnel') {
      this.#tunnels -= 1
      if (share) share.tunnels -= 1
    } else if (share) share.calls -= 1
    if (this.#calls.size === 0) this.#emptied()
  }

  /** How many are open of a task, as it is counted against its share. */
  countOf(taskId: string): number {
    const share = this.#shares.get(taskId)
    return share === undefined ? 0 : share.calls + share.tunnels
  }

  /** How many are open of a task, those included that are being refused. */
  openOf(taskId: string): number {
    let open = 0
    for (const { task } of this.#calls.keys()) if (task?.id === taskId) open += 1
    return open
  }

  /** Cuts the open calls that match. @returns how many */
  cutWhere(matches: (call: Call) => boolean, reason: Reason): number {
    let cut = 0
    for (const call of this.#calls.keys()) {
      if (!matches(call)) continue
      call.cut(reason)
      cut += 1
    }
    return cut
  }

  /**
   * Cuts every call of a task and waits until each is over.
   * @param deadline of `performance.now()`
   * @returns how many there were, and how many are open still
   */
  async endTask(taskId: string, deadline: number): Promise<{ cut: number; open: number }> {
    const cut = this.cutWhere(({ task }) => task?.id === taskId, 'task-ended-midway')
    let open = cut === 0 ? 0 : this.openOf(taskId)
    while (open > 0 && performance.now() < deadline) {
      await sleep(ENDED_POLL_MS)
      open = this.openOf(taskId)
    }
    const share = this.#shares.get(taskId)
    if (share?.calls === 0 && share.tunnels === 0) this.#shares.delete(taskId)
    return { cut, open }
  }

  /** Cuts every open call. */
  cutAll(reason: Reason): void {
    for (const call of this.#calls.keys()) call.cut(reason)
  }

  /** Resolves when no call is open, or after the time. */
  async drained(timeoutMs: number): Promise<void> {
    if (this.#calls.size === 0) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs)
      this.#emptied = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #shareOf(call: Call): Share | undefined {
    return call.isCounted ? this.#shares.get(call.task?.id ?? '') : undefined
  }

  #count(call: Call, share: Share, bytes: number): void {
    call.heldBytes += bytes
    share.heldBytes += bytes
    this.#heldBytes += bytes
  }

  #sweep(): void {
    const now = this.#options.now()
    const { idleTimeoutMs, progressMs, progressBytes } = this.#options.limits
    const timed: TimedCall[] = []
    for (const [call, seen] of this.#calls) {
      const watch = seen ?? firstWatch(call)
      if (seen === undefined) this.#calls.set(call, watch)
      const bytes = call.bytesIn + call.bytesOut
      // A body that has to be seen whole moves before any of it leaves.
      const movedBytes = bytes + call.heldBytes
      // What waits for a person has a time of its own.
      const isWaiting = call.hold !== undefined && call.hold.by === undefined
      if (movedBytes !== watch.movedBytes || isWaiting) {
        watch.movedBytes = movedBytes
        watch.movedAt = now
      }
      // What moves inside an inspected tunnel are calls of their own; its idleness is its HTTP server's to judge.
      else if (now - watch.movedAt >= idleTimeoutMs && call.tunnelMode !== 'inspect')
        call.cut('idle-timeout')
      if (call.cleared !== true) continue
      if (call.decision?.revisitAt !== undefined)
        timed.push({ call, contents: this.#contents.get(call) })
      if (now - watch.progressAt >= progressMs || bytes - watch.progressBytes >= progressBytes) {
        watch.progressAt = now
        watch.progressBytes = bytes
        this.#options.onProgress(call)
      }
    }
    if (timed.length > 0) this.#options.onTimed(timed)
  }
}

function firstWatch({ arrival: { startedAt } }: Call): Watch {
  return { movedAt: startedAt, movedBytes: 0, progressAt: startedAt, progressBytes: 0 }
}
