// What held calls of every kind have in common: they join the hold of their digest and wait. Called by `hold-request.ts` and
// `hold-tunnel.ts`.

import type { Call, Decided, UnreadSocket } from '../call.ts'
import { EgressError } from '../errors.ts'
import type { AskedHold } from '../ledger/holds/open-hold.ts'
import type { Parts } from '../stages.ts'

/** A held call. */
interface HeldCall {
  readonly asked: AskedHold
  /** Judges the call as things are now. @returns what it is judged by @throws EgressError what denies it */
  readonly judgeBasis: () => string
  /** Where nobody reads the client's socket meanwhile. */
  readonly socket: UnreadSocket | undefined
}

/** Waits until a person lets a call through. @throws EgressError as `Holds.join` */
export async function joinHold(
  call: Call & Decided,
  { holds }: Parts,
  { asked, judgeBasis, socket }: HeldCall,
): Promise<void> {
  const { id, granted } = holds.join(asked, {
    callId: call.id,
    recheck: () => {
      if (judgeBasis() !== asked.basis) throw new EgressError('approval-denied', { why: 'changed' })
    },
    onGone: (leave) => call.onCut(leave),
  })
  call.hold = { id }
  const endWatch = socket?.watch()
  try {
    call.hold = await granted
  } finally {
    endWatch?.()
  }
}
