// What a client signed a request to AWS with, read for what it says of itself: whose, for which service and region, for how
// long. Deliberately verifies nothing: the client's keys are placeholders, or somebody's whom nobody asked. Called by
// `sign-aws.ts`, and by `aws-places.ts` for where placeholders stand.

import type { RawHeaders } from '../wire/body.ts'
import { valuesOf } from '../wire/headers.ts'
import { decodePercent } from '../wire/percent.ts'
import { ALGORITHM, parseSigningTime } from '../wire/sigv4.ts'
import { matchParameter } from './client-auth.ts'
import { splitQuery } from './query.ts'

/** The parameters that a presigned URL is signed with, lower case. */
export const SIGNING_PARAMETERS: ReadonlySet<string> = new Set([
  'x-amz-algorithm',
  'x-amz-credential',
  'x-amz-date',
  'x-amz-expires',
  'x-amz-signedheaders',
  'x-amz-signature',
  'x-amz-security-token',
])

/** Whose signature it is, and what for. */
export interface ClientScope {
  readonly accessKeyId: string
  readonly region: string
  readonly service: string
}

/** A client's signature; `expiresAt` in epoch milliseconds. */
export type ClientSignature =
  | (ClientScope & { readonly place: 'header' })
  | (ClientScope & { readonly place: 'query'; readonly expiresAt: number })

/** How long a presigned request is asked to be valid where it does not say, and at most (a week). */
const EXPIRES_SECONDS = 900
const EXPIRES_SECONDS_MAX = 604_800

const CREDENTIAL = /^([^/\s,]{1,256})\/\d{8}\/([\w.-]{1,64})\/([\w.-]{1,64})\/aws4_request$/

/**
 * Reads the signature of a request.
 * @param refuse makes the error of why it cannot be
 * @returns undefined where it is signed in no way that AWS knows today
 */
export function readClientSignature(
  { headers, query }: { readonly headers: RawHeaders; readonly query: string | undefined },
  refuse: (why: string) => Error,
): ClientSignature | undefined {
  const values = valuesOf(headers, 'authorization').filter((value) => /^AWS4-/i.test(value))
  const presigned = readPresigned(query, refuse)
  if (values.length === 0) return presigned
  if (values.length > 1 || presigned) throw refuse('the client signs it more than once')
  const scope = readAuthorization(values[0]!)
  if (scope === undefined) throw refuse(`the client's signature is no ${ALGORITHM}`)
  return { ...scope, place: 'header' }
}

/** Reads `Authorization` as AWS has it; undefined where it is another. */
export function readAuthorization(value: string): ClientScope | undefined {
  const space = value.indexOf(' ')
  if (value.slice(0, space) !== ALGORITHM) return undefined
  const fields = new Map<string, string>()
  for (const field of value.slice(space).split(',')) {
    const at = field.indexOf('=')
    const name = field.slice(0, at).trim()
    if (at < 0 || fields.has(name)) return undefined
    fields.set(name, field.slice(at + 1).trim())
  }
  const signed = fields.has('SignedHeaders') && fields.has('Signature') && fields.size === 3
  return signed ? readCredential(fields.get('Credential') ?? '') : undefined
}

/** Reads what stands behind `Credential=`; undefined where it is none. */
export function readCredential(text: string): ClientScope | undefined {
  const [, accessKeyId, region, service] = CREDENTIAL.exec(text) ?? []
  if (accessKeyId === undefined || region === undefined || service === undefined) return undefined
  return { accessKeyId, region, service }
}

function readPresigned(
  query: string | undefined,
  refuse: (why: string) => Error,
): ClientSignature | undefined {
  const values = new Map<string, string>()
  for (const { name, value } of splitQuery(query ?? '')) {
    const match = matchParameter(name, SIGNING_PARAMETERS)
    if (match === undefined) continue
    if (values.has(match)) throw refuse('the client signs it more than once')
    values.set(match, decodePercent(value))
  }
  const algorithm = values.get('x-amz-algorithm')
  if (algorithm === undefined && !values.has('x-amz-signature')) return undefined
  const scope = readCredential(values.get('x-amz-credential') ?? '')
  const signedAt = parseSigningTime(values.get('x-amz-date') ?? '')
  const seconds = Number(values.get('x-amz-expires') ?? EXPIRES_SECONDS)
  const isRight = Number.isInteger(seconds) && seconds > 0 && seconds <= EXPIRES_SECONDS_MAX
  if (algorithm !== ALGORITHM || scope === undefined || signedAt === undefined || !isRight)
    throw refuse(`the client's signature is no ${ALGORITHM}`)
  return { ...scope, place: 'query', expiresAt: signedAt + seconds * 1000 }
}
