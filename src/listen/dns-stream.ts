// One TCP connection of DNS: queries with their length in front, several one after another, each answered when it is whole (RFC
// 7766 section 6.2.1). A client that does not read is not read from, one that says nothing whole for long is left. Made by
// `dns-door.ts`.

import type { Socket } from 'node:net'

/** How a connection is served. */
export interface DnsStreamOptions {
  /** From one whole query to the next, milliseconds. */
  readonly idleMs: number
  /** A query that says it is longer ends the connection. */
  readonly messageBytesMax: number
  /** The answer to a message; undefined: none. Never throws. */
  readonly answer: (bytes: Uint8Array) => Uint8Array | undefined
}

const LENGTH_BYTES = 2
// RFC 1035 section 4.1.1.
const HEADER_BYTES = 12

/** One connection. */
export class DnsStream {
  readonly #socket: Socket
  readonly #options: DnsStreamOptions
  #unread: Buffer = Buffer.alloc(0)
  #isEnded = false

  constructor(socket: Socket, options: DnsStreamOptions) {
    this.#socket = socket
    this.#options = options
  }

  /** Serves the connection until it is over. */
  start(): void {
    const socket = this.#socket
    const timer = setTimeout(() => socket.destroy(), this.#options.idleMs)
    timer.unref()
    socket.once('close', () => clearTimeout(timer))
    socket.on('data', (chunk: Buffer) => {
      this.#unread = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk])
      this.#answerAll(timer)
    })
    socket.on('drain', () => this.#answerAll(timer))
    socket.on('end', () => {
      this.#isEnded = true
      this.#answerAll(timer)
    })
  }

  #answerAll(timer: NodeJS.Timeout): void {
    const socket = this.#socket
    const { messageBytesMax, answer } = this.#options
    while (this.#unread.length >= LENGTH_BYTES && !socket.writableNeedDrain) {
      const length = this.#unread.readUInt16BE(0)
      if (length > messageBytesMax) {
        // Told of by its header, which is no query by itself: what is behind it is not waited for.
        answer(this.#unread.subarray(LENGTH_BYTES, LENGTH_BYTES + HEADER_BYTES))
        socket.destroy()
        return
      }
      if (this.#unread.length < LENGTH_BYTES + length) break
      const message = this.#unread.subarray(LENGTH_BYTES, LENGTH_BYTES + length)
      this.#unread = this.#unread.subarray(LENGTH_BYTES + length)
      timer.refresh()
      this.#send(answer(message))
      if (socket.destroyed) return
    }
    if (socket.writableNeedDrain) socket.pause()
    else if (this.#isEnded) socket.end()
    else socket.resume()
  }

  #send(answer: Uint8Array | undefined): void {
    // Whoever sends no query at all is not waited for.
    if (answer === undefined) {
      this.#socket.destroy()
      return
    }
    const framed = Buffer.alloc(LENGTH_BYTES + answer.length)
    framed.writeUInt16BE(answer.length)
    framed.set(answer, LENGTH_BYTES)
    this.#socket.write(framed)
  }
}
