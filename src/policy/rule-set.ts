// A rule set as it is written: one file, read and checked, parameters not yet filled. Values only; `parse.ts` makes them,
// `compile.ts` binds them to a task, `check.ts` looks them over.

import type { Reason } from '../errors.ts'
import type { CallLimits, DataClass } from '../tasks/task.ts'
import type { Cidr } from '../wire/address.ts'
import type { Condition } from './condition/condition.ts'
import type { TaskFacts } from './facts.ts'
import type { Inside } from './inside.ts'
import type { PathPattern } from './path-pattern.ts'
import type { ContentModes, McpSubject } from './subject.ts'
import type { ValuePattern } from './value-pattern.ts'
import type { TimeWindow } from './window.ts'
import type { Place } from './yaml-text.ts'

/** The schemes of destinations: what is inspected, what is passed through, what is relayed. */
export type Scheme = 'http' | 'https' | 'ws' | 'wss' | 'tls' | 'tcp'

/** Which hosts a destination covers. */
export type HostPattern =
  /** A name in normal form, or one address. */
  | { readonly kind: 'exact'; readonly host: string; readonly isAddress: boolean }
  | { readonly kind: 'param'; readonly name: string }
  /** `*.SUFFIX`: one label or more below it. */
  | { readonly kind: 'below'; readonly suffix: string }
  /** Any name, never an address. */
  | { readonly kind: 'any' }
  /** Addresses written as such. */
  | { readonly kind: 'range'; readonly cidr: Cidr }

/** One destination of a rule. */
export interface Destination {
  readonly text: string
  /** Undefined on a deny of a range: a deny covers every scheme. */
  readonly scheme: Scheme | undefined
  readonly host: HostPattern
  /** As written, or the scheme's; undefined on a deny that has neither. */
  readonly port: number | undefined
  readonly isPortWritten: boolean
  /** The path of the URL, shorthand for `paths`. */
  readonly path: PathPattern | undefined
}

/** What stands for the destinations of a group, `hosts:` of a rule file. */
export interface GroupReference {
  readonly group: string
}

/** What a rule says: `hold` lets a call pass once a person approves it. */
export type Verdict = 'allow' | 'deny' | 'hold'

/** How much a task may do by a rule. */
export interface RuleLimits extends CallLimits {
  /** Each tool that the rule names is counted by itself. */
  readonly perTool?: boolean | undefined
}

/** One rule. What a verdict cannot have is undefined. */
export interface Rule {
  readonly id: string
  readonly verdict: Verdict
  readonly description: string | undefined
  readonly owner: string | undefined
  readonly destinations: readonly Destination[]
  /** Undefined: any. */
  readonly methods: readonly string[] | undefined
  /** Undefined: any, save what destinations say in shorthand. */
  readonly paths: readonly PathPattern[] | undefined
  readonly query: readonly ValuePattern[] | undefined
  readonly headers: readonly ValuePattern[] | undefined
  /** The ports that a deny covers; undefined: all. */
  readonly ports: readonly number[] | undefined
  /** Environments of tasks that the rule is for; undefined: all. */
  readonly environments: readonly string[] | undefined
  /** Times at which the rule counts; undefined: always. */
  readonly between: TimeWindow | undefined
  readonly when: Condition | undefined
  /** Epoch milliseconds from which on the rule is as if it were not there; undefined: never. */
  readonly expiresAt: number | undefined
  /** Of the exception that the rule is. */
  readonly ticket: string | undefined
  readonly addresses: readonly Cidr[]
  readonly credential: string | undefined
  readonly data: DataClass | undefined
  /** Laws and standards that what comes back falls under. */
  readonly regulation: readonly string[] | undefined
  /** Highest class that may be sent; undefined: `public`. */
  readonly accepts: DataClass | undefined
  /** What kind of data comes back, such as customer-records. */
  readonly category: readonly string[] | undefined
  /** Name of the profile of regulated data that the rule has to keep to. */
  readonly profile: string | undefined
  readonly bodyBytesMax: number | undefined
  /** Undefined where the rule limits nothing but the body. */
  readonly limits: RuleLimits | undefined
  /** On a hold: who owns or made the task may not approve. */
  readonly separate: boolean
  /** On a hold: who may approve, `team:NAME` for a team; undefined: any approver. */
  readonly reviewers: readonly string[] | undefined
  /** `false`: no credential that is the same for all tasks; undefined: any. */
  readonly static: false | undefined
  readonly clientAuth: 'drop' | 'pass' | undefined
  readonly placeholderInBody: 'pass' | 'refuse' | undefined
  /** Keys that look inside the call; undefined where the rule has none. */
  readonly inside: Inside | undefined
  /** What records keep of what is said; undefined: what the configuration says. */
  readonly record: Partial<ContentModes> | undefined
  readonly observe: boolean
  readonly place: Place
}

/** What a test expects. */
export type Expectation =
  | { readonly verdict: 'allow' | 'hold'; readonly rule: string }
  | { readonly verdict: 'deny'; readonly reason: Reason }

/** One entry of `tests:`. */
export interface RuleTest {
  /** `METHOD URL`, or `CONNECT HOST:PORT`. */
  readonly call: string
  readonly params: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  /** The task that asks, as far as the test says. */
  readonly task: TaskFacts
  /** When it asks, in epoch milliseconds; undefined: now. */
  readonly at: number | undefined
  /** The highest class that the task has read. */
  readonly read: DataClass
  /** What the call names of an MCP server; undefined: nothing is said of what is inside it. */
  readonly item: McpSubject | undefined
  /** Of the request; undefined: nothing is said of it. */
  readonly body: string | undefined
  readonly expect: Expectation
  readonly place: Place
}

/** A parameter that a task supplies. */
export interface Param {
  /** RE2; the whole value has to match. */
  readonly pattern: string
  readonly description: string | undefined
  readonly place: Place
}

/** One rule file. */
export interface RuleSet {
  readonly name: string
  readonly file: string
  /** `sha256:` and 64 hex digits of the file. */
  readonly version: string
  readonly description: string | undefined
  readonly owner: string | undefined
  /** Who may be given this set; undefined: anyone. Kept for whoever hands out sets; no decision looks at it. */
  readonly for: { readonly teams: readonly string[] } | undefined
  readonly params: ReadonlyMap<string, Param>
  readonly rules: readonly Rule[]
  readonly tests: readonly RuleTest[]
}
