// The only place a socket opens outward. Takes a permit, resolves once, checks every address, dials a checked literal, and
// for TLS verifies the name that was decided (I1, I2). Called by `forward/`, `stages.ts` and `http-client.ts`.

import assert from 'node:assert'
import net from 'node:net'

import { EgressError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import type { AddressPolicy } from '../policy/decision.ts'
import type { Endpoint } from '../wire/authority.ts'
import type { Cidr } from '../wire/address.ts'
import { isOwnHost } from '../wire/own-host.ts'
import { checkAddresses, isDialable, type AddressQuestion, type OwnListener } from './classify.ts'
import { showCertificate } from './client-certificate.ts'
import { describe, explainDialFailure } from './dial-outcome.ts'
import type { Dialed } from './dialed.ts'
import { CallPermit, isPermit, type OperatorPermit } from './permit.ts'
import {
  explainProxyFailure,
  isOfProxyAlone,
  nameForProxy,
  openThrough,
  type ProxyAbove,
} from './proxy-above.ts'
import type { Resolver } from './resolve.ts'
import { explainTlsFailure } from './tls-failure.ts'
import { UpstreamTls, type TlsClient } from './upstream-tls.ts'

export type { Dialed } from './dialed.ts'

/** Bounds the names that tasks have resolved. */
interface NameBound {
  /** @throws quota-exceeded where nobody may be asked for the name of the permit's endpoint */
  admit(permit: CallPermit): void
  /** Forgets the names of a root of tasks. @returns how many */
  forget(rootId: string): number
}

/** What dialing needs. */
export interface DialerOptions {
  readonly resolver: Resolver
  readonly names: NameBound
  /** Special-purpose ranges that any name may resolve to. */
  readonly allowAddresses: readonly Cidr[]
  /** The sidecar's own listeners, as they are once it listens. */
  readonly ownListeners: () => readonly OwnListener[]
  readonly limits: Limits
  /** PEM of roots trusted besides the public ones. */
  readonly upstreamRoots: readonly string[]
  /** What calls go out through; what the operator dials never does. */
  readonly above?: ProxyAbove | undefined
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
  /** For plain HTTP requests alone: a proxy above that is asked for names sends those on by itself. */
  readonly forRequests?: boolean
  /** Waits for what a server says in the clear before TLS begins; nothing may be left unread in the socket. */
  readonly beforeTls?: (raw: net.Socket) => Promise<void>
}

interface Dial extends DialOptions {
  readonly permit: CallPermit | OperatorPermit
  /** What it goes through. */
  readonly above: ProxyAbove | undefined
  /** Whether two halves of the connection end apart. */
  readonly halfOpen: boolean
  /** For the whole dial, of `performance.now()`. */
  readonly deadline: number
}

interface Attempt extends Dial {
  /** A checked one, or the name where the proxy above is asked for names. */
  readonly address: string
  /** For the address to accept, milliseconds. */
  readonly acceptMs: number
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
   * @throws quota-exceeded, resolve-failed, resolved-address-denied, loop-detected, dial-failed, connect-timeout, tls-untrusted, tls-failed;
   * client-gone where the signal is aborted
   */
  async dial(permit: CallPermit | OperatorPermit, options: DialOptions): Promise<Dialed> {
    assert(isPermit(permit), 'nothing is dialed without a permit')
    assert.equal(options.tls, permit.tls, 'the permit says whether the connection is verified TLS')
    // Answered by the pipeline; whatever asks for it here asks a resolver for the proxy itself.
    if (isOwnHost(permit.endpoint.host)) throw new EgressError('loop-detected')
    if (options.signal.aborted) throw new EgressError('client-gone')
    const above = CallPermit.is(permit) ? this.#options.above : undefined
    const addresses = await this.#addressesOf(permit, above, options.signal)
    const deadline = performance.now() + this.#options.limits.connectTimeoutMs
    const dial: Dial = { ...options, permit, above, halfOpen: !options.tls, deadline }
    return this.#dialEach(addresses, dial, this.#options.onDial)
  }

  async #addressesOf(
    permit: CallPermit | OperatorPermit,
    above: ProxyAbove | undefined,
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    const { endpoint } = permit
    if (endpoint.kind !== 'name') return checkAddresses(this.#questionOf(permit), [endpoint.host])
    const { resolver, names } = this.#options
    // Whoever is asked for its addresses: a name that is new carries what it says.
    if (CallPermit.is(permit) && !resolver.isFixed(endpoint.host)) names.admit(permit)
    if (above?.connectBy === 'name') return [nameForProxy(this.#questionOf(permit), endpoint.host)]
    const answers = await resolver.resolve(endpoint.host, ownerOf(permit), signal)
    return checkAddresses(this.#questionOf(permit), answers)
  }

  async #dialEach(
    addresses: readonly string[],
    dial: Dial,
    onDial: DialerOptions['onDial'],
  ): Promise<Dialed> {
    let failure: EgressError | undefined
    for (const [at, address] of addresses.entries()) {
      const leftMs = dial.deadline - performance.now()
      if (leftMs <= 0) break
      // One that does not answer must not use up the time of the next.
      const acceptMs = Math.max(leftMs / (addresses.length - at), Math.min(leftMs, ACCEPT_MS_MIN))
      try {
        const dialed = await this.#open({ ...dial, address, acceptMs })
        onDial?.('connected')
        return dialed
      } catch (error) {
        onDial?.('failed')
        if (!(error instanceof EgressError)) throw error
        failure = error
        // A certificate that is wrong at one address is not mended by asking the next.
        if (error.reason !== 'dial-failed' && error.reason !== 'connect-timeout') break
        if (isOfProxyAlone(error)) break
      }
    }
    throw failure ?? new EgressError('connect-timeout')
  }

  /** Forgets the addresses that a task's names had. @returns how many names */
  forgetTask(taskId: string): number {
    const { resolver, names } = this.#options
    names.forget(taskId)
    return resolver.forget(taskId)
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

  async #open(attempt: Attempt): Promise<Dialed> {
    const { above, permit, address } = attempt
    if (above === undefined) return this.#connect(attempt, undefined)
    const { connectBy } = above
    const { endpoint } = permit
    const bounds = { ...attempt, headBytesMax: this.#options.limits.responseHeadBytesMax }
    const { socket, addressHead } = await openThrough(
      above,
      { ...endpoint, host: address, kind: net.isIPv6(address) ? 'ipv6' : endpoint.kind },
      bounds,
      () => this.#dialAbove(above, attempt),
    )
    if (addressHead) return { socket, port: endpoint.port, connectBy, addressHead }
    const { address: asked, ...dialed } = await this.#connect(attempt, socket)
    const isAsked = connectBy === 'address' || endpoint.kind !== 'name'
    return { ...dialed, connectBy, ...(isAsked && asked !== undefined && { address: asked }) }
  }

  // I1: with leave of its own, from the configuration. It is resolved and checked as all that the operator names.
  async #dialAbove(above: ProxyAbove, call: Attempt): Promise<net.Socket> {
    const { permit } = above
    const { signal, halfOpen, deadline } = call
    try {
      const addresses = await this.#addressesOf(permit, undefined, signal)
      const dial = { permit, tls: permit.tls, above: undefined, signal, halfOpen, deadline }
      return (await this.#dialEach(addresses, dial, undefined)).socket
    } catch (error) {
      throw explainProxyFailure(error)
    }
  }

  // `tunnel`: connected already, and what goes through it goes to the address.
  #connect(attempt: Attempt, tunnel: net.Socket | undefined): Promise<Dialed> {
    const { permit, address, signal } = attempt
    const { endpoint } = permit
    const client = showCertificate(permit, attempt.client)
    const holder = CallPermit.is(permit) ? permit.taskId : permit.purpose
    return new Promise((resolve, reject) => {
      const raw =
        tunnel ??
        net.connect({
          host: address,
          port: endpoint.port,
          noDelay: true,
          autoSelectFamily: false,
          allowHalfOpen: attempt.halfOpen,
        })
      let socket: net.Socket = raw
      let connected = tunnel !== undefined
      const finish = (error: EgressError | undefined): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', onAbort)
        raw.off('close', onClose)
        if (error) {
          socket.destroy()
          raw.destroy()
          reject(error)
        } else resolve(describe(socket, address, endpoint.port))
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
      const begin = (): void => {
        connected = true
        if (!attempt.tls) {
          finish(undefined)
          return
        }
        clearTimeout(timer)
        timer = setTimeout(onTimeout, Math.max(1, attempt.deadline - performance.now()))
        const secure = (): void => {
          if (!raw.destroyed) socket = this.#tls.secure({ endpoint, holder, client }, raw, finish)
        }
        if (attempt.beforeTls === undefined) secure()
        else attempt.beforeTls(raw).then(secure, (error: Error) => finish(explainTlsFailure(error)))
      }
      signal.addEventListener('abort', onAbort)
      if (tunnel === undefined) raw.once('connect', begin)
      else if (signal.aborted) onAbort()
      else if (raw.destroyed) onClose()
      else begin()
    })
  }
}

function ownerOf(permit: CallPermit | OperatorPermit): string {
  return CallPermit.is(permit) ? permit.taskId : ''
}
