// The numbers of `/metrics`, in a registry of our own. Label values come from closed sets only (verdicts, reasons, names
// of configured sinks): never a task, a host or a rule, which a sandbox could see or grow without bound.
// Called by `pipeline.ts`, `sidecar.ts` and the health listener.

import { Counter, Gauge, Histogram, Registry } from 'prom-client'

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

/** Counts what happens; the hot path only adds to plain numbers. */
export class Metrics {
  readonly #registry = new Registry()
  readonly #calls = new Map<string, number>()
  readonly #decisions: DurationBuckets
  #mints = 0
  #dialsConnected = 0
  #dialsFailed = 0
  #assertions = 0

  constructor(sources: MetricSources) {
    this.#decisions = new DurationBuckets([this.#registry])
    this.#registerCounters()
    registerGauges(this.#registry, sources)
    registerSinks(this.#registry, sources)
  }

  /** Counts a call at its terminal record; seconds its decision took, 0 where it was refused before there was one. */
  countCall(verdict: 'allow' | 'deny', reason: Reason, decisionSeconds: number): void {
    const key = `${verdict} ${reason}`
    this.#calls.set(key, (this.#calls.get(key) ?? 0) + 1)
    if (decisionSeconds > 0) this.#decisions.add(decisionSeconds)
  }

  /** Counts a leaf certificate made. */
  countMint(): void {
    this.#mints += 1
  }

  /** Counts an attempt to connect to an upstream. */
  countDial(outcome: DialOutcome): void {
    if (outcome === 'connected') this.#dialsConnected += 1
    else this.#dialsFailed += 1
  }

  /** Counts an error of our own making; tests require it to stay 0. */
  countAssertion(): void {
    this.#assertions += 1
  }

  /** The media type of `render`'s text. */
  get contentType(): string {
    return this.#registry.contentType
  }

  /** The numbers in the Prometheus text format. */
  render(): Promise<string> {
    return this.#registry.metrics()
  }

  #registerCounters(): void {
    counter(
      this.#registry,
      'sallyport_calls_total',
      'Calls ended, by verdict and reason.',
      (add) => {
        for (const [key, count] of this.#calls) {
          const [verdict = '', reason = ''] = key.split(' ')
          add({ verdict, reason }, count)
        }
      },
    )
    counter(
      this.#registry,
      'sallyport_upstream_dials_total',
      'Connections to upstreams.',
      (add) => {
        add({ outcome: 'connected' }, this.#dialsConnected)
        add({ outcome: 'failed' }, this.#dialsFailed)
      },
    )
    counter(this.#registry, 'sallyport_tls_mints_total', 'Leaf certificates made.', (add) => {
      add({}, this.#mints)
    })
    counter(this.#registry, 'sallyport_assertions_total', 'Errors of the proxy itself.', (add) => {
      add({}, this.#assertions)
    })
  }
}

const DECISION_SECONDS: readonly number[] = [
  10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 5e-3, 25e-3, 0.1,
]
const DECISION_NAME = 'sallyport_decision_seconds'
const DECISION_HELP = 'Time one decision took.'

/** A histogram whose counting is an addition: prom-client's own costs a microsecond a call, on every call. */
class DurationBuckets extends Histogram {
  /** One more than bounds: what is above them all. */
  readonly #counts: number[] = Array.from({ length: DECISION_SECONDS.length + 1 }, () => 0)
  #sum = 0

  constructor(registers: Registry[]) {
    super({ name: DECISION_NAME, help: DECISION_HELP, registers })
  }

  add(seconds: number): void {
    let at = 0
    while (at < DECISION_SECONDS.length && seconds > DECISION_SECONDS[at]!) at += 1
    this.#counts[at]! += 1
    this.#sum += seconds
  }

  /** What the registry and `get` ask for; in the text format's own form. */
  getForPromString(): Promise<object> {
    let count = 0
    const buckets = this.#counts.map((own, at) => {
      count += own
      return {
        metricName: `${DECISION_NAME}_bucket`,
        labels: { le: DECISION_SECONDS[at] ?? '+Inf' },
        value: count,
      }
    })
    const values = [
      ...buckets,
      { metricName: `${DECISION_NAME}_sum`, labels: {}, value: this.#sum },
      { metricName: `${DECISION_NAME}_count`, labels: {}, value: count },
    ]
    return Promise.resolve({
      name: DECISION_NAME,
      help: DECISION_HELP,
      type: 'histogram',
      aggregator: 'sum',
      values,
    })
  }
}

type Labels = Record<string, string>
type Add = (labels: Labels, value: number) => void

/** prom-client wants to know the label names beforehand. */
const LABEL_NAMES = ['verdict', 'reason', 'outcome', 'sink']

function counter(registry: Registry, name: string, help: string, fill: (add: Add) => void): void {
  const metric = new Counter({
    name,
    help,
    registers: [],
    labelNames: LABEL_NAMES,
    collect() {
      this.reset()
      fill((labels, value) => this.inc(labels, value))
    },
  })
  registry.registerMetric(metric)
}

function gauge(registry: Registry, name: string, help: string, fill: (add: Add) => void): void {
  const metric = new Gauge({
    name,
    help,
    registers: [],
    labelNames: LABEL_NAMES,
    collect() {
      this.reset()
      fill((labels, value) => this.set(labels, value))
    },
  })
  registry.registerMetric(metric)
}

function registerGauges(registry: Registry, sources: MetricSources): void {
  const { openCalls, openTunnels, tasks, journal } = sources
  const numbers: [name: string, help: string, value: () => number][] = [
    ['sallyport_open_calls', 'Calls in flight.', openCalls],
    ['sallyport_open_tunnels', 'Tunnels open.', openTunnels],
    ['sallyport_active_tasks', 'Tasks that may call.', tasks],
    ['sallyport_journal_bytes', 'Bytes of all journal segments.', () => journal().bytes],
    ['sallyport_journal_segments', 'Journal segments.', () => journal().segments],
    ['sallyport_journal_queued_records', 'Records not yet written.', () => journal().queued],
    ['sallyport_journal_available', '1 while calls can be recorded.', () => +journal().available],
  ]
  for (const [name, help, value] of numbers) gauge(registry, name, help, (add) => add({}, value()))
  counter(registry, 'sallyport_journal_records_total', 'Records in the chain.', (add) => {
    add({}, journal().seq)
  })
  counter(registry, 'sallyport_journal_errors_total', 'Failed journal writes.', (add) => {
    add({}, journal().errors)
  })
}

function registerSinks(registry: Registry, { sinks }: MetricSources): void {
  gauge(registry, 'sallyport_sink_lag_seconds', 'Age of what a sink has yet to take.', (add) => {
    for (const { name, lagMs } of sinks()) add({ sink: name }, lagMs / 1000)
  })
  gauge(registry, 'sallyport_sink_backlog_records', 'Records a sink has yet to take.', (add) => {
    for (const { name, backlog } of sinks()) add({ sink: name }, backlog)
  })
  counter(registry, 'sallyport_sink_records_total', 'Records a sink took.', (add) => {
    for (const { name, sent } of sinks()) add({ sink: name }, sent)
  })
  counter(registry, 'sallyport_sink_failures_total', 'Failed deliveries to a sink.', (add) => {
    for (const { name, failures } of sinks()) add({ sink: name }, failures)
  })
  counter(registry, 'sallyport_sink_refusals_total', 'Deliveries a sink refused.', (add) => {
    for (const { name, refusals } of sinks()) add({ sink: name }, refusals)
  })
}
