// The functions of conditions: what each does with its values, and those whose pattern is read when the condition is. Only what
// is listed here can be called. Pure; called by `compile.ts`.

import { DATA_CLASSES } from '../../tasks/task.ts'
import { canonicalAddress, contains as containsAddress, parseCidr } from '../../wire/address.ts'
import { compileRe2 } from '../re2.ts'
import { matchGlob } from '../template.ts'
import { BUILT_MAX, ITEMS_MAX, PATTERN_MAX, RE2_STEPS } from './bounds.ts'
import { inRange } from './operators.ts'
import type { Run } from './run.ts'
import { readInstant, readSpan } from './times.ts'
import {
  Fault,
  isJsonObject,
  isList,
  isMap,
  nameType,
  OVER,
  SingleValued,
  type Value,
} from './values.ts'

/** A function of values: none of them is a fault. */
export type Apply = (run: Run, first: Value, second: Value, third: Value) => Value

const DOUBLE = /^-?(?:0|[1-9]\d{0,20})(?:\.\d{1,20})?(?:[eE][+-]?\d{1,3})?$/
const INT = /^-?\d{1,19}$/
const LEVELS: readonly string[] = DATA_CLASSES

/** Functions that are called as `name(value)`. */
export const FUNCTIONS: Readonly<Record<string, Apply>> = {
  size: (run, value) => sizeOf(run, value),
  int: (_, value) => toInt(value),
  double: (_, value) => toDouble(value),
  string: (_, value) =>
    isScalar(value) ? String(value) : new Fault(`${nameType(value)} is no text`),
  timestamp: (_, value) => (typeof value === 'string' ? readInstant(value) : wrongType(value)),
  duration: (_, value) => (typeof value === 'string' ? readSpan(value) : wrongType(value)),
  level: (_, value) => levelOf(value),
}

/** Methods that are called as `value.name(…)`. */
export const METHODS: Readonly<Record<string, Apply>> = {
  size: (run, value) => sizeOf(run, value),
  startsWith: onTexts(atEnd, (text, part) => text.startsWith(part)),
  endsWith: onTexts(atEnd, (text, part) => text.endsWith(part)),
  contains: onTexts(anywhere, (text, part) => text.includes(part)),
  lowerAscii: onText((text) => text.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase())),
  upperAscii: onText((text) => text.replaceAll(/[a-z]+/g, (letters) => letters.toUpperCase())),
  trim: onText((text) => text.trim()),
  split: onTexts(anywhere, (text, separator) => {
    const pieces = text.split(separator, ITEMS_MAX + 1)
    return pieces.length > ITEMS_MAX ? new Fault(`more than ${ITEMS_MAX} pieces`) : pieces
  }),
  join: (run, list, separator) => join(run, list, separator),
  substring: (run, text, from, to) => substring(run, text, from, to),
}

function isScalar(value: Value): value is string | boolean | bigint | number {
  return ['string', 'boolean', 'bigint', 'number'].includes(typeof value)
}

function wrongType(value: Value): Fault {
  return new Fault(`${nameType(value)} is no string`)
}

function onText(apply: (text: string) => Value): Apply {
  return (run, text) => {
    if (typeof text !== 'string') return wrongType(text)
    if (text.length > BUILT_MAX) return new Fault(`a text of more than ${BUILT_MAX} characters`)
    return run.spend(1 + (text.length >> 1)) ? apply(text) : OVER
  }
}

function onTexts(
  stepsFor: (length: number, otherLength: number) => number,
  apply: (text: string, other: string) => Value,
): Apply {
  return (run, text, other) => {
    if (typeof text !== 'string') return wrongType(text)
    if (typeof other !== 'string') return wrongType(other)
    return run.spend(stepsFor(text.length, other.length)) ? apply(text, other) : OVER
  }
}

/** At an end of a text only as much is looked at as the other has. */
function atEnd(_: number, otherLength: number): number {
  return 1 + (otherLength >> 6)
}

/** Whoever chooses both texts can have each character of one compared with each of the other. */
function anywhere(length: number, otherLength: number): number {
  return 1 + (length >> 6) + Math.floor((length * otherLength) / 256)
}

