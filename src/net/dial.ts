// The only place a socket opens outward. Takes a permit, resolves once, checks every address, dials a checked literal, and
// for TLS verifies the name that was decided (I1, I2). Called by `forward/`, `stages.ts` and `http-client.ts`.

import assert from 'node:assert'
import net from 'node:net'
import tls from 'node:tls'

import { LRUCache } from 'lru-cache'

import { EgressError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import type { AddressPolicy } from '../policy/decision.ts'
import type { Cidr } from '../wire/address.ts'
import type { Endpoint } from '../wire/authority.ts'
import { checkAddresses, type OwnListener } from './classify.ts'
import { CallPermit, isPermit, type OperatorPermit } from './permit.ts'
import type { Resolver } from './resolve.ts'
import { explainTlsFailure } from './tls-failure.ts'

/** A connection that is there. Its socket has an error listener already: an error nobody waits for ends nothing. */
export interface Dialed {
  readonly socket: net.Socket
  /** The address that was dialed. */
  readonly address: string
  readonly port: number
  /** `1.3` or `1.2`; absent without TLS. */
  readonly tlsVersion?: string
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

// The operator named the destination itself: no range is closed to it, and none is opened beyond.
const NO_RANGES: AddressPolicy = { allowed: [], denied: [] }
const SESSIONS_MAX = 1000

/** Dials for calls and for the operator. */
export class Dialer {
  readonly #options: DialerOptions
  // One context for all: parsing the list of roots takes milliseconds each time.
  readonly #secureContext: tls.SecureContext
  // By task, host and port: a session is as good as the connection it came from, so it is not shared between tasks.
  readonly #sessions: LRUCache<string, Buffer> = new LRUCache({ max: SESSIONS_MAX })

  constructor(options: DialerOptions) {
    this.#options = options
    this.#secureContext = tls.createSecureContext({
      ca: [...tls.rootCertificates, ...options.upstreamRoots],
      minVersion: 'TLSv1.2',
    })
  }

  /**
   * Connects to the permit's endpoint. Every address is checked; the next is tried where one does not answer.
   * @throws resolve-failed, resolved-address-denied, loop-detected, dial-failed, connect-timeout, tls-untrusted, tls-failed
   */
  async dial(
    permit: CallPermit | OperatorPermit,
    options: { readonly tls: boolean; readonly signal: AbortSignal },
  ): Promise<Dialed> {
    assert(isPermit(permit), 'nothing is dialed without a permit')
    const { endpoint } = permit
    const answers =
      endpoint.kind === 'name'
        ? await this.#options.resolver.resolve(endpoint.host)
        : [endpoint.host]
    const addresses = this.#check(permit, answers)
    const deadline = performance.now() + this.#options.limits.connectTimeoutMs
    let failure = new EgressError('dial-failed')
    for (const address of addresses) {
      if (options.signal.aborted) throw new EgressError('client-gone')
      try {
        const dialed = await this.#connect(permit, address, options, deadline)
        this.#options.onDial?.('connected')
        return dialed
      } catch (error) {
        this.#options.onDial?.('failed')
        if (!(error instanceof EgressError)) throw error
        failure = error
        // A certificate that is wrong at one address is not mended by asking the next.
        if (error.reason !== 'dial-failed') break
      }
    }
    throw failure
  }

  /** Whether a connection to this address, dialed for an earlier call, would be dialed for this permit too. */
  mayReuse(permit: CallPermit, address: string): boolean {
    try {
      this.#check(permit, [address])
      return true
    } catch (error) {
      if (error instanceof EgressError) return false
      throw error
    }
  }

  #check(permit: CallPermit | OperatorPermit, addresses: readonly string[]): string[] {
    const byOperator = !CallPermit.is(permit)
    const question = {
      endpoint: permit.endpoint,
      policy: byOperator ? NO_RANGES : permit.addresses,
      own: this.#options.ownListeners(),
      allowed: this.#options.allowAddresses,
    }
    // The operator's own destinations may lie on the operator's own networks.
    if (byOperator)
      return checkAddresses(
        { ...question, endpoint: { ...permit.endpoint, kind: 'ipv4' } },
        addresses,
      )
    return checkAddresses(question, addresses)
  }

  #connect(
    permit: CallPermit | OperatorPermit,
    address: string,
    options: { readonly tls: boolean; readonly signal: AbortSignal },
    deadline: number,
  ): Promise<Dialed> {
    const { endpoint } = permit
    const { port } = endpoint
    return new Promise((resolve, reject) => {
      const raw = net.connect({ host: address, port, noDelay: true, autoSelectFamily: false })
      let socket: net.Socket = raw
      let connected = false
      const finish = (error: EgressError | undefined): void => {
        clearTimeout(timer)
        options.signal.removeEventListener('abort', onAbort)
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
      const timer = setTimeout(
        () => finish(new EgressError('connect-timeout')),
        Math.max(1, deadline - performance.now()),
      )
      raw.on('error', (error) =>
        finish(connected ? explainTlsFailure(error) : explainDialFailure(error)),
      )
      raw.on('close', onClose)
      raw.once('connect', () => {
        connected = true
        if (options.tls) socket = this.#secure(permit, raw, finish)
        else finish(undefined)
      })
      if (options.signal.aborted) return onAbort()
      options.signal.addEventListener('abort', onAbort)
    })
  }

  #secure(
    permit: CallPermit | OperatorPermit,
    raw: net.Socket,
    finish: (error: EgressError | undefined) => void,
  ): tls.TLSSocket {
    const { endpoint } = permit
    const key = `${CallPermit.is(permit) ? permit.taskId : ''} ${endpoint.host} ${endpoint.port}`
    const session = this.#sessions.get(key)
    const secure = tls.connect({
      socket: raw,
      secureContext: this.#secureContext,
      rejectUnauthorized: true,
      ALPNProtocols: ['http/1.1'],
      checkServerIdentity: (_name, certificate) => checkIdentity(endpoint, certificate),
      ...(endpoint.kind === 'name' && { servername: endpoint.host }),
      ...(session && { session }),
    })
    secure.on('error', (error) => {
      this.#sessions.delete(key)
      finish(explainTlsFailure(error))
    })
    secure.on('session', (fresh) => this.#sessions.set(key, fresh))
    secure.once('secureConnect', () => finish(undefined))
    return secure
  }
}

// The name that was decided, never what a library made of the options.
function checkIdentity(endpoint: Endpoint, certificate: tls.PeerCertificate): Error | undefined {
  return tls.checkServerIdentity(endpoint.host, certificate)
}

function describe(socket: net.Socket, address: string, port: number): Dialed {
  if (!(socket instanceof tls.TLSSocket)) return { socket, address, port }
  return { socket, address, port, tlsVersion: (socket.getProtocol() ?? '').replace('TLSv', '') }
}

function explainDialFailure(error: Error): EgressError {
  const code = 'code' in error ? String(error.code) : error.name
  return new EgressError(
    code === 'ETIMEDOUT' ? 'connect-timeout' : 'dial-failed',
    { code },
    { cause: error },
  )
}
