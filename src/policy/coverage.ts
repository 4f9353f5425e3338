// Which rules of a set its own tests decide by, so that one whose turn never came is seen. Pure; called by the `test` verb.

import type { Verdict, Rule, RuleSet } from './rule-set.ts'
import type { TracedTest } from './rule-tests.ts'

/** What the tests of a file show of one rule. */
export interface RuleCoverage {
  readonly id: string
  readonly verdict: Verdict
  /** Tests whose answer names the rule, by the verdict that it came to. */
  readonly decided: Readonly<Partial<Record<Verdict, number>>>
  /** Tests whose call it matched, whoever decided. */
  readonly matched: number
  /** Tests of calls to a host of it that it did not match. */
  readonly missed: number
  readonly isCovered: boolean
}

/** What the tests of a file show of its rules. */
export interface Coverage {
  readonly rules: readonly RuleCoverage[]
  readonly covered: number
  /** 0 to 100, of the rules; 100 where there are none. */
  readonly percent: number
}

/** Counts the rules of a set that its tests decide by. @param tests all of the set */
export function coverageOf(set: RuleSet, tests: readonly TracedTest[]): Coverage {
  const rules = set.rules.map((rule) => coverRule(rule, tests))
  const covered = rules.filter(({ isCovered }) => isCovered).length
  const percent = rules.length === 0 ? 100 : Math.floor((100 * covered) / rules.length)
  return { rules, covered, percent }
}

function coverRule({ id, verdict, observe }: Rule, tests: readonly TracedTest[]): RuleCoverage {
  const decided: Partial<Record<Verdict, number>> = {}
  let matched = 0
  let missed = 0
  for (const test of tests) {
    const own = test.decided?.rule === id ? test.decided.verdict : undefined
    if (own !== undefined) decided[own] = (decided[own] ?? 0) + 1
    const step = test.trace.find(({ rule }) => rule.id === id)
    if (step?.matched === true) matched += 1
    else if (step && step.failedAt !== 'host') missed += 1
  }
  // A deny that only watches is named by no answer.
  const isCovered = observe && verdict === 'deny' ? matched > 0 : (decided[verdict] ?? 0) > 0
  return { id, verdict, decided, matched, missed, isCovered }
}
