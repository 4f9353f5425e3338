// Whether all that one pattern stands for another stands for too, and whether two can have something in common: from what
// is written, sound and not complete. A no says only that it could not be shown. Pure; called by `proof.ts`, which compares
// the rules of two tasks.

import { contains, isCloudMetadata, type Cidr } from '../wire/address.ts'
import type { BoundHost } from './bound-rule.ts'
import type { BoundPath } from './path-pattern.ts'
import type { Scheme } from './rule-set.ts'
import { foldCase, matchGlob, type Glob } from './template.ts'
import type { BoundValues } from './value-pattern.ts'

/** Whether every host of one pattern is a host of another. */
export function includesHost(wide: BoundHost, narrow: BoundHost): boolean {
  if (narrow.kind === 'range') return wide.kind === 'range' && includesCidr(wide.cidr, narrow.cidr)
  if (narrow.kind === 'exact' && narrow.isAddress) {
    if (wide.kind === 'range') return contains(wide.cidr, narrow.host)
    return wide.kind === 'exact' && wide.host === narrow.host
  }
  if (wide.kind === 'any') return true
  if (narrow.kind === 'any' || wide.kind === 'range') return false
  const name = narrow.kind === 'below' ? narrow.suffix : narrow.host
  if (wide.kind === 'exact') return narrow.kind === 'exact' && wide.host === name
  return name.endsWith(`.${wide.suffix}`) || (narrow.kind === 'below' && wide.suffix === name)
}

/** Whether every call under one scheme is one under another: `wss` has the calls of `https`, and the upgrades. */
export function includesScheme(wide: Scheme | undefined, narrow: Scheme | undefined): boolean {
  if (wide === narrow) return true
  return (wide === 'wss' && narrow === 'https') || (wide === 'ws' && narrow === 'http')
}

/** Whether each path of one list of patterns is a path of a pattern of another; undefined is any path. */
export function includesPaths(
  wide: readonly BoundPath[] | undefined,
  narrow: readonly BoundPath[] | undefined,
): boolean {
  if (wide === undefined) return true
  const any = wide.some(({ segments }) => segments.length === 1 && segments[0] === undefined)
  if (any || narrow === undefined) return any
  return narrow.every((path) =>
    wide.some(({ segments }) =>
      includesSequence(segments, path.segments, isDeep, (one, other) =>
        includesSegment(one, other),
      ),
    ),
  )
}

function isDeep(segment: Glob | undefined): boolean {
  return segment === undefined
}

// The star of a segment is no empty segment, which only a trailing slash leaves.
function includesSegment(wide: Glob | undefined, narrow: Glob | undefined): boolean {
  if (wide === undefined || narrow === undefined) return false
  if (typeof wide !== 'string' && narrow === '') return false
  return includesGlob(wide, narrow)
}

/** Whether every text that one pattern stands for another stands for too. */
export function includesGlob(wide: Glob, narrow: Glob): boolean {
  if (typeof narrow === 'string') return matchGlob(wide, narrow)
  if (typeof wide === 'string') return false
  return includesLetters(lettersOf(wide), lettersOf(narrow))
}

/** Whether every text of one pattern is one of another's; an empty letter is a star. */
export function includesLetters(wide: readonly string[], narrow: readonly string[]): boolean {
  return includesSequence(
    wide,
    narrow,
    (letter) => letter === '',
    (one, other) => one === other,
  )
}

function lettersOf(pieces: readonly string[]): string[] {
  return pieces.flatMap((piece, at) => (at === 0 ? Array.from(piece) : ['', ...Array.from(piece)]))
}

/** Whether one of the patterns on values asks at least what each of others asks. */
export function includesValues(
  wide: readonly BoundValues[] | undefined,
  narrow: readonly BoundValues[] | undefined,
): boolean {
  return (wide ?? []).every(({ key, globs }) =>
    (narrow ?? []).some(
      (pattern) =>
        pattern.key === key &&
        pattern.globs.every((glob) => globs.some((each) => includesGlob(each, glob))),
    ),
  )
}

/** Whether whoever may dial a listed range by some ranges may dial all that another range lets dial. */
export function includesRange(wide: readonly Cidr[], narrow: Cidr): boolean {
  return wide.some(
    (range) =>
      includesCidr(range, narrow) && (!isSpecialWhenExact(narrow) || range.bits === narrow.bits),
  )
}

/** Whether a range is one address that means more when it is listed to the bit: metadata, or what a translator reaches. */
export function isSpecialWhenExact(range: Cidr): boolean {
  if (range.kind === 'ipv6') return range.bits === 128
  return range.bits === 32 && isCloudMetadata(firstAddress(range))
}

/** Whether one range lies in another. */
export function includesCidr(wide: Cidr, narrow: Cidr): boolean {
  return wide.bits <= narrow.bits && contains(wide, firstAddress(narrow))
}

/** The first address of a range. */
export function firstAddress({ text }: Cidr): string {
  return text.slice(0, text.indexOf('/'))
}

/** The last address of a range. */
export function lastAddress({ kind, bytes, bits }: Cidr): string {
  const last = bytes.map((byte, at) => byte | (0xff >> Math.min(8, Math.max(0, bits - at * 8))))
  if (kind === 'ipv4') return last.join('.')
  const hex = last.map((byte) => byte.toString(16).padStart(2, '0')).join('')
  return (hex.match(/.{4}/g) ?? []).join(':')
}

/** Whether one path may match both lists, with or without case; says yes where a star would decide. */
export function pathsMayMeet(
  one: readonly BoundPath[] | undefined,
  other: readonly BoundPath[] | undefined,
): boolean {
  if (!one || !other) return true
  return one.some((path) => other.some((each) => mayMeet(path, each)))
}

function mayMeet(one: BoundPath, other: BoundPath): boolean {
  if (one.lengthMin > other.lengthMax || other.lengthMin > one.lengthMax) return false
  for (const [at, segment] of one.segments.entries()) {
    const theirs = other.segments[at]
    // Behind a `**` nothing says which segments meet.
    if (segment === undefined || theirs === undefined) return true
    if (typeof segment !== 'string' || typeof theirs !== 'string') continue
    if (foldCase(segment) !== foldCase(theirs)) return false
  }
  return true
}

/**
 * Whether every sequence that one pattern stands for another does too. A star of the wide one takes any elements, stars
 * too.
 * @param includes asked of elements of the wide one that are no stars; says no to stars of the narrow one
 */
export function includesSequence<Element>(
  wide: readonly Element[],
  narrow: readonly Element[],
  isStar: (element: Element) => boolean,
  includes: (wide: Element, narrow: Element) => boolean,
): boolean {
  // From the ends: whether what is left of both, from these places on, is included.
  let below: boolean[] = []
  for (let at = wide.length; at >= 0; at -= 1) {
    const row: boolean[] = []
    for (let of = narrow.length; of >= 0; of -= 1) {
      const isWideOver = at === wide.length
      const isNarrowOver = of === narrow.length
      if (isWideOver) row[of] = isNarrowOver
      else if (isStar(wide[at]!))
        row[of] = below[of] === true || (!isNarrowOver && row[of + 1] === true)
      else row[of] = !isNarrowOver && includes(wide[at]!, narrow[of]!) && below[of + 1] === true
    }
    below = row
  }
  return below[0] === true
}
