// TLS towards upstreams: verified always, against the public roots and the operator's, for the name that was decided (I2).
// Sessions are kept for resumption only once their peer was verified. Called by `dial.ts`.

import { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import tls from 'node:tls'

import { LRUCache } from 'lru-cache'

import type { EgressError } from '../errors.ts'
import type { Endpoint } from '../wire/authority.ts'
import { explainTlsFailure } from './tls-failure.ts'

/** What this side shows, offers and trusts in a handshake; one object as long as nothing of it changes. */
export interface TlsClient {
  /** PEM of a certificate to show, the leaf first, and of its key. */
  readonly certificate?: { readonly certPem: string; readonly keyPem: string } | undefined
  /** PEM of roots trusted for this peer alone, besides the others. */
  readonly roots?: readonly string[] | undefined
  /** Names for ALPN; none are offered to a protocol that has no name. */
  readonly protocols: readonly string[]
}

/** Whom a handshake is for. */
export interface TlsPeer {
  readonly endpoint: Endpoint
  /** Sessions are resumed only by the same holder: a task, or a purpose of the operator's. */
  readonly holder: string
  /** Default: no certificate, HTTP/1.1. */
  readonly client?: TlsClient | undefined
}

interface Prepared {
  readonly context: tls.SecureContext
  /** Tells the sessions of one client from those of another. */
  readonly number: number
}

interface Session {
  readonly ticket: Buffer
  /** End of the certificate that was verified, epoch milliseconds: node looks at no certificate when it resumes. */
  readonly until: number
}

const SESSIONS_MAX = 1000
const HTTP: TlsClient = { protocols: ['http/1.1'] }
const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/** The client side of TLS, one for all dials. */
export class UpstreamTls {
  readonly #roots: readonly string[]
  readonly #prepared: WeakMap<TlsClient, Prepared> = new WeakMap()
  #count = 0
  readonly #sessions: LRUCache<string, Session> = new LRUCache({ max: SESSIONS_MAX })

  /**
   * @param roots PEM of roots trusted besides the public ones, one or more in each text
   * @throws Error where a text holds no certificate: OpenSSL would pass it over in silence
   */
  constructor(roots: readonly string[]) {
    for (const text of roots) checkRoots(text, 'upstream.ca')
    this.#roots = roots
  }

  /**
   * Begins the handshake on a connected socket.
   * @param finish called once the peer is verified, or with why it is not; after that with every later error
   * @returns what is to be used from then on
   */
  secure(peer: TlsPeer, raw: Socket, finish: (error: EgressError | undefined) => void): Socket {
    try {
      return this.#begin(peer, raw, finish)
    } catch (error) {
      // What the client is to show or trust cannot be read, such as a certificate that does not fit its key.
      finish(explainTlsFailure(error instanceof Error ? error : new Error(String(error))))
      return raw
    }
  }

  #begin(
    peer: TlsPeer,
    raw: Socket,
    finish: (error: EgressError | undefined) => void,
  ): tls.TLSSocket {
    const { endpoint, holder, client = HTTP } = peer
    const { context, number } = this.#prepare(client)
    const key = `${holder} ${number} ${endpoint.host} ${endpoint.port}`
    const kept = this.#current(key)
    // Before the peer is verified its session is worth nothing: resumed, it would pass without a look at the name.
    let until: number | undefined
    let early: Buffer | undefined
    const secure = tls.connect({
      socket: raw,
      secureContext: context,
      rejectUnauthorized: true,
      ...(client.protocols.length > 0 && { ALPNProtocols: [...client.protocols] }),
      checkServerIdentity: (_name, certificate) => checkIdentity(endpoint, certificate),
      ...(endpoint.kind === 'name' && { servername: endpoint.host }),
      ...(kept && { session: kept.ticket }),
    })
    secure.on('error', (error) => {
      this.#sessions.delete(key)
      finish(explainTlsFailure(error))
    })
    secure.on('session', (ticket) => {
      if (until === undefined) early = ticket
      else this.#sessions.set(key, { ticket, until })
    })
    secure.once('secureConnect', () => {
      until = secure.isSessionReused()
        ? (kept?.until ?? 0)
        : (secure.getPeerX509Certificate()?.validToDate.getTime() ?? 0)
      if (early) this.#sessions.set(key, { ticket: early, until })
      finish(undefined)
    })
    return secure
  }

  // One context for all calls, and one for each other client, made by the first: parsing the roots takes milliseconds.
  #prepare(client: TlsClient): Prepared {
    let prepared = this.#prepared.get(client)
    if (prepared === undefined) {
      const { certificate, roots = [] } = client
      const context = tls.createSecureContext({
        ca: [...tls.rootCertificates, ...this.#roots, ...roots],
        minVersion: 'TLSv1.2',
        ...(certificate && { cert: certificate.certPem, key: certificate.keyPem }),
      })
      prepared = { context, number: (this.#count += 1) }
      this.#prepared.set(client, prepared)
    }
    return prepared
  }

  #current(key: string): Session | undefined {
    const session = this.#sessions.get(key)
    return session !== undefined && session.until > Date.now() ? session : undefined
  }
}

/**
 * Checks that a text holds certificates and can be read: OpenSSL would pass it over in silence.
 * @param key of the configuration, for the message
 * @throws Error saying what is wrong
 */
export function checkRoots(text: string, key: string): void {
  let count = 0
  try {
    count = (text.match(PEM_CERTIFICATE) ?? []).map((pem) => new X509Certificate(pem)).length
  } catch (error) {
    throw new Error(`a file of \`${key}\` holds a certificate that cannot be read`, {
      cause: error,
    })
  }
  if (count === 0) throw new Error(`a file of \`${key}\` holds no certificate (PEM)`)
}

// The name that was decided, never what a library made of the options; and never a common name (RFC 9525 section 2).
function checkIdentity(endpoint: Endpoint, certificate: tls.PeerCertificate): Error | undefined {
  if (!certificate.subjectaltname)
    return Object.assign(new Error('the certificate has no subject alternative name'), {
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    })
  return tls.checkServerIdentity(endpoint.host, certificate)
}
