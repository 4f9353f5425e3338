// What certificates issued by a CA have to say of it, and what its own extensions say, read from its certificate and its key:
// node gives a subject as text only, and the text is not enough to repeat its bytes. Called by `ca.ts`, `task-ca.ts`,
// `certificate.ts` and `leaf.ts`. @see RFC 5280

import { createHash, createPublicKey, type KeyObject, type X509Certificate } from 'node:crypto'

import { elementsIn, extensionsOf, fieldsOf } from './der.ts'

const SUBJECT_KEY_ID = Buffer.of(0x55, 0x1d, 0x0e)
const VERSION_TAG = 0xa0

// All leaves of a process have one key.
const publicKeys = new WeakMap<KeyObject, KeyObject>()
const keyNames = new WeakMap<KeyObject, { readonly id: Buffer; readonly info: Buffer }>()

/**
 * The identifier of an elliptic-curve key: SHA-1 of its point.
 * @see RFC 5280 section 4.2.1.2
 */
export function keyIdOf(publicKey: KeyObject): Buffer {
  return keyNamesOf(publicKey).id
}

/** DER of a key as certificates have it: its SubjectPublicKeyInfo. */
export function keyInfoOf(publicKey: KeyObject): Buffer {
  return keyNamesOf(publicKey).info
}

/** The public half of a private key. */
export function publicKeyOf(privateKey: KeyObject): KeyObject {
  let publicKey = publicKeys.get(privateKey)
  if (publicKey === undefined) {
    publicKey = createPublicKey(privateKey)
    publicKeys.set(privateKey, publicKey)
  }
  return publicKey
}

function keyNamesOf(publicKey: KeyObject): { readonly id: Buffer; readonly info: Buffer } {
  let names = keyNames.get(publicKey)
  if (names === undefined) {
    const { x = '', y = '' } = publicKey.export({ format: 'jwk' })
    const point = Buffer.concat([
      Buffer.of(4),
      Buffer.from(x, 'base64url'),
      Buffer.from(y, 'base64url'),
    ])
    const info = publicKey.export({ type: 'spki', format: 'der' })
    names = { id: createHash('sha1').update(point).digest(), info }
    keyNames.set(publicKey, names)
  }
  return names
}

/** What certificates issued by this one have to say of it: its subject as it is written, and its key identifier if it has one. */
export function readIssuer(certificate: X509Certificate): {
  readonly name: Buffer
  readonly keyId: Buffer | undefined
} {
  const fields = fieldsOf(certificate)
  // Serial, algorithm, issuer, validity and subject, behind the version where it is written.
  const subject = fields[fields[0]?.tag === VERSION_TAG ? 5 : 4]
  if (subject === undefined) throw new Error('the certificate has no subject')
  const keyId = readExtension(certificate, SUBJECT_KEY_ID)
  // Two octet strings, one in the other.
  return { name: subject.whole, keyId: elementsIn(keyId)[0]?.content }
}

/**
 * The DER of one of a certificate's extensions; undefined where it has none of that kind.
 * @param id the content of its object identifier
 */
export function readExtension(certificate: X509Certificate, id: Buffer): Buffer | undefined {
  return extensionsOf(certificate).find((extension) => extension.id.equals(id))?.value
}
