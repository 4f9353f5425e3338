// Reads a `traceparent` (W3C Trace Context), which names the trace and the span that a call or a message belongs to.
// Deliberately reads no `tracestate` and makes no ids of its own: what is not exactly a traceparent is none. Pure. Called by
// who reads heads and messages.

/** Where a call or a message stands in a trace (W3C Trace Context), as whoever sent it says. */
export interface TraceContext {
  /** 32 lower-case hex digits. */
  readonly traceId: string
  /** 16 lower-case hex digits: the span that made the call. */
  readonly parentId: string
}

const LENGTH = 55
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}/
const NO_TRACE = '0'.repeat(32)
const NO_SPAN = '0'.repeat(16)

/**
 * Reads a `traceparent`; undefined where it is not one, byte for byte: whoever sent it then has no trace.
 * A version after 00 may say more behind another dash, which is not read.
 * @see https://www.w3.org/TR/trace-context/#traceparent-header
 */
export function readTraceparent(text: string): TraceContext | undefined {
  const [, version, traceId, parentId] = TRACEPARENT.exec(text) ?? []
  if (traceId === undefined || parentId === undefined || version === 'ff') return undefined
  if (traceId === NO_TRACE || parentId === NO_SPAN) return undefined
  if (text.length > LENGTH && (version === '00' || text[LENGTH] !== '-')) return undefined
  return { traceId, parentId }
}
