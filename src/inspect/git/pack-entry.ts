// One object of a pack: its header and its deflated bytes, from bytes that may not have arrived yet. Nothing here trusts a
// length: what is inflated is bounded by what the header says, what the header says by the caller. Called by
// `pack-reader.ts`.

import { inflateSync } from 'node:zlib'

/** What an entry's header says. */
export interface EntryHeader {
  readonly type: 'commit' | 'delta' | 'other'
  /** Of a delta: how far in front of this entry its base begins, or the base's name in hexadecimal. */
  readonly base: number | string | undefined
  /** Bytes that the entry comes to when it is inflated. */
  readonly size: number
  /** Bytes of the header itself. */
  readonly headerBytes: number
}

/** Content of an entry. */
export interface Inflated {
  readonly content: Buffer
  /** Bytes it took deflated. */
  readonly deflatedBytes: number
}

/** Not all of it has arrived, or it is not well formed. */
export type Lack = 'more' | 'fault'

const COMMIT = 1
const LAST_PLAIN = 4
const OFFSET_DELTA = 6
const REFERENCE_DELTA = 7
// Six times seven bits and four more: beyond what a number holds exactly, and far beyond what is inflated.
const VARINT_BYTES_MAX = 7
const CHUNK_BYTES_MIN = 64
const CHUNK_BYTES_MAX = 64 * 1024

/**
 * Reads the header that the bytes begin with.
 * @param idBytes of an object's name
 * @see gitformat-pack(5)
 */
export function readEntryHeader(bytes: Buffer, idBytes: number): EntryHeader | Lack {
  const first = bytes[0]
  if (first === undefined) return 'more'
  const type = (first >> 4) & 7
  let size = first & 15
  let scale = 16
  let at = 1
  for (let byte = first; byte & 0x80; at += 1) {
    if (at > VARINT_BYTES_MAX) return 'fault'
    const next = bytes[at]
    if (next === undefined) return 'more'
    size += (next & 0x7f) * scale
    scale *= 128
    byte = next
  }
  if (type === OFFSET_DELTA) return readOffset(bytes, size, at)
  if (type === REFERENCE_DELTA) {
    const end = at + idBytes
    if (bytes.length < end) return 'more'
    return { type: 'delta', base: bytes.toString('hex', at, end), size, headerBytes: end }
  }
  if (type < COMMIT || type > LAST_PLAIN) return 'fault'
  return { type: type === COMMIT ? 'commit' : 'other', base: undefined, size, headerBytes: at }
}

// A number of its own kind: each further byte adds one, so that no distance is written in two ways.
function readOffset(bytes: Buffer, size: number, start: number): EntryHeader | Lack {
  let distance = -1
  for (let at = start; at <= start + VARINT_BYTES_MAX; at += 1) {
    const byte = bytes[at]
    if (byte === undefined) return 'more'
    distance = (distance + 1) * 128 + (byte & 0x7f)
    if (!(byte & 0x80)) return { type: 'delta', base: distance, size, headerBytes: at + 1 }
  }
  return 'fault'
}

/** Inflates what the bytes begin with, if it comes to exactly the size; what stands behind it is not looked at. */
export function inflateEntry(bytes: Buffer, size: number): Inflated | Lack {
  try {
    const result: unknown = inflateSync(bytes, {
      info: true,
      maxOutputLength: Math.max(size, 1),
      chunkSize: Math.min(Math.max(size, CHUNK_BYTES_MIN), CHUNK_BYTES_MAX),
    })
    if (!isWithInfo(result) || result.buffer.length !== size) return 'fault'
    return { content: result.buffer, deflatedBytes: result.engine.bytesWritten }
  } catch (error) {
    const isShort = error instanceof Error && 'code' in error && error.code === 'Z_BUF_ERROR'
    return isShort ? 'more' : 'fault'
  }
}

// The types of Node 24 do not know what `info` makes of the result.
function isWithInfo(
  result: unknown,
): result is { readonly buffer: Buffer; readonly engine: { readonly bytesWritten: number } } {
  return (
    typeof result === 'object' &&
    result !== null &&
    'buffer' in result &&
    Buffer.isBuffer(result.buffer) &&
    'engine' in result
  )
}
