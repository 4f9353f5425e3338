// How wide a rule is, as a number that people can compare: 0 is one place of one host for one task, 100 is anything anywhere.
// The points are those of docs/rules.md. Deliberately no judgement of it: that is `check-allow.ts`. Pure; called by it and by
// the `check` verb.

import { isInspected } from './destination.ts'
import type { Inside } from './inside.ts'
import { findParamUse } from './params.ts'
import type { PathPattern } from './path-pattern.ts'
import type { Destination, HostPattern, Rule, RuleSet } from './rule-set.ts'
import type { Part } from './template.ts'

/** One thing that makes a rule wide. */
interface BreadthPart {
  readonly what: 'host' | 'method' | 'path' | 'inside' | 'opaque' | 'addresses' | 'task'
  readonly points: number
}

/** How wide a rule is. */
export interface Breadth {
  /** 0 to 100; a deny has 0. */
  readonly score: number
  /** What it is the sum of, of its widest destination; what adds nothing is left out. */
  readonly parts: readonly BreadthPart[]
}

/** How wide a rule set is. */
export interface SetBreadth {
  /** That of its widest rule. */
  readonly score: number
  /** In the order of the file, denies left out. */
  readonly rules: readonly (Breadth & { readonly id: string })[]
}

/** From this score on `check` warns of a rule. */
export const WIDE_FROM = 60

const READS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])
const ANY_HOST = 40
const WIDE_HOST = 30
const BELOW_HOST = 20
const ANY_METHOD = 15
const WRITES = 5
const ANY_PATH = 20
const DEEP_PATH = 10
const STAR_PATH = 5
const OPAQUE = 5
const ADDRESSES = 5
const MANY_ADDRESSES = 10
const NO_TASK = 10
// What one network usually is: larger than this, nobody knows what is there.
const FEW_BITS = 8

/** Measures one rule. */
export function breadthOf(rule: Rule): Breadth {
  if (rule.verdict === 'deny') return { score: 0, parts: [] }
  const measured = rule.destinations.map((destination) => measure(rule, destination))
  return measured.reduce((one, other) => (other.score > one.score ? other : one))
}

/** Measures a rule set. */
export function breadthOfSet({ rules }: RuleSet): SetBreadth {
  const measured = rules
    .filter(({ verdict }) => verdict !== 'deny')
    .map((rule) => ({ id: rule.id, ...breadthOf(rule) }))
  return { score: Math.max(0, ...measured.map(({ score }) => score)), rules: measured }
}

/** Whether a rule is for tasks of some kind only: by environment, a value that the task supplies, or a condition on it. */
export function isTiedToTask(rule: Rule): boolean {
  const { hosts, paths, values } = findParamUse([rule])
  if (rule.environments !== undefined || hosts.size + paths.size + values.size > 0) return true
  return rule.when !== undefined && asksOf(rule.when.text, 'task')
}

// By the name that it has in conditions; what stands in quotes is a text.
function asksOf(condition: string, what: 'task' | 'call'): boolean {
  const names = condition.replaceAll(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/g, '""')
  return new RegExp(`(?<![\\w.])${what}\\.`).test(names)
}

/** Whether one destination of a rule says nothing of where a call goes but its scheme and port. */
export function isAnywhere(rule: Rule, destination: Destination): boolean {
  const { host, scheme, path } = destination
  const isAny = host.kind === 'any' || (host.kind === 'range' && host.cidr.bits === 0)
  if (!isAny) return false
  if (rule.when && asksOf(rule.when.text, 'call')) return false
  if (!isInspected(scheme ?? 'https')) return true
  const narrowing = rule.methods ?? rule.query ?? rule.headers ?? rule.inside
  return narrowing === undefined && pathPoints(path ? [path] : rule.paths) === ANY_PATH
}

function measure(rule: Rule, destination: Destination): Breadth {
  const isSeen = isInspected(destination.scheme ?? 'https')
  const path = isSeen ? pathPoints(destination.path ? [destination.path] : rule.paths) : ANY_PATH
  const inside = rule.inside && insidePoints(rule.inside)
  const all: BreadthPart[] = [
    { what: 'host', points: hostPoints(destination.host) },
    { what: 'method', points: isSeen ? methodPoints(rule) : ANY_METHOD },
    // What is looked for inside counts where it says more than the path.
    inside !== undefined && inside < path
      ? { what: 'inside', points: inside }
      : { what: 'path', points: path },
    { what: 'opaque', points: isSeen ? 0 : OPAQUE },
    { what: 'addresses', points: addressPoints(rule) },
    { what: 'task', points: isTiedToTask(rule) ? 0 : NO_TASK },
  ]
  const parts = all.filter(({ points }) => points > 0)
  return { score: parts.reduce((sum, { points }) => sum + points, 0), parts }
}

function hostPoints(host: HostPattern): number {
  if (host.kind === 'any') return ANY_HOST
  if (host.kind === 'below') return host.suffix.includes('.') ? BELOW_HOST : WIDE_HOST
  if (host.kind !== 'range') return 0
  const { kind, bits } = host.cidr
  return Math.round(ANY_HOST * (1 - bits / (kind === 'ipv4' ? 32 : 128)))
}

function methodPoints({ methods }: Rule): number {
  if (methods === undefined) return ANY_METHOD
  return methods.every((method) => READS.has(method)) ? 0 : WRITES
}

function pathPoints(paths: readonly PathPattern[] | undefined): number {
  if (paths === undefined) return ANY_PATH
  return Math.max(...paths.map(onePathPoints))
}

function onePathPoints({ segments }: PathPattern): number {
  const deep = segments.indexOf('deep')
  if (deep < 0) return segments.some((each) => each !== 'deep' && isStar(each)) ? STAR_PATH : 0
  // Before a `**` something has to be said, or it is any path.
  const said = segments.some((each) => each !== 'deep' && !isStar(each))
  return said ? DEEP_PATH : ANY_PATH
}

function isStar(parts: readonly Part[]): boolean {
  return parts.length > 0 && parts.every(({ kind }) => kind === 'star')
}

function insidePoints({ mcp, model, graphql, git }: Inside): number {
  if (mcp) return anyOf([...(mcp.tools ?? []), ...(mcp.resources ?? []), ...(mcp.prompts ?? [])])
  if (model) return model.models ? anyOf(model.models) : DEEP_PATH
  if (graphql) return graphql.fields ? STAR_PATH : DEEP_PATH
  return git?.repos ? anyOf([...git.repos, ...(git.push ?? [])]) : DEEP_PATH
}

function anyOf(patterns: readonly (readonly Part[])[]): number {
  if (patterns.some(isStar)) return DEEP_PATH
  return patterns.some((parts) => parts.some(({ kind }) => kind === 'star')) ? STAR_PATH : 0
}

function addressPoints({ addresses }: Rule): number {
  if (addresses.length === 0) return 0
  const many = addresses.some(({ kind, bits }) => (kind === 'ipv4' ? 32 : 128) - bits > FEW_BITS)
  return many ? MANY_ADDRESSES : ADDRESSES
}
