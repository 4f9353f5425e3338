// The explicit proxy's door: one listener, a strict HTTP/1.1 server on it for absolute-form requests and CONNECT, and a
// second one that never listens for what is inside tunnels. Makes the calls and their client sides and hands them to
// `pipeline.ts`. Deliberately knows nothing of rules. Made by `sidecar.ts`.

import type http from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import net, { type Socket } from 'node:net'

import { Call, type CallKind } from '../call.ts'
import { EgressError, type Reason } from '../errors.ts'
import { runRequest, runTunnel, runUpgrade } from '../pipeline.ts'
import type { CallScope, Parts } from '../stages.ts'
import type { LeafServers } from '../tls/contexts.ts'
import type { TunnelScope } from '../wire/receive.ts'
import { makeUlid } from '../wire/ulid.ts'
import { formatAnswer, makeAnswer } from './answer.ts'
import { bindListener, type SocketAddress } from './bind.ts'
import { Http1Side } from './http1.ts'
import { newConnection, whenIdle, type Connection } from './connection.ts'
import { readFirstLine } from './first-line.ts'
import { addressOf, headOf, makeHttpServer } from './http-server.ts'
import { lingerClose } from './linger.ts'
import type { OpenCalls } from './open-calls.ts'
import { isEndOfInput, nameParserFailure } from './parser-failure.ts'
import { ConnectSide, type TunnelHost } from './tunnel-side.ts'
import { endTls } from './tls-end.ts'
import { makeUpgradeSide } from './upgrade-side.ts'

/** What a door needs. */
export interface ProxyServerOptions {
  readonly parts: Parts
  readonly openCalls: OpenCalls
  readonly leafServers: LeafServers
  readonly now: () => number
}

/** The door. */
export class ProxyServer implements TunnelHost {
  readonly handshakeTimeoutMs: number
  readonly clientHelloBytesMax: number
  readonly #options: ProxyServerOptions
  readonly #listener: net.Server
  readonly #outer: http.Server
  readonly #inner: http.Server
  readonly #connections: WeakMap<object, Connection> = new WeakMap()
  readonly #sockets: Set<Socket> = new Set()
  #draining = false

