// How long decisions took, counted by an addition: prom-client's own histogram costs a microsecond a call. Pure; called by
// `metrics.ts`, read by `metrics-text.ts`.

/** Upper bounds of the buckets, in seconds; one more is above them all. */
export const DECISION_SECONDS: readonly number[] = [
  10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 5e-3, 25e-3, 0.1,
]

/** Counts by bucket. */
export class DurationBuckets {
  /** Of each bucket alone. */
  readonly counts: number[] = Array.from({ length: DECISION_SECONDS.length + 1 }, () => 0)
  /** Seconds. */
  sum = 0

  add(seconds: number): void {
    let at = 0
    while (at < DECISION_SECONDS.length && seconds > DECISION_SECONDS[at]!) at += 1
    this.counts[at]! += 1
    this.sum += seconds
  }
}
