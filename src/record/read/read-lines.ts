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
const STDIN = 0
/** Standard input may be a pipe that has nothing yet. */
const AGAIN_MS = 10

/** Reads a file's lines. @param path `-`: standard input @throws the system's error */
export function* readLines(path: string): Generator<ReadLine> {
  const fd = path === '-' ? STDIN : openSync(path, 'r')
  try {
    const { size } = fstatSync(fd)
    const piece = Buffer.allocUnsafe(size === 0 ? PIECE_BYTES : Math.min(size, PIECE_BYTES))
    let rest: Buffer = Buffer.alloc(0)
    for (let read = readPiece(fd, piece); read > 0; read = readPiece(fd, piece)) {
      // Lines are kept for a while by the caller, so they must not be views of the reused piece.
      const bytes = Buffer.concat([rest, piece.subarray(0, read)])
      let start = 0
      for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, start)) {
        yield { bytes: bytes.subarray(start, end), isWhole: true }
        start = end + 1
      }
      rest = bytes.subarray(start)
    }
    if (rest.length > 0) yield { bytes: rest, isWhole: false }
  } finally {
    if (fd !== STDIN) closeSync(fd)
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
