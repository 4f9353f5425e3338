// What is known of a call when a record of it is written. Plain values; `ecs.ts` turns them into the journal's JSON.
// Deliberately without secrets: names of credentials only. Called by `recorder.ts` and `call-text.ts`.

import type { Call, CallHold, CallKind, ClientAddress, Message } from '../call.ts'
import type { TraceContext } from '../wire/trace-context.ts'
import type { Reason } from '../errors.ts'
import type { InspectedFields } from '../inspect/fields.ts'
import type { Decision, RuleRef } from '../policy/decision.ts'
import type { DataClass, Task } from '../tasks/task.ts'
import type { Endpoint } from '../wire/authority.ts'
import type { RecordBody } from './body.ts'
import { firstValue } from '../wire/headers.ts'
import type { CanonicalRequest } from '../wire/receive.ts'

/** The `event.action`s of one call. */
export type CallAction = 'call-started' | 'call-progress' | 'call-ended' | 'call-denied'

/** The facts, growing as the call moves on. What is not known yet may be there as undefined: one shape is cheap to make. */
export interface CallFacts {
  readonly id: string
  readonly kind: CallKind
  /** The tunnel's call id for what happens inside one. */
  readonly parent?: string | undefined
  readonly mode: 'enforce' | 'observe'
  /** Epoch milliseconds. */
  readonly startedAt: number
  /** Nanoseconds from the first byte to the record. */
  readonly durationNs: number
  readonly client: Pick<ClientAddress, 'address' | 'port' | 'door'>
  readonly dialed?: RecordBody['sallyport']['dialed']
  readonly task?: Task | undefined
  readonly decision?:
    | {
        readonly id: string
        readonly verdict: 'allow' | 'deny' | 'hold'
        readonly reason: Reason
        readonly rule?: RuleRef | undefined
        readonly policy: string
        /** Microseconds the decision took. */
        readonly us: number
        readonly wouldDeny?: Reason | undefined
        readonly data?: DataClass | undefined
        readonly regulation?: readonly string[] | undefined
        readonly category?: readonly string[] | undefined
        readonly read?: DataClass | undefined
      }
    | undefined
  /** How it ended, or `allowed` while it goes on. */
  readonly reason: Reason
  readonly target?:
    | {
        /** `https`, `http`, `wss`, `ws`, or `tls`/`tcp` for tunnels. */
        readonly scheme: string
        readonly endpoint: Endpoint
        /** As judged, latin1; absent for tunnels. */
        readonly path?: string | undefined
        /** As judged, without `?`, credentials never in it. */
        readonly query?: string | undefined
      }
    | undefined
  readonly request?:
    | {
        readonly method: string
        /** `1.1` or `1.0`. */
        readonly version: string
        readonly bytes: number
        readonly userAgent?: string | undefined
      }
    | undefined
  readonly response?:
    | {
        readonly status: number
        readonly bytes: number
        readonly mimeType?: string | undefined
      }
    | undefined
  /** What went through an opaque tunnel. */
  readonly tunnelled?: { readonly bytesOut: number; readonly bytesIn: number } | undefined
  readonly upstream?:
    | {
        readonly address?: string
        readonly port: number
        readonly tlsVersion?: string
        readonly connectBy?: 'address' | 'name'
      }
    | undefined
  /** What the client showed of TLS towards the proxy. */
  readonly clientTls?: { readonly serverName?: string; readonly version?: string } | undefined
  readonly credential?:
    | {
        readonly name: string
        readonly action: 'injected' | 'replaced' | 'dropped' | 'answered'
      }
    | undefined
  /** `full`: calls are judged one by one; `connect`: the tunnel around them; `none`: opaque. */
  readonly inspection: 'full' | 'connect' | 'none'
  readonly hold?: RecordBody['sallyport']['hold']
  /** Of a record of one of its messages. */
  readonly message?: Pick<Message, 'id' | 'direction' | 'kind'> | undefined
  /** Fields of the request's head that are kept. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** What was read of its bytes, or of the message's. */
  readonly inspected?: InspectedFields | undefined
  readonly trace?: TraceContext | undefined
  /** Small facts of a failure, never secrets. */
  readonly detail?: Readonly<Record<string, string | number>> | undefined
}

