// A member of a bundle that grows line by line: kept in a file beside the bundle until its size is known. Called by
// `write-bundle.ts`.

import { createHash } from 'node:crypto'
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'

const PIECE_BYTES = 256 * 1024

/** A file that lines are added to. */
export class Spool {
  readonly file: string
  readonly #fd: number
  readonly #hash = createHash('sha256')
  #pieces: Buffer[] = []
  #held = 0
  #bytes = 0

  /** @throws the system's error where the file cannot be made, also because it is there */
  constructor(file: string) {
    this.file = file
    this.#fd = openSync(file, 'wx', 0o600)
  }

  /** How many bytes were added. */
  get bytes(): number {
    return this.#bytes + this.#held
  }

  /** Adds text as it is. */
  add(text: string): void {
    const piece = Buffer.from(text)
    this.#pieces.push(piece)
    this.#held += piece.length
    if (this.#held >= PIECE_BYTES) this.#flush()
  }

  /** Ends it. @returns hex SHA-256 of all of it */
  finish(): string {
    this.#flush()
    closeSync(this.#fd)
    return this.#hash.digest('hex')
  }

  /** Takes the file away. */
  remove(): void {
    rmSync(this.file, { force: true })
  }

  #flush(): void {
    const bytes = Buffer.concat(this.#pieces)
    this.#pieces = []
    this.#held = 0
    this.#bytes += bytes.length
    this.#hash.update(bytes)
    for (let written = 0; written < bytes.length;)
      written += writeSync(this.#fd, bytes, written, bytes.length - written)
  }
}
