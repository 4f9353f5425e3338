// What comes back on an upstream connection, byte by byte: the heads of 1xx and of the response itself, and its body behind
// the small interface that everybody pulls from. Made by `upstream.ts`, one a request sent.

import type { UpstreamResponse } from '../call.ts'
import { EgressError } from '../errors.ts'
import { NO_BODY, type RawHeaders } from '../wire/body.ts'
import { BodyQueue, type BodySource } from '../wire/body-queue.ts'
import { isLastResponse, responseFraming } from '../wire/headers.ts'
import { stripResponseHead } from '../wire/hop-by-hop.ts'
import { BodyReader, type BodyReaderOptions } from '../wire/http1-body.ts'
import type { ResponseHead, ResponseHeadReader } from '../wire/http1-head.ts'

/** What one response is read for. */
export interface ResponseOptions {
  /** Of the request it answers. */
  readonly method: string
  readonly body: BodyReaderOptions
  /** Bytes kept before the upstream is paused. */
  readonly bufferBytesMax: number
  readonly onInformational: (status: number, headers: RawHeaders) => void
  /** Called once, with the body still arriving. */
  readonly onHead: (response: UpstreamResponse) => void
}

/** Reads one response. */
export class ResponseReader {
  readonly #options: ResponseOptions
  readonly #heads: ResponseHeadReader
  readonly #source: BodySource
  #body: BodyReader | undefined
  #queue: BodyQueue | undefined
  #isHeadRead = false
  #isDone = false
  #isLast = false

  /** @param heads of the connection, between two heads @param source the connection's bytes */
  constructor(heads: ResponseHeadReader, source: BodySource, options: ResponseOptions) {
    this.#heads = heads
    this.#source = source
    this.#options = options
  }

  /** Whether the last byte of the response has been read. */
  get isDone(): boolean {
    return this.#isDone
  }

  /** Whether the head has been read. */
  get isHeadRead(): boolean {
    return this.#isHeadRead
  }

  /** Whether the upstream closes the connection behind this response. */
  get isLast(): boolean {
    return this.#isLast
  }

  /**
   * Takes bytes.
   * @returns how far it read: less than there are where something came behind the response
   * @throws response-malformed
   */
  read(bytes: Buffer): number {
    let at = 0
    while (!this.#isHeadRead && at < bytes.length) {
      const end = this.#heads.read(bytes, at)
      if (end < 0) return bytes.length
      at = end
      this.#takeHead(this.#heads.take())
    }
    return this.#body === undefined || this.#isDone ? at : this.#readBody(bytes, at)
  }

  /** The upstream has ended its half. @throws response-incomplete before the head was there, upstream-gone within the body */
  end(): void {
    if (!this.#isHeadRead) throw new EgressError('response-incomplete', { code: 'closed' })
    if (this.#isDone) return
    if (!this.#body!.endsWithConnection) throw new EgressError('upstream-gone', { code: 'closed' })
    this.#isDone = true
    this.#queue!.end([])
  }

  /** Breaks the body off where it has begun, behind what has come of it. */
  fail(cause: Error): void {
    this.#queue?.fail(cause)
  }

  /** Breaks the body off at once. */
  drop(cause: Error): void {
    this.#queue?.drop(cause)
  }

  #takeHead(head: ResponseHead): void {
    const { method, onInformational, onHead, bufferBytesMax } = this.#options
    const { status, statusText, version } = head
    const { framing, length } = responseFraming(head.headers, status, method, version)
    if (status < 200) {
      // Nobody asked for another protocol here.
      if (status === 101) throw new EgressError('response-malformed', { part: 'upgrade' })
      onInformational(status, stripResponseHead(head.headers))
      return
    }
    this.#isHeadRead = true
    this.#isLast = framing.kind === 'until-close' || isLastResponse(head.headers, version)
    const reader = new BodyReader(framing, this.#options.body)
    const headers = stripResponseHead(head.headers)
    this.#isDone = reader.isDone
    if (reader.isDone) {
      onHead({ status, statusText, headers, length, body: NO_BODY })
      return
    }
    this.#body = reader
    this.#queue = new BodyQueue(length, bufferBytesMax, this.#source)
    onHead({ status, statusText, headers, length, body: this.#queue })
  }

  #readBody(bytes: Buffer, from: number): number {
    const body = this.#body!
    const queue = this.#queue!
    const at = body.read(bytes, from, (chunk) => queue.push(chunk))
    if (body.isDone) {
      this.#isDone = true
      queue.end(body.trailers.length === 0 ? body.trailers : stripResponseHead(body.trailers))
    }
    return at
  }
}
