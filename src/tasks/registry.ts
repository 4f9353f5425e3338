// All tasks of a sidecar: found by id, token, subject, key, instance and sandbox; moved by the table of `states.ts` alone;
// kept on the disk, so that what was ending goes on ending and what ended stays so. Deliberately checks no definition
// (`create.ts`) and watches no clock (`watch.ts`). Made by `sidecar.ts`.

import path from 'node:path'

import type { Limits } from '../limits.ts'
import type { TaskClock } from './clock.ts'
import { endAll } from './end-all.ts'
import type { EndingSaga } from './ending.ts'
import { hashToken, TaskEntry, type KeptTask } from './entry.ts'
import { isKeptTask } from './kept.ts'
import { endedChildOf, teardownOf } from './receipt.ts'
import { StateLog } from './state-log.ts'
import { isOver, transitionFor, type Cause, type Transition } from './states.ts'
import type { Task, TaskStanding } from './task.ts'
import { TaskIndex } from './task-index.ts'
import type { Actor, Receipt } from './view.ts'

/** What is told of a move. */
export interface Move {
  readonly entry: TaskEntry
  readonly transition: Transition
  readonly cause: Cause
  readonly actor: string
  readonly reason: string | undefined
}

/** What a registry needs. */
export interface RegistryOptions {
  readonly stateDir: string
  readonly clock: TaskClock
  readonly limits: Pick<Limits, 'tasksEndedMax'>
  readonly saga: EndingSaga
  /** Told of every transition, once it is in force: each is a record. */
  readonly onMove: (move: Move) => void
  /** Whether nothing may begin for the agent and owner of a task at the moment. */
  readonly isBarred: (task: Task) => boolean
  /** Told of the receipt of every ending, and again where a sandbox is gone at last. */
  readonly onReceipt: (entry: TaskEntry, receipt: Receipt) => void
  /** Told of a task that ends and whose end is not on the disk: a start must find another sign of it. */
  readonly onUnsavedEnd: (entry: TaskEntry) => void
  /** Told of a task that is forgotten at last. */
  readonly onForgotten: (id: string) => void
  /** Told where a change could not be written down; it is in force, and tried again. */
  readonly onProblem: (error: unknown) => void
}

/** How a task is moved. */
interface MoveOptions {
  readonly reason?: string | undefined
  /** Members that change with the state. */
  readonly change?: Partial<KeptTask>
}

/** The sidecar itself, as the one who moves a task. */
export const SIDECAR: Actor = { kind: 'sidecar', name: 'sidecar' }

const TASKS_FILE = 'tasks.ndjson'

/** The tasks. */
export class TaskRegistry {
  readonly #options: RegistryOptions
  readonly #log: StateLog<KeptTask>
  readonly #index = new TaskIndex()
  /** In force, and not on the disk yet. */
  readonly #unsaved: Set<TaskEntry> = new Set()

  /** Reads what is kept. @throws Error where it cannot be read or written */
  constructor(options: RegistryOptions) {
    this.#options = options
    this.#log = new StateLog(path.join(options.stateDir, TASKS_FILE), isKeptTask)
    for (const kept of this.#log.values()) {
      options.clock.see(kept.since)
      this.#index.add(this.#enter(kept))
    }
  }

  /** Every task that is held, ended ones included. */
  get entries(): TaskIndex {
    return this.#index
  }

  /** The task whose token this is. */
  byToken(token: string): TaskEntry | undefined {
    const hash = hashToken(token)
    const entry = this.#index.byTokenHash(hash)
    return entry?.hasTokenHash(hash) === true ? entry : undefined
  }

  /** The tasks above, the parent first; undefined where one of them is not known any more. */
  ancestors(task: Task): readonly TaskEntry[] | undefined {
    const above: TaskEntry[] = []
    for (let at = task.path.length - 2; at >= 0; at -= 1) {
      const entry = this.#index.get(task.path[at]!)
      if (entry === undefined) return undefined
      above.push(entry)
    }
    return above
  }

  /** The task itself, or the one above it that is not active: no child goes on where its parent does not (I9). */
  weakest(standing: TaskStanding): TaskStanding | undefined {
    if (standing.state !== 'active' || standing.task.path.length === 1) return standing
    const above = this.ancestors(standing.task)
    return above === undefined
      ? undefined
      : (above.find(({ state }) => state !== 'active') ?? standing)
  }

  /**
   * Takes a new task in.
   * @throws Error of the system where it cannot be written down: it does not exist then
   */
  add(kept: KeptTask): TaskEntry {
    this.#log.append(kept, false)
    const entry = this.#enter(kept)
    this.#index.add(entry)
    this.#tell(entry, transitionFor(undefined, kept.cause)!, kept.actor)
    return entry
  }

  /** Moves a task; false where its state does not know the way. */
  move(entry: TaskEntry, cause: Cause, actor: Actor, options: MoveOptions = {}): boolean {
    return this.moveAll([entry], cause, actor, options).length > 0
  }

