// The part of `limits.ts` that bounds what providers of credentials do and what is done with credentials in bodies.

/** The bounds of the broker. */
export interface CredentialLimits {
  /** How long a provider of credentials may take for one answer; beyond: `credential-unavailable`. */
  readonly providerTimeoutMs: number
  /** Bytes of a provider's answer; beyond: `credential-unavailable`. */
  readonly providerAnswerBytesMax: number
  /** Bytes of a request body that has to be whole because a credential goes into it or signs it; beyond: `body-too-large`. */
  readonly signedBodyBytesMax: number
  /** Leases of one credential that are asked for at once; more wait within `providerTimeoutMs`. */
  readonly mintsAtOnceMax: number
  /** How long a provider's secret that is the same for all tasks is used before it is looked for anew. */
  readonly staticRefreshMs: number
  /** Bytes of a request body that are kept to send it once more where the upstream refuses the credential; beyond: it is not. */
  readonly repeatedBodyBytesMax: number
  /**
   * Bytes that may come of one of a compressed response that is looked through for credentials, beyond the first MiB; beyond:
   * `response-malformed`.
   */
  readonly decodedRatioMax: number
  /** Minted credentials in use or to be taken back, of all tasks; beyond: `credential-unavailable`. */
  readonly owedLeasesMax: number
}

/** What they are unless written. */
export const DEFAULT_CREDENTIAL_LIMITS: CredentialLimits = {
  providerTimeoutMs: 5000,
  providerAnswerBytesMax: 1024 * 1024,
  signedBodyBytesMax: 8 * 1024 * 1024,
  mintsAtOnceMax: 8,
  staticRefreshMs: 300_000,
  repeatedBodyBytesMax: 1024 * 1024,
  decodedRatioMax: 100,
  owedLeasesMax: 10_000,
}
