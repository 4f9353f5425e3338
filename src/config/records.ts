// The record room's parts as a configuration describes them: journal, limiter of refusals, metrics, recorder. Called by
// `sidecar.ts`.

import type { Call } from '../call.ts'
import { DenialLimiter } from '../record/flood.ts'
import { Journal } from '../record/journal.ts'
import type { Log } from '../record/log.ts'
import type { MetricSources } from '../record/counts.ts'
import { Metrics } from '../record/metrics.ts'
import { CallRecorder } from '../record/recorder.ts'
import { SinkGate } from '../record/sinks/gate.ts'
import type { Config } from './config.ts'

/** Everything that records. */
export interface Records {
  readonly journal: Journal
  /** Held by sinks that are too far behind. */
  readonly gate: SinkGate
  readonly denials: DenialLimiter
  readonly metrics: Metrics
  readonly recorder: CallRecorder
}

/**
 * Opens the journal and what writes to it.
 * @param sources numbers that others keep
 * @param onEnd told of every call that is over
 * @throws audit-unavailable where the journal cannot be opened
 */
export function openRecords(
  config: Pick<Config, 'journal' | 'limits'>,
  log: Log,
  now: () => number,
  sources: Omit<MetricSources, 'journal'>,
  onEnd: (call: Call, wasDenied: boolean) => void,
): Records {
  const { limits } = config
  const journal = Journal.open({ ...config.journal, limits, now, log })
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
  return {
    journal,
    gate,
    denials,
    metrics,
    recorder: new CallRecorder({ journal, gate, denials, metrics, now, limits, onLost, onEnd }),
  }
}
