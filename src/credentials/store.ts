// All credentials of a sidecar: what is defined, for which hosts, what stands for them in a sandbox, and their values as
// Secrets. Made by `sidecar.ts`; asked by `stages.ts` and `cli/env.ts`.

import { LRUCache } from 'lru-cache'

import { EgressError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import type { Task } from '../tasks/task.ts'
import type { Endpoint } from '../wire/authority.ts'
import { unavailable } from './ask-problem.ts'
import { capturesOf, type Capture } from './captures.ts'
import type { KnownSecrets } from './known-secrets.ts'
import { derivePlaceholder, piecesOf, type HeldPlaceholder } from './placeholder.ts'
import type { Secret } from './secret.ts'
import { placeholdersOf, type CredentialDefinition } from './definition.ts'
import { ProviderError, type CapturedToken, type Issuer } from './issuer.ts'
import type { LeaseStanding } from './lease-standing.ts'
import type { LeaseWatcher } from './lease-watcher.ts'
import { Leases, type LeasesOptions } from './leases.ts'
import { standInVariables } from './stand-ins.ts'
import { formFor, openSource, readOther, type SecretSource } from './local-source.ts'

/** What a store needs. */
export interface CredentialStoreOptions {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly limits: Pick<Limits, 'secretBytesMax'> & LeasesOptions['limits']
  /** 32 bytes, of the installation. */
  readonly placeholderKey: Uint8Array
  /** Told of every value that is read, and where placeholders are. */
  readonly known?: KnownSecrets
  /** What mints, by the credential's name: for each whose source is not on this machine. */
  readonly issuers?: ReadonlyMap<string, Issuer>
  /** Those above a task, its parent first. */
  readonly above?: (task: Task) => readonly Task[]
  /** A task as it is now; undefined: it is not active. Absent: each is, as it was. */
  readonly activeTask?: (task: Task) => Task | undefined
  /** Told of leases. */
  readonly watcher?: LeaseWatcher
}

const NONE: readonly CredentialDefinition[] = []
/** Values of one credential that are looked for in what comes back to a task, the latest. */
const USED_EACH_MAX = 8
const NO_SECRETS: readonly Secret[] = []
const NO_CAPTURES: readonly Capture[] = []
// Placeholders are derived, so one that was pushed out is made again.
const TASKS_KEPT_MAX = 1000

/** The credentials that are defined, by name, by host and by task. */
export class CredentialStore {
  readonly #placeholderKey: Uint8Array
  readonly #definitions: ReadonlyMap<string, CredentialDefinition>
  readonly #standIns: readonly CredentialDefinition[]
  readonly #byHost: ReadonlyMap<string, readonly CredentialDefinition[]>
  readonly #captures: ReadonlyMap<string, readonly Capture[]>
  /** Of those that are on this machine. */
  readonly #sources: ReadonlyMap<string, SecretSource>
  readonly #issuers: ReadonlyMap<string, Issuer>
  readonly #leases: Leases
  readonly #activeTask: (task: Task) => Task | undefined
  /** The secrets that a task was given, by their credentials' names; a new list for every change. */
  readonly #used: Map<string, readonly Secret[]> = new Map()
  readonly #placeholders: LRUCache<string, ReadonlyMap<string, HeldPlaceholder>> = new LRUCache({
    max: TASKS_KEPT_MAX,
  })

  constructor(definitions: readonly CredentialDefinition[], options: CredentialStoreOptions) {
    const { environment, limits, placeholderKey, known } = options
    this.#placeholderKey = placeholderKey
    this.#definitions = new Map(definitions.map((definition) => [definition.name, definition]))
    this.#standIns = definitions.filter(({ answers }) => answers !== undefined)
    this.#byHost = groupByHost(definitions)
    this.#captures = capturesOf(definitions)
    this.#sources = new Map(
      definitions.flatMap(({ name, source, inject }) => {
        if (source.kind !== 'local' || options.issuers?.has(name) === true) return []
        const form = formFor(source.format, inject)
        const bytesMax = limits.secretBytesMax
        return [[name, openSource(name, source.from, { environment, bytesMax, form, known })]]
      }),
    )
    this.#issuers = options.issuers ?? new Map()
    this.#activeTask = options.activeTask ?? ((task) => task)
    this.#leases = new Leases({
      issuers: this.#issuers,
      limits,
      known,
      above: options.above ?? (() => []),
      activeTask: this.#activeTask,
      watcher: options.watcher,
    })
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

  /** Names of those whose value is the same for all tasks and valid beyond them, in the order of the configuration. */
  staticNames(): string[] {
    return this.names().filter((name) => this.isStatic(name))
  }

  /** Whether its value is the same for all tasks and valid beyond them. */
  isStatic(name: string): boolean {
    return this.#issuers.get(name)?.isStatic ?? true
  }

  /** Gives the value of one that is on this machine, as it is now. @throws credential-unavailable */
  async secret(name: string): Promise<Secret> {
    const source = this.#sources.get(name)
    if (source === undefined) throw unknown(name)
    return source.secret()
  }

  /** Gives a task its secret as it is now. @throws credential-unavailable */
  async secretFor(task: Task, name: string): Promise<Secret> {
    const source = this.#sources.get(name)
    const secret = await (source?.secret() ?? this.#leases.secretFor(task, name))
    this.#noteUsed(task, secret)
    return secret
  }

  /** Whether tokens that come back from an endpoint are captured, whatever its path. */
  capturesAt({ host, port }: Pick<Endpoint, 'host' | 'port'>): readonly Capture[] {
    return this.#captures.get(`${host}:${port}`) ?? NO_CAPTURES
  }

  /** Takes what a client in the sandbox was given in place of it: it is the task's from now on. */
  async capture(task: Task, name: string, token: CapturedToken): Promise<void> {
    try {
      const minted = this.#issuers.get(name)?.take?.(token, task)
      if (minted === undefined) throw unknown(name)
      this.#noteUsed(task, await this.#leases.adopt(task, name, minted))
    } catch (error) {
      if (error instanceof ProviderError) throw unavailable(name, error.message, { cause: error })
      throw error
    }
  }

  /**
   * Gives a task another secret than one that an upstream refused: read anew, or minted anew where that was not just done.
   * @returns undefined where there is none
   */
  async secretInPlaceOf(task: Task, refused: Secret): Promise<Secret | undefined> {
    const source = this.#sources.get(refused.name)
    const secret = source
      ? await readOther(source, refused)
      : await this.#leases.inPlaceOf(task, refused)
    if (secret !== undefined) this.#noteUsed(task, secret)
    return secret
  }

  /** Whether `secretInPlaceOf` may ever give another one. */
  mayChange(name: string): boolean {
    return this.#sources.get(name)?.mayChange ?? true
  }

  /** How a credential that is minted stands; undefined where it is on this machine. */
  standing(name: string): LeaseStanding | undefined {
    return this.#leases.standing(name)
  }

  /** The value of one that is the same for all tasks, where it is there just now. @throws credential-unavailable */
  async staticSecret(name: string): Promise<Secret | undefined> {
    return this.#sources.has(name) ? this.secret(name) : this.#leases.sharedSecret(name)
  }

  /** Every secret that a task was given and may still use; the same list as long as nothing changes. */
  secretsOf(taskId: string): readonly Secret[] {
    return this.#used.get(taskId) ?? NO_SECRETS
  }

  /** Reads every value that there is, so that it is known before anybody can say it. */
  async readAll(): Promise<void> {
    await Promise.all([...this.#sources.keys()].map((name) => this.isAvailable(name)))
  }

  /** Tells whether one that is on this machine has a value now; what is minted is there once a task needs it. */
  async isAvailable(name: string): Promise<boolean> {
    if (this.#issuers.has(name)) return true
    try {
      await this.secret(name)
      return true
    } catch (error) {
      if (error instanceof EgressError) return false
      throw error
    }
  }

  /**
   * Gives what stands for a credential, or for a part of it, in a task's sandbox.
   * @param part default: its first
   * @throws credential-unavailable
   */
  placeholder(taskId: string, name: string, part?: string): string {
    const definition = this.#definitions.get(name)
    if (definition === undefined) throw unknown(name)
    const shape =
      part === undefined
        ? definition.placeholder
        : placeholdersOf(definition).find((one) => one.part === part)
    if (shape === undefined)
      throw new EgressError('credential-unavailable', { credential: name, why: 'no such part' })
    return derivePlaceholder(this.#placeholderKey, taskId, name, shape)
  }

  /** Gives the variables of a task's sandbox that hold placeholders or lead to them, in the order of the configuration. */
  placeholderVariables(taskId: string): Record<string, string> {
    return Object.fromEntries(
      [...this.#definitions.values()].flatMap((definition) => [
        ...placeholdersOf(definition).map((shape) => [
          shape.env,
          derivePlaceholder(this.#placeholderKey, taskId, definition.name, shape),
        ]),
        ...Object.entries(standInVariables(definition)),
      ]),
    )
  }

  /** Lists the credentials that clients ask others for, and are answered here. */
  standIns(): readonly CredentialDefinition[] {
    return this.#standIns
  }

  /** Takes what was minted for a task out of use, and forgets what stands for credentials in its sandbox. */
  async endTask(taskId: string): Promise<void> {
    this.#placeholders.delete(taskId)
    this.#used.delete(taskId)
    await this.#leases.drop(taskId)
  }

  /** Forgets what was minted of one credential, for whichever task: it is minted anew where it may be used again. */
  dropLeases(name: string): void {
    void this.#leases.dropCredential(name)
  }

  // A call that was still under way as its task ended brings nothing back.
  #noteUsed(task: Task, secret: Secret): void {
    if (this.#activeTask(task) === undefined) return
    const used = this.#used.get(task.id) ?? NO_SECRETS
    if (used.includes(secret)) return
    // What it follows was sent, and may come back and work for a while.
    const before = used.filter(({ name }) => name === secret.name).slice(1 - USED_EACH_MAX)
    this.#used.set(task.id, [...used.filter(({ name }) => name !== secret.name), ...before, secret])
  }

  /** Gives all placeholders of a task by their text; the same map every time, while it is kept. */
  placeholders(taskId: string): ReadonlyMap<string, HeldPlaceholder> {
    let all = this.#placeholders.get(taskId)
    if (all === undefined) {
      all = new Map(
        [...this.#definitions.values()].flatMap((definition) =>
          placeholdersOf(definition).map((shape) => {
            const text = derivePlaceholder(this.#placeholderKey, taskId, definition.name, shape)
            return [text, { definition, part: shape.part, pieces: piecesOf(text, shape) }]
          }),
        ),
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
