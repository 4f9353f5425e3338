// What lets something through beyond the rules and tasks as they were: a task that lives longer than it was to, one that
// may do more since rules were edited, the configuration's own begun anew, rules and tasks that only observe. Each waits until
// somebody else than who made it has looked at it. Kept on the disk. Filled by what puts events on record and by the
// rules; shown and reviewed by `control/`.

import path from 'node:path'

import { makeUlid } from '../wire/ulid.ts'
import { ControlError } from './control-error.ts'
import { StateLog } from './state-log.ts'
import type { Task } from './task.ts'
import type { Actor, OverrideView } from './view.ts'

/** What keeping overrides needs. */
export interface OverrideOptions {
  readonly stateDir: string
  /** Puts a review on record. */
  readonly onReviewed: (detail: Readonly<Record<string, unknown>>) => void
  /** Told where one could not be written down: it counts until the next start. */
  readonly onProblem: (error: unknown) => void
  /** Epoch milliseconds. */
  readonly now: () => number
}

interface KeptOverride extends OverrideView {
  readonly reviewed: boolean
}

const FILE = 'overrides.ndjson'
const KINDS: ReadonlySet<string> = new Set([
  'task-extended',
  'task-widened',
  'task-renewed',
  'task-observing',
])

/** Unreviewed ones that are kept; beyond, the oldest go: their number says enough by then. */
const OVERRIDES_MAX = 10_000

/** The overrides of one sidecar. */
export class Overrides {
  readonly #options: OverrideOptions
  readonly #log: StateLog<KeptOverride>
  /** Those that wait, by kind and what they are about. */
  readonly #waiting: Map<string, KeptOverride> = new Map()
  #beyond = 0

  /** @throws Error where the file cannot be read */
  constructor(options: OverrideOptions) {
    this.#options = options
    this.#log = new StateLog(path.join(options.stateDir, FILE), isKept)
    for (const one of this.#log.values()) {
      if (one.count > 0) this.#waiting.set(keyOf(one), one)
      else this.#log.forget(one.id)
    }
  }

  /** How many wait for a review. */
  get unreviewed(): number {
    let count = this.#beyond
    for (const { reviewed } of this.#waiting.values()) if (!reviewed) count += 1
    return count
  }

  /** Those that wait, the oldest first. */
  list(): OverrideView[] {
    return [...this.#waiting.values()].filter(({ reviewed }) => !reviewed).map(viewOf)
  }

  /** Notes an event that may be one. @param by who caused it; undefined: the rule files, or the program itself */
  noteEvent(action: string, task: Task | undefined, by: string | undefined): void {
    if (task === undefined || !KINDS.has(action)) return
    this.#note({ kind: action, about: task.id, team: task.owner.team }, by)
  }

  /** Takes the rule sets with rules that only observe, as they are in force now, each as `name@version`. */
  noteObserved(sets: readonly string[]): void {
    for (const [key, one] of this.#waiting)
      if (one.kind === 'observe' && !sets.includes(one.about)) this.#drop(key, one)
    for (const about of sets)
      if (!this.#waiting.has(keyOf({ kind: 'observe', about })))
        this.#note({ kind: 'observe', about }, undefined)
  }

  /**
   * Takes one as looked at.
   * @throws ControlError not-found; principal-not-allowed where it is the reviewer's own
   */
  review(id: string, actor: Actor): OverrideView {
    const found = [...this.#waiting.entries()].find(([, one]) => one.id === id && !one.reviewed)
    if (found === undefined)
      throw new ControlError('not-found', 'no override that waits has that id', '/id')
    const [key, one] = found
    if (one.by.includes(actor.name))
      throw new ControlError('principal-not-allowed', 'who made an override does not review it')
    // What observes is remembered as long as it is in force: it is no news at the next start.
    if (one.kind === 'observe') this.#keep(key, { ...one, reviewed: true })
    else this.#drop(key, one)
    const { kind, about, by, count } = one
    this.#options.onReviewed({ override: id, kind, about, by, count, actor: actor.name })
    return viewOf(one)
  }

  close(): void {
    this.#log.close()
  }

  #note(what: Pick<OverrideView, 'kind' | 'about' | 'team'>, by: string | undefined): void {
    const key = keyOf(what)
    const at = this.#options.now()
    const time = new Date(at).toISOString()
    const known = this.#waiting.get(key)
    if (known === undefined && this.#waiting.size >= OVERRIDES_MAX) this.#dropOldest()
    const makers = by === undefined || known?.by.includes(by) === true ? [] : [by]
    this.#keep(key, {
      ...what,
      id: known?.id ?? `o_${makeUlid(at).toLowerCase()}`,
      by: [...(known?.by ?? []), ...makers],
      count: (known?.count ?? 0) + 1,
      first: known?.first ?? time,
      last: time,
      reviewed: false,
    })
  }

  #dropOldest(): void {
    for (const [key, one] of this.#waiting) {
      this.#drop(key, one)
      if (!one.reviewed) this.#beyond += 1
      return
    }
  }

  #keep(key: string, one: KeptOverride): void {
    this.#waiting.set(key, one)
    this.#write(one)
  }

  #drop(key: string, one: KeptOverride): void {
    this.#waiting.delete(key)
    // With no count it is gone also after a restart.
    this.#write({ ...one, count: 0 })
    this.#log.forget(one.id)
  }

  #write(one: KeptOverride): void {
    try {
      this.#log.append(one, false)
    } catch (error) {
      this.#options.onProblem(error)
    }
  }
}

function keyOf({ kind, about }: Pick<OverrideView, 'kind' | 'about'>): string {
  return `${kind} ${about}`
}

function viewOf(kept: KeptOverride): OverrideView {
  const { id, kind, about, team, by, count, first, last } = kept
  return { id, kind, about, ...(team !== undefined && { team }), by, count, first, last }
}

function isKept(value: unknown): value is KeptOverride {
  if (typeof value !== 'object' || value === null) return false
  return ['id', 'kind', 'about', 'by', 'count', 'reviewed'].every((name) => name in value)
}
