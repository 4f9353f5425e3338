// The holds that are kept: on the disk, by id and by what they are for, and how many are open of whom. Those that came to an
// end are kept for a while, to be shown. Deliberately knows no clients and no answers: `holds.ts` does, which made it.

import path from 'node:path'

import { StateLog } from '../../tasks/state-log.ts'
import { isKeptHold, isOpen, type KeptHold } from './kept-hold.ts'

const FILE = 'holds.ndjson'
/** Holds that came to an end, to be shown; beyond, those that ended first are forgotten. */
const ENDED_MAX = 1000

/** The holds of one sidecar. */
export class HoldBook {
  readonly #log: StateLog<KeptHold>
  /** In the order in which they were opened. */
  readonly #holds: Map<string, KeptHold> = new Map()
  /** The latest hold of a task for a digest. */
  readonly #byCall: Map<string, string> = new Map()
  readonly #openByTask: Map<string, number> = new Map()
  readonly #ended: Set<string> = new Set()
  readonly #onProblem: (error: unknown) => void
  #open = 0

  /** @throws Error where the file cannot be read, or a line of it is not what was written */
  constructor(stateDir: string, onProblem: (error: unknown) => void) {
    this.#onProblem = onProblem
    this.#log = new StateLog(path.join(stateDir, FILE), isKeptHold)
    const kept = [...this.#log.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1))
    for (const hold of kept) this.#index(hold)
  }

  /** How many are open. */
  get open(): number {
    return this.#open
  }

  openOf(taskId: string): number {
    return this.#openByTask.get(taskId) ?? 0
  }

  /** All of them, those opened first first. */
  values(): IterableIterator<KeptHold> {
    return this.#holds.values()
  }

  get(id: string): KeptHold | undefined {
    return this.#holds.get(id)
  }

  /** The latest hold of a task for a call. */
  find(taskId: string, digest: string): KeptHold | undefined {
    return this.#holds.get(this.#byCall.get(keyOf(taskId, digest)) ?? '')
  }

  /**
   * Keeps a hold as it is now; where it cannot be written down it stays as it was.
   * @param isSynced wait for the disk: what takes leave away has to survive the machine
   * @throws Error of the system
   */
  put(hold: KeptHold, isSynced: boolean): KeptHold {
    this.#log.append(hold, isSynced)
    this.#index(hold)
    return hold
  }

  /** Keeps a hold that lets nothing through any more, also where that cannot be written down. */
  end(hold: KeptHold): KeptHold {
    try {
      return this.put(hold, true)
    } catch (error) {
      this.#onProblem(error)
      this.#index(hold)
      return hold
    }
  }

  close(): void {
    this.#log.close()
  }

  #index(hold: KeptHold): void {
    const { id, task, digest } = hold
    const before = this.#holds.get(id)
    const opens = Number(isOpen(hold)) - Number(before !== undefined && isOpen(before))
    this.#open += opens
    const open = this.openOf(task.id) + opens
    if (open > 0) this.#openByTask.set(task.id, open)
    else this.#openByTask.delete(task.id)
    this.#holds.set(id, hold)
    this.#byCall.set(keyOf(task.id, digest), id)
    if (isOpen(hold)) return
    this.#ended.add(id)
    if (this.#ended.size > ENDED_MAX) this.#forgetFirst()
  }

  #forgetFirst(): void {
    const [id] = this.#ended
    const hold = id === undefined ? undefined : this.#holds.get(id)
    if (hold === undefined) return
    this.#ended.delete(hold.id)
    this.#holds.delete(hold.id)
    this.#log.forget(hold.id)
    const key = keyOf(hold.task.id, hold.digest)
    if (this.#byCall.get(key) === hold.id) this.#byCall.delete(key)
  }
}

function keyOf(taskId: string, digest: string): string {
  return `${taskId} ${digest}`
}
