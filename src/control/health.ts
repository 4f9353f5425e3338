// The health listener: `/healthz` (the process lives), `/readyz` (it would let calls through, and if not, why not) and
// `/metrics`. Read-only, bounded, and silent about tasks, hosts and rules: a sandbox may share the address. Made by
// `sidecar.ts`; deliberately not the control API.

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

import { bindListener, type SocketAddress } from '../listen/bind.ts'
import type { Readiness } from './readiness.ts'

/** What the listener shows. */
export interface HealthOptions {
  readonly connectionsMax: number
  readonly readiness: () => readonly Readiness[]
  /** Text in Prometheus' exposition format and its content type. */
  readonly metrics: () => Promise<{ readonly text: string; readonly contentType: string }>
}

const READ_TIMEOUT_MS = 5000
// An import would read every export, and node answers some of those by loading a whole HTTP client.
const http = process.getBuiltinModule('node:http')

/** The listener. */
export class HealthServer {
  readonly #server: Server
  readonly #options: HealthOptions

  constructor(options: HealthOptions) {
    this.#options = options
    this.#server = http.createServer(
      {
        headersTimeout: READ_TIMEOUT_MS,
        requestTimeout: READ_TIMEOUT_MS,
        keepAliveTimeout: READ_TIMEOUT_MS,
        maxHeaderSize: 8192,
      },
      (request, response) => {
        this.#answer(request, response).catch(() => response.destroy())
      },
    )
    this.#server.maxConnections = options.connectionsMax
    this.#server.on('clientError', (_error, socket) => socket.destroy())
  }

  listen(address: SocketAddress): Promise<void> {
    return bindListener(this.#server, address)
  }

  address(): AddressInfo | string | null {
    return this.#server.address()
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url?.split('?', 1)[0]
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return send(response, 405, 'text/plain', 'GET only\n')
    if (path === '/healthz') return send(response, 200, 'application/json', '{"status":"pass"}\n')
    if (path === '/readyz') {
      const checks = this.#options.readiness()
      const ready = checks.every((check) => check.ready)
      const body = JSON.stringify({ status: ready ? 'pass' : 'fail', checks })
      return send(response, ready ? 200 : 503, 'application/json', `${body}\n`)
    }
    if (path === '/metrics') {
      const { text, contentType } = await this.#options.metrics()
      return send(response, 200, contentType, text)
    }
    return send(response, 404, 'text/plain', 'Try /healthz, /readyz or /metrics.\n')
  }
}

function send(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, {
    'Content-Type': contentType,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
  })
  response.end(body)
}
