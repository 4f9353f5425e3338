// Reads whole conversations with the program's own reader, in whatever pieces: what the door and the upstream connections do
// with bytes, without sockets. Not a test itself; used by the tests of `src/wire/` and by the fuzzing beside it.

import { EgressError, type Reason } from '../../src/errors.ts'
import type { RawHeaders } from '../../src/wire/body.ts'
import {
  checkHeaderFields,
  keepsConnection,
  isLastResponse,
  requestFraming,
  responseFraming,
} from '../../src/wire/headers.ts'
import { BodyReader, type BodyReaderOptions } from '../../src/wire/http1-body.ts'
import { RequestHeadReader, ResponseHeadReader } from '../../src/wire/http1-head.ts'

/** What one message meant. */
export interface Message {
  /** The start line in its parts. */
  readonly start: readonly string[]
  readonly headers: RawHeaders
  readonly body: Buffer
  readonly trailers: RawHeaders
  /** Whether all of it came. */
  readonly isWhole: boolean
  /** Whether the message tells where it ends; otherwise the connection does. */
  readonly isDelimited: boolean
  /** Whether another one may follow on the connection. */
  readonly keeps: boolean
  /** What follows is not HTTP. */
  readonly switches: boolean
  /** Where it ended, from the first byte of the connection; -1 where it did not. */
  readonly end: number
}

/** What a connection's bytes meant. */
export interface Conversation {
  readonly messages: readonly Message[]
  /** Why reading ended where it did not end well. */
  readonly refused?: { readonly reason: Reason; readonly detail: unknown }
  /** Whether a head has begun and not ended. */
  readonly headBegun: boolean
}

/** Bounds of a reading. */
export interface Bounds {
  readonly headBytesMax: number
  readonly chunkLineBytesMax: number
  readonly trailerBytesMax: number
}

/** As the program has them where nothing else is configured. */
export const BOUNDS: Bounds = {
  headBytesMax: 65_536,
  chunkLineBytesMax: 1024,
  trailerBytesMax: 8192,
}

interface Open {
  readonly message: Omit<Message, 'body' | 'trailers' | 'isWhole' | 'end'>
  readonly reader: BodyReader
  readonly chunks: Buffer[]
}

abstract class Conversing {
  readonly #messages: Message[] = []
  readonly #options: BodyReaderOptions
  #open: Open | undefined
  #isOver = false
  #refused: Conversation['refused']
  #at = 0

  constructor(bounds: Bounds, malformed: Reason) {
    this.#options = { ...bounds, malformed }
  }

  /** Whether a head has begun and not ended. */
  protected abstract readonly headBegun: boolean
  protected abstract readHead(bytes: Buffer, at: number): number
  protected abstract takeHead(options: BodyReaderOptions): Open

  take(bytes: Buffer): void {
    let at = 0
    try {
      while (at < bytes.length && !this.#isOver) {
        const before = at
        at = this.#open ? this.#takeBody(this.#open, bytes, at) : this.#takeHead(bytes, at)
        this.#at += at - before
        if (this.#open?.reader.isDone) this.#close(this.#open, true)
      }
    } catch (error) {
      if (!(error instanceof EgressError)) throw error
      this.#refused = { reason: error.reason, detail: error.detail }
      this.#isOver = true
    }
  }

  finish(isEnded: boolean): Conversation {
    const open = this.#open
    if (open) this.#close(open, isEnded && open.reader.endsWithConnection)
    const messages = this.#messages
    return this.#refused === undefined
      ? { messages, headBegun: this.headBegun }
      : { messages, headBegun: false, refused: this.#refused }
  }

  #takeHead(bytes: Buffer, at: number): number {
    const end = this.readHead(bytes, at)
    if (end < 0) return bytes.length
    this.#open = this.takeHead(this.#options)
    return end
  }

  #takeBody({ reader, chunks }: Open, bytes: Buffer, at: number): number {
    return reader.read(bytes, at, (chunk) => chunks.push(Buffer.from(chunk)))
  }

  #close({ message, reader, chunks }: Open, isWhole: boolean): void {
    const { trailers } = reader
    const body = Buffer.concat(chunks)
    this.#messages.push({ ...message, body, trailers, isWhole, end: isWhole ? this.#at : -1 })
    this.#open = undefined
    this.#isOver ||= message.switches || !message.keeps
  }
}

class Requests extends Conversing {
  readonly #heads: RequestHeadReader

  constructor(bounds: Bounds) {
    super(bounds, 'malformed-body')
    this.#heads = new RequestHeadReader(bounds.headBytesMax)
  }

  protected get headBegun(): boolean {
    return this.#heads.hasBegun
  }

  protected readHead(bytes: Buffer, at: number): number {
    return this.#heads.read(bytes, at)
  }

  protected takeHead(options: BodyReaderOptions): Open {
    const { method, target, version, headers, upgrade } = this.#heads.take()
    checkHeaderFields(headers)
    const switches = method === 'CONNECT'
    const framing = requestFraming(headers, version)
    const reader = new BodyReader(switches ? { kind: 'none' } : framing, options)
    const start = [method, target, version]
    const keeps = keepsConnection(headers, version)
    return {
      message: { start, headers, isDelimited: true, keeps, switches: switches || upgrade },
      reader,
      chunks: [],
    }
  }
}

class Response extends Conversing {
  readonly #heads: ResponseHeadReader
  readonly #method: string
  #hasBegun = false

  constructor(bounds: Bounds, method: string) {
    super(bounds, 'response-malformed')
    this.#heads = new ResponseHeadReader(bounds.headBytesMax)
    this.#method = method
  }

  protected get headBegun(): boolean {
    return this.#hasBegun
  }

  protected readHead(bytes: Buffer, at: number): number {
    const end = this.#heads.read(bytes, at)
    this.#hasBegun = end < 0
    return end
  }

  protected takeHead(options: BodyReaderOptions): Open {
    const { status, statusText, version, headers } = this.#heads.take()
    if (status === 101) throw new EgressError('response-malformed', { part: 'upgrade' })
    const start = [version, String(status), statusText]
    const isInformational = status < 200
    const { framing } = responseFraming(headers, status, this.#method, version)
    const isDelimited = framing.kind !== 'until-close'
    // One response is read, with the 1xx before it; `keeps` says here that another head is awaited.
    const message = { start, headers, isDelimited, keeps: isInformational, switches: false }
    return { message, reader: new BodyReader(framing, options), chunks: [] }
  }
}

/** Reads a client's bytes. */
export function readRequests(pieces: readonly Buffer[], bounds: Bounds = BOUNDS): Conversation {
  return readPieces(new Requests(bounds), pieces, true)
}

/**
 * Reads an upstream's bytes in answer to one request.
 * @param isEnded whether the connection ends behind them
 */
export function readResponse(
  pieces: readonly Buffer[],
  method: string,
  isEnded = true,
  bounds: Bounds = BOUNDS,
): Conversation {
  return readPieces(new Response(bounds, method), pieces, isEnded)
}

/** Whether an upstream's connection could be used again. */
export function isReusable(message: Message): boolean {
  return message.isDelimited && !isLastResponse(message.headers, message.start[0]!)
}

/** Cuts bytes. @param cuts offsets in rising order */
export function cut(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const pieces: Buffer[] = []
  let from = 0
  for (const at of [...cuts, bytes.length]) {
    if (at > from) pieces.push(bytes.subarray(from, at))
    from = Math.max(from, at)
  }
  return pieces
}

function readPieces(reader: Conversing, pieces: readonly Buffer[], isEnded: boolean): Conversation {
  for (const piece of pieces) reader.take(piece)
  return reader.finish(isEnded)
}
