// TLS servers for intercepted hosts: one a host, which never listens, made once and kept while it is used. A flood of names
// is bounded in how many are minted a second and how many are kept (I7). Called by `listen/server.ts`.

import { generateKeyPairSync } from 'node:crypto'
import tls from 'node:tls'

import { LRUCache } from 'lru-cache'

import { EgressError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import { detachText, type Endpoint } from '../wire/authority.ts'
import type { Ca } from './ca.ts'
import { mintLeaf } from './leaf.ts'

/** What serving leaves needs. */
export interface LeafServersOptions {
  /** Asked at each mint, so that a renewed CA is used from then on. */
  readonly ca: () => Ca
  readonly limits: Limits
  readonly now: () => number
  readonly onMint?: () => void
}

interface Kept {
  readonly server: tls.Server
  /** From then on it is minted anew, while connections on the old one go on. */
  readonly renewAt: number
}

const RENEW_BEFORE_MS = 3_600_000

/** The servers of one sidecar. */
export class LeafServers {
  readonly #options: LeafServersOptions
  readonly #servers: LRUCache<string, Kept>
  // One key for all leaves of the process: making one a host would cost more than the signature.
  readonly #key = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey
  readonly #keyPem = this.#key.export({ type: 'pkcs8', format: 'pem' }).toString()
  #second = 0
  #mintedInSecond = 0

  constructor(options: LeafServersOptions) {
    this.#options = options
    this.#servers = new LRUCache({ max: options.limits.secureContextsMax })
  }

  /**
   * The host's server: hand it a socket by `emit('connection', socket)`. Minting is synchronous, so there is one flight.
   * @throws busy beyond `mintsPerSecond`
   */
  serverFor(host: Pick<Endpoint, 'host' | 'kind'>): tls.Server {
    const now = this.#options.now()
    const kept = this.#servers.get(host.host)
    if (kept !== undefined && now < kept.renewAt) return kept.server
    this.#countMint(now)
    const ca = this.#options.ca()
    const leaf = mintLeaf(ca, host, this.#key, now)
    const server = tls.createServer({
      cert: leaf.certPem,
      key: this.#keyPem,
      minVersion: 'TLSv1.2',
      ALPNProtocols: ['http/1.1'],
      handshakeTimeout: this.#options.limits.handshakeTimeoutMs,
      noDelay: true,
    })
    this.#servers.set(detachText(host.host), {
      server,
      renewAt: Math.max(now + 1000, leaf.notAfter - RENEW_BEFORE_MS),
    })
    this.#options.onMint?.()
    return server
  }

  #countMint(now: number): void {
    const second = Math.floor(now / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#mintedInSecond = 0
    }
    if (this.#mintedInSecond >= this.#options.limits.mintsPerSecond)
      throw new EgressError('busy', { bound: 'mintsPerSecond' })
    this.#mintedInSecond += 1
  }
}
