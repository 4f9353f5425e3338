// Starts the configured sinks: each a feed from the journal; those that are reached over a network get an operator's permit
// for exactly what the configuration names. A kind's code is loaded with the first sink of it: most sidecars have none or one.
// Called by `sidecar.ts`.

import type { Dialer } from '../net/dial.ts'
import { loadNow } from '../program.ts'
import type { Checkpoints } from '../record/proof/checkpoints.ts'
import type { Journal, RecordLog } from '../record/journal/journal.ts'
import { backlogBytesMax, type BacklogOptions } from '../record/sinks/backlog.ts'
import type { SinkFeed } from '../record/sinks/feed.ts'
import type * as FileKind from '../record/sinks/file.ts'
import type { SinkGate } from '../record/sinks/gate.ts'
import type * as StdoutKind from '../record/sinks/stdout.ts'
import type { Config } from './config.ts'
import type { SinkDefinition } from './sink-definition.ts'
import type { SinkEnvironment } from './sink-secrets.ts'
import type * as ElasticKind from './sinks/elastic.ts'
import type * as HttpKind from './sinks/http.ts'
import type * as NatsKind from './sinks/nats.ts'
import type * as OtlpKind from './sinks/otlp.ts'
import type * as SplunkKind from './sinks/splunk.ts'
import type * as SyslogKind from './sinks/syslog.ts'

interface Kinds {
  readonly stdout: typeof StdoutKind
  readonly file: typeof FileKind
  readonly http: typeof HttpKind
  readonly syslog: typeof SyslogKind
  readonly nats: typeof NatsKind
  readonly otlp: typeof OtlpKind
  readonly splunk: typeof SplunkKind
  readonly elastic: typeof ElasticKind
}

const MODULES = {
  stdout: 'record/sinks/stdout',
  file: 'record/sinks/file',
  http: 'config/sinks/http',
  syslog: 'config/sinks/syslog',
  nats: 'config/sinks/nats',
  otlp: 'config/sinks/otlp',
  splunk: 'config/sinks/splunk',
  elastic: 'config/sinks/elastic',
} as const satisfies Record<keyof Kinds, string>

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
      return load('stdout').startStdoutSink(feed)
    case 'file':
      return load('file').startFileSink({
        ...feed,
        path: definition.path,
        rotateBytes: definition.rotateBytes,
        keep: definition.keep,
      })
    case 'http':
      return load('http').startHttp(definition, feed, options)
    case 'syslog':
      return load('syslog').startSyslog(definition, feed, options)
    case 'nats':
      return load('nats').startNats(definition, feed, options)
    case 'otlp':
      return load('otlp').startOtlp(definition, feed, options)
    case 'splunk':
      return load('splunk').startSplunk(definition, feed, options)
    case 'elastic':
    default:
      return load('elastic').startElastic(definition, feed, options)
  }
}

function load<Kind extends keyof Kinds>(kind: Kind): Kinds[Kind] {
  return loadNow(MODULES[kind])
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
