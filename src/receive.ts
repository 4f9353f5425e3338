// The stage received: a head becomes one canonical request, or the refusal of whoever sent it. Called by `pipeline.ts`.

import type { Call, Received } from './call.ts'
import { EgressError, type Reason } from './errors.ts'
import type { CallScope, Parts } from './stages.ts'
import type { Endpoint } from './wire/authority.ts'
import type { RawHeaders } from './wire/body.ts'
import { hasHeader, valuesOf } from './wire/headers.ts'
import { checkHttp2Size } from './wire/http2-head.ts'
import {
  readConnect,
  readDirect,
  readRequest,
  type CanonicalRequest,
  type RequestHead,
} from './wire/receive.ts'
import { readTraceparent, type TraceContext } from './wire/trace-context.ts'

// What can be wrong with a request whose end is beyond doubt all the same.
const FRAMED_REASONS: ReadonlySet<Reason> = new Set<Reason>([
  'missing-host',
  'duplicate-host',
  'authority-mismatch',
  'malformed-target',
  'malformed-port',
  'malformed-path',
  'scoped-ip',
  'method-not-allowed',
])

/** The stage received of an HTTP call. @throws EgressError of that stage */
export function receive(
  call: Call,
  head: RequestHead,
  scope: CallScope,
  parts: Parts,
): Call & Received {
  try {
    call.receive(readHead(call, head, scope, parts))
  } catch (error) {
    // What is sent on another way to try again is its sender's refusal, however it is spelled.
    if (!call.framingInDoubt) attribute(call, head.headers, parts)
    throw error
  }
  const trace = readTrace(head.headers)
  if (trace) call.trace = trace
  const kept = keepHeaders(head.headers, parts.recordedHeaders)
  if (kept) call.recordedHeaders = kept
  return call
}

/** The stage received of a CONNECT. @throws EgressError of that stage */
export function readTunnel(call: Call, head: RequestHead, parts: Parts): Endpoint {
  try {
    return readConnect(head, parts.limits.headerCountMax)
  } catch (error) {
    attribute(call, head.headers, parts)
    throw error
  }
}

/** Notes whose call it is that cannot be read, where its head or its listener says so all the same. */
export function attribute(call: Call, headers: RawHeaders, { identifier }: Parts): void {
  try {
    call.task = identifier.identify(call.arrival, headers).task
  } catch (error) {
    if (!(error instanceof EgressError)) throw error
  }
}

// Longer values are cut: stores of records ignore them.
const HEADER_LENGTH_MAX = 1024

function keepHeaders(
  headers: RawHeaders,
  names: readonly string[],
): Readonly<Record<string, string>> | undefined {
  const kept = names
    .filter((name) => hasHeader(headers, name))
    .map((name) => [name, valuesOf(headers, name).join(', ').slice(0, HEADER_LENGTH_MAX)])
  return kept.length > 0 ? Object.fromEntries(kept) : undefined
}

// One that is there twice names no trace.
function readTrace(headers: RawHeaders): TraceContext | undefined {
  if (!hasHeader(headers, 'traceparent')) return undefined
  const [traceparent = '', ...others] = valuesOf(headers, 'traceparent')
  return others.length === 0 ? readTraceparent(traceparent) : undefined
}

// Where the framing is in doubt nobody can say where the next request begins: the door is told before anything is awaited. The
// frames of HTTP/2 say so whatever is in them.
function readHead(call: Call, head: RequestHead, scope: CallScope, parts: Parts): CanonicalRequest {
  const { headBytesMax, headerCountMax } = parts.limits
  const isHttp2 = head.version === '2'
  try {
    if (isHttp2) checkHttp2Size(head.headers, headBytesMax)
    const { direct } = scope
    const tunnel = direct ? readDirect(head, direct, headerCountMax) : scope.tunnel
    return readRequest(head, tunnel, headerCountMax)
  } catch (error) {
    const isFramed = isHttp2 || (error instanceof EgressError && FRAMED_REASONS.has(error.reason))
    call.framingInDoubt = !isFramed
    throw error
  }
}
