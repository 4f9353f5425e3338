// Upstream connections kept for reuse: never between tasks, never to another address policy or
// with another certificate, bounded in number and age.
// Every connection is dialed by `net/dial.ts` with the permit of the call that needs it. Called by `forward/request.ts`.

import { LRUCache } from 'lru-cache'

import type { Call } from '../call.ts'
import type { Secret } from '../credentials/secret.ts'
import { DeadlineSweep, type Timed } from '../deadlines.ts'
import { EgressError, type Reason } from '../errors.ts'
import type { Limits } from '../limits.ts'
import type { Dialer } from '../net/dial.ts'
import type { CallPermit } from '../net/permit.ts'
import type { TlsClient } from '../net/upstream-tls.ts'
import { HTTP1_ONLY, HTTP2_FIRST, type HttpProtocol } from '../wire/protocol.ts'
import type { BodyReaderOptions } from '../wire/http1-body.ts'
import type { UpstreamSession } from './http2-session.ts'
import { isSamePolicy, OriginPool } from './origin.ts'
import { SharedDial } from './shared-dial.ts'
import type { UpstreamConnection } from './upstream.ts'

const BOTH: TlsClient = { protocols: HTTP2_FIRST }
// Others may have taken what was dialed; but an upstream that closes whatever it accepts is not dialed for ever.
const DIALS_MAX = 8

// What a second attempt would find as well, and take as long to.
const UNREACHED: ReadonlySet<Reason> = new Set<Reason>([
  'resolve-failed',
  'dial-failed',
  'connect-timeout',
  'tls-failed',
  'tls-untrusted',
])

/** What the pool needs from its surroundings. */
export interface PoolOptions {
  readonly dialer: Dialer
  readonly limits: Limits
}

/** The pool of one sidecar. */
export class UpstreamPool {
  /** How response bodies are read. */
  readonly body: BodyReaderOptions
  readonly #options: PoolOptions
  readonly #origins: LRUCache<string, OriginPool>
  /** Deadlines of connections, sessions and exchanges. */
  readonly sweep: DeadlineSweep<Timed>

