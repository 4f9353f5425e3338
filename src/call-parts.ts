// What a call is made of besides itself: what it waits for, what leaves, what comes back, what stands between. Types only;
// given out by `call.ts`.

import type { Secret } from './credentials/secret.ts'
import type { Reason } from './errors.ts'
import type { InspectedFields } from './inspect/fields.ts'
import type { Unit } from './ledger/owed.ts'
import type { Decision } from './policy/decision.ts'
import type { Body, RawHeaders } from './wire/body.ts'
import type { TraceContext } from './wire/trace-context.ts'

/** The hold that a call waits for, and who let it through once somebody did. */
export interface CallHold {
  readonly id: string
  readonly by?: string
  readonly via?: 'control' | 'webhook'
  /** Epoch milliseconds. */
  readonly at?: number
}

/** A client's socket that nobody reads. */
export interface UnreadSocket {
  /**
   * Reads on while nothing may leave yet, so that a client that leaves is seen: its call is cut.
   * @returns what ends that; what was read is not lost
   */
  watch(): () => void
}

/** What leaves, credentials in place. Never written to a record. */
export interface Outgoing {
  readonly headers: readonly string[]
  /** Path and query as sent. */
  readonly path: string
  /** What it carries, where a credential was added. */
  readonly secret?: Secret
  /** The body as it leaves: within its bounds, watched, with what was put into it. */
  readonly body: Body
  /** Where the body is not the client's any more; absent: framed as the client did. */
  readonly framing?: { readonly kind: 'length'; readonly length: number }
  /** Absent: it is sent once. */
  readonly repeat?: {
    /** Makes it anew with another secret; undefined: not all of it is there any more. */
    readonly remake: (secret: Secret) => Promise<Outgoing | undefined>
    /** It will not be sent again: nothing is kept for that. */
    readonly forget: () => void
  }
  /** Shown to the upstream by TLS: `certificate` and `key` are parts of it. */
  readonly certificate?: Secret
}

/** What the upstream answered; the body follows. */
export interface UpstreamResponse {
  readonly status: number
  readonly statusText: string
  /** In order and spelling, without this hop's and its framing. */
  readonly headers: RawHeaders
  /** What `Content-Length` is to say; undefined where nothing. */
  readonly length: number | undefined
  readonly body: Body
}

/** An answer of our own, head and body. */
export interface Answer {
  readonly status: number
  /** Carries the token: many clients show nothing else of a refused CONNECT. */
  readonly statusText: string
  /** Without framing. */
  readonly headers: readonly string[]
  readonly body: string | Uint8Array
}

/** What stands between the two parties of a call whose bytes are looked into. Made by `understand/`. */
export interface Inspection {
  /** The request's body as it leaves: byte for byte what was judged. */
  readonly body: Body
  /** The head's fields as they are sent on: an answer that is to be read must not come compressed. */
  rewriteHead(headers: RawHeaders): RawHeaders
  /** Puts on record what the request says, before it leaves. @throws EgressError audit-unavailable */
  recordRequest(): Promise<void>
  /** The response as the client gets it. @throws response-malformed; what broke its body off, which is aborted then */
  filterResponse(response: UpstreamResponse): UpstreamResponse | Promise<UpstreamResponse>
  /** Is shown what passes of an upgraded connection; it changes nothing and never throws. */
  readonly frames?: {
    readonly sent: (bytes: Uint8Array) => void
    readonly received: (bytes: Uint8Array) => void
  }
  /** What it counts as against limits, message by message; absent: one call. */
  readonly units?: readonly Unit[]
  /** Resolves when the client would read a refusal; it never rejects. */
  awaitReader(): Promise<void>
  /** A refusal in the words of the protocol inside; undefined where the usual ones are understood. */
  writeRefusal(reason: Reason): Answer | undefined
  /** The call is over: what is still to be said of it goes on the call. */
  finish(): void
}

/** One message inside a call that was judged by itself: MCP, either way. */
export interface Message {
  /** A ULID of its own. */
  readonly id: string
  readonly direction: 'to-server' | 'to-client'
  readonly kind: 'request' | 'notification' | 'response'
  readonly decision: Pick<
    Decision,
    'verdict' | 'reason' | 'rule' | 'obligations' | 'policy' | 'wouldDeny'
  >
  readonly decisionId: string
  /** Microseconds the decision took. */
  readonly decisionUs: number
  /** A response to nothing that is known to wait for one: a server sends as many as it likes. */
  readonly isUnasked?: boolean
  readonly fields: InspectedFields
  readonly trace?: TraceContext
  /** Small facts of a refusal, never secrets. */
  readonly detail?: Readonly<Record<string, string | number>>
}