  /** Moves tasks, with one wait for the disk. @returns those whose state knows the way */
  moveAll(
    entries: readonly TaskEntry[],
    cause: Cause,
    actor: Actor,
    options: MoveOptions = {},
  ): readonly TaskEntry[] {
    const moved = entries.flatMap((entry): [TaskEntry, Transition][] => {
      const transition = transitionFor(entry.kept.state, cause)
      if (transition === undefined) return []
      this.#change(entry, {
        ...options.change,
        state: transition.to,
        since: this.#options.clock.now(),
        cause,
        actor: actor.name,
      })
      return [[entry, transition]]
    })
    const isTakenAway = moved.some(([, { to }]) => to !== 'active')
    this.#save(
      moved.map(([entry]) => entry),
      isTakenAway,
    )
    for (const [entry, transition] of moved)
      this.#tell(entry, transition, actor.name, options.reason)
    return moved.map(([entry]) => entry)
  }

  /** Changes what is kept of a task beside its state. */
  update(entry: TaskEntry, change: Partial<KeptTask>): void {
    this.#change(entry, change)
    this.#save([entry], false)
  }

  /** Ends tasks and everything below them: none of them lets anything out from here on. Resolves with their receipts. */
  end(
    roots: readonly TaskEntry[],
    cause: Cause,
    actor: Actor,
    reason?: string,
  ): Promise<readonly (Receipt | undefined)[]> {
    const ending: [TaskEntry, Transition][] = []
    const revoke = (entry: TaskEntry, why: Cause): void => {
      const transition = transitionFor(entry.kept.state, why, 'revoking')
      if (transition !== undefined) {
        const since = this.#options.clock.now()
        const said = reason === undefined ? {} : { endReason: reason }
        this.#change(entry, { state: 'revoking', since, cause: why, actor: actor.name, ...said })
        ending.push([entry, transition])
      }
      for (const child of this.#index.childrenOf(entry)) revoke(child, 'parent-ended')
    }
    for (const root of roots) revoke(root, cause)
    const { onUnsavedEnd } = this.#options
    const ways = new Map(ending)
    void endAll([...ways.keys()], {
      save: (entries) => {
        this.#save(entries, true)
        for (const entry of entries) if (this.#unsaved.has(entry)) onUnsavedEnd(entry)
      },
      onMarked: (entry) => this.#tell(entry, ways.get(entry)!, actor.name, reason),
      finish: (entry) => this.#finish(entry),
    })
    return Promise.all(roots.map(receiptOf))
  }

  /** Says that a task goes on after a start of the sidecar. */
  tellContinued(entry: TaskEntry): void {
    const { state } = entry.kept
    this.#tell(entry, { from: state, to: state, causes: [], action: 'task-resumed' }, SIDECAR.name)
  }

  /** Goes on with the endings that the last process did not finish. */
  resumeEndings(): void {
    const open = [...this.#index.values()].filter(
      ({ kept, ending }) => kept.state === 'revoking' && ending === undefined,
    )
    void endAll(open, {
      save: undefined,
      onMarked: () => undefined,
      finish: (entry) => this.#finish(entry),
    })
  }

  /** Replaces the receipt of a task of which something is gone at last; the receipts of those above say so too. */
  amend(entry: TaskEntry, receipt: Receipt): void {
    this.update(entry, { receipt, teardown: teardownOf(receipt) })
    this.#options.onReceipt(entry, receipt)
    const parent = this.#index.get(entry.task.path.at(-2) ?? '')
    const above = parent?.kept.receipt
    const said = above && endedChildOf(above, receipt)
    if (parent && above && said) this.amend(parent, this.#options.saga.amend(above, said))
  }

  /** Writes down what could not be written before. */
  saveUnsaved(): void {
    if (this.#unsaved.size > 0) this.#save([...this.#unsaved], true)
  }

  close(): void {
    this.#log.close()
  }

  async #finish(entry: TaskEntry): Promise<Receipt> {
    const { saga, clock, onReceipt, onForgotten } = this.#options
    // Not before the caller has marked all that end together.
    await Promise.resolve()
    const children = Promise.all(this.#index.childrenOf(entry).map(receiptOf)).then((receipts) =>
      receipts.filter((receipt) => receipt !== undefined),
    )
    const receipt = await saga.run(entry, children, !this.#index.isSandboxShared(entry))
    const transition = transitionFor(entry.kept.state, 'torn-down')!
    this.#change(entry, {
      state: 'ended',
      since: clock.now(),
      receipt,
      teardown: teardownOf(receipt),
      credentialsUsed: [...entry.credentialsUsed],
    })
    this.#save([entry], false)
    saga.forget(entry.id)
    onReceipt(entry, receipt)
    this.#tell(entry, transition, entry.kept.actor, entry.kept.endReason)
    entry.ending = undefined
    for (const id of this.#index.dropOldestEnded(this.#options.limits.tasksEndedMax)) {
      this.#log.forget(id)
      onForgotten(id)
    }
    return receipt
  }

  #enter(kept: KeptTask): TaskEntry {
    return new TaskEntry(kept, this.#options.clock, (entry) => {
      if (entry.isExpired()) void this.end([entry], 'expired', SIDECAR)
      else if (!this.#options.isBarred(entry.task)) this.move(entry, 'begun', SIDECAR)
    })
  }

  #change(entry: TaskEntry, change: Partial<KeptTask>): void {
    const before = entry.kept
    entry.kept = { ...before, ...change }
    this.#index.update(entry, before)
  }

  // What cannot be written is in force all the same: an ending is never held up by a full disk.
  #save(entries: readonly TaskEntry[], isSynced: boolean): void {
    if (entries.length === 0) return
    try {
      this.#log.appendAll(
        entries.map(({ kept }) => kept),
        isSynced,
      )
      for (const entry of entries) this.#unsaved.delete(entry)
    } catch (error) {
      for (const entry of entries) this.#unsaved.add(entry)
      this.#options.onProblem(error)
    }
  }

  #tell(entry: TaskEntry, transition: Transition, actor: string, reason?: string): void {
    this.#options.onMove({ entry, transition, cause: entry.kept.cause, actor, reason })
  }
}

async function receiptOf(entry: TaskEntry): Promise<Receipt | undefined> {
  return entry.ending ?? entry.kept.receipt
}

/** Whether a task lets calls out or may do so again. */
export function isLive(entry: TaskEntry): boolean {
  return !isOver(entry.kept.state)
}