  constructor(options: PoolOptions) {
    const { limits } = options
    this.#options = options
    this.body = { ...limits, malformed: 'response-malformed' }
    this.sweep = new DeadlineSweep([limits.responseTimeoutMs, limits.upstreamKeepAliveMs])
    // A pool that falls out loses its idle connections; those in use close when they come back.
    this.#origins = new LRUCache({
      max: limits.upstreamPoolsMax,
      dispose: (origin) => origin.retire(),
    })
  }

  /** By when the head of a response that is asked for now is to be there. */
  get responseDueSweep(): number {
    return this.sweep.after(this.#options.limits.responseTimeoutMs)
  }

  /** By when a stream is let go whose response is complete and whose request nobody takes. */
  get leaveDueSweep(): number {
    return this.sweep.after(this.#options.limits.upstreamKeepAliveMs)
  }

  /** An idle connection that this permit may use; undefined where there is none. */
  takeIdle(permit: CallPermit): UpstreamConnection | undefined {
    const origin = this.#origins.get(keyOf(permit))
    if (origin === undefined) return undefined
    for (let connection = origin.take(); connection; connection = origin.take()) {
      if (!connection.isClosed && this.#mayReuse(connection, permit)) {
        connection.reused = true
        return connection
      }
      connection.close()
    }
    return undefined
  }

  /**
   * A fresh connection.
   * @throws busy at `upstreamConnectionsMax`; whatever dialing throws
   */
  async open(permit: CallPermit, signal: AbortSignal): Promise<UpstreamConnection> {
    const { dialer } = this.#options
    const origin = this.#originOf(permit)
    const failure = origin.takeFailure(permit.addresses)
    if (failure) throw failure
    const options = { tls: permit.tls, signal, forRequests: true }
    const dialed = await origin.dial(() => dialer.dial(permit, options))
    return origin.connect(dialed, permit.addresses)
  }

  /**
   * A connection of whatever the upstream speaks best: of a session, the room of a stream that is the caller's to release.
   * @throws busy at `upstreamConnectionsMax`; whatever dialing throws; client-gone once the signal is aborted
   */
  async reach(
    permit: CallPermit,
    signal: AbortSignal,
  ): Promise<UpstreamConnection | UpstreamSession> {
    for (let dials = 0; dials < DIALS_MAX; dials += 1) {
      if (signal.aborted) throw new EgressError('client-gone')
      const origin = this.#originOf(permit)
      const session = origin.reserve((kept) => this.#mayReuse(kept, permit))
      if (session) return session
      // Others of the same origin may speak HTTP/1.1 by their clients' wish alone.
      const idle = origin.spoken === 'http/1.1' ? this.takeIdle(permit) : undefined
      if (idle) return idle
      await this.#dialFor(origin, permit).ready(signal)
    }
    throw new EgressError('response-incomplete', { code: 'closed' })
  }

  /**
   * What an origin speaks by ALPN, the best first; one that cannot be reached or verified counts as HTTP/1.1, by which the
   * request itself is refused then. What was dialed to ask is kept for the first request.
   * @param call whose end ends the asking
   */
  async protocolsOf(
    permit: CallPermit,
    call: Pick<Call, 'onCut'>,
  ): Promise<readonly HttpProtocol[]> {
    const origin = this.#originOf(permit)
    const abort = new AbortController()
    call.onCut(() => abort.abort())
    try {
      const spoken = origin.spoken ?? (await this.#dialFor(origin, permit).spoken(abort.signal))
      return spoken === 'h2' ? HTTP2_FIRST : HTTP1_ONLY
    } catch (error) {
      if (!(error instanceof EgressError)) throw error
      if (UNREACHED.has(error.reason)) origin.noteFailure(error, permit.addresses)
      return HTTP1_ONLY
    }
  }

  /** Closes every idle connection of a task; those in use close with their calls. @returns how many were open */
  closeTask(taskId: string): number {
    let open = 0
    for (const [key, origin] of this.#origins.entries()) {
      if (!key.startsWith(`${taskId} `)) continue
      open += origin.open
      this.#origins.delete(key)
    }
    return open
  }

  /** Closes every idle connection; those in use close when their exchange is over. */
  close(): void {
    this.#origins.clear()
  }

  /** Ends the pool's timer. */
  stop(): void {
    this.close()
    this.sweep.close()
  }

  #originOf(permit: CallPermit): OriginPool {
    const key = keyOf(permit)
    let origin = this.#origins.get(key)
    if (origin === undefined) {
      origin = new OriginPool(this.sweep, this.#options.limits)
      this.#origins.set(key, origin)
    }
    return origin
  }

  // Calls that come together are not each to have a connection; but a session has only so much room.
  #dialFor(origin: OriginPool, permit: CallPermit): SharedDial {
    const { dialer } = this.#options
    const { addresses, tls } = permit
    const mayJoin = origin.spoken === 'http/1.1' ? 0 : origin.streamsMax
    for (const dial of origin.dials)
      if (dial.waiting < mayJoin && !dial.isGivenUp && isSamePolicy(dial.addresses, addresses))
        return dial
    let prepare = (): Promise<void> => Promise.resolve()
    const connect = async (signal: AbortSignal): Promise<HttpProtocol> => {
      const options = { tls, signal, client: BOTH, forRequests: true }
      const dialed = await origin.dial(() => dialer.dial(permit, options))
      const protocol = dialed.protocol === 'h2' ? 'h2' : 'http/1.1'
      origin.learn(protocol)
      prepare = async () => {
        if (protocol === 'h2') await origin.converse(dialed, addresses)
        else origin.onIdle(origin.connect(dialed, addresses))
      }
      return protocol
    }
    const dial = new SharedDial(addresses, { connect, prepare: () => prepare() }, () =>
      origin.dials.delete(dial),
    )
    origin.dials.add(dial)
    return dial
  }

  // I2: an address that this call's rules do not allow is not reached over a connection that others' did.
  #mayReuse(connection: UpstreamConnection | UpstreamSession, permit: CallPermit): boolean {
    if (isSamePolicy(connection.addresses, permit.addresses)) return true
    const { address } = connection.dialed
    return address !== undefined && this.#options.dialer.mayReuse(permit, address)
  }
}

// What was opened with a certificate is for calls with that one, as it was then.
function keyOf({ taskId, tls, endpoint, certificate }: CallPermit): string {
  const kind = tls ? `tls${numberOf(certificate)}` : 'tcp'
  return `${taskId} ${kind} ${endpoint.host} ${endpoint.port}`
}

const numbers = new WeakMap<Secret, number>()
let count = 0

function numberOf(certificate: Secret | undefined): string {
  if (certificate === undefined) return ''
  let number = numbers.get(certificate)
  if (number === undefined) {
    count += 1
    number = count
    numbers.set(certificate, number)
  }
  return `#${number}`
}
