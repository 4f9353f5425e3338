// The Call: one HTTP request and its response, or one opaque tunnel, from its first byte to its record. It moves forward
// only, and each move narrows its type, so that a stage cannot be skipped. `pipeline.ts` moves it; everybody else reads it.

import assert from 'node:assert'

import type { CallHold, Inspection, Outgoing, UpstreamResponse } from './call-parts.ts'
import type { Reason, Wait } from './errors.ts'
import type { InspectedFields } from './inspect/fields.ts'
import type { QuotaCharge } from './ledger/owed.ts'
import type { PolicyChain } from './policy/conjunction.ts'
import type { Moment } from './policy/facts.ts'
import type { ConnectDecision, Decision } from './policy/decision.ts'
import type { DataClass, Task, TaskStanding } from './tasks/task.ts'
import type { Endpoint } from './wire/authority.ts'
import type { Body, RawHeaders } from './wire/body.ts'
import { firstValue } from './wire/headers.ts'
import type { CanonicalRequest } from './wire/receive.ts'
import type { TraceContext } from './wire/trace-context.ts'

export type {
  Answer,
  CallHold,
  Inspection,
  Message,
  Outgoing,
  UnreadSocket,
  UpstreamResponse,
} from './call-parts.ts'

/** How a call came in: asked for in absolute form, inside an intercepted tunnel, as a WebSocket upgrade, as a tunnel. */
export type CallKind = 'forward' | 'intercepted' | 'upgrade' | 'tunnel'

/** Who asked, as the connection says. */
export interface ClientAddress {
  /** Absent on a unix socket. */
  readonly address?: string
  readonly port?: number
  /** What the verified certificate of the client's connection names. */
  readonly certificateSubject?: string
  /** The door it came by; absent: the explicit proxy. */
  readonly door?: 'socks' | 'transparent'
  /** Where the client thought it was going, where a door is told: compared and recorded, never trusted. */
  readonly dialed?: { readonly address: string; readonly port: number }
}

/** What the door knows before it has read anything. */
export interface Arrival {
  readonly id: string
  readonly kind: CallKind
  /** The tunnel's call id. */
  readonly parent?: string | undefined
  /** Epoch milliseconds. */
  readonly startedAt: number
  readonly client: ClientAddress
  /** The task whose listener it came in by, or whose tunnel it is in; undefined: the call itself has to prove one. */
  readonly boundTo?: TaskStanding | undefined
}

/** Whose call it is: the task, and the rules in force for it and for those above it when the call was identified. */
export interface Identity {
  readonly task: Task
  /** The task's own first, then its parent's, and so on: all of them must allow (I9). */
  readonly policies: PolicyChain
  /** The task as it stands at any later time. */
  readonly standing: TaskStanding
  /** What deciding looks at beside call and rules, as it is when it is asked. */
  readonly moment: () => Moment
}

/** The client's side of an HTTP call, made by a door and driven by the pipeline. */
export interface ClientSide {
  readonly body: Body
  /** Tells a client that waits for it to send the body; once, however often it is asked for. */
  sendContinue(): void
  /** Passes an informational response on, where the client can take one now. */
  sendInformational(status: number, headers: RawHeaders): void
  /** Sends a response and resolves once its last byte is handed to the socket.
   * @throws EgressError client-gone; whatever reading the body throws */
  sendResponse(response: UpstreamResponse): Promise<void>
  /** Answers with the table's words; false when a response had begun already, which is then broken off. */
  sendRefusal(reason: Reason, call: Call): boolean
}

/** A call that has a canonical request. */
export interface Received {
  readonly request: CanonicalRequest
}
/** A call whose task is known. */
export interface Identified {
  readonly identity: Identity
}
/** A call that has been decided. */
export interface Decided extends Identified {
  readonly decision: Decision
}
/** A call whose start is on record: from here on it may leave. */
export interface Cleared extends Decided {
  readonly cleared: true
}
/** A call whose outgoing head is written. */
export interface Prepared extends Cleared {
  readonly outgoing: Outgoing
}

