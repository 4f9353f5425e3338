// Why a call is decided as it is: the decision, and how far the call gets with every rule, in order. Deliberately asks the
// code that decides live traffic (`conjunction.ts`, `match.ts`) and adds no judgement. Called by the `explain` verb.

import type { Endpoint } from '../wire/authority.ts'
import type { BoundRule, Entry } from './bound-rule.ts'
import { Facts, TunnelFacts, type Circumstances } from './circumstances.ts'
import type { Policy } from './compile.ts'
import { explainCondition } from './condition/condition.ts'
import { decideConnectTogether, decideTogether, type PolicyChain } from './conjunction.ts'
import { decideConnect } from './decide.ts'
import type { ConnectDecision, Decision, TraceStep } from './decision.ts'
import type { Moment } from './facts.ts'
import { isMet } from './gather.ts'
import { missedKey, type InsideKey } from './inside-match.ts'
import {
  coversHost,
  hasExpired,
  INSIDE,
  MATCHED,
  NO_HOST,
  reach,
  reachConnect,
  STAGES,
  type Stage,
} from './match.ts'
import type { Asked } from './written-call.ts'

/** A decision and how it came about. */
export interface Explanation {
  readonly decision: Decision | ConnectDecision
  /** One step for each rule in force, sets that bind every task first. */
  readonly trace: readonly TraceStep[]
}

/** Decides by one policy, and says how far the question gets with every rule. */
export function explain(policy: Policy, asked: Asked, moment: Moment): Explanation {
  return explainTogether([policy], asked, moment)
}

/** Decides as a task below others is decided on, and says how far the question gets with every rule of all of them. */
export function explainTogether(policies: PolicyChain, asked: Asked, moment: Moment): Explanation {
  const trace = policies.flatMap((policy, ancestor) =>
    tracePolicy(policy, asked, moment).map((step) =>
      ancestor === 0 ? step : { ...step, ancestor },
    ),
  )
  const decision =
    'connect' in asked
      ? decideConnectTogether(policies, asked.connect, moment)
      : decideTogether(policies, asked, moment)
  return { decision, trace }
}

/** How far a question gets with an entry, and what else is told of a rule. */
interface Tracing {
  readonly endpoint: Endpoint
  readonly facts: Circumstances
  readonly stageOf: (entry: Entry) => Stage
  readonly keyOf: (rule: BoundRule) => InsideKey
}

function tracePolicy(policy: Policy, asked: Asked, moment: Moment): TraceStep[] {
  if ('connect' in asked) {
    const { connect } = asked
    const { mode } = decideConnect(policy, connect, moment)
    const facts = new TunnelFacts(connect, mode, policy.task, moment)
    const stageOf = (entry: Entry): Stage => reachConnect(entry, facts)
    return traceRules(policy, { endpoint: connect, facts, stageOf, keyOf: () => 'inside' })
  }
  const facts = new Facts(asked, policy.task, moment)
  return traceRules(policy, {
    endpoint: asked.endpoint,
    facts,
    stageOf: (entry) => reach(entry, facts),
    keyOf: ({ inside, verdict }) => (inside ? missedKey(inside, verdict, asked) : 'inside'),
  })
}

function traceRules(policy: Policy, tracing: Tracing): TraceStep[] {
  const { endpoint, facts, stageOf } = tracing
  return policy.inside.rules.map((rule) => {
    const covering = rule.entries.filter(({ host }) => coversHost(host, endpoint))
    const step = { rule: rule.ref, verdict: rule.verdict, at: rule.at }
    if (covering.length > 0 && hasExpired(rule, facts))
      return { ...step, matched: false, failedAt: 'expired' }
    const furthest = Math.max(NO_HOST, ...covering.map(stageOf))
    return { ...step, ...judgeStep(rule, furthest, tracing), ...clausesOf(rule, facts) }
  })
}

// Only of rules whose condition was asked.
function clausesOf(rule: BoundRule, facts: Circumstances): Pick<TraceStep, 'clauses'> {
  if (rule.when === undefined || !facts.hasJudged(rule)) return {}
  return { clauses: explainCondition(rule.when, facts.facts, rule.destination) }
}

function judgeStep(
  rule: BoundRule,
  furthest: Stage,
  { keyOf }: Tracing,
): Pick<TraceStep, 'matched' | 'failedAt'> {
  if (!rule.entries.some((entry) => isMet(entry, furthest)))
    return {
      matched: false,
      failedAt: furthest === INSIDE ? keyOf(rule) : (STAGES[furthest] ?? 'host'),
    }
  if (rule.binding === 'always' && rule.verdict === 'allow')
    return { matched: false, failedAt: 'always-allow' }
  return furthest < MATCHED ? { matched: true, failedAt: 'condition-error' } : { matched: true }
}
