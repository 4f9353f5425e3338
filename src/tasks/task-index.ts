// The tasks by everything that they are looked for by. Holds, forgets, and knows nothing of what a state means beyond over
// or not. Used by `registry.ts` and whoever it shows its entries to.

import type { KeptTask, TaskEntry } from './entry.ts'
import { isOver } from './states.ts'

/** The tasks that are held. */
export class TaskIndex {
  readonly #byId: Map<string, TaskEntry> = new Map()
  readonly #byTokenHash: Map<string, TaskEntry> = new Map()
  readonly #byKey: Map<string, TaskEntry> = new Map()
  readonly #byInstance: Map<string, TaskEntry> = new Map()
  /** Tasks that are not over only. */
  readonly #bySubject: Map<string, TaskEntry> = new Map()
  readonly #bySandbox: Map<string, Set<TaskEntry>> = new Map()
  readonly #live: Set<TaskEntry> = new Set()
  /** Those that ended and whose sandbox was not seen to end. */
  readonly unconfirmed: Set<TaskEntry> = new Set()
  /** In the order of their ends. */
  readonly #ended: Set<TaskEntry> = new Set()

  /** How many are held, ended ones included. */
  get size(): number {
    return this.#byId.size
  }

  /** Those that are not over. */
  get live(): ReadonlySet<TaskEntry> {
    return this.#live
  }

  values(): IterableIterator<TaskEntry> {
    return this.#byId.values()
  }

  get(id: string): TaskEntry | undefined {
    return this.#byId.get(id)
  }

  byTokenHash(hash: string): TaskEntry | undefined {
    return this.#byTokenHash.get(hash)
  }

  byKey(key: string): TaskEntry | undefined {
    return this.#byKey.get(key)
  }

  /** The task of an agent's instance, ended or not: an instance has one identity for its life. */
  byInstance(account: string, instance: string): TaskEntry | undefined {
    return this.#byInstance.get(instanceKey(account, instance))
  }

  /** The task that is not over and that a workload identity proves. */
  bySubject(subject: string): TaskEntry | undefined {
    return this.#bySubject.get(subject)
  }

  /** The tasks of a sandbox that are not over, or whose sandbox was not seen to end. */
  inSandbox(id: string): readonly TaskEntry[] {
    return [...(this.#bySandbox.get(id) ?? [])]
  }

  /** Whether another task that is not over lives in a task's sandbox. */
  isSandboxShared(entry: TaskEntry): boolean {
    return this.inSandbox(entry.task.sandbox.id).some(
      (other) => other !== entry && this.#live.has(other),
    )
  }

  /** The tasks directly below one. */
  childrenOf(entry: TaskEntry): readonly TaskEntry[] {
    return [...entry.children].flatMap((id) => this.#byId.get(id) ?? [])
  }

  add(entry: TaskEntry): void {
    const { id, key, task } = entry.kept
    this.#byId.set(id, entry)
    if (key !== undefined) this.#byKey.set(key, entry)
    this.#byInstance.set(instanceKey(task.agent.account, task.agent.instance), entry)
    const parent = task.path.at(-2)
    if (parent !== undefined) this.#byId.get(parent)?.children.add(id)
    this.update(entry, undefined)
  }

  /** Brings what depends on an entry's state up to date. */
  update(entry: TaskEntry, before: KeptTask | undefined): void {
    const { kept, task } = entry
    if (before?.tokenHash !== undefined && before.tokenHash !== kept.tokenHash)
      this.#byTokenHash.delete(before.tokenHash)
    if (kept.tokenHash !== undefined) this.#byTokenHash.set(kept.tokenHash, entry)
    const over = isOver(kept.state)
    const { subject, sandbox } = task
    if (over) this.#live.delete(entry)
    else this.#live.add(entry)
    if (kept.state === 'ended') this.#ended.add(entry)
    else this.#ended.delete(entry)
    if (subject !== undefined) {
      if (!over) this.#bySubject.set(subject, entry)
      else if (this.#bySubject.get(subject) === entry) this.#bySubject.delete(subject)
    }
    if (kept.state === 'ended' && kept.teardown === 'unconfirmed') this.unconfirmed.add(entry)
    else this.unconfirmed.delete(entry)
    const occupies = kept.state !== 'ended' || kept.teardown === 'unconfirmed'
    const occupants = this.#bySandbox.get(sandbox.id)
    if (occupies) {
      if (occupants) occupants.add(entry)
      else this.#bySandbox.set(sandbox.id, new Set([entry]))
    } else if (occupants?.delete(entry) === true && occupants.size === 0)
      this.#bySandbox.delete(sandbox.id)
  }

  /** Forgets the tasks that ended first, beyond a number; never one whose sandbox is in doubt. @returns their ids */
  dropOldestEnded(max: number): readonly string[] {
    const dropped: string[] = []
    for (const entry of this.#ended) {
      if (this.#ended.size <= max) break
      if (entry.kept.teardown === 'unconfirmed' || entry.kept.isStatic) continue
      this.#drop(entry)
      dropped.push(entry.id)
    }
    return dropped
  }

  #drop(entry: TaskEntry): void {
    const { id, key, tokenHash, task } = entry.kept
    this.#byId.delete(id)
    this.#ended.delete(entry)
    if (key !== undefined && this.#byKey.get(key) === entry) this.#byKey.delete(key)
    if (tokenHash !== undefined) this.#byTokenHash.delete(tokenHash)
    const instance = instanceKey(task.agent.account, task.agent.instance)
    if (this.#byInstance.get(instance) === entry) this.#byInstance.delete(instance)
    const parent = task.path.at(-2)
    if (parent !== undefined) this.#byId.get(parent)?.children.delete(id)
  }
}

function instanceKey(account: string, instance: string): string {
  return JSON.stringify([account, instance])
}
