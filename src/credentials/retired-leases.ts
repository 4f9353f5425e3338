// Leases that are out of use and valid still: calls that began with one may go on for a while, then it is told, to be taken
// back, and its values are forgotten. Made by `lease-holder.ts`.

import type { Lease, LeaseView } from './lease.ts'
import type { LeaseWatcher } from './lease-watcher.ts'
import type { Timing } from './timing.ts'

/** Calls that began with a lease may use it so long after the next one is there. */
const GRACE_MS = 30_000
/** Records that are written late are masked so long after a lease is gone. */
const FORGET_AFTER_MS = 5000

/** The ones of one credential and task. */
export class RetiredLeases {
  readonly #timing: Timing
  readonly #watcher: LeaseWatcher
  /** With what calls the end of each off. */
  readonly #leases: Map<Lease, () => void> = new Map()

  constructor(timing: Timing, watcher: LeaseWatcher) {
    this.#timing = timing
    this.#watcher = watcher
  }

  get count(): number {
    return this.#leases.size
  }

  /** Takes one in that another follows. @param isOther false: it was prolonged, and there is nothing to be taken back */
  add(lease: Lease, isOther: boolean): void {
    if (!isOther || lease.view.handle === undefined) {
      this.forget(lease)
      return
    }
    const end = (): void => {
      this.#leases.delete(lease)
      this.forget(lease)
      this.#watcher.onReplaced?.(lease.view)
    }
    this.#leases.set(lease, this.#timing.after(GRACE_MS, end))
  }

  /** Forgets the values of one that is over, once no record of it is to come. */
  forget({ forget }: Pick<Lease, 'forget'>): void {
    this.#timing.after(FORGET_AFTER_MS, forget)
  }

  /** Gives all of them out, to be taken back now. */
  drain(): LeaseView[] {
    const leases = [...this.#leases.keys()]
    for (const callOff of this.#leases.values()) callOff()
    this.#leases.clear()
    for (const lease of leases) this.forget(lease)
    return leases.map(({ view }) => view)
  }
}
