// What a reviewer sees of a held call: written from what was judged, without secrets, and bounded. Deliberately nothing that the
// sandbox says about itself. Called by `hold-request.ts` and `hold-tunnel.ts`.

import { hash } from 'node:crypto'

import type { Call, Decided, Received } from '../call.ts'
import { makeKeeper, type Keeper } from '../inspect/keep.ts'
import { readJson } from '../inspect/json.ts'
import { isObject, own } from '../inspect/json-values.ts'
import type { JsonValue } from '../inspect/fields.ts'
import type { McpMessage, McpRequest } from '../inspect/mcp/messages.ts'
import { isSecretMember } from '../inspect/redact.ts'
import { countedFields } from '../ledger/holds/digest.ts'
import type { Parts } from '../stages.ts'
import type { HeldBody, HeldRequest, HeldTool } from '../tasks/hold-view.ts'
import { firstValue } from '../wire/headers.ts'

/** What of a call is held. */
export interface HeldContent {
  readonly bytes: Uint8Array
  /** Where the rules looked at the messages in it. */
  readonly messages: readonly McpMessage[] | undefined
}

const PREVIEW_BYTES_MAX = 4096
const ARGUMENTS_BYTES_MAX = 8192
const TOOLS_MAX = 20
const HEADERS_MAX = 40
const HEADER_LENGTH_MAX = 256
// Longer than the part of a secret by which it is known, so that none is cut through before it is seen as one.
const SEEN_BEHIND = 8192
const FORM = 'application/x-www-form-urlencoded'
// What is no text says nothing to anybody.
const BINARY = /(?![\t-\r])\p{Cc}/u

/** Describes an HTTP call, or an upgrade. */
export function describeRequest(
  call: Call & Received & Decided,
  { bytes, messages }: HeldContent,
  parts: Parts,
): HeldRequest {
  const { request, decision, identity } = call
  const { redactor } = parts
  const taskId = identity.task.id
  const { endpoint, path, query, headers } = request
  const secure = request.scheme === 'https'
  const calls = (messages ?? []).filter(isToolCall)
  const tools = calls.slice(0, TOOLS_MAX).map((message) => describeTool(message, call, parts))
  const fields = countedFields(headers)
  const { credential, data, regulation } = decision.obligations
  return {
    kind: request.upgrade ? 'upgrade' : 'request',
    method: redactor.text(request.method, taskId),
    scheme: request.upgrade ? (secure ? 'wss' : 'ws') : request.scheme,
    host: redactor.text(endpoint.host, taskId),
    port: endpoint.port,
    path: redactor.path(path.raw, taskId),
    ...(query !== undefined && { query: redactor.query(query, taskId) }),
    headers: fields
      .slice(0, HEADERS_MAX)
      .map(([name, value]) => [redactor.text(name, taskId), shownField(name, value, call, parts)]),
    ...(bytes.length > 0 && { body: describeBody(bytes, call, parts) }),
    ...(tools.length > 0 && { tools }),
    ...unshownOf(fields.length - HEADERS_MAX, calls.length - TOOLS_MAX),
    ...(credential !== undefined && { credential }),
    ...(data !== undefined && { data }),
    ...(regulation !== undefined && { regulation }),
  }
}

function shownField(
  name: string,
  value: string,
  call: Call & Decided,
  { redactor }: Parts,
): string {
  if (isSecretMember(name, value)) return '[secret:header]'
  return cutText(redactor.text(value, call.identity.task.id))
}

// What is not shown is told: else whoever fills the view hides what comes behind.
function unshownOf(headers: number, tools: number): Pick<HeldRequest, 'unshown'> {
  if (headers <= 0 && tools <= 0) return {}
  return { unshown: { ...(headers > 0 && { headers }), ...(tools > 0 && { tools }) } }
}

function cutText(text: string): string {
  return text.length > HEADER_LENGTH_MAX ? `${text.slice(0, HEADER_LENGTH_MAX)}…` : text
}

function describeBody(bytes: Uint8Array, call: Call & Received & Decided, parts: Parts): HeldBody {
  const type = firstValue(call.request.headers, 'content-type')
  const shown = type && parts.redactor.text(type, call.identity.task.id)
  return {
    bytes: bytes.length,
    sha256: hash('sha256', bytes, 'hex'),
    ...(shown !== undefined && { type: cutText(shown) }),
    ...previewOf(bytes, type, call, parts),
  }
}

function previewOf(
  bytes: Uint8Array,
  type: string | undefined,
  call: Call & Decided,
  parts: Parts,
): Pick<HeldBody, 'preview' | 'truncated'> {
  const value = jsonIn(bytes)
  if (value !== undefined) {
    const kept = keeperOf(call, parts, PREVIEW_BYTES_MAX).keep(value, 'redacted')
    return {
      preview: JSON.stringify(kept?.value ?? null),
      ...(kept?.truncated && { truncated: true }),
    }
  }
  const text = new TextDecoder().decode(bytes.subarray(0, PREVIEW_BYTES_MAX + SEEN_BEHIND))
  if (BINARY.test(text)) return {}
  const taskId = call.identity.task.id
  const { redactor } = parts
  const redacted = type?.startsWith(FORM)
    ? redactor.query(text, taskId)
    : redactor.text(text, taskId)
  const isCut = bytes.length > PREVIEW_BYTES_MAX
  return {
    preview: isCut ? redacted.slice(0, PREVIEW_BYTES_MAX) : redacted,
    ...(isCut && { truncated: true }),
  }
}

function jsonIn(bytes: Uint8Array): JsonValue | undefined {
  try {
    return readJson(bytes)
  } catch {
    return undefined
  }
}

function isToolCall(message: McpMessage): message is McpRequest {
  return message.kind === 'request' && message.method === 'tools/call'
}

function describeTool({ params = {} }: McpRequest, call: Call & Decided, parts: Parts): HeldTool {
  const name = own(params, 'name')
  const given = own(params, 'arguments')
  const written = typeof name === 'string' ? name : ''
  const shown = { name: cutText(parts.redactor.text(written, call.identity.task.id)) }
  if (!isObject(given)) return shown
  const kept = keeperOf(call, parts, ARGUMENTS_BYTES_MAX).keep(given, 'redacted')
  const truncated = kept?.truncated && { truncated: kept.truncated }
  return isObject(kept?.value) ? { ...shown, arguments: kept.value, ...truncated } : shown
}

function keeperOf({ identity }: Call & Decided, { redactor }: Parts, bytesMax: number): Keeper {
  return makeKeeper({ bytesMax, mask: (text) => redactor.known(text, identity.task.id) })
}
