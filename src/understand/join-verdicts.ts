// One verdict of several on what is sent together: the messages of a batch, and the items that one message names. Pure. Called by
// `mcp.ts` and `mcp-judge.ts`.

import type { Verdict } from '../judge.ts'
import { oweTogether } from '../policy/conjunction.ts'
import { holdTogether } from '../policy/decide.ts'
import type { Decision } from '../policy/decision.ts'

/**
 * Joins verdicts none of which denies; undefined where there is none. How the call authenticates has to be the same for all, as it is
 * sent with one credential; of what else they owe the strictest counts.
 */
export function joinVerdicts(verdicts: readonly Verdict[]): Verdict | undefined {
  const [first, ...others] = verdicts
  if (first === undefined || others.length === 0) return first
  const { decision } = first
  const { credential, clientAuth } = decision.obligations
  const agree = others.every(
    ({ decision: { obligations } }) =>
      obligations.credential === credential && obligations.clientAuth === clientAuth,
  )
  if (!agree)
    return { ...first, decision: { ...decision, verdict: 'deny', reason: 'operation-not-allowed' } }
  const joined: Decision = {
    ...decision,
    obligations: oweTogether(verdicts.map(({ decision: { obligations } }) => obligations)),
    addresses: {
      ...decision.addresses,
      also: verdicts.flatMap(({ decision: { addresses } }, at) => [
        ...(at === 0 ? [] : [addresses]),
        ...(addresses.also ?? []),
      ]),
    },
  }
  const held = verdicts.find((each) => each.decision.verdict === 'hold')?.decision
  const holding = held && {
    verdict: held.verdict,
    reason: held.reason,
    ...(held.rule && { rule: held.rule }),
    hold: holdTogether(
      verdicts.map(({ decision: { hold } }) => hold).filter((hold) => hold !== undefined),
    ),
  }
  const revisitAt = Math.min(...verdicts.map((each) => each.decision.revisitAt ?? Infinity))
  const contents = verdicts.flatMap((each) => each.contents ?? [])
  const wouldDeny = verdicts.find((each) => each.decision.wouldDeny)?.decision.wouldDeny
  return {
    ...first,
    ...(contents.length > 0 && { contents }),
    decision: {
      ...joined,
      ...holding,
      ...(revisitAt < Infinity && { revisitAt }),
      ...(wouldDeny !== undefined && { wouldDeny }),
    },
  }
}
