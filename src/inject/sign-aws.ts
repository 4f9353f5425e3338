// Signs what leaves for AWS anew: nothing of the client's signature is left, and what is signed is what is sent, byte for byte.
// Service and region are those that the client signs for, unless the definition names them. A header's signature becomes one in
// a header, a presigned URL's one in the URL, valid for as long as is needed. Registered in `finish.ts`.

import type { Injection } from '../credentials/definition.ts'
import { revealPart } from '../credentials/reveal.ts'
import type { Secret } from '../credentials/secret.ts'
import { EgressError } from '../errors.ts'
import type { Body } from '../wire/body.ts'
import {
  ALGORITHM,
  encodeForSigning,
  formatScope,
  formatSigningTime,
  hashPayload,
  isObjectStore,
  signChunks,
  signedNames,
  signRequest,
  type RequestSignature,
  type SigningScope,
} from '../wire/sigv4.ts'
import { givesKeys } from './aws-calls.ts'
import { signAnew } from './aws-chunked.ts'
import { choosePayload, isInChunks, proveHash, type Payload } from './aws-payload.ts'
import { readClientSignature, SIGNING_PARAMETERS, type ClientSignature } from './aws-signature.ts'
import { matchParameter } from './client-auth.ts'
import { readHeaderName } from './header-name.ts'
import type { Finished, Finisher, Unfinished } from './finisher.ts'
import { splitQuery } from './query.ts'

/** The injection that signs. */
type Signing = Extract<Injection, { kind: 'sigv4' }>

/** What a request is signed for, and how. */
interface Plan {
  readonly client: ClientSignature | undefined
  readonly service: string
  readonly region: string
  readonly payload: Payload
  /** Whether the body may ask for what only reading it tells, however it is signed. */
  readonly isRead: boolean
  readonly path: string
  /** Without what the client signed it with. */
  readonly query: string | undefined
}

interface Keys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken: string | undefined
}

/** Fields that no signature of the client's leaves behind. */
const DROPPED: ReadonlySet<string> = new Set([
  'authorization',
  'x-amz-date',
  'x-amz-security-token',
  'x-amz-s3session-token',
])
const COPY_SOURCE = 'x-amz-copy-source'
const HASH_FIELD = 'x-amz-content-sha256'
/** How long a URL that leaves at once has to be valid: as far as clocks may differ. */
const PRESIGNED_MS_MAX = 900_000
const HOST_OF_AWS = /^(.+)\.amazonaws\.com(?:\.cn)?$/
const REGION = /^[a-z]{2,4}(?:-[a-z]+)+-\d{1,2}$/

/** The finisher of `sigv4`. */
export const awsSigner: Finisher<Signing> = {
  needsBody: (inject, request) => {
    const { payload, isRead } = plan(inject, request)
    return isRead || payload.kind === 'whole'
  },
  finish: (inject, request, body, secret) => finish(plan(inject, request), request, body, secret),
}

function plan(inject: Signing, request: Unfinished): Plan {
  const { asked, headers, path } = request
  const refuse = refusalOf(request)
  const client = readClientSignature(asked, refuse)
  const service = inject.service ?? client?.service
  const region = inject.region ?? client?.region
  if (service === undefined || region === undefined)
    throw refuse('nothing says which service and region it is to be signed for')
  if (client && (client.service !== service || client.region !== region))
    throw refuse('the client signs for another service or region')
  if (!suitsHost(request.endpoint.host, service, region))
    throw refuse('it is signed for another service or region than the host is of')
  const at = path.indexOf('?')
  const query = at < 0 ? undefined : withoutSignature(path.slice(at + 1))
  const said = [
    ...valuesOf(headers, HASH_FIELD),
    ...splitQuery(query ?? '').flatMap(({ name, value }) =>
      name.toLowerCase() === HASH_FIELD ? [value] : [],
    ),
  ]
  if (isObjectStore(service) && namesSource(headers, query))
    throw refuse('it copies from a place that no rule has judged')
  const isRead = mayBeAnyService(request)
  const payload = choosePayload(said, service)
  // What stands in chunks is not read as a form.
  if (payload === undefined || (isRead && isInChunks(payload)))
    throw refuse('the client signs its body in a way that is not served')
  const bare = at < 0 ? path : path.slice(0, at)
  return { client, service, region, payload, isRead, path: bare, query }
}

