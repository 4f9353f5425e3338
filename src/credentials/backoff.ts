// How long a provider is left alone after it gave nothing: longer each time, never for ever, and never two tasks in step.
// Pure; one a lease, asked by `lease-holder.ts`.

import type { ProviderError } from './issuer.ts'
import type { Timing } from './timing.ts'

const FIRST_MS = 1000
const LONGEST_MS = 60_000
// Somebody has to mend it first: asking is no more than finding out that they have.
const LASTING_FIRST_MS = 30_000
const LASTING_LONGEST_MS = 600_000
/** A provider that asks for more is asked again all the same. */
const ASKED_LONGEST_MS = 3_600_000

/** What went wrong last. */
export interface Failure {
  /** In words of ours. */
  readonly problem: string
  /** Nothing but somebody's hand ends it. */
  readonly isLasting: boolean
  /** Epoch milliseconds before which the provider is not asked again. */
  readonly retryAt: number
}

/** Counts failures in a row. */
export class BackOff {
  readonly #timing: Timing
  #failures = 0
  #last: Failure | undefined

  constructor(timing: Timing) {
    this.#timing = timing
  }

  /** The failure that nothing has made up for yet. */
  get last(): Failure | undefined {
    return this.#last
  }

  /** Milliseconds in which the provider is not to be asked; 0 where it may be. */
  get waitMs(): number {
    return Math.max(0, (this.#last?.retryAt ?? 0) - this.#timing.now())
  }

  /** Notes that it gave nothing. */
  fail({ message, isLasting, retryAfterMs }: ProviderError): Failure {
    const first = isLasting ? LASTING_FIRST_MS : FIRST_MS
    const longest = isLasting ? LASTING_LONGEST_MS : LONGEST_MS
    const full = Math.min(longest, first * 2 ** Math.min(this.#failures, 16))
    this.#failures += 1
    const chosen = full * (0.5 + this.#timing.random() / 2)
    const asked = Math.min(ASKED_LONGEST_MS, Math.max(0, retryAfterMs ?? 0))
    const retryAt = this.#timing.now() + Math.round(Math.max(chosen, asked))
    this.#last = { problem: message, isLasting, retryAt }
    return this.#last
  }

  /** Notes that it gave what it was asked for. */
  succeed(): void {
    this.#failures = 0
    this.#last = undefined
  }
}
