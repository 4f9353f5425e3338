// Heads and chunks as bytes: written anew from what was judged, so that nothing of the incoming framing survives. Pure;
// called by `forward/` for requests and `listen/` for responses.

import type { RawHeaders } from './body.ts'
import type { Framing } from './headers.ts'

/** A head to be sent upstream; its fields hold no framing and nothing of this hop. */
export interface OutgoingRequest {
  readonly method: string
  /** Path and query. */
  readonly target: string
  readonly headers: RawHeaders
  readonly framing: Framing
}

/** A head to be sent to a client; its fields hold no framing and nothing of this hop. */
export interface OutgoingResponse {
  readonly status: number
  readonly statusText: string
  readonly headers: RawHeaders
  /** `length`: as a field, also where no body follows (HEAD); `close`: the connection ends the body. */
  readonly framing: Framing | { readonly kind: 'close' }
  /** What is said of the connection; nothing where the version's default holds. */
  readonly connection: 'close' | 'keep-alive' | undefined
}

/** What ends a chunked body without trailers. */
export const LAST_CHUNK = '0\r\n\r\n'

/** A request head, latin1, ready to be sent. */
export function formatRequestHead({ method, target, headers, framing }: OutgoingRequest): string {
  return `${method} ${target} HTTP/1.1\r\n${fieldLines(headers)}${framingLine(framing)}\r\n`
}

/** A response head, latin1, ready to be sent. */
export function formatResponseHead(response: OutgoingResponse): string {
  const { status, statusText, headers, framing, connection } = response
  const last = connection === undefined ? '\r\n' : `Connection: ${connection}\r\n\r\n`
  const framed = framing.kind === 'close' ? '' : framingLine(framing)
  return `HTTP/1.1 ${status} ${statusText}\r\n${fieldLines(headers)}${framed}${last}`
}

/** The end of a chunked body. */
export function formatLastChunk(trailers: RawHeaders): string {
  return trailers.length === 0 ? LAST_CHUNK : `0\r\n${fieldLines(trailers)}\r\n`
}

/** The lines of some fields. */
export function fieldLines(headers: RawHeaders): string {
  let lines = ''
  for (let at = 0; at < headers.length; at += 2) lines += `${headers[at]!}: ${headers[at + 1]!}\r\n`
  return lines
}

function framingLine(framing: Framing): string {
  if (framing.kind === 'length') return `Content-Length: ${framing.length}\r\n`
  return framing.kind === 'chunked' ? 'Transfer-Encoding: chunked\r\n' : ''
}

/** What takes pieces of a message: text is latin1. */
export interface PieceWriter {
  /** @returns false where the next piece should wait */
  write(piece: Uint8Array | string): boolean
}

// What is written together with what frames it, up to here; a larger piece is not copied.
const JOINED_BYTES_MAX = 16 * 1024

/** Writes bytes with the text before and after them. @returns false where the next piece should wait */
export function writePiece(
  to: PieceWriter,
  before: string,
  bytes: Uint8Array,
  after: string,
): boolean {
  if (before === '' && after === '') return to.write(bytes)
  if (bytes.length <= JOINED_BYTES_MAX) return to.write(joinBytes(before, bytes, after))
  if (before !== '') to.write(before)
  const flows = to.write(bytes)
  return after === '' ? flows : to.write(after)
}

/** Text (latin1), bytes and text in one piece. */
export function joinBytes(before: string, bytes: Uint8Array, after: string): Buffer {
  const joined = Buffer.allocUnsafe(before.length + bytes.length + after.length)
  joined.write(before, 0, 'latin1')
  joined.set(bytes, before.length)
  if (after !== '') joined.write(after, before.length + bytes.length, 'latin1')
  return joined
}
