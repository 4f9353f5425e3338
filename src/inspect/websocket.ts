// Reads what one side of a WebSocket says while it flows by untouched: frames become texts. Deliberately in nobody's way and
// bounded: what cannot be read, or is compressed, turns the reader off, and it says why. Pure; called by `understand/`.

import { Buffer } from 'node:buffer'

import {
  COMPRESSED,
  CONTROL_BYTES_MAX,
  FrameHeadReader,
  OPCODE,
  type FrameHead,
} from '../wire/websocket-frame.ts'

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

const ROOM_MIN = 1024

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Reads the frames of one side. @see RFC 6455 section 5.2 */
export class FrameReader {
  readonly #options: FrameReaderOptions
  readonly #head = new FrameHeadReader()
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
    const at = this.#head.take(bytes, from)
    const head = this.#head.next()
    if (head) this.#beginFrame(head)
    return at
  }

  #beginFrame({ isLast, reserved, opcode, mask, length }: FrameHead): void {
    this.#opcode = opcode
    this.#isLast = isLast
    if (reserved !== 0) {
      this.stop(reserved === COMPRESSED ? 'encoded' : 'malformed')
      return
    }
    const isMasked = mask !== undefined
    if (isMasked !== (this.#options.from === 'client') || length === undefined) {
      this.stop('malformed')
      return
    }
    this.#mask = mask
    this.#maskAt = 0
    if (!this.#mayFollow(length)) {
      this.stop('malformed')
      return
    }
    this.#left = length
    if (length === 0) this.#endFrame()
  }

  #mayFollow(length: number): boolean {
    const opcode = this.#opcode
    if (opcode >= OPCODE.close)
      return opcode <= OPCODE.pong && this.#isLast && length <= CONTROL_BYTES_MAX
    if (opcode === OPCODE.continuation) return this.#message !== 0
    if (opcode > OPCODE.binary || this.#message !== 0) return false
    this.#message = opcode
    return true
  }

  #readPayload(bytes: Uint8Array, at: number): number {
    const left = this.#left ?? 0
    const end = Math.min(bytes.length, at + left)
    if (this.#opcode < OPCODE.close && this.#message === OPCODE.text && !this.#isLeftOut)
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
    if (this.#opcode === OPCODE.close) this.stop()
    else if (this.#opcode < OPCODE.close && this.#isLast) this.#endMessage()
  }

  #endMessage(): void {
    const isRead = this.#message === OPCODE.text && !this.#isLeftOut
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
