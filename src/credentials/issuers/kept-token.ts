// The newest refresh token of one source: an authorization server that rotates them takes the one before no more, so that what was
// lost would lock the operator out. Encrypted in the state directory, bound to the token that the operator gave: another one
// given begins anew. Called by `oauth.ts`.

import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import { ProviderError } from '../issuer.ts'

const CIPHER = 'aes-256-gcm'
const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
const PURPOSE = 'sallyport refresh token'

/** Where one is kept. */
export interface KeptTokenOptions {
  /** Absolute. */
  readonly file: string
  /** 32 bytes, of the installation. */
  readonly key: Uint8Array
}

/** The newest of the tokens that began with one. */
export class KeptToken {
  readonly #options: KeptTokenOptions
  readonly #key: Uint8Array
  #newest: { readonly origin: string; readonly token: string } | undefined
  /** Whether the newest is on the disk. */
  #isWritten = true

  constructor(options: KeptTokenOptions) {
    this.#options = options
    this.#key = new Uint8Array(hkdfSync('sha256', options.key, '', PURPOSE, KEY_BYTES))
  }

  /**
   * The newest that came of the one given.
   * @throws ProviderError where a newer one could not be kept: it is not asked for then
   */
  newestOf(given: string): string {
    const origin = originOf(given)
    if (this.#newest?.origin !== origin)
      this.#newest = { origin, token: this.#read(origin) ?? given }
    try {
      mkdirSync(path.dirname(this.#options.file), { recursive: true, mode: 0o700 })
      // What is written now can be written in a moment: the same bytes, or those that failed before.
      if (!this.#isWritten) this.#write(this.#newest)
      else writeFileSync(`${this.#options.file}.new`, '', { mode: 0o600 })
    } catch (error) {
      throw new ProviderError('a newer refresh token could not be kept', { cause: error })
    }
    return this.#newest.token
  }

  /** Keeps a newer one; where the disk does not take it, in memory, and on the disk before the next is asked for. */
  keep(given: string, token: string): void {
    this.#newest = { origin: originOf(given), token }
    this.#isWritten = false
    try {
      this.#write(this.#newest)
    } catch {
      // Said when the next one is asked for.
    }
  }

  #read(origin: string): string | undefined {
    try {
      const sealed = readFileSync(this.#options.file)
      const tagAt = sealed.length - TAG_BYTES
      const decipher = createDecipheriv(CIPHER, this.#key, sealed.subarray(0, NONCE_BYTES))
      decipher.setAAD(Buffer.from(origin))
      decipher.setAuthTag(sealed.subarray(tagAt))
      const text = decipher.update(sealed.subarray(NONCE_BYTES, tagAt))
      return Buffer.concat([text, decipher.final()]).toString()
    } catch {
      // There is none, or it came of another one: that is what an operator mends it by.
      return undefined
    }
  }

  #write({ origin, token }: { readonly origin: string; readonly token: string }): void {
    const { file } = this.#options
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv(CIPHER, this.#key, nonce)
    cipher.setAAD(Buffer.from(origin))
    const text = Buffer.concat([cipher.update(token), cipher.final()])
    const sealed = Buffer.concat([nonce, text, cipher.getAuthTag()])
    writeFileSync(`${file}.new`, sealed, { mode: 0o600, flush: true })
    renameSync(`${file}.new`, file)
    this.#isWritten = true
  }
}

function originOf(given: string): string {
  return createHash('sha256').update(given).digest('base64url')
}
