// Puts calls on record: `call-started` before the first byte leaves, one terminal record on every path, progress in
// between, alerts beside. Turns a Call into facts, counts metrics, and keeps floods of refusals exact. Called by
// `pipeline.ts`, `ledger/` and the sweep of open calls.

import type { Call } from '../call.ts'
import type { Task } from '../tasks/task.ts'
import { firstValue } from '../wire/headers.ts'
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
    if (call.reason === 'placeholder-misused')
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

function factsOf(call: Call): CallFacts {
  const { arrival, request, decision, identity } = call
  const facts: Mutable<CallFacts> = {
    id: arrival.id,
    kind: arrival.kind,
    mode: decision?.wouldDeny === undefined ? 'enforce' : 'observe',
    startedAt: arrival.startedAt,
    durationNs: call.elapsedNs(),
    client: arrival.client,
    reason: call.reason,
    inspection: inspectionOf(call),
  }
  if (arrival.parent !== undefined) facts.parent = arrival.parent
  if (identity) facts.task = identity.task
  if (decision)
    facts.decision = {
      id: call.decisionId ?? '',
      verdict: decision.verdict,
      reason: decision.reason,
      ...(decision.rule && { rule: decision.rule }),
      policy: decision.policy,
      us: Math.round(call.decisionUs),
      ...(decision.wouldDeny !== undefined && { wouldDeny: decision.wouldDeny }),
    }
  if (request) {
    const secure = request.scheme === 'https'
    const userAgent = firstValue(request.headers, 'user-agent')
    facts.target = {
      scheme: request.upgrade ? (secure ? 'wss' : 'ws') : request.scheme,
      endpoint: request.endpoint,
      path: request.path.raw,
      ...(request.query !== undefined && { query: request.query }),
    }
    facts.request = {
      method: request.method,
      version: request.version,
      bytes: call.bytesOut,
      ...(userAgent !== undefined && { userAgent }),
    }
  } else if (call.tunnel)
    facts.target = { scheme: call.tunnelMode === 'tls' ? 'tls' : 'tcp', endpoint: call.tunnel }
  if (call.response) facts.response = { ...call.response, bytes: call.bytesIn }
  else if (call.tunnel && call.cleared) facts.response = { status: 200, bytes: call.bytesIn }
  if (call.upstream) facts.upstream = call.upstream
  if (call.clientTls) facts.clientTls = call.clientTls
  if (call.credential) facts.credential = call.credential
  if (call.detail && Object.keys(call.detail).length > 0) facts.detail = call.detail
  return facts
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

function inspectionOf(call: Call): CallFacts['inspection'] {
  if (call.arrival.kind !== 'tunnel') return 'full'
  return call.tunnelMode === 'inspect' ? 'connect' : 'none'
}
