// Puts calls on record: `call-started` before the first byte leaves, one terminal record on every path, progress in
// between, alerts beside. Turns a Call into facts, counts metrics, and keeps floods of refusals exact. Called by
// `pipeline.ts`, `ledger/` and the sweep of open calls.

import type { Call } from '../call.ts'
import type { Decision } from '../policy/decision.ts'
import type { Task } from '../tasks/task.ts'
import { firstValue } from '../wire/headers.ts'
import type { CanonicalRequest } from '../wire/receive.ts'
import { callRecord, eventRecord, type EventFields } from './ecs.ts'
import type { CallAction, CallFacts } from './facts.ts'
import type { DenialLimiter } from './flood.ts'
import type { Journal } from './journal.ts'
import type { Metrics } from './metrics.ts'

/** What recording needs. */
export interface RecorderOptions {
  readonly journal: Journal
  readonly denials: DenialLimiter
  readonly metrics: Metrics
  readonly now: () => number
  /** Told of a record that could not be written after its call had begun: there is nothing left to refuse. */
  readonly onLost: (error: unknown) => void
}

/** The recorder of one sidecar. */
export class CallRecorder {
  readonly #options: RecorderOptions
  readonly #alerted: Set<string> = new Set()

  constructor(options: RecorderOptions) {
    this.#options = options
  }

  /** Resolves when `call-started` is written. @throws EgressError audit-unavailable */
  recordStart(call: Call): Promise<void> {
    return this.#options.journal.append(this.#record(call, 'call-started'))
  }

  /** Writes what moved so far. */
  recordProgress(call: Call): void {
    this.#append(call, 'call-progress')
  }

  /** Writes the one terminal record of a call. */
  recordEnd(call: Call): void {
    const denied = call.cleared !== true
    const { metrics, denials, now } = this.#options
    metrics.countCall(denied ? 'deny' : 'allow', call.reason, call.decisionUs / 1e6)
    if (denied && !denials.admit(call.identity?.task, call.reason, now())) return
    // One in a body has been told when it was seen.
    if (call.reason === 'placeholder-misused' && call.detail?.['place'] !== 'body')
      this.#event('placeholder-misused', call, {
        credential: String(call.detail?.['credential'] ?? ''),
      })
    this.#append(call, denied ? 'call-denied' : 'call-ended')
  }

  /** A placeholder travels in a body to a place where it is worthless: one alert a task and host. */
  recordPlaceholderInBody(call: Call, credential: string): void {
    const host = call.request?.endpoint.host ?? ''
    const key = `${call.identity?.task.id} ${host}`
    if (this.#alerted.has(key)) return
    // Bounded: past this an alert may repeat, which is the harmless side.
    if (this.#alerted.size >= 10_000) this.#alerted.clear()
    this.#alerted.add(key)
    this.#event('placeholder-misused', call, { credential, place: 'body', host })
  }

  /** Writes an event that is no call. */
  recordEvent(action: string, fields: Omit<EventFields, 'now'>): void {
    this.#options.journal
      .append(eventRecord(action, { ...fields, now: this.#options.now() }))
      .catch(this.#options.onLost)
  }

  #event(action: string, call: Call, detail: Record<string, string>): void {
    const task: Task | undefined = call.identity?.task
    this.recordEvent(action, {
      kind: 'alert',
      reason: 'placeholder-misused',
      outcome: 'failure',
      ...(task && { task }),
      detail: { call: call.id, ...detail },
    })
  }

  #append(call: Call, action: CallAction): void {
    this.#options.journal.append(this.#record(call, action)).catch(this.#options.onLost)
  }

  #record(call: Call, action: CallAction): ReturnType<typeof callRecord> {
    return callRecord(factsOf(call), action, this.#options.now())
  }
}

// On the path of every call, twice: every object is written out whole, in one shape, so that it stays cheap to make.
function factsOf(call: Call): CallFacts {
  const { arrival, request, decision } = call
  return {
    id: arrival.id,
    kind: arrival.kind,
    parent: arrival.parent,
    mode: decision?.wouldDeny === undefined ? 'enforce' : 'observe',
    startedAt: arrival.startedAt,
    durationNs: call.elapsedNs(),
    client: arrival.client,
    task: call.identity?.task,
    decision: decision === undefined ? undefined : decisionOf(call, decision),
    reason: call.reason,
    target: request === undefined ? tunnelOf(call) : targetOf(request),
    request: request === undefined ? undefined : requestOf(call, request),
    response: responseOf(call),
    upstream: call.upstream,
    clientTls: call.clientTls,
    credential: call.credential,
    inspection: inspectionOf(call),
    detail: call.detail,
  }
}

function decisionOf(call: Call, decision: Decision): CallFacts['decision'] {
  return {
    id: call.decisionId ?? '',
    verdict: decision.verdict,
    reason: decision.reason,
    rule: decision.rule,
    policy: decision.policy,
    us: Math.round(call.decisionUs),
    wouldDeny: decision.wouldDeny,
  }
}

function targetOf(request: CanonicalRequest): CallFacts['target'] {
  const secure = request.scheme === 'https'
  return {
    scheme: request.upgrade ? (secure ? 'wss' : 'ws') : request.scheme,
    endpoint: request.endpoint,
    path: request.path.raw,
    query: request.query,
  }
}

function tunnelOf(call: Call): CallFacts['target'] {
  if (call.tunnel === undefined) return undefined
  return { scheme: call.tunnelMode === 'tls' ? 'tls' : 'tcp', endpoint: call.tunnel }
}

function requestOf(call: Call, request: CanonicalRequest): CallFacts['request'] {
  return {
    method: request.method,
    version: request.version,
    bytes: call.bytesOut,
    userAgent: firstValue(request.headers, 'user-agent'),
  }
}

function responseOf(call: Call): CallFacts['response'] {
  const { response } = call
  if (response !== undefined)
    return { status: response.status, mimeType: response.mimeType, bytes: call.bytesIn }
  return call.tunnel && call.cleared ? { status: 200, bytes: call.bytesIn } : undefined
}

function inspectionOf(call: Call): CallFacts['inspection'] {
  if (call.arrival.kind !== 'tunnel') return 'full'
  return call.tunnelMode === 'inspect' ? 'connect' : 'none'
}
