// The keys that checkpoints are checked with: those that records announce, and those that whoever checks has pinned. Trust
// goes from a pinned key to every one that signed for it or that it signed for; without a pinned key nobody can say more than
// that a journal is signed by the keys it names itself. Pure. Called by what verifies.

import type { CheckpointKey } from './checkpoint.ts'
import { isGenuine, thumbprint, type KeyAnnouncement } from './key-announcement.ts'

/** A collection of keys. */
export class KeyRing {
  readonly #pinned: ReadonlySet<string>
  readonly #keys: Map<string, CheckpointKey> = new Map()
  /** `kid` of a key to those it is joined to by their signatures. */
  readonly #joined: Map<string, Set<string>> = new Map()
  #trusted: Set<string> | undefined

  /** @param pinned keys that are trusted from the start; none: every announced one is taken */
  constructor(pinned: readonly CheckpointKey[] = []) {
    this.#pinned = new Set(pinned.map(({ kid }) => kid))
    for (const key of pinned) this.#keys.set(key.kid, key)
  }

  /** Whether there are pinned keys. */
  get isPinned(): boolean {
    return this.#pinned.size > 0
  }

  /** Takes an announced key in. @returns whether its signatures hold */
  add(announcement: KeyAnnouncement): boolean {
    if (!isGenuine(announcement)) return false
    const { key, previous } = announcement
    this.#keys.set(key.kid, key)
    this.#trusted = undefined
    if (previous === undefined) return true
    this.#keys.set(previous.kid, previous)
    this.#join(key.kid, previous.kid)
    this.#join(previous.kid, key.kid)
    return true
  }

  /** The key of that id, trusted or not. */
  get(kid: string): CheckpointKey | undefined {
    return this.#keys.get(kid)
  }

  /** Whether a key is pinned, or joined to a pinned one; without pinned keys every key is. */
  isTrusted(kid: string): boolean {
    if (!this.isPinned) return this.#keys.has(kid)
    this.#trusted ??= this.#follow()
    return this.#trusted.has(kid)
  }

  #join(one: string, other: string): void {
    const joined = this.#joined.get(one) ?? new Set<string>()
    joined.add(other)
    this.#joined.set(one, joined)
  }

  #follow(): Set<string> {
    const trusted = new Set(this.#pinned)
    // A set goes over what is added to it on the way.
    for (const kid of trusted) for (const other of this.#joined.get(kid) ?? []) trusted.add(other)
    return trusted
  }
}

/**
 * Reads keys as somebody keeps them: a JWK, a JWKS, the answer of the control API, or the detail of a `checkpoint-key` record.
 * @returns none where there is no Ed25519 key in it
 */
export function keysIn(value: unknown): CheckpointKey[] {
  if (Array.isArray(value)) return value.flatMap(keysIn)
  if (typeof value !== 'object' || value === null) return []
  const keys: unknown = Reflect.get(value, 'keys') ?? Reflect.get(value, 'key')
  if (typeof keys === 'object' && keys !== null) return keysIn(keys)
  const key = checkpointKeyOf(value)
  return key === undefined ? [] : [key]
}

/** Reads a JWK of Ed25519; undefined where it is none, or names itself by another key's thumbprint. */
export function checkpointKeyOf(value: unknown): CheckpointKey | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const x: unknown = Reflect.get(value, 'x')
  const kid: unknown = Reflect.get(value, 'kid')
  if (Reflect.get(value, 'kty') !== 'OKP' || Reflect.get(value, 'crv') !== 'Ed25519')
    return undefined
  if (typeof x !== 'string') return undefined
  const own = thumbprint({ kty: 'OKP', crv: 'Ed25519', x })
  return kid === undefined || kid === own ? { kty: 'OKP', crv: 'Ed25519', x, kid: own } : undefined
}
