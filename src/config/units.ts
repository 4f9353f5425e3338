// Addresses as the configuration writes them: listen addresses, names of hosts with a port. Pure; each returns `undefined`
// where the text is not one, and the schema says what was expected.

import { canonicalAddress } from '../wire/address.ts'
import { formatAuthority, normalizeHost, type Endpoint } from '../wire/authority.ts'

/** Where a listener is bound. */
export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }

/** A host and port that a credential may be sent to. */
export type HostPort = Pick<Endpoint, 'host' | 'kind' | 'port'>

/**
 * Reads `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`. The host is an address or `localhost` (which is 127.0.0.1): a listener
 * is not bound by asking a resolver. Port 0 takes any free one.
 */
export function parseListenAddress(text: string): ListenAddress | undefined {
  if (text.startsWith('unix:')) {
    const path = text.slice('unix:'.length)
    return path === '' || path.includes('\0') ? undefined : { kind: 'unix', path }
  }
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(0|[1-9]\d{0,4})$/.exec(text)
  if (!match) return undefined
  const written = match[1] ?? (match[2] === 'localhost' ? '127.0.0.1' : (match[2] ?? ''))
  const address = canonicalAddress(written)
  const port = Number(match[3])
  if (address === undefined || written.includes(':') !== (match[1] !== undefined)) return undefined
  return port > 65_535 ? undefined : { kind: 'tcp', host: address.host, port }
}

/** Prints a listen address as it is written. */
export function formatListenAddress(address: ListenAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`
  const { host, port } = address
  return formatAuthority({ host, kind: host.includes(':') ? 'ipv6' : 'ipv4', port })
}

/** Whether only this machine's own processes reach the address. */
export function isLocalAddress(address: ListenAddress): boolean {
  return address.kind === 'unix' || address.host === '::1' || address.host.startsWith('127.')
}

/**
 * Reads `HOST` or `HOST:PORT`; port 443 unless written.
 * @throws EgressError malformed-target, malformed-port, scoped-ip
 */
export function parseHostPort(text: string): HostPort | undefined {
  const match = /^(\[[^\]]+\]|[^:]+)(?::([1-9]\d{0,4}))?$/.exec(text)
  const port = Number(match?.[2] ?? 443)
  if (!match || port > 65_535) return undefined
  const { host, kind } = normalizeHost(match[1] ?? '')
  return { host, kind, port }
}
