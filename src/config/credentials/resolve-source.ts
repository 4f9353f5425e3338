// A source as it is written becomes one whose paths are absolute. Pure; called by `resolve.ts`.

import type { LocalSource, SourceDefinition } from '../../credentials/definition.ts'

/** Makes the paths of a source absolute. */
export function resolveSource(
  source: SourceDefinition,
  absolute: (written: string) => string,
): SourceDefinition {
  if (source.kind === 'aws') {
    const from = resolveLocal(source.login.from, absolute)
    return { ...source, login: { ...source.login, from } }
  }
  return { ...source, from: resolveLocal(source.from, absolute) }
}

/** Makes the path of a text absolute that is kept outside the configuration. */
export function resolveLocal(
  source: LocalSource,
  absolute: (written: string) => string,
): LocalSource {
  return 'env' in source ? source : { file: absolute(source.file) }
}
