// TLS servers for intercepted hosts: one a host and a task, which never listens, made once and kept while it is used. Tasks
// share none, and so neither leaves nor sessions. A flood of names is bounded in how many are minted a second and how many
// are kept (I7). Called by `listen/server.ts`.

import { generateKeyPairSync } from 'node:crypto'
import tls from 'node:tls'

import { LRUCache } from 'lru-cache'

import { EgressError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import { detachText, type Endpoint } from '../wire/authority.ts'
import type { Ca } from './ca.ts'
import { mintLeaf, type Leaf } from './leaf.ts'

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
   * The host's server for a task: hand it a socket by `emit('connection', socket)`. Minting is synchronous, so there is one
   * flight.
   * @throws busy beyond `mintsPerSecond`
   */
  serverFor(host: Pick<Endpoint, 'host' | 'kind'>, taskId?: string): tls.Server {
    const now = this.#options.now()
    const key = `${prefixOf(taskId)}${host.host}`
    const kept = this.#servers.get(key)
    if (kept !== undefined && now < kept.renewAt) return kept.server
    this.#countMint(now)
    const authority = this.#options.authorityFor(taskId)
    const leaf = mintLeaf(authority, host, this.#key, now)
    const server = tls.createServer({
      cert: `${leaf.certPem}${authority.chainPem ?? ''}`,
      key: this.#keyPem,
      minVersion: 'TLSv1.2',
      ALPNProtocols: ['http/1.1'],
      handshakeTimeout: this.#options.limits.handshakeTimeoutMs,
      noDelay: true,
    })
    this.#servers.set(detachText(key), {
      server,
      renewAt: Math.max(now + 1000, renewalOf(leaf, authority)),
    })
    this.#options.onMint?.()
    return server
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
