// The grammar of one entry of `sinks:`, and the definition that it makes; paths are as written. Pure; called by `schema.ts`
// and `resolve.ts`. What several kinds share is in `sink-scalars.ts`.

import { z } from 'zod'

import { boundedText, positiveInteger, size } from '../tasks/scalars.ts'

import type { SinkCommon, SinkDefinition, SinkSecret } from './sink-definition.ts'
import {
  derivedSinkName,
  sinkAddress,
  sinkCommon,
  sinkCompression,
  sinkHeaders,
  sinkSecret,
  sinkUrl,
} from './sink-scalars.ts'

const FACILITIES = [
  'kern user mail daemon auth syslog lpr news uucp cron authpriv ftp ntp audit alert clock',
  'local0 local1 local2 local3 local4 local5 local6 local7',
].flatMap((names) => names.split(' '))

const path = boundedText(4096)
const flag = z.boolean({ error: 'expected true or false' })

/** Gives a sink the name that it was given, or one made of what tells it from others. */
function named<Section extends { readonly name?: string | undefined }, Kind extends string>(
  section: Section,
  kind: Kind,
  ...identity: readonly string[]
): Section & { readonly kind: Kind } & Pick<SinkCommon, 'name'> {
  return { ...section, kind, name: section.name ?? derivedSinkName(kind, ...identity) }
}

const stdout = z
  .strictObject(sinkCommon)
  .transform((written) => ({ ...written, kind: 'stdout' as const, name: written.name ?? 'stdout' }))

const file = z
  .strictObject({
    path,
    rotateBytes: size.optional().describe('The file is moved aside before it grows beyond this.'),
    keep: positiveInteger
      .refine((keep) => keep <= 1000, { error: 'expected at most 1000' })
      .default(5)
      .describe('How many files that were moved aside are kept.'),
    ...sinkCommon,
  })
  .transform((written) => named(written, 'file', written.path))

const http = z
  .strictObject({
    url: sinkUrl,
    format: z.enum(['ndjson', 'cloudevents', 'ocsf', 'ecs', 'agents-net']).default('ndjson'),
    headers: sinkHeaders,
    compress: sinkCompression('none'),
    ...sinkCommon,
  })
  .transform((written) => named(written, 'http', written.url))

const otlp = z
  .strictObject({
    url: sinkUrl,
    headers: sinkHeaders,
    compress: sinkCompression('gzip'),
    ...sinkCommon,
  })
  .transform((written) => named(written, 'otlp', written.url))

const splunk = z
  .strictObject({
    url: sinkUrl,
    token: sinkSecret,
    acknowledge: flag
      .default(true)
      .describe('Records count as taken only once the indexer has acknowledged them.'),
    index: boundedText(256).optional(),
    sourcetype: boundedText(256).optional(),
    compress: sinkCompression('gzip'),
    ...sinkCommon,
  })
  .transform((written) => named(written, 'splunk', written.url, written.index ?? ''))

const elastic = z
  .strictObject({
    url: sinkUrl,
    index: z
      .string()
      .regex(/^[a-z0-9][^\s"*<>|,#:?\\/A-Z]{0,254}$/, {
        error: 'expected the name of an index or a data stream',
      })
      .describe('An index or a data stream.'),
    headers: sinkHeaders,
    apiKey: sinkSecret.optional(),
    compress: sinkCompression('gzip'),
    ...sinkCommon,
  })
  .transform((written) => named(written, 'elastic', written.url, written.index))

const syslog = z
  .strictObject({
    address: sinkAddress,
    insecurePlaintext: flag.default(false).describe('Send without TLS.'),
    ca: path.optional().describe('PEM file of roots.'),
    clientCert: path.optional(),
    clientKey: path.optional(),
    facility: z
      .enum(FACILITIES)
      .default('audit')
      .transform((name) => FACILITIES.indexOf(name)),
    appName: z
      .string()
      .regex(/^[\x21-\x7e]{1,48}$/, { error: 'expected printable ASCII without spaces' })
      .default('sallyport'),
    format: z
      .enum(['ndjson', 'ecs', 'ocsf', 'otlp', 'cloudevents', 'agents-net'])
      .default('ndjson'),
    ...sinkCommon,
  })
  .refine(({ clientCert, clientKey }) => (clientCert === undefined) === (clientKey === undefined), {
    error: 'expected both clientCert and clientKey, or none',
  })
  .refine(({ insecurePlaintext: isPlain, ca, clientCert }) => !isPlain || !(ca ?? clientCert), {
    error: 'without TLS there is no use for ca and clientCert',
  })
  .transform((written) =>
    named(written, 'syslog', written.address.host, String(written.address.port)),
  )