function finish(
  planned: Plan,
  request: Unfinished,
  body: Uint8Array | undefined,
  secret: Secret,
): Finished {
  const { client, service, region, payload } = planned
  const refuse = refusalOf(request)
  if (givesKeys(service, { ...planned, headers: request.headers }, body))
    throw refuse('the answer would be keys of its own')
  const keys = keysOf(secret, refuse)
  const scope = { time: formatSigningTime(request.now), region, service }
  const payloadHash = payload.kind === 'whole' ? hashPayload(body ?? Buffer.alloc(0)) : payload.text
  const headers = keptOf(request.headers)
  const signed =
    client?.place === 'query'
      ? signQuery({ ...planned, client }, request, headers, payloadHash, scope, keys)
      : signHeader(planned, request, headers, payloadHash, scope, keys)
  const through = throughOf(payload, signed, scope)
  return {
    headers: signed.headers,
    path: signed.path,
    ...(through && { through: { wrap: through, length: undefined } }),
    isReplaced: client !== undefined,
  }
}

/** A request that is signed, before its body is. */
interface Signed {
  readonly headers: readonly string[]
  readonly path: string
  readonly signature: RequestSignature
}

function signHeader(
  { service, payload, path, query }: Plan,
  request: Unfinished,
  kept: readonly string[],
  payloadHash: string,
  scope: SigningScope,
  { accessKeyId, secretAccessKey, sessionToken }: Keys,
): Signed {
  const headers = [...kept, 'X-Amz-Date', scope.time]
  if (sessionToken !== undefined) headers.push('X-Amz-Security-Token', sessionToken)
  if (isObjectStore(service) && payload.kind === 'unsigned' && !payload.isSaid)
    headers.push('X-Amz-Content-Sha256', payloadHash)
  const signature = signRequest(
    { method: request.method, path, query, headers: signedOf(headers), payloadHash },
    secretAccessKey,
    scope,
  )
  headers.push(
    'Authorization',
    `${ALGORITHM} Credential=${accessKeyId}/${formatScope(scope)}, ` +
      `SignedHeaders=${signature.signedHeaders}, Signature=${signature.signature}`,
  )
  return { headers, path: query === undefined ? path : `${path}?${query}`, signature }
}

function signQuery(
  { client, path, query }: Plan & { readonly client: { readonly expiresAt: number } },
  request: Unfinished,
  headers: readonly string[],
  payloadHash: string,
  scope: SigningScope,
  { accessKeyId, secretAccessKey, sessionToken }: Keys,
): Signed {
  const { now, notAfter, method } = request
  const left = Math.min(client.expiresAt - now, notAfter - now, PRESIGNED_MS_MAX)
  const seconds = Math.floor(left / 1000)
  if (seconds < 1) throw refusalOf(request)('what the client presigned has expired')
  const parameters = [
    ['X-Amz-Algorithm', ALGORITHM],
    ['X-Amz-Credential', `${accessKeyId}/${formatScope(scope)}`],
    ['X-Amz-Date', scope.time],
    ['X-Amz-Expires', String(seconds)],
    ...(sessionToken === undefined ? [] : [['X-Amz-Security-Token', sessionToken]]),
    ['X-Amz-SignedHeaders', signedNames(signedOf(headers)).join(';')],
  ].map(([name = '', value = '']) => `${name}=${encodeForSigning(value)}`)
  const whole = [...(query === undefined ? [] : [query]), ...parameters].join('&')
  const signature = signRequest(
    { method, path, query: whole, headers: signedOf(headers), payloadHash },
    secretAccessKey,
    scope,
  )
  return { headers, path: `${path}?${whole}&X-Amz-Signature=${signature.signature}`, signature }
}

