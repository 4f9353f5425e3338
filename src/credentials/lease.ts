// One lease: what was minted, for whom, and how long it is used. Pure. Made by `lease-holder.ts`; what is told of leases
// elsewhere never holds what was minted.

import { ProviderError, type Material, type Minted, type RevocationHandle } from './issuer.ts'
import type { Secret } from './secret.ts'
import type { Timing } from './timing.ts'
import { makeSecret } from './vault.ts'

/** A lease as it is told of: nothing in it is what was minted, but the handle may hold it where a provider asks for it. */
export interface LeaseView {
  readonly credential: string
  /** Undefined: one for all tasks. */
  readonly taskId: string | undefined
  /** When the provider ends it, epoch milliseconds; undefined: it does not, as far as is known. */
  readonly expiresAt: number | undefined
  /** Undefined: the provider cannot take it back. */
  readonly handle: RevocationHandle | undefined
  /** What the provider calls it, where that is no secret. */
  readonly id: string | undefined
}

/** One that is no task's any more, and is to be taken back. */
export type DroppedLease = LeaseView

/** A lease that is held. */
export interface Lease {
  readonly minted: Minted
  readonly secret: Secret
  readonly view: LeaseView
  /** When to have the next one, epoch milliseconds; Infinity: never. */
  readonly refreshAt: number
  /** When it is not used any more, whatever its task does; Infinity: as long as the task. */
  readonly endsAt: number
  /** Forgets the values that are masked because of it. */
  readonly forget: () => void
}

/** Whose lease it is, and what it goes by. */
export interface LeaseTerms {
  readonly credential: string
  readonly taskId: string | undefined
  /** Of one for all tasks: how long it is used before it is looked for anew. */
  readonly staticRefreshMs: number | undefined
  readonly timing: Timing
  /** Learns values that are to be masked. @returns what forgets them */
  readonly learn: (values: readonly string[]) => () => void
}

/** The part of a life after which the next one is fetched, and by how much of it chance makes that earlier. */
const REFRESH_SHARE = 0.75
const REFRESH_JITTER = 0.15
/** A shorter life is none: it would be minted again with every call. */
const LIFE_MS_MIN = 1000
/** What does not expire is used so many refresh times while its provider does not answer. */
const STATIC_KEPT_REFRESHES = 12
const ID_LENGTH_MAX = 128

/**
 * Makes a lease of what was minted.
 * @param before the one it follows: with the same texts, its secret goes on
 * @throws ProviderError where it cannot be used: it has expired, or holds nothing
 */
export function makeLease(minted: Minted, terms: LeaseTerms, before?: Lease): Lease {
  const { credential, taskId, timing, learn } = terms
  const { material, expiresAt } = minted
  checkMinted(minted, timing.now())
  const isSame = before !== undefined && isSameMaterial(material, before.minted.material)
  return {
    minted,
    secret: isSame ? before.secret : makeSecret(credential, material['value'] ?? '', material),
    view: viewOf(credential, taskId, minted),
    ...timesOf(expiresAt, terms),
    forget: learn(Object.values(material)),
  }
}

/** What is told of something minted. */
export function viewOf(
  credential: string,
  taskId: string | undefined,
  { expiresAt, handle, id }: Minted,
): LeaseView {
  return { credential, taskId, expiresAt, handle, id: id?.slice(0, ID_LENGTH_MAX) }
}

/** Whether two credentials are the same texts. */
function isSameMaterial(one: Material, other: Material): boolean {
  const names = Object.keys(one)
  return (
    names.length === Object.keys(other).length && names.every((name) => one[name] === other[name])
  )
}

function checkMinted({ material, expiresAt }: Minted, now: number): void {
  if (Object.values(material).every((text) => text === ''))
    throw new ProviderError('what it gave is empty', { isLasting: true })
  if (expiresAt === undefined) return
  if (!Number.isFinite(expiresAt))
    throw new ProviderError('what it gave has no readable end', { isLasting: true })
  if (expiresAt - now < LIFE_MS_MIN)
    throw new ProviderError('what it gave has expired by our clock', { isLasting: true })
}

function timesOf(
  expiresAt: number | undefined,
  { staticRefreshMs, timing }: LeaseTerms,
): Pick<Lease, 'refreshAt' | 'endsAt'> {
  const now = timing.now()
  const early = REFRESH_JITTER * timing.random()
  const share =
    expiresAt === undefined ? Infinity : now + (expiresAt - now) * (REFRESH_SHARE - early)
  if (staticRefreshMs === undefined) return { refreshAt: share, endsAt: expiresAt ?? Infinity }
  return {
    refreshAt: Math.min(share, now + staticRefreshMs * (1 - early)),
    endsAt: expiresAt ?? now + staticRefreshMs * STATIC_KEPT_REFRESHES,
  }
}
