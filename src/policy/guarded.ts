// Rules whose data is too guarded for a task that only observes. Pure. Called by `config/` where a task is given rules.

import { isAbove } from './facts.ts'
import type { Rule, RuleSet } from './rule-set.ts'

/** Such a rule, and the file that it is in. */
export interface GuardedRule {
  readonly file: string
  readonly rule: Rule
}

/** Finds them in several sets: for data that a law or a profile guards, or that is confidential. */
export function findGuarded(sets: readonly RuleSet[]): readonly GuardedRule[] {
  return sets.flatMap(({ file, rules }) =>
    rules.filter(isGuarded).map((rule): GuardedRule => ({ file, rule })),
  )
}

function isGuarded({ regulation, profile, data = 'public' }: Rule): boolean {
  return regulation !== undefined || profile !== undefined || isAbove(data, 'internal')
}
