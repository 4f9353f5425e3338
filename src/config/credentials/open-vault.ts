// What mints and takes back by a Vault as the configuration describes it. Called by `issuers.ts`.

import { readFileSync } from 'node:fs'

import type { VaultSourceDefinition } from '../../credentials/source-definition.ts'
import { ProviderError, type Provider } from '../../credentials/issuer.ts'
import { VaultClient } from '../../credentials/issuers/vault-client.ts'
import { VaultSession } from '../../credentials/issuers/vault-session.ts'
import { VaultIssuer } from '../../credentials/issuers/vault.ts'
import { openText } from '../../credentials/local-text.ts'
import type { IssuerParts } from './issuer-parts.ts'
import { providersOf } from './providers.ts'

/** Opens what mints the credentials of one definition. */
export function openVault(
  name: string,
  source: VaultSourceDefinition,
  parts: IssuerParts,
): VaultIssuer {
  const { address, namespace, login, ask, caFile } = source
  const { environment, limits, known } = parts
  const url = new URL(address)
  let provider: Provider | undefined
  const open = (): Provider =>
    providersOf(
      `credentials.${name}.source.vault`,
      parts,
      caFile === undefined ? undefined : { roots: [readRoots(caFile)], protocols: ['http/1.1'] },
    )(url)
  const client = new VaultClient({
    // Once there is something to be dialed.
    provider: () => (provider ??= open()),
    basePath: url.pathname.replace(/\/+$/, ''),
    namespace,
    now: Date.now,
  })
  const session = new VaultSession({
    client,
    login,
    secret: openText(name, 'login', login.secret, {
      environment,
      bytesMax: limits.secretBytesMax,
      known,
    }),
    learn: (token) => known.learnLease([token]),
    now: Date.now,
  })
  return new VaultIssuer({
    ask,
    client,
    session,
    secretBytesMax: limits.secretBytesMax,
    now: Date.now,
  })
}

function readRoots(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new ProviderError('the file of `ca` cannot be read', { isLasting: true, cause: error })
  }
}
