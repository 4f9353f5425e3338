// Points and lengths of time in conditions: read from texts, and taken apart by a named zone. Deliberately not by the zone of
// this process. Pure; called by `functions.ts`.

import { parseMoment } from '../../wire/time.ts'
import { findZone } from '../zone.ts'
import { Fault, Instant, Span, type Value } from './values.ts'

const DURATION = /^-?(?:\d{1,12}(?:\.\d{1,9})?(?:h|ms|us|µs|ns|m|s))+$/
const DURATION_PART = /(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s)/g
const DURATION_LENGTH_MAX = 64
const UNIT_MS: Readonly<Record<string, number>> = {
  h: 3_600_000,
  m: 60_000,
  s: 1000,
  ms: 1,
  us: 0.001,
  µs: 0.001,
  ns: 0.000_001,
}
const DAY_MS = 86_400_000

/** Reads `2027-06-30T08:00:00Z` or the same with an offset. */
export function readInstant(text: string): Instant | Fault {
  const epochMs = parseMoment(text)
  return epochMs === undefined
    ? new Fault('no point of time such as 2027-06-30T08:00:00Z')
    : new Instant(epochMs)
}

/** Reads `1h30m`, `90s`, `250ms`. */
export function readSpan(text: string): Span | Fault {
  if (text.length > DURATION_LENGTH_MAX || !DURATION.test(text))
    return new Fault('no duration such as 1h30m')
  let ms = 0
  for (const [, amount, unit = ''] of text.matchAll(DURATION_PART))
    ms += Number(amount) * (UNIT_MS[unit] ?? Number.NaN)
  return new Span(text.startsWith('-') ? -ms : ms)
}

/** Parts of a point of time, as CEL numbers them: months, days of the month and of the year from 0, Sunday is 0. */
const PARTS: Readonly<Record<string, (local: Date) => number>> = {
  getFullYear: (local) => local.getUTCFullYear(),
  getMonth: (local) => local.getUTCMonth(),
  getDate: (local) => local.getUTCDate(),
  getDayOfMonth: (local) => local.getUTCDate() - 1,
  getDayOfWeek: (local) => local.getUTCDay(),
  getDayOfYear: (local) =>
    Math.floor((local.getTime() - Date.UTC(local.getUTCFullYear(), 0, 1)) / DAY_MS),
  getHours: (local) => local.getUTCHours(),
  getMinutes: (local) => local.getUTCMinutes(),
  getSeconds: (local) => local.getUTCSeconds(),
  getMilliseconds: (local) => local.getUTCMilliseconds(),
}

/** Names of the methods that take a point of time apart. */
export const TIME_METHODS: readonly string[] = Object.keys(PARTS)

/** The same of a length of time, as a whole: ninety minutes have one hour and ninety minutes. */
const SPAN_UNITS_MS: Readonly<Record<string, number>> = {
  getHours: 3_600_000,
  getMinutes: 60_000,
  getSeconds: 1000,
  getMilliseconds: 1,
}

/** Takes one part of a time. @param toLocal of `clockOf` */
export function partOf(method: string, value: Value, toLocal: ToLocal = readUtc): Value {
  if (value instanceof Fault) return value
  const part = PARTS[method]
  if (value instanceof Instant && part) return BigInt(part(toLocal(value.epochMs)))
  const unitMs = SPAN_UNITS_MS[method]
  if (value instanceof Span && unitMs !== undefined) return BigInt(Math.trunc(value.ms / unitMs))
  return new Fault('is no time')
}

/** A point of time as the clock on the wall shows it, in the UTC fields of a date. */
export type ToLocal = (epochMs: number) => Date

const readUtc: ToLocal = (epochMs) => new Date(epochMs)

/** The clock of a zone such as `Europe/Berlin`; undefined where there is none of this name. */
export function clockOf(name: string): ToLocal | undefined {
  const zone = findZone(name)
  return zone && ((epochMs) => new Date(epochMs + zone.offsetAt(epochMs)))
}
