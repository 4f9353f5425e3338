// A source as it is written becomes one whose paths are absolute. Pure; called by `resolve.ts`.

import type {
  ExecSourceDefinition,
  LocalSource,
  SourceDefinition,
  VaultSourceDefinition,
} from '../../credentials/source-definition.ts'
import { resolveCaptured, resolveOAuth } from './resolve-oauth.ts'

/** Makes the paths of a source absolute. */
export function resolveSource(
  source: SourceDefinition,
  absolute: (written: string) => string,
): SourceDefinition {
  const resolve = (local: LocalSource): LocalSource => resolveLocal(local, absolute)
  switch (source.kind) {
    case 'exec':
      return resolveExec(source, absolute)
    case 'vault':
      return resolveVault(source, absolute)
    case 'oauth':
      return resolveOAuth(source, resolve)
    case 'captured':
      return resolveCaptured(source, resolve)
    case 'github':
      return { ...source, key: resolve(source.key) }
    case 'aws':
      return { ...source, login: { ...source.login, from: resolve(source.login.from) } }
    case 'local':
    default:
      return { ...source, from: resolve(source.from) }
  }
}

function resolveVault(
  { caFile, ...source }: VaultSourceDefinition,
  absolute: (written: string) => string,
): VaultSourceDefinition {
  const { login } = source
  return {
    ...source,
    login: { ...login, secret: resolveLocal(login.secret, absolute) },
    ...(caFile !== undefined && { caFile: absolute(caFile) }),
  }
}

// A program without a slash is looked for on PATH.
function resolveExec(
  source: ExecSourceDefinition,
  absolute: (written: string) => string,
): ExecSourceDefinition {
  const resolve = ([program = '', ...words]: readonly string[]): string[] => [
    program.includes('/') ? absolute(program) : program,
    ...words,
  ]
  const { command, revoke } = source
  return { ...source, command: resolve(command), ...(revoke && { revoke: resolve(revoke) }) }
}

/** Makes the path of a text absolute that is kept outside the configuration. */
export function resolveLocal(
  source: LocalSource,
  absolute: (written: string) => string,
): LocalSource {
  return 'env' in source ? source : { file: absolute(source.file) }
}
