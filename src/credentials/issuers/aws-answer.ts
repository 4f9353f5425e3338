// What STS answers, read strictly: a session, or why there is none, in our words. Its own words are never passed on. Pure; called
// by `aws.ts`.

import { ProviderError, type Material, type ProviderAnswer } from '../issuer.ts'
import { readRetryAfter } from './provider-clock.ts'

/** A session. */
export interface ReadSession {
  readonly material: Material
  /** Epoch milliseconds by the provider's clock. */
  readonly expiration: number
}

/** Why there is none: STS's code, and our words. */
export interface StsFault {
  readonly code: string
  readonly fault: ProviderError
}

/** Why a code of STS's gave nothing; `lasting`: asking again changes nothing. */
const FAULTS: Readonly<Record<string, { readonly why: string; readonly isLasting: boolean }>> = {
  AccessDenied: { why: 'STS: the role may not be assumed', isLasting: true },
  AccessDeniedException: { why: 'STS: the role may not be assumed', isLasting: true },
  InvalidClientTokenId: { why: 'STS: it does not know the keys', isLasting: true },
  SignatureDoesNotMatch: { why: 'STS: the keys do not fit', isLasting: true },
  InvalidIdentityToken: { why: 'STS: the web identity is not accepted', isLasting: true },
  IDPRejectedClaim: { why: 'STS: the web identity is not accepted', isLasting: true },
  MalformedPolicyDocument: { why: 'STS: the policy is malformed', isLasting: true },
  PackedPolicyTooLarge: { why: 'STS: the policy is too large', isLasting: true },
  RegionDisabledException: { why: 'STS: the region is not active', isLasting: true },
  ValidationError: { why: 'STS: the request is not valid', isLasting: true },
  ExpiredToken: { why: 'STS: what it is asked with has expired', isLasting: false },
  ExpiredTokenException: { why: 'STS: what it is asked with has expired', isLasting: false },
  RequestExpired: { why: 'STS: the clocks differ', isLasting: false },
  RequestTimeTooSkewed: { why: 'STS: the clocks differ', isLasting: false },
  Throttling: { why: 'STS: asked too often', isLasting: false },
  ThrottlingException: { why: 'STS: asked too often', isLasting: false },
  RequestLimitExceeded: { why: 'STS: asked too often', isLasting: false },
  IDPCommunicationError: {
    why: 'STS: it does not reach who issued the identity',
    isLasting: false,
  },
}
const TOKEN = /^[\x21-\x25\x27-\x3b\x3d-\x7e]{16,16384}$/
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/

/** Reads a session. @throws ProviderError where there is not exactly one */
export function readSession(body: Buffer): ReadSession {
  const xml = body.toString('utf8')
  const accessKeyId = onlyOne(xml, 'AccessKeyId')
  const secretAccessKey = onlyOne(xml, 'SecretAccessKey')
  const sessionToken = onlyOne(xml, 'SessionToken')
  const expiration = onlyOne(xml, 'Expiration')
  const isWhole =
    /^\w{16,128}$/.test(accessKeyId) &&
    TOKEN.test(secretAccessKey) &&
    TOKEN.test(sessionToken) &&
    TIME.test(expiration) &&
    !Number.isNaN(Date.parse(expiration))
  // Comments, sections and entities could make two readers of one text.
  if (!isWhole || xml.includes('<!')) throw new ProviderError('STS: the answer is no session')
  return {
    material: { accessKeyId, secretAccessKey, sessionToken },
    expiration: Date.parse(expiration),
  }
}

/** Reads why there is no session. @param now epoch milliseconds */
export function faultOf({ status, headers, body }: ProviderAnswer, now: number): StsFault {
  const code = onlyOne(body.toString('utf8'), 'Code')
  const known = Object.hasOwn(FAULTS, code) ? FAULTS[code] : undefined
  const retryAfterMs = readRetryAfter(headers, now)
  const fault = new ProviderError(known?.why ?? `STS: status ${status}`, {
    isLasting: known?.isLasting ?? (status >= 400 && status < 500 && status !== 429),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  })
  return { code, fault }
}

// The text of an element that is there once; else none.
function onlyOne(xml: string, element: string): string {
  const [first, ...more] = xml.matchAll(new RegExp(`<${element}>([^<]*)</${element}>`, 'g'))
  return more.length > 0 ? '' : (first?.[1] ?? '').trim()
}
