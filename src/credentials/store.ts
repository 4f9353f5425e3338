// All credentials of a sidecar: what is defined, for which hosts, what stands for them in a sandbox, and their values as
// Secrets. Made by `sidecar.ts`; asked by `stages.ts` and `cli/env.ts`.

import { LRUCache } from 'lru-cache'

import { EgressError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import type { Endpoint } from '../wire/authority.ts'
import type { KnownSecrets } from './known-secrets.ts'
import { derivePlaceholder } from './placeholder.ts'
import type { Secret } from './secret.ts'
import { openSource, type CredentialDefinition, type SecretSource } from './sources.ts'

/** What a store needs. */
export interface CredentialStoreOptions {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly limits: Pick<Limits, 'secretBytesMax'>
  /** 32 bytes, of the installation. */
  readonly placeholderKey: Uint8Array
  /** Told of every value that is read, and where placeholders are. */
  readonly known?: KnownSecrets
}

const NONE: readonly CredentialDefinition[] = []
// Placeholders are derived, so one that was pushed out is made again.
const TASKS_KEPT_MAX = 1000

/** The credentials that are defined, by name, by host and by task. */
export class CredentialStore {
  readonly #placeholderKey: Uint8Array
  readonly #definitions: ReadonlyMap<string, CredentialDefinition>
  readonly #byHost: ReadonlyMap<string, readonly CredentialDefinition[]>
  readonly #sources: ReadonlyMap<string, SecretSource>
  readonly #placeholders: LRUCache<string, ReadonlyMap<string, CredentialDefinition>> =
    new LRUCache({ max: TASKS_KEPT_MAX })

  constructor(definitions: readonly CredentialDefinition[], options: CredentialStoreOptions) {
    const { environment, limits, placeholderKey, known } = options
    this.#placeholderKey = placeholderKey
    this.#definitions = new Map(definitions.map((definition) => [definition.name, definition]))
    this.#byHost = groupByHost(definitions)
    this.#sources = new Map(
      definitions.map((definition) => [
        definition.name,
        openSource(definition, environment, limits.secretBytesMax, known),
      ]),
    )
    known?.usePlaceholders((taskId) => this.placeholders(taskId))
  }

  /** Names in the order of the configuration. */
  names(): string[] {
    return [...this.#definitions.keys()]
  }

  /** Finds a credential by its name. */
  definition(name: string): CredentialDefinition | undefined {
    return this.#definitions.get(name)
  }

  /** Lists the credentials that are for a host and port: a destination with one is a brokered one. */
  definitionsFor(endpoint: Pick<Endpoint, 'host' | 'port'>): readonly CredentialDefinition[] {
    return this.#byHost.get(`${endpoint.host}:${endpoint.port}`) ?? NONE
  }

  /** Gives the value as it is now. @throws credential-unavailable */
  async secret(name: string): Promise<Secret> {
    const source = this.#sources.get(name)
    if (source === undefined) throw unknown(name)
    return source.secret()
  }

  /** Reads every value that there is, so that it is known before anybody can say it. */
  async readAll(): Promise<void> {
    await Promise.all(this.names().map((name) => this.isAvailable(name)))
  }

  /** Tells whether there is a value now. */
  async isAvailable(name: string): Promise<boolean> {
    try {
      await this.secret(name)
      return true
    } catch (error) {
      if (error instanceof EgressError) return false
      throw error
    }
  }

  /** Gives what stands for a credential in a task's sandbox. @throws credential-unavailable */
  placeholder(taskId: string, name: string): string {
    const definition = this.#definitions.get(name)
    if (definition === undefined) throw unknown(name)
    return derivePlaceholder(this.#placeholderKey, taskId, name, definition.placeholder)
  }

  /** Forgets what stands for credentials in a task's sandbox. */
  forgetTask(taskId: string): void {
    this.#placeholders.delete(taskId)
  }

  /** Gives all placeholders of a task by their text; the same map every time, while it is kept. */
  placeholders(taskId: string): ReadonlyMap<string, CredentialDefinition> {
    let all = this.#placeholders.get(taskId)
    if (all === undefined) {
      all = new Map(
        [...this.#definitions.values()].map((one) => [this.placeholder(taskId, one.name), one]),
      )
      this.#placeholders.set(taskId, all)
    }
    return all
  }
}

function groupByHost(
  definitions: readonly CredentialDefinition[],
): Map<string, readonly CredentialDefinition[]> {
  const groups = new Map<string, readonly CredentialDefinition[]>()
  for (const definition of definitions)
    for (const key of new Set(definition.hosts.map(({ host, port }) => `${host}:${port}`)))
      groups.set(key, [...(groups.get(key) ?? []), definition])
  return groups
}

function unknown(name: string): EgressError {
  return new EgressError('credential-unavailable', { credential: name, why: 'it is not defined' })
}
