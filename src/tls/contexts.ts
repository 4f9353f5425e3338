// TLS servers for intercepted hosts, one a host and a task, and for the proxy listener itself: none ever listens; made once and
// kept while it is used. Tasks share none, and so neither leaves nor sessions. A flood of names is bounded in how many are
// minted a second and how many are kept (I7). Called by `listen/server.ts`.

import { constants, generateKeyPairSync } from 'node:crypto'
import tls from 'node:tls'

import { LRUCache } from 'lru-cache'

import { EgressError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import { detachText, normalizeHost } from '../wire/authority.ts'
import { HTTP1_ONLY, type HttpProtocol } from '../wire/protocol.ts'
import type { Ca } from './ca.ts'
import { mintLeaf, type Leaf, type LeafHost } from './leaf.ts'

/** A CA that signs leaves. */
export interface LeafAuthority extends Ca {
  /** What is sent behind a leaf; absent of a CA that clients are given as it is. */
  readonly chainPem?: string
}

/** What serving leaves needs. */
export interface LeafServersOptions {
  /** Whose leaves a task is shown, or who has none. Asked at each mint, so that a renewed CA is used from then on. */
  readonly authorityFor: (taskId: string | undefined) => LeafAuthority
  readonly limits: Limits
  readonly now: () => number
  readonly onMint?: () => void
}

interface Kept<Value> {
  readonly value: Value
  /** From then on it is minted anew, while connections on the old one go on. */
  readonly renewAt: number
}

/** A leaf as node's TLS takes it. */
interface LeafOptions {
  readonly cert: string
  readonly key: string
}

/** What is kept or made. */
interface Wanted {
  readonly key: string
  readonly hosts: readonly LeafHost[]
  readonly taskId?: string | undefined
}

const RENEW_BEFORE_MS = 3_600_000
const LOCALHOST: LeafHost = { host: 'localhost', kind: 'name' }

// What is usual, in another order: SHA-256 is done by the processor, and SHA-384, of which each handshake does some dozens, is
// not. RFC 8446 section 9.1 has every client speak it.
const FIRST_CIPHER = 'TLS_AES_128_GCM_SHA256'
const USUAL_CIPHERS = tls.DEFAULT_CIPHERS.split(':')
const CIPHERS = [
  ...USUAL_CIPHERS.filter((name) => name === FIRST_CIPHER),
  ...USUAL_CIPHERS.filter((name) => name !== FIRST_CIPHER),
].join(':')

/** The servers of one sidecar. */
export class LeafServers {
  readonly #options: LeafServersOptions
  readonly #servers: LRUCache<string, Kept<tls.Server>>
  readonly #doors: LRUCache<string, Kept<tls.Server>>
  readonly #doorNames: LRUCache<string, Kept<tls.SecureContext>>
  // One key for all leaves of the process: making one a host would cost more than the signature.
  readonly #key = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey
  readonly #keyPem = this.#key.export({ type: 'pkcs8', format: 'pem' }).toString()
  #second = 0
  #mintedInSecond = 0

  constructor(options: LeafServersOptions) {
    this.#options = options
    const max = options.limits.secureContextsMax
    this.#servers = new LRUCache({ max })
    this.#doors = new LRUCache({ max })
    this.#doorNames = new LRUCache({ max })
  }

  /**
   * The host's server for a task: hand it a socket by `emit('connection', socket)`. Minting is synchronous, so there is one
   * flight.
   * @param protocols offered by ALPN, in the order of preference
   * @throws busy beyond `mintsPerSecond`
   */
  serverFor(
    host: LeafHost,
    taskId?: string,
    protocols: readonly HttpProtocol[] = HTTP1_ONLY,
  ): tls.Server {
    const key = `${prefixOf(taskId)}${host.host} ${protocols.join()}`
    return this.#keep(this.#servers, { key, hosts: [host], taskId }, (leaf) =>
      tls.createServer({ ...this.#serverOptions(), ALPNProtocols: [...protocols], ...leaf }),
    )
  }

  /**
   * The proxy listener's own server, for the address that was dialed, `localhost`, and the name a client asks for; asks for
   * the client's certificate. Whether one that is shown is good is for its caller to look at.
   * @param address undefined where it has none
   * @param clientCa PEM of all roots that a client's certificate may come from
   * @throws busy beyond `mintsPerSecond`
   */
  doorFor(address: LeafHost | undefined, clientCa: string): tls.Server {
    const hosts = address === undefined ? [LOCALHOST] : [address, LOCALHOST]
    return this.#keep(this.#doors, { key: address?.host ?? '', hosts }, (leaf) =>
      tls.createServer({
        ...this.#serverOptions(),
        ...leaf,
        ca: clientCa,
        requestCert: true,
        rejectUnauthorized: false,
        // No resumption: a certificate is looked at anew by each connection, or it would outlive its end.
        secureOptions: constants.SSL_OP_NO_TICKET,
        SNICallback: (name, done) => {
          try {
            done(null, this.#contextOf(name, clientCa))
          } catch (error) {
            done(error instanceof Error ? error : new EgressError('internal'))
          }
        },
      }),
    )
  }

  // Its roots are those that the client's certificate is verified by from then on.
  #contextOf(name: string, clientCa: string): tls.SecureContext {
    const host = normalizeHost(name)
    return this.#keep(this.#doorNames, { key: host.host, hosts: [host, LOCALHOST] }, (leaf) =>
      tls.createSecureContext({ ...leaf, ca: clientCa, minVersion: 'TLSv1.2' }),
    )
  }

  #serverOptions(): tls.TlsOptions {
    return {
      minVersion: 'TLSv1.2',
      ciphers: CIPHERS,
      ALPNProtocols: ['http/1.1'],
      handshakeTimeout: this.#options.limits.handshakeTimeoutMs,
      noDelay: true,
    }
  }

  #keep<Value>(
    all: LRUCache<string, Kept<Value>>,
    { key, hosts, taskId }: Wanted,
    make: (leaf: LeafOptions) => Value,
  ): Value {
    const now = this.#options.now()
    const kept = all.get(key)
    if (kept !== undefined && now < kept.renewAt) return kept.value
    this.#countMint(now)
    const authority = this.#options.authorityFor(taskId)
    const leaf = mintLeaf(authority, hosts, this.#key, now)
    const value = make({ cert: `${leaf.certPem}${authority.chainPem ?? ''}`, key: this.#keyPem })
    const renewAt = Math.max(now + 1000, renewalOf(leaf, authority))
    all.set(detachText(key), { value, renewAt })
    this.#options.onMint?.()
    return value
  }

  /**
   * Lets go of what is kept for a task, because it has ended or its CA is another; tells how many servers. What is open on
   * one goes on until its call is cut: a server that never listened has nothing of its own to close.
   */
  dropTask(taskId: string): number {
    const prefix = prefixOf(taskId)
    const keys = [...this.#servers.keys()].filter((key) => key.startsWith(prefix))
    for (const key of keys) this.#servers.delete(key)
    return keys.length
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

// No host has a space.
function prefixOf(taskId = ''): string {
  return `${taskId} `
}

// A leaf that ends with its task has no successor: minting it anew towards its end would end sessions for nothing.
function renewalOf(leaf: Leaf, { chainPem, notAfter }: LeafAuthority): number {
  const isLast = chainPem !== undefined && leaf.notAfter >= notAfter
  return isLast ? leaf.notAfter : leaf.notAfter - RENEW_BEFORE_MS
}
