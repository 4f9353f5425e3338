// Bytes that arrive in pieces of any size and are read as one: appending and dropping cost no more than the bytes themselves,
// also one at a time. Deliberately no parser. Called by the readers in this room.

const FIRST_BYTES = 1024

/** Bytes appended at the end and dropped from the front. */
export class ByteQueue {
  #buffer: Buffer = Buffer.alloc(0)
  #start = 0
  #end = 0

  /** Bytes that are there. */
  get length(): number {
    return this.#end - this.#start
  }

  /** Adds a copy of the bytes. */
  append(chunk: Uint8Array): void {
    if (this.#buffer.length - this.#end < chunk.length) this.#makeRoom(chunk.length)
    this.#buffer.set(chunk, this.#end)
    this.#end += chunk.length
  }

  /** All bytes that are there, not copied: valid until the next `append`. */
  view(): Buffer {
    return this.#buffer.subarray(this.#start, this.#end)
  }

  /** Forgets the first bytes. */
  drop(count: number): void {
    this.#start = Math.min(this.#start + count, this.#end)
  }

  #makeRoom(more: number): void {
    const kept = this.view()
    const needed = kept.length + more
    // Moved down only where half of it is free by then, so that a byte is moved as often as bytes were dropped.
    if (needed > this.#buffer.length / 2)
      this.#buffer = Buffer.allocUnsafeSlow(Math.max(FIRST_BYTES, needed * 2))
    this.#buffer.set(kept, 0)
    this.#start = 0
    this.#end = kept.length
  }
}
