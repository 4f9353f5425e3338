// How many names a tree of tasks has resolved for the first time within a minute: a name that an agent chose below a wildcard
// carries to whoever serves it what the agent likes, so there have to be few. Names that people wrote do not count. In memory
// alone: a restart begins anew. Asked by the dialer before any resolver is; ends with the tree's root.

import { EgressError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import { SlidingCount } from '../tasks/sliding-count.ts'
import { detachText } from '../wire/authority.ts'

/** What counting needs. */
export interface NewNamesOptions {
  readonly limits: Pick<Limits, 'newNamesPerMinute'>
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number
}

/** A name that is about to be resolved for a call. */
export interface AskedName {
  /** The task at the root of the call's own: what its children ask for counts together. */
  readonly rootId: string
  /** In normal form. */
  readonly host: string
  /** Whether rules write it out. */
  readonly isWritten: () => boolean
}

interface Asked {
  readonly known: Set<string>
  readonly count: SlidingCount
}

const WINDOW_MS = 60_000
const BUCKETS = 60
// Beyond, those that came first count as new again.
const KNOWN_MAX = 2000

/** The names of all trees of tasks. */
export class NewNames {
  readonly #options: NewNamesOptions
  readonly #byRoot: Map<string, Asked> = new Map()

  constructor(options: NewNamesOptions) {
    this.#options = options
  }

  /** Counts a name, where it is new. @throws quota-exceeded where it is one too many: nobody may be asked for it now */
  admit({ rootId, host, isWritten }: AskedName): void {
    const asked = this.#byRoot.get(rootId)
    if (asked?.known.has(host) === true || isWritten()) return
    const { known, count } = asked ?? this.#begin(rootId)
    const { now, limits } = this.#options
    const at = now()
    const max = limits.newNamesPerMinute
    if (count.sum(at) >= max) {
      const wait = Math.max(1, Math.ceil(count.waitMs(at, max - 1) / 1000))
      throw new EgressError('quota-exceeded', { limit: 'newNamesPerMinute', max }, { wait })
    }
    count.add(at, 1)
    known.add(detachText(host))
    const [first] = known
    if (known.size > KNOWN_MAX && first !== undefined) known.delete(first)
  }

  /** Forgets the names of a root. @returns how many */
  forget(rootId: string): number {
    const forgotten = this.#byRoot.get(rootId)?.known.size ?? 0
    this.#byRoot.delete(rootId)
    return forgotten
  }

  #begin(rootId: string): Asked {
    const begun = { known: new Set<string>(), count: new SlidingCount(WINDOW_MS, BUCKETS) }
    this.#byRoot.set(rootId, begun)
    return begun
  }
}
