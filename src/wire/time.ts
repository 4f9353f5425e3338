// Moments as RFC 3339 writes them: a date, a time and the offset from UTC, without which it would be nobody's. Pure;
// `undefined` where a text is none, and whoever asked says what was expected. Called by the schemas of rules and tasks, and
// by the command line.

/** What a moment looks like, for schemas. */
export const MOMENT_PATTERN: RegExp =
  /^(\d{4}-\d{2}-\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(\.\d{1,9})?(?:[Zz]|([+-])(\d{2}):(\d{2}))$/

/** What a moment is expected to look like, in words. */
export const MOMENT_EXPECTED: string =
  'expected a time with its offset such as 2027-06-30T18:00:00+02:00 or 2027-06-30T16:00:00Z'

const DATE_PATTERN = /^(\d{4})-(\d{2})-(\d{2})$/
const MINUTE_MS = 60_000
const DAY_MINUTES = 1440

/**
 * Reads a moment as epoch milliseconds. A leap second, which is one only as the last of a day of UTC, is the second after
 * it: clocks that count in milliseconds since 1970 do not know it.
 * @see RFC 3339, section 5.6
 */
export function parseMoment(written: string): number | undefined {
  const match = MOMENT_PATTERN.exec(written)
  if (!match) return undefined
  const [, date = '', hour, minute, second, fraction = '', sign, offsetHour, offsetMinute] = match
  const day = parseDate(date)
  const outside = [Number(hour) > 23, Number(minute) > 59, Number(second) > 60]
  const offset = sign === undefined ? 0 : minutesOf(offsetHour, offsetMinute)
  if (day === undefined || offset === undefined || outside.includes(true)) return undefined
  const minutes = Number(hour) * 60 + Number(minute) - (sign === '-' ? -offset : offset)
  const isLastOfDay = (minutes + DAY_MINUTES) % DAY_MINUTES === DAY_MINUTES - 1
  if (second === '60' && !isLastOfDay) return undefined
  const milliseconds = second === '60' ? 60_000 : Number(second) * 1000 + millisecondsOf(fraction)
  return day + minutes * MINUTE_MS + milliseconds
}

/** Reads `YYYY-MM-DD` as the beginning of that day in UTC, epoch milliseconds. */
export function parseDate(written: string): number | undefined {
  const [, year, month, day] = DATE_PATTERN.exec(written) ?? []
  if (year === undefined) return undefined
  const time = Date.parse(`${written}T00:00:00Z`)
  // V8 takes 30 February for a day in March.
  const isDay =
    new Date(time).getUTCMonth() + 1 === Number(month) &&
    new Date(time).getUTCDate() === Number(day)
  return isDay ? time : undefined
}

function minutesOf(hour: string | undefined, minute: string | undefined): number | undefined {
  return Number(hour) > 23 || Number(minute) > 59 ? undefined : Number(hour) * 60 + Number(minute)
}

function millisecondsOf(fraction: string): number {
  return Math.floor(Number(`0${fraction}`) * 1000)
}
