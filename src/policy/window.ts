// `between`: the days and hours in which a rule counts, as a clock on the wall of a named place shows them. What the clock
// shows is what counts: a time that daylight saving skips begins with the first one after it, an hour that comes twice
// counts twice. Pure; called by `grammar.ts` (what is written), `match.ts` and `decide.ts` (each call).

import { z } from 'zod'

import type { PatternFault } from './path-pattern.ts'
import { oneOf, readBy, text } from './scalars.ts'
import { suggestName } from './suggest.ts'
import { findZone, LAST_MOMENT, nextShift, zoneNames, type Zone } from './zone.ts'

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const
type Day = (typeof DAYS)[number]

/** A window in the week, as it is written. */
export interface TimeWindow {
  /** Those on which it begins; absent: every day. */
  readonly days?: readonly Day[] | undefined
  /** `HH:MM`. */
  readonly from: string
  /** `HH:MM`, not included; not later than `from`: of the next day. */
  readonly to: string
  /** IANA name. */
  readonly zone: string
}

const FROM_EXPECTED = "expected a time such as '08:00', from 00:00 to 23:59"
const TO_EXPECTED = "expected a time such as '18:00', from 00:00 to 24:00"
const DAYS_EXPECTED = 'expected days of the week in a list, such as [mon, tue]'
const MINUTE_MS = 60_000
const DAY_MS = 1440 * MINUTE_MS
const WEEK_MS = 7 * DAY_MS
// 1970 began on a Thursday.
const FIRST_MONDAY_MS = 4 * DAY_MS
// Between two changes of an answer a zone's clocks change a few times at the most.
const SHIFTS_MAX = 64

/** What may be written. */
export const WINDOW_SCHEMA: z.ZodType<TimeWindow> = z.strictObject(
  {
    days: z
      .array(oneOf(DAYS), { error: DAYS_EXPECTED })
      .min(1, { error: 'expected at least one: leave the key out where any day will do' })
      .max(DAYS.length, { error: 'expected each day once at the most' })
      .optional()
      .describe('Those on which it begins: mon, tue, wed, thu, fri, sat, sun. Absent: every day.'),
    from: z
      .string({ error: `${FROM_EXPECTED}: put it in quotes` })
      .regex(/^(?:[01]\d|2[0-3]):[0-5]\d$/, { error: FROM_EXPECTED })
      .describe('HH:MM on the clock of the zone.'),
    to: z
      .string({ error: `${TO_EXPECTED}: put it in quotes` })
      .regex(/^(?:(?:[01]\d|2[0-3]):[0-5]\d|24:00)$/, { error: TO_EXPECTED })
      .describe('HH:MM, itself not included, 24:00 is midnight. Not after `from`: the next day.'),
    zone: readBy(text('the name of a time zone such as Europe/Berlin'), readZone).describe(
      'IANA name such as Europe/Berlin, or UTC.',
    ),
  },
  { error: 'expected a mapping such as { from, to, zone }' },
)

function readZone(written: string): string | PatternFault {
  if (findZone(written)) return written
  const near = suggestName(written, zoneNames())
  const hint = near ? `did you mean \`${near}\`?` : 'write its IANA name, or UTC'
  return { fault: `\`${written}\` is no time zone`, hint }
}

/** Part of a week, by the wall: milliseconds from Monday 00:00 on. */
interface Span {
  readonly from: number
  /** Not included. */
  readonly to: number
}

/** What is known of a window. */
interface Known {
  readonly zone: Zone
  /** Ordered, apart from one another; one that goes on over the end of the week is two. */
  readonly spans: readonly Span[]
  /** The answer holds from `since` until before `until`, epoch milliseconds. */
  since: number
  until: number
  isWithin: boolean
}

const KNOWN = new WeakMap<TimeWindow, Known>()

/**
 * Says whether a moment lies in a window.
 * @param now epoch milliseconds
 */
export function isWithin(window: TimeWindow, now: number): boolean {
  return recall(window, now).isWithin
}

/**
 * Says when the answer of `isWithin` will be another one for the first time after a moment, epoch milliseconds; `Infinity`:
 * never.
 * @param now epoch milliseconds
 */
export function nextChange(window: TimeWindow, now: number): number {
  return recall(window, now).until
}

