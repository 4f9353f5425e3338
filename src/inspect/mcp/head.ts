// The heads of MCP's requests: which calls can be MCP at all, and what is asked of a server whose answer is to be read. Called by
// `exchange.ts` and `understand/`.

import type { RawHeaders } from '../../wire/body.ts'
import { hasHeader } from '../../wire/headers.ts'
import { acceptsEvents } from './content-type.ts'

const OF_CODING: ReadonlySet<string> = new Set(['accept-encoding', 'range', 'if-range'])

/** Whether a call can be MCP by its head; what is not is never let through by a rule for MCP. */
export function isMcpRequest(method: string, headers: RawHeaders): boolean {
  // What an upgraded connection says is not read.
  if (hasHeader(headers, 'upgrade')) return false
  if (method === 'POST') return true
  if (method === 'GET') return acceptsEvents(headers)
  return method === 'DELETE' && hasHeader(headers, 'mcp-session-id')
}

/** The head of a request as the server gets it: its answer must come whole and not compressed. */
export function askPlainly(headers: RawHeaders): RawHeaders {
  return [...withoutFields(headers, OF_CODING), 'Accept-Encoding', 'identity']
}

/** The fields of a head but some. @param names in lower case */
export function withoutFields(headers: RawHeaders, names: ReadonlySet<string>): RawHeaders {
  const kept: string[] = []
  for (let at = 0; at < headers.length; at += 2)
    if (!names.has(headers[at]!.toLowerCase())) kept.push(headers[at]!, headers[at + 1]!)
  return kept
}
