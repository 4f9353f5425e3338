// Host and port: one strict grammar and one normal form, used for deciding, dialing, TLS, Host and the record. What could
// be read in two ways is refused, not repaired. Pure; called by `receive.ts`, `policy/`, `config/`.

import { domainToASCII, domainToUnicode } from 'node:url'

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
const NUMERIC_LABEL = /^(?:\d+|0x[0-9a-f]*)$/
const DOT = 0x2e
const PORT_MAX = 65535

// Nearly every request of a connection names the same authority as the one before it.
let lastText = ''
let lastDefault: number | undefined
let lastRead: Endpoint | undefined

/**
 * Reads `host:port`, or `host` where a default port is given.
 * @param text as it came from the wire, latin1
 * @throws malformed-target, malformed-port, scoped-ip
 */
export function parseAuthority(text: string, defaultPort?: number): Endpoint {
  if (lastRead !== undefined && text === lastText && defaultPort === lastDefault) return lastRead
  const endpoint = readAuthority(text, defaultPort)
  lastText = detachText(text)
  lastDefault = defaultPort
  lastRead = endpoint
  return endpoint
}

function readAuthority(text: string, defaultPort: number | undefined): Endpoint {
  const [host, portText] = split(text)
  if (host.startsWith('[') ? !host.endsWith(']') : host.includes(':')) throw malformed('brackets')
  // On the wire a name is ASCII: bytes above it are latin1 here and mean nothing.
  if (!isVisibleAscii(host)) throw malformed('host')
  const normal = normalizeHost(host)
  const port = portText === undefined ? defaultPort : readPort(portText)
  if (port === undefined) throw malformed('port')
  return { host: normal.host, kind: normal.kind, port, literal: normal.literal }
}

/**
 * The normal form of a host alone; IPv6 in brackets or bare where it stands by itself. U-labels become A-labels (UTS 46).
 * @throws malformed-target, scoped-ip
 */
export function normalizeHost(text: string): Pick<Endpoint, 'host' | 'kind' | 'literal'> {
  if (text.startsWith('[')) return readIpv6(unbracket(text))
  if (text.includes(':')) return readIpv6(text)
  const dotted = text.endsWith('.')
  const name = (dotted ? text.slice(0, -1) : text).toLowerCase()
  // The Kelvin sign and its like become ASCII in lower case, so it is the text as given that decides.
  if (!isVisibleAscii(text)) return readName(toALabels(name))
  // `127.0.0.1.` is a name to some resolvers and an address to others.
  const address = dotted ? undefined : canonicalAddress(name)
  return address ? { ...address, literal: address.host } : readName(name)
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

/**
 * A copy of a text that keeps nothing else alive: what is cut out of a request head holds the whole head, for as long as a
 * cache holds it.
 */
export function detachText(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1')
}

function malformed(part: 'host' | 'port' | 'brackets'): EgressError {
  return new EgressError('malformed-target', { part })
}

function isVisibleAscii(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at)
    if (code < 0x21 || code > 0x7e) return false
  }
  return true
}

// What is in front of the port's colon and what is behind it. The host still has its brackets.
function split(text: string): [host: string, port: string | undefined] {
  const hostEnd = text.startsWith('[') ? text.indexOf(']') + 1 : text.indexOf(':')
  if (hostEnd < 0 || hostEnd === text.length) return [text, undefined]
  const host = text.slice(0, hostEnd)
  // No closing bracket, something between bracket and colon, or IPv6 without brackets, where any colon may be the port's.
  if (hostEnd === 0 && text.startsWith('[')) throw malformed('brackets')
  if (text[hostEnd] !== ':' || text.includes(':', hostEnd + 1)) throw malformed('brackets')
  const port = text.slice(hostEnd + 1)
  // `user:…@host`, a path, a query or a fragment behind the port: no authority at all.
  if (/[@/?#\\[\]]/.test(port)) throw malformed('port')
  return [host, port]
}

function readPort(text: string): number {
  if (!/^[1-9]\d{0,4}$/.test(text) || Number(text) > PORT_MAX)
    throw new EgressError('malformed-port')
  return Number(text)
}

function unbracket(text: string): string {
  const inside = text.slice(1, -1)
  if (!text.endsWith(']') || !inside.includes(':')) throw malformed('brackets')
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
  throw malformed('host')
}

// U-labels are taken only as they would be shown: what UTS 46 folds (full-width letters, ideographic stops, characters
// it ignores) looks like one name and is another.
function toALabels(name: string): string {
  const ascii = domainToASCII(name)
  if (!ascii.includes('xn--') || domainToUnicode(ascii) !== name.normalize('NFC'))
    throw malformed('host')
  return ascii
}

function readName(name: string): Pick<Endpoint, 'host' | 'kind' | 'literal'> {
  if (name.length > NAME_LENGTH_MAX) throw malformed('host')
  let labelStart = 0
  for (let at = 0; at <= name.length; at += 1) {
    const code = at === name.length ? DOT : name.charCodeAt(at)
    if (code === DOT) {
      if (at === labelStart || at - labelStart > LABEL_LENGTH_MAX) throw malformed('host')
      labelStart = at + 1
    } else if (!isLabelCode(code)) throw malformed('host')
  }
  // Resolvers read `127.1`, `0x7f.1` and `2130706433` as addresses: a name whose last label is a number is none.
  if (NUMERIC_LABEL.test(name.slice(name.lastIndexOf('.') + 1))) throw malformed('host')
  if (name.includes('xn--') && !name.split('.').every(isSoundLabel)) throw malformed('host')
  return { host: name, kind: 'name', literal: name }
}

// An A-label that does not come from a U-label is read by nobody in the same way.
function isSoundLabel(label: string): boolean {
  if (!label.startsWith('xn--')) return true
  const shown = domainToUnicode(label)
  return shown !== label && domainToASCII(shown) === label
}

// a-z, 0-9, hyphen, underscore.
function isLabelCode(code: number): boolean {
  return (
    (code >= 0x61 && code <= 0x7a) ||
    (code >= 0x30 && code <= 0x39) ||
    code === 0x2d ||
    code === 0x5f
  )
}
