// Whether all that one rule stands for another stands for too, as both are written, whatever a task's values are: a parameter
// includes itself, and only what stands for anything includes a parameter. Sound and not complete, like `inclusion.ts`, which
// compares rules that are filled already. Pure; called by `check-reach.ts`.

import { isInspected } from './destination.ts'
import {
  includesGlob,
  includesHost,
  includesLetters,
  includesScheme,
  includesSequence,
} from './inclusion.ts'
import { includesInside } from './inside-inclusion.ts'
import { bindInside, patternsOf } from './inside.ts'
import type { PathPattern } from './path-pattern.ts'
import type { Destination, HostPattern, Rule } from './rule-set.ts'
import { bindTemplate, type Part } from './template.ts'
import type { ValuePattern } from './value-pattern.ts'

/** A rule for one host of its own. Destinations that differ in their paths only are one, as a call is judged by them. */
export interface Aim extends Pick<Destination, 'host' | 'scheme' | 'port' | 'text'> {
  readonly rule: Rule
  /** Undefined: any. */
  readonly methods: readonly string[] | undefined
  /** Undefined: any. */
  readonly paths: readonly PathPattern[] | undefined
}

/** Lists what a rule is for, one host, scheme and port at a time. */
export function aimsOf(rule: Rule): Aim[] {
  const aims = new Map<string, Aim>()
  const { methods } = rule
  for (const { host, scheme, port, path, text } of rule.destinations) {
    const key = JSON.stringify([host, scheme, port])
    const known = aims.get(key)
    const own = path ? [path] : rule.paths
    const paths = known ? known.paths && own && [...known.paths, ...own] : own
    aims.set(key, { rule, host, scheme, port, methods, paths, text })
  }
  return [...aims.values()]
}

/** Whether every host of one pattern is a host of another, whatever the task's values are. */
function coversHost(wide: HostPattern, narrow: HostPattern): boolean {
  if (narrow.kind === 'param')
    return wide.kind === 'any' || (wide.kind === 'param' && wide.name === narrow.name)
  return wide.kind !== 'param' && includesHost(wide, narrow)
}

/** Whether a deny refuses every call that another rule is meant for; what it looks for inside calls counts as less. */
export function deniesAll(deny: Aim, { rule, host, port, scheme, methods, paths }: Aim): boolean {
  const { ports, query, headers } = deny.rule
  const isOpen = rule.verdict !== 'deny' && !isInspected(scheme ?? 'https')
  return (
    coversHost(deny.host, host) &&
    coversPorts(ports, rule, port) &&
    // A part of what nobody looks into is denied with all of it; that is told by its own name.
    !(isOpen && (deny.methods ?? deny.paths ?? query ?? headers)) &&
    coversList(deny.methods, methods) &&
    coversPaths(deny.paths, paths) &&
    coversValues(query, rule.query) &&
    coversValues(headers, rule.headers) &&
    coversEnvironments(deny.rule, rule) &&
    (deny.rule.inside === undefined || isSameInside(deny.rule, rule))
  )
}

/** Whether an allow, or a hold, matches every call that another one matches. */
export function allowsAll(allow: Aim, { rule, host, port, scheme, methods, paths }: Aim): boolean {
  return (
    coversHost(allow.host, host) &&
    allow.port === port &&
    includesScheme(allow.scheme, scheme) &&
    coversList(allow.methods, methods) &&
    coversPaths(allow.paths, paths) &&
    coversValues(allow.rule.query, rule.query) &&
    coversValues(allow.rule.headers, rule.headers) &&
    coversEnvironments(allow.rule, rule) &&
    coversInside(allow.rule, rule)
  )
}

function coversPorts(
  ports: readonly number[] | undefined,
  narrow: Rule,
  port: number | undefined,
): boolean {
  if (ports === undefined) return true
  if (narrow.verdict === 'deny') return coversList(ports, narrow.ports)
  return port !== undefined && ports.includes(port)
}

function coversList<Each>(
  wide: readonly Each[] | undefined,
  narrow: readonly Each[] | undefined,
): boolean {
  return wide === undefined || (narrow?.every((each) => wide.includes(each)) ?? false)
}

function coversEnvironments(wide: Rule, narrow: Rule): boolean {
  return coversList(wide.environments, narrow.environments)
}

function coversPaths(
  wide: readonly PathPattern[] | undefined,
  narrow: readonly PathPattern[] | undefined,
): boolean {
  if (wide === undefined) return true
  const any = wide.some(({ segments }) => segments.length === 1 && segments[0] === 'deep')
  if (any || narrow === undefined) return any
  return narrow.every((path) =>
    wide.some(({ segments }) =>
      includesSequence(segments, path.segments, (segment) => segment === 'deep', coversSegment),
    ),
  )
}

// A value in a path may be several segments, so that only the same template or `**` is sure to cover it.
function coversSegment(wide: readonly Part[] | 'deep', narrow: readonly Part[] | 'deep'): boolean {
  if (wide === 'deep' || narrow === 'deep') return false
  if (hasParam(wide) || hasParam(narrow)) return JSON.stringify(wide) === JSON.stringify(narrow)
  const glob = bindTemplate(wide, {})
  const text = bindTemplate(narrow, {})
  // The star of a segment is no empty segment, which only a trailing slash leaves.
  return !(typeof glob !== 'string' && text === '') && includesGlob(glob, text)
}

function coversValues(
  wide: readonly ValuePattern[] | undefined,
  narrow: readonly ValuePattern[] | undefined,
): boolean {
  return (wide ?? []).every(({ key, alternatives }) =>
    (narrow ?? []).some(
      (pattern) =>
        pattern.key === key &&
        pattern.alternatives.every((parts) => alternatives.some((each) => coversText(each, parts))),
    ),
  )
}

function coversText(wide: readonly Part[], narrow: readonly Part[]): boolean {
  return includesLetters(lettersOf(wide), lettersOf(narrow))
}

// A parameter is a letter of its own, an empty letter a star.
function lettersOf(parts: readonly Part[]): string[] {
  return parts.flatMap((part) => {
    if (part.kind === 'star') return ['']
    return part.kind === 'text' ? Array.from(part.text) : [`{${part.name}}`]
  })
}

function coversInside(wide: Rule, narrow: Rule): boolean {
  if (wide.inside === undefined) return true
  if (narrow.inside === undefined) return false
  if (hasParams(wide) || hasParams(narrow)) return isSameInside(wide, narrow)
  return includesInside(bindInside(wide.inside, {}), bindInside(narrow.inside, {}))
}

function isSameInside(one: Rule, other: Rule): boolean {
  return one.verdict === other.verdict && describeInside(one) === describeInside(other)
}

function describeInside({ inside }: Rule): string {
  return JSON.stringify(inside, (_key, value: unknown) =>
    value instanceof Map ? [...value.entries()] : value,
  )
}

function hasParams({ inside }: Rule): boolean {
  return inside !== undefined && patternsOf(inside).some(hasParam)
}

function hasParam(parts: readonly Part[]): boolean {
  return parts.some(({ kind }) => kind === 'param')
}
