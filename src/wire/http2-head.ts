// A request head of HTTP/2: its pseudo-header fields and its fields become the parts of a request, or its refusal. Stricter than
// the library that decodes it, and never trusting that it looked. Pure; called by `receive.ts`, which reads what the parts mean
// together.
// Deliberately not here: frames (`http2-frames.ts`) and whether the destination is the tunnel's.

import { EgressError } from '../errors.ts'
import { isSameAuthority, parseAuthority } from './authority.ts'
import type { RawHeaders } from './body.ts'

const METHOD = /^[!#$%&'*+.^_`|~0-9A-Z-]{1,24}$/
// RFC 9113 section 8.2: a token without upper case.
const NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/
// RFC 9113 section 8.2.1: what RFC 9110 allows, and no blank at either end.
// eslint-disable-next-line no-control-regex
const VALUE = /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/
const PSEUDO: ReadonlySet<string> = new Set([':method', ':scheme', ':authority', ':path'])
// RFC 9113 section 8.2.2.
const CONNECTION_SPECIFIC: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
])
// What a field costs in a header list beside its octets (RFC 7541 section 4.1).
const FIELD_BYTES = 32

interface Parts {
  readonly pseudo: Map<string, string>
  readonly hosts: string[]
  readonly cookies: string[]
  readonly headers: string[]
}

/** A head as it came, in the shape of every request's. */
export interface Http2Head {
  readonly method: string
  /** The path and query. */
  readonly target: string
  readonly version: '2'
  /** Pseudo-header fields among them, latin1. */
  readonly headers: RawHeaders
  readonly upgrade: false
  /** Whether the stream ended with it. */
  readonly isWhole: boolean
}

/**
 * A head as it came, nothing read yet.
 * @param fields pseudo-header fields among them, latin1
 * @param isWhole whether the stream ended with it
 */
export function rawHttp2Head(fields: RawHeaders, isWhole: boolean): Http2Head {
  return {
    method: pseudoOf(fields, ':method'),
    target: pseudoOf(fields, ':path'),
    version: '2',
    headers: fields,
    upgrade: false,
    isWhole,
  }
}

/** Bounds the header list of a head. @throws head-too-large */
export function checkHttp2Size(fields: RawHeaders, bytesMax: number): void {
  let bytes = 0
  for (let at = 0; at < fields.length; at += 2)
    bytes += fields[at]!.length + fields[at + 1]!.length + FIELD_BYTES
  if (bytes > bytesMax) throw new EgressError('head-too-large', { bytesMax })
}

/**
 * Reads the fields of an HTTP/2 request: what the pseudo-header fields say, its authority as the one Host, its cookies as one
 * field.
 * @throws malformed-header, malformed-target, missing-host, duplicate-host, authority-mismatch, protocol-not-allowed
 * @see RFC 9113 section 8.3
 */
export function readHttp2Head(
  fields: RawHeaders,
): Pick<Http2Head, 'method' | 'target' | 'headers'> {
  const { pseudo, hosts, cookies, headers } = partition(fields)
  const method = pseudo.get(':method')
  if (method === undefined || !METHOD.test(method)) throw malformed(':method')
  // A tunnel inside a tunnel would be judged by nobody.
  if (method === 'CONNECT') throw new EgressError('protocol-not-allowed', { method })
  const scheme = pseudo.get(':scheme')
  const target = pseudo.get(':path')
  if (scheme === undefined || target === undefined)
    throw malformed(scheme === undefined ? ':scheme' : ':path')
  if (scheme !== 'https') throw new EgressError('authority-mismatch', { part: 'scheme' })
  if (!target.startsWith('/')) throw new EgressError('malformed-target', { part: 'form' })
  const host = hostOf(pseudo.get(':authority'), hosts)
  const cookie = cookies.length === 0 ? [] : ['cookie', cookies.join('; ')]
  return { method, target, headers: ['host', host, ...headers, ...cookie] }
}

function partition(fields: RawHeaders): Parts {
  const parts: Parts = { pseudo: new Map(), hosts: [], cookies: [], headers: [] }
  let isBehind = false
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at]!
    const value = fields[at + 1]!
    if (!VALUE.test(value)) throw malformed('field')
    if (name.startsWith(':')) {
      if (isBehind || !PSEUDO.has(name) || parts.pseudo.has(name)) throw malformed('pseudo')
      parts.pseudo.set(name, value)
      continue
    }
    isBehind = true
    takeField(parts, name, value)
  }
  return parts
}

function takeField({ hosts, cookies, headers }: Parts, name: string, value: string): void {
  if (!NAME.test(name)) throw malformed('field')
  if (CONNECTION_SPECIFIC.has(name)) throw malformed('connection')
  if (name === 'te' && value !== 'trailers') throw malformed('te')
  if (name === 'host') hosts.push(value)
  // RFC 9113 section 8.2.3: cut up for compression; in HTTP/1.1 there is one.
  else if (name === 'cookie') cookies.push(value)
  else headers.push(name, value)
}

function hostOf(authority: string | undefined, hosts: readonly string[]): string {
  if (hosts.length > 1) throw new EgressError('duplicate-host')
  const [host] = hosts
  if (authority === undefined) {
    if (host === undefined) throw new EgressError('missing-host')
    return host
  }
  if (
    host !== undefined &&
    !isSameAuthority(parseAuthority(host, 443), parseAuthority(authority, 443))
  )
    throw new EgressError('authority-mismatch', { part: 'host' })
  return authority
}

function pseudoOf(fields: RawHeaders, name: string): string {
  for (let at = 0; at < fields.length && fields[at]!.startsWith(':'); at += 2)
    if (fields[at] === name) return fields[at + 1]!
  return ''
}

function malformed(part: string): EgressError {
  return new EgressError('malformed-header', { part })
}
