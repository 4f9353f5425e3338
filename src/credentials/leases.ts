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

/** A lease that a task does not have any more. */
export interface DroppedLease {
  readonly credential: string
  readonly minted: Omit<Minted, 'material'>
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

  /** Forgets all that a task has. @returns what it had; what is being minted for it is not among them */
  async drop(taskId: string): Promise<DroppedLease[]> {
    const leases = [...(this.#byTask.get(taskId) ?? [])]
    this.#byTask.delete(taskId)
    const dropped = await Promise.allSettled(
      leases.map(async ([credential, lease]): Promise<DroppedLease> => {
        const { material: _, ...minted } = (await lease).minted
        return { credential, minted }
      }),
    )
    return dropped.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  }

  /** Forgets what all tasks have of one credential. */
  dropCredential(name: string): void {
    for (const leases of this.#byTask.values()) leases.delete(name)
  }

  async #mint(task: Task, name: string): Promise<Lease> {
    const { issuers, limits, known, above } = this.#options
    const issuer = issuers.get(name)
    if (issuer === undefined) throw unavailable(name, 'it is not defined')
    try {
      const minted = await issuer.mint({
        task,
        above: above(task),
        notAfter: task.expiresAt,
        signal: AbortSignal.timeout(limits.providerTimeoutMs),
      })
      const { material } = minted
      for (const text of Object.values(material)) known?.learn(name, text)
      return { minted, secret: makeSecret(name, material['value'] ?? '', material) }
    } catch (error) {
      if (error instanceof ProviderError) throw unavailable(name, error.message, error)
      throw error
    }
  }
}

function unavailable(name: string, why: string, cause?: unknown): EgressError {
  return new EgressError(
    'credential-unavailable',
    { credential: name, why },
    cause === undefined ? {} : { cause },
  )
}
