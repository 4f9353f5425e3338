// The client's side of a CONNECT: the raw socket, what its first bytes are, and where they go. Driven by `pipeline.ts`;
// made by `server.ts`. The socket has an error listener for its whole life: an unhandled one would end the process.

import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

import type { Call } from '../call.ts'
import { EgressError, type Reason } from '../errors.ts'
import type { TunnelSide, TunnelStart } from '../pipeline.ts'
import { isSent } from '../stages.ts'
import { sniffClientHello } from '../wire/client-hello.ts'
import { looksLikeHttp } from '../wire/http1-head.ts'
import type { HttpProtocol } from '../wire/protocol.ts'
import type { TunnelScope } from '../wire/receive.ts'
import { formatAnswer, makeProblem } from './answer.ts'
import { lingerClose } from './linger.ts'
import { watchSocket } from './watch-socket.ts'

/** What a tunnel needs of the server it came in by. */
export interface TunnelHost {
  readonly handshakeTimeoutMs: number
  readonly clientHelloBytesMax: number
  readonly bufferBytesMax: number
  serveTls(
    call: Call,
    socket: Socket,
    scope: TunnelScope,
    protocols: readonly HttpProtocol[],
    refusal: Reason | undefined,
  ): Promise<Reason>
  serveCleartext(
    call: Call,
    socket: Socket,
    scope: TunnelScope,
    refusal: Reason | undefined,
  ): Promise<Reason>
}

// RFC 8446 section 6: alert record, fatal, unrecognized_name.
const ALERT_UNRECOGNIZED_NAME = Buffer.from([0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x70])
// The same, access_denied.
const ALERT_ACCESS_DENIED = Buffer.from([0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x31])

/** One CONNECT's socket. */
export class ConnectSide implements TunnelSide {
  readonly #call: Call
  readonly #socket: Socket
  readonly #host: TunnelHost
  readonly #version: string
  #head: Buffer
  #established = false
  #tls = false

  /**
   * @param head what node read behind the request head
   * @param version of the CONNECT, `1.0` or `1.1`
   */
  constructor(call: Call, socket: Socket, head: Buffer, version: string, host: TunnelHost) {
    this.#call = call
    this.#socket = socket
    this.#head = head
    this.#version = version
    this.#host = host
    socket.on('error', () => call.cut('client-gone'))
    call.onCut(() => socket.destroy())
  }

  establish(): void {
    this.#established = true
    this.#socket.write(`HTTP/${this.#version} 200 Connection established\r\n\r\n`)
  }

  watch(): () => void {
    const { bufferBytesMax } = this.#host
    const watch = watchSocket(this.#socket, bufferBytesMax, () => this.#call.cut('client-gone'))
    return () => {
      this.#head = Buffer.concat([this.#head, watch.end()])
    }
  }

  sniff(): Promise<TunnelStart> {
    const socket = this.#socket
    return new Promise((resolve, reject) => {
      const finish = (start: TunnelStart | EgressError): void => {
        clearTimeout(timer)
        socket.off('data', read)
        socket.off('end', onEnd)
        socket.off('close', onClose)
        socket.pause()
        if (start instanceof EgressError) reject(start)
        else resolve(start)
      }
      const look = (): void => {
        const start = recognise(this.#head, this.#host.clientHelloBytesMax)
        if (start === undefined) return
        this.#tls = this.#head[0] === 0x16
        finish(start)
      }
      const read = (chunk: Buffer): void => {
        this.#head = this.#head.length === 0 ? chunk : Buffer.concat([this.#head, chunk])
        look()
      }
      const onEnd = (): void => finish(new EgressError('client-gone'))
      const onClose = (): void => finish(new EgressError(this.#call.cutReason ?? 'client-gone'))
      const timer = setTimeout(
        () => finish(new EgressError('head-timeout')),
        this.#host.handshakeTimeoutMs,
      )
      if (socket.destroyed) return onClose()
      socket.on('data', read)
      socket.on('end', onEnd)
      socket.on('close', onClose)
      if (this.#head.length > 0) look()
      else socket.resume()
    })
  }

  serveTls(
    scope: TunnelScope,
    protocols: readonly HttpProtocol[],
    refusal: Reason | undefined,
  ): Promise<Reason> {
    return this.#host.serveTls(this.#call, this.#unread(), scope, protocols, refusal)
  }

  serveCleartext(scope: TunnelScope, refusal: Reason | undefined): Promise<Reason> {
    return this.#host.serveCleartext(this.#call, this.#unread(), scope, refusal)
  }

  detach(): { readonly client: Duplex; readonly head: Uint8Array } {
    const head = this.#head
    this.#head = Buffer.alloc(0)
    return { client: this.#socket, head }
  }

  sendRefusal(reason: Reason, call: Call): void {
    const socket = this.#socket
    if (socket.destroyed) return
    if (!isSent(reason)) {
      socket.destroy()
      return
    }
    if (!this.#established) socket.write(formatAnswer(makeProblem(reason, call)), 'latin1')
    else if (this.#tls)
      socket.write(reason === 'authority-mismatch' ? ALERT_UNRECOGNIZED_NAME : ALERT_ACCESS_DENIED)
    lingerClose(socket)
  }

  #unread(): Socket {
    const { client, head } = this.detach()
    if (head.length > 0) client.unshift(head)
    return this.#socket
  }
}

function recognise(bytes: Buffer, bytesMax: number): TunnelStart | undefined {
  const hello = sniffClientHello(bytes)
  if (hello.kind === 'hello') return hello
  if (hello.kind === 'malformed' || bytes.length > bytesMax) return { kind: 'other' }
  if (hello.kind === 'more') return undefined
  const http = looksLikeHttp(bytes)
  return http === undefined ? undefined : { kind: http ? 'http' : 'other' }
}
