// The door for clients of SOCKS5: what they say before their tunnel, within one deadline. Whose it is and where it may go is
// found out as for a CONNECT, which the request becomes. Called by `doors.ts` for every connection.

import type { Socket } from 'node:net'

import type { Call } from '../call.ts'
import { EgressError, type Reason } from '../errors.ts'
import type { RawHeaders } from '../wire/body.ts'
import {
  chooseMethod,
  formatMethod,
  formatPasswordAnswer,
  formatReply,
  readGreeting,
  readPassword,
  readSocksRequest,
  replyCodeOf,
  SOCKS4_REFUSED,
  SOCKS_GRANTED,
  SocksRefusal,
  type SocksMessage,
} from '../wire/socks5.ts'
import { addressOf } from './client-address.ts'
import { refuseConnection, serveTunnel, type DoorHost } from './tunnel-call.ts'
import type { TunnelAnswers } from './tunnel-side.ts'

const SOCKS4_VERSION = 4

const ANSWERS: TunnelAnswers = {
  refusesInside: false,
  established: formatReply(SOCKS_GRANTED),
  formatRefusal: (reason, call) => formatReply(replyCodeOf(reason, call.detail?.['code'])),
}

/** Serves one connection. */
export function serveSocks(socket: Socket, host: DoorHost): void {
  const client = { ...addressOf(socket), door: 'socks' } as const
  const call = host.makeCall({ client, kind: 'tunnel', scope: {} }, 'tunnel')
  const refusal = host.enter(socket)
  if (refusal === undefined) new SocksNegotiation(call, socket, host).begin()
  else refuseConnection(call, socket, { reason: refusal }, '', host)
}

type Stage = 'greeting' | 'password' | 'request'

/** What is said before the tunnel. */
class SocksNegotiation {
  readonly #call: Call
  readonly #socket: Socket
  readonly #host: DoorHost
  readonly #timer: NodeJS.Timeout
  #stage: Stage = 'greeting'
  #unread: Buffer = Buffer.alloc(0)
  #headers: RawHeaders = []
  readonly #onData = (chunk: Buffer): void => this.#take(chunk)
  readonly #onEnd = (): void => this.#end()
  readonly #onClose = (): void => this.#end()

  constructor(call: Call, socket: Socket, host: DoorHost) {
    this.#call = call
    this.#socket = socket
    this.#host = host
    const { headTimeoutMs } = host.parts.limits
    this.#timer = setTimeout(() => this.#refuse(new EgressError('head-timeout')), headTimeoutMs)
  }

  /** Reads from now on. */
  begin(): void {
    const socket = this.#socket
    socket.on('data', this.#onData)
    socket.on('end', this.#onEnd)
    socket.on('close', this.#onClose)
  }

  #take(chunk: Buffer): void {
    this.#unread = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk])
    try {
      while (this.#advance());
    } catch (error) {
      this.#refuse(error instanceof EgressError ? error : new EgressError('internal'))
    }
  }

  // False where the next message is not whole, or the tunnel's own bytes begin.
  #advance(): boolean {
    if (this.#stage === 'greeting') return this.#greet()
    if (this.#stage === 'password') return this.#takePassword()
    const target = this.#next(readSocksRequest)
    if (target !== undefined) this.#serve(target)
    return false
  }

  #greet(): boolean {
    const offered = this.#next(readGreeting)
    if (offered === undefined) return false
    const method = chooseMethod(offered)
    if (method === undefined) throw new EgressError('identity-missing', { methods: offered.size })
    this.#write(formatMethod(method))
    this.#stage = method === 'none' ? 'request' : 'password'
    return true
  }

  // Whose it is turns out with the request, so that the record says where it wanted to go.
  #takePassword(): boolean {
    const credential = this.#next(readPassword)
    if (credential === undefined) return false
    this.#headers = ['Proxy-Authorization', credential]
    this.#write(formatPasswordAnswer(true))
    this.#stage = 'request'
    return true
  }

  #next<T>(read: (bytes: Uint8Array) => SocksMessage<T> | undefined): T | undefined {
    const message = read(this.#unread)
    if (message !== undefined) this.#unread = this.#unread.subarray(message.bytes)
    return message?.value
  }

  #serve(target: string): void {
    this.#stop()
    const asked = { target, headers: this.#headers, head: this.#unread, answers: ANSWERS }
    void serveTunnel(this.#call, this.#socket, asked, this.#host)
  }

  #end(): void {
    if (this.#unread.length > 0)
      this.#refuse(new EgressError('malformed-request-line', { part: 'end' }))
    else if (this.#stage !== 'greeting') this.#refuse(new EgressError('client-gone'))
    else {
      this.#stop()
      this.#socket.destroy()
    }
  }

  #refuse(error: EgressError): void {
    this.#stop()
    refuseConnection(this.#call, this.#socket, error, this.#answerOf(error), this.#host)
  }

  #answerOf(error: EgressError): string {
    if (this.#stage === 'password') return formatPasswordAnswer(false)
    if (this.#stage === 'request')
      return formatReply(error instanceof SocksRefusal ? error.code : replyOf(error.reason))
    if (error.detail['begins'] === SOCKS4_VERSION) return SOCKS4_REFUSED
    // Whatever does not speak SOCKS5 would take an answer for something else.
    return error.reason === 'identity-missing' ? formatMethod(undefined) : ''
  }

  #write(text: string): void {
    if (this.#socket.writable) this.#socket.write(text, 'latin1')
  }

  #stop(): void {
    clearTimeout(this.#timer)
    const socket = this.#socket
    socket.off('data', this.#onData)
    socket.off('end', this.#onEnd)
    socket.off('close', this.#onClose)
    socket.pause()
  }
}

function replyOf(reason: Reason): number {
  return replyCodeOf(reason, undefined)
}
