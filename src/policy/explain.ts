// Why a call is decided as it is: the decision, and how far the call gets with every rule, in order. Deliberately asks the
// code that decides live traffic (`conjunction.ts`, `match.ts`) and adds no judgement. Called by the `explain` verb.

import type { Endpoint } from '../wire/authority.ts'
import type { Policy } from './compile.ts'
import { decideConnectTogether, decideTogether, type PolicyChain } from './conjunction.ts'
import { decideConnect } from './decide.ts'
import type { ConnectDecision, Decision, TraceStep } from './decision.ts'
import { missedKey, type InsideKey } from './inside-match.ts'
import {
  coversHost,
  Facts,
  INSIDE,
  MATCHED,
  NO_HOST,
  reach,
  reachConnect,
  STAGES,
  type BoundRule,
  type Entry,
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
export function explain(policy: Policy, asked: Asked): Explanation {
  return explainTogether([policy], asked)
}

/** Decides as a task below others is decided on, and says how far the question gets with every rule of all of them. */
export function explainTogether(policies: PolicyChain, asked: Asked): Explanation {
  const trace = policies.flatMap((policy, ancestor) =>
    tracePolicy(policy, asked).map((step) => (ancestor === 0 ? step : { ...step, ancestor })),
  )
  const decision =
    'connect' in asked
      ? decideConnectTogether(policies, asked.connect)
      : decideTogether(policies, asked)
  return { decision, trace }
}

function tracePolicy(policy: Policy, asked: Asked): TraceStep[] {
  if ('connect' in asked) {
    const { connect } = asked
    const { mode } = decideConnect(policy, connect)
    return traceRules(policy, connect, (entry) => reachConnect(entry, connect.port, mode))
  }
  const facts = new Facts(asked)
  return traceRules(
    policy,
    asked.endpoint,
    (entry) => reach(entry, facts),
    ({ inside, verdict }) => (inside ? missedKey(inside, verdict, asked) : 'inside'),
  )
}

function traceRules(
  policy: Policy,
  endpoint: Endpoint,
  stageOf: (entry: Entry) => Stage,
  keyOf: (rule: BoundRule) => InsideKey = () => 'inside',
): TraceStep[] {
  return policy.inside.rules.map((rule) => {
    const stages = rule.entries.map((entry) =>
      coversHost(entry.host, endpoint) ? stageOf(entry) : NO_HOST,
    )
    const furthest = Math.max(NO_HOST, ...stages)
    const step = makeStep(rule, furthest)
    return furthest === INSIDE ? { ...step, failedAt: keyOf(rule) } : step
  })
}

function makeStep(rule: BoundRule, furthest: Stage): TraceStep {
  const step = { rule: rule.ref, verdict: rule.verdict, at: rule.at }
  if (furthest < MATCHED) return { ...step, matched: false, failedAt: STAGES[furthest] ?? 'host' }
  if (rule.binding === 'always' && rule.verdict === 'allow')
    return { ...step, matched: false, failedAt: 'always-allow' }
  return { ...step, matched: true }
}
