// The key that signs requests: of a keyed hash any text, of a signature a private key in PEM, read once. It is the part `key` of a
// credential, else its value. Called by the finishers that sign.

import { createPrivateKey, type KeyObject } from 'node:crypto'

import { reveal, revealPart } from '../credentials/reveal.ts'
import type { Secret } from '../credentials/secret.ts'
import { unavailable } from './unavailable.ts'

const keys = new WeakMap<Secret, KeyObject>()

/** The key of a keyed hash. @throws credential-unavailable */
export function hashKeyOf(secret: Secret): Buffer {
  const text = revealPart(secret, 'key', 'sign') ?? reveal(secret, 'sign')
  if (text === '') throw unavailable(secret.name, 'it has no key')
  return Buffer.from(text, 'latin1')
}

/** The key of a signature; of an elliptic curve the one that is named. @throws credential-unavailable */
export function privateKeyOf(secret: Secret, kind: 'ed25519' | 'prime256v1'): KeyObject {
  let key = keys.get(secret)
  if (key === undefined) {
    try {
      key = createPrivateKey(hashKeyOf(secret))
    } catch {
      // Its message could quote the text.
      throw unavailable(secret.name, 'the value is no private key (PEM)')
    }
    keys.set(secret, key)
  }
  const { asymmetricKeyType, asymmetricKeyDetails } = key
  const found = asymmetricKeyType === 'ec' ? asymmetricKeyDetails?.namedCurve : asymmetricKeyType
  if (found !== kind) throw unavailable(secret.name, 'the key is of another kind')
  return key
}
