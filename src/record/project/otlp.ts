// Records as OTLP log records, in the JSON that OTLP/HTTP takes: an event by its name, what is known under the names of
// OpenTelemetry's semantic conventions, the rest under `sallyport.`. Pure. Called by the sinks and by `sallyport export`.

import type { RecordBody } from '../body.ts'
import type { Origin } from './format.ts'
import { countAt, portAt, textAt, textsAt, timeOf, valueAt } from './members.ts'
import { attributes, flatten, type AnyValue, type KeyValue } from './otlp-value.ts'
import { severityNumber } from './severity.ts'
import { summaryOf } from './summary.ts'

/** A `LogRecord`. Times are nanoseconds since the epoch, as text. */
export interface OtlpLogRecord {
  readonly timeUnixNano?: string
  readonly observedTimeUnixNano?: string
  readonly severityNumber: number
  readonly severityText: string
  readonly eventName: string
  readonly body: AnyValue
  readonly attributes: readonly KeyValue[]
  /** 32 hex digits. */
  readonly traceId?: string
  /** 16 hex digits. */
  readonly spanId?: string
}

/** The body of an `ExportLogsServiceRequest`. */
export interface OtlpRequest {
  readonly resourceLogs: readonly [
    {
      readonly resource: { readonly attributes: readonly KeyValue[] }
      readonly scopeLogs: readonly [
        {
          readonly scope: { readonly name: string; readonly version: string }
          readonly logRecords: readonly OtlpLogRecord[]
        },
      ]
    },
  ]
}

/** Methods that `http.request.method` may have; another is `_OTHER`, with the real one beside it. */
const METHODS: ReadonlySet<string> = new Set([
  'CONNECT',
  'DELETE',
  'GET',
  'HEAD',
  'OPTIONS',
  'PATCH',
  'POST',
  'PUT',
  'QUERY',
  'TRACE',
])

/** One record as one `LogRecord`. */
export function projectOtlp(record: RecordBody, _origin: Origin): OtlpLogRecord {
  const time = nanoseconds(timeOf(record))
  const [number, text] = severityNumber(record)
  const traceId = hexAt(record, 'trace', 32)
  const spanId = hexAt(record, 'span', 16)
  return {
    ...(time !== undefined && { timeUnixNano: time, observedTimeUnixNano: time }),
    severityNumber: number,
    severityText: text,
    eventName: `sallyport.${textAt(record, 'event', 'action') ?? 'unknown'}`,
    body: { stringValue: summaryOf(record) },
    attributes: attributes([
      ...networkAttributes(record),
      ...httpAttributes(record),
      ...contentAttributes(record),
      ...ownAttributes(record),
    ]),
    ...(traceId !== undefined && { traceId }),
    ...(traceId !== undefined && spanId !== undefined && { spanId }),
  }
}

/** Log records of one journal as one request. */
export function otlpRequest(logRecords: readonly OtlpLogRecord[], origin: Origin): OtlpRequest {
  return {
    resourceLogs: [
      {
        resource: {
          attributes: attributes([
            ['service.name', 'sallyport'],
            ['service.version', origin.version],
            ['service.instance.id', origin.journal],
          ]),
        },
        scopeLogs: [{ scope: { name: 'sallyport', version: origin.version }, logRecords }],
      },
    ],
  }
}

function nanoseconds(time: number | undefined): string | undefined {
  return time === undefined ? undefined : `${BigInt(time) * 1_000_000n}`
}

// All zeros are no id.
function hexAt(record: unknown, member: string, length: number): string | undefined {
  const id = textAt(record, member, 'id')
  return id?.length === length && /^[0-9a-f]+$/.test(id) && !/^0+$/.test(id) ? id : undefined
}

function* networkAttributes(record: unknown): Generator<[string, unknown]> {
  const address = textAt(record, 'destination', 'ip')
  const port = portAt(record, 'destination', 'port')
  yield ['server.address', textAt(record, 'destination', 'domain') ?? address]
  yield ['server.port', port]
  if (address !== undefined) {
    yield ['network.peer.address', address]
    yield ['network.peer.port', port]
  }
  yield ['client.address', textAt(record, 'source', 'ip')]
  yield ['client.port', portAt(record, 'source', 'port')]
  if (valueAt(record, 'destination') !== undefined) yield ['network.transport', 'tcp']
  if (valueAt(record, 'tls') !== undefined) {
    yield ['tls.established', valueAt(record, 'tls', 'established') === true]
    yield ['tls.protocol.name', 'tls']
    yield ['tls.protocol.version', textAt(record, 'tls', 'version')]
    yield ['sallyport.tls.server_name', textAt(record, 'tls', 'client', 'server_name')]
  }
}

