// What went wrong with a provider, in words that may be shown, and what a call is told of it. Pure. Called by this room.

import { EgressError } from '../errors.ts'
import { ProviderError } from './issuer.ts'
import type { LeaseWatcher } from './lease-watcher.ts'

/** An error as one of a provider; what is none is a mistake of ours, told and never shown. */
export function asProviderError(error: unknown, watcher: LeaseWatcher): ProviderError {
  if (error instanceof ProviderError) return error
  if (error instanceof EgressError)
    return new ProviderError(String(error.detail['why'] ?? error.reason), { cause: error })
  watcher.onUnexpected?.(error)
  return new ProviderError('the sidecar made an error', { cause: error })
}

/** The refusal of a call whose credential is not there. @param waitMs until it is tried again */
export function unavailable(
  credential: string,
  why: string,
  { waitMs, cause }: { readonly waitMs?: number; readonly cause?: unknown },
): EgressError {
  return new EgressError(
    'credential-unavailable',
    { credential, why },
    {
      ...(cause !== undefined && { cause }),
      ...(waitMs !== undefined && { wait: Math.max(1, Math.ceil(waitMs / 1000)) }),
    },
  )
}
