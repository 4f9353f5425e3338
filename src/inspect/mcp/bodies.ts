// Bodies of answers as the client gets them: whole ones, and event streams that are judged event by event as they flow.
// Deliberately knows no messages. Called by `exchange.ts`.

import { Buffer } from 'node:buffer'

import { EgressError } from '../../errors.ts'
import type { Body, RawHeaders } from '../../wire/body.ts'
import { type SseEvent, SseReader } from './sse.ts'

/** Bytes that are all there. */
export class WholeBody implements Body {
  readonly length: number
  readonly trailers: RawHeaders
  #bytes: Uint8Array | null
  #error: Error | undefined

  constructor(bytes: Uint8Array, trailers: RawHeaders) {
    this.length = bytes.length
    this.trailers = trailers
    this.#bytes = bytes.length > 0 ? bytes : null
  }

  read(): Uint8Array | null {
    if (this.#error) throw this.#error
    const bytes = this.#bytes
    this.#bytes = null
    return bytes
  }

  wait(): Promise<void> {
    return Promise.resolve()
  }

  abort(cause: Error): void {
    this.#error = cause
  }
}

/**
 * Reads a body to its end.
 * @param onBytes told how many bytes are kept by now; it may throw to break off
 * @throws response-malformed where it is larger than `bytesMax`, and what broke it off
 */
export async function readWhole(
  body: Body,
  bytesMax: number,
  onBytes: (bytes: number) => void,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for (let chunk = body.read(); chunk !== null; chunk = body.read()) {
    if (chunk === undefined) {
      await body.wait()
      continue
    }
    bytes += chunk.length
    if (bytes > bytesMax) throw new EgressError('response-malformed', { part: 'message size' })
    onBytes(bytes)
    chunks.push(chunk)
  }
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, bytes)
}

/** An event stream; each event goes on, changed or not, as soon as it is complete. */
export class EventBody implements Body {
  readonly length = undefined
  readonly #source: Body
  readonly #reader: SseReader
  readonly #filterEvent: (event: SseEvent) => Uint8Array | undefined
  readonly #onBytes: (bytes: number) => void
  #ready: Uint8Array | undefined
  #error: Error | undefined
  #isOver = false

  /**
   * @param filterEvent the bytes that go on for an event; it throws to break the stream off
   * @param onBytes told how many bytes of an unfinished event are kept by now; it throws to break the stream off
   */
  constructor(
    source: Body,
    eventBytesMax: number,
    filterEvent: (event: SseEvent) => Uint8Array | undefined,
    onBytes: (bytes: number) => void,
  ) {
    this.#source = source
    this.#reader = new SseReader(eventBytesMax)
    this.#filterEvent = filterEvent
    this.#onBytes = onBytes
  }

  get trailers(): RawHeaders {
    return this.#source.trailers
  }

  read(): Uint8Array | null | undefined {
    this.#pump()
    const ready = this.#ready
    this.#ready = undefined
    if (ready) return ready
    if (this.#error) throw this.#error
    return this.#isOver ? null : undefined
  }

  async wait(): Promise<void> {
    for (;;) {
      this.#pump()
      if (this.#ready || this.#error || this.#isOver) return
      await this.#source.wait()
    }
  }

  abort(cause: Error): void {
    this.#ready = undefined
    this.#error = cause
    this.#source.abort(cause)
  }

  #pump(): void {
    while (!this.#ready && !this.#error && !this.#isOver) {
      const chunk = this.#pull()
      if (chunk === undefined) return
      if (chunk === null) this.#isOver = true
      else this.#ready = this.#filterChunk(chunk)
    }
  }

  #pull(): Uint8Array | null | undefined {
    try {
      return this.#source.read()
    } catch (error) {
      this.#error = toError(error)
      return undefined
    }
  }

  // What was allowed before a fault still goes on.
  #filterChunk(chunk: Uint8Array): Uint8Array | undefined {
    const parts: Uint8Array[] = []
    try {
      for (const item of this.#reader.read(chunk)) {
        const bytes = item.kind === 'filler' ? item.bytes : this.#filterEvent(item)
        if (bytes && bytes.length > 0) parts.push(bytes)
      }
      this.#onBytes(this.#reader.keptBytes)
    } catch (error) {
      const cause = toError(error)
      this.#error = cause
      this.#source.abort(cause)
    }
    if (parts.length < 2) return parts[0]
    return Buffer.concat(parts)
  }
}

function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error('not an error', { cause: thrown })
}
