// One request and its response on a stream of HTTP/2, both ways at once: the body goes out as the peer's windows allow, what
// comes back is credited as it is pulled. Made by `http2-request.ts`, one an attempt.

import type { ClientHttp2Stream } from 'node:http2'

import type { UpstreamResponse } from '../call.ts'
import { NEVER, type Timed } from '../deadlines.ts'
import { EgressError } from '../errors.ts'
import { NO_BODY, type Body, type RawHeaders } from '../wire/body.ts'
import { BodyQueue, type BodySource } from '../wire/body-queue.ts'
import { responseFraming } from '../wire/headers.ts'
import { stripResponseHead } from '../wire/hop-by-hop.ts'
import { checkHttp2Fields, readHttp2Head } from './http2-head.ts'
import type { UpstreamSession } from './http2-session.ts'

/** What one exchange is made for. */
export interface Http2ExchangeOptions {
  readonly method: string
  /** As node takes it. */
  readonly head: RawHeaders
  readonly body: Body
  readonly responseHeadBytesMax: number
  readonly trailerBytesMax: number
  readonly onInformational: (status: number, headers: RawHeaders) => void
  /** Called once, with the body still arriving. */
  readonly onHead: (response: UpstreamResponse) => void
  /** Told of the fields that the response ends with: its trailers, its head's where nothing follows it. */
  readonly onEnd: (fields: RawHeaders) => void
  /** Told of each piece of the request's body that leaves. */
  readonly onSent: (bytes: number) => void
  /** By when the head of a response that is asked for now is to be there. */
  readonly responseDueSweep: () => number
  /** By when a stream whose response is complete is to be let go. */
  readonly leaveDueSweep: () => number
  /** The exchange failed; what has been told of the response fails with it. */
  readonly onFailure: (error: Error) => void
  /** Nothing of it is left. */
  readonly onClosed: () => void
}

const NOTHING = (): void => undefined
const NO_ERROR = 0
const PROTOCOL_ERROR = 1
const REFUSED_STREAM = 7
const CANCEL = 8
const END_STREAM = 1
// A window beyond what is pulled is there already: the stream's own.
const QUEUED_BYTES_MAX = 64 * 1024
// By their numbers, RFC 9113 section 7.
const CODES = [
  'NO_ERROR',
  'PROTOCOL_ERROR',
  'INTERNAL_ERROR',
  'FLOW_CONTROL_ERROR',
  'SETTINGS_TIMEOUT',
  'STREAM_CLOSED',
  'FRAME_SIZE_ERROR',
  'REFUSED_STREAM',
  'CANCEL',
  'COMPRESSION_ERROR',
  'CONNECT_ERROR',
  'ENHANCE_YOUR_CALM',
  'INADEQUATE_SECURITY',
  'HTTP_1_1_REQUIRED',
]

/** One attempt at a request. */
export class Http2Exchange implements BodySource, Timed {
  dueSweep: number = NEVER
  readonly #session: UpstreamSession
  readonly #options: Http2ExchangeOptions
  readonly #stream: ClientHttp2Stream
  #queue: BodyQueue | undefined
  #length: number | undefined
  #bytes = 0
  #trailers: RawHeaders = []
  #isHeadRead = false
  #hasBegunBody = false
  #isSent = false
  /** The peer has ended the stream in order. */
  #isEnded = false
  #isOver = false
  #drained: () => void = NOTHING

