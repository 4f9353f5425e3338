// What signs requests, as the configuration defines it: which text, by which key, and where the signature stands. Data only; made by
// `config/`, read by `inject/`.

/** What a text that is signed is made of besides letters: fields of the request as it leaves. */
export type SignedField =
  | 'method'
  | 'host'
  | 'path'
  | 'query'
  | 'timestamp'
  | 'nonce'
  | 'body'
  | 'body.sha256'
  | `header:${string}`

/** A piece of a text that is signed. */
export type SignedPiece = { readonly text: string } | { readonly field: SignedField }

/** A keyed hash of a text. */
export interface HmacInjection {
  readonly kind: 'hmac'
  readonly algorithm: 'sha256' | 'sha384' | 'sha512'
  readonly text: readonly SignedPiece[]
  readonly encoding: 'hex' | 'base64'
  /** The header of the signature; `{}` in the format is the signature. */
  readonly header: string
  readonly format: string
  readonly timestamp?: { readonly header: string; readonly format: 'unix' | 'iso' } | undefined
  readonly nonce?: { readonly header: string } | undefined
  /** Says which key signed. */
  readonly keyId?: { readonly header: string; readonly value: string } | undefined
}

/** A signature of some components of the message. @see RFC 9421 */
export interface HttpSignatureInjection {
  readonly kind: 'http-signature'
  readonly algorithm: 'hmac-sha256' | 'ed25519' | 'ecdsa-p256-sha256'
  readonly keyId: string
  /** Names of header fields in lower case, and of derived components with their `@`, in the order in which they are signed. */
  readonly components: readonly string[]
  /** How long it is valid. */
  readonly expiresMs?: number | undefined
  readonly nonce: boolean
}
