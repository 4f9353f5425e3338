// Time zones by their names: how far the clock on a wall there is ahead of UTC, and when that changes. Deliberately knows
// nothing of rules. Pure, by `Intl`; called by `window.ts`.

const HOUR_MS = 3_600_000
// No zone changes its clocks twice within it, so that a look at both ends misses nothing.
const PROBE_MS = 6 * HOUR_MS
/** The last moment that is looked at, epoch milliseconds: a day before the last that dates can say, for walls ahead of UTC. */
export const LAST_MOMENT: number = 8.64e15 - 24 * HOUR_MS

/** The clock on a wall of one zone. */
export interface Zone {
  /** Milliseconds by which the wall is ahead of UTC at a moment. */
  readonly offsetAt: (moment: number) => number
}

// By name in lower case, so bounded by the names that there are.
const ZONES = new Map<string, Zone>()

/**
 * Finds a zone by its IANA name; `UTC` is one, an abbreviation such as `CET` is not: it means several things, and with `EST`
 * not what it says.
 * @returns undefined where the name is none
 */
export function findZone(name: string): Zone | undefined {
  const key = name.toLowerCase()
  const known = ZONES.get(key)
  if (known) return known
  // `Intl` also takes offsets and abbreviations.
  if (key !== 'utc' && !/^[a-z]+\/[a-z\d+_/-]+$/.test(key)) return undefined
  const zone = key === 'utc' ? { offsetAt: () => 0 } : zoneOf(name)
  if (zone) ZONES.set(key, zone)
  return zone
}

/** The names to choose from where one was misspelled. */
export function zoneNames(): readonly string[] {
  return ['UTC', ...Intl.supportedValuesOf('timeZone')]
}

function zoneOf(name: string): Zone | undefined {
  try {
    const format = new Intl.DateTimeFormat('en-US', {
      timeZone: name,
      calendar: 'gregory',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
    })
    return { offsetAt: (moment) => offsetBy(format, moment) }
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

function offsetBy(format: Intl.DateTimeFormat, moment: number): number {
  const wall: Partial<Record<Intl.DateTimeFormatPartTypes, number>> = {}
  for (const { type, value } of format.formatToParts(moment)) wall[type] = Number(value)
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = wall
  const wholeSecond = moment - (((moment % 1000) + 1000) % 1000)
  return Date.UTC(year, month - 1, day, hour, minute, second) - wholeSecond
}

/**
 * Finds when a zone's clocks are next changed after a moment and before or at a limit, epoch milliseconds: the first moment
 * of the new time.
 */
export function nextShift(zone: Zone, after: number, limit: number): number | undefined {
  const before = zone.offsetAt(after)
  for (let from = after; from < limit; from += PROBE_MS) {
    const to = Math.min(from + PROBE_MS, limit, LAST_MOMENT)
    if (zone.offsetAt(to) !== before) return bisect(zone, from, to, before)
    if (to === LAST_MOMENT) return undefined
  }
  return undefined
}

function bisect(zone: Zone, from: number, to: number, before: number): number {
  let [last, first] = [from, to]
  while (first - last > 1) {
    const middle = Math.floor((last + first) / 2)
    if (zone.offsetAt(middle) === before) last = middle
    else first = middle
  }
  return first
}
