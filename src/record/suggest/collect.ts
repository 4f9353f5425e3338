// What many records wanted, collected: equal things once with their numbers, and what is not suggested by its reason. Bounded.
// Pure. Called by `cli/suggest.ts`.

import type { FoundCall } from '../again/find.ts'
import { readWanted, type Wanted } from './wanted.ts'

/** Which refusals count. */
export type WantedKind = 'observed' | 'denied' | 'both'

/** One thing that was wanted, so many times. */
export interface Collected {
  readonly wanted: Wanted
  observed: number
  denied: number
}

/** Reasons for which nothing is suggested, and how often. */
export interface NotSuggested {
  readonly why: string
  readonly count: number
}

const WANTED_MAX = 20_000
const REASONS_MAX = 200
const TOO_MANY = `beyond ${String(WANTED_MAX)} different calls`

/** Collects. */
export class WantedCollection {
  readonly #kind: WantedKind
  readonly #wanted: Map<string, Collected> = new Map()
  readonly #notSuggested: Map<string, number> = new Map()

  constructor(kind: WantedKind) {
    this.#kind = kind
  }

  /** Takes a call or message. */
  add(found: FoundCall): void {
    const wanted = readWanted(found)
    if (wanted === undefined) return
    if ('why' in wanted) {
      this.leaveOut(wanted.why, 1)
      return
    }
    const { isObserved } = wanted
    if (this.#kind !== 'both' && (this.#kind === 'observed') !== isObserved) return
    const key = JSON.stringify({ ...wanted, isObserved: undefined })
    let collected = this.#wanted.get(key)
    if (collected === undefined) {
      if (this.#wanted.size >= WANTED_MAX) {
        this.leaveOut(TOO_MANY, 1)
        return
      }
      collected = { wanted, observed: 0, denied: 0 }
      this.#wanted.set(key, collected)
    }
    if (isObserved) collected.observed += 1
    else collected.denied += 1
  }

  /** Counts what is not suggested. */
  leaveOut(why: string, count: number): void {
    const key =
      this.#notSuggested.has(why) || this.#notSuggested.size < REASONS_MAX ? why : 'others'
    this.#notSuggested.set(key, (this.#notSuggested.get(key) ?? 0) + count)
  }

  /** What was wanted, in the order in which it was first seen. */
  get wanted(): readonly Collected[] {
    return [...this.#wanted.values()]
  }

  /** What is not suggested, the most frequent first. */
  get notSuggested(): readonly NotSuggested[] {
    return [...this.#notSuggested]
      .map(([why, count]) => ({ why, count }))
      .toSorted((one, other) => other.count - one.count || (one.why < other.why ? -1 : 1))
  }
}
