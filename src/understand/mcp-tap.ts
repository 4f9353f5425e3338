// MCP that no rule looks into: what the client says is put on record as it flows by, allowed by the rule that lets the call
// through. Nothing is changed and nothing waits; what cannot be read is the server's to make sense of. Used through `taps.ts`.

import { EgressError } from '../errors.ts'
import { readJson } from '../inspect/json.ts'
import { messageFields } from '../inspect/mcp/fields.ts'
import { readMessages, type McpMessage } from '../inspect/mcp/messages.ts'
import { traceOf } from '../inspect/mcp/trace.ts'
import { tapBody } from '../inspect/whole-body.ts'
import type { Parts } from '../stages.ts'
import type { Body } from '../wire/body.ts'
import { makeUlid } from '../wire/ulid.ts'
import { makeInspection, type Screened } from './inspection.ts'
import { keeperFor, modeOf } from './keeping.ts'
import { TappedBytes } from './tapped-bytes.ts'

/** Leaves on a call what records its messages as they flow by. */
export function tapMcpCall(call: Screened, body: Body, parts: Parts): void {
  const tapped = new TappedBytes(call, parts)
  call.inspection = makeInspection({
    body: tapBody(
      body,
      (chunk) => tapped.push(chunk),
      () => {
        const bytes = tapped.take()
        if (bytes) recordMessages(call, bytes, parts)
      },
    ),
  })
}

function recordMessages(call: Screened, bytes: Uint8Array, parts: Parts): void {
  for (const message of readAll(bytes)) recordMessage(call, message, parts)
}

function readAll(bytes: Uint8Array): readonly McpMessage[] {
  try {
    return readMessages(readJson(bytes), 'to-server').messages
  } catch (error) {
    if (error instanceof EgressError) return []
    throw error
  }
}

function recordMessage(call: Screened, message: McpMessage, parts: Parts): void {
  const { decision } = call
  if (decision === undefined) return
  const keeper = keeperFor(call, parts)
  const mode = modeOf(decision, 'tools', parts)
  const trace = traceOf(message)
  const recorded = parts.recorder.recordMessage(call, {
    id: makeUlid(Date.now()),
    direction: message.direction,
    kind: message.kind,
    decision,
    decisionId: call.decisionId ?? '',
    decisionUs: 0,
    fields: messageFields(message, { keep: (value) => keeper.keep(value, mode) }),
    ...(trace && { trace }),
  })
  recorded.catch(() => call.cut('audit-unavailable'))
}
