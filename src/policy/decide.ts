// The verdict on a call: any deny denies; then any hold holds; then an allow is needed; what all that match ask for together is
// owed; and what comes back, and what was read before, has to be of a class that this allows. A pure function of the policy, the
// question and the moment. Called by `conjunction.ts` for every call, by `explain.ts`, `check.ts` and `narrow.ts`.
//
// `observe: true` on an allow: asked only where nothing else allows the call; lets it pass with its own obligations, and
// `wouldDeny` is the reason that the other rules give. On a deny: denies nothing, `wouldDeny` is `denied-by-rule`; it has no
// say in which addresses are dialed. A deny without it denies whatever is observed. On the task: what nothing allows passes with
// nothing owed and no rule, `wouldDeny` is the reason; denies, holds, classes and what could not be understood go on as ever.

import type { Reason } from '../errors.ts'
import type { Endpoint } from '../wire/authority.ts'
import { collectAddresses, NO_ADDRESSES } from './address-policy.ts'
import type { Entry } from './bound-rule.ts'
import { Facts, TunnelFacts, type TunnelMode } from './circumstances.ts'
import { findClassFault } from './classes.ts'
import type { Policy } from './compile.ts'
import type { ConnectDecision, Decision, HoldTerms, Obligations, Question } from './decision.ts'
import { reasonFor } from './decide-reason.ts'
import type { Moment } from './facts.ts'
import { chooseDeny, gather, gatherHolds, inOrder, isMet, NO_HOLDS, type Matter } from './gather.ts'
import { looksInside, type HostRules } from './host-index.ts'
import { inspectorOf } from './inside.ts'
import {
  BETWEEN,
  claimsInspection,
  INSIDE,
  MATCHED,
  reach,
  reachConnect,
  reachGrant,
  type Stage,
} from './match.ts'
import { NOTHING_OWED, oweOfSession, oweTogether } from './owe.ts'
import { INSPECTORS, type Inspector } from './subject.ts'
import { nextChange } from './window.ts'

const MODES: readonly TunnelMode[] = ['inspect', 'tls', 'tcp']
// How long an answer of a condition that reads the time is good for.
const CONDITION_MS = 1000

/**
 * Judges one HTTP call. By its head alone a rule that looks inside allows and does not deny: the answer lists what has to be
 * read, and with it the question is asked again. A denial by the head alone is final.
 */
export function decide(policy: Policy, question: Question, moment: Moment): Decision {
  const { endpoint } = question
  const rules = policy.inside.index.rulesFor(endpoint)
  const facts = new Facts(question, policy.task, moment)
  const stageOf = (entry: Entry): Stage => reach(entry, facts)
  const grantOf = (entry: Entry): Stage => reachGrant(entry, facts)
  const matter = { endpoint, rules, stageOf, grantOf, question, moment }
  const decision = judge(policy, matter)
  if (decision.verdict === 'deny') return decision
  const mayLookInside = rules.looksInside || policy.inside.deniedByInside.length > 0
  if (mayLookInside && question.content === undefined && !question.upgrade) {
    const inspectors = listInspectors(policy, matter)
    // What is owed by rules that look inside is not known before.
    if (inspectors.length > 0) return { ...decision, inspectors }
  }
  return checkClasses(policy, decision, moment)
}

// Rules that would match but for what is inside, those that are only observed or only bind among them.
function listInspectors(policy: Policy, { rules, endpoint, stageOf }: Matter): Inspector[] {
  // A deny of a range counts for what the name may resolve to.
  const resolved = endpoint.kind === 'name' ? policy.inside.deniedByInside : []
  const wanted = new Set<Inspector | undefined>()
  for (const entry of [
    ...rules.denies,
    ...resolved,
    ...rules.allows,
    ...rules.holds,
    ...rules.guards,
  ]) {
    const { rule } = entry
    if (!looksInside(rule) || !rule.isForEnvironment) continue
    const before = rule.verdict === 'deny' ? INSIDE : MATCHED
    if (stageOf(entry) !== before) continue
    if (rule.inside) wanted.add(inspectorOf(rule.inside))
    for (const kind of rule.when?.needs ?? []) wanted.add(kind)
  }
  return INSPECTORS.filter((kind) => wanted.has(kind))
}

