// What one call took of its limits, and takes as its bytes flow: all of it or nothing, from every limit it counts against.
// Given back where the call did not leave; what was under way is over exactly once. Made by `quotas.ts`.

import { EgressError } from '../errors.ts'
import type { KeptMeter } from './kept-meter.ts'
import { NOTHING, type Lack, type LimitName, type Meter, type Need, type Taken } from './meter.ts'
import type { CallLimits } from '../tasks/task.ts'
import type { QuotaCharge, Unit } from './owed.ts'

/** What a call owes one meter. */
export interface Due {
  readonly taskId: string
  readonly key: string
  readonly limits: CallLimits
  readonly of: { readonly kind: 'task' | 'tool' | 'rule'; readonly rule?: string }
  readonly meter: Meter
  /** How many calls it counts as. */
  calls: number
  /** The last of the call's units that it counts. */
  unit: Unit
}

/** What charging needs. */
export interface ChargeOptions {
  /** Whose call it is. */
  readonly taskId: string
  readonly now: () => number
  /** @throws audit-unavailable */
  readonly write: (lines: readonly KeptMeter[]) => void
  readonly onRefused: (limit: LimitName) => void
}

/** The charge of one call. */
export class Charge implements QuotaCharge {
  readonly countsOut: boolean
  readonly countsIn: boolean
  readonly #dues: readonly Due[]
  readonly #options: ChargeOptions
  #taken: readonly Taken[] = []

  constructor(dues: readonly Due[], options: ChargeOptions) {
    this.#dues = dues
    this.#options = options
    this.countsOut = dues.some(({ limits }) => limits.bytesOut !== undefined)
    this.countsIn = dues.some(({ limits }) => limits.bytesIn !== undefined)
  }

  /** Takes what is known before the call leaves. @throws quota-exceeded, audit-unavailable: nothing is taken then */
  begin(bytesOut: number, bytesFollowing: number): void {
    this.#taken = this.#take((due) => ({ calls: due.calls, bytesOut, bytesIn: 0, bytesFollowing }))
  }

  takeOut(bytes: number): void {
    if (this.countsOut) this.#take(() => ({ ...NOTHING, bytesOut: bytes }))
  }

  takeIn(bytes: number): void {
    if (this.countsIn) this.#take(() => ({ ...NOTHING, bytesIn: bytes }))
  }

  checkIn(bytes: number): void {
    if (this.countsIn) this.#check(() => ({ ...NOTHING, bytesIn: bytes }), this.#options.now())
  }

  close(hasLeft: boolean): void {
    const taken = this.#taken
    this.#taken = []
    for (const each of taken) {
      if (!hasLeft) each.meter.giveBack(each)
      each.meter.release(each.need.calls)
    }
  }

  #take(needOf: (due: Due) => Need): readonly Taken[] {
    const now = this.#options.now()
    this.#check(needOf, now)
    const lines: [Meter, KeptMeter][] = []
    for (const due of this.#dues) {
      const need = needOf(due)
      const { meter, limits } = due
      if (!meter.isCovered(limits, need)) lines.push([meter, meter.reserve(limits, need, now)])
    }
    if (lines.length > 0) {
      this.#options.write(lines.map(([, line]) => line))
      for (const [meter, line] of lines) meter.cover(line)
    }
    return this.#dues.map((due) => due.meter.take(due.limits, needOf(due), now))
  }

  #check(needOf: (due: Due) => Need, now: number): void {
    let worst: { readonly lack: Lack; readonly due: Due } | undefined
    for (const due of this.#dues) {
      if (due.meter.isGone) throw new EgressError('task-ended')
      const lack = due.meter.lackOf(due.limits, needOf(due), now)
      if (lack !== undefined && lasts(lack) > lasts(worst?.lack)) worst = { lack, due }
    }
    if (worst === undefined) return
    const { lack, due } = worst
    this.#options.onRefused(lack.limit)
    throw this.#refusalOf(lack, due)
  }

  #refusalOf({ limit, waitMs }: Lack, { of, taskId }: Due): EgressError {
    const detail = {
      limit,
      of: of.kind,
      ...(of.rule !== undefined && { rule: of.rule }),
      ...(taskId !== this.#options.taskId && { refusedFor: taskId }),
    }
    const wait = waitMs === undefined ? 'never' : Math.max(1, Math.ceil(waitMs / 1000))
    return new EgressError('quota-exceeded', detail, { wait })
  }
}

function lasts(lack: Lack | undefined): number {
  if (lack === undefined) return -1
  return lack.waitMs ?? Number.POSITIVE_INFINITY
}
