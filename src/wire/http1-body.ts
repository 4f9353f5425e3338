// The framing of HTTP/1 bodies: by length, in chunks, until the connection closes. Strict, incremental, no copy of a byte of
// the body. Pure; called by `listen/` for requests and `forward/` for responses.

import { EgressError, type Reason } from '../errors.ts'
import type { RawHeaders } from './body.ts'
import { hasFramingField, hasHeader, type Framing } from './headers.ts'
import { FieldSection } from './http1-fields.ts'

/** How a message's body is delimited. */
export type BodyFraming = Framing | { readonly kind: 'until-close' }

/** Bounds, and the reason of what is malformed. */
export interface BodyReaderOptions {
  /** Bytes of a chunk's size line, its extensions included. */
  readonly chunkLineBytesMax: number
  /** Bytes of the trailer section. */
  readonly trailerBytesMax: number
  readonly malformed: Reason
}

type State = 'bytes' | 'size' | 'chunk' | 'chunk-end' | 'trailers' | 'until-close' | 'done'

const LF = 0x0a
const CR = 0x0d
const CRLF_BYTES = 2
const PLAIN_SIZE = /^[0-9A-Fa-f]{1,13}$/
// RFC 9112 section 7.1.1 without the optional spaces, which parsers read differently.
const SIZE_WITH_EXTENSIONS =
  /^([0-9A-Fa-f]{1,13})(?:;[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:=(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+|"(?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"))?)+$/
const SIZE_BEGUN = /^[0-9A-Fa-f]+(?:;[^\r]*)?\r?$/

/** Finds the bytes of one body. */
export class BodyReader {
  /** What follows the last chunk; complete once `isDone`. */
  trailers: RawHeaders = []
  readonly #options: BodyReaderOptions
  #state: State
  /** Bytes left of the body, the chunk, or the line end behind it. */
  #left = 0
  /** A size line that is not whole. */
  #line = ''
  #section: FieldSection | undefined

  constructor(framing: BodyFraming, options: BodyReaderOptions) {
    this.#options = options
    if (framing.kind === 'length') this.#left = framing.length
    this.#state = firstState(framing)
  }

  /** Whether the body is over. */
  get isDone(): boolean {
    return this.#state === 'done'
  }

  /** Whether the body ends with the connection. */
  get endsWithConnection(): boolean {
    return this.#state === 'until-close'
  }

  /**
   * Takes bytes and hands those of the body on, as slices of what came.
   * @returns how far it read: to the end of `bytes`, or where the body ended
   * @throws EgressError with `malformed` as its reason, and `part`
   */
  read(bytes: Buffer, from: number, onBytes: (chunk: Buffer) => void): number {
    let at = from
    while (this.#state !== 'done' && at < bytes.length) {
      if (this.#state === 'size') at = this.#readSize(bytes, at)
      else if (this.#state === 'chunk-end') at = this.#readChunkEnd(bytes, at)
      else if (this.#state === 'trailers') at = this.#readTrailers(bytes, at)
      else at = this.#readBytes(bytes, at, onBytes)
    }
    return at
  }

  #readBytes(bytes: Buffer, at: number, onBytes: (chunk: Buffer) => void): number {
    const whole = at === 0 && (this.#state === 'until-close' || bytes.length <= this.#left)
    const end =
      this.#state === 'until-close' ? bytes.length : Math.min(bytes.length, at + this.#left)
    onBytes(whole ? bytes : bytes.subarray(at, end))
    if (this.#state === 'until-close') return end
    this.#left -= end - at
    if (this.#left > 0) return end
    if (this.#state === 'bytes') this.#state = 'done'
    else {
      this.#state = 'chunk-end'
      this.#left = CRLF_BYTES
    }
    return end
  }

  #readChunkEnd(bytes: Buffer, at: number): number {
    if (bytes[at] !== (this.#left === CRLF_BYTES ? CR : LF)) throw this.#malformed('chunk end')
    this.#left -= 1
    if (this.#left === 0) this.#state = 'size'
    return at + 1
  }

  #readSize(bytes: Buffer, at: number): number {
    const lineFeed = bytes.indexOf(LF, at)
    const end = lineFeed < 0 ? bytes.length : lineFeed + 1
    const room = this.#options.chunkLineBytesMax - this.#line.length
    const fits = end - at <= room
    const line = this.#line + bytes.toString('latin1', at, fits ? end : at + room)
    if (lineFeed < 0 || !fits) {
      // What can never become a size is not waited for.
      if (!SIZE_BEGUN.test(line)) throw this.#malformed('chunk size')
      if (!fits) throw this.#malformed('chunk line')
      this.#line = line
      return end
    }
    this.#line = ''
    this.#left = this.#sizeOf(line)
    this.#state = this.#left === 0 ? 'trailers' : 'chunk'
    return end
  }

  #sizeOf(line: string): number {
    const text = line.endsWith('\r\n') ? line.slice(0, -CRLF_BYTES) : ''
    if (PLAIN_SIZE.test(text)) return Number.parseInt(text, 16)
    const size = SIZE_WITH_EXTENSIONS.exec(text)?.[1]
    if (size === undefined) throw this.#malformed('chunk size')
    return Number.parseInt(size, 16)
  }

  #readTrailers(bytes: Buffer, at: number): number {
    const { trailerBytesMax: bytesMax, malformed } = this.#options
    if (this.#section === undefined) {
      this.#section = new FieldSection({ bytesMax, malformed, tooLarge: malformed })
      this.#section.begin()
    }
    const end = this.#section.read(bytes, at)
    if (end < 0) return bytes.length
    const trailers = this.#section.headers
    // RFC 9110 section 6.5.1; who merges trailers into the head, as some do, would read another message.
    if (hasFramingField(trailers) || hasHeader(trailers, 'host')) throw this.#malformed('trailer')
    this.trailers = trailers
    this.#state = 'done'
    return end
  }

  #malformed(part: string): EgressError {
    return new EgressError(this.#options.malformed, { part })
  }
}

function firstState(framing: BodyFraming): State {
  if (framing.kind === 'chunked') return 'size'
  if (framing.kind === 'until-close') return 'until-close'
  return framing.kind === 'none' || framing.length === 0 ? 'done' : 'bytes'
}
