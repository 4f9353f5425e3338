// Whether the receipt of a task's end is signed by one of some keys. Pure. Called by `verify-bundle.ts`.

import { createPublicKey, verify } from 'node:crypto'

import type { CheckpointKey } from '../proof/checkpoint.ts'
import { isObject } from './manifest.ts'

/** Tells it; never throws. */
export function isReceiptSigned(
  receipt: unknown,
  keys: readonly CheckpointKey[],
): 'right' | 'wrong' | 'no-key' {
  if (!isObject(receipt) || !isObject(receipt['signature'])) return 'wrong'
  const { signature, ...signed } = receipt
  const { key: kid, value } = signature
  const key = keys.find((each) => each.kid === kid)
  if (key === undefined) return 'no-key'
  try {
    const { kty, crv, x } = key
    const publicKey = createPublicKey({ key: { kty, crv, x }, format: 'jwk' })
    const text = Buffer.from(JSON.stringify(signed))
    return verify(null, text, publicKey, Buffer.from(String(value), 'base64url'))
      ? 'right'
      : 'wrong'
  } catch {
    return 'wrong'
  }
}
