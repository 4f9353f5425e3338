// Which files of the installation a sandbox must not have: taken from the configuration where one is found, else the usual
// names beside it. Reads nothing. Made by `cli/doctor.ts`, looked at by the probe of files.

import path from 'node:path'

import type { Config } from '../../config/config.ts'
import { formatListenAddress } from '../../config/units.ts'
import { placeholdersOf } from '../../credentials/definition.ts'
import { secretFiles, secretNames } from '../secret-files.ts'

/** Places of one installation, absolute. */
export interface KnownFiles {
  /** Where the configuration is, or would be. */
  readonly directory: string
  /** Neither readable nor writable: keys, tokens, sources of credentials. */
  readonly secrets: readonly string[]
  /** Directories of which nothing may be seen: state and journal. */
  readonly hidden: readonly string[]
  /** Readable at most: what decides. */
  readonly fixed: readonly string[]
  readonly sockets: readonly string[]
  /** `control.listen` as it is written. */
  readonly controlAddress: string | undefined
  /** Variables that hold a credential outside, which here may hold placeholders only. */
  readonly secretVariables: readonly string[]
  /** Variables that hold a placeholder here, and how it begins. */
  readonly placeholders: ReadonlyMap<string, string>
}

/** Of a configuration that was read. */
export function filesOf(config: Config): KnownFiles {
  const { control, journal, rules, stateDir, credentials, file } = config
  return {
    directory: path.dirname(file ?? path.resolve('sallyport.yaml')),
    secrets: secretFiles(config, {}),
    hidden: [stateDir, journal.dir],
    fixed: [...(file === undefined ? [] : [file]), rules.dir],
    sockets: control.listen.kind === 'unix' ? [control.listen.path] : [],
    controlAddress: formatListenAddress(control.listen),
    secretVariables: secretNames(config),
    placeholders: new Map(
      credentials.flatMap((one) => placeholdersOf(one).map(({ env, prefix }) => [env, prefix])),
    ),
  }
}

/** The usual names beside a configuration that could not be read. */
export function usualFiles(configuration: string): KnownFiles {
  const directory = path.dirname(path.resolve(configuration))
  const at = (name: string): string => path.join(directory, name)
  return {
    directory,
    secrets: [at('state/ca.key')],
    hidden: [at('state'), at('journal')],
    fixed: [path.resolve(configuration), at('rules')],
    sockets: [at('state/control.sock')],
    controlAddress: undefined,
    secretVariables: [],
    placeholders: new Map(),
  }
}
