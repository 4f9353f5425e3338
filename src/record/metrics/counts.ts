// What is counted and what is asked for when somebody looks: the shapes between `metrics.ts`, which counts, and
// `exposition.ts`, which writes.

import type { Reason } from '../../errors.ts'
import type { DetectionName } from '../detect/detections.ts'
import type { SelfCheckState } from '../detect/self-check.ts'

/** Numbers that others keep and that are asked for when somebody looks. */
export interface MetricSources {
  readonly openCalls: () => number
  readonly openTunnels: () => number
  readonly tasks: () => TaskNumbers
  readonly overrides: () => number
  /** Calls that wait for a person, and what became of them, by action. */
  readonly holds: () => { readonly open: number; readonly actions: ReadonlyMap<string, number> }
  readonly secrets: () => { readonly count: number; readonly oldestSeconds: number }
  /** Of each credential that is minted, how many leases are held. */
  readonly leases: () => readonly { readonly credential: string; readonly leases: number }[]
  /** Minted credentials that are to be taken back, and attempts at that which came to nothing. */
  readonly revocations: () => { readonly pending: number; readonly failures: number }
  readonly selfChecks: () => SelfCheckState
  readonly journal: () => {
    readonly available: boolean
    readonly bytes: number
    readonly segments: number
    readonly seq: number
    readonly queued: number
    readonly errors: number
  }
  readonly sinks: () => readonly {
    readonly name: string
    readonly backlog: number
    readonly lagMs: number
    readonly sent: number
    readonly failures: number
    readonly refusals: number
    readonly backlogBytes: number
    readonly sentBytes: number
    readonly refusedRecords: number
    readonly gaps: number
    readonly skippedRecords: number
  }[]
}

/** How the tasks stand. */
export interface TaskNumbers {
  /** By state; those that have ended are left out. */
  readonly byState: Readonly<Record<'pending' | 'active' | 'suspended' | 'revoking', number>>
  /** Live ones for which what no rule allows passes. */
  readonly observing: number
  /** Live ones below a task that has ended: always 0, or a promise is broken. */
  readonly orphaned: number
  /** Ended ones whose sandbox was not seen to end. */
  readonly unconfirmed: number
  /** From the refusal of a task's calls to its receipt. */
  readonly endings: Durations
}

/** What came of asking for a credential. */
export type LeaseOutcome = 'minted' | 'renewed' | 'failed'

/** How a dial ended. */
export type DialOutcome = 'connected' | 'failed'

/** What has been counted so far. */
export interface Counts {
  /** By verdict and reason. */
  readonly calls: Readonly<Record<'allow' | 'deny', ReadonlyMap<Reason, number>>>
  /** Messages inside calls, the same way. */
  readonly messages: Readonly<Record<'allow' | 'deny', ReadonlyMap<Reason, number>>>
  /** Of models, as they say. */
  readonly inputTokens: number
  readonly outputTokens: number
  readonly decisions: Durations
  readonly detections: ReadonlyMap<DetectionName, number>
  /** Refusals by a limit's name, of which there are few. */
  readonly quotas: ReadonlyMap<string, number>
  readonly mints: number
  /** What came of asking the providers of credentials, by the credential's name. */
  readonly leases: ReadonlyMap<string, Readonly<Record<LeaseOutcome, number>>>
  readonly dialsConnected: number
  readonly dialsFailed: number
  readonly assertions: number
}

/** Durations by bucket. */
export interface Durations {
  /** One more than bounds: what is above them all. */
  readonly counts: readonly number[]
  /** Seconds. */
  readonly sum: number
}

/** The upper bounds of the buckets of endings, in seconds. */
export const ENDING_SECONDS: readonly number[] = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30]

/** The upper bounds of the buckets of decisions, in seconds. */
export const DECISION_SECONDS: readonly number[] = [
  10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 5e-3, 25e-3, 0.1,
]

/** Counts durations by bucket. */
export class DurationCounts implements Durations {
  readonly counts: number[]
  sum = 0
  readonly #bounds: readonly number[]

  /** @param bounds upper bounds of the buckets, seconds, rising */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds
    this.counts = Array.from({ length: bounds.length + 1 }, () => 0)
  }

  add(seconds: number): void {
    const bounds = this.#bounds
    let at = 0
    while (at < bounds.length && seconds > bounds[at]!) at += 1
    this.counts[at]! += 1
    this.sum += seconds
  }
}
