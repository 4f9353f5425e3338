// What of a call the rules in force look at that not every reader of a call has, rule by rule: header fields and the query.
// Deliberately no judgement. Pure; called by `record/again/`, where a record stands for the call.

import type { PolicyChain } from './conjunction.ts'
import type { RuleRef } from './decision.ts'

/** What one rule looks at. */
export interface LooksAt {
  /** Names of header fields in lower case. */
  readonly headers: readonly string[]
  readonly query: boolean
}

const NONE: ReadonlyMap<string, LooksAt> = new Map()
// A chain is made once a task and lives as long.
const known = new WeakMap<PolicyChain, ReadonlyMap<string, LooksAt>>()

/** What each rule of a chain looks at, by `nameOfRule`; rules that look at neither are left out. */
export function listLookedAt(policies: PolicyChain): ReadonlyMap<string, LooksAt> {
  let found = known.get(policies)
  if (found === undefined) {
    const looking = policies
      .flatMap(({ inside }) => inside.rules)
      .flatMap(({ ref, headers = [], query }): [string, LooksAt][] =>
        headers.length === 0 && query === undefined
          ? []
          : [
              [
                nameOfRule(ref),
                { headers: headers.map(({ key }) => key), query: query !== undefined },
              ],
            ],
      )
    found = looking.length === 0 ? NONE : new Map(looking)
    known.set(policies, found)
  }
  return found
}

/** How a rule is named among all: `RULESET/ID`. */
export function nameOfRule({ ruleset, id }: RuleRef): string {
  return `${ruleset}/${id}`
}
