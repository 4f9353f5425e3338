// What providers minted, task by task: two tasks never share a lease, and none is used beyond its task. Called by `store.ts`.

import { EgressError } from '../errors.ts'
import type { Task } from '../tasks/task.ts'
import { ProviderError, type Issuer, type Minted } from './issuer.ts'
import type { KnownSecrets } from './known-secrets.ts'
import type { Secret } from './secret.ts'
import { makeSecret } from './vault.ts'

/** What leases need. */
export interface LeasesOptions {
  readonly issuers: ReadonlyMap<string, Issuer>
  readonly limits: { readonly providerTimeoutMs: number }
  readonly known: KnownSecrets | undefined
  /** Those above a task, its parent first. */
  readonly above: (task: Task) => readonly Task[]
  /** Epoch milliseconds. */
  readonly now: () => number
}

interface Lease {
  readonly minted: Minted
  readonly secret: Secret
}

/** The leases of all tasks. */
export class Leases {
  readonly #options: LeasesOptions
  readonly #byTask: Map<string, Map<string, Promise<Lease>>> = new Map()

  constructor(options: LeasesOptions) {
    this.#options = options
  }

  /** Gives a task's secret as it is now, minted where there is none. @throws credential-unavailable */
  async secretFor(task: Task, name: string): Promise<Secret> {
    const leases = this.#byTask.get(task.id) ?? new Map<string, Promise<Lease>>()
    this.#byTask.set(task.id, leases)
    let lease = leases.get(name)
    if (lease === undefined) {
      lease = this.#mint(task, name)
      leases.set(name, lease)
      lease.catch(() => leases.delete(name))
    }
    const { minted, secret } = await lease
    if ((minted.expiresAt ?? Infinity) > this.#options.now()) return secret
    leases.delete(name)
    return this.secretFor(task, name)
  }

  /** Puts in place what came to a task by another way than minting; what was there is taken back. */
  async adopt(task: Task, name: string, minted: Minted): Promise<Secret> {
    const leases = this.#byTask.get(task.id) ?? new Map<string, Promise<Lease>>()
    this.#byTask.set(task.id, leases)
    const before = leases.get(name)
    const lease = this.#keep(name, minted)
    leases.set(name, Promise.resolve(lease))
    const { handle } = (await before)?.minted ?? {}
    const signal = AbortSignal.timeout(this.#options.limits.providerTimeoutMs)
    // What cannot be taken back now is over by itself.
    if (handle)
      await this.#options.issuers
        .get(name)
        ?.revoke?.(handle, signal)
        .catch(() => undefined)
    return lease.secret
  }

  /** Takes back all that a task has. */
  async endTask(taskId: string): Promise<void> {
    const leases = this.#byTask.get(taskId) ?? new Map<string, Promise<Lease>>()
    this.#byTask.delete(taskId)
    const signal = AbortSignal.timeout(this.#options.limits.providerTimeoutMs)
    for (const [name, lease] of leases) {
      const { minted } = await lease
      if (minted.handle) await this.#options.issuers.get(name)?.revoke?.(minted.handle, signal)
    }
  }

  async #mint(task: Task, name: string): Promise<Lease> {
    const { issuers, limits, above } = this.#options
    const issuer = issuers.get(name)
    if (issuer === undefined) throw unavailable(name, 'it is not defined')
    try {
      const minted = await issuer.mint({
        task,
        above: above(task),
        notAfter: task.expiresAt,
        signal: AbortSignal.timeout(limits.providerTimeoutMs),
      })
      return this.#keep(name, minted)
    } catch (error) {
      if (error instanceof ProviderError) throw unavailable(name, error.message, error)
      throw error
    }
  }

  #keep(name: string, minted: Minted): Lease {
    const { material } = minted
    for (const text of Object.values(material)) this.#options.known?.learn(name, text)
    return { minted, secret: makeSecret(name, material['value'] ?? '', material) }
  }
}

function unavailable(name: string, why: string, cause?: unknown): EgressError {
  return new EgressError(
    'credential-unavailable',
    { credential: name, why },
    cause === undefined ? {} : { cause },
  )
}
