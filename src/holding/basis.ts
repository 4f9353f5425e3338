// What a held call was judged by, as one digest: an answer is for a call that these rules hold, on these terms. Pure. Called by
// `hold-request.ts` and `hold-tunnel.ts`.

import { hash } from 'node:crypto'

import type { ConnectDecision, Decision } from '../policy/decision.ts'

/** Gives `sha256:` and 64 hex digits; the time, by which an answer may change later, is no part of it. */
export function basisOf(decision: Decision | ConnectDecision): string {
  const { verdict, rule, policy, obligations, addresses, hold, wouldDeny } = decision
  const text = JSON.stringify(
    [
      verdict,
      rule,
      policy,
      obligations,
      addresses,
      hold,
      wouldDeny,
      'mode' in decision && decision.mode,
      // What rules would look into, by a window that has begun.
      decision.inspectors,
    ],
    (_name, value: unknown) => (value instanceof Map ? [...value] : value),
  )
  return `sha256:${hash('sha256', text, 'hex')}`
}
