// What `/metrics` shows, counted: the hot path only adds to plain numbers, and prom-client is loaded by the first who asks
// (`exposition.ts`). Label values come from closed sets only (verdicts, reasons, names of configured sinks and credentials): never a task,
// a host or a rule, which a sandbox could see or grow without bound.
// Made by `config/records.ts`, counted by `recorder.ts`, shown by the health listener.

import type { Reason } from '../../errors.ts'
import {
  DECISION_SECONDS,
  DurationCounts,
  type DialOutcome,
  type LeaseOutcome,
  type MetricSources,
} from './counts.ts'
import type { DetectionName } from '../detect/detections.ts'
import type { Exposition } from './exposition.ts'

/** Counts what happens. */
export class Metrics {
  readonly #sources: MetricSources
  readonly #decisions = new DurationCounts(DECISION_SECONDS)
  readonly #counts = {
    calls: { allow: new Map<Reason, number>(), deny: new Map<Reason, number>() },
    messages: { allow: new Map<Reason, number>(), deny: new Map<Reason, number>() },
    inputTokens: 0,
    outputTokens: 0,
    decisions: this.#decisions,
    detections: new Map<DetectionName, number>(),
    quotas: new Map<string, number>(),
    mints: 0,
    leases: new Map<string, Record<LeaseOutcome, number>>(),
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
    this.#count(this.#counts.calls[verdict], reason, decisionSeconds)
  }

  /** Counts a message inside a call; seconds its decision took. */
  countMessage(verdict: 'allow' | 'deny', reason: Reason, decisionSeconds: number): void {
    this.#count(this.#counts.messages[verdict], reason, decisionSeconds)
  }

  /** Counts the tokens of a question to a model, as the model's server says: what is no count is left out. */
  countTokens(input: number | undefined, output: number | undefined): void {
    if (isCount(input)) this.#counts.inputTokens += input
    if (isCount(output)) this.#counts.outputTokens += output
  }

  /** Counts a refusal by a limit, by the limit's name. */
  countQuota(limit: string): void {
    const { quotas } = this.#counts
    quotas.set(limit, (quotas.get(limit) ?? 0) + 1)
  }

  /** Counts a detection, those that are told together with others included. */
  countDetection(name: DetectionName): void {
    const { detections } = this.#counts
    detections.set(name, (detections.get(name) ?? 0) + 1)
  }

  /** Counts a leaf certificate made. */
  countMint(): void {
    this.#counts.mints += 1
  }

  /** Counts what came of asking for a credential, by its name in the configuration. */
  countLease(credential: string, outcome: LeaseOutcome): void {
    const { leases } = this.#counts
    const counts = leases.get(credential) ?? { minted: 0, renewed: 0, failed: 0 }
    counts[outcome] += 1
    leases.set(credential, counts)
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

  #count(counts: Map<Reason, number>, reason: Reason, decisionSeconds: number): void {
    counts.set(reason, (counts.get(reason) ?? 0) + 1)
    if (decisionSeconds > 0) this.#decisions.add(decisionSeconds)
  }

  async #makeExposition(): Promise<Exposition> {
    const { Exposition } = await import('./exposition.ts')
    return new Exposition(this.#counts, this.#sources)
  }
}

function isCount(value: number | undefined): value is number {
  return value !== undefined && Number.isSafeInteger(value) && value >= 0
}
