// The body of a request as node parses it, pulled. Made by `http1.ts`.

import type { IncomingMessage } from 'node:http'

import { EgressError } from '../errors.ts'
import type { Body, RawHeaders } from '../wire/body.ts'

const NOTHING = (): void => undefined

/** One request body; the client's socket is paused while nobody reads. */
export class RequestBody implements Body {
  readonly length: number | undefined
  readonly #request: IncomingMessage
  readonly #trailerBytesMax: number
  #error: Error | undefined
  #ended = false
  #listening = false
  #wake: () => void = NOTHING

  /** @param trailerBytesMax beyond it the body ends in `malformed-body` */
  constructor(request: IncomingMessage, length: number | undefined, trailerBytesMax: number) {
    this.#request = request
    this.length = length
    this.#trailerBytesMax = trailerBytesMax
  }

  get trailers(): RawHeaders {
    return this.#request.rawTrailers
  }

  read(): Uint8Array | null | undefined {
    if (this.#error) throw this.#error
    const chunk: unknown = this.#request.read()
    if (chunk instanceof Uint8Array) return chunk
    if (this.#ended) return null
    if (!this.#listening) this.#listen()
    return undefined
  }

  wait(): Promise<void> {
    if (this.#error || this.#ended || this.#request.readableLength > 0) return Promise.resolve()
    if (!this.#listening) this.#listen()
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  abort(cause: Error): void {
    this.#error ??= cause
    this.#notify()
  }

  #listen(): void {
    this.#listening = true
    const request = this.#request
    request.on('readable', () => this.#notify())
    request.on('end', () => this.#end())
    request.on('error', () => this.abort(new EgressError('client-gone')))
    request.on('close', () => {
      if (!this.#ended) this.abort(new EgressError('client-gone'))
    })
    if (request.readableEnded) this.#end()
    else if (request.destroyed) this.abort(new EgressError('client-gone'))
  }

  #end(): void {
    let trailerBytes = 0
    for (const text of this.#request.rawTrailers) trailerBytes += text.length
    if (trailerBytes > this.#trailerBytesMax)
      this.#error ??= new EgressError('malformed-body', { trailerBytes })
    this.#ended = true
    this.#notify()
  }

  #notify(): void {
    const wake = this.#wake
    this.#wake = NOTHING
    wake()
  }
}
