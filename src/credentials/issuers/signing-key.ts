// A private key in PEM as what signs a JWT with it. Called by the issuers that prove themselves by one.

import { createPrivateKey, type KeyObject, type webcrypto } from 'node:crypto'

import { ProviderError } from '../issuer.ts'

/** A key, and the name of what it signs by (RFC 7518, RFC 9864). */
export interface SigningKey {
  readonly key: webcrypto.CryptoKey
  readonly algorithm: string
}

// RFC 7518 section 3.3.
const RSA_BITS_MIN = 2048
const CURVES: ReadonlyMap<string, { readonly namedCurve: string; readonly algorithm: string }> =
  new Map([
    ['prime256v1', { namedCurve: 'P-256', algorithm: 'ES256' }],
    ['secp384r1', { namedCurve: 'P-384', algorithm: 'ES384' }],
    ['secp521r1', { namedCurve: 'P-521', algorithm: 'ES512' }],
  ])

/** Reads a key. @throws ProviderError where it is none that signs */
export function readSigningKey(pem: string): SigningKey {
  let read: KeyObject
  try {
    read = createPrivateKey(pem)
  } catch {
    // Its message could quote the text.
    throw new ProviderError('the key is no private key in PEM', { isLasting: true })
  }
  const { asymmetricKeyType: type, asymmetricKeyDetails: details = {} } = read
  const { namedCurve = '', modulusLength = 0 } = details
  if (type === 'rsa') {
    if (modulusLength < RSA_BITS_MIN)
      throw new ProviderError('the key has fewer than 2048 bits', { isLasting: true })
    const kind = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
    return { key: read.toCryptoKey(kind, false, ['sign']), algorithm: 'RS256' }
  }
  if (type === 'ed25519')
    return { key: read.toCryptoKey('Ed25519', false, ['sign']), algorithm: 'Ed25519' }
  const curve = CURVES.get(namedCurve)
  if (type !== 'ec' || curve === undefined)
    throw new ProviderError('the key is of a kind that signs no JWT', { isLasting: true })
  const kind = { name: 'ECDSA', namedCurve: curve.namedCurve }
  return { key: read.toCryptoKey(kind, false, ['sign']), algorithm: curve.algorithm }
}
