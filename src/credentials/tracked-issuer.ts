// An issuer whose leases are written down before they are used. What it gives in place of the provider's own handle is the number
// of the lease: whoever holds leases holds nothing that is secret but their values. Called by `config/revocations.ts`.

import type { Debt } from './debt.ts'
import {
  ProviderError,
  type Issuer,
  type Minted,
  type MintRequest,
  type Revocation,
} from './issuer.ts'
import type { TakeBack } from './take-back.ts'

/** Has an issuer's leases written down; what is the same for all tasks is no lease. @param source digest of where it comes from */
export function trackLeases(
  credential: string,
  source: string,
  issuer: Issuer,
  takeBack: TakeBack,
): Issuer {
  if (issuer.isStatic) return issuer
  takeBack.know(credential, source, issuer)
  return {
    isStatic: false,
    mint: (request) => mint(credential, issuer, request, takeBack),
    ...(issuer.renew && {
      renew: (minted, request) => prolong(issuer, minted, request, takeBack),
    }),
    ...(issuer.take && {
      take: (token, task) => {
        const minted = issuer.take!(token, task)
        return keep(takeBack.begunMint(credential, task.id), minted, takeBack)
      },
    }),
    revoke: (handle) => revoke(handle['lease'], takeBack),
  }
}

async function mint(
  credential: string,
  issuer: Issuer,
  request: MintRequest,
  takeBack: TakeBack,
): Promise<Minted> {
  const debt = takeBack.beginMint(credential, request.task.id)
  let minted: Minted
  try {
    minted = await issuer.mint(request)
  } catch (error) {
    const isUnanswered = error instanceof ProviderError && error.isUnanswered
    if (isUnanswered || request.signal.aborted) takeBack.doubtMint(debt)
    else takeBack.cancelMint(debt)
    throw error
  }
  return keep(debt, minted, takeBack)
}

function keep(debt: Debt, minted: Minted, takeBack: TakeBack): Minted {
  takeBack.keep(debt, minted)
  return { ...minted, handle: { lease: debt.owed.id } }
}

async function prolong(
  issuer: Issuer,
  minted: Minted,
  request: MintRequest,
  takeBack: TakeBack,
): Promise<Minted> {
  const { debt, handle } = takeBack.held(minted.handle?.['lease'])
  const prolonged = await issuer.renew!({ ...minted, handle }, request)
  return keep(debt, prolonged, takeBack)
}

async function revoke(lease: unknown, takeBack: TakeBack): Promise<Revocation> {
  const standing = await takeBack.release(lease)
  if (standing?.state === 'pending' || standing?.state === 'unrevocable')
    throw new ProviderError(standing.why ?? 'it is not taken back yet')
  // What is not known any more is gone.
  return standing?.state === 'accepted' ? 'accepted' : 'confirmed'
}