function throughOf(
  payload: Payload,
  { signature: { key, signature } }: Signed,
  scope: SigningScope,
): ((body: Body) => Body) | undefined {
  if (payload.kind === 'hashed') return (body) => proveHash(body, payload.text)
  if (payload.kind !== 'chunks') return undefined
  return (body) => signAnew(body, signChunks(key, scope, signature), payload.hasTrailers)
}

function keysOf(secret: Secret, refuse: (why: string) => Error): Keys {
  const accessKeyId = revealPart(secret, 'accessKeyId', 'sign')
  const secretAccessKey = revealPart(secret, 'secretAccessKey', 'sign')
  if (accessKeyId === undefined || secretAccessKey === undefined)
    throw refuse('it has no accessKeyId and secretAccessKey')
  const sessionToken = revealPart(secret, 'sessionToken', 'sign')
  for (const text of [accessKeyId, sessionToken ?? 'none'])
    if (!/^[\x21-\x7e]+$/.test(text)) throw refuse('it has characters that no header may have')
  return { accessKeyId, secretAccessKey, sessionToken }
}

function keptOf(headers: readonly string[]): string[] {
  return pairsOf(headers).flatMap(([name, value]) =>
    DROPPED.has(readHeaderName(name)) ? [] : [name, value],
  )
}

// What AWS asks to be signed, and nothing that this hop or one behind it writes anew.
function signedOf(headers: readonly string[]): string[] {
  return pairsOf(headers).flatMap(([name, value]) =>
    /^(?:host|content-type|content-md5|x-amz-.*)$/i.test(name) ? [name, value] : [],
  )
}

function valuesOf(headers: readonly string[], lowerName: string): string[] {
  return pairsOf(headers).flatMap(([name, value]) =>
    name.toLowerCase() === lowerName ? [value] : [],
  )
}

function pairsOf(headers: readonly string[]): [string, string][] {
  return headers.flatMap((name, at) => (at % 2 === 0 ? [[name, headers[at + 1] ?? '']] : []))
}

// The rest stays byte for byte.
function withoutSignature(query: string): string | undefined {
  const parts = splitQuery(query)
  const kept = parts.filter(({ name }) => matchParameter(name, SIGNING_PARAMETERS) === undefined)
  if (kept.length === parts.length) return query
  return kept.length === 0 ? undefined : kept.map(({ text }) => text).join('&')
}

// Names of AWS say their region last, and whether they are of S3, whose paths are signed in another way.
function suitsHost(host: string, service: string, region: string): boolean {
  const labels = HOST_OF_AWS.exec(host)?.[1]?.split('.')
  if (labels === undefined) return true
  const last = labels.at(-1) ?? ''
  const hasRegion = REGION.test(last)
  if (hasRegion && last !== region) return false
  const names = (hasRegion ? labels.slice(0, -1) : labels).filter((label) => label !== 'dualstack')
  return isObjectStore(service) === /^s3(?:$|-|express)/.test(names.at(-1) ?? '')
}

// A host of another name may serve everything, and look for what is asked in the body of whatever is posted to its root.
function mayBeAnyService({ method, endpoint, path }: Unfinished): boolean {
  return method === 'POST' && /^\/?(?:\?|$)/.test(path) && !HOST_OF_AWS.test(endpoint.host)
}

function namesSource(headers: readonly string[], query: string | undefined): boolean {
  return (
    pairsOf(headers).some(([name]) => readHeaderName(name) === COPY_SOURCE) ||
    splitQuery(query ?? '').some(({ name }) => name.toLowerCase() === COPY_SOURCE)
  )
}

function refusalOf({ credential }: Unfinished): (why: string) => EgressError {
  return (why) => new EgressError('credential-unavailable', { credential, why })
}
