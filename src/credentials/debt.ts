// One lease as this process knows it: whether it is to be taken back, what came of that so far, how long it may still work.
// Changed by `take-back.ts` alone.

import type { OwedLease } from './owed-leases.ts'

/**
 * What came of taking a lease back. `absent`: it never came to be; `pending`: its provider is asked again; `unrevocable`: nobody
 * can be asked.
 */
type DebtState = 'absent' | 'confirmed' | 'expired' | 'accepted' | 'pending' | 'unrevocable'

/** How a lease stands that is taken back. */
export interface LeaseStanding {
  /** Ours. */
  readonly lease: string
  /** The task's id. */
  readonly task: string
  readonly credential: string
  /** What the provider calls it. */
  readonly id?: string
  readonly state: DebtState
  /** Why it is not confirmed. */
  readonly why?: string
  /** Epoch milliseconds at which it ends by itself; undefined: none is known. */
  readonly expiresAt?: number
}

/** One lease. */
export class Debt {
  owed: OwedLease
  /** Whether it is to be taken back. */
  isWanted = false
  /** Epoch milliseconds. */
  wantedAt = 0
  attempts = 0
  /** Epoch milliseconds before which its provider wants not to be asked. */
  notBefore = 0
  state: DebtState = 'pending'
  why: string | undefined
  /** Answers that said it was taken back and proved nothing. */
  accepted = 0
  /** What was put on record last. */
  told: DebtState | undefined
  /** What the receipt of its task says. */
  reported: DebtState | undefined
  /** Resolves once its provider has given it, or not; undefined: nobody is asked for it. */
  minting: PromiseWithResolvers<void> | undefined
  /** The attempt that is under way. */
  running: Promise<void> | undefined
  timer: NodeJS.Timeout | undefined

  constructor(owed: OwedLease) {
    this.owed = owed
  }

  /** Whether nothing is left to be done. */
  get isSettled(): boolean {
    return this.state === 'absent' || this.state === 'confirmed' || this.state === 'expired'
  }

  /** Whether nothing that is done or waited for will ever settle it. */
  get isHopeless(): boolean {
    return this.state === 'unrevocable' && this.owed.expiresAt === undefined
  }

  /** Resolves once what is under way for it is over. */
  async rest(): Promise<void> {
    await this.minting?.promise
    await this.running
  }

  standing(): LeaseStanding {
    const { id, task, credential, providerId, expiresAt } = this.owed
    return {
      lease: id,
      task,
      credential,
      ...(providerId !== undefined && { id: providerId }),
      state: this.state,
      ...(this.why !== undefined && !this.isSettled && { why: this.why }),
      ...(expiresAt !== undefined && { expiresAt }),
    }
  }

  /** Says what came of it. */
  note(state: DebtState, why?: string): void {
    this.state = state
    this.why = why
  }
}
