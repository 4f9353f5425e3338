// How a key of checkpoints is put on record: signed by itself and, where there was one before, by the one before, so that
// who trusts one of a journal's keys can follow to the others. Pure. Called by `checkpoint-keys.ts` and by what verifies.

import { createHash, createPublicKey, sign, verify, type KeyObject } from 'node:crypto'

import type { CheckpointKey } from './checkpoint.ts'

/** The detail of a `checkpoint-key` record. */
export interface KeyAnnouncement {
  /** The id of the journal. */
  readonly journal: string
  readonly key: CheckpointKey
  /** The key that it takes over from. */
  readonly previous?: CheckpointKey | undefined
  /** From when on it signs, ISO 8601 in UTC. */
  readonly from: string
  /** Base64url of the Ed25519 signature of `announcementText` by the key itself. */
  readonly signature: string
  /** The same by the previous key. */
  readonly previousSignature?: string | undefined
}

/** An announcement before it is signed. */
export type UnsignedAnnouncement = Omit<KeyAnnouncement, 'signature' | 'previousSignature'>

/** The bytes that both keys sign, one member a line. */
function announcementText(announcement: UnsignedAnnouncement): string {
  const { journal, key, previous, from } = announcement
  const lines = [
    'sallyport checkpoint-key 1',
    `journal ${journal}`,
    `key ${key.kid} ${key.x}`,
    ...(previous === undefined ? [] : [`previous ${previous.kid} ${previous.x}`]),
    `from ${from}`,
  ]
  return `${lines.join('\n')}\n`
}

/** Signs an announcement with its own key and the one before. */
export function signAnnouncement(
  announcement: UnsignedAnnouncement,
  privateKey: KeyObject,
  previousKey: KeyObject | undefined,
): KeyAnnouncement {
  const text = Buffer.from(announcementText(announcement))
  const signature = sign(null, text, privateKey).toString('base64url')
  if (previousKey === undefined) return { ...announcement, signature }
  const previousSignature = sign(null, text, previousKey).toString('base64url')
  return { ...announcement, signature, previousSignature }
}

/** Tells whether every signature of an announcement holds. Never throws: what is malformed is not genuine. */
export function isGenuine(announcement: KeyAnnouncement): boolean {
  const { key, previous, signature, previousSignature } = announcement
  const text = announcementText(announcement)
  if (!isSigned(text, key, signature)) return false
  return previous === undefined || isSigned(text, previous, previousSignature ?? '')
}

/** A public key's thumbprint. @see RFC 7638, RFC 8037 section 2 */
export function thumbprint({ crv, kty, x }: Omit<CheckpointKey, 'kid'>): string {
  return createHash('sha256').update(JSON.stringify({ crv, kty, x })).digest('base64url')
}

/** The public half of a private Ed25519 key as a JWK. @throws Error where it is of another kind */
export function publicKeyOf(key: KeyObject): CheckpointKey {
  const { crv, kty, x } = createPublicKey(key).export({ format: 'jwk' })
  if (kty !== 'OKP' || crv !== 'Ed25519' || x === undefined) throw new Error('no Ed25519 key')
  return { kty, crv, x, kid: thumbprint({ kty, crv, x }) }
}

function isSigned(text: string, key: CheckpointKey, signature: string): boolean {
  try {
    if (key.kid !== thumbprint(key)) return false
    const { kty, crv, x } = key
    const publicKey = createPublicKey({ key: { kty, crv, x }, format: 'jwk' })
    return verify(null, Buffer.from(text), publicKey, Buffer.from(signature, 'base64url'))
  } catch {
    return false
  }
}
