// The verdict on a call: any deny denies; then an allow is needed; what all matching allows ask for together is owed.
// A pure function of the policy and the question. Called by `conjunction.ts` for every call,
// by `explain.ts`, `check.ts` and `narrow.ts`.
//
// `observe: true` on an allow: asked only where nothing else allows the call; lets it pass with its own obligations, and
// `wouldDeny` is the reason that the other rules give. On a deny: denies nothing, `wouldDeny` is `denied-by-rule`; it has no
// say in which addresses are dialed. A deny without it denies whatever is observed.

import type { Reason } from '../errors.ts'
import type { Cidr } from '../wire/address.ts'
import type { Endpoint } from '../wire/authority.ts'
import type { Policy } from './compile.ts'
import type { AddressPolicy, ConnectDecision, Decision, Obligations, Question } from './decision.ts'
import type { HostRules } from './host-index.ts'
import { inspectorOf } from './inside.ts'
import { findMismatch } from './inside-match.ts'
import {
  Facts,
  INSIDE,
  MATCHED,
  reach,
  reachConnect,
  type Entry,
  type Stage,
  type TunnelMode,
} from './match.ts'
import { NOTHING_OWED, oweTogether } from './owe.ts'
import { INSPECTORS, type Inspector } from './subject.ts'

// What a client is told is the furthest dimension that an allow of its host reached; query and headers are parts of the path
// to it. The first is for a host that no allow covers.
const REASON_AT: readonly Reason[] = [
  'not-on-allowlist',
  'port-not-allowed',
  'protocol-not-allowed',
  'method-not-allowed',
  'path-not-allowed',
  'path-not-allowed',
  'path-not-allowed',
  'operation-not-allowed',
  'environment-mismatch',
]
// Where what is inside is not allowed: what the rule that came nearest misses.
const REASONS_INSIDE: readonly Reason[] = [
  'protocol-not-allowed',
  'source-not-allowed',
  'ref-not-allowed',
  'operation-not-allowed',
  'tool-not-allowed',
]
const NO_ADDRESSES: AddressPolicy = Object.freeze({ allowed: [], denied: [] })
const MODES: readonly TunnelMode[] = ['inspect', 'tls', 'tcp']

/** One question, the rules of its host, and what reaching means for questions of its kind. */
interface Matter<Subject> {
  readonly endpoint: Endpoint
  readonly rules: HostRules
  readonly subject: Subject
  readonly reachOf: (entry: Entry, subject: Subject) => Stage
  /** Of an HTTP call. */
  readonly question?: Question
}

/**
 * Judges one HTTP call. By its head alone a rule that looks inside allows and does not deny: the answer lists what has to be
 * read, and with it the question is asked again. A denial by the head alone is final.
 */
export function decide(policy: Policy, question: Question): Decision {
  const { endpoint } = question
  const rules = policy.inside.index.rulesFor(endpoint)
  const matter = { endpoint, rules, subject: new Facts(question), reachOf: reach, question }
  const decision = judge(policy, matter)
  if (question.content !== undefined || decision.verdict === 'deny') return decision
  if (!rules.looksInside && policy.inside.deniedByInside.length === 0) return decision
  const inspectors = listInspectors(policy, matter)
  return inspectors.length > 0 ? { ...decision, inspectors } : decision
}

// Rules that would match but for what is inside, those that are only observed or only bind among them.
function listInspectors(policy: Policy, matter: Matter<Facts>): Inspector[] {
  const { rules, endpoint, subject, reachOf } = matter
  // A deny of a range counts for what the name may resolve to.
  const resolved = endpoint.kind === 'name' ? policy.inside.deniedByInside : []
  const wanted = new Set<Inspector | undefined>()
  for (const entry of [...rules.denies, ...resolved, ...rules.allows, ...rules.guards]) {
    const { inside, isForEnvironment, verdict } = entry.rule
    if (inside === undefined || !isForEnvironment) continue
    const before = verdict === 'allow' ? MATCHED : INSIDE
    if (reachOf(entry, subject) === before) wanted.add(inspectorOf(inside))
  }
  return INSPECTORS.filter((kind) => wanted.has(kind))
}

/**
 * Judges a CONNECT by host and port, and says how its tunnel is carried: looked into where an allow for HTTP or WebSocket
 * covers them, else passed through, else relayed. The calls inside an inspected tunnel are judged by themselves.
 */
export function decideConnect(policy: Policy, endpoint: Endpoint): ConnectDecision {
  const rules = policy.inside.index.rulesFor(endpoint)
  const mode = tunnelMode(rules, endpoint)
  const subject = { port: endpoint.port, mode }
  const decision = judge(policy, { endpoint, rules, subject, reachOf: reachInMode })
  // The tunnel owes nothing by itself where each call inside is judged.
  if (mode === 'inspect') return { ...decision, obligations: NOTHING_OWED, mode }
  return { ...decision, mode }
}

// `inspect` also where nothing allows the tunnel: a refusal can then be told inside.
function tunnelMode(rules: HostRules, { port }: Endpoint): TunnelMode {
  const asked = MODES.find((mode) =>
    rules.allows.some((entry) => reachConnect(entry, port, mode) === MATCHED),
  )
  return asked ?? 'inspect'
}

function reachInMode(entry: Entry, { port, mode }: { port: number; mode: TunnelMode }): Stage {
  return reachConnect(entry, port, mode)
}

