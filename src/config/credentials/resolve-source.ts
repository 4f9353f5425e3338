// A source as it is written becomes one whose paths are absolute. Pure; called by `resolve.ts`.

import type { LocalSource, SourceDefinition } from '../../credentials/definition.ts'
import { resolveOAuth, resolveOAuthClient } from './resolve-oauth.ts'

/** Makes the paths of a source absolute. */
export function resolveSource(
  source: SourceDefinition,
  absolute: (written: string) => string,
): SourceDefinition {
  const resolve = (local: LocalSource): LocalSource => resolveLocal(local, absolute)
  if (source.kind === 'local') return { ...source, from: resolve(source.from) }
  if (source.kind === 'oauth') return resolveOAuth(source, resolve)
  const { revocation } = source
  if (revocation === undefined) return source
  const client = resolveOAuthClient(revocation.client, resolve)
  return { ...source, revocation: { ...revocation, client } }
}

/** Makes the path of a text absolute that is kept outside the configuration. */
export function resolveLocal(
  source: LocalSource,
  absolute: (written: string) => string,
): LocalSource {
  return 'env' in source ? source : { file: absolute(source.file) }
}
