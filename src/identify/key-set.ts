// The public keys that tokens are verified with: kept for a while, and fetched again when a token names one that is not among
// them, so that keys can be rotated. A flood of such tokens is no flood of fetches. Made by `jwt.ts`.

import type { JSONWebKeySet, JWTVerifyGetKey } from 'jose'

import { EgressError } from '../errors.ts'

/** One version of the keys. */
export interface Keys {
  /** Finds the key that a token's header names. */
  readonly find: JWTVerifyGetKey
  /** Two versions with the same text are the same. */
  readonly text: string
}

/** Where keys come from. */
export interface KeySetOptions {
  /** Reads or fetches them. */
  readonly keys: () => Promise<JSONWebKeySet>
  readonly now: () => number
  /** Told when a fetch brought other keys than before. */
  readonly onChange: () => void
}

const KEEP_MS = 10 * 60_000
const FETCH_EVERY_MS = 10_000

/** Holds the keys of one issuer. */
export class KeySet {
  readonly #options: KeySetOptions
  #current: Keys | undefined
  #fetchedAt = Number.NEGATIVE_INFINITY
  #triedAt = Number.NEGATIVE_INFINITY
  #flight: Promise<void> | undefined
  #failure: unknown

  constructor(options: KeySetOptions) {
    this.#options = options
  }

  /** Whether these are the keys in use. */
  isCurrent(keys: Keys): boolean {
    return this.#current === keys
  }

  /** The keys in use; old ones stay so where newer cannot be had. @throws identity-unknown where there are none at all */
  async current(): Promise<Keys> {
    if (this.#current === undefined || !this.#isWithin(this.#fetchedAt, KEEP_MS))
      await this.#refresh()
    if (this.#current !== undefined) return this.#current
    const cause = this.#failure
    throw new EgressError('identity-unknown', { why: 'keys-unavailable' }, { cause })
  }

  /** Other keys than those that did not do; undefined where there are none yet. */
  async insteadOf(keys: Keys): Promise<Keys | undefined> {
    if (this.isCurrent(keys)) await this.#refresh()
    return this.isCurrent(keys) ? undefined : this.#current
  }

  // One flight, and the next not at once: tokens with keys that nobody knows cost nothing to make.
  #refresh(): Promise<void> {
    if (this.#flight !== undefined) return this.#flight
    if (this.#isWithin(this.#triedAt, FETCH_EVERY_MS)) return Promise.resolve()
    this.#triedAt = this.#options.now()
    this.#flight = this.#fetch().finally(() => {
      this.#flight = undefined
    })
    return this.#flight
  }

  async #fetch(): Promise<void> {
    try {
      const set = withPublicKeys(await this.#options.keys())
      const text = JSON.stringify(set)
      const { createLocalJWKSet } = await import('jose')
      const keys = { find: createLocalJWKSet(set), text }
      this.#fetchedAt = this.#options.now()
      if (text === this.#current?.text) return
      this.#current = keys
      this.#options.onChange()
    } catch (error) {
      // What was fetched before stays in use: an issuer that is down for a while stops nobody.
      this.#failure = error
    }
  }

  // A clock that was set back does not keep keys for as long.
  #isWithin(at: number, ms: number): boolean {
    const age = this.#options.now() - at
    return age >= 0 && age < ms
  }
}

/**
 * The keys that signatures may be verified with. A bundle of SPIFFE marks what its keys are for by words of its own, and
 * a secret in a set of keys is never a public key.
 * @see SPIFFE Trust Domain and Bundle, section 4.2
 */
function withPublicKeys(set: JSONWebKeySet): JSONWebKeySet {
  if (!Array.isArray(set.keys)) throw new Error('the key set has no `keys`')
  return {
    keys: set.keys
      .filter(({ kty, use }) => kty !== 'oct' && use !== 'x509-svid')
      .map((key) => (key.use === 'jwt-svid' ? { ...key, use: 'sig' } : key)),
  }
}
