// TLS towards upstreams: verified always, against the public roots and the operator's, for the name that was decided (I2).
// Sessions are kept for resumption only once their peer was verified. Called by `dial.ts`.

import { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import tls from 'node:tls'

import { LRUCache } from 'lru-cache'

import type { EgressError } from '../errors.ts'
import type { Endpoint } from '../wire/authority.ts'
import { explainTlsFailure, untrusted } from './tls-failure.ts'

/** Whom a handshake is for. */
export interface TlsPeer {
  readonly endpoint: Endpoint
  /** Sessions are resumed only by the same holder: a task, or the operator. */
  readonly holder: string
}

const SESSIONS_MAX = 1000
const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/** The client side of TLS, one for all dials. */
export class UpstreamTls {
  // One context for all: parsing the list of roots takes milliseconds each time.
  readonly #secureContext: tls.SecureContext
  readonly #sessions: LRUCache<string, Buffer> = new LRUCache({ max: SESSIONS_MAX })

  /**
   * @param roots PEM of roots trusted besides the public ones, one or more in each text
   * @throws Error where a text holds no certificate: OpenSSL would pass it over in silence
   */
  constructor(roots: readonly string[]) {
    for (const text of roots) checkRoots(text)
    this.#secureContext = tls.createSecureContext({
      ca: [...tls.rootCertificates, ...roots],
      minVersion: 'TLSv1.2',
    })
  }

  /**
   * Begins the handshake on a connected socket.
   * @param finish called once the peer is verified, or with why it is not; after that with every later error
   */
  secure(
    peer: TlsPeer,
    raw: Socket,
    finish: (error: EgressError | undefined) => void,
  ): tls.TLSSocket {
    const { endpoint, holder } = peer
    const key = `${holder} ${endpoint.host} ${endpoint.port}`
    const kept = this.#sessions.get(key)
    let isVerified = false
    // Before the peer is verified a session is worth nothing: resumed, it would pass without a look at the name.
    let early: Buffer | undefined
    const secure = tls.connect({
      socket: raw,
      secureContext: this.#secureContext,
      rejectUnauthorized: true,
      ALPNProtocols: ['http/1.1'],
      checkServerIdentity: (_name, certificate) => checkIdentity(endpoint, certificate),
      ...(endpoint.kind === 'name' && { servername: endpoint.host }),
      ...(kept && { session: kept }),
    })
    secure.on('error', (error) => {
      this.#sessions.delete(key)
      finish(explainTlsFailure(error))
    })
    secure.on('session', (session) => {
      if (isVerified) this.#sessions.set(key, session)
      else early = session
    })
    secure.once('secureConnect', () => {
      const error = secure.isSessionReused() ? checkResumed(endpoint, secure) : undefined
      if (error) {
        this.#sessions.delete(key)
        finish(untrusted(error))
        return
      }
      isVerified = true
      if (early) this.#sessions.set(key, early)
      finish(undefined)
    })
    return secure
  }
}

function checkRoots(text: string): void {
  let count = 0
  try {
    count = (text.match(PEM_CERTIFICATE) ?? []).map((pem) => new X509Certificate(pem)).length
  } catch (error) {
    throw new Error('a file of `upstream.ca` holds a certificate that cannot be read', {
      cause: error,
    })
  }
  if (count === 0) throw new Error('a file of `upstream.ca` holds no certificate (PEM)')
}

// The name that was decided, never what a library made of the options; and never a common name (RFC 9525 section 2).
function checkIdentity(endpoint: Endpoint, certificate: tls.PeerCertificate): Error | undefined {
  if (!certificate.subjectaltname)
    return Object.assign(new Error('the certificate has no subject alternative name'), {
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    })
  return tls.checkServerIdentity(endpoint.host, certificate)
}

// Node asks nothing about the peer of a resumed session; its certificate may have ended since.
function checkResumed(endpoint: Endpoint, secure: tls.TLSSocket): Error | undefined {
  const certificate = secure.getPeerX509Certificate()
  if (certificate === undefined)
    return Object.assign(new Error('the session names no peer'), { code: 'CERT_UNTRUSTED' })
  if (certificate.validToDate.getTime() < Date.now())
    return Object.assign(new Error('the certificate has expired'), { code: 'CERT_HAS_EXPIRED' })
  return checkIdentity(endpoint, secure.getPeerCertificate())
}
