// Upstream connections kept for reuse: never between tasks, never to another address policy, bounded in number and age.
// Every connection is dialed by `net/dial.ts` with the permit of the call that needs it; undici only speaks HTTP on it.
// Called by `forward/request.ts`.

import { LRUCache } from 'lru-cache'
import { Client } from 'undici'

import { EgressError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import type { Dialed, Dialer } from '../net/dial.ts'
import type { CallPermit } from '../net/permit.ts'
import type { AddressPolicy } from '../policy/decision.ts'

/** One upstream connection with an HTTP/1.1 client on it; belongs to one call at a time. */
export interface UpstreamConnection {
  readonly client: Client
  readonly dialed: Dialed
  /** The rules' word on addresses under which it was dialed. */
  readonly addresses: AddressPolicy
  /** Whether it has served a call before. */
  reused: boolean
  readonly origin: OriginPool
}

interface OriginPool {
  readonly key: string
  readonly idle: UpstreamConnection[]
  open: number
}

/** What the pool needs from its surroundings. */
export interface PoolOptions {
  readonly dialer: Dialer
  readonly limits: Limits
}

/** The pool of one sidecar. */
export class UpstreamPool {
  readonly #options: PoolOptions
  readonly #origins: LRUCache<string, OriginPool>

  constructor(options: PoolOptions) {
    this.#options = options
    // A pool that falls out loses its idle connections; those in use close when they come back.
    this.#origins = new LRUCache({ max: options.limits.upstreamPoolsMax, dispose: closeIdle })
  }

  /** An idle connection that this permit may use; undefined where there is none. */
  takeIdle(permit: CallPermit): UpstreamConnection | undefined {
    const origin = this.#origins.get(keyOf(permit))
    if (origin === undefined) return undefined
    for (let connection = origin.idle.pop(); connection; connection = origin.idle.pop()) {
      if (!connection.dialed.socket.destroyed && this.#mayReuse(connection, permit)) {
        connection.reused = true
        return connection
      }
      discard(connection)
    }
    return undefined
  }

  /**
   * A fresh connection.
   * @throws busy at `upstreamConnectionsMax`; whatever dialing throws
   */
  open(permit: CallPermit, signal: AbortSignal): Promise<UpstreamConnection> {
    const key = keyOf(permit)
    let origin = this.#origins.get(key)
    if (origin === undefined) {
      origin = { key, idle: [], open: 0 }
      this.#origins.set(key, origin)
    }
    if (origin.open >= this.#options.limits.upstreamConnectionsMax)
      throw new EgressError('busy', { bound: 'upstreamConnectionsMax' })
    return this.#open(origin, permit, signal)
  }

  // I2: an address that this call's rules do not allow is not reached over a connection that others' did.
  #mayReuse(connection: UpstreamConnection, permit: CallPermit): boolean {
    const { addresses } = permit
    return (
      (connection.addresses.allowed === addresses.allowed &&
        connection.addresses.denied === addresses.denied) ||
      this.#options.dialer.mayReuse(permit, connection.dialed.address)
    )
  }

  /** Takes a connection back after its call; it is kept only where the exchange was complete and the socket is sound. */
  release(connection: UpstreamConnection): void {
    const { origin, dialed } = connection
    if (dialed.socket.destroyed || this.#origins.peek(origin.key) !== origin) discard(connection)
    else origin.idle.push(connection)
  }

  /** Closes every idle connection of a task. */
  closeTask(taskId: string): void {
    for (const key of this.#origins.keys())
      if (key.startsWith(`${taskId} `)) this.#origins.delete(key)
  }

  /** Closes every idle connection. */
  close(): void {
    this.#origins.clear()
  }

  async #open(
    origin: OriginPool,
    permit: CallPermit,
    signal: AbortSignal,
  ): Promise<UpstreamConnection> {
    const { dialer, limits } = this.#options
    origin.open += 1
    let dialed: Dialed
    try {
      dialed = await dialer.dial(permit, { tls: permit.tls, signal })
    } catch (error) {
      origin.open -= 1
      throw error
    }
    let handedOver = false
    // The origin here only satisfies undici; where it goes is the socket, what it asks for is the outgoing head.
    const client = new Client('http://upstream.invalid', {
      connect: (_options, callback) => {
        const error = handedOver ? new EgressError('response-incomplete') : undefined
        handedOver = true
        // Not within undici's own call: it would take the socket and never look at its queue again.
        queueMicrotask(() => (error ? callback(error, null) : callback(null, dialed.socket)))
      },
      allowH2: false,
      pipelining: 1,
      headersTimeout: limits.responseTimeoutMs,
      bodyTimeout: 0,
      keepAliveTimeout: limits.upstreamKeepAliveMs,
      keepAliveMaxTimeout: limits.upstreamKeepAliveMs,
      maxHeaderSize: limits.responseHeadBytesMax,
    })
    const connection: UpstreamConnection = {
      client,
      dialed,
      addresses: permit.addresses,
      reused: false,
      origin,
    }
    dialed.socket.once('close', () => {
      origin.open -= 1
      const at = origin.idle.indexOf(connection)
      if (at >= 0) origin.idle.splice(at, 1)
      discard(connection)
    })
    return connection
  }
}

/** Ends a connection that is not to be used again. */
export function discard({ client, dialed }: UpstreamConnection): void {
  client.destroy().catch(() => undefined)
  // A client that was never asked for anything has not taken the socket yet and would leave it open.
  dialed.socket.destroy()
}

function keyOf({ taskId, tls, endpoint }: CallPermit): string {
  return `${taskId} ${tls ? 'tls' : 'tcp'} ${endpoint.host} ${endpoint.port}`
}

function closeIdle(origin: OriginPool): void {
  for (const connection of origin.idle.splice(0)) discard(connection)
}
