// The client's side of one HTTP call: its body as it is pulled, its response written with a framing of our own. Driven by
// `pipeline.ts`; made by `http1-connection.ts`, one a request.

import type { Socket } from 'node:net'

import type { Call, ClientSide, UpstreamResponse } from '../call.ts'
import { EgressError, type Reason } from '../errors.ts'
import { isSent, type Parts } from '../stages.ts'
import { NO_BODY, type Body, type RawHeaders } from '../wire/body.ts'
import { BodyQueue, type BodySource } from '../wire/body-queue.ts'
import { keepsConnection, requestFraming, type Framing } from '../wire/headers.ts'
import { BodyReader, type BodyReaderOptions } from '../wire/http1-body.ts'
import {
  fieldLines,
  formatLastChunk,
  formatResponseHead,
  writePiece,
  type OutgoingResponse,
  type PieceWriter,
} from '../wire/http1-write.ts'
import type { RequestHead } from '../wire/receive.ts'
import { makeAnswer } from './answer.ts'

const CHUNKED: Framing = { kind: 'chunked' }
const NONE: Framing = { kind: 'none' }
const CLOSE = { kind: 'close' } as const
const NOTHING = (): void => undefined

/** The connection that a request came by. */
export interface SideConnection extends BodySource {
  readonly socket: Socket
  /** Reads as much of the request's body as is there. */
  readBody(): void
}

/** What a side needs of its door. */
export interface SideHost {
  readonly parts: Pick<Parts, 'limits'>
  readonly requestBody: BodyReaderOptions
  readonly isDraining: boolean
}

/** One request and its response. */
export class Http1Side implements ClientSide, PieceWriter {
  readonly call: Call
  /** What comes behind this request is none: its own end is in doubt, or nobody read it. */
  endsConnection = false
  readonly #head: RequestHead
  readonly #connection: SideConnection
  readonly #host: SideHost
  #body: Body | undefined
  #queue: BodyQueue | undefined
  #reader: BodyReader | undefined
  #isHeadSent = false
  #isContinueSent = false
  #isDone = false
  #drained: () => void = NOTHING

  constructor(call: Call, head: RequestHead, connection: SideConnection, host: SideHost) {
    this.call = call
    this.#head = head
    this.#connection = connection
    this.#host = host
  }

