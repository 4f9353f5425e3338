// Reads what one side of a WebSocket says while it flows by untouched: frames become texts. Deliberately in nobody's way and
// bounded: what cannot be read, or is compressed, turns the reader off, and it says why. Pure; called by `understand/`.

import { Buffer } from 'node:buffer'

/** Why a reader did not read all of it: `encoded` and `malformed` are the end of reading, `too-large` left a message out. */
export type FramesUnread = 'encoded' | 'malformed' | 'too-large'

/** What a reader works with. */
export interface FrameReaderOptions {
  /** A client's frames are masked, a server's are not: RFC 6455 section 5.1. */
  readonly from: 'client' | 'server'
  /** Bytes of one message; one that is longer is left out. */
  readonly messageBytesMax: number
  /** Takes bytes of memory for a message; false: the message is left out. */
  readonly takeRoom: (bytes: number) => boolean
  readonly giveRoom: (bytes: number) => void
  /** Told of each whole text. */
  readonly onText: (text: string) => void
}

const HEAD_BYTES_MAX = 14
const FIN = 0x80
const COMPRESSED = 0x40
const RESERVED = 0x70
const OPCODE = 0x0f
const MASKED = 0x80
const LENGTH = 0x7f
const CONTINUATION = 0x0
const TEXT = 0x1
const BINARY = 0x2
const CLOSE = 0x8
const PONG = 0xa
const CONTROL_BYTES_MAX = 125
const LENGTH_16 = 126
const LENGTH_64 = 127
const ROOM_MIN = 1024

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Reads the frames of one side. @see RFC 6455 section 5.2 */
export class FrameReader {
  readonly #options: FrameReaderOptions
  readonly #head: Buffer = Buffer.alloc(HEAD_BYTES_MAX)
  #headBytes = 0
  #isOver = false
  #unread: FramesUnread | undefined
  /** Of the frame's payload, yet to come; undefined between frames. */
  #left: number | undefined
  #opcode = 0
  #isLast = false
  #mask: Buffer | undefined
  #maskAt = 0
  /** Of the message that has begun and not ended: 0 where none has. */
  #message = 0
  #isLeftOut = false
  #room: Buffer = Buffer.alloc(0)
  #bytes = 0

  constructor(options: FrameReaderOptions) {
    this.#options = options
  }

  /** Why not all was read; undefined where it was, so far. */
  get unread(): FramesUnread | undefined {
    return this.#unread
  }

