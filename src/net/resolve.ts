// Names to addresses: fixed answers first, then /etc/hosts where the system's resolver is used, then DNS over UDP and TCP.
// Answers are kept briefly and asked for once, for each task by itself. Deliberately does not judge them: `classify.ts` does. Called by `dial.ts`.

import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'

import { LRUCache } from 'lru-cache'

import { EgressError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import { detachText } from '../wire/authority.ts'
import type { DnsServer } from './dns-query.ts'
import { HostsFile } from './hosts-file.ts'

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
  readonly #hostsFile = new HostsFile('/etc/hosts')
  readonly #pending: Map<string, Promise<readonly string[]>> = new Map()

  constructor(options: ResolverOptions) {
    this.#options = options
    this.#cache = new LRUCache({ max: options.limits.dnsCacheMax })
  }

  /** Whether a name has fixed answers: nobody is asked for it. */
  isFixed(host: string): boolean {
    // A name may be `constructor` or `__proto__`.
    return Object.hasOwn(this.#options.hosts, host)
  }

  /**
   * All addresses of a normalised name, IPv4 first.
   * @param owner whose answers they are: a task's id, empty for the operator, so that no task sees what another asked for
   * @param signal ends the waiting; the question itself goes on for others who wait for it
   * @throws resolve-failed; client-gone where the signal is aborted
   */
  resolve(host: string, owner = '', signal?: AbortSignal): Promise<readonly string[]> {
    if (this.isFixed(host)) return Promise.resolve(this.#options.hosts[host]!)
    const key = `${owner} ${host}`
    const kept = this.#cache.get(key)
    const now = this.#now()
    if (kept !== undefined && kept.until > now) return Promise.resolve(kept.addresses)
    let pending = this.#pending.get(key)
    if (pending === undefined) {
      pending = this.#ask(host, key).finally(() => this.#pending.delete(key))
      this.#pending.set(key, pending)
    }
    return signal === undefined ? pending : untilAborted(pending, signal)
  }

  /** What `resolve` would answer at once; empty where it would have to ask. */
  known(host: string, owner: string): readonly string[] {
    const { hosts } = this.#options
    return Object.hasOwn(hosts, host)
      ? hosts[host]!
      : (this.#cache.get(`${owner} ${host}`)?.addresses ?? [])
  }

  /** Forgets the answers of an owner. @returns how many */
  forget(owner: string): number {
    let forgotten = 0
    for (const key of this.#cache.keys())
      if (key.startsWith(`${owner} `) && this.#cache.delete(key)) forgotten += 1
    return forgotten
  }

  async #ask(host: string, key: string): Promise<readonly string[]> {
    const { servers: configured, limits } = this.#options
    const local = configured === undefined ? this.#hostsFile.addressesOf(host) : []
    if (local.length > 0) return local
    if (host === 'localhost' || host.endsWith('.localhost')) return LOOPBACK
    const servers = configured?.map(parseServer) ?? readSystemServers()
    const { queryDns } = await import('./dns-query.ts')
    const { addresses, ttlSeconds } = await queryDns(host, servers, limits.resolveTimeoutMs)
    const keepMs = Math.min(ttlSeconds * 1000, limits.dnsCacheMs)
    if (keepMs > 0) this.#cache.set(detachText(key), { addresses, until: this.#now() + keepMs })
    return addresses
  }

  #now(): number {
    return this.#options.now?.() ?? Date.now()
  }
}

function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(new EgressError('client-gone'))
    const settle = (act: () => void): void => {
      signal.removeEventListener('abort', onAbort)
      act()
    }
    promise.then(
      (value) => settle(() => resolve(value)),
      (error: unknown) =>
        settle(() => reject(error instanceof Error ? error : new EgressError('resolve-failed'))),
    )
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
  })
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

function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n')
  } catch {
    // A machine without the file has no such answers.
    return []
  }
}
