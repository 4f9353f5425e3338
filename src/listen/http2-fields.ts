// Fields as HTTP/2 writes them: in lower case, without those that speak of a connection. Called by `http2-side.ts`.

import type { RawHeaders } from '../wire/body.ts'

/** Fields as node's library takes them. */
export type Http2Fields = Record<string, string | string[]>

// RFC 9113 section 8.2.2; the length is said by who knows it.
const DROPPED: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'te',
  'http2-settings',
  'content-length',
])

/** The fields of a head, or of trailers where there is no status. */
export function http2Fields(headers: RawHeaders, status?: number): Http2Fields {
  const fields: Http2Fields = Object.create(null)
  if (status !== undefined) fields[':status'] = String(status)
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at]!.toLowerCase()
    if (DROPPED.has(name)) continue
    const value = headers[at + 1]!
    const before = fields[name]
    if (before === undefined) fields[name] = value
    else if (typeof before === 'string') fields[name] = [before, value]
    else before.push(value)
  }
  return fields
}

/** Whether a response with this status has no body. @see RFC 9110 section 6.4.1 */
export function isBodyless(status: number): boolean {
  return status === 204 || status === 205 || status === 304
}
