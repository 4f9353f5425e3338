// How far a call gets with one rule: host, port, scheme, method, path, query, headers, what is inside, environment, in this
// order. The one place that says what matches; `decide.ts` asks it of the rules that the index finds, `explain.ts` of all of them. Pure.

import { contains, type Cidr } from '../wire/address.ts'
import type { Endpoint } from '../wire/authority.ts'
import type { Obligations, Question, RuleRef } from './decision.ts'
import type { BoundInside } from './inside.ts'
import { findMismatch, meetsDeny } from './inside-match.ts'
import { foldReading, matchPath, matchPathFolded, type BoundPath } from './path-pattern.ts'
import { readQuery, type QueryReading } from './query.ts'
import type { HostPattern, Scheme } from './rule-set.ts'
import type { ContentModes } from './subject.ts'
import {
  allowsHeaders,
  allowsQuery,
  deniesHeaders,
  deniesQuery,
  type BoundValues,
} from './value-pattern.ts'

/** How far a call got: the dimension it failed at, in order; `MATCHED` is beyond them all. */
export const STAGES = [
  'host',
  'port',
  'scheme',
  'method',
  'path',
  'query',
  'headers',
  'inside',
  'environment',
] as const

/** A dimension's place in `STAGES`, or `MATCHED`. */
export type Stage = number

const HOST = 0
const PORT = 1
const SCHEME = 2
const METHOD = 3
const PATH = 4
const QUERY = 5
const HEADERS = 6
/** What was read of the call fails, or in a deny is not read yet. */
export const INSIDE: Stage = 7
const ENVIRONMENT = 8
/** Nothing failed. */
export const MATCHED: Stage = 9

/** A rule with a task's values in it. */
export interface BoundRule {
  /** Place among all rules of the policy. */
  readonly ordinal: number
  readonly ref: RuleRef
  readonly verdict: 'allow' | 'deny'
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
  readonly dues: Dues
  /** What a call owes that this rule alone allows. */
  readonly obligations: Obligations
  /** `file:line:column`. */
  readonly at: string
}

/** What an allow says beyond allowing; undefined where it says nothing. */
export interface Dues {
  readonly credential: string | undefined
  readonly bodyBytesMax: number | undefined
  readonly data: Obligations['data'] | undefined
  readonly regulation: readonly string[] | undefined
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

/** A question, and what is worked out of it only where a rule asks. */
export class Facts {
  readonly question: Question
  #folded: readonly (readonly string[])[] | undefined
  #query: readonly QueryReading[] | undefined

  constructor(question: Question) {
    this.question = question
  }

  /** The path's readings without case. */
  get folded(): readonly (readonly string[])[] {
    this.#folded ??= this.question.path.readings.map(foldReading)
    return this.#folded
  }

  /** The readings of the query. */
  get query(): readonly QueryReading[] {
    this.#query ??= readQuery(this.question.query)
    return this.#query
  }
}

/** Whether an entry's host covers an endpoint's. */
export function coversHost(host: BoundHost, endpoint: Endpoint): boolean {
  if (host.kind === 'exact') return host.host === endpoint.host
  if (host.kind === 'range') return endpoint.kind !== 'name' && contains(host.cidr, endpoint.host)
  if (endpoint.kind !== 'name') return false
  return host.kind === 'any' || endpoint.host.endsWith(`.${host.suffix}`)
}

/** How far an HTTP call gets with an entry whose host covers it. */
export function reach(entry: Entry, facts: Facts): Stage {
  return entry.rule.verdict === 'allow' ? reachAllow(entry, facts) : reachDeny(entry, facts)
}

function reachAllow({ rule, scheme, port, paths }: Entry, facts: Facts): Stage {
  const { question } = facts
  if (port !== question.endpoint.port) return PORT
  const covers = question.upgrade
    ? scheme === (question.scheme === 'https' ? 'wss' : 'ws')
    : scheme === question.scheme || scheme === (question.scheme === 'https' ? 'wss' : 'ws')
  if (!covers) return SCHEME
  if (rule.methods && !rule.methods.includes(question.method)) return METHOD
  if (paths && !allowsPath(paths, question.path.readings)) return PATH
  if (rule.query && !allowsQuery(rule.query, facts.query)) return QUERY
  if (rule.headers && !allowsHeaders(rule.headers, question.headers)) return HEADERS
  if (rule.inside && findMismatch(rule.inside, question)) return INSIDE
  return rule.isForEnvironment ? MATCHED : ENVIRONMENT
}

function reachDeny({ rule, paths }: Entry, facts: Facts): Stage {
  const { question } = facts
  if (rule.ports && !rule.ports.has(question.endpoint.port)) return PORT
  // Some servers take `get` for GET.
  if (rule.methods && !rule.methods.includes(question.method.toUpperCase())) return METHOD
  if (paths && !deniesPath(paths, facts)) return PATH
  if (rule.query && !deniesQuery(rule.query, facts.query)) return QUERY
  if (rule.headers && !deniesHeaders(rule.headers, question.headers)) return HEADERS
  if (rule.inside && !meetsDeny(rule.inside, question)) return INSIDE
  return rule.isForEnvironment ? MATCHED : ENVIRONMENT
}

// Every reading has to match some pattern: else an upstream that reads the bytes in that way does what no rule allows.
function allowsPath(
  paths: readonly BoundPath[],
  readings: readonly (readonly string[])[],
): boolean {
  for (const reading of readings) if (!matchesSome(paths, reading)) return false
  return true
}

function deniesPath(paths: readonly BoundPath[], facts: Facts): boolean {
  for (const reading of facts.question.path.readings) if (matchesSome(paths, reading)) return true
  return facts.folded.some((reading) => paths.some((path) => matchPathFolded(path, reading)))
}

function matchesSome(paths: readonly BoundPath[], reading: readonly string[]): boolean {
  for (const path of paths) if (matchPath(path, reading)) return true
  return false
}

/** How a tunnel to an endpoint would be carried. */
export type TunnelMode = 'inspect' | 'tls' | 'tcp'

/** How far a CONNECT gets with an entry whose host covers it, in a tunnel that would be carried in one mode. */
export function reachConnect(
  { rule, scheme, port, paths }: Entry,
  connectPort: number,
  mode: TunnelMode,
): Stage {
  if (rule.verdict === 'allow') {
    if (port !== connectPort) return PORT
    // A rule of another environment has no say in how the tunnel is carried, so that this is what it fails at.
    if (!rule.isForEnvironment) return ENVIRONMENT
    return modeOf(scheme) === mode ? MATCHED : SCHEME
  }
  if (rule.ports && !rule.ports.has(connectPort)) return PORT
  const matched = rule.isForEnvironment ? MATCHED : ENVIRONMENT
  // Nobody sees what happens inside such a tunnel, so a deny of a part of the host denies all of it.
  if (mode !== 'inspect') return matched
  if (rule.methods) return METHOD
  if (paths) return PATH
  if (rule.query) return QUERY
  if (rule.headers) return HEADERS
  return rule.inside ? INSIDE : matched
}

// The mode that an allow's scheme asks for.
function modeOf(scheme: Scheme | undefined): TunnelMode {
  return scheme === 'tls' || scheme === 'tcp' ? scheme : 'inspect'
}

/** How far a call gets with an entry whose host does not cover it. */
export const NO_HOST: Stage = HOST
