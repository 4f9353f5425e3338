// What happens to a connection whose bytes may not pass: its call is cut, with the reason and the facts of the refusal. Called by
// `tunnel.ts` and `upgrade.ts`, where there is no body that could break off.

import type { Call } from '../call.ts'
import { EgressError } from '../errors.ts'

/** Takes bytes of a call's limits. @returns false where they may not pass: the call is cut */
export function takes(call: Call, take: () => void): boolean {
  try {
    take()
    return true
  } catch (error) {
    const refusal = error instanceof EgressError ? error : new EgressError('internal')
    call.detail = refusal.detail
    call.cut(refusal.reason)
    return false
  }
}
