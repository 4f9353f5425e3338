// AWS Signature Version 4 (HMAC-SHA256) over the bytes that are sent: what is signed is made from a path and a query as they
// stand in the request, never from a URL that was taken apart and put together. Pure. Called by `inject/` for calls and by the
// issuer of AWS credentials for its own questions.
// @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

import { createHash, createHmac, type Hash } from 'node:crypto'

import type { RawHeaders } from './body.ts'
import { decodePercent } from './percent.ts'

/** The one algorithm. */
export const ALGORITHM = 'AWS4-HMAC-SHA256'

/** What stands for the hash of a body that nobody signs. */
export const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD'

/** When, where and for what a signature is valid. */
export interface SigningScope {
  /** As `X-Amz-Date` has it: `20150830T123600Z`. */
  readonly time: string
  readonly region: string
  readonly service: string
}

/** A request as it is sent; text is latin1. */
export interface SignedRequest {
  readonly method: string
  /** Without the query, byte for byte. */
  readonly path: string
  /** Byte for byte, without its signature; undefined: none. */
  readonly query: string | undefined
  /** Those that are signed, `Host` among them. */
  readonly headers: RawHeaders
  /** Of the body in hex, or the words that stand for it. */
  readonly payloadHash: string
}

/** What signing a request makes. */
export interface RequestSignature {
  readonly signature: string
  /** Names joined with semicolons. */
  readonly signedHeaders: string
  /** The key of the scope, for what follows of the request. */
  readonly key: Buffer
}

/** Signs the chunks of a body one after the other, and what trails them. */
export interface ChunkSigner {
  /** Signs the next chunk; the last has no bytes. */
  sign(chunk: Uint8Array): string
  /** Signs the trailing fields. @param lines each `name:value\n`, sorted */
  signTrailers(lines: string): string
}

const EMPTY_HASH = createHash('sha256').digest('hex')
// They decode a path once; everybody else signs it encoded twice, with its dots and empty segments gone.
const SINGLE_ENCODED: ReadonlySet<string> = new Set([
  's3',
  's3express',
  's3-object-lambda',
  's3-outposts',
])

/** Whether a service is one of S3's kind: its paths are signed as they are, its payloads may go unsigned. */
export function isObjectStore(service: string): boolean {
  return SINGLE_ENCODED.has(service)
}

/** Writes a time as signatures have it. @param now epoch milliseconds */
export function formatSigningTime(now: number): string {
  return new Date(now).toISOString().replaceAll(/[-:]|\.\d+/g, '')
}

/** Reads a time as signatures have it, in epoch milliseconds; undefined where it is none. */
export function parseSigningTime(text: string): number | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text)
  if (match === null) return undefined
  const [, year, month, day, hour, minute, second] = match
  const at = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  return Number.isNaN(at) ? undefined : at
}

/** The scope in its text form, as it stands behind the access key's id. */
export function formatScope({ time, region, service }: SigningScope): string {
  return `${time.slice(0, 8)}/${region}/${service}/aws4_request`
}

/** The names of signed headers, lower case and sorted. */
export function signedNames(headers: RawHeaders): string[] {
  const names = headers.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase())
  return [...new Set(names)].toSorted(compare)
}

/** Signs a request. */
export function signRequest(
  request: SignedRequest,
  secretAccessKey: string,
  scope: SigningScope,
): RequestSignature {
  const key = deriveKey(secretAccessKey, scope)
  const signed = canonicalRequest(request, scope.service)
  const text = [ALGORITHM, scope.time, formatScope(scope), hashOf(signed)].join('\n')
  const signature = mac(key, text).toString('hex')
  return { signature, signedHeaders: signedNames(request.headers).join(';'), key }
}

/** Signs the chunks of a body. @param seed the signature of the request's head */
export function signChunks(key: Buffer, scope: SigningScope, seed: string): ChunkSigner {
  let previous = seed
  const next = (kind: string, ...hashes: readonly string[]): string => {
    const lines = [`${ALGORITHM}-${kind}`, scope.time, formatScope(scope), previous, ...hashes]
    previous = mac(key, lines.join('\n')).toString('hex')
    return previous
  }
  return {
    sign: (chunk) => next('PAYLOAD', EMPTY_HASH, sha256().update(chunk).digest('hex')),
    signTrailers: (lines) => next('TRAILER', hashOf(lines)),
  }
}

/** The hash of a body in hex. */
export function hashPayload(body: Uint8Array): string {
  return sha256().update(body).digest('hex')
}

/** Encodes a text as signatures have it: everything but letters, digits and `-._~`. @param text latin1 */
export function encodeForSigning(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9\-._~]/g, escapeByte)
}

function canonicalRequest(request: SignedRequest, service: string): string {
  const { method, path, query, headers, payloadHash } = request
  const names = signedNames(headers)
  return [
    method,
    canonicalPath(path, isObjectStore(service)),
    canonicalQuery(query ?? ''),
    ...names.map((name) => `${name}:${canonicalValue(headers, name)}`),
    '',
    names.join(';'),
    payloadHash,
  ].join('\n')
}

function canonicalPath(path: string, isSingle: boolean): string {
  if (isSingle) return encodeSegments(decodePercent(path))
  const kept: string[] = []
  for (const segment of path.split('/')) {
    if (segment === '..') kept.pop()
    else if (segment !== '' && segment !== '.') kept.push(segment)
  }
  const end = path.endsWith('/') && kept.length > 0 ? '/' : ''
  return encodeSegments(`/${kept.join('/')}${end}`)
}

function encodeSegments(path: string): string {
  return path.replaceAll(/[^A-Za-z0-9\-._~/]/g, escapeByte)
}

function canonicalQuery(query: string): string {
  return query
    .split('&')
    .filter((part) => part !== '')
    .map((part): [string, string] => {
      const at = part.indexOf('=')
      return at < 0
        ? [encodeAgain(part), '']
        : [encodeAgain(part.slice(0, at)), encodeAgain(part.slice(at + 1))]
    })
    .toSorted(([name, value], [other, theirs]) => compare(name, other) || compare(value, theirs))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')
}

// As a form would have it, a plus is a space: that is how services read it.
function encodeAgain(text: string): string {
  return encodeForSigning(decodePercent(text.replaceAll('+', ' ')))
}

function canonicalValue(headers: RawHeaders, lowerName: string): string {
  const values: string[] = []
  for (let at = 0; at < headers.length; at += 2)
    if (headers[at]!.toLowerCase() === lowerName)
      values.push(headers[at + 1]!.trim().replaceAll(/\s+/g, ' '))
  return values.join(',')
}

function escapeByte(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`
}

function compare(one: string, other: string): number {
  if (one === other) return 0
  return one < other ? -1 : 1
}

function deriveKey(secretAccessKey: string, { time, region, service }: SigningScope): Buffer {
  const first = mac(Buffer.from(`AWS4${secretAccessKey}`), time.slice(0, 8))
  return mac(mac(mac(first, region), service), 'aws4_request')
}

function mac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text, 'latin1').digest()
}

function hashOf(text: string): string {
  return sha256().update(text, 'latin1').digest('hex')
}

function sha256(): Hash {
  return createHash('sha256')
}
