// What is counted and what is asked for when somebody looks: the shapes between `metrics.ts`, which counts, and
// `exposition.ts`, which writes. Deliberately no logic.

import type { Reason } from '../errors.ts'

/** Numbers that others keep and that are asked for when somebody looks. */
export interface MetricSources {
  readonly openCalls: () => number
  readonly openTunnels: () => number
  readonly tasks: () => number
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
  }[]
}

/** How a dial ended. */
export type DialOutcome = 'connected' | 'failed'

/** What has been counted so far. */
export interface Counts {
  /** By verdict and reason. */
  readonly calls: Readonly<Record<'allow' | 'deny', ReadonlyMap<Reason, number>>>
  readonly decisions: Durations
  readonly mints: number
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

/** The upper bounds of the buckets of decisions, in seconds. */
export const DECISION_SECONDS: readonly number[] = [
  10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 5e-3, 25e-3, 0.1,
]
