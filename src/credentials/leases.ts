// What providers minted, task by task: two tasks never share a lease, and none is used beyond its task; what is the same for
// all tasks is held once, while one of them has it. Called by `store.ts`; the life of each is in `lease-holder.ts`.

import type { Limits } from '../limits.ts'
import type { Task } from '../tasks/task.ts'
import { unavailable } from './ask-problem.ts'
import type { Issuer, Minted } from './issuer.ts'
import type { KnownSecrets } from './known-secrets.ts'
import { viewOf, type DroppedLease } from './lease.ts'
import { LeaseHolder, type Subject } from './lease-holder.ts'
import type { LeaseWatcher } from './lease-watcher.ts'
import { joinStandings, type LeaseStanding } from './lease-standing.ts'
import { MintGate } from './mint-gate.ts'
import type { Secret } from './secret.ts'
import { MACHINE_TIMING, type Timing } from './timing.ts'

/** What leases need. */
export interface LeasesOptions {
  readonly issuers: ReadonlyMap<string, Issuer>
  readonly limits: Pick<Limits, 'providerTimeoutMs' | 'mintsAtOnceMax' | 'staticRefreshMs'>
  readonly known: Pick<KnownSecrets, 'learnLease'> | undefined
  /** Those above a task, its parent first. */
  readonly above: (task: Task) => readonly Task[]
  /** A task as it is now; undefined: it is not active. */
  readonly activeTask: (task: Task) => Task | undefined
  readonly watcher?: LeaseWatcher | undefined
  readonly timing?: Timing | undefined
}

/** One lease for all tasks, and who has it. */
interface Shared {
  readonly holder: LeaseHolder
  readonly tasks: Map<string, Task>
}

/** What belongs to one credential, whoever has a lease of it. */
interface Credential {
  readonly issuer: Issuer
  readonly gate: MintGate
  replaceableAt: number
}

/** Upstreams that refuse what they are sent make a credential be minted no oftener, over all tasks. */
const REPLACED_EVERY_MS = 1000
const NO_LEASES: readonly DroppedLease[] = []

/** The leases of all tasks. */
export class Leases {
  readonly #options: LeasesOptions
  readonly #timing: Timing
  readonly #credentials: ReadonlyMap<string, Credential>
  readonly #byTask: Map<string, Map<string, LeaseHolder>> = new Map()
  readonly #shared: Map<string, Shared> = new Map()

