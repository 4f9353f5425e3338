// What takes credentials back, as it is on the disk: encrypted, because such a handle may be the very secret. Authenticated
// together with what it is about, so that no line of the file can be put in another's place. Called by `owed-leases.ts`.

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

import type { RevocationHandle } from './issuer.ts'

const ALGORITHM = 'aes-256-gcm'
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** Seals and opens handles with the installation's key. */
export class HandleVault {
  readonly #key: Uint8Array

  /** @param key 32 bytes, of the installation */
  constructor(key: Uint8Array) {
    this.#key = key
  }

  /** Seals a handle. @param about what it belongs to: it opens for nothing else */
  seal(handle: RevocationHandle, about: string): string {
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv(ALGORITHM, this.#key, nonce).setAAD(Buffer.from(about))
    const text = Buffer.concat([cipher.update(JSON.stringify(handle), 'utf8'), cipher.final()])
    return Buffer.concat([nonce, cipher.getAuthTag(), text]).toString('base64url')
  }

  /** Opens what was sealed; undefined where it cannot be opened any more. */
  open(sealed: string, about: string): RevocationHandle | undefined {
    const bytes = Buffer.from(sealed, 'base64url')
    const nonce = bytes.subarray(0, NONCE_BYTES)
    const tag = bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES)
    try {
      const decipher = createDecipheriv(ALGORITHM, this.#key, nonce, { authTagLength: TAG_BYTES })
      decipher.setAAD(Buffer.from(about)).setAuthTag(tag)
      const text = decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES))
      const handle: unknown = JSON.parse(Buffer.concat([text, decipher.final()]).toString('utf8'))
      return isHandle(handle) ? handle : undefined
    } catch {
      return undefined
    }
  }
}

function isHandle(value: unknown): value is RevocationHandle {
  return (
    typeof value === 'object' &&
    value !== null &&
    Object.values(value).every((each) => typeof each === 'string' || typeof each === 'number')
  )
}
