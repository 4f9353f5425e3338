// A rule with a task's values in it, ready to be matched. Values only; `bind.ts` makes them, `match.ts` holds calls against
// them.

import type { Cidr } from '../wire/address.ts'
import type { Condition, DestinationFacts } from './condition/condition.ts'
import type { Obligations, Quota, RuleRef } from './decision.ts'
import type { BoundInside } from './inside.ts'
import type { BoundPath } from './path-pattern.ts'
import type { HostPattern, Scheme, Verdict } from './rule-set.ts'
import type { ContentModes } from './subject.ts'
import type { BoundValues } from './value-pattern.ts'
import type { TimeWindow } from './window.ts'

/** A rule with a task's values in it. */
export interface BoundRule {
  /** Place among all rules of the policy. */
  readonly ordinal: number
  readonly ref: RuleRef
  readonly verdict: Verdict
  readonly observe: boolean
  /** `always`: of a set that binds every task; its allows allow nothing. */
  readonly binding: 'task' | 'always'
  readonly entries: readonly Entry[]
  readonly methods: readonly string[] | undefined
  readonly query: readonly BoundValues[] | undefined
  readonly headers: readonly BoundValues[] | undefined
  readonly ports: ReadonlySet<number> | undefined
  /** Keys that look inside the call; undefined where the rule has none. */
  readonly inside: BoundInside | undefined
  /** Whether the task is of an environment that the rule is for. */
  readonly isForEnvironment: boolean
  readonly between: TimeWindow | undefined
  readonly when: Condition | undefined
  /** Epoch milliseconds from which on the rule is as if it were not there; undefined: never. */
  readonly expiresAt: number | undefined
  /** What its condition sees of where the rule leads to. */
  readonly destination: DestinationFacts
  readonly separate: boolean
  readonly reviewers: readonly string[] | undefined
  readonly dues: Dues
  /** What a call owes that this rule alone allows. */
  readonly obligations: Obligations
  /** `file:line:column`. */
  readonly at: string
}

/** What an allow says beyond allowing; undefined where it says nothing. */
export interface Dues {
  readonly credential: string | undefined
  /** `false`: a static credential is refused. */
  readonly static: false | undefined
  readonly bodyBytesMax: number | undefined
  readonly data: Obligations['data'] | undefined
  readonly regulation: readonly string[] | undefined
  readonly category: readonly string[] | undefined
  readonly accepts: Obligations['accepts'] | undefined
  readonly quota: Quota | undefined
  readonly clientAuth: 'drop' | 'pass' | undefined
  readonly placeholderInBody: 'pass' | 'refuse' | undefined
  readonly maxPackBytes: number | undefined
  readonly record: Partial<ContentModes> | undefined
  readonly pins: ReadonlyMap<string, string> | undefined
}

/** A host pattern whose parameter is filled. */
export type BoundHost = Exclude<HostPattern, { kind: 'param' }>

/** One destination of a rule. Destinations that differ in their paths only are one entry. */
export interface Entry {
  readonly rule: BoundRule
  readonly host: BoundHost
  readonly scheme: Scheme | undefined
  readonly port: number | undefined
  /** Undefined: any. */
  readonly paths: readonly BoundPath[] | undefined
  /** What may be dialed beyond public addresses where this entry allows a call. */
  readonly addresses: readonly Cidr[]
}
