// What is kept of a body that flows by, to be read for the record once it has gone: all of it, or, beyond what may be kept,
// nothing. Deliberately never in the way of the body. Called by `model.ts` and `mcp-tap.ts`.

import type { Call } from '../call.ts'
import { EgressError } from '../errors.ts'
import { joinChunks } from '../inspect/whole-body.ts'
import type { Parts } from '../stages.ts'

/** The bytes of one body. */
export class TappedBytes {
  readonly #call: Call
  readonly #parts: Pick<Parts, 'limits' | 'shares'>
  #chunks: Uint8Array[] = []
  #bytes = 0
  #isTooLarge = false

  constructor(call: Call, parts: Pick<Parts, 'limits' | 'shares'>) {
    this.#call = call
    this.#parts = parts
  }

  /** Whether more flew by than may be kept of one body, of a task's or of all. */
  get isTooLarge(): boolean {
    return this.#isTooLarge
  }

  /** Keeps the next bytes, as long as they may be kept. */
  push(chunk: Uint8Array): void {
    if (this.#isTooLarge) return
    if (this.#bytes + chunk.length <= this.#parts.limits.tapBytesMax && this.#mayHold(chunk)) {
      this.#bytes += chunk.length
      this.#chunks.push(chunk)
      return
    }
    this.#isTooLarge = true
    this.#forget()
  }

  /** All that flew by, and keeps nothing any more; undefined where it was too much, or nothing. */
  take(): Uint8Array | undefined {
    const bytes = this.#chunks.length === 0 ? undefined : joinChunks(this.#chunks)
    this.#forget()
    return bytes
  }

  #mayHold(chunk: Uint8Array): boolean {
    try {
      this.#parts.shares.hold(this.#call, chunk.length)
      return true
    } catch (error) {
      if (error instanceof EgressError) return false
      throw error
    }
  }

  #forget(): void {
    this.#chunks = []
    this.#parts.shares.letGo(this.#call, this.#bytes)
    this.#bytes = 0
  }
}
