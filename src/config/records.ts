// The record room's parts as a configuration describes them: journal, checkpoints, limiter of refusals, metrics, recorder.
// Called by `sidecar.ts`.

import type { Call } from '../call.ts'
import { Alerts } from '../record/alerts.ts'
import { CheckpointKeys } from '../record/checkpoint-keys.ts'
import { Checkpoints } from '../record/checkpoints.ts'
import { Detector } from '../record/detector.ts'
import type { Redactor } from '../inspect/redactor.ts'
import { DenialLimiter } from '../record/flood.ts'
import { KnownDestinations } from '../record/known-destinations.ts'
import { Journal } from '../record/journal.ts'
import type { RecordBody } from '../record/body.ts'
import type { Log } from '../record/log.ts'
import type { MetricSources } from '../record/counts.ts'
import { Metrics } from '../record/metrics.ts'
import { CallRecorder } from '../record/recorder.ts'
import { SinkGate } from '../record/sinks/gate.ts'
import type { Config } from './config.ts'

/** Everything that records. */
export interface Records {
  readonly journal: Journal
  readonly checkpoints: Checkpoints
  /** Held by sinks that are too far behind. */
  readonly gate: SinkGate
  readonly metrics: Metrics
  readonly recorder: CallRecorder
  /** Puts on record what is counted, and covers all of it with a checkpoint; the journal stays open. */
  settle(): Promise<void>
}

/** What recording needs besides the configuration. */
export interface RecordsOptions {
  readonly log: Log
  readonly now: () => number
  readonly redactor: Redactor
}

/**
 * Opens the journal and what writes to it.
 * @param sources numbers that others keep
 * @param onEnd told of every call that is over
 * @throws audit-unavailable where the journal cannot be opened, Error where the keys of checkpoints cannot be used
 */
export function openRecords(
  config: Pick<Config, 'journal' | 'limits' | 'stateDir'>,
  { log, now, redactor }: RecordsOptions,
  sources: Omit<MetricSources, 'journal'>,
  onEnd: (call: Call, wasDenied: boolean) => void,
): Records {
  const { limits, stateDir } = config
  const keys = new CheckpointKeys(stateDir, now())
  const journal = Journal.open({ ...config.journal, limits, now, log, redactor })
  const checkpoints = new Checkpoints({ journal, keys, limits, now, log })
  const gate = new SinkGate()
  const metrics = new Metrics({ ...sources, journal: () => journal.stats })
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
  const alerts = new Alerts({
    limits,
    append,
    onDetected: (name) => metrics.countDetection(name),
    now,
  })
  const destinations = new KnownDestinations({
    stateDir: config.stateDir,
    limits,
    onProblem: (error) => log.error({ err: error }, 'destinations of agents are not remembered'),
    now,
  })
  const detector = new Detector({ alerts, destinations, limits, append, now })
  const parts = { journal, gate, denials, alerts, detector, metrics, now, limits, onLost, onEnd }
  return {
    journal,
    gate,
    checkpoints,
    metrics,
    recorder: new CallRecorder({ ...parts, redactor }),
    settle: () => {
      denials.close()
      detector.close()
      alerts.close()
      return checkpoints.close()
    },
  }
}