  /** @param session with room reserved @throws Error of node where no stream can be opened */
  constructor(session: UpstreamSession, options: Http2ExchangeOptions) {
    this.#session = session
    this.#options = options
    const stream = session.open(options.head, options.body.length === 0)
    this.#stream = stream
    this.#noteEnd(stream)
    stream.on('error', NOTHING)
    stream.on('close', () => this.#onClose())
    stream.on('drain', () => this.#onDrain())
    this.#listen('response', (_headers, flags, raw) => this.#takeHead(raw, flags))
    this.#listen('headers', (_headers, _flags, raw) => this.#takeInformational(raw))
    this.#listen('trailers', (_headers, _flags, raw) => this.#takeTrailers(raw))
    stream.on('end', () => this.#onEnd())
  }

  /** Whether the same request may be sent again: the peer did nothing of it, and none of its body has been taken. */
  get isUnprocessed(): boolean {
    const { rstCode } = this.#stream
    const isRefused = rstCode === REFUSED_STREAM || this.#session.isBeyondLast(this.#stream)
    return isRefused && !this.#hasBegunBody && !this.#isHeadRead
  }

  /** Whether the connection failed, not the exchange alone. */
  get isConnectionLost(): boolean {
    return this.#session.isClosed && !this.#isHeadRead
  }

  /** Sends the request's body. */
  begin(): void {
    if (this.#options.body.length === 0) this.#onSent()
    else this.#pump().catch((error: unknown) => this.cancel(asError(error)))
  }

  pause(): void {
    this.#stream.pause()
  }

  resume(): void {
    this.#stream.resume()
  }

  /** Nobody wants the rest of the response. */
  abort(cause: Error): void {
    this.cancel(cause)
  }

  /** Ends the exchange at once, both ways. */
  cancel(cause: Error): void {
    this.#stream.close(CANCEL)
    this.#queue?.drop(cause)
    this.#fail(cause)
  }

  onDeadline(): void {
    if (this.#isOver) this.#stream.close(CANCEL)
    else this.cancel(new EgressError('response-timeout'))
  }

  // node tells the end of a stream in order and its reset without an error in the same way; only in the first case is the
  // stream still open when the end is pushed.
  #noteEnd(stream: ClientHttp2Stream): void {
    const push = stream.push.bind(stream)
    stream.push = (chunk: unknown, encoding?: BufferEncoding) => {
      if (chunk === null && !stream.closed) this.#isEnded = true
      return push(chunk, encoding)
    }
  }

  #listen(
    event: 'response' | 'headers' | 'trailers',
    take: (headers: unknown, flags: number, raw: string[]) => void,
  ): void {
    this.#stream.on(event, (headers: unknown, flags: number, raw: string[]) => {
      if (this.#isOver) return
      try {
        take(headers, flags, raw)
      } catch (error) {
        this.cancel(asError(error))
      }
    })
  }

  #takeInformational(raw: readonly string[]): void {
    const { responseHeadBytesMax, onInformational } = this.#options
    const { status, headers } = readHttp2Head(raw, responseHeadBytesMax)
    if (status < 200 && !this.#isHeadRead) onInformational(status, stripResponseHead(headers))
  }

  #takeHead(raw: readonly string[], flags: number): void {
    const { responseHeadBytesMax, method, onHead } = this.#options
    const { status, headers } = readHttp2Head(raw, responseHeadBytesMax)
    const { framing, length } = responseFraming(headers, status, method, '2')
    if (status < 200) throw new EgressError('response-malformed', { part: 'status' })
    this.#isHeadRead = true
    this.dueSweep = NEVER
    const fields = stripResponseHead(headers)
    const isEmpty = framing.kind === 'none' || (flags & END_STREAM) !== 0
    if (!isEmpty) {
      this.#length = length
      this.#queue = new BodyQueue(length, QUEUED_BYTES_MAX, this)
    } else if (framing.kind === 'length' && framing.length > 0)
      throw new EgressError('response-malformed', { part: 'content-length' })
    // Not before: node tells of a head a turn later than it has it, and of what came with it in the same read at once.
    this.#stream.on('data', (chunk: Buffer) => this.#take(chunk))
    if (isEmpty) this.#options.onEnd(fields)
    onHead({ status, statusText: '', headers: fields, length, body: this.#queue ?? NO_BODY })
  }

  #takeTrailers(raw: RawHeaders): void {
    checkHttp2Fields(raw, this.#options.trailerBytesMax)
    this.#trailers = stripResponseHead(raw)
  }

  #take(chunk: Buffer): void {
    if (this.#isOver) return
    this.#bytes += chunk.length
    const isTooMuch = this.#length !== undefined && this.#bytes > this.#length
    if (this.#queue === undefined || isTooMuch)
      this.cancel(new EgressError('response-malformed', { part: 'content-length' }))
    else this.#queue.push(chunk)
  }

  #onEnd(): void {
    if (this.#isOver || !this.#isEnded || !this.#isHeadRead) return
    if (this.#length !== undefined && this.#bytes !== this.#length) {
      this.cancel(new EgressError('response-malformed', { part: 'content-length' }))
      return
    }
    this.#isOver = true
    if (this.#queue) this.#options.onEnd(this.#trailers)
    this.#queue?.end(this.#trailers)
    // The answer is there before all of the request is: the upstream wants no more of it.
    if (!this.#isSent) this.#stream.close(NO_ERROR)
    else if (!this.#stream.writableFinished) this.dueSweep = this.#options.leaveDueSweep()
  }

  // In what order node tells of things that came together is no matter: what had come whole is whole.
  #onClose(): void {
    if (!this.#isOver && this.#isEnded && this.#isHeadRead) {
      for (let chunk: unknown = this.#stream.read(); Buffer.isBuffer(chunk);) {
        this.#take(chunk)
        chunk = this.#stream.read()
      }
      this.#onEnd()
    }
    const explain = (): void => this.#fail(this.#explain())
    if (this.#session.isClosed && !this.#isOver) this.#session.onExplained(explain)
    else explain()
    this.dueSweep = NEVER
    this.#onDrain()
    this.#options.onClosed()
  }

  async #pump(): Promise<void> {
    const { body, onSent } = this.#options
    for (;;) {
      if (this.#isOver) return
      const chunk = body.read()
      if (chunk === null) break
      if (chunk === undefined) await body.wait()
      else {
        this.#hasBegunBody = true
        onSent(chunk.length)
        if (!this.#stream.write(chunk)) await this.#drain()
      }
    }
    this.#stream.end()
    this.#onSent()
  }

  #onSent(): void {
    this.#isSent = true
    if (!this.#isHeadRead && !this.#isOver) this.dueSweep = this.#options.responseDueSweep()
  }

  #drain(): Promise<void> {
    if (this.#stream.destroyed || !this.#stream.writableNeedDrain) return Promise.resolve()
    return new Promise((resolve) => {
      this.#drained = resolve
    })
  }

  #onDrain(): void {
    const drained = this.#drained
    this.#drained = NOTHING
    drained()
  }

  #explain(): EgressError {
    const { fault, isClosed } = this.#session
    const { rstCode } = this.#stream
    if (fault) return fault
    if (isClosed)
      return new EgressError(this.#isHeadRead ? 'upstream-gone' : 'response-incomplete', {
        code: 'closed',
      })
    const reason = rstCode === PROTOCOL_ERROR ? 'response-malformed' : 'response-incomplete'
    return new EgressError(reason, { code: CODES[rstCode] ?? String(rstCode) })
  }

  #fail(error: Error): void {
    if (this.#isOver) return
    this.#isOver = true
    this.dueSweep = NEVER
    this.#queue?.fail(error)
    this.#options.onFailure(error)
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new EgressError('internal')
}
