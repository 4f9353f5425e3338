// One upstream connection that speaks HTTP/2: node's session on a dialed socket, how many streams there is room for, and when
// it ends. A peer that pushes, floods or breaks the protocol loses it. Made by `origin.ts`; used by `http2-exchange.ts`.

import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2'

import { NEVER, type Timed } from '../deadlines.ts'
import { EgressError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import type { Dialed } from '../net/dial.ts'
import type { AddressPolicy } from '../policy/decision.ts'
import type { RawHeaders } from '../wire/body.ts'

/** The bounds of a session. */
export type SessionLimits = Pick<
  Limits,
  'responseHeadBytesMax' | 'bufferBytesMax' | 'connectTimeoutMs'
>

/** What a session tells its pool. */
export interface SessionOwner {
  /** No stream is open on it any more. */
  onUnused(session: UpstreamSession): void
  onEnded(session: UpstreamSession): void
}

// However many a peer allows: one connection is one congestion window, and one failure.
const STREAMS_MAX = 100
// What a peer may send on all streams together before node has read it; each stream has a window of its own.
const SESSION_WINDOW_BYTES = 1024 * 1024
const WINDOW_BYTES_MIN = 65_535
// Fields cost more than their bytes; node answers one list beyond this by ending the stream.
const FIELDS_MAX = 1000
// Origins that a server claims besides its own are of no use here, and node would keep them all.
const ORIGINS_MAX = 100
const NOTHING = (): void => undefined

/** One connection; serves many calls of one task at once. */
export class UpstreamSession implements Timed {
  readonly dialed: Dialed
  /** The rules' word on addresses under which it was dialed. */
  readonly addresses: AddressPolicy
  dueSweep: number = NEVER
  /** Whether a call has been sent on it before. */
  isUsed = false
  readonly #owner: SessionOwner
  readonly #session: ClientHttp2Session
  readonly #tellers: (() => void)[] = []
  #hasEnded = false
  #streams = 0
  #origins = 0
  #isLeaving = false
  #lastStreamId: number | undefined
  #fault: EgressError | undefined

  constructor(
    dialed: Dialed,
    addresses: AddressPolicy,
    limits: SessionLimits,
    owner: SessionOwner,
  ) {
    this.dialed = dialed
    this.addresses = addresses
    this.#owner = owner
    const { socket } = dialed
    // Loaded by the first: most tasks meet no upstream that speaks it.
    this.#session = process.getBuiltinModule('node:http2').connect('https://upstream.invalid', {
      createConnection: () => socket,
      maxHeaderListPairs: FIELDS_MAX,
      maxReservedRemoteStreams: 0,
      settings: {
        enablePush: false,
        maxHeaderListSize: limits.responseHeadBytesMax,
        initialWindowSize: Math.max(limits.bufferBytesMax, WINDOW_BYTES_MIN),
      },
    })
    this.#watch()
    socket.once('close', () => {
      this.#session.destroy()
      owner.onEnded(this)
      // node says what was wrong once the socket is closed.
      setImmediate(() => {
        this.#hasEnded = true
        for (const tell of this.#tellers.splice(0)) tell()
      })
    })
  }

  /** Whether nothing can be sent on it any more. */
  get isClosed(): boolean {
    return this.#session.destroyed || this.dialed.socket.destroyed
  }

  /** What the peer did wrong, where it lost the connection for it. */
  get fault(): EgressError | undefined {
    return this.#fault
  }

  /** How many streams may be open at once. */
  get streamsMax(): number {
    return Math.min(this.#session.remoteSettings.maxConcurrentStreams ?? STREAMS_MAX, STREAMS_MAX)
  }

  /** Whether another stream may be opened now. */
  get hasRoom(): boolean {
    return !this.isClosed && !this.#isLeaving && this.#streams < this.streamsMax
  }

  /** Whether no stream is open. */
  get isUnused(): boolean {
    return this.#streams === 0
  }

  /**
   * Resolves once the peer has said how it wants to be spoken to.
   * @throws connect-timeout, dial-failed where it allows no stream, response-incomplete, response-malformed
   */
  settle(timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = (error?: EgressError): void => {
        clearTimeout(timer)
        this.#session.off('remoteSettings', onSettings)
        this.#session.off('close', onClose)
        if (error === undefined) resolve()
        else {
          this.close()
          reject(error)
        }
      }
      const onSettings = (): void =>
        finish(this.hasRoom ? undefined : new EgressError('dial-failed', { code: 'no-streams' }))
      const onClose = (): void =>
        finish(this.#fault ?? new EgressError('response-incomplete', { code: 'closed' }))
      const { address } = this.dialed
      const detail = address === undefined ? {} : { address }
      const timer = setTimeout(() => finish(new EgressError('connect-timeout', detail)), timeoutMs)
      this.#session.once('remoteSettings', onSettings)
      this.#session.once('close', onClose)
      if (this.isClosed) onClose()
    })
  }

  /** Calls back once it is known what a closed connection ended by. */
  onExplained(tell: () => void): void {
    if (this.#hasEnded) tell()
    else this.#tellers.push(tell)
  }

  /** Takes the room of a stream, which `open` or nobody uses until `release`. */
  reserve(): void {
    this.#streams += 1
    this.dueSweep = NEVER
  }

  /** Gives the room of a stream back. */
  release(): void {
    this.#streams -= 1
    if (this.#streams === 0) this.#owner.onUnused(this)
  }

  /** Opens a stream, its room reserved before. @throws Error of node where that cannot be */
  open(head: RawHeaders, endStream: boolean): ClientHttp2Stream {
    this.isUsed = true
    return this.#session.request([...head], { endStream })
  }

  /** Whether a peer that leaves has said that it did nothing of a stream's request. @see RFC 9113 section 6.8 */
  isBeyondLast(stream: ClientHttp2Stream): boolean {
    return this.#lastStreamId !== undefined && (stream.id ?? Infinity) > this.#lastStreamId
  }

  /** Takes no more streams; ends once those that are open have. */
  retire(): void {
    this.#isLeaving = true
    if (this.#streams === 0) this.close()
  }

  /** Ends the connection; calls on it fail. */
  close(): void {
    this.#isLeaving = true
    this.#session.destroy()
    // A peer that never closes its half is not waited for.
    this.dialed.socket.destroy()
  }

  onDeadline(): void {
    this.close()
  }

  #watch(): void {
    const session = this.#session
    session.on('error', (error: Error) => this.#fail(error))
    session.on('frameError', NOTHING)
    session.on('connect', () => session.setLocalWindowSize(SESSION_WINDOW_BYTES))
    session.on('close', () => this.dialed.socket.destroy())
    session.on('goaway', (_code: number, lastStreamId: number) => {
      this.#lastStreamId = lastStreamId
      this.retire()
    })
    // Not asked for: a push, by which node makes a stream.
    session.on('stream', (pushed: ClientHttp2Stream) => {
      pushed.on('error', NOTHING)
      this.close()
    })
    session.on('origin', (origins: readonly string[]) => {
      this.#origins += origins.length
      if (this.#origins > ORIGINS_MAX) this.close()
    })
  }

  // What node finds wrong with frames has a code of its own; what the peer said of us, or the network did, has others.
  #fail(error: Error): void {
    const code = 'code' in error ? String(error.code) : error.name
    if (code === 'ERR_HTTP2_ERROR')
      this.#fault ??= new EgressError('response-malformed', { code }, { cause: error })
    this.close()
  }
}
