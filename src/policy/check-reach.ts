// Rules that decide nothing, because others in force together decide all that they are meant for: allows that are denied
// whole, and rules that an earlier one says already. Says only what is certain: a rule that only watches covers nothing.
// Pure; called by `check.ts`.

import { aimsOf, allowsAll, deniesAll, type Aim } from './covers.ts'
import { includesRange } from './inclusion.ts'
import { Neighbours } from './neighbours.ts'
import type { Finding } from './problem.ts'
import type { HostPattern, Rule, RuleSet } from './rule-set.ts'
import { parseCidr, type Cidr } from '../wire/address.ts'

/** A rule that decides nothing, and what is said of it. */
export interface Idle {
  readonly set: RuleSet
  readonly rule: Rule
  readonly finding: Finding
}

/** A rule among all that are in force together. */
interface Ranked {
  readonly set: RuleSet
  readonly rule: Rule
  readonly order: number
  /** All that it says beyond what it matches and who may approve. */
  readonly dues: string
}

type Claim = Aim & { readonly owner: Ranked }
type Claims = Neighbours<Claim>

/** Finds the rules of sets in force together that decide nothing. */
export function findIdle(sets: readonly RuleSet[]): Idle[] {
  const rules = sets
    .flatMap((set) => set.rules.map((rule) => ({ set, rule, dues: duesOf(rule) })))
    .map((each, order): Ranked => ({ ...each, order }))
  const certain = rules.filter(({ rule }) => isCertain(rule))
  const denies = claimsOf(certain.filter(({ rule }) => rule.verdict === 'deny'))
  const others = claimsOf(certain.filter(({ rule }) => rule.verdict !== 'deny'))
  return rules.flatMap((one) => {
    const finding =
      one.rule.verdict === 'deny'
        ? reviewDeny(one, denies)
        : (reviewDenied(one, denies) ?? reviewRepeated(one, others))
    return finding === undefined ? [] : [{ set: one.set, rule: one.rule, finding }]
  })
}

function claimsOf(rules: readonly Ranked[]): Claims {
  return new Neighbours(
    rules.flatMap((owner) => aimsOf(owner.rule).map((aim) => ({ ...aim, owner }))),
  )
}

// A rule that only watches, or does not always hold, is no reason for another not to be there.
function isCertain({ observe, when, between, expiresAt }: Rule): boolean {
  return !observe && (when ?? between ?? expiresAt) === undefined
}

function reviewDenied(one: Ranked, denies: Claims): Finding | undefined {
  const aims = aimsOf(one.rule)
  const found = aims.map((aim) => findDenies(aim, denies))
  const denied = found.filter((each) => each !== undefined).flat()
  if (denied.length === 0) return undefined
  const names = namesOf(denied, one.set)
  if (found.every((each) => each !== undefined))
    return {
      severity: 'warning',
      message: `matches no call: ${names} all that it is for`,
      hint: 'take it out, or make the deny narrower',
      code: 'unreachable',
    }
  const unmet = aims.filter((_aim, at) => found[at] !== undefined).map(({ text }) => `\`${text}\``)
  return {
    severity: 'warning',
    message: `matches no call to ${unmet.join(', ')}: ${names} all of it`,
    hint: 'take the destination out, or make the deny narrower',
    code: 'unreachable',
  }
}

// A call has one method, and one of its paths is enough for a deny: each part may have a deny of its own.
function findDenies(aim: Aim, denies: Claims): Claim[] | undefined {
  const methods = aim.methods?.map((method) => [method]) ?? [undefined]
  const paths = aim.paths?.map((path) => [path]) ?? [undefined]
  const near = denies.near(aim)
  const found = methods.flatMap((some) =>
    paths.map((each) =>
      near.find((deny) => deniesAll(deny, { ...aim, methods: some, paths: each })),
    ),
  )
  const known = found.filter((each) => each !== undefined)
  return known.length === found.length ? known : undefined
}

