// Starts the configured sinks: each a feed from the journal; those that are reached over a network get an operator's permit
// for exactly what the configuration names. A kind whose starting grows has a file of its own in `sinks/`. Called by
// `sidecar.ts`.

import type { Dialer } from '../net/dial.ts'
import type { Checkpoints } from '../record/checkpoints.ts'
import type { Journal, RecordLog } from '../record/journal.ts'
import { backlogBytesMax, type BacklogOptions } from '../record/sinks/backlog.ts'
import type { SinkFeed } from '../record/sinks/feed.ts'
import { startFileSink } from '../record/sinks/file.ts'
import type { SinkGate } from '../record/sinks/gate.ts'
import { startStdoutSink } from '../record/sinks/stdout.ts'
import type { Config } from './config.ts'
import type { SinkDefinition } from './sink-definition.ts'
import type { SinkEnvironment } from './sink-secrets.ts'
import { startHttp } from './sinks/http.ts'
import { startElastic, startOtlp, startSplunk } from './sinks/receivers.ts'
import { startNats } from './sinks/nats.ts'
import { startSyslog } from './sinks/syslog.ts'

/** What sinks are started with. */
export interface SinkOptions {
  readonly config: Pick<Config, 'sinks' | 'stateDir' | 'limits' | 'journal'>
  readonly records: {
    readonly journal: Journal
    readonly gate: SinkGate
    readonly checkpoints: Checkpoints
  }
  readonly dialer: Dialer
  readonly environment: SinkEnvironment
  /** The program's version, for what says where records are from. */
  readonly version: string
  readonly log: RecordLog
  readonly now: () => number
}

/** Starts every sink. @throws Error where a secret of one cannot be read, saying which and why */
export function startSinks(
  config: SinkOptions['config'],
  parts: Omit<SinkOptions, 'config'>,
): SinkFeed[] {
  return config.sinks.map((definition) => startSink(definition, { ...parts, config }))
}

function startSink(definition: SinkDefinition, options: SinkOptions): SinkFeed {
  const { config, records, log, now } = options
  const { stateDir, limits } = config
  const { name, all, filter } = definition
  const { journal, gate } = records
  const backlog = backlogOf(definition, config, gate)
  const feed = { name, journal, stateDir, limits, log, now, all, filter, backlog }
  switch (definition.kind) {
    case 'stdout':
      return startStdoutSink(feed)
    case 'file':
      return startFileSink({
        ...feed,
        path: definition.path,
        rotateBytes: definition.rotateBytes,
        keep: definition.keep,
      })
    case 'http':
      return startHttp(definition, feed, options)
    case 'syslog':
      return startSyslog(definition, feed, options)
    case 'nats':
      return startNats(definition, feed, options)
    case 'otlp':
      return startOtlp(definition, feed, options)
    case 'splunk':
      return startSplunk(definition, feed, options)
    case 'elastic':
    default:
      return startElastic(definition, feed, options)
  }
}

function backlogOf(
  { backlogBytes, onBacklogFull }: SinkDefinition,
  { journal, limits, sinks }: SinkOptions['config'],
  gate: SinkGate,
): BacklogOptions {
  const wanted = backlogBytes ?? limits.sinkBacklogBytesMax
  const skipping = sinks.filter((sink) => sink.onBacklogFull === 'drop-with-gap-record').length
  return {
    bytesMax: backlogBytesMax(wanted, journal.maxBytes, onBacklogFull === 'deny' ? 0 : skipping),
    onFull: onBacklogFull,
    gate,
    journal,
  }
}
