// Host and port: one strict grammar and one normal form, used for deciding, dialing, TLS, Host and the record. What could
// be read in two ways is refused, not repaired. Pure; called by `receive.ts`, `policy/`, `config/`.

import { domainToASCII } from 'node:url'

import { EgressError } from '../errors.ts'
import { canonicalAddress } from './address.ts'

/** Where a connection goes: one normal form used for deciding, dialing, TLS, Host and the record. */
export interface Endpoint {
  /** Lower-case A-label name without trailing dot, or a canonical address without brackets (IPv4-mapped IPv6 is IPv4). */
  readonly host: string
  readonly kind: 'name' | 'ipv4' | 'ipv6'
  /** 1–65535. */
  readonly port: number
  /** The host as it was meant before IPv4-mapped addresses are unmapped: two spellings of one address are not the same authority. */
  readonly literal: string
}

const NAME_LENGTH_MAX = 253
const LABEL_LENGTH_MAX = 63
// The usual name on the wire: already in normal form.
const PLAIN_NAME = /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/
const PORT_MAX = 65535

/**
 * Reads `host:port`, or `host` where a default port is given.
 * @param text as it came from the wire, latin1
 * @throws malformed-target, malformed-port, scoped-ip
 */
export function parseAuthority(text: string, defaultPort?: number): Endpoint {
  const [host, port] = split(text)
  if (port === undefined && defaultPort === undefined)
    throw new EgressError('malformed-target', { part: 'port' })
  // On the wire a name is ASCII: bytes above it are latin1 here and mean nothing.
  if (/[^\x21-\x7e]/.test(host)) throw new EgressError('malformed-target', { part: 'host' })
  const normal = normalizeHost(host)
  return { ...normal, port: port === undefined ? defaultPort! : readPort(port) }
}

/**
 * The normal form of a host alone; IPv6 in brackets or bare where it stands by itself. U-labels become A-labels (UTS 46).
 * @throws malformed-target, scoped-ip
 */
export function normalizeHost(text: string): Pick<Endpoint, 'host' | 'kind' | 'literal'> {
  const bracketed = text.startsWith('[')
  if (bracketed || text.includes(':')) return readIpv6(bracketed ? unbracket(text) : text)
  const lower = text.toLowerCase()
  const name = lower.endsWith('.') ? lower.slice(0, -1) : lower
  if (PLAIN_NAME.test(name)) return readPlainName(name)
  // eslint-disable-next-line no-control-regex
  if (!/[^\x00-\x7f]/.test(text)) throw new EgressError('malformed-target', { part: 'host' })
  const ascii = domainToASCII(name)
  // What UTS 46 maps to something outside a name's alphabet, or to an address, was never a name.
  if (!PLAIN_NAME.test(ascii) || !ascii.includes('xn--'))
    throw new EgressError('malformed-target', { part: 'host' })
  return readPlainName(ascii)
}

/** Whether two authorities were meant as the same: the same text in normal form and the same port. */
export function isSameAuthority(one: Endpoint, other: Endpoint): boolean {
  return one.port === other.port && one.literal === other.literal
}

/** Writes an authority: IPv6 in brackets, the port left out where it is the default. */
export function formatAuthority(
  { host, kind, port }: Pick<Endpoint, 'host' | 'kind' | 'port'>,
  defaultPort?: number,
): string {
  const written = kind === 'ipv6' ? `[${host}]` : host
  return port === defaultPort ? written : `${written}:${port}`
}

function split(text: string): [host: string, port: string | undefined] {
  if (text.startsWith('[')) {
    const end = text.indexOf(']')
    if (end < 0) throw new EgressError('malformed-target', { part: 'brackets' })
    const rest = text.slice(end + 1)
    if (rest === '') return [text, undefined]
    if (!rest.startsWith(':')) throw new EgressError('malformed-target', { part: 'brackets' })
    return [text.slice(0, end + 1), rest.slice(1)]
  }
  const colon = text.indexOf(':')
  if (colon < 0) return [text, undefined]
  // IPv6 without brackets: which colon is the port's is anybody's guess.
  if (text.includes(':', colon + 1)) throw new EgressError('malformed-target', { part: 'brackets' })
  const host = text.slice(0, colon)
  const port = text.slice(colon + 1)
  // `user:…@host`, a path or a query behind the port: no authority at all.
  if (/[@/?#\\]/.test(port)) throw new EgressError('malformed-target', { part: 'port' })
  return [host, port]
}

function readPort(text: string): number {
  if (!/^[1-9]\d{0,4}$/.test(text) || Number(text) > PORT_MAX)
    throw new EgressError('malformed-port')
  return Number(text)
}

function unbracket(text: string): string {
  if (!text.endsWith(']')) throw new EgressError('malformed-target', { part: 'brackets' })
  const inside = text.slice(1, -1)
  if (!inside.includes(':')) throw new EgressError('malformed-target', { part: 'brackets' })
  return inside
}

function readIpv6(text: string): Pick<Endpoint, 'host' | 'kind' | 'literal'> {
  const address = canonicalAddress(text)
  if (address)
    return {
      ...address,
      literal: address.kind === 'ipv4' ? `::ffff:${address.host}` : address.host,
    }
  const zone = text.indexOf('%')
  if (zone > 0 && canonicalAddress(text.slice(0, zone))) throw new EgressError('scoped-ip')
  throw new EgressError('malformed-target', { part: 'host' })
}

function readPlainName(name: string): Pick<Endpoint, 'host' | 'kind' | 'literal'> {
  const address = canonicalAddress(name)
  if (address) return { ...address, literal: address.host }
  const labels = name.split('.')
  if (name.length > NAME_LENGTH_MAX || labels.some((label) => label.length > LABEL_LENGTH_MAX))
    throw new EgressError('malformed-target', { part: 'host' })
  // Resolvers read `127.1`, `0x7f.1` and `2130706433` as addresses: a name whose last label is a number is none.
  if (/^(?:\d+|0x[0-9a-f]*)$/.test(labels.at(-1)!))
    throw new EgressError('malformed-target', { part: 'host' })
  if (labels.some((label) => label.startsWith('xn--') && !isALabel(label)))
    throw new EgressError('malformed-target', { part: 'host' })
  return { host: name, kind: 'name', literal: name }
}

function isALabel(label: string): boolean {
  return domainToASCII(label) === label
}
