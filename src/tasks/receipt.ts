// The receipt of an ending: what ended, when, and what could not be revoked until when; signed, so that it stands by itself.
// The key is the installation's own and never leaves its file. Called by `ending.ts`.

import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  type KeyObject,
} from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import type { Receipt, ReceiptItem } from './view.ts'

/** A receipt before it is signed. */
export type UnsignedReceipt = Omit<Receipt, 'signature'>

/** The public key that receipts are checked with, as a JWK. */
export interface ReceiptKey {
  readonly kty: string
  readonly crv: string
  readonly x: string
  /** Thumbprint of RFC 7638. */
  readonly kid: string
}

const KEY_FILE = 'receipt.key'

/** Signs receipts. */
export class ReceiptSigner {
  readonly #key: KeyObject
  /** What receipts are checked with. */
  readonly publicKey: ReceiptKey

  /** Reads the key, or makes it where there is none. @throws Error where the file cannot be used */
  constructor(stateDir: string) {
    this.#key = loadOrMakeKey(path.join(stateDir, KEY_FILE))
    const { crv = '', kty = '', x = '' } = createPublicKey(this.#key).export({ format: 'jwk' })
    const kid = createHash('sha256').update(JSON.stringify({ crv, kty, x })).digest('base64url')
    this.publicKey = { kty, crv, x, kid }
  }

  /** Signs the receipt's JSON as it stands: members in their order, no spaces. */
  sign(receipt: UnsignedReceipt): Receipt {
    const value = sign(null, Buffer.from(JSON.stringify(receipt)), this.#key).toString('base64url')
    return { ...receipt, signature: { algorithm: 'Ed25519', key: this.publicKey.kid, value } }
  }
}

function loadOrMakeKey(file: string): KeyObject {
  if (existsSync(file)) {
    try {
      return createPrivateKey(readFileSync(file))
    } catch (error) {
      throw new Error(
        `${file} is no key: restore it, or move it away to sign receipts with a new one`,
        {
          cause: error,
        },
      )
    }
  }
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 })
  const { privateKey } = generateKeyPairSync('ed25519')
  const beside = `${file}.new`
  writeFileSync(beside, privateKey.export({ type: 'pkcs8', format: 'pem' }), {
    mode: 0o600,
    flush: true,
  })
  renameSync(beside, file)
  return privateKey
}

/** What a receipt says of the sandbox: whether there was one, and whether it is known to be gone. */
export function teardownOf({ items }: Receipt): 'none' | 'confirmed' | 'unconfirmed' {
  const outcome = items.find(({ kind }) => kind === 'sandbox')?.outcome ?? 'none'
  if (outcome === 'none') return 'none'
  return outcome === 'ended' ? 'confirmed' : 'unconfirmed'
}

/** What a receipt has to say anew of a stage whose own receipt is complete by now; undefined: nothing. */
export function endedChildOf({ items }: Receipt, child: Receipt): ReceiptItem | undefined {
  const said = items.find(({ kind, name }) => kind === 'child' && name === child.task)
  if (said?.outcome !== 'unconfirmed' || !child.complete) return undefined
  return { ...said, outcome: 'ended', at: child.endedAt }
}