/**
 * Judges a CONNECT by host and port, and says how its tunnel is carried: looked into where an allow for HTTP or WebSocket
 * covers them, else passed through, else relayed. The calls inside an inspected tunnel are judged by themselves.
 */
export function decideConnect(policy: Policy, endpoint: Endpoint, moment: Moment): ConnectDecision {
  const rules = policy.inside.index.rulesFor(endpoint)
  const factsFor = (mode: TunnelMode): TunnelFacts =>
    new TunnelFacts(endpoint, mode, policy.task, moment)
  const mode = tunnelMode(rules, factsFor)
  const facts = factsFor(mode)
  const stageOf = (entry: Entry): Stage => reachConnect(entry, facts)
  const asked = { endpoint, rules, stageOf, grantOf: stageOf, question: undefined, moment }
  const decision = judge(policy, asked)
  if (mode !== 'inspect') return { ...checkClasses(policy, decision, moment), mode }
  // The tunnel owes nothing by itself where each call inside is judged.
  const { hold: _hold, revisitAt: _revisitAt, ...open } = decision
  const isSilent = decision.verdict !== 'deny' && waitsInside(policy, decision, asked)
  const settled = { ...open, obligations: NOTHING_OWED, mode, ...(isSilent && { isSilent }) }
  return decision.verdict === 'hold' ? { ...settled, verdict: 'allow', reason: 'allowed' } : settled
}

// Whatever leaves for the tunnel itself would leave before anything inside is decided.
function waitsInside(
  policy: Policy,
  { verdict, obligations }: Decision,
  { rules, stageOf, moment }: Matter,
): boolean {
  const isAllowed =
    verdict === 'allow' ||
    rules.allows.some((entry) => !entry.rule.observe && stageOf(entry) === MATCHED)
  return !isAllowed || findClassFault(policy, obligations, moment) !== undefined
}

// `inspect` also where nothing allows the tunnel: a refusal can then be told inside. Where only the time or a condition stands
// in the way of one that nobody would look into, that is what is told.
function tunnelMode(rules: HostRules, factsFor: (mode: TunnelMode) => TunnelFacts): TunnelMode {
  const entries = rules.holds.length > 0 ? [...rules.allows, ...rules.holds] : rules.allows
  const inspected = factsFor('inspect')
  if (entries.some((entry) => claimsInspection(entry, inspected))) return 'inspect'
  const findMode = (isReached: (stage: Stage) => boolean): TunnelMode | undefined =>
    MODES.find((mode) => {
      const facts = factsFor(mode)
      return entries.some((entry) => isReached(reachConnect(entry, facts)))
    })
  return (
    findMode((stage) => stage === MATCHED) ?? findMode((stage) => stage >= BETWEEN) ?? 'inspect'
  )
}

function judge(policy: Policy, matter: Matter): Decision {
  const { rules } = matter
  const denies = gather(rules.denies, matter)
  const denied = chooseDeny(denies.enforced, matter)
  if (denied) return deny(policy, denied.reason, denied.entry)
  const holds = rules.holds.length > 0 ? gatherHolds(rules.holds, matter) : NO_HOLDS
  if (holds.denied) return deny(policy, holds.denied.reason, holds.denied.entry)
  const allows = gather(rules.allows, matter)
  const enforced =
    holds.granting.length > 0 ? inOrder([...allows.enforced, ...holds.granting]) : allows.enforced
  const [first] = enforced
  const entry = first ?? allows.observed[0]
  const furthest = Math.max(allows.furthest, holds.furthest)
  const isObserved = entry === undefined && mayObserve(policy, matter)
  if (entry === undefined && !isObserved)
    return deny(policy, reasonOf(matter, furthest, [...rules.allows, ...rules.holds]))
  // An observed allow counts only where nothing else allows the call.
  const matching = first ? enforced : allows.observed
  const held = holds.holding[0]
  const { timedRanges } = policy.inside
  const isResolved = timedRanges.length > 0 && matter.endpoint.kind === 'name'
  const timed = isResolved ? [...rules.timed, ...timedRanges] : rules.timed
  const deciding = held ?? entry
  const decision: Decision = {
    verdict: held ? 'hold' : 'allow',
    reason: held ? 'approval-pending' : 'allowed',
    ...(deciding && { rule: deciding.rule.ref }),
    obligations: owe(matching, holds.holding, matter),
    addresses: collectAddresses(policy, matching, matter),
    policy: policy.digest,
    ...(held && { hold: holdTogether(holds.holding.map(({ rule }) => rule)) }),
    ...(timed.length > 0 && findRevisit(timed, matter.moment.now)),
  }
  const wouldBeDenied = chooseDeny(denies.observed, matter)
  if (wouldBeDenied) return { ...decision, wouldDeny: wouldBeDenied.reason }
  if (first) return decision
  if (isObserved)
    return {
      ...decision,
      wouldDeny: reasonOf(matter, furthest, [...rules.allows, ...rules.holds]),
    }
  const others = rules.allows.filter(({ rule }) => !rule.observe)
  return { ...decision, wouldDeny: reasonOf(matter, allows.furthestEnforced, others) }
}

