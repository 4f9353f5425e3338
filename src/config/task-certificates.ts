// Keeps the CAs of tasks as their rules and ends say. Where rules changed for all of them, or at a start, it does so in turns
// of the event loop; whoever asks for one that is due gets it brought up to date at once. Made by `task-room.ts`.

import { reachableHosts } from '../policy/reachable.ts'
import { isLive } from '../tasks/registry.ts'
import type { TaskEntry } from '../tasks/entry.ts'
import { inTurns } from '../tasks/turns.ts'
import type { LeafServers } from '../tls/contexts.ts'
import type { TaskAuthorities, TaskAuthority } from '../tls/task-ca.ts'
import type { Config } from './config.ts'
import type { TaskPolicies } from './task-policies.ts'

/** What it works with. */
export interface TaskCertificatesOptions {
  readonly refusals: Config['refusals']
  readonly policies: TaskPolicies
  readonly authorities: TaskAuthorities
  readonly leafServers: LeafServers
  /** Told where a CA cannot be written. */
  readonly onProblem: (error: unknown) => void
}

/** The CAs of the tasks of one room. */
export class TaskCertificates {
  readonly #options: TaskCertificatesOptions
  readonly #due: Map<string, TaskEntry> = new Map()
  #isBusy = false

  constructor(options: TaskCertificatesOptions) {
    this.#options = options
  }

  /** The CA of a task, up to date; undefined where it has none. */
  of(taskId: string): TaskAuthority | undefined {
    const entry = this.#due.get(taskId)
    if (entry !== undefined) this.certify(entry)
    return this.#options.authorities.of(taskId)
  }

  /** Makes a task's CA, or brings it up to date. @throws Error of the system */
  certify(entry: TaskEntry): void {
    const { authorities, leafServers, refusals, policies } = this.#options
    const { task } = entry
    this.#due.delete(task.id)
    // The task of the configuration has the installation's.
    if (entry.kept.isStatic || !isLive(entry)) return
    const { policy } = policies.policyOf(task)
    if (policy === undefined) return
    const { intercepted, passesThrough } = reachableHosts(policy)
    const before = authorities.of(task.id)
    // A refusal inside TLS has to be readable for any host, and what is only observed is any, so there the CA is not held to
    // the task's own.
    const isForAny = refusals.connect === 'inside' || task.observe === true
    const hosts = isForAny ? undefined : intercepted
    const after = authorities.issue(task, hosts, passesThrough)
    if (before !== undefined && before !== after) leafServers.dropTask(task.id)
  }

  /** Brings the CAs of tasks up to date soon, some of them before it returns. */
  certifyAll(entries: Iterable<TaskEntry>): void {
    for (const entry of entries) this.#due.set(entry.id, entry)
    if (this.#isBusy) return
    this.#isBusy = true
    void inTurns(this.#due.values(), (entry) => this.#try(entry)).finally(() => {
      this.#isBusy = false
    })
  }

  /** Leaves what is due to the next start. */
  close(): void {
    this.#due.clear()
  }

  #try(entry: TaskEntry): void {
    try {
      this.certify(entry)
    } catch (error) {
      this.#options.onProblem(error)
    }
  }
}
