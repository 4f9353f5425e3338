// The explicit proxy's door: one listener whose connections speak HTTP/1.1 for absolute-form requests and CONNECT, and what
// is inside its tunnels, HTTP/2 among it. Makes the calls and hands them to their connection's sides. Deliberately knows nothing of rules and
// reads no byte. Made by `sidecar.ts`.

import net, { type Socket } from 'node:net'
import { TLSSocket } from 'node:tls'

import { Call, type CallKind, type ClientAddress } from '../call.ts'
import { DeadlineSweep } from '../deadlines.ts'
import { EgressError, type Reason } from '../errors.ts'
import type { TunnelSide, UpgradeSide } from '../pipeline.ts'
import type { Parts } from '../stages.ts'
import type { TaskStanding } from '../tasks/task.ts'
import type { LeafServers } from '../tls/contexts.ts'
import type { BodyReaderOptions } from '../wire/http1-body.ts'
import type { HttpProtocol } from '../wire/protocol.ts'
import type { RequestHead, TunnelScope } from '../wire/receive.ts'
import { makeUlid } from '../wire/ulid.ts'
import { addressOf, dropIfGone } from './client-address.ts'
import { bindListener, type SocketAddress } from './bind.ts'
import { Http1Connection, type ConnectionHost } from './http1-connection.ts'
import { Http2Connection } from './http2-connection.ts'
import type { OpenCalls } from './open-calls.ts'
import type { ConnectionOrigin, ServedConnection } from './served-connection.ts'
import { TlsDoor } from './tls-door.ts'
import { endTls } from './tls-end.ts'
import { connectAnswers, SocketSide, type TunnelHost } from './tunnel-side.ts'
import { makeUpgradeSide } from './upgrade-side.ts'

/** What a door needs. */
export interface ProxyServerOptions {
  readonly parts: Parts
  readonly openCalls: OpenCalls
  readonly leafServers: LeafServers
  readonly now: () => number
  /** PEM of the roots of clients' certificates; undefined: the listener takes no TLS. */
  readonly clientCa: string | undefined
}

/** The door. */
export class ProxyServer implements TunnelHost, ConnectionHost {
  readonly parts: Parts
  readonly handshakeTimeoutMs: number
  readonly clientHelloBytesMax: number
  readonly bufferBytesMax: number
  readonly requestBody: BodyReaderOptions
  readonly deadlines: DeadlineSweep<ServedConnection>
  readonly #options: ProxyServerOptions
  readonly #listener: net.Server
  readonly #tlsDoor: TlsDoor | undefined
  readonly #sockets: Set<Socket> = new Set()
  /** Connections of listeners that are one task's own. */
  readonly #boundSockets: WeakMap<Socket, string> = new WeakMap()
  #isDraining = false

