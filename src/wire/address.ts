// IP addresses: what is a literal, which ranges are special, what lies in which range. One table, the agents.net draft's
// and RFC 6890's. Pure; called by `authority.ts`, `policy/` and `net/`.

import { isIP } from 'node:net'

import ipaddr from 'ipaddr.js'

/** A range of addresses. */
export interface Cidr {
  /** Normal form, `10.0.0.0/8`. */
  readonly text: string
  readonly kind: 'ipv4' | 'ipv6'
  readonly bytes: readonly number[]
  /** Length of the prefix in bits. */
  readonly bits: number
}

// prettier-ignore
const SPECIAL: readonly (readonly [range: string, name: string])[] = [
  ['0.0.0.0/8', 'this-network'], ['10.0.0.0/8', 'private'], ['100.64.0.0/10', 'carrier-grade-nat'],
  ['127.0.0.0/8', 'loopback'], ['169.254.0.0/16', 'link-local'], ['172.16.0.0/12', 'private'],
  ['192.0.0.0/24', 'protocol-assignments'], ['192.0.2.0/24', 'documentation'], ['192.88.99.0/24', '6to4-relay'],
  ['192.168.0.0/16', 'private'], ['198.18.0.0/15', 'benchmarking'], ['198.51.100.0/24', 'documentation'],
  ['203.0.113.0/24', 'documentation'], ['224.0.0.0/4', 'multicast'], ['240.0.0.0/4', 'reserved'],
  ['::/128', 'unspecified'], ['::1/128', 'loopback'], ['::/96', 'ipv4-compatible'], ['::ffff:0:0:0/96', 'ipv4-translated'],
  ['64:ff9b::/96', 'nat64'], ['64:ff9b:1::/48', 'nat64'], ['100::/64', 'discard'], ['100:0:0:1::/64', 'dummy'], ['2001::/23', 'protocol-assignments'], ['2001:db8::/32', 'documentation'],
  ['2002::/16', '6to4'], ['3fff::/20', 'documentation'], ['5f00::/16', 'segment-routing'], ['fc00::/7', 'private'],
  ['fe80::/10', 'link-local'], ['fec0::/10', 'site-local'], ['ff00::/8', 'multicast'],
]

// Where the clouds hand out credentials to whoever asks.
// prettier-ignore
const METADATA: ReadonlySet<string> = new Set([
  '169.254.169.254', // nearly every cloud
  '169.254.170.2', '169.254.170.23', 'fd00:ec2::254', 'fd00:ec2::23', // AWS: tasks, pods, instances
  '168.63.129.16', // Azure
  'fd20:ce::254', // Google
  '100.100.100.200', // Alibaba
  '192.0.0.192', // Oracle
  '169.254.0.23', // Tencent
  '169.254.42.42', 'fd00:42::42', // Scaleway
  'fe80::a9fe:a9fe', // OpenStack
])

// One call asks about one address many times: its rules' ranges, the special ones, the operator's.
let lastHost = ''
let lastBytes: readonly number[] = []

// Ranges whose last four bytes are an IPv4 address.
const TRANSLATED = ['::/96', '::ffff:0:0:0/96', '64:ff9b::/96', '64:ff9b:1::/48']

// Read when the first address is looked at: a start has no use for them.
let specialRanges: readonly { readonly range: Cidr; readonly name: string }[] | undefined
let translatedRanges: readonly Cidr[] | undefined

/**
 * The normal form of an address literal; undefined where the text is none. IPv4-mapped IPv6 becomes IPv4.
 * Only what `net.isIP` takes is a literal: `127.1`, `0x7f.1` and `010.0.0.1` are not.
 */
export function canonicalAddress(
  text: string,
): { host: string; kind: 'ipv4' | 'ipv6' } | undefined {
  const version = isIP(text)
  if (version === 4) return { host: text, kind: 'ipv4' }
  if (version !== 6 || text.includes('%')) return undefined
  const address = ipaddr.IPv6.parse(withoutDottedTail(text))
  if (address.isIPv4MappedAddress())
    return { host: address.toIPv4Address().toString(), kind: 'ipv4' }
  return { host: address.toRFC5952String(), kind: 'ipv6' }
}

