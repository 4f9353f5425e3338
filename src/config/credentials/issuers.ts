// What mints the credentials of a configuration, by their names. Called by `secrets.ts`.

import type { CredentialDefinition } from '../../credentials/definition.ts'
import type { Issuer } from '../../credentials/issuer.ts'
import { ExecIssuer } from '../../credentials/issuers/exec.ts'
import type { IssuerParts } from './issuer-parts.ts'
import { openAws } from './open-aws.ts'
import { openGithub } from './open-github.ts'
import { openCaptured, openOAuth } from './open-oauth.ts'
import { openVault } from './open-vault.ts'

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
  switch (source.kind) {
    case 'exec':
      return new ExecIssuer(source, { ...parts, now: Date.now })
    case 'vault':
      return openVault(name, source, parts)
    case 'oauth':
      return openOAuth(name, source, parts)
    case 'captured':
      return openCaptured(name, source, parts)
    case 'github':
      return openGithub(name, source, parts)
    case 'aws':
      return openAws(name, source, parts)
    case 'local':
    default:
      return undefined
  }
}