// What was not understood passes nobody.
function mayObserve({ task }: Policy, { question }: Matter): boolean {
  return task.observe === true && question?.content?.fault === undefined
}

function reasonOf(matter: Matter, furthest: Stage, asked: readonly Entry[]): Reason {
  const { question, grantOf: stageOf, endpoint } = matter
  return reasonFor({ question, stageOf, isName: endpoint.kind === 'name' }, furthest, asked)
}

/** Puts together who may let a call pass that several rules hold: whoever all of them name. */
export function holdTogether(all: readonly HoldTerms[]): HoldTerms {
  const lists = all.map(({ reviewers }) => reviewers).filter((list) => list !== undefined)
  const [first] = lists
  const reviewers = first?.filter((name) => lists.every((list) => list.includes(name)))
  return {
    separate: all.some(({ separate }) => separate),
    ...(reviewers && { reviewers }),
  }
}

// What comes back has to be of a class that the task may touch, and what it has read of one that is accepted there: every
// call sends.
function checkClasses(policy: Policy, decision: Decision, moment: Moment): Decision {
  if (decision.verdict === 'deny') return decision
  const reason = findClassFault(policy, decision.obligations, moment)
  if (reason === undefined) return decision
  const denied = deny(policy, reason)
  return decision.rule ? { ...denied, rule: decision.rule } : denied
}

function findRevisit(timed: readonly Entry[], now: number): Pick<Decision, 'revisitAt'> {
  let revisitAt = Infinity
  for (const {
    rule: { between, expiresAt, when },
  } of timed) {
    if (expiresAt !== undefined && expiresAt <= now) continue
    if (expiresAt !== undefined) revisitAt = Math.min(revisitAt, expiresAt)
    if (between) revisitAt = Math.min(revisitAt, nextChange(between, now))
    if (when?.readsNow) revisitAt = Math.min(revisitAt, now + CONDITION_MS)
  }
  return revisitAt === Infinity ? {} : { revisitAt }
}

function deny(policy: Policy, reason: Reason, entry?: Entry): Decision {
  const decision: Decision = {
    verdict: 'deny',
    reason,
    obligations: NOTHING_OWED,
    addresses: NO_ADDRESSES,
    policy: policy.digest,
  }
  return entry ? { ...decision, rule: entry.rule.ref } : decision
}

function owe(
  matching: readonly Entry[],
  holding: readonly Entry[],
  { rules: { guards }, stageOf, question }: Matter,
): Obligations {
  const [first] = matching
  if (first && matching.length === 1 && guards.length === 0 && holding.length === 0)
    return first.rule.obligations
  const guarding = [
    ...guards.filter((entry) => isMet(entry, stageOf(entry))),
    ...holding.filter((entry) => !matching.includes(entry)),
  ]
  const dues = matching.map(({ rule }) => rule.dues)
  const owed = oweTogether(
    dues,
    guarding.map(({ rule }) => rule.dues),
  )
  const isSession = question?.content?.mcp?.kind === 'session'
  // Where no rule asks what is inside, it changes nothing.
  return isSession && matching.some(({ rule }) => looksInside(rule))
    ? oweOfSession(owed, dues)
    : owed
}
