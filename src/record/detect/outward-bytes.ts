// Much leaving in little time: the bytes that a task sends within a while. One plain bound and no learned one, so that an
// alert is explained by adding up the records it names, and nobody teaches it to be patient. Called by `detector.ts`.

import type { Call } from '../../call.ts'
import type { Limits } from '../../limits.ts'
import type { Task } from '../../tasks/task.ts'
import type { Alerts } from './alerts.ts'
import { CallSample } from './call-sample.ts'

/** What counting needs. */
export interface OutwardOptions {
  readonly alerts: Alerts
  readonly limits: Pick<Limits, 'bytesOutSpikeBytes' | 'bytesOutSpikeMs'>
  /** Epoch milliseconds. */
  readonly now: () => number
}

interface Outflow {
  readonly task: Task
  /** Epoch milliseconds. */
  readonly from: number
  bytes: number
  isTold: boolean
  readonly calls: CallSample
  largest: { readonly call: string; readonly bytes: number }
}

/** Windows that are over are forgotten when so many have gathered. */
const OUTFLOWS_KEPT = 1000

/** Counts what leaves, a window a task at a time. */
export class OutwardBytes {
  readonly #options: OutwardOptions
  readonly #outflows: Map<string, Outflow> = new Map()
  /** Of calls that are open: what was counted of them already. */
  readonly #counted: Map<Call, number> = new Map()
  #keptMax = OUTFLOWS_KEPT

  constructor(options: OutwardOptions) {
    this.#options = options
  }

  /** Counts what a call has sent since the last time. */
  note(call: Call, isOver: boolean): void {
    const { task, bytesOut } = call
    const before = this.#counted.size === 0 ? 0 : (this.#counted.get(call) ?? 0)
    if (!isOver) this.#counted.set(call, bytesOut)
    else if (this.#counted.size > 0) this.#counted.delete(call)
    // What an inspected tunnel carries, its requests count.
    if (bytesOut === before || task === undefined || call.tunnelMode === 'inspect') return
    this.#count(task, call.id, bytesOut - before)
  }

  #count(task: Task, callId: string, bytes: number): void {
    const { limits, now, alerts } = this.#options
    const at = now()
    const outflow = this.#outflowOf(task, at)
    outflow.bytes += bytes
    outflow.calls.add(callId)
    if (bytes > outflow.largest.bytes) outflow.largest = { call: callId, bytes }
    if (outflow.isTold || outflow.bytes <= limits.bytesOutSpikeBytes) return
    outflow.isTold = true
    alerts.raise({
      name: 'bytes-out-spike',
      task,
      calls: outflow.calls.ids(),
      count: outflow.calls.count,
      about: `${outflow.bytes} bytes`,
      detail: {
        bytes: outflow.bytes,
        largest: outflow.largest,
        from: new Date(outflow.from).toISOString(),
        to: new Date(at).toISOString(),
      },
    })
  }

  #outflowOf(task: Task, at: number): Outflow {
    const known = this.#outflows.get(task.id)
    if (known !== undefined && this.#isRunning(known, at)) return known
    if (this.#outflows.size >= this.#keptMax) this.#forget(at)
    const calls = new CallSample()
    const outflow = {
      task,
      from: at,
      bytes: 0,
      isTold: false,
      calls,
      largest: { call: '', bytes: 0 },
    }
    this.#outflows.set(task.id, outflow)
    return outflow
  }

  #forget(at: number): void {
    for (const [id, outflow] of this.#outflows)
      if (!this.#isRunning(outflow, at)) this.#outflows.delete(id)
    // As many as run are kept, and looking for those that do not stays cheap.
    this.#keptMax = Math.max(OUTFLOWS_KEPT, 2 * this.#outflows.size)
  }

  #isRunning({ from }: Outflow, at: number): boolean {
    return at >= from && at - from < this.#options.limits.bytesOutSpikeMs
  }
}
