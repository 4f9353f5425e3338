// What a provider of credentials is to the broker: something that mints for one task, prolongs, and takes back. Deliberately
// knows nothing of when: `leases.ts` decides that. Implemented in `issuers/`, one file a provider.

import type { Task } from '../tasks/task.ts'

/**
 * The texts of one credential by their names: `value` where there is one alone; what else an injection needs stands beside it
 * (`user`; `accessKeyId`, `secretAccessKey`, `sessionToken`; `certificate`, `key`, both PEM).
 */
export type Material = Readonly<Record<string, string>>

/** What is needed to take something back, in JSON. It may hold secret text: on the disk it is encrypted. */
export type RevocationHandle = Readonly<Record<string, string | number>>

/** What was minted. */
export interface Minted {
  readonly material: Material
  /** When the provider ends it, in epoch milliseconds of this machine's clock; undefined: it does not, as far as is known. */
  readonly expiresAt: number | undefined
  /** Undefined: the provider cannot take it back. */
  readonly handle: RevocationHandle | undefined
  /** What the provider calls it where that is no secret, for records. */
  readonly id?: string
}

/** Whom something is minted for. */
export interface MintRequest {
  readonly task: Task
  /** Those above it, its parent first: what it is given is never wider than theirs. */
  readonly above: readonly Task[]
  /** Epoch milliseconds beyond which it is not used, and not to be valid where the provider can be told so. */
  readonly notAfter: number
  readonly signal: AbortSignal
}

/** `confirmed`: it was seen not to work any more; `accepted`: the provider said so and nothing proved it. */
export type Revocation = 'confirmed' | 'accepted'

/** A token that came back from a token endpoint. */
export interface CapturedToken {
  readonly token: string
  /** Epoch milliseconds; undefined: it was not said. */
  readonly expiresAt: number | undefined
}

/** Mints the credentials of one definition. */
export interface Issuer {
  /** Whether what it gives is the same for all tasks and valid beyond them. */
  readonly isStatic: boolean
  /** @throws ProviderError */
  mint(request: MintRequest): Promise<Minted>
  /** Prolongs what was minted, in place of minting anew. @throws ProviderError */
  renew?(minted: Minted, request: MintRequest): Promise<Minted>
  /** What was captured for a task, as what is minted for it is. @throws ProviderError where it cannot be kept */
  take?(token: CapturedToken, task: Task): Minted
  /** Takes back what was minted; asked again for what is gone, it says so. @throws ProviderError where it has to be tried again */
  revoke?(handle: RevocationHandle, signal: AbortSignal): Promise<Revocation>
}

/** Why a provider gave nothing. The message is shown to operators and never holds a secret or a provider's own words. */
export class ProviderError extends Error {
  /** Milliseconds that the provider asks to be left alone for. */
  readonly retryAfterMs: number | undefined
  /** Asking again changes nothing until somebody mends it. */
  readonly isLasting: boolean
  /** It was asked and nobody knows what it did. */
  readonly isUnanswered: boolean

  constructor(
    message: string,
    options: {
      readonly retryAfterMs?: number
      readonly isLasting?: boolean
      readonly isUnanswered?: boolean
    } & ErrorOptions = {},
  ) {
    super(message, options)
    this.name = 'ProviderError'
    this.retryAfterMs = options.retryAfterMs
    this.isLasting = options.isLasting ?? false
    this.isUnanswered = options.isUnanswered ?? false
  }
}

/** One question to a provider. */
export interface ProviderRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** With the query, byte for byte. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
  readonly signal: AbortSignal
}

/** What a provider answered. */
export interface ProviderAnswer {
  readonly status: number
  /** By name in lower case; a repeated one joined with commas. */
  readonly headers: Readonly<Record<string, string>>
  /** Whole, within `limits.providerAnswerBytesMax`. */
  readonly body: Buffer
}

/** Asks one origin of a provider, with the operator's leave. Follows no redirect. */
export interface Provider {
  /** @throws ProviderError where there is no answer */
  ask(request: ProviderRequest): Promise<ProviderAnswer>
}

/** Gives the provider at the origin of a URL. */
export type OpenProvider = (url: URL) => Provider

/** Reads a text that the operator keeps outside the configuration, as it is now. @throws EgressError credential-unavailable */
export type ReadLocal = () => Promise<string>
