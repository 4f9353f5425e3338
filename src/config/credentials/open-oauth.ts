// What mints and takes back by OAuth as the configuration describes it. Called by `issuers.ts`.

import path from 'node:path'

import type {
  CapturedSourceDefinition,
  LocalSource,
  OAuthClientDefinition,
  OAuthServerDefinition,
  OAuthSourceDefinition,
} from '../../credentials/source-definition.ts'
import type { ReadLocal } from '../../credentials/issuer.ts'
import { CapturedIssuer } from '../../credentials/issuers/captured.ts'
import { KeptToken } from '../../credentials/issuers/kept-token.ts'
import { OAuthServer } from '../../credentials/issuers/oauth-server.ts'
import { OAuthIssuer } from '../../credentials/issuers/oauth.ts'
import { openText } from '../../credentials/local-text.ts'
import { placeholderKey } from '../placeholder-key.ts'
import type { IssuerParts } from './issuer-parts.ts'
import { providersOf } from './providers.ts'

const DIRECTORY = 'refresh-tokens'

/** Opens what mints the access tokens of a credential. */
export function openOAuth(
  name: string,
  source: OAuthSourceDefinition,
  parts: IssuerParts,
): OAuthIssuer {
  const { client, grant } = source
  const proof = openProof(name, client, parts)
  const kept =
    grant.kind === 'refresh'
      ? new KeptToken({
          file: path.join(parts.stateDir, DIRECTORY, name),
          key: placeholderKey(parts.stateDir),
        })
      : undefined
  const open = (use: string, local: LocalSource | 'task' | undefined): ReadLocal | undefined =>
    local === undefined || local === 'task' ? undefined : openLocal(name, use, local, parts)
  const isExchange = grant.kind === 'exchange'
  return new OAuthIssuer({
    source,
    server: openServer(name, source.server, client, proof, parts),
    proof,
    subject: open(
      'subject',
      grant.kind === 'refresh' ? grant.token : isExchange ? grant.subject.from : undefined,
    ),
    actor: open('actor', isExchange ? grant.actor?.from : undefined),
    kept,
    tokenBytesMax: parts.limits.secretBytesMax,
    learn: (text) => parts.known.learn(`${name} refresh`, text),
    now: Date.now,
  })
}

/** Opens what takes back the tokens that are captured for a credential. */
export function openCaptured(
  name: string,
  { revocation }: CapturedSourceDefinition,
  parts: IssuerParts,
): CapturedIssuer {
  if (revocation === undefined) return new CapturedIssuer(undefined)
  const { server, client } = revocation
  return new CapturedIssuer(openServer(name, server, client, openProof(name, client, parts), parts))
}

function openServer(
  name: string,
  server: OAuthServerDefinition,
  client: OAuthClientDefinition,
  proof: ReadLocal | undefined,
  parts: IssuerParts,
): OAuthServer {
  const provider = providersOf(`credentials.${name}.source`, parts)
  return new OAuthServer({ server, client, provider, proof, now: Date.now })
}

function openProof(
  name: string,
  { proof }: OAuthClientDefinition,
  parts: IssuerParts,
): ReadLocal | undefined {
  if (proof.kind === 'none') return undefined
  return openLocal(name, 'client', proof.kind === 'key' ? proof.key : proof.secret, parts)
}

function openLocal(
  name: string,
  use: string,
  source: LocalSource,
  { environment, limits, known }: IssuerParts,
): ReadLocal {
  return openText(name, use, source, { environment, bytesMax: limits.secretBytesMax, known })
}
