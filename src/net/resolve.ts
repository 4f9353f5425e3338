// Names to addresses: fixed answers first, then /etc/hosts where the system's resolver is used, then DNS over UDP and TCP.
// Answers are kept briefly and asked for once. Deliberately does not judge them: `classify.ts` does. Called by `dial.ts`.

import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'

import { LRUCache } from 'lru-cache'

import { EgressError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import { canonicalAddress } from '../wire/address.ts'
import { queryDns, type DnsServer } from './dns-query.ts'

/** How names are resolved. */
export interface ResolverOptions {
  /** `ADDRESS:PORT` or `[ADDRESS]:PORT`; undefined: what /etc/resolv.conf names. */
  readonly servers: readonly string[] | undefined
  /** Fixed answers by normalised name, before any resolver. */
  readonly hosts: Readonly<Record<string, readonly string[]>>
  readonly limits: Limits
  readonly now?: () => number
}

interface Kept {
  readonly addresses: readonly string[]
  readonly until: number
}

const DNS_PORT = 53
// RFC 6761 section 6.3: never asked of a server.
const LOOPBACK: readonly string[] = ['127.0.0.1', '::1']

/** The resolver of one sidecar. */
export class Resolver {
  readonly #options: ResolverOptions
  readonly #cache: LRUCache<string, Kept>
  readonly #pending: Map<string, Promise<readonly string[]>> = new Map()

  constructor(options: ResolverOptions) {
    this.#options = options
    this.#cache = new LRUCache({ max: options.limits.dnsCacheMax })
  }

  /**
   * All addresses of a normalised name, IPv4 first.
   * @throws resolve-failed
   */
  resolve(host: string): Promise<readonly string[]> {
    const fixed = this.#options.hosts[host]
    if (fixed !== undefined) return Promise.resolve(fixed)
    const kept = this.#cache.get(host)
    const now = this.#now()
    if (kept !== undefined && kept.until > now) return Promise.resolve(kept.addresses)
    let pending = this.#pending.get(host)
    if (pending === undefined) {
      pending = this.#ask(host).finally(() => this.#pending.delete(host))
      this.#pending.set(host, pending)
    }
    return pending
  }

  async #ask(host: string): Promise<readonly string[]> {
    const usesSystem = this.#options.servers === undefined
    const local = usesSystem ? readHostsFile(host) : []
    if (local.length > 0) return local
    if (host === 'localhost' || host.endsWith('.localhost')) return LOOPBACK
    const { limits } = this.#options
    const servers = usesSystem ? readSystemServers() : this.#options.servers!.map(parseServer)
    const { addresses, ttlSeconds } = await queryDns(host, servers, limits.resolveTimeoutMs)
    const keepMs = Math.min(ttlSeconds * 1000, limits.dnsCacheMs)
    if (keepMs > 0) this.#cache.set(host, { addresses, until: this.#now() + keepMs })
    return addresses
  }

  #now(): number {
    return this.#options.now?.() ?? Date.now()
  }
}

function parseServer(text: string): DnsServer {
  if (isIP(text) !== 0) return { address: text, port: DNS_PORT }
  const at = text.lastIndexOf(':')
  return { address: text.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(text.slice(at + 1)) }
}

function readSystemServers(): DnsServer[] {
  const servers = readLines('/etc/resolv.conf')
    .map((line) => /^nameserver\s+(\S+)/.exec(line)?.[1])
    .filter((address) => address !== undefined && isIP(address) !== 0)
    .map((address) => ({ address: address!, port: DNS_PORT }))
  if (servers.length === 0) throw new EgressError('resolve-failed', { servers: 0 })
  return servers
}

function readHostsFile(host: string): string[] {
  const addresses: string[] = []
  for (const line of readLines('/etc/hosts')) {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/)
    const canonical = canonicalAddress(address)
    if (canonical && names.some((name) => name.toLowerCase() === host))
      addresses.push(canonical.host)
  }
  return addresses
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n')
  } catch {
    // A machine without the file has no such answers.
    return []
  }
}
