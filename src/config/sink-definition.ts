// Where records are copied to, as the configuration says it: one type a kind of sink. Data only; `sink-schema.ts` makes it,
// `sinks.ts` starts what it describes.

import type { Format } from '../record/project/format.ts'
import type { SinkFilter } from '../record/sinks/filter.ts'
import type { Endpoint } from '../wire/authority.ts'

/** What happens once a sink is as far behind as it may be. */
export type OnBacklogFull = 'deny' | 'drop-with-gap-record'

/** A secret of a sink: the text itself, or where it is read from at the start. Never printed. */
export type SinkSecret =
  { readonly text: string } | { readonly env: string } | { readonly file: string }

/** What may be said of any sink. */
export interface SinkCommon {
  /** Unique: the cursor is kept under it. Where none is written it comes from where the sink is, so it stays the same. */
  readonly name: string
  /** Also `call-started` and `call-progress`. */
  readonly all: boolean
  readonly filter: SinkFilter
  readonly onBacklogFull: OnBacklogFull
  /** Bytes of the journal behind the cursor, at the most; undefined: `limits.sinkBacklogBytesMax`. */
  readonly backlogBytes?: number | undefined
}

/** How the body of a request is compressed. */
export type SinkCompression = 'none' | 'gzip'

/** The form of the records that a sink is sent: `ndjson` is the journal's own lines as they are. */
type SinkFormat = 'ndjson' | Format

/** Records on standard output. */
interface StdoutSinkDefinition extends SinkCommon {
  readonly kind: 'stdout'
}

/** Records in a file. */
interface FileSinkDefinition extends SinkCommon {
  readonly kind: 'file'
  /** Absolute. */
  readonly path: string
  /** A file is moved aside before it grows beyond this; undefined: never. */
  readonly rotateBytes?: number | undefined
  /** How many files that were moved aside are kept. */
  readonly keep: number
}

/** Records by POST. */
export interface HttpSinkDefinition extends SinkCommon {
  readonly kind: 'http'
  readonly url: string
  readonly format: 'ndjson' | 'cloudevents' | 'ocsf' | 'ecs' | 'agents-net'
  readonly headers: Readonly<Record<string, SinkSecret>>
  readonly compress: SinkCompression
}

/** OTLP/HTTP logs. */
export interface OtlpSinkDefinition extends SinkCommon {
  readonly kind: 'otlp'
  readonly url: string
  readonly headers: Readonly<Record<string, SinkSecret>>
  readonly compress: SinkCompression
}

/** Splunk's HTTP Event Collector. */
export interface SplunkSinkDefinition extends SinkCommon {
  readonly kind: 'splunk'
  readonly url: string
  readonly token: SinkSecret
  /** Whether records count as taken only once the indexer has acknowledged them. */
  readonly acknowledge: boolean
  readonly index?: string | undefined
  readonly sourcetype?: string | undefined
  readonly compress: SinkCompression
}

/** The bulk API of Elasticsearch and OpenSearch. */
export interface ElasticSinkDefinition extends SinkCommon {
  readonly kind: 'elastic'
  readonly url: string
  /** An index or a data stream. */
  readonly index: string
  readonly headers: Readonly<Record<string, SinkSecret>>
  readonly apiKey?: SinkSecret | undefined
  readonly compress: SinkCompression
}

/** Syslog (RFC 5424), over TLS (RFC 5425) unless cleartext is asked for by name. */
export interface SyslogSinkDefinition extends SinkCommon {
  readonly kind: 'syslog'
  readonly address: Endpoint
  readonly insecurePlaintext: boolean
  /** Absolute path of a PEM file of roots, trusted besides the others. */
  readonly ca?: string | undefined
  /** Absolute paths of PEM files; both or none. */
  readonly clientCert?: string | undefined
  readonly clientKey?: string | undefined
  /** As a number, 0 to 23. */
  readonly facility: number
  readonly appName: string
  readonly format: SinkFormat
}

/** A NATS server's JetStream. */
export interface NatsSinkDefinition extends SinkCommon {
  readonly kind: 'nats'
  /** `nats://` is cleartext, `tls://` is not. */
  readonly url: string
  /** `{action}` and `{task}` stand for those of a record. */
  readonly subject: string
  /** The stream that has to take the records; undefined: whichever listens to the subject. */
  readonly stream?: string | undefined
  readonly token?: SinkSecret | undefined
  readonly user?: string | undefined
  readonly password?: SinkSecret | undefined
  /** Absolute path of a file with a user's seed, and its JWT where the server wants one. */
  readonly credentialsFile?: string | undefined
  /** Absolute path of a PEM file of roots, trusted besides the others. */
  readonly ca?: string | undefined
  /** Absolute paths of PEM files; both or none. */
  readonly clientCert?: string | undefined
  readonly clientKey?: string | undefined
}

/** Where records are copied to. */
export type SinkDefinition =
  | StdoutSinkDefinition
  | FileSinkDefinition
  | HttpSinkDefinition
  | OtlpSinkDefinition
  | SplunkSinkDefinition
  | ElasticSinkDefinition
  | SyslogSinkDefinition
  | NatsSinkDefinition
