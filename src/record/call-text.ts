// The texts of the two records of a call that is let through, made straight from the call: byte for byte what `ecs.ts` and
// `text.ts` make of its facts, at a fraction of the cost. Of an HTTP call the second repeats of the first what stays.
// Deliberately for no other record: progress, refusals and events are rarer. Called by `recorder.ts`.

import type { Call, Decided, Received } from '../call.ts'
import type { Endpoint } from '../wire/authority.ts'
import type { TraceContext } from '../wire/trace-context.ts'
import type { Reason } from '../errors.ts'
import type { Redactor } from '../inspect/redactor.ts'
import { firstValue } from '../wire/headers.ts'
import { jsonText } from '../wire/json-text.ts'
import { makeUlid } from '../wire/ulid.ts'
import type { QueuedRecord } from './journal/batch.ts'
import { agentOf, callEvent, ECS, isoTime, taskOf } from './ecs.ts'
import { dialedOf, inspectionOf, modeOf, targetOf, tunnelledOf, tunnelOf } from './facts.ts'
import type { TextParts } from './journal/open-starts.ts'
import { redactDetail, redactTask } from './redact-record.ts'
import {
  destinationText,
  eventText,
  inner,
  kept,
  namesText,
  numeral,
  optional,
  responseText,
  sourceText,
  traceText,
  upstreamText,
} from './text.ts'
import { tlsVersion, upstreamMember } from './upstream-member.ts'
import { urlTextOf } from './url.ts'

/** An HTTP call that has been decided, of which nothing is kept but the usual parts of its head. */
type DecidedRequest = Call & Received & Decided

/** The same of a tunnel. */
type DecidedTunnel = Call & Decided & { readonly tunnel: Endpoint }

/** Tells whether a call's start or end can be made by `startedRecord` and `endedRecord`. */
export function isDecidedRequest(call: Call): call is DecidedRequest {
  return call.arrival.kind !== 'tunnel' && call.request !== undefined && isPlainlyDecided(call)
}

/** Tells whether a call's start or end can be made by `tunnelRecord`. */
export function isDecidedTunnel(call: Call): call is DecidedTunnel {
  const { arrival, tunnel, request } = call
  return (
    arrival.kind === 'tunnel' &&
    tunnel !== undefined &&
    request === undefined &&
    isPlainlyDecided(call)
  )
}

function isPlainlyDecided(call: Call): boolean {
  return (
    call.identity !== undefined &&
    call.decision !== undefined &&
    call.inspected === undefined &&
    call.hold === undefined &&
    call.recordedHeaders === undefined
  )
}

/** Makes the `call-started`. @param now epoch milliseconds */
export function startedRecord(call: DecidedRequest, now: number, redactor: Redactor): QueuedRecord {
  const { arrival, request, decision } = call
  const { endpoint } = request
  const { address, port } = arrival.client
  const id = inner(arrival.id)
  const { task } = call.identity
  const host = redactor.text(endpoint.host, task.id)
  let text = beginning(now) + makeUlid(now) + eventEnding('call-started', 'forward', call.reason)
  const ruleAt = text.length
  if (decision.rule !== undefined) text += `,"rule":${kept(decision.rule)}`
  if (address !== undefined) text += sourceText({ ip: address, port })
  text += ',"destination":{'
  if (endpoint.kind === 'name') text += `"domain":"${inner(host)}",`
  const addressAt = text.length
  text += addressText(call)
  const portAt = text.length
  text += `"port":${numeral(endpoint.port)}}${urlTextOf(targetOf(request), host, redactor, task.id)}`
  text += `,"http":{"version":"${inner(redactor.text(request.version, task.id))}","request":{"id":"${id}"`
  text += `,"method":"${inner(redactor.text(request.method, task.id))}","bytes":`
  const bytesAt = text.length
  text += trafficText(call, redactor)
  const agentAt = text.length
  const agent = firstValue(request.headers, 'user-agent')
  if (agent !== undefined)
    text += `,"user_agent":{"original":"${inner(redactor.text(agentOf(agent).original, task.id))}"}`
  if (call.trace !== undefined) text += redactedTraceText(call.trace, redactor, task.id)
  text += judgedText(call, id, redactor)
  const credentialAt = text.length
  text += ending(call, redactor)
  const parts = { ruleAt, addressAt, portAt, bytesAt, agentAt, credentialAt }
  const taskId = call.identity.task.id
  return { text, action: 'call-started', callId: arrival.id, taskId, parts, late: undefined }
}