  constructor(options: ProxyServerOptions) {
    this.#options = options
    this.parts = options.parts
    const { limits } = options.parts
    this.handshakeTimeoutMs = limits.handshakeTimeoutMs
    this.clientHelloBytesMax = limits.clientHelloBytesMax
    this.bufferBytesMax = limits.bufferBytesMax
    this.requestBody = { ...limits, malformed: 'malformed-body' }
    this.deadlines = new DeadlineSweep([limits.headTimeoutMs, limits.keepAliveTimeoutMs])
    const { leafServers, clientCa } = options
    this.#tlsDoor =
      clientCa === undefined
        ? undefined
        : new TlsDoor({ leafServers, clientCa, firstByteTimeoutMs: limits.headTimeoutMs })
    // The two directions of a tunnel end apart.
    this.#listener = net.createServer({ noDelay: true, allowHalfOpen: true }, (socket) =>
      this.#accept(socket),
    )
  }

  /** Whether no new call is taken. */
  get isDraining(): boolean {
    return this.#isDraining
  }

  /** Starts to listen. @throws Error of the system where the address cannot be had */
  listen(address: SocketAddress): Promise<void> {
    return bindListener(this.#listener, address)
  }

  /** The address that is listened on. */
  address(): net.AddressInfo | string | null {
    return this.#listener.address()
  }

  /**
   * Serves a connection that came in by another listener.
   * @param boundTo the task whose own listener it is
   */
  accept(socket: Socket, boundTo?: TaskStanding): void {
    this.#accept(socket, boundTo)
  }

  /** Counts a connection of any door against the bound, and ends it with the others. @returns why it is refused */
  enter(socket: Socket): 'draining' | 'busy' | undefined {
    socket.on('error', () => socket.destroy())
    if (this.#isDraining) return 'draining'
    if (this.#sockets.size >= this.parts.limits.connectionsMax) return 'busy'
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    return undefined
  }

  /** Ends the connections of a task's own listener. @returns how many there were */
  endConnectionsOf(taskId: string): number {
    let ended = 0
    for (const socket of this.#sockets) {
      if (this.#boundSockets.get(socket) !== taskId) continue
      socket.destroy()
      ended += 1
    }
    return ended
  }

  /** Takes no new connection and no new call from now on. */
  drain(): void {
    this.#isDraining = true
    this.#listener.close()
    for (const connection of this.deadlines.items) connection.endIfIdle()
  }

  /** Ends every connection. */
  close(): void {
    this.#isDraining = true
    this.#listener.close()
    for (const socket of this.#sockets) socket.destroy()
    this.deadlines.close()
  }

  async serveTls(
    call: Call,
    socket: Socket,
    scope: TunnelScope,
    protocols: readonly HttpProtocol[],
    refusal: Reason | undefined,
  ): Promise<Reason> {
    const { leafServers } = this.#options
    const server = leafServers.serverFor(scope.endpoint, call.identity?.task.id, protocols)
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

  makeCall({ client, parent, boundTo }: ConnectionOrigin, kind: CallKind): Call {
    const startedAt = this.#options.now()
    const id = makeUlid(startedAt)
    return new Call({ id, kind, parent, startedAt, client, boundTo })
  }

  openCall(call: Call): void {
    if (this.#isDraining) throw new EgressError('draining')
    this.#options.openCalls.add(call)
  }

  closeCall(call: Call): void {
    this.#options.openCalls.delete(call)
  }

  tunnelSide(call: Call, head: RequestHead, connection: Http1Connection): TunnelSide {
    const answers = connectAnswers(head.version === '1.0' ? '1.0' : '1.1')
    return new SocketSide(call, connection.socket, connection.detach(), answers, this)
  }

  upgradeSide(call: Call, connection: Http1Connection): UpgradeSide {
    const { bufferBytesMax } = this.parts.limits
    return makeUpgradeSide(call, connection.socket, connection.detach(), bufferBytesMax)
  }

  #serveInside(call: Call, socket: Socket, tunnel: TunnelScope, refusal: Reason | undefined): void {
    const scope = refusal === undefined ? { tunnel } : { tunnel, refusal }
    const { client } = call.arrival
    const boundTo = call.identity?.standing
    const origin: ConnectionOrigin = {
      client,
      kind: 'intercepted',
      scope,
      parent: call.id,
      ...(boundTo && { boundTo }),
    }
    const isHttp2 = socket instanceof TLSSocket && socket.alpnProtocol === 'h2'
    const connection = isHttp2
      ? new Http2Connection(socket, origin, this)
      : new Http1Connection(socket, origin, this)
    if (this.#isDraining) connection.endIfIdle()
  }

  #accept(socket: Socket, boundTo?: TaskStanding): void {
    if (dropIfGone(socket)) return
    const refusal = this.enter(socket)
    const client = addressOf(socket)
    if (refusal !== undefined) {
      this.#serve(socket, client, boundTo).refuse(refusal)
      return
    }
    if (boundTo) this.#boundSockets.set(socket, boundTo.task.id)
    // Whoever reaches a task's own listener has proved the task by it.
    if (this.#tlsDoor === undefined || boundTo) this.#serve(socket, client, boundTo)
    else void this.#admit(socket, client, this.#tlsDoor)
  }

  async #admit(raw: Socket, address: ClientAddress, door: TlsDoor): Promise<void> {
    const entry = await door.admit(raw)
    if (entry === undefined) return
    const { socket, certificateSubject, refusal } = entry
    const client = certificateSubject === undefined ? address : { ...address, certificateSubject }
    const connection = this.#serve(socket, client)
    if (refusal) connection.refuse(refusal.reason, refusal.detail)
    else if (this.#isDraining) connection.refuse('draining')
  }

  #serve(socket: Socket, client: ClientAddress, boundTo?: TaskStanding): Http1Connection {
    const origin: ConnectionOrigin = {
      client,
      kind: 'forward',
      scope: {},
      ...(boundTo && { boundTo }),
    }
    return new Http1Connection(socket, origin, this)
  }
}
