// The verdict on a call of a task that is a stage of another: its own rules and those of every ancestor together, so that a
// child never does what an ancestor may not (I9). Asks `decide.ts` for each and puts the answers together; never wider than
// any of them. Pure; called wherever a call is decided.

import { createHash } from 'node:crypto'

import type { Reason } from '../errors.ts'
import type { Endpoint } from '../wire/authority.ts'
import type { Policy } from './compile.ts'
import { NO_ADDRESSES } from './address-policy.ts'
import { findClassFault } from './classes.ts'
import { decide, decideConnect, holdTogether } from './decide.ts'
import type { ConnectDecision, Decision, Obligations, Question } from './decision.ts'
import type { Moment } from './facts.ts'
import { limitTogether, lowestAccepted, NOTHING_OWED, oweStrictest } from './owe.ts'
import { INSPECTORS } from './subject.ts'

/** The policies of a task: its own, its parent's, and so on up to that of the root. */
export type PolicyChain = readonly [Policy, ...Policy[]]

// A chain is made once a task and lives as long.
const digests = new WeakMap<PolicyChain, string>()

/** Judges one HTTP call by all policies of a chain. */
export function decideTogether(
  policies: PolicyChain,
  question: Question,
  moment: Moment,
): Decision {
  if (policies.length === 1) return decide(policies[0], question, moment)
  const [own, ...ancestors] = policies
  const decision = decide(own, question, moment)
  const policy = digestOf(policies)
  if (decision.verdict === 'deny') return { ...decision, policy }
  const above: Decision[] = []
  for (const [at, ancestor] of ancestors.entries()) {
    const theirs = decide(ancestor, question, moment)
    if (theirs.verdict === 'deny') return { ...theirs, policy, ancestor: at + 1 }
    const { credential } = decision.obligations
    // By the head alone it is not known yet whose rule gives it.
    const isFinal = !(decision.inspectors ?? theirs.inspectors)
    // What an ancestor only observes passes without a credential.
    if (theirs.rule === undefined) {
      above.push(theirs)
      continue
    }
    if (isFinal && credential !== undefined && credential !== theirs.obligations.credential)
      return refuse('denied-by-rule', policy, at + 1)
    above.push(theirs)
  }
  return checkAll(policies, join(decision, above, policy), moment)
}

/**
 * Judges a CONNECT by all policies of a chain. A tunnel that one of them looks into has to be looked into by all: what one
 * lets pass unseen no other can judge. Of the two kinds that are not looked into the stricter counts.
 */
export function decideConnectTogether(
  policies: PolicyChain,
  endpoint: Endpoint,
  moment: Moment,
): ConnectDecision {
  if (policies.length === 1) return decideConnect(policies[0], endpoint, moment)
  const [own, ...ancestors] = policies
  const decision = decideConnect(own, endpoint, moment)
  const policy = digestOf(policies)
  if (decision.verdict === 'deny') return { ...decision, policy }
  let { mode, isSilent } = decision
  const above: Decision[] = []
  for (const [at, ancestor] of ancestors.entries()) {
    const theirs = decideConnect(ancestor, endpoint, moment)
    if (theirs.verdict === 'deny') return { ...theirs, policy, ancestor: at + 1, mode }
    if ((theirs.mode === 'inspect') !== (mode === 'inspect'))
      return { ...refuse('protocol-not-allowed', policy, at + 1), mode }
    if (theirs.mode === 'tls') mode = 'tls'
    isSilent ??= theirs.isSilent
    above.push(theirs)
  }
  const joined = join(decision, above, policy)
  const settled = mode === 'inspect' ? joined : checkAll(policies, joined, moment)
  return { ...settled, mode, ...(isSilent && { isSilent }) }
}

function refuse(reason: Reason, policy: string, ancestor: number): Decision {
  return {
    verdict: 'deny',
    reason,
    obligations: NOTHING_OWED,
    addresses: NO_ADDRESSES,
    policy,
    ancestor,
  }
}

// What all of them bring back together may be above what one of them may touch.
function checkAll(policies: PolicyChain, decision: Decision, moment: Moment): Decision {
  if (decision.inspectors !== undefined) return decision
  for (const [ancestor, policy] of policies.entries()) {
    const reason = findClassFault(policy, decision.obligations, moment)
    if (reason === undefined) continue
    const { obligations: _owed, hold: _hold, ...denied } = decision
    return {
      ...denied,
      verdict: 'deny',
      reason,
      obligations: NOTHING_OWED,
      addresses: NO_ADDRESSES,
      ...(ancestor > 0 && { ancestor }),
    }
  }
  return decision
}

function join(own: Decision, above: readonly Decision[], policy: string): Decision {
  const all = [own, ...above]
  const inspectors = INSPECTORS.filter((kind) =>
    all.some((each) => each.inspectors?.includes(kind)),
  )
  const held = all.filter(({ verdict }) => verdict === 'hold')
  const [holding] = held
  const revisitAt = Math.min(...all.map((each) => each.revisitAt ?? Infinity))
  const wouldDeny = all.find((each) => each.wouldDeny !== undefined)?.wouldDeny
  return {
    ...own,
    obligations: oweTogether(all.map(({ obligations }, at) => oweFor(at, obligations))),
    addresses: { ...own.addresses, also: above.map(({ addresses }) => addresses) },
    policy,
    ...(holding && {
      verdict: 'hold',
      reason: holding.reason,
      ...(holding.rule && { rule: holding.rule }),
      hold: holdTogether(held.map(({ hold }) => hold ?? { separate: true, reviewers: [] })),
    }),
    ...(revisitAt < Infinity && { revisitAt }),
    ...(inspectors.length > 0 && { inspectors }),
    ...(wouldDeny !== undefined && { wouldDeny }),
  }
}

// Each task counts by the rules that bind it: what several below one do counts against the same limits of the one above.
function oweFor(ancestor: number, obligations: Obligations): Obligations {
  const { quotas } = obligations
  if (quotas === undefined || ancestor === 0) return obligations
  return { ...obligations, quotas: quotas.map((quota) => ({ ...quota, ancestor })) }
}

/** What is owed where each of them has to be content; the credential is the one that all of them give. */
export function oweTogether(all: readonly Obligations[]): Obligations {
  const [own] = all
  const isShared = all.every(({ credential }) => credential === own?.credential)
  const credential = isShared ? own?.credential : undefined
  return {
    ...(credential !== undefined && { credential }),
    ...lowestAccepted(all.map(({ accepts }) => accepts)),
    ...limitTogether(all.flatMap(({ quotas = [] }) => quotas)),
    ...oweStrictest(all),
    clientAuth: all.every(({ clientAuth }) => clientAuth === 'pass') ? 'pass' : 'drop',
    placeholderInBody: all.some(({ placeholderInBody }) => placeholderInBody === 'refuse')
      ? 'refuse'
      : 'pass',
  }
}

/** The digest of a chain, as decisions name it. */
export function policyDigestOf(policies: PolicyChain): string {
  return policies.length === 1 ? policies[0].digest : digestOf(policies)
}

function digestOf(policies: PolicyChain): string {
  const known = digests.get(policies)
  if (known !== undefined) return known
  const hash = createHash('sha256')
  for (const { digest } of policies) hash.update(`${digest}\n`)
  const digest = `sha256:${hash.digest('hex')}`
  digests.set(policies, digest)
  return digest
}