/** One call, growing stage by stage. */
export class Call {
  readonly arrival: Arrival
  readonly #startedAtMs: number = performance.now()
  request?: CanonicalRequest
  /** Where a tunnel goes; for HTTP calls see `request`. */
  tunnel?: Endpoint
  tunnelMode?: ConnectDecision['mode']
  identity?: Identity
  /** The task, also where the call was refused while it was identified. */
  task?: Task
  /** Whether it is counted against its task's share. */
  isCounted = false
  /** Bytes that wait in memory for its inspection, counted against its task's share. */
  heldBytes = 0
  decision?: Decision | ConnectDecision
  decisionId?: string
  /** What the tree of its task had read when it was decided, where that is above public. */
  read?: DataClass
  /** Microseconds the decision took. */
  decisionUs = 0
  /** Who is asked to let it through. */
  hold?: CallHold
  cleared?: true
  outgoing?: Outgoing
  credential?: {
    readonly name: string
    readonly action: 'injected' | 'replaced' | 'dropped' | 'answered'
  }
  /** Known once it is dialed. */
  upstream?: {
    /** Absent where a proxy above was asked for the name. */
    readonly address?: string
    readonly port: number
    readonly tlsVersion?: string
    /** What a proxy above was asked for. */
    readonly connectBy?: 'address' | 'name'
  }
  /** How what its client dialed compares with where it went, once it is over: nothing to compare with where absent. */
  dialedMatch?: 'upstream' | 'resolved' | 'synthetic' | 'other' | undefined
  clientTls?: { readonly serverName?: string; readonly version?: string }
  response?: { readonly status: number; readonly mimeType?: string }
  /** What a recogniser made of its bytes, for the record; grows until the call is over. */
  inspected?: InspectedFields
  /** Fields of the request's head that records keep, by their names in lower case; redacted when they are recorded. */
  recordedHeaders?: Readonly<Record<string, string>>
  /** Names of the tools that it calls just now, so that it can be cut with one of them. */
  tools?: Set<string>
  /** As the head says; not changed once the start is on record. */
  trace?: TraceContext
  inspection?: Inspection
  /** Bytes of body or tunnel towards the upstream. */
  bytesOut = 0
  /** Bytes of body or tunnel towards the client. */
  bytesIn = 0
  /** The request's framing is not beyond doubt: nothing behind it on its connection is a request. */
  framingInDoubt = false
  reason: Reason = 'allowed'
  detail?: Readonly<Record<string, string | number>>
  /** How long a refused client has to wait, where it is known. */
  wait?: Wait | undefined
  /** What it took of limits; undefined where it counts against none. */
  charge?: QuotaCharge | undefined
  #cutters: (() => void)[] | undefined
  #cutReason: Reason | undefined

  constructor(arrival: Arrival) {
    this.arrival = arrival
  }

  get id(): string {
    return this.arrival.id
  }

  /** What cut the call off, where something did. */
  get cutReason(): Reason | undefined {
    return this.#cutReason
  }

  receive(request: CanonicalRequest): asserts this is this & Received {
    assert(this.request === undefined, 'a call is received once')
    this.request = request
  }

  identify(identity: Identity): asserts this is this & Identified {
    assert(this.identity === undefined, 'a call is identified once')
    this.identity = identity
    this.task = identity.task
  }

  /** Takes the rules as they are now, before they decide, or decide again: what had to be waited for may have taken long. */
  renew(this: Call & Identified, identity: Identity): void {
    assert(
      (this.decision === undefined || this.#isHeld) && identity.task.id === this.identity.task.id,
      'rules are renewed before they decide',
    )
    Object.assign(this, { identity })
  }

  decide(decision: Decision, id: string, us: number): asserts this is this & Decided {
    assert(
      this.identity !== undefined && this.decision === undefined,
      'decided after identified, once',
    )
    this.decision = decision
    this.decisionId = id
    this.decisionUs = us
  }

  /** Puts the decision of now in place of one that held the call. */
  decideAgain(
    this: Call & Decided,
    decision: Decision | ConnectDecision,
    id: string,
    us: number,
  ): void {
    assert(this.#isHeld, 'only a held call is decided again')
    Object.assign(this, { decision, decisionId: id, decisionUs: us })
  }

  /** Whether a person has yet to let it through. */
  get #isHeld(): boolean {
    return this.decision?.verdict === 'hold' && this.cleared === undefined
  }

  clear(): asserts this is this & Cleared {
    const isGranted = this.decision?.verdict === 'hold' && this.hold?.by !== undefined
    assert(
      (this.decision?.verdict === 'allow' || isGranted) && this.cleared === undefined,
      'only an allowed call is cleared, or one that a person let through',
    )
    this.cleared = true
  }

  prepare(outgoing: Outgoing): asserts this is this & Prepared {
    assert(this.cleared === true, 'a call is cleared before it is prepared')
    this.outgoing = outgoing
  }

  /** Keeps what the record says of the response. */
  noteResponse(response: UpstreamResponse): void {
    const mimeType = firstValue(response.headers, 'content-type')?.split(';', 1)[0]?.trim()
    const { status } = response
    this.response = mimeType === undefined ? { status } : { status, mimeType }
  }

  /** Registers what to do when the call is cut; called at once if it already was. */
  onCut(cutter: () => void): void {
    if (this.#cutReason !== undefined) cutter()
    else (this.#cutters ??= []).push(cutter)
  }

  /** Ends the call from outside (client gone, task ended, idle, drain). The first reason stays. */
  cut(reason: Reason): void {
    if (this.#cutReason !== undefined) return
    this.#cutReason = reason
    const cutters = this.#cutters
    this.#cutters = undefined
    if (cutters) for (const cutter of cutters) cutter()
  }

  /** Nanoseconds since the call began. */
  elapsedNs(): number {
    return Math.round((performance.now() - this.#startedAtMs) * 1e6)
  }
}
