// The rules of every task as they are now: compiled once for all tasks that say the same of rules, parameters and
// environment, and anew when the files change. A chain is a task's own policy and those of the tasks above it.
// Made by `task-room.ts`, asked for every call.

import { LRUCache } from 'lru-cache'

import type { Policy } from '../policy/compile.ts'
import type { PolicyChain } from '../policy/conjunction.ts'
import { factsOf } from '../policy/facts.ts'
import { lifetimeBoundOf, type LifetimeBound, type Surroundings } from '../policy/profiles.ts'
import { credentialsOf } from '../policy/reachable.ts'
import type { Task } from '../tasks/task.ts'
import type { FindPinned } from './pinned-rules.ts'
import { setsOf } from './regulated.ts'
import { compileTaskPolicy, OBSERVE_GUARDED, type LoadedRules } from './rules.ts'

/** A task's rules, or why there are none. */
export interface TaskPolicy {
  readonly policy?: Policy
  /** What of the definition is at fault where there is none; the rules unless given. */
  readonly field?: '/params' | '/observe'
  readonly problems: readonly string[]
}

/** What compiling needs. */
export interface TaskPoliciesOptions {
  /** The rules in force; undefined where there never were any. */
  readonly rules: () => LoadedRules | undefined
  readonly always: readonly string[]
  /** What regulated rules have around them. */
  readonly around: Surroundings
  /** Finds what tasks pin and is not in force any more. */
  readonly findPinned: FindPinned
  /** The tasks above, the parent first; undefined where one is unknown. */
  readonly above: (task: Task) => readonly Task[] | undefined
}

interface Chained {
  readonly rules: LoadedRules
  readonly chain: PolicyChain | undefined
}

interface Named {
  readonly rules: LoadedRules | undefined
  readonly names: readonly string[]
}

// A policy that was pushed out is compiled again.
const POLICIES_MAX = 1000

/** The policies of all tasks. */
export class TaskPolicies {
  readonly #options: TaskPoliciesOptions
  #chains: WeakMap<Task, Chained> = new WeakMap()
  readonly #credentials: WeakMap<Task, Named> = new WeakMap()
  #policies: LRUCache<string, TaskPolicy> = new LRUCache({ max: POLICIES_MAX })
  #of: LoadedRules | undefined

  constructor(options: TaskPoliciesOptions) {
    this.#options = options
  }

  /** A task declares something else now: the chains of those below it are made anew, too. */
  forget(): void {
    this.#chains = new WeakMap()
  }

  /** A task's own rules as others than those in force would give them. */
  policyUnder(rules: LoadedRules, task: Task): Policy | undefined {
    const { policy } = this.#compile(rules, task)
    return policy && { ...policy, task: factsOf(task) }
  }

  /** A task's own rules. */
  policyOf(task: Task): TaskPolicy {
    const rules = this.#options.rules()
    if (rules === undefined) return { problems: ['no valid rules are in force'] }
    if (rules !== this.#of) {
      this.#of = rules
      this.#policies = new LRUCache({ max: POLICIES_MAX })
    }
    const key = JSON.stringify([task.rules, task.params, task.environment, task.observe])
    let known = this.#policies.get(key)
    if (known === undefined) {
      const { policy, problems } = this.#compile(rules, task)
      const errors = problems.filter(({ severity }) => severity === 'error')
      const isOfParams = errors.length > 0 && errors.every(({ code }) => code.startsWith('param-'))
      known = {
        ...(policy && { policy }),
        ...(isOfParams && { field: '/params' }),
        ...(errors.some(({ code }) => code === OBSERVE_GUARDED) && { field: '/observe' }),
        problems: errors.map(({ message }) => message),
      }
      this.#policies.set(key, known)
    }
    // Compiled once for all that say the same of rules; what conditions see is each task's own.
    return known.policy ? { ...known, policy: { ...known.policy, task: factsOf(task) } } : known
  }

  /** How long tasks of such rule sets live at the most; undefined where the rules do not say. */
  lifetimeBound(names: readonly string[]): LifetimeBound | undefined {
    const { rules, always, around, findPinned } = this.#options
    const sets = rules()?.sets
    return sets && lifetimeBoundOf(setsOf(sets, [...names, ...always], findPinned), around.profiles)
  }

  /** A task's rules and those of all tasks above it; undefined where any of them has none (I5). */
  chainOf(task: Task): PolicyChain | undefined {
    const rules = this.#options.rules()
    if (rules === undefined) return undefined
    const known = this.#chains.get(task)
    if (known?.rules === rules) return known.chain
    const chain = this.#makeChain(task)
    this.#chains.set(task, { rules, chain })
    return chain
  }

  /** Names of the credentials that a task's own rules name: kept apart, so that a list of all tasks compiles nothing. */
  credentialsOf(task: Task): readonly string[] {
    const rules = this.#options.rules()
    const known = this.#credentials.get(task)
    if (known !== undefined && known.rules === rules) return known.names
    const { policy } = this.policyOf(task)
    const names = policy === undefined ? [] : credentialsOf(policy)
    this.#credentials.set(task, { rules, names })
    return names
  }

  #compile({ sets }: LoadedRules, task: Task): ReturnType<typeof compileTaskPolicy> {
    const { always, ...context } = this.#options
    return compileTaskPolicy(sets, always, task, context)
  }

  #makeChain(task: Task): PolicyChain | undefined {
    const { policy } = this.policyOf(task)
    const above = this.#options.above(task)
    if (policy === undefined || above === undefined) return undefined
    const policies: [Policy, ...Policy[]] = [policy]
    for (const ancestor of above) {
      const theirs = this.policyOf(ancestor).policy
      if (theirs === undefined) return undefined
      policies.push(theirs)
    }
    return policies
  }
}
