// From rule sets and a task's values to a policy: parameters filled, rules indexed by host. Pure; called by `config/` and
// `tasks/` when a task starts or a file changes, by `check.ts` for each test.

import { createHash } from 'node:crypto'

import type { Cidr } from '../wire/address.ts'
import { bindRule } from './bind.ts'
import type { TaskFacts } from './facts.ts'
import { HostIndex, isTimed, looksInside } from './host-index.ts'
import type { BoundRule, Entry } from './bound-rule.ts'
import { checkValues } from './params.ts'
import type { Problem } from './problem.ts'
import type { RuleSet } from './rule-set.ts'
import type { ParamValues } from './template.ts'

/** The rules in force for a task. What is below `inside` is for this room alone. */
export interface Policy {
  /** Whose rules they are, as conditions and classes see it. */
  readonly task: TaskFacts
  /** `sha256:` over the versions of all sets in force, in their order. */
  readonly digest: string
  readonly ruleSets: readonly {
    readonly name: string
    readonly version: string
    /** How many rules it has. */
    readonly rules: number
  }[]
  readonly inside: PolicyInside
}

/** What deciding works with. */
interface PolicyInside {
  readonly rules: readonly BoundRule[]
  readonly index: HostIndex
  /** Ranges that a deny without further conditions denies, whatever the call. */
  readonly deniedAlways: readonly Cidr[]
  /** Denies of ranges that look at the call first. */
  readonly deniedSometimes: readonly Entry[]
  /** Those of them that look inside calls. */
  readonly deniedByInside: readonly Entry[]
  /** Allows of addresses and ranges: what they allow as a literal, a name may resolve to on the same port. */
  readonly literals: readonly Entry[]
  /** Of these and the denies of ranges those whose answer time may change: they count for what names resolve to. */
  readonly timedRanges: readonly Entry[]
}

/** What a policy is made of. */
export interface PolicyInput {
  /** In the task's order. */
  readonly sets: readonly RuleSet[]
  /** Their denies and limits bind every task, their allows do not. */
  readonly always: readonly RuleSet[]
  readonly params: ParamValues
  /** The task; where its environment is unknown no allow for an environment matches and every deny for one does. */
  readonly task: TaskFacts
}

/**
 * Makes a policy.
 * @returns no policy where a parameter is missing, unknown, or has a value that its rules cannot take
 */
export function compilePolicy(input: PolicyInput): { policy?: Policy; problems: Problem[] } {
  // A set that is both binds as the task's own: its denies count once, its allows count.
  const always = input.always.filter((set) => !input.sets.includes(set))
  const all = [...always, ...input.sets]
  const problems = checkValues(all, input.params)
  if (problems.length > 0) return { problems }
  const rules: BoundRule[] = []
  for (const set of all)
    for (const rule of set.rules)
      rules.push(
        bindRule(rule, set, {
          values: input.params,
          binding: input.sets.includes(set) ? 'task' : 'always',
          ordinal: rules.length,
          environment: input.task.environment,
        }),
      )
  return { policy: { ...describe(all), task: input.task, inside: arrange(rules) }, problems }
}

function describe(sets: readonly RuleSet[]): Pick<Policy, 'digest' | 'ruleSets'> {
  const hash = createHash('sha256')
  for (const { name, version } of sets) hash.update(`${name} ${version}\n`)
  return {
    digest: `sha256:${hash.digest('hex')}`,
    ruleSets: sets.map(({ name, version, rules }) => ({ name, version, rules: rules.length })),
  }
}

function arrange(rules: readonly BoundRule[]): PolicyInside {
  const entries = rules.flatMap((rule) => rule.entries)
  // An observed deny has no say in what may be dialed, nor has one for tasks of another environment.
  const ranges = entries.filter(
    ({ host, rule }) =>
      host.kind === 'range' && rule.verdict === 'deny' && !rule.observe && rule.isForEnvironment,
  )
  const deniedSometimes = ranges.filter(
    ({ rule, paths }) =>
      paths ??
      rule.ports ??
      rule.methods ??
      rule.query ??
      rule.headers ??
      rule.inside ??
      rule.between ??
      rule.when ??
      rule.expiresAt,
  )
  const literals = entries.filter(
    ({ host, rule }) =>
      rule.verdict !== 'deny' &&
      rule.binding === 'task' &&
      !rule.observe &&
      (host.kind === 'range' || (host.kind === 'exact' && host.isAddress)),
  )
  return {
    rules,
    index: new HostIndex(entries),
    deniedAlways: ranges
      .filter((entry) => !deniedSometimes.includes(entry))
      .map(({ host }) => host)
      .filter((host) => host.kind === 'range')
      .map(({ cidr }) => cidr),
    deniedSometimes,
    deniedByInside: deniedSometimes.filter(({ rule }) => looksInside(rule)),
    literals,
    timedRanges: [...deniedSometimes, ...literals].filter(({ rule }) => isTimed(rule)),
  }
}
