// The record room's parts as a configuration describes them: journal, limiter of refusals, metrics, recorder. Called by
// `sidecar.ts`.

import type { Call } from '../call.ts'
import { Alerts } from '../record/alerts.ts'
import { Detector } from '../record/detector.ts'
import { DenialLimiter } from '../record/flood.ts'
import { KnownDestinations } from '../record/known-destinations.ts'
import { Journal } from '../record/journal.ts'
import type { RecordBody } from '../record/body.ts'
import type { Log } from '../record/log.ts'
import type { MetricSources } from '../record/counts.ts'
import { Metrics } from '../record/metrics.ts'
import { CallRecorder } from '../record/recorder.ts'
import type { Config } from './config.ts'

/** Everything that records. */
export interface Records {
  readonly journal: Journal
  readonly metrics: Metrics
  readonly recorder: CallRecorder
  /** Writes what is counted and not told yet; before the journal is closed. */
  close(): void
}

/**
 * Opens the journal and what writes to it.
 * @param sources numbers that others keep
 * @param onEnd told of every call that is over
 * @throws audit-unavailable where the journal cannot be opened
 */
export function openRecords(
  config: Pick<Config, 'journal' | 'limits' | 'stateDir'>,
  log: Log,
  now: () => number,
  sources: Omit<MetricSources, 'journal'>,
  onEnd: (call: Call, wasDenied: boolean) => void,
): Records {
  const { limits } = config
  const journal = Journal.open({ ...config.journal, limits, now, log })
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
  const parts = { journal, denials, alerts, detector, metrics, now, limits, onLost, onEnd }
  return {
    journal,
    metrics,
    recorder: new CallRecorder(parts),
    close: () => {
      denials.close()
      detector.close()
      alerts.close()
    },
  }
}
