// Signs a request as RFC 9421 says: some of its components, in their order, under one label. The digest of the body (RFC 9530) is
// written where it is among them. What the client says in these fields is not sent. Called through `finish.ts`.

import { createHash, createHmac, randomBytes, sign } from 'node:crypto'

import type { Secret } from '../credentials/secret.ts'
import type { HttpSignatureInjection } from '../credentials/signing.ts'
import { valuesOf } from '../wire/headers.ts'
import type { Finisher, Unfinished } from './finisher.ts'
import { hasAny, setHeader } from './set-header.ts'
import { hashKeyOf, privateKeyOf } from './signing-key.ts'
import { unavailable } from './unavailable.ts'

const LABEL = 'sig1'
const NONCE_BYTES = 16
const CONTENT_DIGEST = 'content-digest'

/** Names of the headers that a signature writes, as they are spelled. */
export const SIGNATURE_HEADERS: readonly string[] = ['Signature-Input', 'Signature']

/** Signs components of the message. */
export const httpSignatureFinisher: Finisher<HttpSignatureInjection> = {
  needsBody: ({ components }) => components.includes(CONTENT_DIGEST),
  finish(inject, request, body, secret) {
    const { components, keyId, expiresMs } = inject
    const { asked, now } = request
    const headers =
      body === undefined || !components.includes(CONTENT_DIGEST)
        ? request.headers
        : setHeader(request.headers, 'Content-Digest', `sha-256=:${digestOf(body)}:`)
    const parameters = writeParameters(components, {
      created: Math.floor(now / 1000),
      ...(expiresMs !== undefined && { expires: Math.floor((now + expiresMs) / 1000) }),
      keyId,
      ...(inject.nonce && { nonce: randomBytes(NONCE_BYTES).toString('base64url') }),
    })
    const base = signatureBase({ ...request, headers }, components, parameters)
    if (base === undefined) throw unavailable(secret.name, 'a component that it signs is not there')
    const signature = signBase(base, inject.algorithm, secret).toString('base64')
    const [inputName = '', signatureName = ''] = SIGNATURE_HEADERS
    const described = setHeader(headers, inputName, `${LABEL}=${parameters}`)
    return {
      headers: setHeader(described, signatureName, `${LABEL}=:${signature}:`),
      path: request.path,
      isReplaced: hasAny(asked.headers, SIGNATURE_HEADERS),
    }
  },
}

/** What is said of a signature. */
interface SignatureParameters {
  /** Seconds since the epoch. */
  readonly created: number
  /** Seconds since the epoch. */
  readonly expires?: number
  readonly keyId: string
  readonly nonce?: string
}

/** Writes the components and the parameters of a signature. @see RFC 9421 section 2.3 */
export function writeParameters(
  components: readonly string[],
  { created, expires, keyId, nonce }: SignatureParameters,
): string {
  let written = `(${components.map((name) => `"${name}"`).join(' ')});created=${created}`
  if (expires !== undefined) written += `;expires=${expires}`
  written += `;keyid="${keyId}"`
  return nonce === undefined ? written : `${written};nonce="${nonce}"`
}

/** Writes the text that is signed; undefined where a component is not there. @see RFC 9421 section 2.5 */
export function signatureBase(
  request: Pick<Unfinished, 'method' | 'scheme' | 'headers' | 'path'>,
  components: readonly string[],
  parameters: string,
): string | undefined {
  const lines: string[] = []
  for (const name of components) {
    const value = name.startsWith('@') ? derive(name, request) : readField(name, request)
    if (value === undefined) return undefined
    lines.push(`"${name}": ${value}`)
  }
  return [...lines, `"@signature-params": ${parameters}`].join('\n')
}

/** Signs such a text. @throws credential-unavailable where the key does not fit */
export function signBase(
  base: string,
  algorithm: HttpSignatureInjection['algorithm'],
  secret: Secret,
): Buffer {
  const bytes = Buffer.from(base, 'latin1')
  if (algorithm === 'hmac-sha256')
    return createHmac('sha256', hashKeyOf(secret)).update(bytes).digest()
  if (algorithm === 'ed25519') return sign(null, bytes, privateKeyOf(secret, 'ed25519'))
  const key = privateKeyOf(secret, 'prime256v1')
  return sign('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' })
}

// RFC 9421 section 2.2.
function derive(
  name: string,
  { method, scheme, headers, path }: Pick<Unfinished, 'method' | 'scheme' | 'headers' | 'path'>,
): string | undefined {
  const [pathOnly = '', ...query] = path.split('?')
  const [authority = ''] = valuesOf(headers, 'host')
  const derived: Readonly<Record<string, string>> = {
    '@method': method,
    '@authority': authority.toLowerCase(),
    '@scheme': scheme,
    '@target-uri': `${scheme}://${authority.toLowerCase()}${path}`,
    '@request-target': path,
    '@path': pathOnly,
    '@query': `?${query.join('?')}`,
  }
  return derived[name]
}

function readField(name: string, { headers }: Pick<Unfinished, 'headers'>): string | undefined {
  const values = valuesOf(headers, name)
  return values.length === 0 ? undefined : values.map((value) => value.trim()).join(', ')
}

function digestOf(body: Uint8Array): string {
  return createHash('sha256').update(body).digest('base64')
}
