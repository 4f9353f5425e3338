// How one credential stands over all tasks that have it. Pure. Called by `leases.ts`, shown by the control API.

import type { HolderStanding } from './lease-holder.ts'

/** `idle`: nobody has it, and nobody was refused it. */
type CredentialState = 'available' | 'idle' | 'unavailable' | 'backing-off'

/** How a credential stands. */
export interface LeaseStanding {
  readonly state: CredentialState
  /** Valid ones that are held. */
  readonly leases: number
  /** When the next of them ends, epoch milliseconds; absent: none, or none does by itself. */
  readonly endsAt?: number
  /** The last thing that is wrong, in words of ours. */
  readonly problem?: string
  /** When the provider is asked again at the soonest, epoch milliseconds. */
  readonly retryAt?: number
}

/** Joins how each holder stands. */
export function joinStandings(holders: readonly HolderStanding[]): LeaseStanding {
  const failures = holders.flatMap(({ failure }) => failure ?? [])
  const [failure] = failures.toSorted((one, other) => one.retryAt - other.retryAt)
  const ends = holders.flatMap(({ endsAt }) => endsAt ?? []).filter(Number.isFinite)
  return {
    state: stateOf(holders, failures),
    leases: holders.reduce((sum, { leases }) => sum + leases, 0),
    ...(ends.length > 0 && { endsAt: Math.min(...ends) }),
    ...(failure && { problem: failure.problem, retryAt: failure.retryAt }),
  }
}

// A task that is served says more of a credential than one that is not: what is wrong stands beside it.
function stateOf(
  holders: readonly HolderStanding[],
  failures: readonly { readonly isLasting: boolean }[],
): CredentialState {
  if (holders.some(({ isUsable }) => isUsable)) return 'available'
  if (failures.length === 0) return 'idle'
  return failures.every(({ isLasting }) => isLasting) ? 'unavailable' : 'backing-off'
}
