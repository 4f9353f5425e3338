// The client's side of one HTTP/2 stream: its body as it is pulled, its response with the flow control of the stream, trailers,
// and what breaks off told as such. Driven by `pipeline.ts`; made by `http2-connection.ts`, one a stream. Everything that the
// library calls returns without throwing.

import { constants, type ServerHttp2Stream } from 'node:http2'

import type { Call, ClientSide, UpstreamResponse } from '../call.ts'
import { EgressError, type Reason } from '../errors.ts'
import { isSent } from '../stages.ts'
import { NO_BODY, type Body, type RawHeaders } from '../wire/body.ts'
import { BodyQueue } from '../wire/body-queue.ts'
import { firstValue } from '../wire/headers.ts'
import { END_STREAM, FRAME, PADDED, type Frame } from '../wire/http2-frames.ts'
import type { RequestHead } from '../wire/receive.ts'
import { makeAnswer } from './answer.ts'
import { http2Fields, isBodyless, type Http2Fields } from './http2-fields.ts'

const NOTHING = (): void => undefined

/** One request and its response. */
export class Http2Side implements ClientSide {
  readonly call: Call
  readonly #head: RequestHead
  readonly #stream: ServerHttp2Stream
  readonly #bufferBytesMax: number
  /** Bytes that the body has by its head, and has by its frames. */
  readonly #declaredBytes: number
  #dataBytes = 0
  #isRequestEnded = false
  #isReset = false
  #body: Body | undefined
  #isHeadSent = false
  #isContinueSent = false
  #hasTrailers = false
  #isWritten = false
  #isDone = false
  #trailers: RawHeaders = []
  #wake: () => void = NOTHING

