// What a task has open to one origin: idle connections of HTTP/1.1, sessions of HTTP/2, dials that several calls wait for, and
// what the origin was seen to speak. Kept by `pool.ts`, which says what may be used by whom.

import type { DeadlineSweep, Timed } from '../deadlines.ts'
import { EgressError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import type { Dialed } from '../net/dial.ts'
import type { AddressPolicy } from '../policy/decision.ts'
import type { Cidr } from '../wire/address.ts'
import type { HttpProtocol } from '../wire/protocol.ts'
import { UpstreamSession, type SessionOwner } from './http2-session.ts'
import type { SharedDial } from './shared-dial.ts'
import { UpstreamConnection, type UpstreamOwner } from './upstream.ts'

/** The bounds of what is kept. */
export type OriginLimits = Pick<
  Limits,
  | 'upstreamConnectionsMax'
  | 'upstreamKeepAliveMs'
  | 'responseHeadBytesMax'
  | 'bufferBytesMax'
  | 'connectTimeoutMs'
>

// A server that is set up anew is asked again soon; until then a wrong memory costs a translation.
const REMEMBERED_MS = 300_000
// Of a peer that has not said it yet.
const STREAMS_GUESSED = 100
// From the end of the asking to the request, TLS with the client between.
const FAILURE_KEPT_MS = 2000

interface Failure {
  readonly error: EgressError
  /** The rules' word on addresses under which it was asked. */
  readonly addresses: AddressPolicy
  readonly untilMs: number
}

/** The connections of one task to one origin. */
export class OriginPool implements UpstreamOwner, SessionOwner {
  /** Dials of sessions that are under way. */
  readonly dials: Set<SharedDial> = new Set()
  /** Streams that the last session had room for. */
  streamsMax: number = STREAMS_GUESSED
  /** In use, idle, or being dialed. */
  #open = 0
  readonly #idle: UpstreamConnection[] = []
  readonly #sessions: Set<UpstreamSession> = new Set()
  readonly #sweep: DeadlineSweep<Timed>
  readonly #limits: OriginLimits
  #spoken: { readonly protocol: HttpProtocol; readonly untilMs: number } | undefined
  #failure: Failure | undefined
  #isRetired = false

  constructor(sweep: DeadlineSweep<Timed>, limits: OriginLimits) {
    this.#sweep = sweep
    this.#limits = limits
  }

  /** Connections in use, idle, or being dialed. */
  get open(): number {
    return this.#open
  }

  /** What it was seen to speak at best, not long ago. */
  get spoken(): HttpProtocol | undefined {
    return this.#spoken && this.#spoken.untilMs > performance.now()
      ? this.#spoken.protocol
      : undefined
  }

  /** Keeps what asking what it speaks failed with, for the request that is to be told of it. */
  noteFailure(error: EgressError, addresses: AddressPolicy): void {
    this.#failure = { error, addresses, untilMs: performance.now() + FAILURE_KEPT_MS }
  }

  /** Takes what asking failed with just now, once: what could not be reached is not tried again at once. */
  takeFailure(addresses: AddressPolicy): EgressError | undefined {
    const failure = this.#failure
    this.#failure = undefined
    if (failure === undefined || failure.untilMs < performance.now()) return undefined
    return isSamePolicy(failure.addresses, addresses) ? failure.error : undefined
  }

  /** Takes the connection that became idle last. */
  take(): UpstreamConnection | undefined {
    return this.#idle.pop()
  }

  /** A session on which the room of a stream is reserved for the caller. */
  reserve(mayReuse: (session: UpstreamSession) => boolean): UpstreamSession | undefined {
    for (const session of this.#sessions)
      if (session.hasRoom && mayReuse(session)) {
        session.reserve()
        return session
      }
    return undefined
  }

  /** Counts a connection while it is dialed. @throws busy at `upstreamConnectionsMax`; what `dial` rejects with */
  async dial(dial: () => Promise<Dialed>): Promise<Dialed> {
    if (this.#open >= this.#limits.upstreamConnectionsMax)
      throw new EgressError('busy', { bound: 'upstreamConnectionsMax' })
    this.#open += 1
    try {
      return await dial()
    } catch (error) {
      this.#open -= 1
      throw error
    }
  }

  /** Makes a connection of HTTP/1.1 of what was dialed. */
  connect(dialed: Dialed, addresses: AddressPolicy): UpstreamConnection {
    const connection = new UpstreamConnection(
      dialed,
      addresses,
      this.#limits.responseHeadBytesMax,
      this,
    )
    this.#sweep.items.add(connection)
    return connection
  }

  /** Makes a session of what was dialed, once its peer has begun to speak; @throws what `settle` does */
  async converse(dialed: Dialed, addresses: AddressPolicy): Promise<void> {
    const session = new UpstreamSession(dialed, addresses, this.#limits, this)
    await session.settle(this.#limits.connectTimeoutMs)
    this.streamsMax = session.streamsMax
    this.#sessions.add(session)
    this.#sweep.items.add(session)
    this.onUnused(session)
  }

  /** Remembers what it speaks. */
  learn(protocol: HttpProtocol): void {
    this.#spoken = { protocol, untilMs: performance.now() + REMEMBERED_MS }
  }

  /** Closes what is idle, and what becomes so. */
  retire(): void {
    this.#isRetired = true
    for (const connection of this.#idle.splice(0)) connection.close()
    for (const session of this.#sessions) session.retire()
  }

  onIdle(connection: UpstreamConnection): void {
    if (this.#isRetired || connection.isClosed) {
      connection.close()
      return
    }
    connection.dueSweep = this.#sweep.after(this.#limits.upstreamKeepAliveMs)
    this.#idle.push(connection)
  }

  onClosed(connection: UpstreamConnection): void {
    this.#open -= 1
    this.#sweep.items.delete(connection)
    const at = this.#idle.indexOf(connection)
    if (at >= 0) this.#idle.splice(at, 1)
  }

  onUnused(session: UpstreamSession): void {
    if (this.#isRetired) session.retire()
    else session.dueSweep = this.#sweep.after(this.#limits.upstreamKeepAliveMs)
  }

  onEnded(session: UpstreamSession): void {
    this.#open -= 1
    this.#sweep.items.delete(session)
    this.#sessions.delete(session)
  }
}

/** Whether two calls may dial the same addresses. I9: the ancestors' word counts as much as the task's own. */
export function isSamePolicy(one: AddressPolicy, other: AddressPolicy): boolean {
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