const nats = z
  .strictObject({
    url: z
      .string({ error: 'expected nats://HOST:PORT or tls://HOST:PORT' })
      .regex(/^(?:nats|tls):\/\/(?:\[[^\]\s]+\]|[^\s/@#:?]+):[1-9]\d{0,4}$/, {
        error: 'expected nats://HOST:PORT or tls://HOST:PORT',
      }),
    subject: z
      .string()
      .regex(/^(?:[\w-]|\{task\}|\{action\})+(?:\.(?:[\w-]|\{task\}|\{action\})+)*$/, {
        error: 'expected words of letters, digits, - and _ with dots between, {task} or {action}',
      })
      .max(256),
    stream: z
      .string()
      .regex(/^[^\s.*>/\\]{1,255}$/, { error: 'expected the name of a stream' })
      .optional()
      .describe('The stream that has to take the records.'),
    token: sinkSecret.optional(),
    user: boundedText(256).optional(),
    password: sinkSecret.optional(),
    credentialsFile: path
      .optional()
      .describe("A file with a user's seed (nkey), and its JWT where the server wants one."),
    ca: path.optional().describe('PEM file of roots.'),
    clientCert: path.optional(),
    clientKey: path.optional(),
    ...sinkCommon,
  })
  .refine(({ user, password }) => (user === undefined) === (password === undefined), {
    error: 'expected both user and password, or none',
  })
  .refine(
    ({ token, user, credentialsFile }) =>
      [token, user, credentialsFile].filter((item) => item !== undefined).length <= 1,
    { error: 'expected one of token, user and credentialsFile' },
  )
  .refine(({ clientCert, clientKey }) => (clientCert === undefined) === (clientKey === undefined), {
    error: 'expected both clientCert and clientKey, or none',
  })
  .refine(({ url, ca, clientCert }) => url.startsWith('tls:') || !(ca ?? clientCert), {
    error: 'without TLS there is no use for ca and clientCert',
  })
  .transform((written) => named(written, 'nats', written.url, written.subject))

const KINDS = ['stdout', 'file', 'http', 'otlp', 'splunk', 'elastic', 'syslog', 'nats'] as const

/** One sink as it is written: exactly one kind. */
export const sinkSchema: z.ZodType<SinkDefinition> = z
  .strictObject({
    stdout: stdout.optional(),
    file: file.optional(),
    http: http.optional(),
    otlp: otlp.optional(),
    splunk: splunk.optional(),
    elastic: elastic.optional(),
    syslog: syslog.optional(),
    nats: nats.optional(),
  })
  .refine((sink) => KINDS.filter((kind) => sink[kind] !== undefined).length === 1, {
    error: `expected one sink: ${KINDS.join(', ')}`,
  })
  .meta({ minProperties: 1, maxProperties: 1 })
  .transform((sink, context): SinkDefinition => {
    const only = KINDS.map((kind) => sink[kind]).find((found) => found !== undefined)
    if (only !== undefined) return only
    context.addIssue({ code: 'custom', message: 'expected one sink' })
    return z.NEVER
  })

/** Makes the paths of a sink absolute. */
export function resolveSink(
  sink: SinkDefinition,
  absolute: (written: string) => string,
): SinkDefinition {
  const secret = (written: SinkSecret): SinkSecret =>
    'file' in written ? { file: absolute(written.file) } : written
  const headers = (written: Readonly<Record<string, SinkSecret>>): Record<string, SinkSecret> =>
    Object.fromEntries(Object.entries(written).map(([name, value]) => [name, secret(value)]))
  const optional = (written: string | undefined): string | undefined => written && absolute(written)
  switch (sink.kind) {
    case 'file':
      return { ...sink, path: absolute(sink.path) }
    case 'http':
    case 'otlp':
      return { ...sink, headers: headers(sink.headers) }
    case 'splunk':
      return { ...sink, token: secret(sink.token) }
    case 'elastic':
      return { ...sink, headers: headers(sink.headers), apiKey: sink.apiKey && secret(sink.apiKey) }
    case 'syslog':
      return {
        ...sink,
        ca: optional(sink.ca),
        clientCert: optional(sink.clientCert),
        clientKey: optional(sink.clientKey),
      }
    case 'nats':
      return {
        ...sink,
        token: sink.token && secret(sink.token),
        password: sink.password && secret(sink.password),
        credentialsFile: optional(sink.credentialsFile),
        ca: optional(sink.ca),
        clientCert: optional(sink.clientCert),
        clientKey: optional(sink.clientKey),
      }
    case 'stdout':
    default:
      return sink
  }
}