/** The text of a call's start, and where its parts are. */
interface StartedText {
  readonly text: string
  readonly parts: TextParts
}

/**
 * Makes the `call-ended`.
 * @param start of the same call
 * @param now epoch milliseconds
 */
export function endedRecord(
  call: DecidedRequest,
  { text: started, parts }: StartedText,
  redactor: Redactor,
  now: number,
): QueuedRecord {
  const text =
    beginning(now) +
    makeUlid(now) +
    eventEnding('call-ended', 'forward', call.reason) +
    `${numeral(call.elapsedNs())}}` +
    started.slice(parts.ruleAt, parts.addressAt) +
    addressText(call) +
    started.slice(parts.portAt, parts.bytesAt) +
    trafficText(call, redactor) +
    started.slice(parts.agentAt, parts.credentialAt) +
    ending(call, redactor)
  const callId = call.arrival.id
  const taskId = call.identity.task.id
  return { text, action: 'call-ended', callId, taskId, parts: undefined, late: undefined }
}

/** Makes the `call-started` or the `call-ended` of a tunnel. @param now epoch milliseconds */
export function tunnelRecord(
  call: DecidedTunnel,
  action: Action,
  now: number,
  redactor: Redactor,
): QueuedRecord {
  const { arrival, decision, tunnel, upstream, clientTls, trace } = call
  const { task } = call.identity
  const redact = (each: string): string => redactor.text(each, task.id)
  const { address, port } = arrival.client
  const { bytesOut, bytesIn } = tunnelledOf(call) ?? {}
  const host = redact(tunnel.host)
  const isName = tunnel.kind === 'name'
  let text = beginning(now) + makeUlid(now) + eventEnding(action, 'tunnel', call.reason)
  if (action === 'call-ended') text += `${numeral(call.elapsedNs())}}`
  if (decision.rule !== undefined) text += `,"rule":${kept(decision.rule)}`
  if (address !== undefined) text += sourceText({ ip: address, port, bytes: bytesOut })
  text += destinationText({
    domain: isName ? host : undefined,
    ip: upstream?.address ?? (isName ? undefined : tunnel.host),
    port: tunnel.port,
    bytes: bytesIn,
  })
  text += urlTextOf(tunnelOf(call, tunnel), host, redactor, task.id)
  if (clientTls !== undefined) text += `,"tls":${tlsText(clientTls, redact)}`
  if (trace !== undefined) text += redactedTraceText(trace, redactor, task.id)
  text += judgedText(call, inner(arrival.id), redactor) + ending(call, redactor)
  const callId = arrival.id
  return { text, action, callId, taskId: task.id, parts: undefined, late: undefined }
}

const ENFORCING = ',"sallyport":{"schema":1,"mode":"enforce","call":{"id":"'
const OBSERVING = ENFORCING.replace('enforce', 'observe')

const EVENT_ID = ',"event":{"id":"'

let lastTime = -1
let lastBeginning = ''

// Up to the event's id.
function beginning(now: number): string {
  if (now !== lastTime) {
    lastBeginning = ['{"@timestamp":"', isoTime(now), '","ecs":', kept(ECS), EVENT_ID].join('')
    lastTime = now
  }
  return lastBeginning
}

type Action = 'call-started' | 'call-ended'
type Endings = Readonly<Record<Action, Map<Reason, string>>>

const makeEndings = (): Endings => ({ 'call-started': new Map(), 'call-ended': new Map() })
const endings = { forward: makeEndings(), tunnel: makeEndings() }

