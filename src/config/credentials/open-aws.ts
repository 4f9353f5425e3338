// What mints sessions of AWS as the configuration describes it. Called by `issuers.ts`.

import type { AwsSourceDefinition } from '../../credentials/source-definition.ts'
import { AwsIssuer } from '../../credentials/issuers/aws.ts'
import { openSource } from '../../credentials/local-source.ts'
import type { IssuerParts } from './issuer-parts.ts'
import { providersOf } from './providers.ts'

/** Opens what mints the sessions of a credential. */
export function openAws(name: string, source: AwsSourceDefinition, parts: IssuerParts): AwsIssuer {
  const key = `credentials.${name}.source`
  const { environment, limits, known } = parts
  const form = source.login.kind === 'keys' ? 'parts' : 'text'
  const login = openSource(name, source.login.from, {
    environment,
    bytesMax: limits.secretBytesMax,
    form,
    known,
  })
  const open = providersOf(key, parts)
  return new AwsIssuer({
    source,
    // A host is dialed with leave that is made once something is asked.
    provider: { ask: (request) => open(new URL(source.endpoint)).ask(request) },
    login: () => login.secret(),
    now: Date.now,
  })
}
