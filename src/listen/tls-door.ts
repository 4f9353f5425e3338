// The beginning of a connection where clients may prove themselves by certificate: one listener, on which the first byte says
// whether it is TLS. Ends that TLS and says whom the certificate names. A client without one is let in all the same, it may
// prove itself by token; one whose certificate is not good is refused. Called by `server.ts`.

import type { Socket } from 'node:net'
import type { Server, TLSSocket } from 'node:tls'

import { EgressError } from '../errors.ts'
import type { LeafServers } from '../tls/contexts.ts'
import { readSpiffeId } from '../tls/svid.ts'
import { canonicalAddress } from '../wire/address.ts'
import { beginTls } from './tls-end.ts'

/** What the door needs. */
export interface TlsDoorOptions {
  readonly leafServers: LeafServers
  /** PEM of the roots that clients' certificates are verified by. */
  readonly clientCa: string
  readonly firstByteTimeoutMs: number
}

/** A connection whose requests may be read. */
export interface Entry {
  /** The connection itself, or what is inside its TLS; nothing of it is read before it is resumed. */
  readonly socket: Socket
  /** Whom the client's certificate names. */
  readonly certificateSubject?: string
  /** Why nothing is read of it after all. */
  readonly refusal?: EgressError
}

// RFC 8446 section 5.1: a handshake record. No method of HTTP begins so.
const TLS_FIRST_BYTE = 0x16

/** Lets connections in. */
export class TlsDoor {
  readonly #options: TlsDoorOptions

  constructor(options: TlsDoorOptions) {
    this.#options = options
  }

  /**
   * Finds out what a connection begins with, and ends TLS where it is that; undefined: it has left.
   * @param socket with an error listener, which nobody has read from
   */
  async admit(socket: Socket): Promise<Entry | undefined> {
    const first = await readFirst(socket, this.#options.firstByteTimeoutMs)
    if (first === 'gone') {
      socket.destroy()
      return undefined
    }
    if (first === 'silent') return { socket, refusal: new EgressError('head-timeout') }
    if (first === 'plain') return { socket }
    let server: Server
    try {
      server = this.#serverFor(socket)
    } catch (error) {
      return { socket, refusal: error instanceof EgressError ? error : new EgressError('internal') }
    }
    const secure = await shakeHands(socket, server)
    return secure && identify(secure)
  }

  // Of the address that was dialed: a listener may have many.
  #serverFor({ localAddress = '' }: Socket): Server {
    const { leafServers, clientCa } = this.#options
    return leafServers.doorFor(canonicalAddress(localAddress), clientCa)
  }
}

function readFirst(
  socket: Socket,
  timeoutMs: number,
): Promise<'tls' | 'plain' | 'silent' | 'gone'> {
  return new Promise((resolve) => {
    const finish = (first: Awaited<ReturnType<typeof readFirst>>): void => {
      clearTimeout(timer)
      socket.off('data', onData)
      socket.off('end', onLeave)
      socket.off('close', onLeave)
      socket.pause()
      resolve(first)
    }
    const onData = (chunk: Buffer): void => {
      finish(chunk[0] === TLS_FIRST_BYTE ? 'tls' : 'plain')
      socket.unshift(chunk)
    }
    const onLeave = (): void => finish('gone')
    const timer = setTimeout(() => finish('silent'), timeoutMs)
    socket.on('data', onData)
    socket.on('end', onLeave)
    socket.on('close', onLeave)
  })
}

function shakeHands(socket: Socket, server: Server): Promise<TLSSocket | undefined> {
  return new Promise((resolve) => {
    socket.once('close', () => resolve(undefined))
    beginTls(socket, server, {
      onSecure(secure) {
        secure.on('error', () => secure.destroy())
        // Either ends with the other: a raw socket that nobody reads any more would stay for ever.
        secure.once('close', () => socket.destroy())
        socket.once('close', () => secure.destroy())
        secure.allowHalfOpen = true
        secure.pause()
        resolve(secure)
      },
      onFailure(_error, failed) {
        failed.destroy()
        socket.destroy()
      },
    })
  })
}

function identify(secure: TLSSocket): Entry {
  const certificate = secure.getPeerX509Certificate()
  if (certificate === undefined) return { socket: secure }
  if (!secure.authorized) return refuse(secure, String(secure.authorizationError))
  const certificateSubject = readSpiffeId(certificate)
  return certificateSubject === undefined
    ? refuse(secure, 'no-spiffe-id')
    : { socket: secure, certificateSubject }
}

function refuse(socket: TLSSocket, certificate: string): Entry {
  return { socket, refusal: new EgressError('identity-unknown', { certificate }) }
}
