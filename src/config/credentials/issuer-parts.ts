// What is handed to whatever opens an issuer. Types only; given by `secrets.ts`.

import type { KnownSecrets } from '../../credentials/known-secrets.ts'
import type { Limits } from '../../limits.ts'
import type { ProviderParts } from './providers.ts'

/** What issuers are made of. */
export interface IssuerParts extends ProviderParts {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly limits: ProviderParts['limits'] & Pick<Limits, 'secretBytesMax'>
  /** Told of every text that an issuer proves itself with. */
  readonly known: KnownSecrets
}
