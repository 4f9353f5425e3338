// How far a provider's clock is from ours, by what it answers: what is signed for it, and ends by it, goes by its clock. Deliberately
// asks nothing. One a provider; used by the issuers of this folder.

import type { ProviderAnswer } from '../issuer.ts'

/** Clocks that differ by less are the same: answers say whole seconds, and take their time. */
const SAME_MS = 5000
/** One that wants to be left alone for longer is asked earlier: nobody else keeps a task waiting. */
const RETRY_AFTER_MS_MAX = 60 * 60_000

/** What a provider's clock says. */
export class ProviderClock {
  readonly #now: () => number
  #aheadMs = 0

  /** @param now our clock, epoch milliseconds */
  constructor(now: () => number) {
    this.#now = now
  }

  /** How far it is ahead of ours, in milliseconds, as it said last. */
  get aheadMs(): number {
    return this.#aheadMs
  }

  /** Epoch milliseconds by it. */
  now(): number {
    return this.#now() + this.#aheadMs
  }

  /** Reads it from an answer. */
  learn({ headers: { date = '' } }: Pick<ProviderAnswer, 'headers'>): void {
    const ahead = Date.parse(date) - this.#now()
    if (!Number.isNaN(ahead)) this.#aheadMs = Math.abs(ahead) < SAME_MS ? 0 : ahead
  }

  /** Whether it is another than it was thought to be. @param aheadMs as that was */
  differsFrom(aheadMs: number): boolean {
    return Math.abs(this.#aheadMs - aheadMs) >= SAME_MS
  }
}

/**
 * How long an answer asks to be left alone, in milliseconds; undefined: it does not.
 * A date is by the clock of whoever says it, where that is known (RFC 9110, 10.2.3).
 * @param now epoch milliseconds
 */
export function readRetryAfter(
  headers: ProviderAnswer['headers'],
  now: number,
): number | undefined {
  const { 'retry-after': written, date = '' } = headers
  if (written === undefined) return undefined
  const said = Date.parse(date)
  const from = Number.isNaN(said) ? now : said
  const ms = /^\d{1,9}$/.test(written) ? Number(written) * 1000 : Date.parse(written) - from
  return ms > 0 ? Math.min(ms, RETRY_AFTER_MS_MAX) : undefined
}
