// The rules of a directory for tasks as records define them: what would decide on recorded calls if it were in force. A policy
// is compiled once for all tasks that say the same. Deliberately does not decide. Called by the command line.

import { LRUCache } from 'lru-cache'

import type { Limits } from '../limits.ts'
import type { Policy } from '../policy/compile.ts'
import type { PolicyChain } from '../policy/conjunction.ts'
import type { Problem } from '../policy/problem.ts'
import type { RuleSet } from '../policy/rule-set.ts'
import type { FindPinned } from './pinned-rules.ts'
import { compileTaskPolicy, failedTests, loadRuleSets, type TaskRules } from './rules.ts'

/** The rules of a task and of those above it, or why there are none. */
export type ChainAgain =
  | { readonly policies: PolicyChain }
  /** Live, every call of the task would be refused. */
  | { readonly why: string }

/** The sets of a directory. */
export interface SetsAgain {
  readonly sets: ReadonlyMap<string, RuleSet>
  /** Errors, for which a sidecar would not take them. */
  readonly problems: readonly Problem[]
}

/** Reads the rule files of a directory as a start would: sound, and with their own tests passed. */
export function readRulesAgain(
  dir: string,
  limits: Pick<Limits, 'ruleFileBytesMax' | 'rulesPerSetMax'> | undefined,
): SetsAgain {
  const { sets, problems } = loadRuleSets(dir, limits)
  const all = [...problems, ...[...sets.values()].flatMap(failedTests)]
  return { sets, problems: all.filter(({ severity }) => severity === 'error') }
}

const POLICIES_MAX = 1000

/** Gives the policies of tasks. */
export class RulesAgain {
  readonly #sets: ReadonlyMap<string, RuleSet>
  readonly #policies: LRUCache<string, { policy?: Policy; why: string }> = new LRUCache({
    max: POLICIES_MAX,
  })
  // By the definition of the task itself: those above it do not change.
  #chains: WeakMap<TaskRules, ChainAgain> = new WeakMap()
  readonly #findPinned: FindPinned | undefined
  #always: readonly string[]

  /**
   * @param always names of the sets that bind every task
   * @param findPinned finds what tasks pin: that stays as it is, whatever the directory has
   */
  constructor(
    sets: ReadonlyMap<string, RuleSet>,
    always: readonly string[],
    findPinned: FindPinned | undefined,
  ) {
    this.#sets = sets
    this.#always = always
    this.#findPinned = findPinned
  }

  /** From now on other sets bind every task. */
  bindAll(always: readonly string[]): void {
    if (always.join(' ') === this.#always.join(' ')) return
    this.#always = always
    this.#policies.clear()
    this.#chains = new WeakMap()
  }

  /** Definitions have changed: what was made of them is made anew. */
  forget(): void {
    this.#chains = new WeakMap()
  }

  /** The policies of a task and of those above it. @param chain the task, its parent, and so on up to the root */
  chainFor(chain: readonly [TaskRules, ...TaskRules[]]): ChainAgain {
    let known = this.#chains.get(chain[0])
    if (known === undefined) {
      known = this.#makeChain(chain)
      this.#chains.set(chain[0], known)
    }
    return known
  }

  #makeChain([own, ...above]: readonly [TaskRules, ...TaskRules[]]): ChainAgain {
    const first = this.#policyOf(own)
    if (first.policy === undefined) return first
    const policies: [Policy, ...Policy[]] = [withFacts(first.policy, own)]
    for (const task of above) {
      const { policy, why } = this.#policyOf(task)
      if (policy === undefined) return { why }
      policies.push(withFacts(policy, task))
    }
    return { policies }
  }

  #policyOf(task: TaskRules): { policy?: Policy; why: string } {
    const key = JSON.stringify([task.rules, task.params, task.environment, task.observe])
    let known = this.#policies.get(key)
    if (known === undefined) {
      const { policy, problems } = compileTaskPolicy(this.#sets, this.#always, task, {
        findPinned: this.#findPinned,
      })
      const error = problems.find(({ severity }) => severity === 'error')
      known = { ...(policy && { policy }), why: error?.message ?? '' }
      this.#policies.set(key, known)
    }
    return known
  }
}

// Compiled once for all that say the same of rules; what conditions see is each task's own.
function withFacts(policy: Policy, { params, environment, observe, facts }: TaskRules): Policy {
  return {
    ...policy,
    task: {
      params,
      ...facts,
      ...(environment !== undefined && { environment }),
      ...(observe === true && { observe }),
    },
  }
}
