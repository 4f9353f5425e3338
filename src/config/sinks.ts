// Starts the configured sinks: each a feed from the journal; those that are reached over a network get an operator's permit
// for exactly what the configuration names. A kind whose starting grows has a file of its own in `sinks/`. Called by
// `sidecar.ts`.

import type { Dialer } from '../net/dial.ts'
import { HttpPoster } from '../net/http-client.ts'
import type { Checkpoints } from '../record/checkpoints.ts'
import type { Journal, RecordLog } from '../record/journal.ts'
import type { BacklogOptions } from '../record/sinks/backlog.ts'
import type { FeedOptions, SinkFeed } from '../record/sinks/feed.ts'
import type { SinkGate } from '../record/sinks/gate.ts'
import { startHttpSink } from '../record/sinks/http.ts'
import { startStdoutSink } from '../record/sinks/stdout.ts'
import type { Config } from './config.ts'
import { permitUrl } from './operator-permit.ts'
import type { HttpSinkDefinition, SinkDefinition } from './sink-definition.ts'
import { readSinkHeaders, type SinkEnvironment } from './sink-secrets.ts'
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

/** Of what the journal may hold. */
const BACKLOG_SHARE_MAX = 0.75

/** Starts every sink. @throws Error where a secret of one cannot be read, saying which and why */
export function startSinks(
  config: SinkOptions['config'],
  parts: Omit<SinkOptions, 'config'>,
): SinkFeed[] {
  return config.sinks.map((definition) => startSink(definition, { ...parts, config }))
}

/** A kind that is not here is refused by name when the configuration is loaded (`reserved.ts`). */
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
    case 'http':
      return startHttp(definition, feed, options)
    case 'syslog':
      return startSyslog(definition, feed, options.dialer)
    case 'nats':
      return startNats(definition, feed, options)
    case 'otlp':
      return startOtlp(definition, feed, options)
    case 'splunk':
      return startSplunk(definition, feed, options)
    case 'elastic':
      return startElastic(definition, feed, options)
    case 'file':
    default:
      throw new Error(`a sink of the kind ${definition.kind} is not served`)
  }
}

function backlogOf(
  { backlogBytes, onBacklogFull }: SinkDefinition,
  { journal, limits }: SinkOptions['config'],
  gate: SinkGate,
): BacklogOptions {
  const bytesMax = backlogBytes ?? limits.sinkBacklogBytesMax
  return {
    // Beyond that the journal itself would refuse calls before the sink has its say.
    bytesMax: Math.min(bytesMax, journal.maxBytes * BACKLOG_SHARE_MAX),
    onFull: onBacklogFull,
    gate,
    journal,
  }
}

function startHttp(
  definition: HttpSinkDefinition,
  feed: FeedOptions,
  { dialer, environment, config }: SinkOptions,
): SinkFeed {
  const key = `sinks.${definition.name}`
  const url = new URL(definition.url)
  const poster = new HttpPoster(
    dialer,
    permitUrl(key, url),
    `${url.pathname}${url.search}`,
    config.limits,
  )
  return startHttpSink({
    ...feed,
    limits: config.limits,
    headers: readSinkHeaders(key, definition.headers, environment),
    post: (body, headers, signal) => poster.post(body, headers, signal),
  })
}
