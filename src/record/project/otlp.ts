// Records as OTLP log records, in the JSON that OTLP/HTTP takes: an event by its name, what is known under the names of
// OpenTelemetry's semantic conventions, the rest under `sallyport.`. Pure. Called by the sinks and by `sallyport export`.

import type { RecordBody } from '../body.ts'
import type { Origin } from './format.ts'
import { countAt, portAt, textAt, textsAt, timeOf, valueAt } from './members.ts'
import { AttributeList, attributes, type AnyValue, type KeyValue } from './otlp-value.ts'
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
    attributes: attributesOf(record),
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

function attributesOf(record: unknown): readonly KeyValue[] {
  const list = new AttributeList()
  addNetwork(list, record)
  addHttp(list, record)
  addContent(list, record)
  addOwn(list, record)
  return list.found
}

function addNetwork(list: AttributeList, record: unknown): void {
  const address = textAt(record, 'destination', 'ip')
  const port = portAt(record, 'destination', 'port')
  list.text('server.address', textAt(record, 'destination', 'domain') ?? address)
  list.count('server.port', port)
  if (address !== undefined) {
    list.text('network.peer.address', address)
    list.count('network.peer.port', port)
  }
  list.text('dns.question.name', textAt(record, 'dns', 'question', 'name'))
  list.text('client.address', textAt(record, 'source', 'ip'))
  list.count('client.port', portAt(record, 'source', 'port'))
  if (valueAt(record, 'destination') !== undefined) list.text('network.transport', 'tcp')
  if (valueAt(record, 'tls') === undefined) return
  list.whole('tls.established', valueAt(record, 'tls', 'established') === true)
  list.text('tls.protocol.name', 'tls')
  list.text('tls.protocol.version', textAt(record, 'tls', 'version'))
  list.text('sallyport.tls.server_name', textAt(record, 'tls', 'client', 'server_name'))
}

function addHttp(list: AttributeList, record: unknown): void {
  for (const [name, path] of URL_TEXTS) list.text(name, textAt(record, ...path))
  list.count('url.port', portAt(record, 'url', 'port'))
  list.text('user_agent.original', textAt(record, 'user_agent', 'original'))
  if (valueAt(record, 'http') === undefined) return
  const method = textAt(record, 'http', 'request', 'method')
  const isKnown = method === undefined || METHODS.has(method)
  list.text('http.request.method', isKnown ? method : '_OTHER')
  if (!isKnown) list.text('http.request.method_original', method)
  list.count('http.request.body.size', countAt(record, 'http', 'request', 'bytes'))
  list.count('http.response.status_code', countAt(record, 'http', 'response', 'status_code'))
  list.count('http.response.body.size', countAt(record, 'http', 'response', 'bytes'))
  list.text('network.protocol.name', 'http')
  list.text('network.protocol.version', textAt(record, 'http', 'version'))
}

function paths(...names: readonly string[]): (readonly [string, readonly string[]])[] {
  return names.map((name) => [name, name.split('.')])
}

const URL_TEXTS = paths('url.full', 'url.scheme', 'url.domain', 'url.path', 'url.query')
const TEXTS = paths(
  'mcp.method.name',
  'mcp.protocol.version',
  'mcp.session.id',
  'mcp.resource.uri',
  'jsonrpc.request.id',
  'gen_ai.operation.name',
  'gen_ai.provider.name',
  'gen_ai.request.model',
  'gen_ai.conversation.id',
  'gen_ai.response.id',
  'gen_ai.response.model',
  'gen_ai.prompt.name',
  'gen_ai.tool.name',
  'gen_ai.tool.call.id',
  'rpc.response.status_code',
)
const COUNTS = paths(
  'gen_ai.request.max_tokens',
  'gen_ai.usage.input_tokens',
  'gen_ai.usage.output_tokens',
)
// What was said, structured as it was.
const CONTENTS = paths(
  'gen_ai.tool.call.arguments',
  'gen_ai.tool.call.result',
  'gen_ai.input.messages',
  'gen_ai.output.messages',
)

// What all of those paths begin with: most records have none of it.
const READ_MEMBERS = ['mcp', 'jsonrpc', 'gen_ai', 'rpc']

function addContent(list: AttributeList, record: unknown): void {
  if (READ_MEMBERS.some((name) => valueAt(record, name) !== undefined)) addRead(list, record)
  list.text('error.type', errorTypeOf(record))
  list.text('gen_ai.agent.id', textAt(record, 'sallyport', 'task', 'instance'))
  list.text('gen_ai.agent.name', textAt(record, 'sallyport', 'task', 'agent'))
}

function addRead(list: AttributeList, record: unknown): void {
  for (const [name, path] of TEXTS) list.text(name, textAt(record, ...path))
  for (const [name, path] of COUNTS) list.count(name, countAt(record, ...path))
  for (const [name, path] of CONTENTS) list.whole(name, valueAt(record, ...path))
  const isStreamed = valueAt(record, 'gen_ai', 'request', 'stream')
  if (typeof isStreamed === 'boolean') list.whole('gen_ai.request.stream', isStreamed)
  const reasons = textsAt(record, 'gen_ai', 'response', 'finish_reasons')
  if (reasons.length > 0) list.whole('gen_ai.response.finish_reasons', reasons)
}

// What failed by our own word has the token of it: few, and the same everywhere.
function errorTypeOf(record: unknown): string | undefined {
  const type = textAt(record, 'error', 'type')
  if (type !== undefined || textAt(record, 'event', 'outcome') !== 'failure') return type
  return textAt(record, 'event', 'reason')
}

function addOwn(list: AttributeList, record: unknown): void {
  list.text('log.record.uid', textAt(record, 'event', 'id'))
  list.text('security_rule.name', textAt(record, 'rule', 'id'))
  list.text('security_rule.ruleset.name', textAt(record, 'rule', 'ruleset'))
  list.text('security_rule.version', textAt(record, 'rule', 'version'))
  list.text('sallyport.event.kind', textAt(record, 'event', 'kind'))
  list.text('sallyport.event.action', textAt(record, 'event', 'action'))
  list.text('sallyport.event.outcome', textAt(record, 'event', 'outcome'))
  list.text('sallyport.event.reason', textAt(record, 'event', 'reason'))
  list.whole('sallyport.event.category', textsAt(record, 'event', 'category'))
  list.whole('sallyport.event.type', textsAt(record, 'event', 'type'))
  list.count('sallyport.event.duration', countAt(record, 'event', 'duration'))
  list.opened('sallyport.threat', valueAt(record, 'threat'))
  list.opened('sallyport', valueAt(record, 'sallyport'))
}
