// How long a feed waits before it tries again. Pure but for the jitter. Called by `feed.ts`.

import type { Delivery } from './delivery.ts'

/** A delivery that has to be made again. */
export interface Setback {
  readonly outcome: Delivery['outcome']
  readonly afterMs?: number
  readonly detail?: string
}

const WAIT_MIN_MS = 200
const WAIT_MAX_MS = 30_000
/** A receiver's own wish is heeded up to here: it must not silence its sink for good. */
const WISH_MAX_MS = 300_000

/**
 * Milliseconds until the next attempt: longer with each, half of it jitter, so that many sidecars do not return to a recovered
 * receiver at once; never before the receiver's own wish.
 * @param attempt how many failed since the last success, 0 for none
 */
export function backOffMs(delivery: Setback, attempt: number): number {
  if (delivery.outcome === 'refused') return WAIT_MAX_MS
  const ceiling = Math.min(WAIT_MAX_MS, WAIT_MIN_MS * 2 ** Math.min(attempt, 16))
  const own = ceiling * (0.5 + Math.random() / 2)
  return Math.max(own, Math.min(delivery.afterMs ?? 0, WISH_MAX_MS))
}