  constructor(options: ProxyServerOptions) {
    this.#options = options
    const { limits } = options.parts
    this.handshakeTimeoutMs = limits.handshakeTimeoutMs
    this.clientHelloBytesMax = limits.clientHelloBytesMax
    this.#outer = this.#makeServer()
    this.#inner = this.#makeServer()
    // A client that sends its request and closes its half still gets the answer.
    this.#listener = net.createServer({ noDelay: true, allowHalfOpen: true }, (socket) =>
      this.#accept(socket),
    )
  }

  /** Starts to listen. @throws Error of the system where the address cannot be had */
  listen(address: SocketAddress): Promise<void> {
    return bindListener(this.#listener, address)
  }

  /** The address that is listened on. */
  address(): net.AddressInfo | string | null {
    return this.#listener.address()
  }

  /** Takes no new connection and no new call from now on. */
  drain(): void {
    this.#draining = true
    this.#listener.close()
    this.#outer.closeIdleConnections()
    this.#inner.closeIdleConnections()
  }

  /** Ends every connection. */
  close(): void {
    this.#draining = true
    this.#listener.close()
    for (const socket of this.#sockets) socket.destroy()
    this.#outer.close()
    this.#inner.close()
  }

  async serveTls(
    call: Call,
    socket: Socket,
    scope: TunnelScope,
    refusal: Reason | undefined,
  ): Promise<Reason> {
    const server = this.#options.leafServers.serverFor(scope.endpoint)
    return endTls(call, socket, server, (secure) => this.#serveInside(call, secure, scope, refusal))
  }

  serveCleartext(
    call: Call,
    socket: Socket,
    scope: TunnelScope,
    refusal: Reason | undefined,
  ): Promise<Reason> {
    return new Promise((resolve) => {
      socket.once('close', () => resolve(call.cutReason ?? 'allowed'))
      this.#serveInside(call, socket, scope, refusal)
    })
  }

  #serveInside(call: Call, socket: Socket, tunnel: TunnelScope, refusal: Reason | undefined): void {
    const scope: CallScope = refusal === undefined ? { tunnel } : { tunnel, refusal }
    const connection = newConnection(call.arrival.client, 'intercepted', scope, call.id)
    this.#connections.set(socket, connection)
    this.#begin(this.#inner, socket, connection)
  }

  #makeServer(): http.Server {
    return makeHttpServer(this.#options.parts.limits, {
      onRequest: (request, response) => this.#onRequest(request, response),
      onConnect: (request, socket, head) => this.#onConnect(request, socket, head),
      onUpgrade: (request, socket, head) => this.#onUpgrade(request, socket, head),
      onClientError: (error, socket) => this.#onClientError(error, socket),
    })
  }

  #accept(socket: Socket): void {
    const { limits } = this.#options.parts
    socket.on('error', () => socket.destroy())
    const connection = newConnection(addressOf(socket), 'forward', {})
    this.#connections.set(socket, connection)
    if (this.#draining || this.#sockets.size >= limits.connectionsMax) {
      this.#refuseConnection(socket, connection, this.#draining ? 'draining' : 'busy')
      return
    }
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    this.#begin(this.#outer, socket, connection)
  }

  #begin(server: http.Server, socket: Socket, connection: Connection): void {
    const { headTimeoutMs, headBytesMax } = this.#options.parts.limits
    readFirstLine(socket, headTimeoutMs, headBytesMax, {
      onSound: () => server.emit('connection', socket),
      onRefused: (reason) => this.#refuseConnection(socket, connection, reason),
    })
  }

  // Refused before anything is parsed, and still one record.
  #refuseConnection(socket: Socket, connection: Connection, reason: Reason): void {
    const call = this.#newCall(connection, connection.kind)
    call.reason = reason
    socket.write(formatAnswer(makeAnswer(reason, call)), 'latin1')
    lingerClose(socket)
    this.#options.parts.recorder.recordEnd(call)
  }

  #newCall(connection: Connection, kind: CallKind): Call {
    const startedAt = this.#options.now()
    connection.requests += 1
    return new Call({
      id: makeUlid(startedAt),
      kind,
      ...(connection.parent !== undefined && { parent: connection.parent }),
      startedAt,
      client: connection.client,
    })
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    const connection = this.#connections.get(request.socket)
    if (connection === undefined) {
      request.socket.destroy()
      return
    }
    // Parsed in one go with a request whose end is in doubt: the connection closes behind that one's answer.
    if (connection.ended) return
    const call = this.#newCall(connection, connection.kind)
    const side = new Http1Side(call, request, response, this.#options.parts.limits)
    if (!this.#open(call, connection, request, (reason) => side.sendRefusal(reason, call))) return
    runRequest(call, headOf(request, false), connection.scope, side, this.#options.parts)
      .finally(() => this.#closed(call, connection))
      .catch((error: unknown) => this.#options.parts.onUnexpected(error, call))
    if (!call.framingInDoubt) return
    connection.ended = true
    response.shouldKeepAlive = false
  }

  #onUpgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const connection = this.#connections.get(request.socket)
    if (connection === undefined || connection.ended) {
      socket.destroy()
      return
    }
    const call = this.#newCall(connection, 'upgrade')
    socket.on('error', () => call.cut('client-gone'))
    socket.on('close', () => call.cut('client-gone'))
    const side = makeUpgradeSide(request, socket, head)
    if (!this.#open(call, connection, request, (reason) => side.sendRefusal(reason, call))) return
    runUpgrade(call, headOf(request, true), connection.scope, side, this.#options.parts)
      .finally(() => this.#closed(call, connection))
      .catch((error: unknown) => this.#options.parts.onUnexpected(error, call))
  }

  #onConnect(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const connection = this.#connections.get(request.socket)
    if (connection === undefined || connection.ended) {
      socket.destroy()
      return
    }
    const call = this.#newCall(connection, 'tunnel')
    const side = new ConnectSide(
      call,
      socket,
      head,
      request.httpVersion === '1.0' ? '1.0' : '1.1',
      this,
    )
    const refuse = (reason: Reason): void => side.sendRefusal(reason, call)
    if (!this.#open(call, connection, request, refuse)) return
    // A tunnel inside a tunnel would be judged by nobody.
    if (connection.scope.tunnel) {
      this.#endEarly(call, connection, 'protocol-not-allowed', refuse)
      return
    }
    runTunnel(call, headOf(request, false), side, this.#options.parts)
      .finally(() => this.#closed(call, connection))
      .catch((error: unknown) => this.#options.parts.onUnexpected(error, call))
  }

  // False where the call was refused at once.
  #open(
    call: Call,
    connection: Connection,
    request: IncomingMessage,
    refuse: (reason: Reason) => void,
  ): boolean {
    try {
      if (this.#draining) throw new EgressError('draining')
      this.#options.openCalls.add(call)
    } catch (error) {
      this.#endEarly(
        call,
        connection,
        error instanceof EgressError ? error.reason : 'internal',
        refuse,
      )
      return false
    }
    connection.calls.set(call, () => request.complete)
    return true
  }

  #endEarly(
    call: Call,
    connection: Connection,
    reason: Reason,
    refuse: (reason: Reason) => void,
  ): void {
    call.reason = reason
    refuse(reason)
    this.#options.parts.recorder.recordEnd(call)
    this.#closed(call, connection)
  }

  #closed(call: Call, connection: Connection): void {
    this.#options.openCalls.delete(call)
    connection.calls.delete(call)
    if (connection.calls.size === 0) connection.onIdle?.()
  }

  // What node's parser refuses: a call of its own with a record, or the end of the one whose body it is.
  #onClientError(error: Error, socket: Socket): void {
    const connection = this.#connections.get(socket)
    if (connection === undefined || socket.destroyed || !socket.writable) {
      socket.destroy()
      return
    }
    // The answer that is owed says why, and the connection closes behind it.
    if (connection.ended) return
    const reason = nameParserFailure(error, connection.requests === 0)
    if (reason === undefined) {
      for (const call of connection.calls.keys()) call.cut('client-gone')
      socket.destroy()
      return
    }
    // The body that is arriving is what the parser did not like; else it is the message behind those that are answered.
    const unfinished = [...connection.calls].filter(([, isWhole]) => !isWhole())
    const hasLeft = reason === 'head-timeout' || isEndOfInput(error)
    for (const [call] of unfinished) call.cut(hasLeft ? 'client-gone' : 'malformed-body')
    if (unfinished.length === 0)
      whenIdle(connection, () => this.#refuseConnection(socket, connection, reason))
  }
}
