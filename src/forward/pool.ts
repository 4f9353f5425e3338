// Upstream connections kept for reuse: never between tasks, never to another address policy, bounded in number and age.
// Every connection is dialed by `net/dial.ts` with the permit of the call that needs it. Called by `forward/request.ts`.

import { LRUCache } from 'lru-cache'

import type { Call } from '../call.ts'
import { DeadlineSweep } from '../deadlines.ts'
import { EgressError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import type { Dialed, Dialer } from '../net/dial.ts'
import type { CallPermit } from '../net/permit.ts'
import type { AddressPolicy } from '../policy/decision.ts'
import type { Cidr } from '../wire/address.ts'
import { HTTP2_FIRST, type HttpProtocol } from '../wire/protocol.ts'
import type { BodyReaderOptions } from '../wire/http1-body.ts'
import { UpstreamConnection, type UpstreamOwner } from './upstream.ts'

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
  readonly #sweep: DeadlineSweep<UpstreamConnection>

  constructor(options: PoolOptions) {
    const { limits } = options
    this.#options = options
    this.body = { ...limits, malformed: 'response-malformed' }
    this.#sweep = new DeadlineSweep([limits.responseTimeoutMs, limits.upstreamKeepAliveMs])
    // A pool that falls out loses its idle connections; those in use close when they come back.
    this.#origins = new LRUCache({
      max: limits.upstreamPoolsMax,
      dispose: (origin) => origin.retire(),
    })
  }

  /** By when the head of a response that is asked for now is to be there. */
  get responseDueSweep(): number {
    return this.#sweep.after(this.#options.limits.responseTimeoutMs)
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
    const { dialer, limits } = this.#options
    const key = keyOf(permit)
    let origin = this.#origins.get(key)
    if (origin === undefined) {
      origin = new OriginPool(this.#sweep, limits.upstreamKeepAliveMs)
      this.#origins.set(key, origin)
    }
    if (origin.open >= limits.upstreamConnectionsMax)
      throw new EgressError('busy', { bound: 'upstreamConnectionsMax' })
    origin.open += 1
    let dialed: Dialed
    try {
      dialed = await dialer.dial(permit, { tls: permit.tls, signal, forRequests: true })
    } catch (error) {
      origin.open -= 1
      throw error
    }
    const connection = new UpstreamConnection(
      dialed,
      permit.addresses,
      limits.responseHeadBytesMax,
      origin,
    )
    this.#sweep.items.add(connection)
    return connection
  }

  /**
   * What an origin speaks by ALPN, the best first.
   * @param call whose end ends the asking
   */
  protocolsOf(_permit: CallPermit, _call: Pick<Call, 'onCut'>): Promise<readonly HttpProtocol[]> {
    return Promise.resolve(HTTP2_FIRST)
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
    this.#sweep.close()
  }

  // I2: an address that this call's rules do not allow is not reached over a connection that others' did.
  #mayReuse(connection: UpstreamConnection, permit: CallPermit): boolean {
    if (isSamePolicy(connection.addresses, permit.addresses)) return true
    const { address } = connection.dialed
    return address !== undefined && this.#options.dialer.mayReuse(permit, address)
  }
}

/** The connections of one task to one origin. */
class OriginPool implements UpstreamOwner {
  /** In use, idle, or being dialed. */
  open = 0
  readonly #idle: UpstreamConnection[] = []
  readonly #sweep: DeadlineSweep<UpstreamConnection>
  readonly #keepAliveMs: number
  #isRetired = false

  constructor(sweep: DeadlineSweep<UpstreamConnection>, keepAliveMs: number) {
    this.#sweep = sweep
    this.#keepAliveMs = keepAliveMs
  }

  take(): UpstreamConnection | undefined {
    return this.#idle.pop()
  }

  /** Closes what is idle, and what becomes so. */
  retire(): void {
    this.#isRetired = true
    for (const connection of this.#idle.splice(0)) connection.close()
  }

  onIdle(connection: UpstreamConnection): void {
    if (this.#isRetired || connection.isClosed) {
      connection.close()
      return
    }
    connection.dueSweep = this.#sweep.after(this.#keepAliveMs)
    this.#idle.push(connection)
  }

  onClosed(connection: UpstreamConnection): void {
    this.open -= 1
    this.#sweep.items.delete(connection)
    const at = this.#idle.indexOf(connection)
    if (at >= 0) this.#idle.splice(at, 1)
  }
}

// I9: the ancestors' word counts as much as the task's own.
function isSamePolicy(one: AddressPolicy, other: AddressPolicy): boolean {
  if (!isSameList(one.allowed, other.allowed) || !isSameList(one.denied, other.denied)) return false
  const { also = [] } = one
  const { also: others = [] } = other
  return also.length === others.length && also.every((each, at) => isSamePolicy(each, others[at]!))
}

// The ranges themselves are the rules' own, made once: no need to look into them.
function isSameList(one: readonly Cidr[], other: readonly Cidr[]): boolean {
  if (one === other) return true
  if (one.length !== other.length) return false
  for (let at = 0; at < one.length; at += 1) if (one[at] !== other[at]) return false
  return true
}

function keyOf({ taskId, tls, endpoint }: CallPermit): string {
  return `${taskId} ${tls ? 'tls' : 'tcp'} ${endpoint.host} ${endpoint.port}`
}
