// The only place a socket opens outward. Takes a permit, resolves once, checks every address, dials a checked literal, and
// for TLS verifies the name that was decided (I1, I2). Called by `forward/`, `stages.ts` and `http-client.ts`.

import assert from 'node:assert'
import net from 'node:net'
import tls from 'node:tls'

import { EgressError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import type { AddressPolicy } from '../policy/decision.ts'
import type { Endpoint } from '../wire/authority.ts'
import type { Cidr } from '../wire/address.ts'
import { isOwnHost } from '../wire/own-host.ts'
import { checkAddresses, type AddressQuestion, type OwnListener } from './classify.ts'
import { CallPermit, isPermit, type OperatorPermit } from './permit.ts'
import type { Resolver } from './resolve.ts'
import { codeOf, explainTlsFailure } from './tls-failure.ts'
import { UpstreamTls, type TlsClient } from './upstream-tls.ts'

/** A connection that is there. Its socket has an error listener already: an error nobody waits for ends nothing. */
export interface Dialed {
  /** Without TLS its two halves end apart, so that a tunnel can pass on the end of one. */
  readonly socket: net.Socket
  /** The address that was dialed. */
  readonly address: string
  readonly port: number
  /** `1.3` or `1.2`; absent without TLS. */
  readonly tlsVersion?: string
  /** What was agreed on by ALPN, where something was. */
  readonly protocol?: string
}

/** What dialing needs. */
export interface DialerOptions {
  readonly resolver: Resolver
  /** Special-purpose ranges that any name may resolve to. */
  readonly allowAddresses: readonly Cidr[]
  /** The sidecar's own listeners, as they are once it listens. */
  readonly ownListeners: () => readonly OwnListener[]
  readonly limits: Limits
  /** PEM of roots trusted besides the public ones. */
  readonly upstreamRoots: readonly string[]
  /** Told of each attempt. */
  readonly onDial?: (outcome: 'connected' | 'failed') => void
}

/** How to dial. */
export interface DialOptions {
  /** As the permit says. */
  readonly tls: boolean
  /** Ends the attempt; a connection that is there is its caller's. */
  readonly signal: AbortSignal
  /** What this side shows and offers by TLS; default: no certificate, HTTP/1.1. */
  readonly client?: TlsClient
  /** Waits for what a server says in the clear before TLS begins; nothing may be left unread in the socket. */
  readonly beforeTls?: (raw: net.Socket) => Promise<void>
}

interface Attempt extends DialOptions {
  readonly permit: CallPermit | OperatorPermit
  readonly address: string
  /** For the address to accept, milliseconds. */
  readonly acceptMs: number
  /** For the whole dial, of `performance.now()`. */
  readonly deadline: number
}

// The operator named the destination itself: no range is closed to it, and none is opened beyond.
const NO_RANGES: AddressPolicy = { allowed: [], denied: [] }
// An address gets this long at least, even where there are many.
const ACCEPT_MS_MIN = 250

/** Dials for calls and for the operator. */
export class Dialer {
  readonly #options: DialerOptions
  readonly #tls: UpstreamTls

  /** @throws Error where a root cannot be read */
  constructor(options: DialerOptions) {
    this.#options = options
    this.#tls = new UpstreamTls(options.upstreamRoots)
  }

  /**
   * Connects to the permit's endpoint. Every address is checked; the next is tried where one does not accept.
   * @throws resolve-failed, resolved-address-denied, loop-detected, dial-failed, connect-timeout, tls-untrusted, tls-failed;
   * client-gone where the signal is aborted
   */
  async dial(permit: CallPermit | OperatorPermit, options: DialOptions): Promise<Dialed> {
    assert(isPermit(permit), 'nothing is dialed without a permit')
    assert.equal(options.tls, permit.tls, 'the permit says whether the connection is verified TLS')
    const { endpoint } = permit
    // Answered by the pipeline; whatever asks for it here asks a resolver for the proxy itself.
    if (isOwnHost(endpoint.host)) throw new EgressError('loop-detected')
    if (options.signal.aborted) throw new EgressError('client-gone')
    const answers =
      endpoint.kind === 'name'
        ? await this.#options.resolver.resolve(endpoint.host, ownerOf(permit), options.signal)
        : [endpoint.host]
    const addresses = checkAddresses(this.#questionOf(permit), answers)
    const deadline = performance.now() + this.#options.limits.connectTimeoutMs
    let failure = new EgressError('connect-timeout')
    for (const [at, address] of addresses.entries()) {
      const leftMs = deadline - performance.now()
      if (leftMs <= 0) break
      // One that does not answer must not use up the time of the next.
      const acceptMs = Math.max(leftMs / (addresses.length - at), Math.min(leftMs, ACCEPT_MS_MIN))
      try {
        const dialed = await this.#connect({ ...options, permit, address, acceptMs, deadline })
        this.#options.onDial?.('connected')
        return dialed
      } catch (error) {
        this.#options.onDial?.('failed')
        if (!(error instanceof EgressError)) throw error
        failure = error
        // A certificate that is wrong at one address is not mended by asking the next.
        if (error.reason !== 'dial-failed' && error.reason !== 'connect-timeout') break
      }
    }
    throw failure
  }

  /** Forgets the addresses that a task's names had. @returns how many names */
  forgetTask(taskId: string): number {
    return this.#options.resolver.forget(taskId)
  }

  /** The addresses that a name of a task is known to have now, without asking. */
  knownAddresses(host: string, taskId: string): readonly string[] {
    return this.#options.resolver.known(host, taskId)
  }

  /** Whether a connection to this address, dialed for an earlier call, would be dialed for this permit too. */
  mayReuse(permit: CallPermit, address: string): boolean {
    return isDialable(this.#questionOf(permit), address)
  }

  /** Whether a connection that stands would be dialed as well where rules say this of addresses. */
  wouldStayDialed(endpoint: Endpoint, policy: AddressPolicy, address: string): boolean {
    const { ownListeners, allowAddresses: allowed } = this.#options
    return isDialable({ endpoint, policy, own: ownListeners(), allowed }, address)
  }

  /**
   * Whether an address that a name resolves to would be dialed for a call whose rules say nothing of addresses.
   * @param port of the name
   */
  wouldDial(address: string, port: number): boolean {
    const { ownListeners, allowAddresses: allowed } = this.#options
    const endpoint = { kind: 'name', port } as const
    return isDialable({ endpoint, policy: NO_RANGES, own: ownListeners(), allowed }, address)
  }

  #questionOf(permit: CallPermit | OperatorPermit): AddressQuestion {
    const isCall = CallPermit.is(permit)
    return {
      endpoint: permit.endpoint,
      policy: isCall ? permit.addresses : NO_RANGES,
      own: this.#options.ownListeners(),
      allowed: this.#options.allowAddresses,
      byOperator: !isCall,
    }
  }

  #connect(attempt: Attempt): Promise<Dialed> {
    const { permit, address, signal } = attempt
    const { port } = permit.endpoint
    return new Promise((resolve, reject) => {
      const raw = net.connect({
        host: address,
        port,
        noDelay: true,
        autoSelectFamily: false,
        allowHalfOpen: !attempt.tls,
      })
      let socket: net.Socket = raw
      let connected = false
      const finish = (error: EgressError | undefined): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', onAbort)
        raw.off('close', onClose)
        if (error) {
          socket.destroy()
          raw.destroy()
          reject(error)
        } else resolve(describe(socket, address, port))
      }
      const onAbort = (): void => finish(new EgressError('client-gone'))
      const onClose = (): void =>
        finish(new EgressError(connected ? 'tls-failed' : 'dial-failed', { code: 'closed' }))
      const onTimeout = (): void => finish(new EgressError('connect-timeout', { address }))
      let timer = setTimeout(onTimeout, attempt.acceptMs)
      raw.on('error', (error) =>
        finish(connected ? explainTlsFailure(error) : explainDialFailure(error, address)),
      )
      raw.on('close', onClose)
      raw.once('connect', () => {
        connected = true
        if (!attempt.tls) {
          finish(undefined)
          return
        }
        clearTimeout(timer)
        timer = setTimeout(onTimeout, Math.max(1, attempt.deadline - performance.now()))
        const secure = (): void => {
          if (!raw.destroyed) socket = this.#secure(attempt, raw, finish)
        }
        if (attempt.beforeTls === undefined) secure()
        else attempt.beforeTls(raw).then(secure, (error: Error) => finish(explainTlsFailure(error)))
      })
      signal.addEventListener('abort', onAbort)
    })
  }

  #secure(
    { permit, client }: Attempt,
    raw: net.Socket,
    finish: (error: EgressError | undefined) => void,
  ): net.Socket {
    const holder = CallPermit.is(permit) ? permit.taskId : permit.purpose
    try {
      return this.#tls.secure({ endpoint: permit.endpoint, holder, client }, raw, finish)
    } catch (error) {
      // A certificate to show that does not fit its key.
      finish(explainTlsFailure(error instanceof Error ? error : new Error(String(error))))
      return raw
    }
  }
}

function describe(socket: net.Socket, address: string, port: number): Dialed {
  if (!(socket instanceof tls.TLSSocket)) return { socket, address, port }
  const tlsVersion = (socket.getProtocol() ?? '').replace('TLSv', '')
  const { alpnProtocol: protocol } = socket
  return { socket, address, port, tlsVersion, ...(typeof protocol === 'string' && { protocol }) }
}

function explainDialFailure(error: Error, address: string): EgressError {
  const code = codeOf(error)
  return new EgressError(
    code === 'ETIMEDOUT' ? 'connect-timeout' : 'dial-failed',
    { code, address },
    { cause: error },
  )
}

function isDialable(question: AddressQuestion, address: string): boolean {
  try {
    return checkAddresses(question, [address]).length > 0
  } catch (error) {
    if (error instanceof EgressError) return false
    throw error
  }
}

function ownerOf(permit: CallPermit | OperatorPermit): string {
  return CallPermit.is(permit) ? permit.taskId : ''
}
