// Header lists: what may stand in one, how a message is framed. Framing that two parsers could read differently is
// refused. Pure and on the path of every call; called by `receive.ts`, `inject/`, `forward/`.

import { EgressError, type Reason } from '../errors.ts'
import type { RawHeaders } from './body.ts'

/** How a request's body is delimited. */
export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly length: number }
  | { readonly kind: 'chunked' }

const NONE: Framing = { kind: 'none' }
const CHUNKED: Framing = { kind: 'chunked' }
const UNTIL_CLOSE = { kind: 'until-close' } as const

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const PLAIN_NAME = /^[0-9A-Za-z-]+$/
// Fields whose disguise (`Transfer_Encoding`) some servers undo, and then frame by.
const FRAMING: ReadonlySet<string> = new Set(['transfer-encoding', 'content-length'])
// A disguise adds to a name or puts something else in a place, and takes nothing away.
const DISGUISED_LENGTH_MIN = 'content-length'.length
// A field that frames or routes a message is never one hop's own: naming it in Connection hides it from somebody.
const NEVER_NOMINATED: ReadonlySet<string> = new Set([
  'transfer-encoding',
  'content-length',
  'host',
  'content-encoding',
  'content-type',
  'authorization',
  'cookie',
])
/** Every value of a field, in order. @param lowerName in lower case */
export function valuesOf(headers: RawHeaders, lowerName: string): string[] {
  const values: string[] = []
  for (let at = 0; at < headers.length; at += 2)
    if (isNamed(headers[at]!, lowerName)) values.push(headers[at + 1]!)
  return values
}

/** The first value of a field. @param lowerName in lower case */
export function firstValue(headers: RawHeaders, lowerName: string): string | undefined {
  for (let at = 0; at < headers.length; at += 2)
    if (isNamed(headers[at]!, lowerName)) return headers[at + 1]!
  return undefined
}

/** Whether a field is there. @param lowerName in lower case */
export function hasHeader(headers: RawHeaders, lowerName: string): boolean {
  return firstValue(headers, lowerName) !== undefined
}

/** Whether a field is one of those that frame a message, or is taken for one by who undoes its disguise. */
export function hasFramingField(headers: RawHeaders): boolean {
  for (let at = 0; at < headers.length; at += 2) if (isDisguised(headers[at]!)) return true
  return false
}

/** Refuses fields that disguise framing or hide it from somebody. @throws malformed-header */
export function checkHeaderFields(headers: RawHeaders): void {
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at]!
    if (name.length >= DISGUISED_LENGTH_MIN && !PLAIN_NAME.test(name) && isDisguised(name))
      throw new EgressError('malformed-header', { part: 'twin' })
    if (isNamed(name, 'connection')) checkConnection(headers[at + 1]!)
  }
}

/**
 * How the body of a request is framed.
 * @throws malformed-header where two parsers could disagree
 * @see RFC 9112 section 6
 */
export function requestFraming(headers: RawHeaders, httpVersion: string): Framing {
  let lengths = 0
  let length = ''
  let codings = 0
  let coding = ''
  let expectations = 0
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at]!
    if (isNamed(name, 'content-length')) {
      lengths += 1
      length = headers[at + 1]!
    } else if (isNamed(name, 'transfer-encoding')) {
      codings += 1
      coding = headers[at + 1]!
    } else if (isNamed(name, 'expect')) {
      expectations += 1
      if (expectations > 1 || headers[at + 1]!.toLowerCase() !== '100-continue')
        throw new EgressError('malformed-header', { part: 'expect' })
    }
  }
  if (lengths === 0 && codings === 0) return NONE
  if (lengths > 1 || codings > 1 || (lengths > 0 && codings > 0))
    throw new EgressError('malformed-header', { part: 'framing' })
  if (codings === 1) {
    if (httpVersion === '1.0' || coding.toLowerCase() !== 'chunked')
      throw new EgressError('malformed-header', { part: 'transfer-encoding' })
    return CHUNKED
  }
  return { kind: 'length', length: readLength(length, 'malformed-header') }
}