function* httpAttributes(record: unknown): Generator<[string, unknown]> {
  for (const name of ['full', 'scheme', 'domain', 'path', 'query'])
    yield [`url.${name}`, textAt(record, 'url', name)]
  yield ['url.port', portAt(record, 'url', 'port')]
  yield ['user_agent.original', textAt(record, 'user_agent', 'original')]
  if (valueAt(record, 'http') === undefined) return
  const method = textAt(record, 'http', 'request', 'method')
  const isKnown = method === undefined || METHODS.has(method)
  yield ['http.request.method', isKnown ? method : '_OTHER']
  if (!isKnown) yield ['http.request.method_original', method]
  yield ['http.request.body.size', countAt(record, 'http', 'request', 'bytes')]
  yield ['http.response.status_code', countAt(record, 'http', 'response', 'status_code')]
  yield ['http.response.body.size', countAt(record, 'http', 'response', 'bytes')]
  yield ['network.protocol.name', 'http']
  yield ['network.protocol.version', textAt(record, 'http', 'version')]
}

const TEXTS = [
  'mcp.method.name',
  'mcp.protocol.version',
  'mcp.session.id',
  'mcp.resource.uri',
  'jsonrpc.request.id',
  'gen_ai.operation.name',
  'gen_ai.provider.name',
  'gen_ai.request.model',
  'gen_ai.response.id',
  'gen_ai.response.model',
  'gen_ai.prompt.name',
  'gen_ai.tool.name',
  'gen_ai.tool.call.id',
] as const
const COUNTS = [
  'gen_ai.request.max_tokens',
  'gen_ai.usage.input_tokens',
  'gen_ai.usage.output_tokens',
] as const
// What was said, structured as it was.
const CONTENTS = [
  'gen_ai.tool.call.arguments',
  'gen_ai.tool.call.result',
  'gen_ai.input.messages',
  'gen_ai.output.messages',
] as const

function* contentAttributes(record: unknown): Generator<[string, unknown]> {
  for (const name of TEXTS) yield [name, textAt(record, ...name.split('.'))]
  for (const name of COUNTS) yield [name, countAt(record, ...name.split('.'))]
  for (const name of CONTENTS) yield [name, valueAt(record, ...name.split('.'))]
  const isStreamed = valueAt(record, 'gen_ai', 'request', 'stream')
  if (typeof isStreamed === 'boolean') yield ['gen_ai.request.stream', isStreamed]
  const reasons = textsAt(record, 'gen_ai', 'response', 'finish_reasons')
  if (reasons.length > 0) yield ['gen_ai.response.finish_reasons', reasons]
  yield ['rpc.response.status_code', textAt(record, 'rpc', 'response', 'status_code')]
  yield ['error.type', errorTypeOf(record)]
  yield ['gen_ai.agent.id', textAt(record, 'sallyport', 'task', 'instance')]
  yield ['gen_ai.agent.name', textAt(record, 'sallyport', 'task', 'agent')]
}

// What failed by our own word has the token of it: few, and the same everywhere.
function errorTypeOf(record: unknown): string | undefined {
  const type = textAt(record, 'error', 'type')
  if (type !== undefined || textAt(record, 'event', 'outcome') !== 'failure') return type
  return textAt(record, 'event', 'reason')
}

function* ownAttributes(record: unknown): Generator<[string, unknown]> {
  yield ['log.record.uid', textAt(record, 'event', 'id')]
  yield ['security_rule.name', textAt(record, 'rule', 'id')]
  yield ['security_rule.ruleset.name', textAt(record, 'rule', 'ruleset')]
  yield ['security_rule.version', textAt(record, 'rule', 'version')]
  for (const name of ['kind', 'action', 'outcome', 'reason'])
    yield [`sallyport.event.${name}`, textAt(record, 'event', name)]
  yield ['sallyport.event.category', textsAt(record, 'event', 'category')]
  yield ['sallyport.event.type', textsAt(record, 'event', 'type')]
  yield ['sallyport.event.duration', countAt(record, 'event', 'duration')]
  yield* flatten('sallyport.threat', valueAt(record, 'threat'))
  yield* flatten('sallyport', valueAt(record, 'sallyport'))
}