/** Reads a call's facts off it, as of now. Every object is written out whole, in one shape, so that it is cheap to make. */
export function factsOf(call: Call): CallFacts {
  const { arrival, request, decision, tunnel } = call
  return {
    id: arrival.id,
    kind: arrival.kind,
    parent: arrival.parent,
    mode: modeOf(call.task, decision),
    startedAt: arrival.startedAt,
    durationNs: call.elapsedNs(),
    client: arrival.client,
    dialed: dialedOf(call),
    task: call.task,
    decision: decision === undefined ? undefined : decisionOf(call, decision),
    reason: call.reason,
    target: request ? targetOf(request) : tunnel && tunnelOf(call, tunnel),
    request: request === undefined ? undefined : requestOf(call, request),
    response: responseOf(call),
    tunnelled: tunnelledOf(call),
    upstream: call.upstream,
    clientTls: call.clientTls,
    credential: call.credential,
    inspection: inspectionOf(call),
    hold: call.hold === undefined ? undefined : holdFacts(call.hold),
    message: undefined,
    headers: call.recordedHeaders,
    inspected: call.inspected,
    trace: call.trace,
    detail: call.detail,
  }
}

/** Where the client thought it was going, as far as it is known. */
export function dialedOf({ arrival, dialedMatch }: Call): RecordBody['sallyport']['dialed'] {
  const { dialed } = arrival.client
  if (dialed === undefined) return undefined
  return { ip: dialed.address, port: dialed.port, match: dialedMatch }
}

function holdFacts({ id, by, at }: CallHold): NonNullable<CallFacts['hold']> {
  return { id, by, at: at === undefined ? undefined : new Date(at).toISOString() }
}

/** Whether what is not allowed is only told: because the task observes, or by what decided. */
export function modeOf(
  task: Task | undefined,
  decision: Pick<Decision, 'wouldDeny'> | undefined,
): CallFacts['mode'] {
  return task?.observe === true || decision?.wouldDeny !== undefined ? 'observe' : 'enforce'
}

function decisionOf(call: Call, decision: Decision): CallFacts['decision'] {
  const facts = decisionFacts(call.decisionId ?? '', decision, call.decisionUs)
  return call.read === undefined ? facts : { ...facts, read: call.read }
}

/** What a record tells of a decision. @param us microseconds that it took */
export function decisionFacts(
  id: string,
  decision: Message['decision'],
  us: number,
): NonNullable<CallFacts['decision']> {
  return {
    id,
    verdict: decision.verdict,
    reason: decision.reason,
    rule: decision.rule,
    policy: decision.policy,
    us: Math.round(us),
    wouldDeny: decision.wouldDeny,
    data: decision.obligations.data,
    regulation: decision.obligations.regulation,
    category: decision.obligations.category,
  }
}

/** What a request asks for. */
export function targetOf(request: CanonicalRequest): NonNullable<CallFacts['target']> {
  const secure = request.scheme === 'https'
  return {
    scheme: request.upgrade ? (secure ? 'wss' : 'ws') : request.scheme,
    endpoint: request.endpoint,
    path: request.path.raw,
    query: request.query,
  }
}

/** Where a tunnel goes. */
export function tunnelOf(
  { tunnelMode }: Call,
  endpoint: Endpoint,
): NonNullable<CallFacts['target']> {
  return { scheme: tunnelMode === 'tls' ? 'tls' : 'tcp', endpoint }
}

/** What went through an opaque tunnel. */
export function tunnelledOf({
  tunnel,
  tunnelMode,
  cleared,
  bytesOut,
  bytesIn,
}: Call): CallFacts['tunnelled'] {
  if (tunnel === undefined || tunnelMode === 'inspect' || cleared !== true) return undefined
  return { bytesOut, bytesIn }
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

/** How far a call is looked into. */
export function inspectionOf(call: Call): CallFacts['inspection'] {
  if (call.arrival.kind !== 'tunnel') return 'full'
  return call.tunnelMode === 'inspect' ? 'connect' : 'none'
}
