// What the tests of `net/` share: permits, a dialer with few words, real servers that are closed with the test.

import net, { type Socket } from 'node:net'
import tls from 'node:tls'
import { spawn } from 'node:child_process'

import type { Test } from 'tap'

import { EgressError } from '../../../src/errors.ts'
import { DEFAULT_LIMITS, type Limits } from '../../../src/limits.ts'
import type { OwnListener } from '../../../src/net/classify.ts'
import { Dialer, type Dialed } from '../../../src/net/dial.ts'
import { issueCallPermit } from '../../../src/net/issue-call.ts'
import type { CallPermit, OperatorPermit } from '../../../src/net/permit.ts'
import type { ProxyAbove } from '../../../src/net/proxy-above.ts'
import { Resolver } from '../../../src/net/resolve.ts'
import type { AddressPolicy } from '../../../src/policy/decision.ts'
import { parseCidr, type Cidr } from '../../../src/wire/address.ts'
import { normalizeHost } from '../../../src/wire/authority.ts'
import { portOf } from '../../fixtures/port.ts'

/** Ranges by their texts. */
export function ranges(...texts: readonly string[]): Cidr[] {
  return texts.map((text) => {
    const range = parseCidr(text)
    if (range === undefined) throw new Error(`${text} is no range`)
    return range
  })
}

/** What a call's permit says besides where it goes. */
export interface PermitOptions {
  readonly tls?: boolean
  readonly allowed?: readonly string[]
  readonly denied?: readonly string[]
  /** What each ancestor's rules say of addresses. */
  readonly also?: readonly Pick<PermitOptions, 'allowed' | 'denied'>[]
  readonly taskId?: string
}

/** A call's permit for a host and port. */
export function permitFor(host: string, port: number, options: PermitOptions = {}): CallPermit {
  const { tls: secure = false, also, taskId = 't_1' } = options
  return issueCallPermit({
    callId: 'c_1',
    taskId,
    rootId: taskId,
    isNameWritten: () => true,
    endpoint: { ...normalizeHost(host), port },
    addresses: { ...addressesOf(options), ...(also && { also: also.map(addressesOf) }) },
    tls: secure,
  })
}

function addressesOf({ allowed = [], denied = [] }: PermitOptions): AddressPolicy {
  // The text of a range is made a range once, as a rule is.
  return { allowed: allowed.flatMap(rangeOf), denied: denied.flatMap(rangeOf) }
}

const known = new Map<string, Cidr[]>()

function rangeOf(text: string): Cidr[] {
  const found = known.get(text) ?? ranges(text)
  known.set(text, found)
  return found
}

/** A dialer that may reach loopback unless told otherwise. */
export function makeDialer(
  options: {
    readonly hosts?: Readonly<Record<string, readonly string[]>>
    readonly dnsPort?: number
    readonly allow?: readonly string[]
    readonly own?: readonly OwnListener[]
    readonly limits?: Partial<Limits>
    readonly roots?: readonly string[]
    readonly above?: ProxyAbove
    readonly onDial?: (outcome: 'connected' | 'failed') => void
  } = {},
): Dialer {
  const limits = { ...DEFAULT_LIMITS, connectTimeoutMs: 3000, ...options.limits }
  return new Dialer({
    names: { admit: () => undefined, forget: () => 0 },
    resolver: new Resolver({
      servers: [`127.0.0.1:${options.dnsPort ?? 9}`],
      hosts: options.hosts ?? {},
      limits,
    }),
    allowAddresses: ranges(...(options.allow ?? ['127.0.0.0/8', '::1/128'])),
    ownListeners: () => options.own ?? [],
    limits,
    upstreamRoots: options.roots ?? [],
    above: options.above,
    ...(options.onDial && { onDial: options.onDial }),
  })
}

/** Dials as the permit says; never aborted unless a signal is given. */
export function dial(
  dialer: Dialer,
  permit: CallPermit | OperatorPermit,
  signal: AbortSignal = new AbortController().signal,
): Promise<Dialed> {
  return dialer.dial(permit, { tls: permit.tls, signal })
}

/** The reason a promise is rejected with; `connected` where it is not, after closing what it gave. */
export async function reasonOf(attempt: Promise<unknown>): Promise<string> {
  try {
    const value = await attempt
    if (typeof value === 'object' && value !== null && 'socket' in value)
      if (value.socket instanceof net.Socket) value.socket.destroy()
    return 'connected'
  } catch (error) {
    if (error instanceof EgressError) return error.reason
    throw error
  }
}

/** A server of the test. */
export interface TestServer {
  readonly port: number
  /** Connections that were accepted. */
  connections(): number
  /** Connections that are open. */
  open(): number
  /** Ends it before the test does. */
  close(): Promise<void>
}

/** A TCP server; by default it accepts and says nothing. */
export async function listen(
  t: Test,
  options: { host?: string; port?: number; onSocket?: (socket: Socket) => void } = {},
): Promise<TestServer> {
  const onSocket = options.onSocket ?? ((socket) => socket.resume().on('end', () => socket.end()))
  const server = net.createServer({ allowHalfOpen: true }, onSocket)
  return started(t, server, options)
}

/** A TLS server with a certificate; says `ok` to whoever completes the handshake. */
export async function listenTls(
  t: Test,
  options: tls.TlsOptions & { host?: string; port?: number },
  onSecure: (socket: tls.TLSSocket) => void = (socket) => socket.write('ok'),
): Promise<TestServer> {
  const server = tls.createServer(options, (socket) => {
    socket.on('error', () => undefined)
    onSecure(socket)
  })
  server.on('tlsClientError', () => undefined)
  return started(t, server, options)
}

async function started(
  t: Test,
  server: net.Server,
  { host = '127.0.0.1', port = 0 }: { host?: string; port?: number },
): Promise<TestServer> {
  let connections = 0
  const open = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    connections += 1
    open.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => open.delete(socket))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  const close = (): Promise<void> => {
    for (const socket of open) socket.destroy()
    return new Promise((resolve) => server.close(() => resolve()))
  }
  t.teardown(close)
  return { port: portOf(server), connections: () => connections, open: () => open.size, close }
}

/**
 * An address that answers no SYN: a listener that never accepts and whose queue is full. What fills it is closed with the
 * test.
 */
export async function blackhole(t: Test, host: string): Promise<{ readonly port: number }> {
  const program = `
    const server = require('node:net').createServer()
    server.listen({ host: '${host}', port: 0, backlog: 1 }, () => {
      require('node:fs').writeSync(1, String(server.address().port) + '\\n')
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
    })`
  const child = spawn(process.execPath, ['-e', program], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: {},
  })
  t.teardown(() => child.kill('SIGKILL'))
  const port = await new Promise<number>((resolve) =>
    child.stdout.once('data', (line: Buffer) => resolve(Number(line.toString()))),
  )
  // A queue of one takes two; the others find out that it is full.
  const filling = Array.from({ length: 4 }, () => net.connect(port, host))
  for (const socket of filling) {
    socket.on('error', () => undefined)
    t.teardown(() => socket.destroy())
  }
  await sleep(100)
  return { port }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}

/** Waits for a condition, two seconds at most. */
export async function until(condition: () => boolean): Promise<boolean> {
  for (let left = 200; left > 0 && !condition(); left -= 1) await sleep(10)
  return condition()
}
