// Why a call is decided as it is: the decision, and how far the call gets with every rule, in order. Deliberately asks the
// code that decides live traffic (`decide.ts`, `match.ts`) and adds no judgement. Called by the `explain` verb.

import type { Endpoint } from '../wire/authority.ts'
import type { Policy } from './compile.ts'
import { decide, decideConnect } from './decide.ts'
import type { ConnectDecision, Decision, TraceStep } from './decision.ts'
import {
  coversHost,
  Facts,
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

/** Decides, and says how far the question gets with every rule. */
export function explain(policy: Policy, asked: Asked): Explanation {
  if ('connect' in asked) {
    const { connect } = asked
    const decision = decideConnect(policy, connect)
    const stageOf = (entry: Entry): Stage => reachConnect(entry, connect.port, decision.mode)
    return { decision, trace: traceRules(policy, connect, stageOf) }
  }
  const facts = new Facts(asked)
  const trace = traceRules(policy, asked.endpoint, (entry) => reach(entry, facts))
  return { decision: decide(policy, asked), trace }
}

function traceRules(
  policy: Policy,
  endpoint: Endpoint,
  stageOf: (entry: Entry) => Stage,
): TraceStep[] {
  return policy.inside.rules.map((rule) => {
    const stages = rule.entries.map((entry) =>
      coversHost(entry.host, endpoint) ? stageOf(entry) : NO_HOST,
    )
    return makeStep(rule, Math.max(NO_HOST, ...stages))
  })
}

function makeStep(rule: BoundRule, furthest: Stage): TraceStep {
  const step = { rule: rule.ref, verdict: rule.verdict, at: rule.at }
  if (furthest < MATCHED) return { ...step, matched: false, failedAt: STAGES[furthest] ?? 'host' }
  if (rule.binding === 'always' && rule.verdict === 'allow')
    return { ...step, matched: false, failedAt: 'always-allow' }
  return { ...step, matched: true }
}
