// What is approved: the digest of a call as it would leave. Everything that is forwarded and could mean something counts; what
// clients change when they repeat a call does not. Pure. Called by `held.ts` above the ledger.

import { createHash, hash } from 'node:crypto'

import type { Endpoint } from '../../wire/authority.ts'
import type { RawHeaders } from '../../wire/body.ts'
import { stripHopByHop } from '../../wire/hop-by-hop.ts'

/** A call, as far as an approval is for it. */
export interface DigestedCall {
  readonly kind: 'request' | 'upgrade' | 'tunnel'
  /** `CONNECT` of a tunnel. */
  readonly method: string
  /** `https`, `http`; of a tunnel `tls`, `tcp`. */
  readonly scheme: string
  readonly endpoint: Pick<Endpoint, 'host' | 'port'>
  /** As it is forwarded, byte for byte; empty of a tunnel. */
  readonly path: string
  readonly query: string | undefined
  readonly headers: RawHeaders
  /** The bytes, or, where their ids and tokens of progress are the client's alone, the text that means the same. */
  readonly body: Uint8Array | string
}

/**
 * Fields that clients change from one attempt to the next and by which no upstream is to do anything else: they may differ
 * between what was approved and what is let through. All others count, in their order a name.
 */
const VOLATILE_FIELDS: ReadonlySet<string> = new Set([
  'amz-sdk-request',
  'date',
  'traceparent',
  'tracestate',
  'x-stainless-retry-count',
])

/** What a client has to draw anew for every handshake of WebSocket, and nothing but the answer's own field depends on. */
const HANDSHAKE_KEY = 'sec-websocket-key'

/** Gives `sha256:` and 64 hex digits of a call; two calls have the same one only if one may stand for the other. */
export function digestCall(call: DigestedCall): string {
  const { kind, method, scheme, endpoint, path, query, headers, body } = call
  const form = typeof body === 'string' ? 'messages' : 'bytes'
  // A text of JSON keeps the parts apart: none of them can pass for two.
  const text = JSON.stringify([
    'sallyport-hold-1',
    kind,
    method,
    scheme,
    endpoint.host,
    endpoint.port,
    path,
    query ?? null,
    countedFields(headers).filter(([name]) => kind !== 'upgrade' || name !== HANDSHAKE_KEY),
    form,
    hash('sha256', body, 'hex'),
  ])
  return `sha256:${createHash('sha256').update(text).digest('hex')}`
}

/** The fields that leave and count, names in lower case and sorted, those of one name in their order; `Host` is in the URL. */
export function countedFields(headers: RawHeaders): [name: string, value: string][] {
  const stripped = stripHopByHop(headers)
  const fields: [string, string][] = []
  for (let at = 0; at < stripped.length; at += 2) {
    const name = stripped[at]!.toLowerCase()
    if (name !== 'host' && !VOLATILE_FIELDS.has(name)) fields.push([name, stripped[at + 1]!])
  }
  return fields.toSorted(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0))
}
