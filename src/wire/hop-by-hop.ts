// What of a head is for one hop alone, and what does not go on to upstreams or clients. Pure and on the path of every call; called
// by `receive.ts`, `inject/`, `ledger/`, `forward/`.

import type { RawHeaders } from './body.ts'
import { isNamed, optionsOf } from './headers.ts'

// Besides every name that begins with `proxy-`.
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
])

const NOT_FOR_UPSTREAMS: ReadonlySet<string> = new Set(['content-length', 'expect'])
const NOT_FOR_CLIENTS: ReadonlySet<string> = new Set(['content-length', 'alt-svc'])
const LENGTHS: ReadonlySet<number> = new Set(
  [...HOP_BY_HOP, ...NOT_FOR_UPSTREAMS, ...NOT_FOR_CLIENTS].map((name) => name.length),
)
const LETTER_P = 0x70
const LOWER_CASE = 0x20

/**
 * A request's fields without those that are for this hop only and those that frame its body or wait for leave to send it;
 * order and spelling kept.
 * @see RFC 9110 section 7.6.1
 */
export function stripHopByHop(headers: RawHeaders): string[] {
  const nominated = nominatedBy(headers)
  const kept: string[] = []
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at]!
    if (nominated !== undefined || !mayStay(name)) {
      const lower = name.toLowerCase()
      if (isHopByHop(lower) || NOT_FOR_UPSTREAMS.has(lower) || nominated?.has(lower)) continue
    }
    kept.push(name, headers[at + 1]!)
  }
  return kept
}

/** A request's fields without those that `Connection` names, but for this hop's own: what is not sent on is not judged. */
export function dropNominated(headers: RawHeaders): RawHeaders {
  const nominated = nominatedBy(headers)
  if (nominated === undefined) return headers
  const kept: string[] = []
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at]!
    const lower = name.toLowerCase()
    if (!nominated.has(lower) || isHopByHop(lower) || NOT_FOR_UPSTREAMS.has(lower))
      kept.push(name, headers[at + 1]!)
  }
  return kept
}

/**
 * A response's fields as the client may see them: without this hop's and its framing, without an upstream's claim to be us,
 * and without Alt-Svc, which would lead clients past the proxy.
 */
export function stripResponseHead(headers: RawHeaders): string[] {
  const nominated = nominatedBy(headers)
  const kept: string[] = []
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at]!
    if (nominated === undefined && mayStay(name)) {
      kept.push(name, headers[at + 1]!)
      continue
    }
    const lower = name.toLowerCase()
    if (lower === 'proxy-status') {
      const value = withoutOurMember(headers[at + 1]!)
      if (value !== '') kept.push(name, value)
      continue
    }
    if (isHopByHop(lower) || NOT_FOR_CLIENTS.has(lower) || nominated?.has(lower)) continue
    kept.push(name, headers[at + 1]!)
  }
  return kept
}

// Most names tell by their length and their first letter that they are none of those above.
function mayStay(name: string): boolean {
  return !LENGTHS.has(name.length) && (name.charCodeAt(0) | LOWER_CASE) !== LETTER_P
}

function isHopByHop(lowerName: string): boolean {
  return HOP_BY_HOP.has(lowerName) || lowerName.startsWith('proxy-')
}

function nominatedBy(headers: RawHeaders): Set<string> | undefined {
  let nominated: Set<string> | undefined
  for (let at = 0; at < headers.length; at += 2) {
    if (!isNamed(headers[at]!, 'connection')) continue
    const value = headers[at + 1]!
    if (value === 'keep-alive' || value === 'close') continue
    nominated ??= new Set()
    for (const option of optionsOf(value)) nominated.add(option)
  }
  return nominated
}

// A list with quoted strings is not worth a parser: one that speaks of us goes as a whole.
function withoutOurMember(value: string): string {
  if (!/sallyport/i.test(value)) return value
  if (/["\\]/.test(value)) return ''
  return value
    .split(',')
    .filter((member) => !/^\s*sallyport\s*(?:;|$)/i.test(member))
    .join(',')
    .trim()
}
