// The clients that proved no task: what the inventory shows of them. Bounded; each refusal is on record by itself anyway.
// Filled by `identify.ts`, read by `control/`.

import type { Reason } from '../errors.ts'

/** One such client. */
export interface Stranger {
  readonly address: string
  /** Of the last refusal. */
  readonly reason: Reason
  /** Epoch milliseconds. */
  readonly firstSeen: number
  readonly lastSeen: number
  readonly count: number
}

const STRANGERS_MAX = 1000
const SOCKET = 'unix socket'

/** The strangers of one sidecar, by address. */
export class Strangers {
  readonly #now: () => number
  readonly #byAddress: Map<string, Stranger> = new Map()

  constructor(now: () => number) {
    this.#now = now
  }

  /** Notes a refusal. @param address undefined on a unix socket */
  note(address: string | undefined, reason: Reason): void {
    const key = address ?? SOCKET
    const known = this.#byAddress.get(key)
    // Who was seen first stays: a flood of new addresses must not push out the one that matters.
    if (known === undefined && this.#byAddress.size >= STRANGERS_MAX) return
    const now = this.#now()
    this.#byAddress.set(key, {
      address: key,
      reason,
      firstSeen: known?.firstSeen ?? now,
      lastSeen: now,
      count: (known?.count ?? 0) + 1,
    })
  }

  list(): readonly Stranger[] {
    return [...this.#byAddress.values()]
  }
}
