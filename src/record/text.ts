// The JSON text of a record, exactly as `jsonText` would write it and several times as fast: two records are written
// for every call. What does not change between calls (the task, the rule, the lists) is written once. Called by `batch.ts`
// and, piece by piece, by `call-text.ts`.

import { jsonText } from '../wire/json-text.ts'
import type { RecordBody, RecordTask } from './body.ts'

// What needs no escape and is harmless; everything else is left to `jsonText`.
const PLAIN = /^[ !#-;=?-[\]-~]*$/

const texts = new WeakMap<object, string>()

/** The text of a record. The last member is `sallyport`, so that the chain can be written into it. */
export function recordText(record: RecordBody): string {
  const { event, message, rule, source, destination, user_agent: agent, tls } = record
  let text = `{"@timestamp":"${record['@timestamp']}","ecs":${kept(record.ecs)}`
  if (message !== undefined) text += `,"message":${quote(message)}`
  text += eventText(event)
  if (rule !== undefined) text += `,"rule":${kept(rule)}`
  if (source !== undefined) text += sourceText(source)
  if (destination !== undefined) text += destinationText(destination)
  if (record.url !== undefined) text += urlText(record.url)
  if (record.http !== undefined) text += httpText(record.http)
  if (tls !== undefined) text += `,"tls":${jsonText(tls)}`
  if (agent !== undefined) text += `,"user_agent":{"original":${quote(agent.original)}}`
  text += inspectedText(record)
  return `${text}${sallyportText(record.sallyport)}}`
}

function quote(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : jsonText(text)
}

/** What stands between the quotes of a JSON string: fewer pieces to put together than with the quotes of its own. */
export function inner(text: string): string {
  return PLAIN.test(text) ? text : jsonText(text).slice(1, -1)
}

/** A JSON number. */
export function numeral(value: number): string {
  return Number.isFinite(value) ? String(value) : 'null'
}

/** A further member whose value is a string; nothing where there is none. */
export function optional(name: string, text: string | undefined): string {
  return text === undefined ? '' : `,"${name}":"${inner(text)}"`
}

/** The text of an object that many records share: made once. */
export function kept(value: object): string {
  let text = texts.get(value)
  if (text === undefined) {
    text = jsonText(value)
    texts.set(value, text)
  }
  return text
}

/** The member `event`. */
export function eventText(event: RecordBody['event']): string {
  const { id, kind, category, action, type, outcome, reason, duration } = event
  return (
    `,"event":{"id":"${id}","kind":"${kind}","category":${kept(category)},"action":${quote(action)}` +
    `,"type":${kept(type)},"outcome":"${outcome}"${optional('reason', reason)}` +
    `${duration === undefined ? '' : `,"duration":${numeral(duration)}`}}`
  )
}

/** The member `source`. */
export function sourceText({ ip, port, bytes }: NonNullable<RecordBody['source']>): string {
  if (ip === undefined || port === undefined) return `,"source":${jsonText({ ip, port, bytes })}`
  const last = bytes === undefined ? '' : `,"bytes":${numeral(bytes)}`
  return `,"source":{"ip":"${inner(ip)}","port":${numeral(port)}${last}}`
}

/** The member `destination`. */
export function destinationText({
  domain,
  ip,
  port,
  bytes,
}: NonNullable<RecordBody['destination']>): string {
  const first = domain === undefined ? '' : `"domain":${quote(domain)},`
  const second = ip === undefined ? '' : `"ip":${quote(ip)},`
  const last = bytes === undefined ? '' : `,"bytes":${numeral(bytes)}`
  return `,"destination":{${first}${second}"port":${numeral(port)}${last}}`
}

function urlText({
  full,
  scheme,
  domain,
  port,
  path,
  query,
}: NonNullable<RecordBody['url']>): string {
  return (
    `,"url":{"full":"${inner(full)}","scheme":"${inner(scheme)}","domain":"${inner(domain)}","port":${numeral(port)}` +
    `${optional('path', path)}${optional('query', query)}}`
  )
}

function httpText({ version, request, response }: NonNullable<RecordBody['http']>): string {
  const { id, method, bytes } = request
  let text = `,"http":{"version":${quote(version)},"request":{"id":${quote(id)},"method":${quote(method)},"bytes":${numeral(bytes)}}`
  if (response !== undefined)
    text += responseText(response.status_code, response.bytes, response.mime_type)
  return `${text}}`
}

/** The member `response` of `http`. */
export function responseText(status: number, bytes: number, mimeType: string | undefined): string {
  return `,"response":{"status_code":${numeral(status)},"bytes":${numeral(bytes)}${optional('mime_type', mimeType)}}`
}

/** The members that say what the bytes mean and where they stand in a trace; few records have any. */
function inspectedText({
  gen_ai,
  mcp,
  jsonrpc,
  rpc,
  error,
  trace,
  span,
  threat,
  dns,
}: RecordBody): string {
  let text = ''
  if (gen_ai !== undefined) text += `,"gen_ai":${jsonText(gen_ai)}`
  if (mcp !== undefined) text += `,"mcp":${jsonText(mcp)}`
  if (jsonrpc !== undefined) text += `,"jsonrpc":${jsonText(jsonrpc)}`
  if (rpc !== undefined) text += `,"rpc":${jsonText(rpc)}`
  if (error !== undefined) text += `,"error":${jsonText(error)}`
  if (trace !== undefined && span !== undefined) text += traceText(trace.id, span.id)
  if (threat !== undefined) text += `,"threat":${jsonText(threat)}`
  if (dns !== undefined) text += `,"dns":${jsonText(dns)}`
  return text
}

/** The members `trace` and `span`. */
export function traceText(traceId: string, spanId: string): string {
  return `,"trace":{"id":"${inner(traceId)}"},"span":{"id":"${inner(spanId)}"}`
}

function sallyportText(own: RecordBody['sallyport']): string {
  const { mode, call, message, task, decision, credential, upstream, detail, chain } = own
  let text = ',"sallyport":{"schema":1'
  if (mode !== undefined) text += `,"mode":"${mode}"`
  if (call !== undefined)
    text += `,"call":{"id":${quote(call.id)}${optional('kind', call.kind)}${optional('parent', call.parent)}${optional('door', call.door)}}`
  if (message !== undefined) text += `,"message":${jsonText(message)}`
  if (task !== undefined) text += `,"task":${kept(task satisfies RecordTask)}`
  if (decision !== undefined) text += decisionText(decision)
  if (credential !== undefined)
    text += `,"credential":{"name":${quote(credential.name)}${optional('action', credential.action)}}`
  if (own.inspection !== undefined) text += `,"inspection":"${own.inspection}"`
  if (own.hold !== undefined) text += `,"hold":${jsonText(own.hold)}`
  if (own.headers !== undefined) text += `,"headers":${jsonText(own.headers)}`
  if (own.content !== undefined) text += `,"content":${jsonText(own.content)}`
  if (own.dialed !== undefined) text += `,"dialed":${jsonText(own.dialed)}`
  if (upstream !== undefined) text += upstreamText(upstream)
  if (own.detection !== undefined) text += `,"detection":${jsonText(own.detection)}`
  if (own.checkpoint !== undefined) text += `,"checkpoint":${jsonText(own.checkpoint)}`
  if (detail !== undefined) text += `,"detail":${jsonText(detail)}`
  if (chain !== undefined) text += `,"chain":${jsonText(chain)}`
  return `${text}}`
}

/** The member `upstream` of our own part. */
export function upstreamText(upstream: NonNullable<RecordBody['sallyport']['upstream']>): string {
  const { tls, connect_by: connectBy } = upstream
  // Most have the one and nothing else.
  if (tls === undefined || connectBy !== undefined) return `,"upstream":${jsonText(upstream)}`
  return `,"upstream":{"tls":${quote(tls)}}`
}

function decisionText(decision: NonNullable<RecordBody['sallyport']['decision']>): string {
  const { id, verdict, reason, policy, us, would_deny: wouldDeny } = decision
  const { data, regulation, category, read } = decision
  return (
    `,"decision":{"id":${quote(id)},"verdict":"${verdict}","reason":${quote(reason)},"policy":${quote(policy)}` +
    `,"us":${numeral(us)}${optional('would_deny', wouldDeny)}${optional('data', data)}${namesText('regulation', regulation)}` +
    `${namesText('category', category)}${optional('read', read)}}`
  )
}

/** A list of names as a member, where there is one: the text of a rule's own list is made once. */
export function namesText(name: string, names: readonly string[] | undefined): string {
  return names === undefined ? '' : `,"${name}":${kept(names)}`
}
