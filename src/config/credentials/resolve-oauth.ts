// The paths of what is proved and given to an authorization server. Pure; called by `resolve-source.ts`.

import type {
  CapturedSourceDefinition,
  LocalSource,
  OAuthClientDefinition,
  OAuthExchangedToken,
  OAuthGrant,
  OAuthSourceDefinition,
} from '../../credentials/source-definition.ts'

type Resolve = (local: LocalSource) => LocalSource

/** Makes the paths of a source of tokens absolute. */
export function resolveOAuth(
  source: OAuthSourceDefinition,
  resolve: Resolve,
): OAuthSourceDefinition {
  const { client, grant } = source
  return {
    ...source,
    client: resolveOAuthClient(client, resolve),
    grant: resolveGrant(grant, resolve),
  }
}

/** Makes the paths of a source of captured tokens absolute. */
export function resolveCaptured(
  source: CapturedSourceDefinition,
  resolve: Resolve,
): CapturedSourceDefinition {
  const { revocation } = source
  if (revocation === undefined) return source
  const client = resolveOAuthClient(revocation.client, resolve)
  return { ...source, revocation: { ...revocation, client } }
}

function resolveOAuthClient(
  { id, proof }: OAuthClientDefinition,
  resolve: Resolve,
): OAuthClientDefinition {
  if (proof.kind === 'none') return { id, proof }
  if (proof.kind === 'key') return { id, proof: { ...proof, key: resolve(proof.key) } }
  return { id, proof: { ...proof, secret: resolve(proof.secret) } }
}

function resolveGrant(grant: OAuthGrant, resolve: Resolve): OAuthGrant {
  if (grant.kind === 'client') return grant
  if (grant.kind === 'refresh') return { ...grant, token: resolve(grant.token) }
  const { subject, actor } = grant
  return {
    ...grant,
    subject: resolveToken(subject, resolve),
    ...(actor && { actor: resolveToken(actor, resolve) }),
  }
}

function resolveToken({ from, type }: OAuthExchangedToken, resolve: Resolve): OAuthExchangedToken {
  return { from: from === 'task' ? from : resolve(from), type }
}
