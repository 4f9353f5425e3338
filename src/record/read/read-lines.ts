// Reads the lines of a file, or of standard input, one after the other and without waiting for anybody. Called by what
// verifies.

import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

import { systemErrorCode } from '../system-error.ts'

/** A line without its newline. */
export interface ReadLine {
  readonly bytes: Buffer
  /** Whether it ended in a newline. */
  readonly isWhole: boolean
}

const PIECE_BYTES = 1024 * 1024
/** No record is longer; of a line that is, only the beginning is held. */
const LINE_BYTES_MAX = 64 * 1024 * 1024
const BEGINNING_BYTES = 1024
/** What stands in place of the rest: no record ends so. */
const TOO_LONG = Buffer.from(' and more than a line of records may have')
const STDIN = 0
/** Standard input may be a pipe that has nothing yet. */
const AGAIN_MS = 10

/** Reads a file's lines; one that is longer than any record is given by its beginning, and ends as none does. @param path `-`: standard input @throws the system's error */
export function* readLines(path: string): Generator<ReadLine> {
  const fd = path === '-' ? STDIN : openSync(path, 'r')
  try {
    const { size } = fstatSync(fd)
    const piece = Buffer.allocUnsafe(size === 0 ? PIECE_BYTES : Math.min(size, PIECE_BYTES))
    const rest = new Rest()
    for (let read = readPiece(fd, piece); read > 0; read = readPiece(fd, piece)) {
      // Lines are kept for a while by the caller, so they must not be views of the reused piece.
      const bytes = Buffer.from(piece.subarray(0, read))
      let start = 0
      for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, start)) {
        yield { bytes: rest.take(bytes.subarray(start, end)), isWhole: true }
        start = end + 1
      }
      rest.add(bytes.subarray(start))
    }
    if (rest.length > 0) yield { bytes: rest.take(Buffer.alloc(0)), isWhole: false }
  } finally {
    if (fd !== STDIN) closeSync(fd)
  }
}

/** What was read of a line whose end is still to come. */
class Rest {
  #pieces: Buffer[] = []
  length = 0

  add(piece: Buffer): void {
    if (piece.length === 0) return
    this.length += piece.length
    this.#pieces.push(piece)
    if (this.length > LINE_BYTES_MAX)
      this.#pieces = [Buffer.from(Buffer.concat(this.#pieces).subarray(0, BEGINNING_BYTES))]
  }

  /** The line with its last piece. */
  take(last: Buffer): Buffer {
    if (this.length === 0) return last
    this.add(last)
    const pieces = this.length > LINE_BYTES_MAX ? [...this.#pieces, TOO_LONG] : this.#pieces
    this.#pieces = []
    this.length = 0
    return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)
  }
}

function readPiece(fd: number, piece: Buffer): number {
  for (;;) {
    try {
      return readSync(fd, piece)
    } catch (error) {
      if (systemErrorCode(error) === 'EOF') return 0
      if (systemErrorCode(error) !== 'EAGAIN') throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, AGAIN_MS)
    }
  }
}