  /** @param bufferBytesMax of the body, kept before the client gets no more window */
  constructor(call: Call, head: RequestHead, stream: ServerHttp2Stream, bufferBytesMax: number) {
    this.call = call
    this.#head = head
    this.#declaredBytes = Number(firstValue(head.headers, 'content-length') ?? Number.NaN)
    this.#stream = stream
    this.#bufferBytesMax = bufferBytesMax
    const wake = (): void => this.#awake()
    stream.on('drain', wake)
    stream.on('close', () => this.#noteClose())
    stream.on('finish', () => {
      if (this.#isHeadSent && !this.#hasTrailers) this.#noteWritten()
    })
    stream.on('wantTrailers', () => this.#sendTrailers())
    call.onCut(wake)
  }

  get body(): Body {
    return (this.#body ??= this.#makeBody())
  }

  /** Whether the client has said that it wants no more of the stream. */
  get isReset(): boolean {
    return this.#isReset
  }

  /** Bytes that wait here to be let out or pulled. */
  get heldBytes(): number {
    return this.#stream.writableLength + this.#stream.readableLength
  }

  /** Whether a part of the answer itself is on its way. */
  get isAnswered(): boolean {
    return this.#isHeadSent
  }

  /** Whether the whole response has been written. */
  get isDone(): boolean {
    return this.#isDone || this.#isWritten
  }

  /** Takes note of a frame of the stream before the library has read it. */
  noteFrame({ type, flags, length }: Frame): void {
    if (type === FRAME.resetStream) this.#isReset = true
    else if (type === FRAME.data && (flags & PADDED) === 0) this.#dataBytes += length
    if ((type === FRAME.data || type === FRAME.headers) && (flags & END_STREAM) !== 0)
      this.#isRequestEnded = true
    // The library ends the connection for it, and would not say which stream it was.
    if (this.#dataBytes > this.#declaredBytes) this.call.cut('malformed-body')
  }

  sendContinue(): void {
    if (this.#isContinueSent) return
    this.#isContinueSent = true
    this.sendInformational(100, [])
  }

  sendInformational(status: number, headers: RawHeaders): void {
    if (this.#isHeadSent || !this.#isOpen) return
    this.#stream.additionalHeaders(http2Fields(headers, status))
  }

  async sendResponse(response: UpstreamResponse): Promise<void> {
    const { body } = response
    if (this.#head.method === 'HEAD' || isBodyless(response.status)) {
      this.#respond(response, { endStream: true })
      await drop(body)
      await this.#finish()
      return
    }
    let chunk = body.read()
    const next = chunk ? peek(body) : chunk
    if (next === null && body.trailers.length === 0) {
      await this.#sendShort(response, chunk ?? undefined)
      return
    }
    this.#respond(response, { waitForTrailers: true })
    if (chunk) await this.#write(chunk)
    if (next instanceof Error) throw next
    chunk = next
    while (chunk !== null) {
      if (chunk) await this.#write(chunk)
      else await body.wait()
      chunk = body.read()
    }
    this.#trailers = body.trailers
    this.#stream.end()
    await this.#finish()
  }

  sendRefusal(reason: Reason, call: Call): boolean {
    if (this.#isHeadSent || !this.#isOpen || !isSent(reason)) {
      if (!this.#isDone) this.#breakOff()
      return false
    }
    const { status, headers, body } = makeAnswer(reason, call)
    const bytes = typeof body === 'string' ? Buffer.from(body) : body
    const isBare = bytes.length === 0 || this.#head.method === 'HEAD'
    const length = bytes.length === 0 ? undefined : bytes.length
    try {
      this.#respond({ status, headers, length }, { endStream: isBare })
      if (!isBare) this.#stream.end(bytes)
    } catch {
      this.#breakOff()
      return false
    }
    this.#settle()
    return true
  }

  get #isOpen(): boolean {
    return !this.#stream.destroyed && !this.#stream.closed
  }

  async #write(chunk: Uint8Array): Promise<void> {
    this.call.bytesIn += chunk.length
    const stream = this.#stream
    if (!stream.write(chunk)) await this.#until(() => !stream.writableNeedDrain)
  }

  async #sendShort(response: UpstreamResponse, chunk: Uint8Array | undefined): Promise<void> {
    const isBare = chunk === undefined
    this.#respond(response, { endStream: isBare })
    if (!isBare) {
      this.call.bytesIn += chunk.length
      this.#stream.end(chunk)
    }
    await this.#finish()
  }

  #respond(
    { status, headers, length }: Pick<UpstreamResponse, 'status' | 'headers' | 'length'>,
    options: { readonly endStream?: boolean; readonly waitForTrailers?: boolean },
  ): void {
    if (!this.#isOpen) throw this.#gone()
    const fields: Http2Fields = http2Fields(headers, status)
    if (length !== undefined) fields['content-length'] = String(length)
    try {
      const undated = { ...options, sendDate: false }
      this.#stream.respond(fields, undated)
    } catch (error) {
      // What no HTTP/2 head can say.
      throw new EgressError('response-malformed', { part: 'field' }, { cause: error })
    }
    this.#isHeadSent = true
    this.#hasTrailers = options.waitForTrailers === true
    // An answer to HEAD had its end before its head.
    if (!this.#hasTrailers && this.#stream.writableFinished) this.#noteWritten()
  }

  // Written is what its windows have let out: a client that opens none is not answered yet.
  async #finish(): Promise<void> {
    await this.#until(() => this.#isWritten)
    this.#settle()
  }

  #sendTrailers(): void {
    try {
      this.#stream.sendTrailers(http2Fields(this.#trailers))
    } catch {
      // What no HTTP/2 trailers can say.
      this.call.cut('response-malformed')
      this.#breakOff()
      return
    }
    this.#noteWritten()
  }

  // A stream that both sides have ended is gone before its writable side says so.
  #noteClose(): void {
    const { rstCode, writableEnded } = this.#stream
    const isWhole = rstCode === constants.NGHTTP2_NO_ERROR && !this.#isReset
    if (isWhole && this.#isHeadSent && writableEnded && !this.#hasTrailers) this.#noteWritten()
    else this.#awake()
  }

  #noteWritten(): void {
    this.#isWritten = true
    if (this.#isDone) this.#closeEarly()
    this.#awake()
  }

  // What is left of the request is read by nobody (RFC 9113 section 8.1).
  #settle(): void {
    this.#isDone = true
    const stream = this.#stream
    stream.removeAllListeners('data')
    if (this.#isWritten) this.#closeEarly()
    if (!stream.destroyed) stream.resume()
  }

  #closeEarly(): void {
    if (this.#isOpen && !this.#isRequestEnded) this.#stream.close(constants.NGHTTP2_NO_ERROR)
  }

  // Not by `close`, which would end the stream in order first.
  #breakOff(): void {
    if (!this.#stream.destroyed) this.#stream.destroy(new Error('broken off'))
  }

  #makeBody(): Body {
    const framing = this.call.request?.framing
    if (framing === undefined || framing.kind === 'none') return NO_BODY
    const length = framing.kind === 'length' ? framing.length : undefined
    if (length === 0) return NO_BODY
    const stream = this.#stream
    const queue = new BodyQueue(length, this.#bufferBytesMax, {
      pause: () => stream.pause(),
      resume: () => stream.resume(),
      abort: () => stream.pause(),
    })
    stream.on('data', (chunk: Buffer) => queue.push(chunk))
    // What an upstream might merge into the head was judged by nobody: the trailers of a request end here.
    stream.on('end', () => {
      if (this.#isRequestEnded) queue.end([])
      else this.call.cut('client-gone')
    })
    this.call.onCut(() => queue.drop(this.#gone()))
    return queue
  }

  async #until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      if (!this.#isOpen || this.call.cutReason !== undefined) throw this.#gone()
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  #awake(): void {
    const wake = this.#wake
    this.#wake = NOTHING
    wake()
  }

  #gone(): EgressError {
    return new EgressError(this.call.cutReason ?? 'client-gone')
  }
}

// Of an answer to HEAD nothing follows the head; where the upstream would have it otherwise it is read to its end.
async function drop(body: Body): Promise<void> {
  for (let chunk = body.read(); chunk !== null; chunk = body.read())
    if (chunk === undefined) await body.wait()
}

// What a body broke off with is told behind the bytes that came before.
function peek(body: Body): Uint8Array | null | undefined | Error {
  try {
    return body.read()
  } catch (error) {
    return error instanceof Error ? error : new EgressError('internal')
  }
}
