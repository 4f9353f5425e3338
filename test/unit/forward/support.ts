// What the tests of HTTP/2 towards upstreams share: a pool on loopback, calls that are ready to be sent, bodies read whole.

import http2, { type Http2SecureServer, type ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'

import type { Test } from 'tap'

import { Call, type Identity, type UpstreamResponse } from '../../../src/call.ts'
import { EgressError } from '../../../src/errors.ts'
import { UpstreamPool } from '../../../src/forward/pool.ts'
import { sendRequest } from '../../../src/forward/request.ts'
import { DEFAULT_LIMITS, type Limits } from '../../../src/limits.ts'
import type { Decision } from '../../../src/policy/decision.ts'
import { NO_BODY, type Body, type RawHeaders } from '../../../src/wire/body.ts'
import { BodyQueue } from '../../../src/wire/body-queue.ts'
import type { Framing } from '../../../src/wire/headers.ts'
import { parseRequestTarget } from '../../../src/wire/target.ts'
import { makePki, type Issued, type Pki } from '../../fixtures/pki.ts'
import { portOf } from '../../fixtures/port.ts'
import { makeDialer, permitFor, type PermitOptions } from '../net/support.ts'

const pki: Pki = makePki()
/** A certificate for `api.test`. */
export const leaf: Issued = pki.issue({ names: ['api.test'] })

/** A pool that trusts the PKI, and what it dialed. */
export interface TestPool {
  readonly pool: UpstreamPool
  readonly limits: Limits
  dials(): number
}

/** A pool on loopback. */
export function makePool(t: Test, limits: Partial<Limits> = {}): TestPool {
  let dials = 0
  const all = { ...DEFAULT_LIMITS, connectTimeoutMs: 3000, ...limits }
  const dialer = makeDialer({
    hosts: { 'api.test': ['127.0.0.1'] },
    roots: [pki.caPem],
    limits: all,
    onDial: () => (dials += 1),
  })
  const pool = new UpstreamPool({ dialer, limits: all })
  t.teardown(() => pool.stop())
  return { pool, limits: all, dials: () => dials }
}

/** What a request is made of. */
export interface Asking extends PermitOptions {
  readonly method?: string
  readonly path?: string
  /** As written for HTTP/1.1, without Host. */
  readonly headers?: RawHeaders
  /** As the client sent them. */
  readonly received?: RawHeaders
  readonly body?: Body
  readonly framing?: Framing
  readonly version?: string
  readonly onInformational?: (status: number, headers: RawHeaders) => void
}

/** A request under way. */
export interface Asked {
  readonly call: Call
  readonly response: Promise<UpstreamResponse>
}

// Nobody here asks whose call it is.
const NOT_ASKED: Identity & Decision = JSON.parse('{}')

/** A call as a door makes it. */
export function makeCall(): Call {
  return new Call({ id: 'c_1', kind: 'intercepted', startedAt: Date.now(), client: {} })
}

/** Sends a request as the pipeline would. */
export function ask({ pool, limits }: TestPool, port: number, asking: Asking = {}): Asked {
  const { method = 'GET', path = '/', headers = [], received = [], version = '2' } = asking
  const { body = NO_BODY, onInformational = () => undefined } = asking
  const framing = asking.framing ?? (body === NO_BODY ? { kind: 'none' } : { kind: 'chunked' })
  const permit = permitFor('api.test', port, { tls: true, ...asking })
  const call = makeCall()
  // As far along as the stages before would have it.
  const sent = Object.assign(call, {
    cleared: true as const,
    identity: NOT_ASKED,
    decision: NOT_ASKED,
    outgoing: { headers: ['Host', `api.test:${port}`, ...headers], path },
  })
  const request = {
    method,
    version,
    headers: received,
    scheme: 'https',
    endpoint: permit.endpoint,
    path: parseRequestTarget(path).path,
    query: undefined,
    framing,
    upgrade: false,
    expectsContinue: false,
  } as const
  const response = sendRequest(sent, { pool, limits, permit, request, body, onInformational })
  response.catch(() => undefined)
  return { call, response }
}

/** A body that the test fills. */
export function makeBody(length?: number): { body: BodyQueue; state: BodyState } {
  const state: BodyState = { paused: false, aborted: undefined }
  const body = new BodyQueue(length, 64 * 1024, {
    pause: () => (state.paused = true),
    resume: () => (state.paused = false),
    abort: (cause) => (state.aborted = cause),
  })
  return { body, state }
}

/** What was asked of the source of a body. */
export interface BodyState {
  paused: boolean
  aborted: Error | undefined
}

/** The next piece of a body as text; null at its end. */
export async function nextOf(body: Body): Promise<string | null> {
  for (;;) {
    const chunk = body.read()
    if (chunk === null) return null
    if (chunk) return Buffer.from(chunk).toString()
    await body.wait()
  }
}

/** All of a body as text. */
export async function textOf(body: Body): Promise<string> {
  let text = ''
  for (let piece = await nextOf(body); piece !== null; piece = await nextOf(body)) text += piece
  return text
}

/** The reason, and the code in its detail, with which something fails; `fine` where it does not. */
export async function failureOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
    return 'fine'
  } catch (error) {
    if (!(error instanceof EgressError)) throw error
    const { reason, detail } = error
    return [reason, detail['code'] ?? detail['part']].filter(Boolean).join(' ')
  }
}

/** A server of HTTP/2 and HTTP/1.1 as the test says. */
export interface TestHttp2 {
  readonly port: number
  readonly server: Http2SecureServer
  connections(): number
  open(): number
}

/** Starts a server that speaks HTTP/2. */
export async function serve(
  t: Test,
  onStream: (stream: ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void,
  options: http2.SecureServerOptions = {},
): Promise<TestHttp2> {
  const server = http2.createSecureServer({ cert: leaf.certPem, key: leaf.keyPem, ...options })
  let connections = 0
  const open = new Set<Socket>()
  server.on('secureConnection', (socket: Socket) => {
    connections += 1
    open.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => open.delete(socket))
  })
  server.on('sessionError', () => undefined)
  server.on('stream', (stream: ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => {
    stream.on('error', () => undefined)
    onStream(stream, headers)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(
    () =>
      new Promise<void>((resolve) => {
        for (const socket of open) socket.destroy()
        server.close(() => resolve())
      }),
  )
  return {
    port: portOf(server),
    server,
    connections: () => connections,
    open: () => open.size,
  }
}
