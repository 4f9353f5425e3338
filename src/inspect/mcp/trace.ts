// Where a message says that it stands in a trace: W3C Trace Context in `_meta`. Strict, as what is wrong is not a trace.
// Pure; called by whoever records.

import type { McpMessage } from './messages.ts'
import { isObject, own } from './values.ts'

/** Where a message stands in a trace, as whoever sent it says. */
export interface MessageTrace {
  /** 32 lower-case hex digits. */
  readonly traceId: string
  /** 16 lower-case hex digits. */
  readonly parentId: string
}

// Later versions may add parts behind the flags.
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-[!-~]{1,256})?$/
const NOTHING = /^0+$/

/** The trace that a message names in `params._meta.traceparent`; undefined where it names none, or none that is well formed. */
export function traceOf(message: McpMessage): MessageTrace | undefined {
  if (message.kind === 'response' || message.params === undefined) return undefined
  const meta = own(message.params, '_meta')
  const text = isObject(meta) ? own(meta, 'traceparent') : undefined
  return typeof text === 'string' ? readTraceparent(text) : undefined
}

/** The trace that a `traceparent` names. @see W3C Trace Context section 3.2 */
export function readTraceparent(text: string): MessageTrace | undefined {
  const parts = TRACEPARENT.exec(text)
  if (!parts) return undefined
  const [, version, traceId = '', parentId = '', more] = parts
  if (version === 'ff' || (version === '00' && more !== undefined)) return undefined
  return NOTHING.test(traceId) || NOTHING.test(parentId) ? undefined : { traceId, parentId }
}
