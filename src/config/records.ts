// The record room's parts as a configuration describes them: journal, checkpoints, limiter of refusals, metrics, recorder.
// Called by `sidecar.ts`.

import type { Call } from '../call.ts'
import { Alerts } from '../record/detect/alerts.ts'
import { CheckpointKeys } from '../record/proof/checkpoint-keys.ts'
import { Checkpoints } from '../record/proof/checkpoints.ts'
import { Detector } from '../record/detect/detector.ts'
import type { Redactor } from '../inspect/redactor.ts'
import { DenialLimiter } from '../record/flood.ts'
import { KnownDestinations } from '../record/detect/known-destinations.ts'
import { Journal } from '../record/journal/journal.ts'
import type { RecordBody } from '../record/body.ts'
import type { Log } from '../record/log.ts'
import type { MetricSources, TaskNumbers } from '../record/metrics/counts.ts'
import type { SelfCheckState } from '../record/detect/self-check.ts'
import type { SinkFeed } from '../record/sinks/feed.ts'
import { Metrics } from '../record/metrics/metrics.ts'
import { CallRecorder, type RecorderOptions } from '../record/recorder.ts'
import { SinkGate } from '../record/sinks/gate.ts'
import { Overrides } from '../tasks/overrides.ts'
import type { Config } from './config.ts'

/** Those whose numbers metrics show. */
export interface Counted {
  readonly calls: { readonly size: number; readonly tunnels: number }
  readonly room: { numbers(): TaskNumbers }
  readonly sinks: readonly SinkFeed[]
  readonly own: {
    readonly secrets: ReturnType<MetricSources['secrets']>
    readonly leases: ReturnType<MetricSources['leases']>
    readonly revocations: ReturnType<MetricSources['revocations']>
    readonly selfChecks: SelfCheckState
  }
  readonly holds: { readonly numbers: ReturnType<MetricSources['holds']> }
}

/** Everything that records. */
export interface Records {
  readonly journal: Journal
  readonly checkpoints: Checkpoints
  /** Held by sinks that are too far behind. */
  readonly gate: SinkGate
  readonly metrics: Metrics
  readonly recorder: CallRecorder
  readonly overrides: Overrides
  /** Puts on record what is counted, and covers all of it with a checkpoint; the journal stays open. */
  settle(): Promise<void>
}

/** What recording needs besides the configuration. */
export interface RecordsOptions {
  readonly log: Log
  readonly redactor: Redactor
}

/**
 * Opens the journal and what writes to it.
 * @param counted those whose numbers metrics show, once they are there
 * @param onEnd told of every call that is over
 * @throws audit-unavailable where the journal cannot be opened, Error where the keys of checkpoints cannot be used
 */
export function openRecords(
  config: Pick<Config, 'journal' | 'limits' | 'stateDir'>,
  { log, redactor }: RecordsOptions,
  counted: () => Counted,
  onEnd: (call: Call, wasDenied: boolean) => void,
): Records {
  const { limits, stateDir } = config
  const now = Date.now
  const keys = new CheckpointKeys(stateDir, now())
  const journal = Journal.open({ ...config.journal, limits, now, log, redactor })
  const checkpoints = new Checkpoints({ journal, keys, limits, now, log })
  const gate = new SinkGate()
  const overrides = new Overrides({
    stateDir,
    onReviewed: (detail) => recorder.recordEvent('override-reviewed', { detail }),
    onProblem: (error) => log.error({ err: error }, 'an override could not be written down'),
    now,
  })
  const metrics = new Metrics({
    openCalls: () => counted().calls.size,
    openTunnels: () => counted().calls.tunnels,
    tasks: () => counted().room.numbers(),
    sinks: () => counted().sinks.map(({ stats }) => stats),
    secrets: () => counted().own.secrets,
    leases: () => counted().own.leases,
    revocations: () => counted().own.revocations,
    selfChecks: () => counted().own.selfChecks,
    journal: () => journal.stats,
    overrides: () => overrides.unreviewed,
    holds: () => counted().holds.numbers,
  })
  const denials = new DenialLimiter({
    perSecond: config.journal.denialsPerTaskPerSecond,
    append: (record) => journal.append(record),
    now,
  })
  const onLost = (error: unknown): void => {
    log.error({ err: error }, 'a record could not be written; it is kept until it can')
  }
  const append = (record: RecordBody): void => {
    journal.append(record).catch(onLost)
  }
  const { alerts, detector } = openDetections({ stateDir, limits, log, now, append, metrics })
  const onEvent: RecorderOptions['onEvent'] = (action, { task, detail }) =>
    overrides.noteEvent(action, task, actorIn(detail))
  const told = { metrics, now, limits, redactor, onLost, onEnd, onEvent }
  const recorder = new CallRecorder({ journal, gate, denials, alerts, detector, ...told })
  return {
    journal,
    gate,
    checkpoints,
    metrics,
    recorder,
    overrides,
    settle: () => {
      denials.close()
      detector.close()
      alerts.close()
      overrides.close()
      return checkpoints.close()
    },
  }
}

interface DetectionsOptions extends Pick<Config, 'limits' | 'stateDir'> {
  readonly log: Log
  readonly now: () => number
  readonly append: (record: RecordBody) => void
  readonly metrics: Metrics
}

function openDetections({ stateDir, log, metrics, ...parts }: DetectionsOptions): {
  readonly alerts: Alerts
  readonly detector: Detector
} {
  const alerts = new Alerts({ ...parts, onDetected: (name) => metrics.countDetection(name) })
  const onProblem = (error: unknown): void =>
    log.error({ err: error }, 'destinations of agents are not remembered')
  const destinations = new KnownDestinations({ ...parts, stateDir, onProblem })
  return { alerts, detector: new Detector({ ...parts, alerts, destinations }) }
}

// Principals are named; what the files of the installation bring about is nobody's by name.
function actorIn(detail: Readonly<Record<string, unknown>> | undefined): string | undefined {
  const actor = detail?.['actor']
  if (typeof actor !== 'string' || actor === 'sidecar' || actor === 'configuration')
    return undefined
  return actor
}

/** Tells of an error that no table foresees: a programmer's mistake, which fails the call closed. */
export function unexpectedReporter(
  { metrics }: Pick<Records, 'metrics'>,
  log: Log,
): (error: unknown, call: Pick<Call, 'id'>) => void {
  return (error, call) => {
    metrics.countAssertion()
    const detail = { err: error, call: call.id }
    log.error(detail, 'a call failed closed on an error of the proxy itself')
  }
}
