// The journal's files: `NNNNNNNNNN.ndjson`, named by the sequence number of their first record. Opening, listing, whole
// writes and cutting back. Deliberately knows nothing of records. Called by `writer.ts`, `recovery.ts` and the readers.

import {
  closeSync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  readdirSync,
  statSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'

import { systemErrorCode } from '../system-error.ts'

const SEGMENT_NAME = /^(\d{10,16})\.ndjson$/

/** A segment as it lies on the disk. */
export interface SegmentFile {
  readonly path: string
  /** Sequence number of its first record, from its name. */
  readonly firstSeq: number
  readonly bytes: number
  /** Epoch milliseconds of its last write. */
  readonly writtenAt: number
}

/** The path of the segment that begins with a sequence number. */
export function segmentPath(dir: string, firstSeq: number): string {
  return join(dir, `${String(firstSeq).padStart(10, '0')}.ndjson`)
}

/** All segments of a directory in the order of the chain; empty where there is no directory. */
export function listSegments(dir: string): SegmentFile[] {
  const segments: SegmentFile[] = []
  for (const name of namesIn(dir)) {
    const match = SEGMENT_NAME.exec(name)
    if (match === null) continue
    const path = join(dir, name)
    const stat = statSync(path, { throwIfNoEntry: false })
    // Retention may delete a segment while a reader lists.
    if (stat === undefined) continue
    segments.push({
      path,
      firstSeq: Number(match[1]),
      bytes: stat.size,
      writtenAt: stat.mtimeMs,
    })
  }
  return segments.sort((a, b) => a.firstSeq - b.firstSeq)
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return []
    throw error
  }
}

const PIECE_BYTES = 64 * 1024

/**
 * The last whole line of a file, without its newline.
 * @param bytes of the file that are looked at, from its beginning
 * @throws the system's error
 */
export function lastLineOf(path: string, bytes: number = Infinity): Buffer {
  const fd = openSync(path, 'r')
  try {
    const size = Math.min(bytes, fstatSync(fd).size)
    for (let piece = PIECE_BYTES; ; piece *= 4) {
      const length = Math.min(piece, size)
      const tail = Buffer.alloc(length)
      readSync(fd, tail, 0, length, size - length)
      const end = tail.lastIndexOf(0x0a)
      const start = end <= 0 ? -1 : tail.lastIndexOf(0x0a, end - 1)
      if (start >= 0 || length === size) return tail.subarray(start + 1, Math.max(0, end))
    }
  } finally {
    closeSync(fd)
  }
}

/** The segment that is being written. */
export interface OpenSegment {
  readonly path: string
  readonly firstSeq: number
  readonly fd: number
  /** Bytes of whole, accepted batches; whatever lies behind them is not part of the journal. */
  bytes: number
}

/** Opens a segment for appending, and makes it where there is none. */
export function openSegment(dir: string, firstSeq: number): OpenSegment {
  const path = segmentPath(dir, firstSeq)
  const fd = openSync(path, 'a', 0o640)
  return { path, firstSeq, fd, bytes: fstatSync(fd).size }
}

/** Closes a segment; a segment whose descriptor is gone already is closed. */
export function closeSegment(segment: OpenSegment): void {
  try {
    closeSync(segment.fd)
  } catch {
    // Nothing is buffered on our side, so nothing is lost by a failing close.
  }
}

/**
 * Writes all bytes behind the accepted ones or throws.
 * At a full disk the first write comes back short and only the next one fails, hence the loop.
 */
export function writeWhole(segment: OpenSegment, bytes: Uint8Array): void {
  let written = 0
  while (written < bytes.length) {
    written += writeSync(segment.fd, bytes, written, bytes.length - written)
  }
}

/** Cuts a segment back to its accepted bytes. */
export function cutBack(segment: OpenSegment): void {
  ftruncateSync(segment.fd, segment.bytes)
}

/** Forces a segment's bytes to the disk. */
export function syncSegment(segment: OpenSegment): void {
  fdatasyncSync(segment.fd)
}

/** Forces a directory's entries to the disk, so that a new segment survives the machine. */
export function syncDirectory(dir: string): void {
  const fd = openSync(dir, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