  get body(): Body {
    return (this.#body ??= this.#makeBody())
  }

  /** Whether all of the request has been read. */
  get isBodyRead(): boolean {
    return this.body.length === 0 || this.#reader?.isDone === true
  }

  /** Whether the whole response has been written. */
  get isDone(): boolean {
    return this.#isDone
  }

  /** Whether the connection ends behind the response. */
  get isLast(): boolean {
    return !this.#keepsConnection || !this.#isDone
  }

  /** Takes bytes of the request's body; returns how many. @throws malformed-body */
  takeBody(bytes: Buffer): number {
    const queue = this.body.length === 0 ? undefined : this.#queue
    const reader = this.#reader
    if (queue === undefined || reader === undefined || reader.isDone) return 0
    const read = reader.read(bytes, 0, (chunk) => queue.push(chunk))
    // What an upstream might merge into the head was judged by nobody: the trailers of a request end here.
    if (reader.isDone) queue.end([])
    return read
  }

  /** The socket takes bytes again, or is closed. */
  onDrain(): void {
    const drained = this.#drained
    this.#drained = NOTHING
    drained()
  }

  sendContinue(): void {
    if (this.#isContinueSent) return
    this.#isContinueSent = true
    this.#connection.socket.write('HTTP/1.1 100 Continue\r\n\r\n', 'latin1')
  }

  sendInformational(status: number, headers: RawHeaders): void {
    // HTTP/1.0 knows no 1xx.
    if (this.#isHeadSent || this.#head.version === '1.0') return
    this.#connection.socket.write(`HTTP/1.1 ${status} \r\n${fieldLines(headers)}\r\n`, 'latin1')
  }

  async sendResponse(response: UpstreamResponse): Promise<void> {
    const { body } = response
    const framing = this.#framingOf(response)
    let before = formatResponseHead(this.#outgoing(response, framing))
    const isChunked = framing.kind === 'chunked' && body.length !== 0
    let chunk = body.read()
    for (;;) {
      if (chunk === null) break
      if (chunk === undefined) {
        // The head must not wait for the first byte of a body that takes its time.
        if (before !== '') this.write(before)
        before = ''
        await body.wait()
        chunk = body.read()
        continue
      }
      this.call.bytesIn += chunk.length
      const next = peek(body)
      if (isChunked) before += `${chunk.length.toString(16)}\r\n`
      const after = isChunked
        ? next === null
          ? `\r\n${formatLastChunk(body.trailers)}`
          : '\r\n'
        : ''
      const flows = writePiece(this, before, chunk, after)
      before = ''
      if (next instanceof Error) throw next
      if (next === null) {
        await this.#finish(flows)
        return
      }
      if (!flows) await this.#drain()
      chunk = next ?? body.read()
    }
    if (isChunked) before += formatLastChunk(body.trailers)
    await this.#finish(before === '' || this.write(before))
  }

  sendRefusal(reason: Reason, call: Call): boolean {
    const { socket } = this.#connection
    if (this.#isHeadSent || !socket.writable || !isSent(reason)) {
      // Half a response is told by breaking the connection off: a clean end would pass for the whole.
      if (!this.#isDone) socket.destroy()
      return false
    }
    if (!this.endsConnection) this.#connection.readBody()
    if (!this.isBodyRead) this.endsConnection = true
    const { status, statusText, headers, body } = makeAnswer(reason, call)
    const bytes = typeof body === 'string' ? Buffer.from(body) : body
    const head = formatResponseHead(
      this.#outgoing({ status, statusText, headers, length: bytes.length }, NONE),
    )
    if (this.#head.method === 'HEAD') this.write(head)
    else writePiece(this, head, bytes, '')
    this.#isDone = true
    return true
  }

  get #keepsConnection(): boolean {
    return (
      !this.endsConnection &&
      !this.#host.isDraining &&
      this.isBodyRead &&
      keepsConnection(this.#head.headers, this.#head.version)
    )
  }

  #framingOf({ length, body }: UpstreamResponse): OutgoingResponse['framing'] {
    if (length !== undefined || body.length === 0) return NONE
    if (this.#head.version === '1.1') return CHUNKED
    this.endsConnection = true
    return CLOSE
  }

  // A request whose body is still coming may yet be read to its end: then the connection is kept, and nothing is said.
  #outgoing(
    response: Omit<UpstreamResponse, 'body'>,
    framing: OutgoingResponse['framing'],
  ): OutgoingResponse {
    const { status, statusText, headers, length } = response
    const { version } = this.#head
    const mayKeep = this.#keepsConnection || (!this.isBodyRead && !this.endsConnection)
    const isUsual = mayKeep === (version === '1.1')
    return {
      status,
      statusText,
      headers,
      framing: length === undefined ? framing : { kind: 'length', length },
      connection: isUsual ? undefined : mayKeep ? 'keep-alive' : 'close',
    }
  }

  #makeBody(): Body {
    const framing = this.#requestFraming()
    if (framing === undefined || framing.kind === 'none') return NO_BODY
    if (framing.kind === 'length' && framing.length === 0) return NO_BODY
    const { requestBody, parts } = this.#host
    const length = framing.kind === 'length' ? framing.length : undefined
    const queue = new BodyQueue(length, parts.limits.bufferBytesMax, this.#connection)
    this.#reader = new BodyReader(framing, requestBody)
    this.#queue = queue
    this.call.onCut(() => queue.drop(new EgressError(this.call.cutReason ?? 'client-gone')))
    return queue
  }

  // Where the framing is in doubt nobody can say where the next request begins.
  #requestFraming(): Framing | undefined {
    const { request, framingInDoubt } = this.call
    if (request) return request.framing
    try {
      if (!framingInDoubt) return requestFraming(this.#head.headers, this.#head.version)
    } catch (error) {
      if (!(error instanceof EgressError)) throw error
    }
    this.endsConnection = true
    return undefined
  }

  /** Writes a piece of the response; text is latin1. @returns false where the next piece should wait */
  write(piece: Uint8Array | string): boolean {
    const { socket } = this.#connection
    // What breaks off before that can still be told.
    this.#isHeadSent = true
    return typeof piece === 'string' ? socket.write(piece, 'latin1') : socket.write(piece)
  }

  // A client that leaves once its answer is with the kernel has had it.
  async #finish(flows: boolean): Promise<void> {
    if (!flows) await this.#drain()
    else if (this.#connection.socket.destroyed) throw new EgressError('client-gone')
    this.#isDone = true
  }

  async #drain(): Promise<void> {
    const { socket } = this.#connection
    if (!socket.destroyed && socket.writableNeedDrain)
      await new Promise<void>((resolve) => {
        this.#drained = resolve
        this.call.onCut(resolve)
      })
    if (socket.destroyed || this.call.cutReason !== undefined)
      throw new EgressError(this.call.cutReason ?? 'client-gone')
  }
}

// What a body broke off with is told behind the bytes that came before.
function peek(body: Body): Uint8Array | null | undefined | Error {
  try {
    return body.read()
  } catch (error) {
    return error instanceof Error ? error : new EgressError('internal')
  }
}
