// The numbers of `/metrics`, kept in plain fields. Label values come from closed sets only (verdicts, reasons, names of
// configured sinks): never a task, a host or a rule, which a sandbox could see or grow without bound.
// Deliberately not their text: `metrics-text.ts`, which is loaded when somebody looks. Called by `pipeline.ts`, `sidecar.ts`.

import type { Reason } from '../errors.ts'
import { DurationBuckets } from './duration-buckets.ts'
import type { MetricSources, MetricsText } from './metrics-text.ts'

/** How a dial ended. */
export type DialOutcome = 'connected' | 'failed'

/** Counts what happens; the hot path only adds to plain numbers. */
export class Metrics {
  /** Calls ended, by `verdict reason`. */
  readonly calls: Map<string, number> = new Map()
  /** How long decisions took. */
  readonly decisions: DurationBuckets = new DurationBuckets()
  mints = 0
  dialsConnected = 0
  dialsFailed = 0
  assertions = 0
  readonly #sources: MetricSources
  #text: Promise<MetricsText> | undefined

  constructor(sources: MetricSources) {
    this.#sources = sources
  }

  /** Counts a call at its terminal record; seconds its decision took, 0 where it was refused before there was one. */
  countCall(verdict: 'allow' | 'deny', reason: Reason, decisionSeconds: number): void {
    const key = `${verdict} ${reason}`
    this.calls.set(key, (this.calls.get(key) ?? 0) + 1)
    if (decisionSeconds > 0) this.decisions.add(decisionSeconds)
  }

  /** Counts a leaf certificate made. */
  countMint(): void {
    this.mints += 1
  }

  /** Counts an attempt to connect to an upstream. */
  countDial(outcome: DialOutcome): void {
    if (outcome === 'connected') this.dialsConnected += 1
    else this.dialsFailed += 1
  }

  /** Counts an error of our own making; tests require it to stay 0. */
  countAssertion(): void {
    this.assertions += 1
  }

  /** The numbers in the Prometheus text format, and its media type. */
  async render(): Promise<{ readonly text: string; readonly contentType: string }> {
    this.#text ??= import('./metrics-text.ts').then(
      (module) => new module.MetricsText(this, this.#sources),
    )
    return (await this.#text).render()
  }
}
