// node's HTTP server as this door wants it: strict, nothing hidden, every time-out running although it never listens.
// Called by `server.ts`, which owns what the events mean.

import assert from 'node:assert'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

import type { ClientAddress } from '../call.ts'
import type { Limits } from '../limits.ts'
import type { RequestHead } from '../wire/receive.ts'

/** What the server reports. */
export interface HttpServerEvents {
  readonly onRequest: (request: IncomingMessage, response: ServerResponse) => void
  readonly onConnect: (request: IncomingMessage, socket: Socket, head: Buffer) => void
  readonly onUpgrade: (request: IncomingMessage, socket: Socket, head: Buffer) => void
  readonly onClientError: (error: Error, socket: Socket) => void
}

/** An HTTP/1.1 server that is given its connections by `emit('connection', socket)`. */
export function makeHttpServer(limits: Limits, events: HttpServerEvents): http.Server {
  const server = http.createServer({
    noDelay: true,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    headersTimeout: limits.headTimeoutMs,
    // Long uploads are bounded by the sweep of open calls, not by a clock over the whole request.
    requestTimeout: 0,
    connectionsCheckingInterval: Math.max(10, Math.min(1000, limits.headTimeoutMs / 4)),
    maxHeaderSize: limits.headBytesMax,
    insecureHTTPParser: false,
    requireHostHeader: false,
    shouldUpgradeCallback: isWebSocket,
  })
  // Node would hide the fields past its count while its parser frames by them; `wire/receive.ts` counts and refuses.
  server.maxHeadersCount = 0
  server.on('request', events.onRequest)
  server.on('checkContinue', events.onRequest)
  server.on('checkExpectation', events.onRequest)
  server.on('connect', (request, socket, head) => events.onConnect(request, asSocket(socket), head))
  server.on('upgrade', (request, socket, head) => events.onUpgrade(request, asSocket(socket), head))
  server.on('clientError', (error, socket) => events.onClientError(error, asSocket(socket)))
  // A server that never listens checks no head time-out until it believes it does.
  server.emit('listening')
  return server
}

/** The head of a request as node parsed it. */
export function headOf(request: IncomingMessage, upgrade: boolean): RequestHead {
  return {
    method: request.method ?? '',
    target: request.url ?? '',
    version: request.httpVersion,
    headers: request.rawHeaders,
    upgrade,
  }
}

/** Where a client's socket comes from. */
export function addressOf(socket: Socket): ClientAddress {
  const { remoteAddress, remotePort } = socket
  if (remoteAddress === undefined || remotePort === undefined) return {}
  const mapped = remoteAddress.startsWith('::ffff:')
  return { address: mapped ? remoteAddress.slice(7) : remoteAddress, port: remotePort }
}

// What a server is given by `emit('connection')` is a socket, also where node's types promise less.
function asSocket(stream: Duplex): Socket {
  assert(stream instanceof Socket, 'connections are sockets')
  return stream
}

// Any other offer (h2c and the like) is an ordinary request, as RFC 9110 section 7.8 lets a server treat it.
function isWebSocket(request: IncomingMessage): boolean {
  return request.headers.upgrade?.toLowerCase() === 'websocket'
}