// From the event's id on; where there is a duration, up to it.
function eventEnding(action: Action, kind: keyof typeof endings, reason: Reason): string {
  const ofAction = endings[kind][action]
  let text = ofAction.get(reason)
  if (text === undefined) {
    const event = callEvent('', { kind, reason, durationNs: 0 }, action)
    text = eventText(event).slice(EVENT_ID.length, event.duration === undefined ? undefined : -2)
    ofAction.set(reason, text)
  }
  return text
}

// The member `sallyport` up to the decision. @param id the call's, as it stands between quotes
function judgedText(call: Call & Decided, id: string, redactor: Redactor): string {
  const { arrival, decision } = call
  const { task } = call.identity
  const mode = modeOf(task, decision) === 'enforce' ? ENFORCING : OBSERVING
  return (
    `${mode}${id}","kind":"${arrival.kind}"${optional('parent', arrival.parent)}${optional('door', arrival.client.door)}}` +
    `,"task":${kept(redactTask(taskOf(task), redactor))}${decisionText(call)}`
  )
}

function addressText({ upstream, request: { endpoint } }: DecidedRequest): string {
  if (upstream?.address !== undefined) return `"ip":"${inner(upstream.address)}",`
  return endpoint.kind === 'name' ? '' : `"ip":"${inner(endpoint.host)}",`
}

function trafficText(call: DecidedRequest, redactor: Redactor): string {
  const { bytesOut, bytesIn, response, clientTls } = call
  const redact = (each: string): string => redactor.text(each, call.identity.task.id)
  let text = `${numeral(bytesOut)}}`
  if (response !== undefined) {
    const { status, mimeType } = response
    text += responseText(status, bytesIn, mimeType === undefined ? undefined : redact(mimeType))
  }
  if (clientTls === undefined) return `${text}}`
  return `${text}},"tls":${tlsText(clientTls, redact)}`
}

// The member `tls`, as `ecs.ts` makes it.
function tlsText(
  { serverName, version }: NonNullable<Call['clientTls']>,
  redact: (text: string) => string,
): string {
  const spoken = optional('version', tlsVersion(version === undefined ? version : redact(version)))
  const named = serverName === undefined ? '' : `"server_name":"${inner(redact(serverName))}"`
  return `{"established":true${spoken},"client":{${named}}}`
}

function redactedTraceText(
  { traceId, parentId }: TraceContext,
  redactor: Redactor,
  taskId: string,
): string {
  return traceText(redactor.text(traceId, taskId), redactor.text(parentId, taskId))
}

function decisionText({ decision, decisionId, decisionUs, read }: Call & Decided): string {
  const { verdict, reason, policy, wouldDeny, obligations } = decision
  const { data, regulation, category } = obligations
  return (
    `,"decision":{"id":"${inner(decisionId ?? '')}","verdict":"${verdict}","reason":"${reason}","policy":"${inner(policy)}"` +
    `,"us":${numeral(Math.round(decisionUs))}${optional('would_deny', wouldDeny)}` +
    `${optional('data', data)}${namesText('regulation', regulation)}${namesText('category', category)}${optional('read', read)}}`
  )
}

function ending(call: Call & Decided, redactor: Redactor): string {
  const { credential, upstream, detail } = call
  const redact = (each: string): string => redactor.text(each, call.identity.task.id)
  let text = ''
  if (credential !== undefined)
    text += `,"credential":{"name":"${inner(credential.name)}","action":"${credential.action}"}`
  text += `,"inspection":"${inspectionOf(call)}"`
  const dialed = dialedOf(call)
  if (dialed !== undefined) text += `,"dialed":${jsonText(dialed)}`
  const member = upstream && upstreamMember(upstream)
  if (member !== undefined)
    text += upstreamText(member.tls === undefined ? member : { ...member, tls: redact(member.tls) })
  if (detail === undefined) return `${text}}}`
  return `${text},"detail":${jsonText(redactDetail(detail, 'call-ended', redactor, redact))}}}`
}