  /** Looks at the next bytes. */
  push(bytes: Uint8Array): void {
    let at = 0
    while (at < bytes.length && !this.#isOver)
      at = this.#left === undefined ? this.#readHead(bytes, at) : this.#readPayload(bytes, at)
  }

  /** Reads no more, and keeps nothing. */
  stop(unread?: FramesUnread): void {
    this.#isOver = true
    if (unread !== undefined) this.#unread = unread
    this.#forget()
  }

  #readHead(bytes: Uint8Array, from: number): number {
    let at = from
    for (; at < bytes.length; at += 1) {
      if (this.#headBytes >= this.#headLength()) break
      this.#head[this.#headBytes] = bytes[at]!
      this.#headBytes += 1
    }
    if (this.#headBytes >= this.#headLength()) this.#beginFrame()
    return at
  }

  // As far as it is known: two bytes say the rest.
  #headLength(): number {
    if (this.#headBytes < 2) return 2
    const second = this.#head[1]!
    const short = second & LENGTH
    const extended = short === LENGTH_16 ? 2 : short === LENGTH_64 ? 8 : 0
    return 2 + extended + ((second & MASKED) === 0 ? 0 : 4)
  }

  #beginFrame(): void {
    const [first, second] = [this.#head[0]!, this.#head[1]!]
    const maskAt = this.#headLength() - 4
    const isMasked = (second & MASKED) !== 0
    const length = this.#payloadLength(second & LENGTH)
    this.#headBytes = 0
    this.#opcode = first & OPCODE
    this.#isLast = (first & FIN) !== 0
    if ((first & RESERVED) !== 0) {
      this.stop((first & RESERVED) === COMPRESSED ? 'encoded' : 'malformed')
      return
    }
    if (isMasked !== (this.#options.from === 'client') || length === undefined) {
      this.stop('malformed')
      return
    }
    this.#mask = isMasked ? Buffer.from(this.#head.subarray(maskAt, maskAt + 4)) : undefined
    this.#maskAt = 0
    if (!this.#mayFollow(length)) {
      this.stop('malformed')
      return
    }
    this.#left = length
    if (length === 0) this.#endFrame()
  }

  // Undefined where it is longer than anybody can count, or written longer than it has to be.
  #payloadLength(short: number): number | undefined {
    if (short < LENGTH_16) return short
    if (short === LENGTH_16) {
      const length = this.#head.readUInt16BE(2)
      return length < LENGTH_16 ? undefined : length
    }
    const length = this.#head.readBigUInt64BE(2)
    return length > 0xffffn && length <= BigInt(Number.MAX_SAFE_INTEGER)
      ? Number(length)
      : undefined
  }

  #mayFollow(length: number): boolean {
    const opcode = this.#opcode
    if (opcode >= CLOSE) return opcode <= PONG && this.#isLast && length <= CONTROL_BYTES_MAX
    if (opcode === CONTINUATION) return this.#message !== 0
    if (opcode > BINARY || this.#message !== 0) return false
    this.#message = opcode
    return true
  }

  #readPayload(bytes: Uint8Array, at: number): number {
    const left = this.#left ?? 0
    const end = Math.min(bytes.length, at + left)
    if (this.#opcode < CLOSE && this.#message === TEXT && !this.#isLeftOut)
      this.#keep(bytes.subarray(at, end))
    this.#left = left - (end - at)
    if (this.#left === 0) this.#endFrame()
    return end
  }

  // One buffer that grows, as a message may come in pieces of a byte each.
  #keep(piece: Uint8Array): void {
    const bytes = this.#bytes + piece.length
    if (bytes > this.#room.length && !this.#grow(bytes)) {
      this.#isLeftOut = true
      this.#unread = 'too-large'
      this.#forget()
      return
    }
    const mask = this.#mask
    if (mask === undefined) this.#room.set(piece, this.#bytes)
    else
      for (let at = 0; at < piece.length; at += 1)
        this.#room[this.#bytes + at] = piece[at]! ^ mask[(this.#maskAt + at) & 3]!
    this.#maskAt = (this.#maskAt + piece.length) & 3
    this.#bytes = bytes
  }

  #grow(bytes: number): boolean {
    const { messageBytesMax, takeRoom } = this.#options
    if (bytes > messageBytesMax) return false
    const size = Math.min(messageBytesMax, Math.max(bytes, this.#room.length * 2, ROOM_MIN))
    if (!takeRoom(size - this.#room.length)) return false
    const room = Buffer.alloc(size)
    this.#room.copy(room, 0, 0, this.#bytes)
    this.#room = room
    return true
  }

  #endFrame(): void {
    this.#left = undefined
    if (this.#opcode === CLOSE) this.stop()
    else if (this.#opcode < CLOSE && this.#isLast) this.#endMessage()
  }

  #endMessage(): void {
    const isRead = this.#message === TEXT && !this.#isLeftOut
    this.#message = 0
    this.#isLeftOut = false
    if (!isRead) return
    let text: string
    try {
      text = utf8.decode(this.#room.subarray(0, this.#bytes))
    } catch {
      this.stop('malformed')
      return
    }
    this.#forget()
    this.#options.onText(text)
  }

  #forget(): void {
    if (this.#room.length > 0) this.#options.giveRoom(this.#room.length)
    this.#room = Buffer.alloc(0)
    this.#bytes = 0
  }
}
