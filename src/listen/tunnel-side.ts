// The client's side of a tunnel, by whichever door it was asked for: the raw socket, what its first bytes are, and where they
// go. Driven by `pipeline.ts`; made by the doors, which give the words. The socket has an error listener for its whole life: an
// unhandled one would end the process.

import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

import type { Call } from '../call.ts'
import type { Reason } from '../errors.ts'
import type { TunnelSide, TunnelStart } from '../pipeline.ts'
import { isSent } from '../stages.ts'
import type { HttpProtocol } from '../wire/protocol.ts'
import type { TunnelScope } from '../wire/receive.ts'
import { formatAnswer, makeProblem } from './answer.ts'
import { lingerClose } from './linger.ts'
import { sniffSocket } from './sniff.ts'
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

// RFC 8446 section 5.1: a handshake record.
const TLS_FIRST_BYTE = 0x16
// Section 6: alert record, fatal, unrecognized_name.
const ALERT_UNRECOGNIZED_NAME = Buffer.from([0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x70])
// The same, access_denied.
const ALERT_ACCESS_DENIED = Buffer.from([0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x31])

/** How a door says what becomes of a tunnel, in the protocol in which it was asked for. */
export interface TunnelAnswers {
  /** Whether a refusal is told inside the tunnel: its client asked for none, and would read no answer to it. */
  readonly refusesInside: boolean
  /** Says that the tunnel stands; latin1, empty where nothing is to be said. */
  readonly established: string
  /** Says that it does not; latin1, empty where nothing can be said. */
  formatRefusal(reason: Reason, call: Call): string
}

/** One tunnel's socket. */
export class SocketSide implements TunnelSide {
  readonly #call: Call
  readonly #socket: Socket
  readonly #host: TunnelHost
  readonly #answers: TunnelAnswers
  #head: Buffer
  #established = false
  #tls: boolean

  /** @param head what was read of the tunnel already */
  constructor(call: Call, socket: Socket, head: Buffer, answers: TunnelAnswers, host: TunnelHost) {
    this.#call = call
    this.#socket = socket
    this.#head = head
    this.#tls = head[0] === TLS_FIRST_BYTE
    this.#answers = answers
    this.#host = host
    socket.on('error', () => call.cut('client-gone'))
    call.onCut(() => socket.destroy())
  }

  get refusesInside(): boolean {
    return this.#answers.refusesInside
  }

  establish(): void {
    this.#established = true
    const { established } = this.#answers
    if (established !== '') this.#socket.write(established, 'latin1')
  }

  watch(): () => void {
    const { bufferBytesMax } = this.#host
    const watch = watchSocket(this.#socket, bufferBytesMax, () => this.#call.cut('client-gone'))
    return () => {
      this.#head = Buffer.concat([this.#head, watch.end()])
    }
  }

  async sniff(): Promise<TunnelStart> {
    const { handshakeTimeoutMs: timeoutMs, clientHelloBytesMax: bytesMax } = this.#host
    const { start, bytes } = await sniffSocket(this.#socket, this.#head, { timeoutMs, bytesMax })
    this.#head = bytes
    this.#tls = bytes[0] === TLS_FIRST_BYTE
    return start
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
    const answer = this.#established ? '' : this.#answers.formatRefusal(reason, call)
    if (answer !== '') socket.write(answer, 'latin1')
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

/** The answers of a CONNECT. @param version of its request, `1.0` or `1.1` */
export function connectAnswers(version: '1.0' | '1.1'): TunnelAnswers {
  return {
    refusesInside: false,
    established: `HTTP/${version} 200 Connection established\r\n\r\n`,
    formatRefusal: (reason, call) => formatAnswer(makeProblem(reason, call)),
  }
}
