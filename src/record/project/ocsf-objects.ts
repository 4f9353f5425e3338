// The objects of OCSF that events of several classes have: who acted, from where to where, what was asked and answered.
// Pure; an object that its class demands something of, which the record does not know, is left out. Called by the classes.

import { canonicalAddress } from '../../wire/address.ts'
import type { Origin } from './format.ts'
import { compact, countAt, portAt, textAt, valueAt, type JsonObject } from './members.ts'
import { HTTP_ACTIVITIES } from './ocsf-words.ts'

const HOST_NAME =
  /^(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/

/** Who acted: the agent's instance as a service account, the task as its session. */
export function actorOf(record: unknown): JsonObject | undefined {
  const task = valueAt(record, 'sallyport', 'task')
  const user = userOf(record)
  const session = compact({
    uid: textAt(task, 'id'),
    credential_uid: textAt(record, 'sallyport', 'credential', 'name'),
    issuer: textAt(task, 'id') === undefined ? undefined : 'sallyport',
  })
  return compact({ user, session })
}

/** The agent's instance; undefined where the record knows none. */
export function userOf(record: unknown): JsonObject | undefined {
  const task = valueAt(record, 'sallyport', 'task')
  const uid = textAt(task, 'instance')
  const name = textAt(task, 'agent')
  if (uid === undefined && name === undefined) return undefined
  const team = textAt(task, 'team')
  return compact({
    uid,
    name,
    type_id: 4,
    type: 'Service',
    org: team === undefined ? undefined : { ou_name: team },
  })
}

/** Somebody of whom only the name is known: a principal of the control API, or the sidecar. */
export function namedActor(name: string | undefined): JsonObject {
  if (name === undefined || name === 'sidecar') return { app_name: 'sallyport' }
  return { user: { name } }
}

/** Where it came from; the sandbox stands for an address that is not known. */
export function sourceOf(record: unknown): JsonObject {
  const sandbox = textAt(record, 'sallyport', 'task', 'sandbox')
  const found = compact({
    ...addressOf(textAt(record, 'source', 'ip')),
    port: portAt(record, 'source', 'port'),
    uid: sandbox,
  })
  const isNamed = found !== undefined && ('ip' in found || 'name' in found || 'uid' in found)
  return isNamed ? found : { ...found, name: 'unknown' }
}

/** Where it went, or was to go. */
export function destinationOf(record: unknown): JsonObject | undefined {
  const domain = textAt(record, 'destination', 'domain')
  const address = addressOf(textAt(record, 'destination', 'ip'))
  const host = domain === undefined ? {} : hostOf(domain)
  if (domain === undefined && !('ip' in address)) return undefined
  return compact({ ...address, ...host, port: portAt(record, 'destination', 'port') })
}

function addressOf(text: string | undefined): JsonObject {
  if (text === undefined) return {}
  return canonicalAddress(text) === undefined ? { name: text } : { ip: text }
}

// A name that is no host name by the schema's expression keeps its text.
function hostOf(name: string): JsonObject {
  return isHostName(name) ? { hostname: name } : { name }
}

/** Whether a name is one by the schema's expression. */
export function isHostName(name: string): boolean {
  return name.length <= 253 && HOST_NAME.test(name)
}

/** The URL of a call. */
function urlOf(record: unknown): JsonObject | undefined {
  const text = textAt(record, 'url', 'full')
  const path = textAt(record, 'url', 'path')
  const domain = textAt(record, 'url', 'domain')
  // The schema demands one of them.
  if (text === undefined && path === undefined) return undefined
  return compact({
    url_string: text,
    scheme: textAt(record, 'url', 'scheme'),
    hostname: domain !== undefined && isHostName(domain) ? domain : undefined,
    port: portAt(record, 'url', 'port'),
    path,
    query_string: textAt(record, 'url', 'query'),
  })
}

/** The request; a method that the schema does not list is only the activity's name. */
export function requestOf(record: unknown): JsonObject | undefined {
  const method = textAt(record, 'http', 'request', 'method')
  return compact({
    uid: textAt(record, 'http', 'request', 'id') ?? textAt(record, 'sallyport', 'call', 'id'),
    http_method: method !== undefined && HTTP_ACTIVITIES.has(method) ? method : undefined,
    version: textAt(record, 'http', 'version'),
    user_agent: textAt(record, 'user_agent', 'original'),
    body_length: countAt(record, 'http', 'request', 'bytes'),
    url: urlOf(record),
  })
}

/** The response; undefined before there is one. */
export function responseOf(record: unknown): JsonObject | undefined {
  const code = countAt(record, 'http', 'response', 'status_code')
  if (code === undefined) return undefined
  return compact({
    code,
    body_length: countAt(record, 'http', 'response', 'bytes'),
    content_type: textAt(record, 'http', 'response', 'mime_type'),
  })
}

/** The TLS of the client towards the proxy; undefined where its version is not known, which the schema demands. */
function clientTlsOf(record: unknown): JsonObject | undefined {
  const version = textAt(record, 'tls', 'version')
  if (version === undefined) return undefined
  return compact({ version, sni: textAt(record, 'tls', 'client', 'server_name') })
}

/** What every class of the network has: both ends, bytes, the proxy between them. */
export function networkMembers(record: unknown, origin: Origin): JsonObject {
  const bytesOut = countAt(record, 'http', 'request', 'bytes') ?? countAt(record, 'source', 'bytes')
  const bytesIn =
    countAt(record, 'http', 'response', 'bytes') ?? countAt(record, 'destination', 'bytes')
  const upstreamTls = textAt(record, 'sallyport', 'upstream', 'tls')
  const traffic = compact({
    bytes: bytesOut === undefined ? bytesIn : bytesOut + (bytesIn ?? 0),
    bytes_in: bytesIn,
    bytes_out: bytesOut,
  })
  return {
    src_endpoint: sourceOf(record),
    dst_endpoint: destinationOf(record),
    connection_info: {
      direction_id: 2,
      direction: 'Outbound',
      protocol_name: 'tcp',
      protocol_num: 6,
      ...(textAt(record, 'sallyport', 'call', 'id') !== undefined && {
        uid: textAt(record, 'sallyport', 'call', 'id'),
      }),
    },
    traffic,
    tls: clientTlsOf(record),
    observation_point_id: 3,
    observation_point: 'Neither',
    proxy_endpoint: { name: 'sallyport', uid: origin.journal },
    proxy_tls: upstreamTls === undefined ? undefined : { version: upstreamTls },
  }
}

/** The rule that decided, and the rules in force. */
export function ruleMembers(record: unknown): JsonObject {
  const id = textAt(record, 'rule', 'id')
  const ruleset = textAt(record, 'rule', 'ruleset')
  const version = textAt(record, 'rule', 'version')
  const digest = textAt(record, 'sallyport', 'decision', 'policy')
  const uid = id === undefined ? undefined : ruleset === undefined ? id : `${ruleset}/${id}`
  return {
    firewall_rule:
      uid === undefined ? undefined : compact({ uid, name: id, category: ruleset, version }),
    policy:
      digest === undefined
        ? undefined
        : compact({ uid: digest, name: ruleset, version, is_applied: true }),
  }
}

/** Pointers to what is searched for, by the schema's numbers of observables. */
export function observablesOf(event: JsonObject): readonly JsonObject[] | undefined {
  const found = OBSERVABLES.flatMap(([name, path, typeId, type]) => {
    const value = textAt(event, ...path)
    return value === undefined ? [] : [{ name, type_id: typeId, type, value }]
  })
  return found.length === 0 ? undefined : found
}

const OBSERVABLES = [
  ['dst_endpoint.hostname', ['dst_endpoint', 'hostname'], 1, 'Hostname'],
  ['dst_endpoint.ip', ['dst_endpoint', 'ip'], 2, 'IP Address'],
  ['src_endpoint.ip', ['src_endpoint', 'ip'], 2, 'IP Address'],
  ['http_request.url.url_string', ['http_request', 'url', 'url_string'], 6, 'URL String'],
  ['query.hostname', ['query', 'hostname'], 1, 'Hostname'],
] as const

/** The program as a product. */
export function productOf(origin: Origin): JsonObject {
  return { name: 'Sallyport', vendor_name: 'Sallyport', version: origin.version }
}

/** The trace that a call or a message belongs to; the span is its sender's, whose times nobody knows here. */
export function traceOf(record: unknown): JsonObject | undefined {
  const uid = textAt(record, 'trace', 'id')
  return uid === undefined ? undefined : { uid }
}