/** How a response's body is delimited, and what is to be said of its length. */
export interface ResponseFraming {
  readonly framing: Framing | { readonly kind: 'until-close' }
  /** `Content-Length` where it has a meaning: of the body, or of the one that HEAD or 304 leave out. */
  readonly length: number | undefined
}

/**
 * How the body of a response is framed; of a 1xx that it has none.
 * @param method of the request it answers
 * @throws response-malformed where two parsers could disagree
 */
export function responseFraming(
  headers: RawHeaders,
  status: number,
  method: string,
  httpVersion: string,
): ResponseFraming {
  let length: number | undefined
  let codings = 0
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at]!
    if (isNamed(name, 'content-length')) {
      if (length !== undefined) throw new EgressError('response-malformed', { part: 'framing' })
      length = readLength(headers[at + 1]!, 'response-malformed')
    } else if (isNamed(name, 'transfer-encoding')) {
      codings += 1
      if (httpVersion === '1.0' || headers[at + 1]!.toLowerCase() !== 'chunked')
        throw new EgressError('response-malformed', { part: 'transfer-encoding' })
    }
  }
  if (codings > 1 || (length !== undefined && codings > 0))
    throw new EgressError('response-malformed', { part: 'framing' })
  if (status < 200 && ((length ?? 0) > 0 || codings > 0))
    throw new EgressError('response-malformed', { part: 'framing' })
  if (method === 'HEAD' || status === 304) return { framing: NONE, length }
  if (status === 204 || status < 200) return { framing: NONE, length: undefined }
  if (codings === 1) return { framing: CHUNKED, length }
  return { framing: length === undefined ? UNTIL_CLOSE : { kind: 'length', length }, length }
}

/** Whether the sender of a response closes the connection behind it. */
export function isLastResponse(headers: RawHeaders, httpVersion: string): boolean {
  return httpVersion !== '1.1' || hasConnectionOption(headers, 'close')
}

/** Whether the client of a request reads another response on the same connection. */
export function keepsConnection(headers: RawHeaders, httpVersion: string): boolean {
  return httpVersion === '1.1'
    ? !hasConnectionOption(headers, 'close')
    : hasConnectionOption(headers, 'keep-alive') && !hasConnectionOption(headers, 'close')
}

/**
 * The one Host of a request; undefined where HTTP/1.0 has none.
 * @throws duplicate-host, missing-host, malformed-target where it is empty
 */
export function checkHost(headers: RawHeaders, httpVersion: string): string | undefined {
  const hosts = valuesOf(headers, 'host')
  if (hosts.length > 1) throw new EgressError('duplicate-host')
  if (hosts.length === 0 && httpVersion !== '1.0') throw new EgressError('missing-host')
  if (hosts[0] === '') throw new EgressError('malformed-target', { part: 'host' })
  return hosts[0]
}

function hasConnectionOption(headers: RawHeaders, option: string): boolean {
  for (let at = 0; at < headers.length; at += 2) {
    if (!isNamed(headers[at]!, 'connection')) continue
    const value = headers[at + 1]!
    if (value === option || optionsOf(value).includes(option)) return true
  }
  return false
}

/** Whether a field has a name. @param lowerName in lower case */
export function isNamed(name: string, lowerName: string): boolean {
  return name.length === lowerName.length && name.toLowerCase() === lowerName
}

// As a CGI-like server would have it: every odd character is as good as a hyphen, those at the ends are nothing.
function isDisguised(name: string): boolean {
  const read = name
    .toLowerCase()
    .replaceAll(/[^0-9a-z]/g, '-')
    .replaceAll(/^-+|-+$/g, '')
  return FRAMING.has(read)
}

function checkConnection(value: string): void {
  if (value === 'keep-alive' || value === 'close') return
  for (const option of optionsOf(value))
    if (NEVER_NOMINATED.has(option) || (option !== '' && !TOKEN.test(option)))
      throw new EgressError('malformed-header', { part: 'connection' })
}

/** The options of a Connection field, lower case. */
export function optionsOf(value: string): string[] {
  return value.split(',').map((option) => option.trim().toLowerCase())
}

function readLength(text: string, reason: Reason): number {
  const length = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(length)) throw new EgressError(reason, { part: 'content-length' })
  return length
}
