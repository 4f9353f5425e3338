// What mints the tokens of a GitHub App as the configuration describes it. Called by `issuers.ts`.

import type { GithubSourceDefinition } from '../../credentials/source-definition.ts'
import { GithubIssuer } from '../../credentials/issuers/github.ts'
import { openText } from '../../credentials/local-text.ts'
import type { IssuerParts } from './issuer-parts.ts'
import { providersOf } from './providers.ts'

/** Opens what mints the tokens of a credential. */
export function openGithub(
  name: string,
  source: GithubSourceDefinition,
  parts: IssuerParts,
): GithubIssuer {
  const { environment, limits, known } = parts
  return new GithubIssuer({
    source,
    provider: providersOf(`credentials.${name}.source`, parts),
    key: openText(name, 'key', source.key, { environment, bytesMax: limits.secretBytesMax, known }),
    now: Date.now,
  })
}