/** Reads `10.0.0.0/8` or a bare address; undefined where it is neither, or bits behind the prefix are set. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/')
  const written = slash < 0 ? text : text.slice(0, slash)
  const address = canonicalAddress(written)
  if (address === undefined) return undefined
  // `::ffff:10.0.0.0/8`: whose bits are the eight?
  if (slash >= 0 && address.kind === 'ipv4' && written.includes(':')) return undefined
  const bytes = bytesOf(address.host)
  const bitsMax = bytes.length * 8
  const prefix = slash < 0 ? String(bitsMax) : text.slice(slash + 1)
  if (!/^(?:0|[1-9]\d{0,2})$/.test(prefix)) return undefined
  const bits = Number(prefix)
  if (bits > bitsMax) return undefined
  for (let bit = bits; bit < bitsMax; bit += 1)
    if ((bytes[bit >> 3]! >> (7 - (bit & 7))) & 1) return undefined
  return { text: `${address.host}/${bits}`, kind: address.kind, bytes, bits }
}

/** Whether an address (any literal form) lies in a range. */
export function contains(range: Cidr, address: string): boolean {
  const canonical = canonicalAddress(address)
  if (canonical === undefined || canonical.kind !== range.kind) return false
  return isWithin(range, bytesOf(canonical.host))
}

/** The name of the special-purpose range an address lies in; undefined for a public one. */
export function specialPurpose(address: string): string | undefined {
  const canonical = canonicalAddress(address)
  // What is no address is not public either.
  if (canonical === undefined) return 'no-address'
  const bytes = bytesOf(canonical.host)
  specialRanges ??= SPECIAL.map(([text, name]) => ({ range: tableRange(text), name }))
  for (const { range, name } of specialRanges)
    if (range.kind === canonical.kind && isWithin(range, bytes)) return name
  return undefined
}

/** Whether an address is one at which a cloud serves its metadata, also by way of a translated (NAT64, 6to4) address. */
export function isCloudMetadata(address: string): boolean {
  const canonical = canonicalAddress(address)
  if (canonical === undefined) return false
  if (METADATA.has(canonical.host)) return true
  if (canonical.kind === 'ipv4') return false
  const bytes = bytesOf(canonical.host)
  // Whoever allows a translator's range has not thereby allowed what is behind it. No public IPv6 address is lost: the
  // place of the embedded IPv4 address is looked at only within ranges that embed one.
  const is6to4 = bytes[0] === 0x20 && bytes[1] === 0x02
  translatedRanges ??= TRANSLATED.map(tableRange)
  if (!is6to4 && !translatedRanges.some((range) => isWithin(range, bytes))) return false
  return METADATA.has((is6to4 ? bytes.slice(2, 6) : bytes.slice(12)).join('.'))
}

// ipaddr.js takes `::127.0.0.1` for the mapped `::ffff:127.0.0.1`; in hexadecimal the two cannot be confused.
function withoutDottedTail(text: string): string {
  const at = text.lastIndexOf(':') + 1
  const quad = text.slice(at).split('.').map(Number)
  if (quad.length !== 4) return text
  const group = (high: number, low: number): string => ((high << 8) | low).toString(16)
  return `${text.slice(0, at)}${group(quad[0]!, quad[1]!)}:${group(quad[2]!, quad[3]!)}`
}

function bytesOf(host: string): readonly number[] {
  if (host !== lastHost) {
    lastBytes = ipaddr.parse(host).toByteArray()
    lastHost = host
  }
  return lastBytes
}

function tableRange(text: string): Cidr {
  const range = parseCidr(text)
  if (range === undefined) throw new Error(`${text} is not a range`)
  return range
}

function isWithin(range: Cidr, bytes: readonly number[]): boolean {
  const whole = range.bits >> 3
  for (let at = 0; at < whole; at += 1) if (range.bytes[at] !== bytes[at]) return false
  const rest = range.bits & 7
  if (rest === 0) return true
  const mask = (0xff << (8 - rest)) & 0xff
  return (range.bytes[whole]! & mask) === (bytes[whole]! & mask)
}
