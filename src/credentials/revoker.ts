// Asks providers to take leases back: so many at once, each again with a growing wait until it is settled. Called by
// `take-back.ts`.

import type { Debt, LeaseStanding } from './debt.ts'
import { ProviderError, type Issuer, type Revocation, type RevocationHandle } from './issuer.ts'
import type { OwedLeases } from './owed-leases.ts'

/** What asking needs. */
export interface RevokerOptions {
  readonly owed: Pick<OwedLeases, 'handleOf'>
  readonly limits: { readonly providerTimeoutMs: number }
  readonly onOutcome: (standing: LeaseStanding) => void
  /** Told of a lease of which nothing more will come. */
  readonly onSettled: (debt: Debt) => void
  readonly onProblem: (error: unknown) => void
  /** Epoch milliseconds. */
  readonly now: () => number
}

interface Known {
  readonly issuer: Issuer
  readonly source: string
}

type Asked = (signal: AbortSignal) => Promise<Revocation>

const FIRST_RETRY_MS = 500
const RETRY_MS_MAX = 15 * 60_000
const RETRY_AFTER_MS_MAX = 60 * 60_000
const ASKED_AT_ONCE = 32
/** Taken so often and never seen gone, a lease that has no end is given up. */
const ACCEPTED_MAX = 8
/** No timer waits for longer. */
const WAIT_MS_MAX = 24 * 60 * 60_000

/** Asks one provider a credential. */
export class Revoker {
  readonly #options: RevokerOptions
  readonly #known: Map<string, Known> = new Map()
  readonly #waiting: (() => void)[] = []
  #asking = 0
  #failures = 0
  #isStopped = false

  constructor(options: RevokerOptions) {
    this.#options = options
  }

  /** Attempts that came to nothing. */
  get failures(): number {
    return this.#failures
  }

  /** Says who takes a credential's leases back. */
  know(credential: string, source: string, issuer: Issuer): void {
    this.#known.set(credential, { issuer, source })
  }

  /** The digest of where a credential comes from. */
  sourceOf(credential: string): string {
    return this.#known.get(credential)?.source ?? ''
  }

  /** Makes an attempt now, or joins the one that is under way; not before its provider wants to be asked again. */
  async attempt(debt: Debt): Promise<void> {
    clearTimeout(debt.timer)
    const earlyMs = debt.notBefore - this.#options.now()
    if (earlyMs > 0 && !this.#hasExpired(debt)) {
      this.#schedule(debt, Math.min(earlyMs, RETRY_AFTER_MS_MAX))
      return
    }
    debt.running ??= this.#attempt(debt)
      .catch((error: unknown) => this.#options.onProblem(error))
      .finally(() => (debt.running = undefined))
    await debt.running
  }

  /** Makes no more attempts. */
  stop(): void {
    this.#isStopped = true
  }

  async #attempt(debt: Debt): Promise<void> {
    if (this.#hasExpired(debt)) debt.note('expired')
    else {
      const asked = this.#wayBack(debt)
      if (typeof asked === 'string') debt.note('unrevocable', asked)
      else {
        await this.#takeTurn()
        try {
          if (this.#isStopped) return
          await this.#ask(debt, asked)
        } finally {
          this.#giveTurn()
        }
      }
    }
    try {
      this.#tell(debt)
    } catch (error) {
      // Who is told does not decide whether it is tried again.
      this.#options.onProblem(error)
    }
    if (debt.isSettled || debt.isHopeless) this.#options.onSettled(debt)
    else this.#schedule(debt, this.#waitMs(debt))
  }

  #hasExpired({ owed }: Debt): boolean {
    return (owed.expiresAt ?? Infinity) <= this.#options.now()
  }

  // What takes it back is shown to whoever gave it, and to nobody else.
  #wayBack({ owed }: Debt): Asked | string {
    if (owed.phase === 'minting') return 'nobody heard what came of asking for it: it may exist'
    if (owed.sealed === undefined) return 'its provider cannot take it back'
    const known = this.#known.get(owed.credential)
    if (known === undefined) return 'its credential is not configured any more'
    if (known.source !== owed.source) return 'its credential comes from elsewhere now'
    const { issuer } = known
    if (issuer.revoke === undefined) return 'its provider cannot take it back'
    const handle: RevocationHandle | undefined = this.#options.owed.handleOf(owed)
    if (handle === undefined) return 'what takes it back cannot be read any more'
    return (signal) => issuer.revoke!(handle, signal)
  }

  async #ask(debt: Debt, asked: Asked): Promise<void> {
    const { limits, now, onProblem } = this.#options
    const { owed } = debt
    const signal = AbortSignal.timeout(limits.providerTimeoutMs)
    debt.attempts += 1
    try {
      const revocation = await Promise.race([asked(signal), aborted(signal)])
      if (debt.owed !== owed) debt.note('pending', 'it was prolonged meanwhile')
      else if (revocation === 'confirmed') debt.note('confirmed')
      else this.#noteAccepted(debt)
    } catch (error) {
      this.#failures += 1
      if (error instanceof ProviderError) {
        debt.notBefore = now() + Math.min(error.retryAfterMs ?? 0, RETRY_AFTER_MS_MAX)
        debt.note('pending', error.message)
      } else {
        onProblem(error)
        debt.note('pending', 'the attempt failed')
      }
    }
  }

  #noteAccepted(debt: Debt): void {
    debt.accepted += 1
    const why = 'its provider says so, and nothing shows that it does not work any more'
    const isGivenUp = debt.owed.expiresAt === undefined && debt.accepted >= ACCEPTED_MAX
    debt.note(isGivenUp ? 'unrevocable' : 'accepted', why)
  }

  // Until it expires, where nobody can be asked.
  #waitMs({ attempts, state, notBefore, owed }: Debt): number {
    const now = this.#options.now()
    const growing = Math.min(FIRST_RETRY_MS * 2 ** Math.min(attempts, 20), RETRY_MS_MAX)
    const retryMs = state === 'unrevocable' ? Infinity : growing * (0.5 + Math.random() / 2)
    const leftMs = Math.max(0, (owed.expiresAt ?? Infinity) - now)
    return Math.min(Math.max(retryMs, notBefore - now), leftMs + 1, WAIT_MS_MAX)
  }

  #schedule(debt: Debt, ms: number): void {
    if (this.#isStopped) return
    debt.timer = setTimeout(() => void this.attempt(debt), ms)
    debt.timer.unref()
  }

  // What is said once is not said again, however often it is tried.
  #tell(debt: Debt): void {
    if (debt.told === debt.state) return
    debt.told = debt.state
    this.#options.onOutcome(debt.standing())
  }

  async #takeTurn(): Promise<void> {
    if (this.#asking >= ASKED_AT_ONCE) await new Promise<void>((go) => this.#waiting.push(go))
    this.#asking += 1
  }

  #giveTurn(): void {
    this.#asking -= 1
    this.#waiting.shift()?.()
  }
}

async function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () =>
      reject(new ProviderError('the provider did not answer in time')),
    )
  })
}
