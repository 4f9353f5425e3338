// A connection of the operator's as bytes each way, for receivers that speak no HTTP. Opened by `dial.ts` with an operator's
// permit. Deliberately knows no protocol, and keeps no time: whoever waits too long aborts. Made by `config/`, used by `record/`.

import type net from 'node:net'

import type { Dialer } from './dial.ts'
import type { OperatorPermit } from './permit.ts'
import { resetSocket } from './reset.ts'
import type { TlsClient } from './upstream-tls.ts'

/** Bytes each way. */
export interface OperatorStream {
  /** Hands bytes to the system; done once none of them waits in this process. @throws Error once the connection is broken */
  write(bytes: Uint8Array): Promise<void>
  /** The next bytes, undefined behind the peer's end; one read at a time. @throws Error once the connection is broken */
  read(): Promise<Buffer | undefined>
  /** Says that nothing follows, over TLS by `close_notify`; reading goes on. */
  end(): void
  /** Breaks it off: what waits for it fails. */
  abort(): void
}

/** Opens the one connection that it was made for. @throws EgressError of dialing */
export interface OpenStream {
  (signal: AbortSignal): Promise<OperatorStream>
}

/** What a connection is opened with. */
export interface StreamOptions {
  /** Asked for each connection over TLS: what it shows and trusts may have been renewed. @throws Error saying what is wrong */
  readonly client: () => TlsClient
  /** A server that says one line in the clear before TLS begins: that line's bytes, at the most. It is read first. */
  readonly greetingBytesMax?: number
}

/** Makes what opens connections to the permit's endpoint; TLS, where the permit says so, is verified always. */
export function streamOpener(
  dialer: Dialer,
  permit: OperatorPermit,
  { client, greetingBytesMax }: StreamOptions,
): OpenStream {
  return async (signal) => {
    let greeting: Buffer | undefined
    const { socket } = await dialer.dial(permit, {
      tls: permit.tls,
      signal,
      ...(permit.tls && { client: client() }),
      ...(permit.tls &&
        greetingBytesMax !== undefined && {
          beforeTls: async (raw) => {
            greeting = await readGreeting(raw, greetingBytesMax)
          },
        }),
    })
    return new SocketStream(socket, greeting)
  }
}

class SocketStream implements OperatorStream {
  readonly #socket: net.Socket
  readonly #chunks: AsyncIterator<Buffer>
  #greeting: Buffer | undefined

  constructor(socket: net.Socket, greeting: Buffer | undefined) {
    this.#socket = socket
    this.#greeting = greeting
    this.#chunks = socket.iterator({ destroyOnReturn: false })
  }

  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.write(bytes, (error) => (error ? reject(error) : resolve()))
    })
  }

  async read(): Promise<Buffer | undefined> {
    const greeting = this.#greeting
    this.#greeting = undefined
    if (greeting !== undefined) return greeting
    const { done, value } = await this.#chunks.next()
    return done === true ? undefined : value
  }

  end(): void {
    this.#socket.end()
  }

  abort(): void {
    resetSocket(this.#socket)
  }
}

// Bytes behind the line came before TLS and would be taken for the verified server's; a server waits for the client there.
function readGreeting(raw: net.Socket, bytesMax: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let line = Buffer.alloc(0)
    const finish = (error: Error | undefined): void => {
      raw.off('data', onData).off('close', onClose)
      raw.pause()
      if (error) reject(error)
      else resolve(line)
    }
    const onClose = (): void => finish(new Error('closed before the greeting'))
    const onData = (chunk: Buffer): void => {
      line = Buffer.concat([line, chunk])
      const end = line.indexOf(0x0a)
      if (end >= 0 && end < line.length - 1) finish(new Error('bytes between greeting and TLS'))
      else if (line.length > bytesMax) finish(new Error('the greeting is too long'))
      else if (end >= 0) finish(undefined)
    }
    raw.on('data', onData).on('close', onClose)
  })
}
