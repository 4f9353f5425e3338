// What stands between a client's TLS socket and the library that speaks HTTP/2 on it: every byte passes unchanged, and every
// frame is seen, in and out. The socket stays ours: its end and its close are seen by us, and it is ours to end.
// Made by `http2-connection.ts`, one a connection.

import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'

import { FrameReader, goAwayFrame, type Frame } from '../wire/http2-frames.ts'
import { lingerClose } from './linger.ts'

/** What is told of the frames that pass. */
export interface GateEvents {
  /** @returns false where nothing more may pass: the bytes it came in are dropped */
  onFrameIn(frame: Frame): boolean
  onFrameOut(frame: Frame): void
}

// Pieces of one flush that are written in one go; larger ones are not copied.
const JOINED_BYTES_MAX = 64 * 1024

/** The library's side of the socket. */
export class Http2Gate extends Duplex {
  readonly #socket: Socket
  readonly #incoming: FrameReader
  readonly #outgoing: FrameReader
  #isShut = false
  #isFinished = false

  constructor(socket: Socket, events: GateEvents) {
    super({ allowHalfOpen: true, readableHighWaterMark: JOINED_BYTES_MAX })
    this.#socket = socket
    this.#incoming = new FrameReader('client', (frame) => {
      if (!this.#isShut && !events.onFrameIn(frame)) this.#isShut = true
    })
    this.#outgoing = new FrameReader('server', (frame) => events.onFrameOut(frame))
    this.on('error', () => this.destroy())
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
    socket.on('end', () => this.push(null))
    socket.on('close', () => this.destroy())
  }

  /**
   * Lets nothing more pass either way and ends the socket. Says so to the client where that can be said, between two frames:
   * the library keeps its own word back while a write is under way.
   * @param errorCode undefined where the library has said it
   * @param lastStreamId of the streams that were looked at
   */
  finish(errorCode: number | undefined, lastStreamId: number): void {
    if (this.#isFinished) return
    if (errorCode !== undefined && this.#outgoing.isBetween && this.#socket.writable)
      this.#socket.write(goAwayFrame(errorCode, lastStreamId))
    this.#isShut = true
    this.#isFinished = true
    lingerClose(this.#socket)
  }

  override _read(): void {
    this.#socket.resume()
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#send(chunk, done)
  }

  override _writev(
    pieces: readonly { readonly chunk: Buffer }[],
    done: (error?: Error | null) => void,
  ): void {
    const bytes = pieces.reduce((sum, { chunk }) => sum + chunk.length, 0)
    if (bytes <= JOINED_BYTES_MAX) {
      this.#send(Buffer.concat(pieces.map(({ chunk }) => chunk)), done)
      return
    }
    const last = pieces.length - 1
    this.#socket.cork()
    for (const [at, { chunk }] of pieces.entries())
      this.#send(chunk, at === last ? done : undefined)
    this.#socket.uncork()
  }

  override _final(done: (error?: Error | null) => void): void {
    done()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#isShut = true
    lingerClose(this.#socket)
    done(error)
  }

  #take(chunk: Buffer): void {
    if (this.#isShut) return
    this.#incoming.read(chunk)
    // What is in the same bytes as too much is read by nobody.
    if (!this.#isShut && !this.push(chunk)) this.#socket.pause()
  }

  #send(chunk: Buffer, done: ((error?: Error | null) => void) | undefined): void {
    const socket = this.#socket
    if (this.#isFinished) {
      done?.()
      return
    }
    this.#outgoing.read(chunk)
    if (socket.writable) socket.write(chunk, done)
    else done?.(new Error('the client is gone'))
  }
}
