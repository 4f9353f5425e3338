// The control listener: binds at once, refuses what no client of it sends, recognises the principal, bounds everything, and
// hands the request on to `app.ts`, which is loaded at the first one because a start must stay fast. Its own listener,
// never the data port's (I6). Made by `sidecar.ts`.

import type { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

import type { Limits } from '../limits.ts'
import { bindListener, type SocketAddress } from '../listen/bind.ts'
import { ControlError } from '../tasks/control-error.ts'
import { canonicalAddress } from '../wire/address.ts'
import type { ControlApp } from './app.ts'
import { checkHead, type OwnNames } from './guard.ts'
import type { ControlParts } from './parts.ts'
import { Principals } from './principals.ts'
import { problemHeaders, problemOf, RateError } from './problems.ts'
import { Rate } from './rate.ts'
import { isSignedAnswer, takeSignedAnswer } from './signed-answer.ts'
import type { Principal, PrincipalDefinition } from './roles.ts'

/** TLS of the listener. */
export interface ControlTls {
  readonly certFile: string
  readonly keyFile: string
  /** The CA of principals' certificates; undefined: none is asked for. */
  readonly clientCaFile: string | undefined
}

/** What the listener is made of. */
export interface ControlOptions {
  readonly parts: ControlParts
  readonly tokenFile: string | undefined
  readonly principals: readonly PrincipalDefinition[]
  readonly tls: ControlTls | undefined
  readonly limits: Pick<
    Limits,
    'controlConnectionsMax' | 'controlRequestsPerSecond' | 'controlBodyBytesMax'
  >
  /** The program's, for the OpenAPI document. */
  readonly version: string
  readonly warn: (message: string) => void
  /** Told of an error of the program itself; the principal is told none of it. */
  readonly onUnexpected: (error: unknown) => void
}

const HEADERS_TIMEOUT_MS = 5000
const REQUEST_TIMEOUT_MS = 30_000
const TIMEOUT_CHECK_MS = 1000
const HEAD_BYTES_MAX = 16 * 1024
const SETTLE_MS = 500
const FAILURES_PER_SECOND = 10
const RATES_MAX = 1024
// Read and write for the owner and the group, nothing for others.
const SOCKET_MODE = 0o660
// An import would read every export, and node answers some of those by loading a whole HTTP client.
const http = process.getBuiltinModule('node:http')
const tls = process.getBuiltinModule('node:tls')

/** The listener. */
export class ControlServer {
  readonly #options: ControlOptions
  readonly #server: Server
  readonly #certificate: X509Certificate | undefined
  readonly #failures: Rate
  readonly #rates = new Map<string, Rate>()
  readonly #answers: Set<Promise<void>> = new Set()
  #principals: Principals | undefined
  #app: Promise<ControlApp> | undefined

  /** @throws Error of the system where a file of `tls` cannot be read */
  constructor(options: ControlOptions) {
    this.#options = options
    this.#failures = new Rate(FAILURES_PER_SECOND, FAILURES_PER_SECOND, monotonicMs)
    const settings = {
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: HEADERS_TIMEOUT_MS,
      connectionsCheckingInterval: TIMEOUT_CHECK_MS,
      maxHeaderSize: HEAD_BYTES_MAX,
    }
    const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
      const answer = this.#answer(request, response).catch((error: unknown) => {
        options.onUnexpected(error)
        response.destroy()
      })
      this.#answers.add(answer)
      void answer.finally(() => this.#answers.delete(answer))
    }
    if (options.tls === undefined) this.#server = http.createServer(settings, onRequest)
    else {
      const https = process.getBuiltinModule('node:https')
      const secure = secureOptions(options.tls)
      const { X509Certificate: Certificate } = process.getBuiltinModule('node:crypto')
      this.#certificate = new Certificate(secure.cert)
      this.#server = https.createServer({ ...settings, ...secure }, onRequest)
    }
    this.#server.maxConnections = options.limits.controlConnectionsMax
    this.#server.on('clientError', (_error, socket) => socket.destroy())
    this.#server.on('connect', (_request, socket) => socket.destroy())
  }

  /** @throws Error where a token file cannot be used, or the address cannot be had */
  async listen(address: SocketAddress): Promise<void> {
    const isSocket = 'path' in address
    const { tokenFile, principals, warn } = this.#options
    this.#principals = new Principals({ tokenFile, principals, isSocket, warn })
    await bindListener(this.#server, address, SOCKET_MODE)
  }

  /** What it is bound to. */
  address(): AddressInfo | string | null {
    return this.#server.address()
  }

  /** Ends it, and before that answers what was asked: whoever ended a task is owed its receipt. Who follows records is cut. */
  async close(): Promise<void> {
    this.#server.close()
    if (this.#answers.size > 0)
      await Promise.race([Promise.all(this.#answers), sleep(SETTLE_MS, undefined, { ref: false })])
    this.#server.closeAllConnections()
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('Cache-Control', 'no-store')
    response.setHeader('X-Content-Type-Options', 'nosniff')
    try {
      checkHead(request, this.#ownNames())
      if (isSignedAnswer(request)) {
        await this.#takeSigned(request, response)
        return
      }
      const principal = this.#recognize(request)
      this.#checkRate(principal)
      const app = await this.#load()
      await app(request, response, principal)
    } catch (error) {
      if (!(error instanceof ControlError)) throw error
      sendProblem(response, error)
    }
  }

  async #takeSigned(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { parts, limits } = this.#options
    try {
      await takeSignedAnswer(request, response, parts, limits.controlBodyBytesMax)
    } catch (error) {
      if (error instanceof ControlError && error.reason === 'principal-unknown')
        this.#countFailure()
      throw error
    }
  }

  #recognize(request: IncomingMessage): Principal {
    const { socket } = request
    const certificate =
      socket instanceof tls.TLSSocket && socket.authorized
        ? socket.getPeerX509Certificate()
        : undefined
    const principal = this.#principals?.recognize(request, certificate)
    if (principal !== undefined) return principal
    this.#countFailure()
    throw new ControlError('principal-unknown', 'no token or certificate of a principal was sent')
  }

  // Only failures are counted: whoever guesses keeps nobody else out.
  #countFailure(): void {
    const waitSeconds = this.#failures.take()
    if (waitSeconds > 0)
      throw new RateError('too many requests that proved no principal', waitSeconds)
  }

  #checkRate({ name }: Principal): void {
    const perSecond = this.#options.limits.controlRequestsPerSecond
    let rate = this.#rates.get(name)
    if (rate === undefined) {
      // There are as many as principals, which are bounded by the configuration.
      if (this.#rates.size >= RATES_MAX) this.#rates.clear()
      rate = new Rate(perSecond, 2 * perSecond, monotonicMs)
      this.#rates.set(name, rate)
    }
    const waitSeconds = rate.take()
    if (waitSeconds > 0) throw new RateError('too many requests of this principal', waitSeconds)
  }

  #load(): Promise<ControlApp> {
    this.#app ??= import('./app.ts').then(({ makeControlApp }) => makeControlApp(this.#options))
    return this.#app
  }

  #ownNames(): OwnNames {
    const bound = this.#server.address()
    const isBound = typeof bound === 'object' && bound !== null
    return {
      port: isBound ? bound.port : undefined,
      defaultPort: this.#certificate === undefined ? 80 : 443,
      address: isBound ? bound.address : undefined,
      isCertified: (name) => this.#isCertified(name),
    }
  }

  #isCertified(name: string): boolean {
    const address = canonicalAddress(name.replace(/^\[(.*)\]$/, '$1'))?.host
    const borne =
      address === undefined
        ? this.#certificate?.checkHost(name)
        : this.#certificate?.checkIP(address)
    return borne !== undefined
  }
}

function secureOptions({ certFile, keyFile, clientCaFile }: ControlTls): {
  cert: Buffer
  key: Buffer
  ca?: Buffer
  requestCert: boolean
  rejectUnauthorized: false
  handshakeTimeout: number
} {
  return {
    cert: readFileSync(certFile),
    key: readFileSync(keyFile),
    ...(clientCaFile !== undefined && { ca: readFileSync(clientCaFile) }),
    requestCert: clientCaFile !== undefined,
    // Who shows none may still send a token; `authorized` says of each connection what was verified.
    rejectUnauthorized: false,
    handshakeTimeout: HEADERS_TIMEOUT_MS,
  }
}

function sendProblem(response: ServerResponse, error: ControlError): void {
  const body = `${JSON.stringify(problemOf(error))}\n`
  response.writeHead(problemOf(error).status, {
    ...problemHeaders(error),
    'Content-Length': Buffer.byteLength(body),
  })
  response.end(body)
}

function monotonicMs(): number {
  return performance.now()
}
