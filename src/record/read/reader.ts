// Reads a journal's lines from a place in it, over the borders of segments, without holding more than a piece of it.
// Deliberately judges nothing. Called by the sinks (up to what is accepted) and by `tail.ts` (up to what is there).

import { open, type FileHandle } from 'node:fs/promises'

import { listSegments, segmentPath } from '../journal/segments.ts'
import { systemErrorCode } from '../system-error.ts'

/** A place in a journal: between two lines of a segment. */
export interface JournalPlace {
  /** First sequence number of the segment. */
  readonly firstSeq: number
  /** Bytes from its beginning. */
  readonly offset: number
}

/** The end up to which may be read; absent: everything that is there. */
export interface ReadLimit {
  readonly firstSeq: number
  readonly bytes: number
}

/** Lines that were read, without newlines, and the place behind the last of them. */
export interface ReadLines {
  readonly lines: readonly Buffer[]
  readonly place: JournalPlace
}

const PIECE_BYTES = 256 * 1024

/** Reads on from a place, keeping the segment it is in open. One read at a time. */
export class JournalReader {
  readonly #dir: string
  #handle: FileHandle | undefined
  #handleSeq = -1

  constructor(dir: string) {
    this.#dir = dir
  }

  /**
   * Reads up to a number of whole lines of one segment; none where nothing new is there.
   * @param bytesMax of all lines together, unless the first alone is longer
   */
  async read(
    place: JournalPlace,
    linesMax: number,
    limit?: ReadLimit,
    bytesMax: number = PIECE_BYTES,
  ): Promise<ReadLines> {
    const most = { linesMax, bytesMax }
    let at = place
    for (;;) {
      const { lines, place: next } = await this.#readSegment(at, most, limit)
      if (lines.length > 0) return { lines, place: next }
      const segment = this.#segmentBehind(at, limit)
      if (segment === undefined) return { lines, place: next }
      // It may have grown and been closed since its end was looked at; now that there is a next one it grows no more.
      const rest = await this.#readSegment(next, most, limit)
      if (rest.lines.length > 0) return rest
      at = { firstSeq: segment, offset: 0 }
    }
  }

  /** Closes the file that is open. */
  async close(): Promise<void> {
    const handle = this.#handle
    this.#handle = undefined
    this.#handleSeq = -1
    await handle?.close()
  }

  async #readSegment(
    place: JournalPlace,
    most: { readonly linesMax: number; readonly bytesMax: number },
    limit: ReadLimit | undefined,
  ): Promise<ReadLines> {
    const handle = await this.#open(place.firstSeq)
    if (handle === undefined) return { lines: [], place }
    const end =
      limit !== undefined && limit.firstSeq === place.firstSeq
        ? limit.bytes
        : (await handle.stat()).size
    // A line longer than a piece makes the piece longer: heads are bounded, so lines are.
    for (let bytes = most.bytesMax; ; bytes *= 4) {
      const length = Math.min(bytes, end - place.offset)
      // Bytes of a batch that failed may have been seen, and cut off again.
      if (length < 0) return { lines: [], place: { firstSeq: place.firstSeq, offset: end } }
      if (length === 0) return { lines: [], place }
      const buffer = Buffer.allocUnsafe(length)
      const { bytesRead } = await handle.read(buffer, 0, length, place.offset)
      const { lines, used } = splitLines(buffer.subarray(0, bytesRead), most)
      const isAll = place.offset + length >= end
      if (lines.length > 0 || isAll) {
        return { lines, place: { firstSeq: place.firstSeq, offset: place.offset + used } }
      }
    }
  }

  async #open(firstSeq: number): Promise<FileHandle | undefined> {
    if (this.#handle !== undefined && this.#handleSeq === firstSeq) return this.#handle
    await this.close()
    try {
      this.#handle = await open(segmentPath(this.#dir, firstSeq), 'r')
      this.#handleSeq = firstSeq
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error
    }
    return this.#handle
  }

  #segmentBehind(place: JournalPlace, limit: ReadLimit | undefined): number | undefined {
    if (limit !== undefined && place.firstSeq >= limit.firstSeq) return undefined
    return listSegments(this.#dir).find(({ firstSeq }) => firstSeq > place.firstSeq)?.firstSeq
  }
}

/** Cuts whole lines off the front of some bytes. */
function splitLines(
  bytes: Buffer,
  { linesMax, bytesMax }: { readonly linesMax: number; readonly bytesMax: number },
): { lines: Buffer[]; used: number } {
  const lines: Buffer[] = []
  let used = 0
  while (lines.length < linesMax) {
    const newline = bytes.indexOf(0x0a, used)
    if (newline < 0 || (newline >= bytesMax && lines.length > 0)) break
    lines.push(bytes.subarray(used, newline))
    used = newline + 1
  }
  return { lines, used }
}
