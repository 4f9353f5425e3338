// A body between the socket it arrives on and whoever pulls it: bounded, the source paused while it is full. Pure; made by
// `listen/` for requests and `forward/` for responses.

import type { Body, RawHeaders } from './body.ts'

/** The source of a queue's bytes. */
export interface BodySource {
  /** Stops the bytes for now. */
  pause(): void
  /** Lets them come again. */
  resume(): void
  /** Nobody wants the rest. */
  abort(cause: Error): void
}

// A slice keeps all of the buffer it arrived in, framing included: of a peer that sends one byte a chunk, the bound would hold
// a thousandth of what is kept. Small pieces that have to wait are copied together.
const SMALL_BYTES = 1024
const BLOCK_BYTES = 4096
const NOTHING = (): void => undefined

/** Bytes pushed on one side and pulled on the other. */
export class BodyQueue implements Body {
  readonly length: number | undefined
  trailers: RawHeaders = []
  readonly #source: BodySource
  readonly #bytesMax: number
  readonly #chunks: Uint8Array[] = []
  /** Where small pieces are copied to, and how far it is full. */
  #block: Buffer | undefined
  #blockBytes = 0
  #bytes = 0
  #paused = false
  #ended = false
  #error: Error | undefined
  #wake: () => void = NOTHING

  /** @param bytesMax kept before the source is paused */
  constructor(length: number | undefined, bytesMax: number, source: BodySource) {
    this.length = length
    this.#bytesMax = bytesMax
    this.#source = source
  }

  /** Adds bytes. */
  push(chunk: Uint8Array): void {
    if (this.#error) return
    if (this.#chunks.length > 0 && chunk.length < SMALL_BYTES) this.#gather(chunk)
    else this.#chunks.push(chunk)
    this.#bytes += chunk.length
    if (this.#bytes > this.#bytesMax && !this.#paused && !this.#ended) {
      this.#paused = true
      this.#source.pause()
    }
    this.#notify()
  }

  /** Everything has come. */
  end(trailers: RawHeaders): void {
    this.trailers = trailers
    this.#ended = true
    // What comes next from the source is not this body's to hold back.
    this.#flow()
    this.#notify()
  }

  /** It broke off: what has come is still there to be pulled. */
  fail(cause: Error): void {
    if (this.#error || this.#ended) return
    this.#error = cause
    this.#notify()
  }

  /** It breaks off at once; what was not pulled yet is gone. */
  drop(cause: Error): void {
    this.#chunks.length = 0
    this.#block = undefined
    this.#error = cause
    this.#notify()
  }

  read(): Uint8Array | null | undefined {
    const chunk = this.#chunks.shift()
    if (chunk === undefined) {
      if (this.#error) throw this.#error
      return this.#ended ? null : undefined
    }
    this.#bytes -= chunk.length
    if (this.#paused && this.#bytes <= this.#bytesMax / 2) this.#flow()
    return chunk
  }

  wait(): Promise<void> {
    if (this.#chunks.length > 0 || this.#ended || this.#error) return Promise.resolve()
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  abort(cause: Error): void {
    this.drop(cause)
    this.#source.abort(cause)
  }

  #gather(chunk: Uint8Array): void {
    if (this.#block === undefined || this.#block.length - this.#blockBytes < chunk.length) {
      this.#block = Buffer.allocUnsafeSlow(BLOCK_BYTES)
      this.#blockBytes = 0
    }
    const block = this.#block
    const from = this.#blockBytes
    block.set(chunk, from)
    this.#blockBytes += chunk.length
    const last = this.#chunks.length - 1
    const piece = this.#chunks[last]!
    if (piece.buffer === block.buffer && piece.byteOffset + piece.length === from)
      this.#chunks[last] = block.subarray(piece.byteOffset, this.#blockBytes)
    else this.#chunks.push(block.subarray(from, this.#blockBytes))
  }

  #flow(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#source.resume()
  }

  #notify(): void {
    const wake = this.#wake
    this.#wake = NOTHING
    wake()
  }
}