function sizeOf(run: Run, value: Value): Value {
  if (isList(value)) return BigInt(value.length)
  if (isMap(value)) return BigInt(value.size)
  if (value instanceof SingleValued) return BigInt(value.all.size)
  if (typeof value === 'string') {
    if (!run.spend(1 + (value.length >> 4))) return OVER
    // Characters as people count them in CEL: code points.
    let pairs = 0
    for (let at = 1; at < value.length; at += 1)
      if ((value.codePointAt(at - 1) ?? 0) > 0xff_ff) pairs += 1
    return BigInt(value.length - pairs)
  }
  if (!isJsonObject(value)) return new Fault(`${nameType(value)} has no size`)
  const names = Object.keys(value)
  return run.spend(names.length) ? BigInt(names.length) : OVER
}

function toInt(value: Value): Value {
  if (typeof value === 'bigint') return value
  if (typeof value === 'number')
    return Number.isFinite(value) ? inRange(BigInt(Math.trunc(value))) : new Fault('is no int')
  if (typeof value !== 'string') return wrongType(value)
  return INT.test(value) ? inRange(BigInt(value)) : new Fault('is no int')
}

// Not `inf`, `nan` or spaces: with them a comparison could be turned into one that never holds.
function toDouble(value: Value): Value {
  if (typeof value === 'number') return value
  if (typeof value === 'bigint') return Number(value)
  if (typeof value !== 'string') return wrongType(value)
  const double = DOUBLE.test(value) ? Number(value) : Number.NaN
  return Number.isFinite(double) ? double : new Fault('is no number')
}

function levelOf(value: Value): Value {
  const level = typeof value === 'string' ? LEVELS.indexOf(value) : -1
  return level >= 0 ? BigInt(level) : new Fault('is no class of data')
}

function join(run: Run, list: Value, separator: Value = ''): Value {
  if (!isList(list)) return new Fault(`${nameType(list)} is no list`)
  if (typeof separator !== 'string') return wrongType(separator)
  if (!run.spend(list.length)) return OVER
  const texts: string[] = []
  let length = 0
  for (const item of list) {
    if (typeof item !== 'string') return wrongType(item)
    length += item.length + separator.length
    texts.push(item)
  }
  if (length > BUILT_MAX) return new Fault(`a text of more than ${BUILT_MAX} characters`)
  return run.spend(length >> 6) ? texts.join(separator) : OVER
}

function substring(run: Run, text: Value, from: Value, to: Value): Value {
  if (typeof text !== 'string') return wrongType(text)
  const start = Number(from)
  const end = to === undefined ? text.length : Number(to)
  const isInside = start >= 0 && start <= end && end <= text.length
  if (!isInside || !Number.isInteger(start) || !Number.isInteger(end))
    return new Fault('the text is shorter')
  return run.spend(1 + ((end - start) >> 6)) ? text.slice(start, end) : OVER
}

/** A test of one text, made from a pattern. */
type Test = (text: string, run: Run) => boolean | Fault

/** Functions whose second argument is a pattern written in the condition; each says what is wrong with it. */
export const PATTERNED: Readonly<Record<string, (pattern: string) => Test | string>> = {
  re2: (pattern) => {
    if (pattern.length > PATTERN_MAX) return `a pattern has at most ${PATTERN_MAX} characters`
    const compiled = compileRe2(pattern)
    if ('fault' in compiled) return `not an RE2: ${compiled.fault}`
    return (text, run) => (run.spend(1 + text.length * RE2_STEPS) ? compiled.test(text) : OVER)
  },
  glob: (pattern) => {
    if (pattern.length > PATTERN_MAX) return `a pattern has at most ${PATTERN_MAX} characters`
    const pieces = pattern.split(/\*+/)
    const glob = pieces.length === 1 ? pattern : pieces
    return (text, run) =>
      run.spend(anywhere(text.length, pattern.length)) ? matchGlob(glob, text) : OVER
  },
  cidr: (pattern) => {
    const range = parseCidr(pattern)
    if (range === undefined) return `\`${pattern}\` is no range of addresses`
    return (text) =>
      canonicalAddress(text) === undefined
        ? new Fault('is no address')
        : containsAddress(range, text)
  },
}

/** Applies a test to what should be a text. */
export function testText(test: Test, value: Value, run: Run): Value {
  if (value instanceof Fault) return value
  return typeof value === 'string' ? test(value, run) : wrongType(value)
}
