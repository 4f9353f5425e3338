// What is told of leases as they come, go on and fail: for records and metrics, and for whoever takes back what was minted.
// Types only. Told by `lease-holder.ts`.

import type { Failure } from './backoff.ts'
import type { LeaseView } from './lease.ts'

/** Why the next lease was asked for: its time had come, or an upstream refused the one before. */
export type RefreshCause = 'due' | 'refused'

/** How a lease went on. */
export interface Refresh {
  readonly by: 'renewal' | 'mint'
  readonly cause: RefreshCause
  /** Whether what it holds is what it held before. */
  readonly isSame: boolean
}

/** A provider gave nothing. */
export interface LeaseFailure extends Failure {
  readonly credential: string
  /** Undefined: it is one for all tasks. */
  readonly taskId: string | undefined
  /** Whether the lease before goes on meanwhile. */
  readonly isUsable: boolean
  /** Whether this problem was not the last one told. */
  readonly isNew: boolean
}

/** Is told of leases; it throws nowhere but in `onMinted`. */
export interface LeaseWatcher {
  /** Before anybody gets it: where this fails nobody does, and it is taken back. */
  onMinted?(lease: LeaseView): Promise<void> | void
  /** A credential is there that was not. */
  onLeased?(lease: LeaseView): void
  onRefreshed?(lease: LeaseView, refresh: Refresh): void
  onFailed?(failure: LeaseFailure): void
  /** It is out of use before its end, and to be taken back. */
  onReplaced?(lease: LeaseView): void
  /** It came when nobody waited for it any more, and is to be taken back. */
  onOrphan?(lease: LeaseView): void
  /** An error that no provider makes: a programmer's mistake, which is a failure as any other. */
  onUnexpected?(error: unknown): void
}
