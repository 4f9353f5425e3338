// What `/metrics` shows, counted: the hot path only adds to plain numbers, and prom-client is loaded by the first who asks
// (`exposition.ts`). Label values come from closed sets only (verdicts, reasons, names of configured sinks): never a task,
// a host or a rule, which a sandbox could see or grow without bound.
// Called by `pipeline.ts`, `sidecar.ts` and the health listener.

import type { Reason } from '../errors.ts'
import { DECISION_SECONDS, DurationCounts, type DialOutcome, type MetricSources } from './counts.ts'
import type { Exposition } from './exposition.ts'

/** Counts what happens. */
export class Metrics {
  readonly #sources: MetricSources
  readonly #decisions = new DurationCounts(DECISION_SECONDS)
  readonly #counts = {
    calls: { allow: new Map<Reason, number>(), deny: new Map<Reason, number>() },
    decisions: this.#decisions,
    mints: 0,
    dialsConnected: 0,
    dialsFailed: 0,
    assertions: 0,
  }
  #exposition: Promise<Exposition> | undefined

  constructor(sources: MetricSources) {
    this.#sources = sources
  }

  /** Counts a call at its terminal record; seconds its decision took, 0 where it was refused before there was one. */
  countCall(verdict: 'allow' | 'deny', reason: Reason, decisionSeconds: number): void {
    const calls = this.#counts.calls[verdict]
    calls.set(reason, (calls.get(reason) ?? 0) + 1)
    if (decisionSeconds > 0) this.#decisions.add(decisionSeconds)
  }

  /** Counts a leaf certificate made. */
  countMint(): void {
    this.#counts.mints += 1
  }

  /** Counts an attempt to connect to an upstream. */
  countDial(outcome: DialOutcome): void {
    if (outcome === 'connected') this.#counts.dialsConnected += 1
    else this.#counts.dialsFailed += 1
  }

  /** Counts an error of our own making; tests require it to stay 0. */
  countAssertion(): void {
    this.#counts.assertions += 1
  }

  /** The numbers in the Prometheus text format, and its media type. */
  async render(): Promise<{ readonly text: string; readonly contentType: string }> {
    this.#exposition ??= this.#makeExposition()
    return (await this.#exposition).render()
  }

  async #makeExposition(): Promise<Exposition> {
    const { Exposition } = await import('./exposition.ts')
    return new Exposition(this.#counts, this.#sources)
  }
}
