// What an injection adds to a request last, because it depends on all the rest: what goes into a body, what signs, what is shown by
// TLS. Types only; implemented once a kind beside this file, asked through `finish.ts`.

import type { Injection } from '../credentials/definition.ts'
import type { Secret } from '../credentials/secret.ts'
import type { Endpoint } from '../wire/authority.ts'
import type { Body, RawHeaders } from '../wire/body.ts'

/** A request as it would leave, without what a finisher adds. */
export interface Unfinished {
  readonly method: string
  readonly endpoint: Endpoint
  readonly scheme: 'http' | 'https'
  /** As they would leave; without framing. */
  readonly headers: readonly string[]
  /** Path and query as they would leave, byte for byte. */
  readonly path: string
  /** What the client sent: what it authenticates itself with is not in the other head any more. */
  readonly asked: { readonly headers: RawHeaders; readonly query: string | undefined }
  /** What stands for the credential in the task's sandbox, or for its first part. */
  readonly placeholder: string
  /** What stands for a part of it. @throws EgressError credential-unavailable where there is none such */
  readonly placeholderOf: (part: string) => string
  /** The credential's name. */
  readonly credential: string
  /** Epoch milliseconds. */
  readonly now: number
  /** When the task ends, in epoch milliseconds. */
  readonly notAfter: number
}

/** A request as it leaves. */
export interface Finished {
  readonly headers: readonly string[]
  readonly path: string
  /** In place of the whole body that was given. */
  readonly body?: Uint8Array
  /** What the body is sent through, in place of `body`; of the same length, unless `length` says another. */
  readonly through?: { readonly wrap: (body: Body) => Body; readonly length: number | undefined }
  /** Shown to the upstream by TLS. */
  readonly certificate?: Secret
  /** Whether something of the client's stood at the credential's place. */
  readonly isReplaced: boolean
}

/** Adds what one kind of injection adds last. */
export interface Finisher<Kind extends Injection = Injection> {
  /** Whether the body has to be there whole. */
  needsBody(inject: Kind, request: Unfinished): boolean
  /**
   * @param body whole where it is needed, else undefined
   * @throws EgressError credential-unavailable where the credential has no place in the request
   */
  finish(inject: Kind, request: Unfinished, body: Uint8Array | undefined, secret: Secret): Finished
}
