// The numbers of `/metrics` as text, by prom-client in a registry of our own. Deliberately counts nothing: `metrics.ts`
// does, and loads this when somebody looks.

import { Counter, Gauge, Histogram, Registry } from 'prom-client'

import {
  DECISION_SECONDS,
  ENDING_SECONDS,
  type Counts,
  type Durations,
  type MetricSources,
} from './counts.ts'
import { DETECTIONS } from '../detect/detections.ts'

/** prom-client wants to know the label names beforehand. */
const LABEL_NAMES = [
  'verdict',
  'reason',
  'outcome',
  'sink',
  'state',
  'type',
  'name',
  'limit',
  'credential',
]

const HOLD_OUTCOMES = ['opened', 'approved', 'denied', 'timed-out', 'used', 'withdrawn'] as const

type Labels = Record<string, string>
type Add = (labels: Labels, value: number) => void

/** Writes what others count. */
export class Exposition {
  readonly #registry = new Registry()

  constructor(counts: Counts, sources: MetricSources) {
    registerCounters(this.#registry, counts)
    registerGauges(this.#registry, sources)
    registerOversight(this.#registry, sources)
    registerHolds(this.#registry, sources)
    registerSinks(this.#registry, sources)
  }

  /** The numbers in the Prometheus text format, and its media type. */
  async render(): Promise<{ readonly text: string; readonly contentType: string }> {
    return { text: await this.#registry.metrics(), contentType: this.#registry.contentType }
  }
}

/** A histogram whose counting is an addition: prom-client's own costs a microsecond a call, on every call. */
class DurationBuckets extends Histogram {
  readonly #labels: { readonly name: string; readonly help: string }
  readonly #bounds: readonly number[]
  readonly #durations: () => Durations

  constructor(name: string, help: string, bounds: readonly number[], durations: () => Durations) {
    super({ name, help, registers: [] })
    this.#labels = { name, help }
    this.#bounds = bounds
    this.#durations = durations
  }

  /** What the registry and `get` ask for; in the text format's own form. */
  getForPromString(): Promise<object> {
    let count = 0
    const { name, help } = this.#labels
    const { counts, sum } = this.#durations()
    const buckets = counts.map((own, at) => {
      count += own
      return {
        metricName: `${name}_bucket`,
        labels: { le: this.#bounds[at] ?? '+Inf' },
        value: count,
      }
    })
    const values = [
      ...buckets,
      { metricName: `${name}_sum`, labels: {}, value: sum },
      { metricName: `${name}_count`, labels: {}, value: count },
    ]
    return Promise.resolve({
      name,
      help,
      type: 'histogram',
      aggregator: 'sum',
      values,
    })
  }
}

function registerCounters(registry: Registry, counts: Counts): void {
  registry.registerMetric(
    new DurationBuckets(
      'sallyport_decision_seconds',
      'Time one decision took.',
      DECISION_SECONDS,
      () => counts.decisions,
    ),
  )
  counter(registry, 'sallyport_calls_total', 'Calls ended, by verdict and reason.', (add) => {
    for (const verdict of ['allow', 'deny'] as const)
      for (const [reason, count] of counts.calls[verdict]) add({ verdict, reason }, count)
  })
  counter(registry, 'sallyport_messages_total', 'Messages, by verdict and reason.', (add) => {
    for (const verdict of ['allow', 'deny'] as const)
      for (const [reason, count] of counts.messages[verdict]) add({ verdict, reason }, count)
  })
  counter(registry, 'sallyport_model_tokens_total', 'Tokens, as models count them.', (add) => {
    add({ type: 'input' }, counts.inputTokens)
    add({ type: 'output' }, counts.outputTokens)
  })
  counter(registry, 'sallyport_detections_total', 'What was detected, by name.', (add) => {
    for (const name of Object.keys(DETECTIONS)) add({ name }, 0)
    for (const [name, count] of counts.detections) add({ name }, count)
  })
  counter(
    registry,
    'sallyport_quota_refusals_total',
    'Refusals by a limit, by its name.',
    (add) => {
      for (const [limit, count] of counts.quotas) add({ limit }, count)
    },
  )
  counter(registry, 'sallyport_upstream_dials_total', 'Connections to upstreams.', (add) => {
    add({ outcome: 'connected' }, counts.dialsConnected)
    add({ outcome: 'failed' }, counts.dialsFailed)
  })
  counter(registry, 'sallyport_tls_mints_total', 'Leaf certificates made.', (add) => {
    add({}, counts.mints)
  })
  counter(
    registry,
    'sallyport_credential_requests_total',
    'What came of asking for a credential.',
    (add) => {
      for (const [credential, outcomes] of counts.leases)
        for (const [outcome, count] of Object.entries(outcomes)) add({ credential, outcome }, count)
    },
  )
  counter(registry, 'sallyport_assertions_total', 'Errors of the proxy itself.', (add) => {
    add({}, counts.assertions)
  })
}

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
    ['sallyport_active_tasks', 'Tasks that may call.', () => tasks().byState.active],
    [
      'sallyport_tasks_observing',
      'Tasks for which what no rule allows passes.',
      () => tasks().observing,
    ],
    ['sallyport_orphaned_tasks', 'Live tasks below one that has ended.', () => tasks().orphaned],
    [
      'sallyport_teardowns_unconfirmed',
      'Ended tasks whose sandbox was not seen to end.',
      () => tasks().unconfirmed,
    ],
    ['sallyport_journal_bytes', 'Bytes of all journal segments.', () => journal().bytes],
    ['sallyport_journal_segments', 'Journal segments.', () => journal().segments],
    ['sallyport_journal_queued_records', 'Records not yet written.', () => journal().queued],
    ['sallyport_journal_available', '1 while calls can be recorded.', () => +journal().available],
  ]
  gauge(registry, 'sallyport_tasks', 'Tasks that have not ended, by state.', (add) => {
    for (const [state, count] of Object.entries(tasks().byState)) add({ state }, count)
  })
  registry.registerMetric(
    new DurationBuckets(
      'sallyport_task_ending_seconds',
      "From the refusal of a task's calls to its receipt.",
      ENDING_SECONDS,
      () => tasks().endings,
    ),
  )
  for (const [name, help, value] of numbers) gauge(registry, name, help, (add) => add({}, value()))
  counter(registry, 'sallyport_journal_records_total', 'Records in the chain.', (add) => {
    add({}, journal().seq)
  })
  counter(registry, 'sallyport_journal_errors_total', 'Failed journal writes.', (add) => {
    add({}, journal().errors)
  })
}

type SinkNumbers = ReturnType<MetricSources['sinks']>[number]

const SINK_GAUGES: readonly [name: string, help: string, value: (sink: SinkNumbers) => number][] = [
  ['lag_seconds', 'Age of what a sink has yet to take.', ({ lagMs }) => lagMs / 1000],
  ['backlog_records', 'Records a sink has yet to take.', ({ backlog }) => backlog],
  ['backlog_bytes', 'Bytes of the journal behind a sink.', ({ backlogBytes }) => backlogBytes],
]

const SINK_COUNTERS: typeof SINK_GAUGES = [
  ['records_total', 'Records a sink took.', ({ sent }) => sent],
  ['bytes_total', 'Bytes of the records a sink took, as in the journal.', (sink) => sink.sentBytes],
  ['failures_total', 'Failed deliveries to a sink.', ({ failures }) => failures],
  ['refusals_total', 'Deliveries a sink refused.', ({ refusals }) => refusals],
  ['refused_records_total', 'Records a sink refused for good.', (sink) => sink.refusedRecords],
  ['gaps_total', 'Gaps told by records.', ({ gaps }) => gaps],
  ['skipped_records_total', 'Records a sink was not given.', (sink) => sink.skippedRecords],
]
function registerOversight(registry: Registry, sources: MetricSources): void {
  const { overrides, secrets, revocations, selfChecks, leases } = sources
  const numbers: readonly [name: string, help: string, value: () => number][] = [
    ['static_secrets', 'Credentials whose value nobody mints.', () => secrets().count],
    [
      'static_secret_age_seconds',
      'Since the oldest value of a static credential is what it is.',
      () => secrets().oldestSeconds,
    ],
    [
      'revocations_pending',
      'Minted credentials that are to be taken back and may still work.',
      () => revocations().pending,
    ],
    ['overrides_unreviewed', 'What lets something through and was not reviewed.', overrides],
    [
      'self_check_timestamp_seconds',
      'When the controls were looked at last; 0 before the first time.',
      () => (selfChecks().at ?? 0) / 1000,
    ],
  ]
  for (const [name, help, value] of numbers)
    gauge(registry, `sallyport_${name}`, help, (add) => add({}, value()))
  gauge(registry, 'sallyport_credential_leases', 'Leases held, by credential.', (add) => {
    for (const { credential, leases: held } of leases()) add({ credential }, held)
  })
  counter(
    registry,
    'sallyport_revocation_failures_total',
    'Attempts to take back a minted credential that came to nothing.',
    (add) => add({}, revocations().failures),
  )
  gauge(
    registry,
    'sallyport_self_check_passed',
    '1 where a control held at the last look.',
    (add) => {
      for (const { name, outcome } of selfChecks().results)
        add({ name }, Number(outcome === 'pass'))
    },
  )
}

function registerHolds(registry: Registry, { holds }: MetricSources): void {
  gauge(
    registry,
    'sallyport_holds_open',
    'Calls that wait for a person or their approval.',
    (add) => add({}, holds().open),
  )
  counter(registry, 'sallyport_holds_total', 'What became of held calls, by outcome.', (add) => {
    for (const outcome of HOLD_OUTCOMES)
      add({ outcome }, holds().actions.get(`hold-${outcome}`) ?? 0)
  })
}

function registerSinks(registry: Registry, { sinks }: MetricSources): void {
  const register = (make: typeof gauge, numbers: typeof SINK_GAUGES): void => {
    for (const [name, help, value] of numbers)
      make(registry, `sallyport_sink_${name}`, help, (add) => {
        for (const sink of sinks()) add({ sink: sink.name }, value(sink))
      })
  }
  register(gauge, SINK_GAUGES)
  register(counter, SINK_COUNTERS)
}
