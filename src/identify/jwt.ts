// Proof by JWT: a workload's token, signed by an issuer whose public keys are known, names the subject that calls. What was
// verified is remembered for a while, so that a call costs one hash. Deliberately knows no task: who asks maps the subject
// to one. Made by `config/identity.ts`. @see RFC 7519, RFC 8725, SPIFFE JWT-SVID

import { hash } from 'node:crypto'

import type { JSONWebKeySet, JWTPayload, JWTVerifyOptions } from 'jose'
import { LRUCache } from 'lru-cache'

import { EgressError } from '../errors.ts'
import { parseJson } from '../wire/parse-json.ts'
import { KeySet, type Keys } from './key-set.ts'

/** Whose tokens are taken. */
export interface JwtOptions {
  /** What `iss` must be; undefined where it is not looked at, as a JWT-SVID may have none. */
  readonly issuer: string | undefined
  /** What `aud` must contain. */
  readonly audience: string
  /** Fetches or reads the issuer's public keys. */
  readonly keys: () => Promise<JSONWebKeySet>
  /** Epoch milliseconds. */
  readonly now: () => number
}

/** Whom a token speaks for. */
export interface VerifiedSubject {
  readonly subject: string
  /** End of the token, epoch milliseconds. */
  readonly expiresAt: number
}

/** What is wrong with a token. */
type JwtFault =
  | 'expired'
  | 'audience'
  | 'issuer'
  | 'signature'
  | 'key'
  | 'algorithm'
  | 'malformed'
  | 'keys-unavailable'

interface Remembered {
  readonly verified: VerifiedSubject
  /** Epoch milliseconds. */
  readonly until: number
}

// Signatures by key pairs alone: with a shared secret, whoever can verify can also make tokens.
const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
]
const TOKEN_BYTES_MAX = 8 * 1024
const SUBJECT_CHARACTERS_MAX = 2048
const CLOCK_TOLERANCE_MS = 30_000
const REMEMBERED_MS = 5 * 60_000
const REMEMBERED_MAX = 4096
// The first part is JSON: it begins with a brace, then a quotation mark or white space.
const SHAPE = /^e[wy][\w-]+\.[\w-]+\.[\w-]*$/

const FAULTS: Readonly<Record<string, JwtFault>> = {
  ERR_JWT_EXPIRED: 'expired',
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: 'signature',
  ERR_JWKS_NO_MATCHING_KEY: 'key',
  ERR_JOSE_ALG_NOT_ALLOWED: 'algorithm',
  ERR_JOSE_NOT_SUPPORTED: 'algorithm',
  ERR_JWS_INVALID: 'malformed',
  ERR_JWT_INVALID: 'malformed',
}
const CLAIM_FAULTS: Readonly<Record<string, JwtFault>> = {
  aud: 'audience',
  iss: 'issuer',
  nbf: 'expired',
}

/** Verifies the tokens of one issuer. */
export class JwtVerifier {
  readonly #options: JwtOptions
  readonly #keySet: KeySet
  // By the token's hash: what is remembered is worth nothing to whoever reads it.
  readonly #remembered: LRUCache<string, Remembered> = new LRUCache({ max: REMEMBERED_MAX })

  constructor(options: JwtOptions) {
    this.#options = options
    const { keys, now } = options
    // A key that is gone was taken back: nothing that it signed is known any more.
    this.#keySet = new KeySet({ keys, now, onChange: () => this.#remembered.clear() })
  }

  /** Whether a proxy credential has the shape of a JWT. */
  static resembles(text: string): boolean {
    return SHAPE.test(text)
  }

  /** The subject of a token that was verified before and is valid still; undefined: it is to be verified. */
  known(token: string): VerifiedSubject | undefined {
    if (token.length > TOKEN_BYTES_MAX) return undefined
    const remembered = this.#remembered.get(hash('sha256', token))
    return remembered && this.#options.now() < remembered.until ? remembered.verified : undefined
  }

