// What mints the credentials of a configuration, by their names. Called by `secrets.ts`.

import type { CredentialDefinition } from '../../credentials/definition.ts'
import type { Issuer } from '../../credentials/issuer.ts'
import type { IssuerParts } from './issuer-parts.ts'
import { openCaptured, openOAuth } from './open-oauth.ts'

/** Opens the issuer of each credential whose source is not on this machine. */
export function openIssuers(
  definitions: readonly CredentialDefinition[],
  parts: IssuerParts,
): ReadonlyMap<string, Issuer> {
  return new Map(
    definitions.flatMap((definition) => {
      const issuer = openIssuer(definition, parts)
      return issuer === undefined ? [] : [[definition.name, issuer] as const]
    }),
  )
}

function openIssuer(
  { name, source }: CredentialDefinition,
  parts: IssuerParts,
): Issuer | undefined {
  if (source.kind === 'local') return undefined
  return source.kind === 'oauth'
    ? openOAuth(name, source, parts)
    : openCaptured(name, source, parts)
}
