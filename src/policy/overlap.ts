// Whether two rules can both match one call, from what is written alone. Says no where a task's values would decide: what
// it finds is certain enough to be an error. Pure; called by `check.ts`.

import { contains, type Cidr } from '../wire/address.ts'
import type { PathPattern } from './path-pattern.ts'
import type { Destination, HostPattern, Rule } from './rule-set.ts'
import type { Part } from './template.ts'
import type { ValuePattern } from './value-pattern.ts'

/** Whether two host patterns have a host in common. */
export function hostsOverlap(one: HostPattern, other: HostPattern): boolean {
  if (one.kind === 'range' || other.kind === 'range') return addressesOverlap(one, other)
  if (one.kind === 'any') return isName(other)
  if (other.kind === 'any') return isName(one)
  if (one.kind === 'param') return other.kind === 'param' && one.name === other.name
  if (other.kind === 'param') return false
  if (one.kind === 'exact')
    return other.kind === 'exact' ? one.host === other.host : isBelow(one.host, other.suffix)
  if (other.kind === 'exact') return isBelow(other.host, one.suffix)
  const isSame = one.suffix === other.suffix
  return isSame || isBelow(one.suffix, other.suffix) || isBelow(other.suffix, one.suffix)
}

function isName(host: HostPattern): boolean {
  return host.kind !== 'exact' || !host.isAddress
}

function isBelow(name: string, suffix: string): boolean {
  return name.endsWith(`.${suffix}`)
}

function addressesOverlap(one: HostPattern, other: HostPattern): boolean {
  if (one.kind === 'range' && other.kind === 'range')
    return contains(one.cidr, baseOf(other.cidr)) || contains(other.cidr, baseOf(one.cidr))
  const [range, host] = one.kind === 'range' ? [one, other] : [other, one]
  return range.kind === 'range' && host.kind === 'exact' && contains(range.cidr, host.host)
}

function baseOf({ text }: Cidr): string {
  return text.slice(0, text.indexOf('/'))
}

/** Whether a task of one environment can have both rules. */
export function environmentsOverlap(one: Rule, other: Rule): boolean {
  const { environments } = other
  return one.environments?.some((each) => environments?.includes(each) ?? true) ?? true
}

/** Whether two inspected allows can match one call to destinations of theirs that overlap. */
export function callsOverlap(
  one: { readonly rule: Rule; readonly destination: Destination },
  other: { readonly rule: Rule; readonly destination: Destination },
): boolean {
  const methods = other.rule.methods
  const common = one.rule.methods?.some((method) => methods?.includes(method) ?? true) ?? true
  if (!common) return false
  const paths = pathsOf(one)
  const otherPaths = pathsOf(other)
  const onSamePath =
    paths?.some((path) => otherPaths?.some((each) => pathsOverlap(path, each)) ?? true) ?? true
  return (
    onSamePath &&
    valuesOverlap(one.rule.query, other.rule.query) &&
    valuesOverlap(one.rule.headers, other.rule.headers)
  )
}

/** The patterns in force for one destination of a rule. */
export function pathsOf({
  rule,
  destination,
}: {
  readonly rule: Rule
  readonly destination: Destination
}): readonly PathPattern[] | undefined {
  return destination.path ? [destination.path] : rule.paths
}

function pathsOverlap(one: PathPattern, other: PathPattern): boolean {
  return sequencesOverlap(
    one.segments,
    other.segments,
    (segment) => segment === 'deep',
    (segment, otherSegment) =>
      segment !== 'deep' && otherSegment !== 'deep' && segmentsOverlap(segment, otherSegment),
  )
}

function segmentsOverlap(one: readonly Part[], other: readonly Part[]): boolean {
  // An empty segment is only what is behind a trailing slash, which `*` is not.
  if (one.length === 0 || other.length === 0) return one.length === other.length
  return textsOverlap(one, other)
}

// Patterns on one key exclude each other where no value meets both.
function valuesOverlap(
  one: readonly ValuePattern[] | undefined,
  other: readonly ValuePattern[] | undefined,
): boolean {
  if (!one || !other) return true
  return one.every((pattern) => {
    const same = other.find(({ key }) => key === pattern.key)
    if (!same) return true
    return pattern.alternatives.some((parts) =>
      same.alternatives.some((each) => textsOverlap(parts, each)),
    )
  })
}

function textsOverlap(one: readonly Part[], other: readonly Part[]): boolean {
  const isStar = (letter: string): boolean => letter === ''
  return sequencesOverlap(lettersOf(one), lettersOf(other), isStar, (a, b) => a === b)
}

// A parameter is a letter of its own: it equals itself, and what `*` stands for.
function lettersOf(parts: readonly Part[]): string[] {
  return parts.flatMap((part) => {
    if (part.kind === 'star') return ['']
    return part.kind === 'text' ? Array.from(part.text) : [`{${part.name}}`]
  })
}

/** Whether two patterns have a sequence in common, where a star stands for any number of elements. */
function sequencesOverlap<Element>(
  one: readonly Element[],
  other: readonly Element[],
  isStar: (element: Element) => boolean,
  isSame: (element: Element, otherElement: Element) => boolean,
): boolean {
  // From the ends: whether what is left of both, from these places on, overlaps.
  let below: boolean[] = []
  for (let at = one.length; at >= 0; at -= 1) {
    const row: boolean[] = []
    for (let of = other.length; of >= 0; of -= 1) {
      const mine = one[at]
      const theirs = other[of]
      if (mine === undefined && theirs === undefined) row[of] = true
      else if (mine !== undefined && isStar(mine))
        row[of] = below[of] === true || (theirs !== undefined && row[of + 1] === true)
      else if (theirs !== undefined && isStar(theirs))
        row[of] = row[of + 1] === true || (mine !== undefined && below[of] === true)
      else
        row[of] =
          mine !== undefined &&
          theirs !== undefined &&
          isSame(mine, theirs) &&
          below[of + 1] === true
    }
    below = row
  }
  return below[0] === true
}