function reviewRepeated(one: Ranked, others: Claims): Finding | undefined {
  // A hold denies outside its window, and where its condition cannot be evaluated.
  if (one.rule.verdict === 'hold' && (one.rule.when ?? one.rule.between)) return undefined
  const found = aimsOf(one.rule).flatMap((aim) => {
    const near = others
      .near(aim)
      .filter(({ owner, host }) => saysAll(owner, one) && dialsAll(host, aim.host))
    const methods = aim.methods?.map((method) => [method]) ?? [undefined]
    return methods.map((some) => near.find((each) => allowsAll(each, { ...aim, methods: some })))
  })
  const known = found.filter((each) => each !== undefined)
  if (known.length < found.length) return undefined
  const isHeld = known.some(({ owner }) => owner.rule.verdict === 'hold')
  return {
    severity: 'warning',
    message: `decides nothing: ${namesOf(known, one.set, isHeld ? 'hold' : 'allow')} all that it does, and asks the same`,
    hint: isHeld
      ? 'take it out'
      : 'take it out, or put it before the wider rule if records are to name it',
    code: 'shadowed',
  }
}

// Of rules that say the same the first is told, of an allow and a hold the hold. Sets are given to tasks in many ways: what one
// says twice is worth mending, not what two of them say once each.
function saysAll(other: Ranked, one: Ranked): boolean {
  if (other.set !== one.set || other.dues !== one.dues || other === one) return false
  if (other.rule.verdict !== one.rule.verdict) return other.rule.verdict === 'hold'
  return other.order < one.order && termsOf(other.rule) === termsOf(one.rule)
}

function termsOf({ separate, reviewers }: Rule): string {
  return JSON.stringify([separate, reviewers])
}

// An address that is written as such is one that names may resolve to as well.
function dialsAll(wide: HostPattern, narrow: HostPattern): boolean {
  const range = rangeOf(narrow)
  const own = rangeOf(wide)
  return range === undefined || (own !== undefined && includesRange([own], range))
}

function rangeOf(host: HostPattern): Cidr | undefined {
  if (host.kind === 'range') return host.cidr
  return host.kind === 'exact' && host.isAddress ? parseCidr(host.host) : undefined
}

// Of two that deny the same the later one is told.
function reviewDeny(one: Ranked, denies: Claims): Finding | undefined {
  const found = aimsOf(one.rule).map((aim) =>
    denies
      .near(aim)
      .find(
        (deny) =>
          deny.owner !== one &&
          deny.owner.set === one.set &&
          deniesAll(deny, aim) &&
          (deny.owner.order < one.order || !isCertain(one.rule) || !deniesAll(aim, deny)),
      ),
  )
  const known = found.filter((each) => each !== undefined)
  if (known.length < found.length) return undefined
  return {
    severity: 'warning',
    message: `changes nothing: ${namesOf(known, one.set)} all that it does`,
    hint: 'take one of them out',
    code: 'shadowed',
  }
}

function namesOf(
  claims: readonly Claim[],
  { name }: RuleSet,
  verb: Rule['verdict'] = 'deny',
): string {
  const ids = new Set(
    claims.map(
      ({ owner: { set, rule } }) => `\`${set.name === name ? '' : `${set.name}/`}${rule.id}\``,
    ),
  )
  const does = verb === 'deny' ? 'denies' : `${verb}s`
  return ids.size === 1
    ? `rule ${[...ids].join('')} ${does}`
    : `rules ${[...ids].join(', ')} ${verb}`
}

// All that a rule says beyond what it matches and how it is called; a key that is new counts as something said.
function duesOf({
  id: _id,
  verdict: _verdict,
  description: _description,
  owner: _owner,
  destinations: _destinations,
  methods: _methods,
  paths: _paths,
  query: _query,
  headers: _headers,
  ports: _ports,
  environments: _environments,
  observe: _observe,
  between: _between,
  when: _when,
  expiresAt: _expiresAt,
  ticket: _ticket,
  separate: _separate,
  reviewers: _reviewers,
  place: _place,
  inside,
  ...dues
}: Rule): string {
  const { clientAuth = 'drop', placeholderInBody = 'pass' } = dues
  const pins = inside?.mcp?.pins && [...inside.mcp.pins]
  const pack = inside?.git?.maxPackBytes
  return JSON.stringify({ ...dues, clientAuth, placeholderInBody, pins, pack })
}
