// One rule with a task's values in it, ready to be matched. Pure; called by `compile.ts`, which has checked the values.

import { parseCidr, type Cidr } from '../wire/address.ts'
import { normalizeHost } from '../wire/authority.ts'
import type { DestinationFacts } from './condition/condition.ts'
import type { Obligations } from './decision.ts'
import { bindInside } from './inside.ts'
import type { BoundHost, BoundRule, Dues, Entry } from './bound-rule.ts'
import { oweStrictest } from './owe.ts'
import { refusesStatic } from './profiles.ts'
import { bindPath } from './path-pattern.ts'
import type { HostPattern, Rule, RuleSet } from './rule-set.ts'
import type { ParamValues } from './template.ts'
import { bindValues } from './value-pattern.ts'

/** How a rule is bound. */
export interface Binding {
  readonly values: ParamValues
  readonly binding: BoundRule['binding']
  readonly ordinal: number
  /** Of the task; undefined: unknown. */
  readonly environment: string | undefined
}

/** Binds one rule. */
export function bindRule(
  rule: Rule,
  set: RuleSet,
  { values, binding, ordinal, environment }: Binding,
): BoundRule {
  const entries: Entry[] = []
  const ref = { id: rule.id, ruleset: set.name, version: set.version }
  const dues: Dues = {
    credential: rule.credential,
    static: refusesStatic(rule) ? false : undefined,
    bodyBytesMax: rule.bodyBytesMax,
    data: rule.data,
    regulation: rule.regulation,
    category: rule.category,
    accepts: rule.accepts,
    quota: rule.limits && { rule: ref, limits: rule.limits },
    clientAuth: rule.clientAuth,
    placeholderInBody: rule.placeholderInBody,
    maxPackBytes: rule.inside?.git?.maxPackBytes,
    record: rule.record,
    pins: rule.inside?.mcp?.pins,
  }
  const bound: BoundRule = {
    ordinal,
    ref,
    verdict: rule.verdict,
    observe: rule.observe,
    binding,
    entries,
    methods: rule.methods,
    query: rule.query?.map((pattern) => bindValues(pattern, values)),
    headers: rule.headers?.map((pattern) => bindValues(pattern, values)),
    ports: rule.ports && new Set(rule.ports),
    inside: rule.inside && bindInside(rule.inside, values),
    isForEnvironment: isFor(rule, binding, environment),
    between: rule.between,
    when: rule.when,
    expiresAt: rule.expiresAt,
    destination: describeDestination(rule, environment),
    separate: rule.separate,
    reviewers: rule.reviewers,
    dues,
    obligations: oweAlone(dues),
    at: `${set.file}:${rule.place.line}:${rule.place.column}`,
  }
  entries.push(...bindDestinations(rule, bound, values))
  return bound
}

// Destinations that differ in their paths only are one entry: an allow holds when every reading of a path matches some
// pattern of the same rule, whichever way the patterns are written.
function bindDestinations(rule: Rule, bound: BoundRule, values: ParamValues): Entry[] {
  const entries = new Map<string, Entry>()
  for (const { scheme, host: pattern, port, path } of rule.destinations) {
    const host = bindHost(pattern, values)
    const key = JSON.stringify([scheme, host, port])
    const written = path ? [path] : rule.paths
    const own = written?.map((each) => bindPath(each, values))
    const known = entries.get(key)
    const paths = known ? known.paths && own && [...known.paths, ...own] : own
    const literal = literalRange(host)
    const addresses = literal ? [...rule.addresses, literal] : rule.addresses
    entries.set(key, { rule: bound, host, scheme, port, paths, addresses })
  }
  return [...entries.values()]
}

function bindHost(pattern: HostPattern, values: ParamValues): BoundHost {
  if (pattern.kind !== 'param') return pattern
  const { host } = normalizeHost(values[pattern.name] ?? '')
  return { kind: 'exact', host, isAddress: false }
}

// Where the task's environment is not known, what allows does not count, and what denies or binds does.
function isFor(
  { environments, verdict }: Rule,
  binding: BoundRule['binding'],
  environment: string | undefined,
): boolean {
  if (environments === undefined) return true
  if (environment === undefined) return verdict !== 'allow' || binding === 'always'
  return environments.includes(environment)
}

function describeDestination(
  { data, environments }: Rule,
  environment: string | undefined,
): DestinationFacts {
  const label = environments?.find((each) => each === environment) ?? environments?.[0]
  return { ...(data !== undefined && { data }), ...(label !== undefined && { environment: label }) }
}

/** What a call owes that one rule alone allows. */
function oweAlone(dues: Dues): Obligations {
  return Object.freeze({
    ...(dues.credential !== undefined && { credential: dues.credential }),
    ...(dues.accepts !== undefined && { accepts: dues.accepts }),
    ...(dues.quota && { quotas: [dues.quota] }),
    ...oweStrictest([dues]),
    clientAuth: dues.clientAuth ?? 'drop',
    placeholderInBody: dues.placeholderInBody ?? 'pass',
  })
}

// A rule that names an address, or a range around it, means that address to be dialed.
function literalRange(host: BoundHost): Cidr | undefined {
  if (host.kind === 'range') return host.cidr
  return host.kind === 'exact' && host.isAddress ? parseCidr(host.host) : undefined
}
