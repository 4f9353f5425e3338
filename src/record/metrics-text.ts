// The numbers of `/metrics` as the Prometheus text format has them, by prom-client in a registry of our own. Loaded by
// `metrics.ts` when somebody looks for the first time: it is no part of a call.

import { Counter, Gauge, Histogram, Registry } from 'prom-client'

import { DECISION_SECONDS, type DurationBuckets } from './duration-buckets.ts'

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

/** Numbers that are counted here. */
interface CountedNumbers {
  /** By `verdict reason`. */
  readonly calls: ReadonlyMap<string, number>
  readonly decisions: DurationBuckets
  readonly mints: number
  readonly dialsConnected: number
  readonly dialsFailed: number
  readonly assertions: number
}

/** The registry and its text. */
export class MetricsText {
  readonly #registry = new Registry()

  constructor(counted: CountedNumbers, sources: MetricSources) {
    this.#registry.registerMetric(new Decisions(counted.decisions))
    registerCounters(this.#registry, counted)
    registerGauges(this.#registry, sources)
    registerSinks(this.#registry, sources)
  }

  /** The numbers as they are now, and the media type of their text. */
  async render(): Promise<{ readonly text: string; readonly contentType: string }> {
    return { text: await this.#registry.metrics(), contentType: this.#registry.contentType }
  }
}

const DECISION_NAME = 'sallyport_decision_seconds'
const DECISION_HELP = 'Time one decision took.'

class Decisions extends Histogram {
  readonly #buckets: DurationBuckets

  constructor(buckets: DurationBuckets) {
    super({ name: DECISION_NAME, help: DECISION_HELP, registers: [] })
    this.#buckets = buckets
  }

  /** What the registry and `get` ask for; in the text format's own form. */
  getForPromString(): Promise<object> {
    let count = 0
    const buckets = this.#buckets.counts.map((own, at) => {
      count += own
      return {
        metricName: `${DECISION_NAME}_bucket`,
        labels: { le: DECISION_SECONDS[at] ?? '+Inf' },
        value: count,
      }
    })
    const values = [
      ...buckets,
      { metricName: `${DECISION_NAME}_sum`, labels: {}, value: this.#buckets.sum },
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

function registerCounters(registry: Registry, counted: CountedNumbers): void {
  counter(registry, 'sallyport_calls_total', 'Calls ended, by verdict and reason.', (add) => {
    for (const [key, count] of counted.calls) {
      const [verdict = '', reason = ''] = key.split(' ')
      add({ verdict, reason }, count)
    }
  })
  counter(registry, 'sallyport_upstream_dials_total', 'Connections to upstreams.', (add) => {
    add({ outcome: 'connected' }, counted.dialsConnected)
    add({ outcome: 'failed' }, counted.dialsFailed)
  })
  counter(registry, 'sallyport_tls_mints_total', 'Leaf certificates made.', (add) => {
    add({}, counted.mints)
  })
  counter(registry, 'sallyport_assertions_total', 'Errors of the proxy itself.', (add) => {
    add({}, counted.assertions)
  })
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