function judge<Subject>(policy: Policy, matter: Matter<Subject>): Decision {
  const { rules } = matter
  const denies = gather(rules.denies, matter)
  const denied = chooseDeny(denies.enforced, matter)
  if (denied) return deny(policy, denied.reason, denied.entry)
  const allows = gather(rules.allows, matter)
  const [first] = allows.enforced
  const entry = first ?? allows.observed[0]
  if (entry === undefined) return deny(policy, reasonFor(matter, allows.furthest, rules.allows))
  // An observed allow counts only where nothing else allows the call.
  const matching = first ? allows.enforced : allows.observed
  const decision: Decision = {
    verdict: 'allow',
    reason: 'allowed',
    rule: entry.rule.ref,
    obligations: owe(matching, matter),
    addresses: collectAddresses(policy, matching, matter),
    policy: policy.digest,
  }
  const wouldBeDenied = chooseDeny(denies.observed, matter)
  if (wouldBeDenied) return { ...decision, wouldDeny: wouldBeDenied.reason }
  if (first) return decision
  const enforced = rules.allows.filter(({ rule }) => !rule.observe)
  return { ...decision, wouldDeny: reasonFor(matter, allows.furthestEnforced, enforced) }
}

// Which rules match, and how far the others got.
interface Gathered {
  readonly enforced: readonly Entry[]
  readonly observed: readonly Entry[]
  readonly furthest: Stage
  readonly furthestEnforced: Stage
}

const NONE: Gathered = { enforced: [], observed: [], furthest: 0, furthestEnforced: 0 }

function gather<Subject>(
  entries: readonly Entry[],
  { subject, reachOf }: Matter<Subject>,
): Gathered {
  if (entries.length === 0) return NONE
  const enforced: Entry[] = []
  const observed: Entry[] = []
  let furthest = 0
  let furthestEnforced = 0
  for (const entry of entries) {
    const { observe } = entry.rule
    const stage = reachOf(entry, subject)
    if (stage === MATCHED) (observe ? observed : enforced).push(entry)
    else if (stage > furthest) furthest = stage
    if (!observe && stage > furthestEnforced) furthestEnforced = stage
  }
  return { enforced, observed, furthest, furthestEnforced }
}

// The first one; where the call could not be understood, one that denies it all the same, else the fault is the reason.
function chooseDeny<Subject>(
  denying: readonly Entry[],
  { question }: Matter<Subject>,
): { readonly entry: Entry; readonly reason: Reason } | undefined {
  const [first] = denying
  if (first === undefined) return undefined
  const fault = question?.content?.fault
  const entry = fault && denying.find(({ rule }) => rule.inside === undefined)
  if (fault === undefined || entry) return { entry: entry ?? first, reason: 'denied-by-rule' }
  return { entry: first, reason: fault }
}

function reasonFor<Subject>(
  matter: Matter<Subject>,
  furthest: Stage,
  asked: readonly Entry[],
): Reason {
  if (furthest === 0 && matter.endpoint.kind !== 'name') return 'ip-not-on-allowlist'
  if (furthest === INSIDE) return reasonInside(matter, asked)
  return REASON_AT[furthest] ?? 'not-on-allowlist'
}

function reasonInside<Subject>(matter: Matter<Subject>, asked: readonly Entry[]): Reason {
  const { question, subject, reachOf } = matter
  const fallback: Reason = 'operation-not-allowed'
  if (question?.content?.fault !== undefined) return question.content.fault
  const reasons = asked.map((entry) => {
    const { inside } = entry.rule
    if (!question || !inside || reachOf(entry, subject) !== INSIDE) return undefined
    return findMismatch(inside, question)?.reason
  })
  return REASONS_INSIDE.findLast((reason) => reasons.includes(reason)) ?? fallback
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

function owe<Subject>(matching: readonly Entry[], matter: Matter<Subject>): Obligations {
  const { guards } = matter.rules
  const [first] = matching
  if (first && matching.length === 1 && guards.length === 0) return first.rule.obligations
  const guarding = guards.filter((entry) => matter.reachOf(entry, matter.subject) === MATCHED)
  return oweTogether(
    matching.map(({ rule }) => rule.dues),
    guarding.map(({ rule }) => rule.dues),
  )
}

function collectAddresses<Subject>(
  { inside }: Policy,
  matching: readonly Entry[],
  { endpoint, subject, reachOf, question }: Matter<Subject>,
): AddressPolicy {
  const { deniedAlways, deniedSometimes, literals } = inside
  const [first] = matching
  const literal = endpoint.kind === 'name' && literals.length > 0
  // A literal permission also admits the same address as the answer to a name (agents.net draft, wire section 5.2); one that
  // looks inside only what was looked into.
  const isAdmitted = (entry: Entry): boolean =>
    reachOf(entry, subject) === MATCHED && !(entry.rule.inside && question?.content === undefined)
  const admitted = literal ? [...matching, ...literals.filter(isAdmitted)] : matching
  const allowed =
    first && admitted.length === 1
      ? first.addresses
      : admitted.flatMap(({ addresses }) => addresses)
  if (deniedSometimes.length === 0) return { allowed, denied: deniedAlways }
  const denied: Cidr[] = [...deniedAlways]
  for (const entry of deniedSometimes)
    if (entry.host.kind === 'range' && reachOf(entry, subject) === MATCHED)
      denied.push(entry.host.cidr)
  return { allowed, denied }
}
