// The record room's parts as a configuration describes them: journal, limiter of refusals, metrics, recorder. Called by
// `sidecar.ts`.

import type { Call } from '../call.ts'
import type { Redactor } from '../inspect/redactor.ts'
import { DenialLimiter } from '../record/flood.ts'
import { Journal } from '../record/journal.ts'
import type { Log } from '../record/log.ts'
import type { MetricSources } from '../record/counts.ts'
import { Metrics } from '../record/metrics.ts'
import { CallRecorder } from '../record/recorder.ts'
import type { Config } from './config.ts'

/** Everything that records. */
export interface Records {
  readonly journal: Journal
  readonly denials: DenialLimiter
  readonly metrics: Metrics
  readonly recorder: CallRecorder
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
 * @throws audit-unavailable where the journal cannot be opened
 */
export function openRecords(
  config: Pick<Config, 'journal' | 'limits'>,
  { log, now, redactor }: RecordsOptions,
  sources: Omit<MetricSources, 'journal'>,
  onEnd: (call: Call, wasDenied: boolean) => void,
): Records {
  const { limits } = config
  const journal = Journal.open({ ...config.journal, limits, now, log, redactor })
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
    denials,
    metrics,
    recorder: new CallRecorder({ journal, denials, metrics, now, limits, redactor, onLost, onEnd }),
  }
}
