// The verdict on a call: any deny denies; then an allow is needed; what all matching allows ask for together is owed.
// A pure function of the policy and the question. Called by `pipeline.ts` for every call, by `explain.ts`, by `check.ts`.
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
import {
  Facts,
  MATCHED,
  reach,
  reachConnect,
  type Entry,
  type Stage,
  type TunnelMode,
} from './match.ts'
import { NOTHING_OWED, oweTogether } from './owe.ts'

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
  'environment-mismatch',
]
const NO_ADDRESSES: AddressPolicy = Object.freeze({ allowed: [], denied: [] })
const MODES: readonly TunnelMode[] = ['inspect', 'tls', 'tcp']

/** What reaching means for one kind of question. */
type ReachOf<Subject> = (entry: Entry, subject: Subject) => Stage

/** Judges one HTTP call. */
export function decide(policy: Policy, question: Question): Decision {
  const rules = policy.inside.index.rulesFor(question.endpoint)
  return judge(policy, question.endpoint, rules, new Facts(question), reach)
}

/**
 * Judges a CONNECT by host and port, and says how its tunnel is carried: looked into where an allow for HTTP or WebSocket
 * covers them, else passed through, else relayed. The calls inside an inspected tunnel are judged by themselves.
 */
export function decideConnect(policy: Policy, endpoint: Endpoint): ConnectDecision {
  const rules = policy.inside.index.rulesFor(endpoint)
  const mode = tunnelMode(rules, endpoint)
  const decision = judge(policy, endpoint, rules, { port: endpoint.port, mode }, reachInMode)
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

function judge<Subject>(
  policy: Policy,
  endpoint: Endpoint,
  rules: HostRules,
  subject: Subject,
  reachOf: ReachOf<Subject>,
): Decision {
  let isDenyObserved = false
  for (const entry of rules.denies) {
    if (reachOf(entry, subject) < MATCHED) continue
    if (!entry.rule.observe) return deny(policy, 'denied-by-rule', entry)
    isDenyObserved = true
  }
  const allows = gather(rules.allows, subject, reachOf)
  const [first] = allows.enforced
  const entry = first ?? allows.observed[0]
  if (entry === undefined) return deny(policy, reasonFor(endpoint, allows.furthest))
  // An observed allow counts only where nothing else allows the call.
  const matching = first ? allows.enforced : allows.observed
  const decision: Decision = {
    verdict: 'allow',
    reason: 'allowed',
    rule: entry.rule.ref,
    obligations: owe(matching, rules.guards, subject, reachOf),
    addresses: collectAddresses(policy, endpoint, matching, subject, reachOf),
    policy: policy.digest,
  }
  if (isDenyObserved) return { ...decision, wouldDeny: 'denied-by-rule' }
  return first ? decision : { ...decision, wouldDeny: reasonFor(endpoint, allows.furthestEnforced) }
}

interface Gathered {
  readonly enforced: readonly Entry[]
  readonly observed: readonly Entry[]
  readonly furthest: Stage
  readonly furthestEnforced: Stage
}

function gather<Subject>(
  entries: readonly Entry[],
  subject: Subject,
  reachOf: ReachOf<Subject>,
): Gathered {
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

function reasonFor(endpoint: Endpoint, furthest: Stage): Reason {
  if (furthest === 0 && endpoint.kind !== 'name') return 'ip-not-on-allowlist'
  return REASON_AT[furthest] ?? 'not-on-allowlist'
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

function owe<Subject>(
  matching: readonly Entry[],
  guards: readonly Entry[],
  subject: Subject,
  reachOf: ReachOf<Subject>,
): Obligations {
  const [first] = matching
  if (first && matching.length === 1 && guards.length === 0) return first.rule.obligations
  const guarding = guards.filter((entry) => reachOf(entry, subject) === MATCHED)
  return oweTogether(
    matching.map(({ rule }) => rule.dues),
    guarding.map(({ rule }) => rule.dues),
  )
}

function collectAddresses<Subject>(
  { inside }: Policy,
  endpoint: Endpoint,
  matching: readonly Entry[],
  subject: Subject,
  reachOf: ReachOf<Subject>,
): AddressPolicy {
  const { deniedAlways, deniedSometimes, literals } = inside
  const [first] = matching
  const literal = endpoint.kind === 'name' && literals.length > 0
  // A literal permission also admits the same address as the answer to a name (agents.net draft, wire section 5.2).
  const admitted = literal
    ? [...matching, ...literals.filter((entry) => reachOf(entry, subject) === MATCHED)]
    : matching
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
