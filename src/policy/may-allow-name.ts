// Whether some call to a name could be allowed: what names a task is told anything of. Looks at hosts alone: which call it would
// have to be, and when, is judged once there is one. Pure; called by the DNS door.

import type { Policy } from './compile.ts'
import type { PolicyChain } from './conjunction.ts'
import type { Entry } from './bound-rule.ts'

/**
 * Whether the rules of a task, and those of every task above it, could allow a call to a name, or ask a person about it: an allow
 * or a hold that has not expired covers it on some port, or the task observes. Time windows and conditions count as met, and a
 * deny takes nothing away.
 * @param host in normal form
 * @param now epoch milliseconds
 */
export function mayAllowName(policies: PolicyChain, host: string, now: number): boolean {
  return policies.every((policy) => policy.task.observe === true || covers(policy, host, now))
}

/**
 * Whether rules of a task, and of every task above it, write a name out: then it is people who chose it, and asking for it says
 * nothing. What a task above allows by a wildcard alone, whoever made the task below it may have chosen.
 * @param host in normal form
 */
export function isNameWritten(policies: PolicyChain, host: string): boolean {
  return policies.every((policy) =>
    grantsOf(policy, host).some(({ host: { kind } }) => kind === 'exact'),
  )
}

function covers(policy: Policy, host: string, now: number): boolean {
  return grantsOf(policy, host).some(
    ({ rule: { isForEnvironment, expiresAt } }) =>
      isForEnvironment && (expiresAt === undefined || expiresAt > now),
  )
}

// Holds of `always` sets allow nothing by themselves.
function grantsOf({ inside }: Policy, host: string): readonly Entry[] {
  const endpoint = { host, kind: 'name', port: 0, literal: host } as const
  const { allows, holds } = inside.index.rulesFor(endpoint)
  if (holds.length === 0) return allows
  return [...allows, ...holds.filter(({ rule }) => rule.binding === 'task')]
}
