// An upstream's socket whose bytes are looked through before anybody reads them; what is written to it goes on as it is. Made by
// `upgrade.ts`, for http-proxy, which joins it to the client's.

import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'

/** A socket over another, which it ends with itself. */
export class ScrubbedSocket extends Duplex {
  readonly #socket: Socket
  readonly #scrub: (bytes: Uint8Array) => Uint8Array | undefined

  /** @param scrub what may go on of the next bytes; undefined: nothing, and nothing more */
  constructor(socket: Socket, scrub: (bytes: Uint8Array) => Uint8Array | undefined) {
    super({ allowHalfOpen: true })
    this.#socket = socket
    this.#scrub = scrub
  }

  /** Whether the other has ended and its last bytes are on their way. */
  get isEnding(): boolean {
    return this.#socket.readableEnded && !this.readableEnded && !this.destroyed
  }

  /** Begins to read the other, behind the listeners that are on it. */
  begin(): void {
    this.#socket.on('data', (bytes: Buffer) => {
      const out = this.#scrub(bytes)
      if (out !== undefined && out.length > 0 && !this.push(out)) this.#socket.pause()
    })
    this.#socket.on('end', () => this.push(null))
    this.#socket.on('close', () => {
      if (!this.#socket.readableEnded) this.destroy()
    })
  }

  setTimeout(): this {
    return this
  }

  setNoDelay(): this {
    return this
  }

  setKeepAlive(): this {
    return this
  }

  override _read(): void {
    this.#socket.resume()
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: () => void): void {
    if (this.#socket.write(chunk) || this.#socket.destroyed) done()
    else {
      const goOn = (): void => {
        this.#socket.off('drain', goOn).off('close', goOn)
        done()
      }
      this.#socket.on('drain', goOn).on('close', goOn)
    }
  }

  override _final(done: () => void): void {
    this.#socket.end()
    done()
  }
}
