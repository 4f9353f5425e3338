// Heads of HTTP/2 as they leave and as they come back, between the lists of fields that every room knows and node's. Pure.
// Called by `http2-request.ts` and `http2-exchange.ts`. Deliberately not here: the heads of clients (`wire/`).

import { EgressError } from '../errors.ts'
import type { RawHeaders } from '../wire/body.ts'
import { firstValue, valuesOf, type Framing } from '../wire/headers.ts'

/** A head to be sent by HTTP/2; its fields hold no framing and nothing of this hop. */
export interface Http2Request {
  readonly method: string
  /** Path and query. */
  readonly path: string
  /** As written for HTTP/1.1, Host among them. */
  readonly headers: RawHeaders
  readonly framing: Framing
  /** What the client sent, of which only its leave to send trailers is looked at. */
  readonly received: RawHeaders
}

/** A response head as it came by HTTP/2. */
export interface Http2Response {
  readonly status: number
  readonly headers: RawHeaders
}

const NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/
// RFC 9113 section 8.2.1.
// eslint-disable-next-line no-control-regex
const VALUE = /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/
const STATUS = /^[1-9]\d\d$/
// What RFC 9113 section 6.5.2 counts for a field besides name and value.
const FIELD_OVERHEAD_BYTES = 32

/** A request head as node takes it: the pseudo-header fields first, all names in lower case. @see RFC 9113 section 8.3.1 */
export function formatHttp2Head(request: Http2Request): string[] {
  const { method, path, headers, framing, received } = request
  const head = [':method', method, ':scheme', 'https', ':authority']
  head.push(firstValue(headers, 'host') ?? '', ':path', path)
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at]!.toLowerCase()
    if (name !== 'host') head.push(name, headers[at + 1]!)
  }
  if (takesTrailers(received)) head.push('te', 'trailers')
  if (framing.kind === 'length') head.push('content-length', String(framing.length))
  return head
}

/**
 * Fields of a request that came by HTTP/2 for one of HTTP/1.1: its crumbs of a cookie are one field there.
 * @see RFC 9113 section 8.2.3
 */
export function joinCookies(headers: RawHeaders): RawHeaders {
  const cookies = valuesOf(headers, 'cookie')
  if (cookies.length < 2) return headers
  const joined: string[] = []
  let isWritten = false
  for (let at = 0; at < headers.length; at += 2) {
    const isCookie = headers[at]!.toLowerCase() === 'cookie'
    if (!isCookie) joined.push(headers[at]!, headers[at + 1]!)
    else if (!isWritten) joined.push(headers[at]!, cookies.join('; '))
    isWritten ||= isCookie
  }
  return joined
}

/** Reads a response head as node gives it. @param bytesMax of it @throws response-malformed */
export function readHttp2Head(raw: RawHeaders, bytesMax: number): Http2Response {
  let status: string | undefined
  const fields: string[] = []
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at]!
    if (!name.startsWith(':')) fields.push(name, raw[at + 1]!)
    else if (name === ':status' && status === undefined) status = raw[at + 1]!
    else throw new EgressError('response-malformed', { part: 'pseudo-header' })
  }
  if (status === undefined || !STATUS.test(status))
    throw new EgressError('response-malformed', { part: 'status' })
  checkHttp2Fields(fields, bytesMax)
  return { status: Number(status), headers: fields }
}

/** Refuses fields of a response, or of its trailers, that are none. @throws response-malformed */
export function checkHttp2Fields(fields: RawHeaders, bytesMax: number): void {
  let bytes = 0
  for (let at = 0; at < fields.length; at += 2) {
    const [name, value] = [fields[at]!, fields[at + 1]!]
    bytes += name.length + value.length + FIELD_OVERHEAD_BYTES
    if (!NAME.test(name) || !VALUE.test(value))
      throw new EgressError('response-malformed', { part: 'field' })
  }
  if (bytes > bytesMax) throw new EgressError('response-malformed', { bytesMax })
}

function takesTrailers(headers: RawHeaders): boolean {
  return valuesOf(headers, 'te').some((value) =>
    value.split(',').some((coding) => coding.trim().toLowerCase() === 'trailers'),
  )
}
