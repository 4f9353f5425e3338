// What the head of a call says of what is inside: enough to know whether it is worth reading. Runs for every call that posts.
// Called by `understand.ts`.

import { acceptsEvents } from '../inspect/mcp/content-type.ts'
import { recogniseModelApi, type ModelApi } from '../inspect/model/api.ts'
import { recogniseRealtime } from '../inspect/model/realtime.ts'
import { hasHeader, valuesOf } from '../wire/headers.ts'
import type { CanonicalRequest } from '../wire/receive.ts'

const MARKS = ['mcp-protocol-version', 'mcp-session-id', 'mcp-method'] as const

/** The API of models that a call speaks, or may speak, by its head; undefined where it is none. */
export function recogniseApi({
  method,
  endpoint,
  path,
  headers,
}: CanonicalRequest): ModelApi | undefined {
  return recogniseModelApi({ method, host: endpoint.host, path: path.raw, headers })
}

/** The realtime API of models that an upgrade asks for; undefined where it is none. */
export function recogniseUpgrade({
  endpoint,
  path,
  query,
}: CanonicalRequest): ModelApi | undefined {
  return recogniseRealtime({ host: endpoint.host, path: path.raw, query })
}

/** Whether a client of MCP posts: it names its revision, or takes an answer and a stream of events alike. */
export function saysMcp({ headers }: CanonicalRequest): boolean {
  if (MARKS.some((name) => hasHeader(headers, name))) return true
  return acceptsEvents(headers) && valuesOf(headers, 'accept').some(takesJson)
}

function takesJson(accept: string): boolean {
  return accept.toLowerCase().includes('application/json')
}
