// What is well formed and yet worth a second look: rules that are wide, rules that get in each other's way, rules that do
// not do what they seem to. The tests of a file are run by `rule-tests.ts`.
// Pure; called by the `check` verb, and by `config/` before a changed file counts.

import { reviewDeny } from './check-deny.ts'
import { reviewAllow } from './check-allow.ts'
import { reviewPins, reviewUnlimited } from './check-inside.ts'
import { findIdle } from './check-reach.ts'
import { inspectorOf } from './inside.ts'
import { Neighbours } from './neighbours.ts'
import { callsOverlap, environmentsOverlap, hostsOverlap, pathsOf } from './overlap.ts'
import { findParamUse } from './params.ts'
import type { Finding, Problem } from './problem.ts'
import type { PathPattern } from './path-pattern.ts'
import type { Destination, HostPattern, Rule, RuleSet } from './rule-set.ts'
import { isInspected } from './destination.ts'

interface Ruled {
  readonly set: RuleSet
  readonly rule: Rule
  readonly destination: Destination
  readonly host: HostPattern
  readonly paths: readonly PathPattern[] | undefined
}

/** Looks one rule set over. */
export function checkRuleSet(set: RuleSet): Problem[] {
  const findings = set.rules.flatMap((rule) =>
    (rule.verdict === 'deny' ? reviewDeny(rule) : reviewAllow(rule)).map((finding) =>
      placed(finding, set, rule.place),
    ),
  )
  return [...findings, ...checkUnusedParams(set), ...checkTogether([set])].sort(
    (one, other) => one.line - other.line || one.column - other.column,
  )
}

/** Looks for rules that get in each other's way, among all sets that are in force together. */
export function checkTogether(sets: readonly RuleSet[]): Problem[] {
  const all = sets.flatMap((set) =>
    set.rules.flatMap((rule) =>
      rule.destinations.map((destination): Ruled => ({
        set,
        rule,
        destination,
        host: destination.host,
        paths: pathsOf({ rule, destination }),
      })),
    ),
  )
  const allows = all.filter(({ rule }) => rule.verdict !== 'deny')
  const inspected = allows.filter(({ destination }) => isInspected(destination.scheme ?? 'https'))
  const opaque = allows.filter(({ destination }) => !isInspected(destination.scheme ?? 'https'))
  const limited = inspected.filter(({ rule }) => rule.inside !== undefined)
  const partial = all.filter(({ rule }) => isPartialDeny(rule))
  const nearInspected = new Neighbours(inspected)
  const nearOpaque = new Neighbours(opaque)
  const nearLimited = new Neighbours(limited)
  return distinct([
    ...opaque.flatMap((one) => findInspection(one, nearInspected.near(one))),
    // Of what nobody looks into a deny of one path denies all.
    ...partial.flatMap((one) => findOpaque(one, nearOpaque.near({ ...one, paths: undefined }))),
    ...inspected.flatMap((one) => placeAll(reviewUnlimited(one, nearLimited.near(one)), one)),
    ...limited.flatMap((one) => placeAll(reviewPins(one, before(one, nearLimited.near(one))), one)),
    ...findCredentialConflicts(inspected.filter(({ rule }) => rule.credential !== undefined)),
    ...findIdle(sets).map(({ set, rule, finding }) => placed(finding, set, rule.place)),
  ])
}

function before(one: Ruled, others: readonly Ruled[]): readonly Ruled[] {
  return others.slice(0, others.indexOf(one))
}

function placeAll(findings: readonly Finding[], { set, rule }: Ruled): Problem[] {
  return findings.map((finding) => placed(finding, set, rule.place))
}

function findInspection(one: Ruled, inspected: readonly Ruled[]): Problem[] {
  const other = inspected.find(
    ({ rule, destination }) =>
      destination.port === one.destination.port &&
      environmentsOverlap(rule, one.rule) &&
      hostsOverlap(destination.host, one.destination.host),
  )
  if (!other) return []
  return [
    placed(
      {
        severity: 'error',
        message: `\`${one.destination.text}\` does not apply where rule \`${other.rule.id}\` has the connection inspected`,
        hint: `take one of them out: \`${other.destination.text}\` covers the same host and port`,
        code: 'opaque-overlap',
      },
      one.set,
      one.rule.place,
    ),
  ]
}

function isPartialDeny({
  verdict,
  methods,
  paths,
  query,
  headers,
  inside,
  destinations,
}: Rule): boolean {
  return (
    verdict === 'deny' &&
    ((methods ?? paths ?? query ?? headers ?? inside) !== undefined ||
      destinations.some(({ path }) => path !== undefined))
  )
}

function findOpaque(one: Ruled, opaque: readonly Ruled[]): Problem[] {
  const other = opaque.find(
    ({ rule, destination }) =>
      (one.rule.ports?.includes(destination.port ?? 0) ?? true) &&
      environmentsOverlap(rule, one.rule) &&
      hostsOverlap(destination.host, one.destination.host),
  )
  if (!other) return []
  return [
    placed(
      {
        severity: 'warning',
        message: `denies all of \`${other.destination.text}\`: nobody sees which part of it is asked for`,
        hint: `take the destination out of rule \`${other.rule.id}\`, or have it inspected`,
        code: 'deny-of-part',
      },
      one.set,
      one.rule.place,
    ),
  ]
}

function findCredentialConflicts(brokered: readonly Ruled[]): Problem[] {
  const problems: Problem[] = []
  const near = new Neighbours(brokered)
  for (const other of brokered)
    for (const one of before(other, near.near(other))) {
      if (one.rule.credential === other.rule.credential) continue
      if (!shareCalls(one, other)) continue
      problems.push(
        placed(
          {
            severity: 'error',
            message: `adds credential \`${String(other.rule.credential)}\` to calls to which rule \`${one.rule.id}\` adds \`${String(one.rule.credential)}\``,
            hint: 'a call has one credential: make the rules apart by method, path, query or headers',
            code: 'credential-conflict',
          },
          other.set,
          other.rule.place,
        ),
      )
    }
  return problems
}

function shareCalls(one: Ruled, other: Ruled): boolean {
  const kinds = [one, other].map(({ rule }) => rule.inside && inspectorOf(rule.inside))
  // What is inside a call is of one kind.
  if (kinds[0] !== undefined && kinds[1] !== undefined && kinds[0] !== kinds[1]) return false
  const isSecure = ({ destination: { scheme } }: Ruled): boolean =>
    scheme === 'https' || scheme === 'wss'
  return (
    one.destination.port === other.destination.port &&
    isSecure(one) === isSecure(other) &&
    environmentsOverlap(one.rule, other.rule) &&
    hostsOverlap(one.destination.host, other.destination.host) &&
    callsOverlap(one, other)
  )
}

function checkUnusedParams(set: RuleSet): Problem[] {
  const { hosts, paths, values, conditions } = findParamUse(set.rules)
  return [...set.params]
    .filter(([name]) => ![hosts, paths, values, conditions].some((names) => names.has(name)))
    .map(([name, { place }]) =>
      placed(
        {
          severity: 'warning',
          message: `no rule uses the parameter \`${name}\``,
          hint: `write {${name}} where the task's value is meant, or take it out`,
          code: 'unused-param',
        },
        set,
        place,
      ),
    )
}

function placed(finding: Finding, { file }: RuleSet, { line, column }: Rule['place']): Problem {
  return { file, line, column, ...finding }
}

// Two destinations of a rule say the same thing once.
function distinct(problems: readonly Problem[]): Problem[] {
  return [...new Map(problems.map((problem) => [JSON.stringify(problem), problem])).values()]
}
