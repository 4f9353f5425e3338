// Where a message says that it stands in a trace: W3C Trace Context in `_meta`. Pure; called by `understand/mcp-judge.ts`.

import { readTraceparent, type TraceContext } from '../../wire/trace-context.ts'
import type { McpMessage } from './messages.ts'
import { isObject, own } from '../json-values.ts'

/** The trace that a message names in `params._meta.traceparent`; undefined where it names none, or none that is well formed. */
export function traceOf(message: McpMessage): TraceContext | undefined {
  if (message.kind === 'response' || message.params === undefined) return undefined
  const meta = own(message.params, '_meta')
  const text = isObject(meta) ? own(meta, 'traceparent') : undefined
  return typeof text === 'string' ? readTraceparent(text) : undefined
}