  constructor(options: LeasesOptions) {
    this.#options = options
    this.#timing = options.timing ?? MACHINE_TIMING
    const { issuers, limits } = options
    this.#credentials = new Map(
      [...issuers].map(([name, issuer]) => [
        name,
        { issuer, gate: new MintGate(limits.mintsAtOnceMax), replaceableAt: 0 },
      ]),
    )
  }

  /** Gives a task's secret as it is now, minted where there is none. @throws credential-unavailable */
  async secretFor(task: Task, name: string): Promise<Secret> {
    const credential = this.#credentials.get(name)
    if (credential === undefined) throw unavailable(name, 'it is not defined', {})
    if (this.#options.activeTask(task) === undefined)
      throw unavailable(name, 'the task is not active', {})
    return this.#holderFor(task, name, credential).secret()
  }

  /** Puts in place what came to a task by another way than minting; what was there is taken back. */
  async adopt(task: Task, name: string, minted: Minted): Promise<Secret> {
    const credential = this.#credentials.get(name)
    if (credential === undefined) throw unavailable(name, 'it is not defined', {})
    if (this.#options.activeTask(task) === undefined) {
      this.#options.watcher?.onOrphan?.(viewOf(name, task.id, minted))
      throw unavailable(name, 'the task is not active', {})
    }
    return this.#holderFor(task, name, credential).adopt(minted)
  }

  /** Another secret than one of a task's that an upstream refused; undefined where there is none, or none yet. */
  async inPlaceOf(task: Task, refused: Secret): Promise<Secret | undefined> {
    if (this.#options.activeTask(task) === undefined) return undefined
    return this.#holderOf(task.id, refused.name)?.inPlaceOf(refused)
  }

  /** What is held just now of a credential that is the same for all tasks; undefined where none of them has it. */
  sharedSecret(name: string): Secret | undefined {
    return this.#shared.get(name)?.holder.heldSecret
  }

  /** Takes all that a task has out of use. @returns what is to be taken back; what comes later is told as an orphan */
  async drop(taskId: string): Promise<readonly DroppedLease[]> {
    const holders = [...(this.#byTask.get(taskId)?.values() ?? [])]
    this.#byTask.delete(taskId)
    for (const [name, { holder, tasks }] of this.#shared) {
      if (!tasks.delete(taskId) || tasks.size > 0) continue
      this.#shared.delete(name)
      holders.push(holder)
    }
    if (holders.length === 0) return NO_LEASES
    return (await Promise.all(holders.map((holder) => holder.drop()))).flat()
  }

  /** Takes what all tasks have of one credential out of use. */
  async dropCredential(name: string): Promise<void> {
    const shared = this.#shared.get(name)
    this.#shared.delete(name)
    const holders = [...this.#byTask.values()].flatMap((byName) => {
      const holder = byName.get(name)
      byName.delete(name)
      return holder ?? []
    })
    await Promise.all([...holders, ...(shared ? [shared.holder] : [])].map((one) => one.drop()))
  }

  /** How a credential stands over all tasks; undefined where nothing mints it. */
  standing(name: string): LeaseStanding | undefined {
    if (!this.#credentials.has(name)) return undefined
    const holders = [...this.#byTask.values()].flatMap((byName) => byName.get(name) ?? [])
    const shared = this.#shared.get(name)?.holder
    return joinStandings([...holders, ...(shared ? [shared] : [])].map((one) => one.standing))
  }

  #holderOf(taskId: string, name: string): LeaseHolder | undefined {
    return this.#byTask.get(taskId)?.get(name) ?? this.#shared.get(name)?.holder
  }

  #holderFor(task: Task, name: string, credential: Credential): LeaseHolder {
    if (credential.issuer.isStatic) return this.#sharedFor(task, name, credential)
    let holders = this.#byTask.get(task.id)
    if (holders === undefined) this.#byTask.set(task.id, (holders = new Map()))
    let holder = holders.get(name)
    if (holder === undefined) {
      holder = this.#makeHolder(name, task.id, credential, () => this.#subjectOf(task))
      holders.set(name, holder)
    }
    return holder
  }

  #sharedFor(task: Task, name: string, credential: Credential): LeaseHolder {
    let shared = this.#shared.get(name)
    if (shared === undefined) {
      const tasks = new Map<string, Task>()
      const subject = (): Subject | undefined => this.#firstActive(tasks)
      shared = { holder: this.#makeHolder(name, undefined, credential, subject), tasks }
      this.#shared.set(name, shared)
    }
    shared.tasks.set(task.id, task)
    return shared.holder
  }

  #firstActive(tasks: ReadonlyMap<string, Task>): Subject | undefined {
    for (const task of tasks.values()) {
      const subject = this.#subjectOf(task)
      if (subject !== undefined) return subject
    }
    return undefined
  }

  #subjectOf(task: Task): Subject | undefined {
    const now = this.#options.activeTask(task)
    return now && { task: now, above: this.#options.above(now) }
  }

  #makeHolder(
    name: string,
    taskId: string | undefined,
    credential: Credential,
    subject: () => Subject | undefined,
  ): LeaseHolder {
    const { limits, known, watcher = {} } = this.#options
    const { issuer, gate } = credential
    return new LeaseHolder({
      credential: name,
      taskId,
      issuer,
      gate,
      timing: this.#timing,
      providerTimeoutMs: limits.providerTimeoutMs,
      staticRefreshMs: issuer.isStatic ? limits.staticRefreshMs : undefined,
      learn: (values) => known?.learnLease(values) ?? (() => undefined),
      subject,
      mayReplace: () => this.#mayReplace(credential),
      watcher,
    })
  }

  #mayReplace(credential: Credential): boolean {
    const now = this.#timing.now()
    if (now < credential.replaceableAt) return false
    credential.replaceableAt = now + REPLACED_EVERY_MS
    return true
  }
}