/**
 * Says whether every moment of one window lies in another. False also where that is true but their zones differ: two zones
 * agree only until one of their governments changes the law.
 */
export function isWindowInside(inner: TimeWindow, outer: TimeWindow): boolean {
  const around = know(outer).spans
  if (isWholeWeek(around)) return true
  if (inner.zone.toLowerCase() !== outer.zone.toLowerCase()) return false
  return know(inner).spans.every((span) =>
    around.some(({ from, to }) => from <= span.from && span.to <= to),
  )
}

/** Writes a window as one text. */
export function describeWindow({ days, from, to, zone }: TimeWindow): string {
  return `${days ? `${days.join(', ')} ` : ''}${from}-${to} ${zone}`
}

// The answer changes at boundaries only: what was found once is compared by two numbers until then.
function recall(window: TimeWindow, now: number): Known {
  const known = know(window)
  if (known.since <= now && now < known.until) return known
  known.isWithin = isWithinWeek(known.spans, now + known.zone.offsetAt(now))
  known.until = findChange(known, now)
  known.since = now
  return known
}

function know(window: TimeWindow): Known {
  const known = KNOWN.get(window)
  if (known) return known
  const zone = findZone(window.zone)
  if (!zone) throw new RangeError(`no time zone: ${window.zone}`)
  const fresh = { zone, spans: spansOf(window), since: Infinity, until: -Infinity, isWithin: false }
  KNOWN.set(window, fresh)
  return fresh
}

function findChange({ zone, spans, isWithin: before }: Known, now: number): number {
  if (isWholeWeek(spans)) return Infinity
  let from = now
  for (let shifts = 0; shifts < SHIFTS_MAX; shifts += 1) {
    const offset = zone.offsetAt(from)
    const change = nextWallChange(spans, from + offset) - offset
    // A wall that is set forward or back at the very moment shows another time than the one that was due.
    const shift = nextShift(zone, from, change)
    if (shift === undefined) return change > LAST_MOMENT ? Infinity : change
    if (isWithinWeek(spans, shift + zone.offsetAt(shift)) !== before) return shift
    from = shift
  }
  return from
}

function isWholeWeek(spans: readonly Span[]): boolean {
  return spans[0]?.from === 0 && spans[0].to === WEEK_MS
}

function inWeek(wall: number): number {
  return (((wall - FIRST_MONDAY_MS) % WEEK_MS) + WEEK_MS) % WEEK_MS
}

function isWithinWeek(spans: readonly Span[], wall: number): boolean {
  const at = inWeek(wall)
  return spans.some(({ from, to }) => from <= at && at < to)
}

// The end of the week is no change where a span goes on behind it.
function nextWallChange(spans: readonly Span[], wall: number): number {
  const at = inWeek(wall)
  const goesOn = spans[0]?.from === 0 && spans.at(-1)?.to === WEEK_MS
  const edges = spans.flatMap(({ from, to }) => [from, to])
  const changes = goesOn ? edges.slice(1, -1) : edges
  const next = changes.find((edge) => edge > at) ?? (changes[0] ?? 0) + WEEK_MS
  return wall - at + next
}

function spansOf({ days = DAYS, from, to }: TimeWindow): Span[] {
  const begin = minutesOf(from) * MINUTE_MS
  const end = minutesOf(to) * MINUTE_MS
  const length = (end > begin ? end : end + DAY_MS) - begin
  const pieces = days.flatMap((day): Span[] => {
    const start = DAYS.indexOf(day) * DAY_MS + begin
    const stop = start + length
    if (stop <= WEEK_MS) return [{ from: start, to: stop }]
    return [
      { from: start, to: WEEK_MS },
      { from: 0, to: stop - WEEK_MS },
    ]
  })
  const joined: Span[] = []
  for (const piece of pieces.toSorted((one, other) => one.from - other.from)) {
    const last = joined.at(-1)
    if (last && piece.from <= last.to)
      joined[joined.length - 1] = { from: last.from, to: Math.max(last.to, piece.to) }
    else joined.push(piece)
  }
  return joined
}

function minutesOf(time: string): number {
  return Number(time.slice(0, 2)) * 60 + Number(time.slice(3))
}