  /**
   * Verifies a token and remembers it.
   * @throws identity-unknown; its detail says `why`: expired, audience, issuer, signature, key, algorithm, malformed or
   * keys-unavailable
   */
  async verify(token: string): Promise<VerifiedSubject> {
    if (token.length > TOKEN_BYTES_MAX || !JwtVerifier.resembles(token)) throw refusal('malformed')
    let keys = await this.#keySet.current()
    let claims: JWTPayload
    try {
      claims = await this.#check(token, keys)
    } catch (error) {
      const newer = isOfOtherKey(error, token) ? await this.#keySet.insteadOf(keys) : undefined
      if (newer === undefined) throw error
      keys = newer
      claims = await this.#check(token, newer)
    }
    const { sub, exp } = claims
    if (typeof sub !== 'string' || sub === '' || sub.length > SUBJECT_CHARACTERS_MAX)
      throw refusal('malformed')
    if (exp === undefined) throw refusal('malformed')
    const verified = { subject: sub, expiresAt: exp * 1000 }
    // Verified by keys that were replaced meanwhile: good for this once.
    if (this.#keySet.isCurrent(keys)) this.#remember(token, verified)
    return verified
  }

  // As long as `verify` would say the same, the tolerance included.
  #remember(token: string, verified: VerifiedSubject): void {
    const until = Math.min(
      verified.expiresAt + CLOCK_TOLERANCE_MS,
      this.#options.now() + REMEMBERED_MS,
    )
    this.#remembered.set(hash('sha256', token), { verified, until })
  }

  async #check(token: string, keys: Keys): Promise<JWTPayload> {
    const { jwtVerify, errors } = await import('jose')
    const { issuer, audience, now } = this.#options
    // An extension that must be understood is one that is not.
    if (headerOf(token)['crit'] !== undefined) throw refusal('malformed')
    const options: JWTVerifyOptions = {
      algorithms: ALGORITHMS,
      audience,
      ...(issuer !== undefined && { issuer }),
      requiredClaims: ['exp', 'sub'],
      clockTolerance: CLOCK_TOLERANCE_MS / 1000,
      currentDate: new Date(now()),
    }
    try {
      return (await jwtVerify(token, keys.find, options)).payload
    } catch (error) {
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw explain(error)
      // A token that does not name its key was signed by one of several.
      for await (const key of error) {
        try {
          return (await jwtVerify(token, key, options)).payload
        } catch (other) {
          if (faultOf(other) !== 'signature') throw explain(other)
        }
      }
      throw refusal('signature')
    }
  }
}

// Its key is not among ours, or it does not say which and none of ours fits: keys may have been rotated.
function isOfOtherKey(error: unknown, token: string): boolean {
  if (!(error instanceof EgressError)) return false
  const { why } = error.detail
  return why === 'key' || (why === 'signature' && headerOf(token)['kid'] === undefined)
}

function headerOf(token: string): Record<string, unknown> {
  try {
    const [text = ''] = token.split('.', 1)
    const header: unknown = parseJson(Buffer.from(text, 'base64url').toString())
    if (typeof header === 'object' && header !== null) return { ...header }
  } catch {
    // Refused below, as any header that is not an object.
  }
  throw refusal('malformed')
}

function explain(error: unknown): EgressError {
  return refusal(faultOf(error), error)
}

function refusal(why: JwtFault, cause?: unknown): EgressError {
  return new EgressError('identity-unknown', { why }, { cause })
}

function faultOf(error: unknown): JwtFault {
  if (!(error instanceof Error)) return 'malformed'
  const code = 'code' in error ? String(error.code) : ''
  if (code === 'ERR_JWT_CLAIM_VALIDATION_FAILED')
    return CLAIM_FAULTS['claim' in error ? String(error.claim) : ''] ?? 'malformed'
  // What is left is a key that cannot be used.
  return FAULTS[code] ?? 'key'
}
