// Windows in time, over changes of the clock: against cases looked up by hand, and against an oracle that asks `Intl` what
// the wall shows, minute by minute.

import * as fc from 'fast-check'
import t from 'tap'

import {
  describeWindow,
  isWindowInside,
  isWithin,
  nextChange,
  WINDOW_SCHEMA,
  type TimeWindow,
} from '../../../src/policy/window.ts'

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const
const MINUTE_MS = 60_000
const DAY_MS = 1440 * MINUTE_MS
const OFFICE: TimeWindow = {
  days: ['mon', 'tue', 'wed', 'thu', 'fri'],
  from: '08:00',
  to: '18:00',
  zone: 'Europe/Berlin',
}

const at = (time: string): number => Date.parse(time)
const next = (window: TimeWindow, time: string): string =>
  new Date(nextChange(window, at(time))).toISOString()
/** Of which of the moments the window consists. */
const those = (window: TimeWindow, times: readonly string[]): string[] =>
  times.filter((time) => isWithin(window, at(time)))
const faults = (written: unknown): string[] => {
  const { error } = WINDOW_SCHEMA.safeParse(written)
  return (error?.issues ?? []).map(({ message, path }) => `${path.join('.')}: ${message}`)
}

void t.test(
  'a window begins with its first minute and ends before its last, by the clock there',
  (t) => {
    const inside = ['2027-01-04T07:00:00.000Z', '2027-01-04T16:59:59.999Z']
    const outside = ['2027-01-04T06:59:59.999Z', '2027-01-04T17:00:00.000Z', '2027-01-09T09:00:00Z']
    t.strictSame(those(OFFICE, [...inside, ...outside]), inside)
    t.equal(next(OFFICE, '2027-01-04T06:59:59.999Z'), '2027-01-04T07:00:00.000Z')
    t.equal(next(OFFICE, '2027-01-04T07:00:00.000Z'), '2027-01-04T17:00:00.000Z')
    t.equal(next(OFFICE, '2027-01-08T17:00:00.000Z'), '2027-01-11T07:00:00.000Z', 'over a weekend')
    t.equal(next(OFFICE, '2027-03-26T17:00:00.000Z'), '2027-03-29T06:00:00.000Z', 'into summer')
    t.equal(next(OFFICE, '2027-10-29T16:00:00.000Z'), '2027-11-01T07:00:00.000Z', 'into winter')
    t.end()
  },
)

void t.test('a window over midnight belongs to the day on which it begins', (t) => {
  const night: TimeWindow = { days: ['fri'], from: '22:00', to: '06:00', zone: 'UTC' }
  const inside = ['2027-01-01T22:00:00Z', '2027-01-02T05:59:59Z']
  t.strictSame(those(night, [...inside, '2027-01-01T05:00:00Z', '2027-01-02T22:00:00Z']), inside)
  const sunday: TimeWindow = { ...night, days: ['sun'] }
  t.strictSame(
    those(sunday, ['2027-01-03T23:00:00Z', '2027-01-04T05:00:00Z', '2027-01-04T23:00:00Z']),
    ['2027-01-03T23:00:00Z', '2027-01-04T05:00:00Z'],
    'over the end of the week too',
  )
  t.equal(next(sunday, '2027-01-03T23:00:00Z'), '2027-01-04T06:00:00.000Z')
  const whole: TimeWindow = { days: ['sun', 'mon'], from: '08:00', to: '08:00', zone: 'UTC' }
  t.equal(
    next(whole, '2027-01-03T09:00:00Z'),
    '2027-01-05T08:00:00.000Z',
    'days that touch are one',
  )
  t.end()
})

void t.test('a window that is always open never changes', (t) => {
  for (const window of [
    { from: '00:00', to: '24:00', zone: 'Europe/Berlin' },
    { from: '00:00', to: '00:00', zone: 'Europe/Berlin' },
    { days: DAYS, from: '13:00', to: '13:00', zone: 'America/New_York' },
  ]) {
    t.equal(isWithin(window, at('2027-03-28T01:00:00Z')), true)
    t.equal(nextChange(window, at('2027-03-28T01:00:00Z')), Infinity)
  }
  t.end()
})

void t.test('a time that daylight saving skips begins with the first one after it', (t) => {
  // In Berlin 02:00 is followed by 03:00 on 2027-03-28, at 01:00 UTC.
  const window: TimeWindow = { from: '02:30', to: '04:00', zone: 'Europe/Berlin' }
  t.equal(next(window, '2027-03-28T00:59:00Z'), '2027-03-28T01:00:00.000Z')
  t.equal(next(window, '2027-03-28T01:00:00Z'), '2027-03-28T02:00:00.000Z')
  const skipped: TimeWindow = { from: '02:15', to: '02:45', zone: 'Europe/Berlin' }
  t.equal(isWithin(skipped, at('2027-03-28T01:00:00Z')), false, 'one that lies within it is none')
  t.equal(next(skipped, '2027-03-28T00:59:00Z'), '2027-03-29T00:15:00.000Z')
  const until: TimeWindow = { from: '01:00', to: '02:30', zone: 'Europe/Berlin' }
  t.equal(next(until, '2027-03-28T00:30:00Z'), '2027-03-28T01:00:00.000Z', 'and one ends there')
  t.end()
})

void t.test('an hour that comes twice counts twice', (t) => {
  // In Berlin 03:00 is followed by 02:00 on 2027-10-31, at 01:00 UTC.
  const window: TimeWindow = { from: '02:15', to: '02:45', zone: 'Europe/Berlin' }
  const changes = ['2027-10-30T22:00:00.000Z']
  for (let count = 0; count < 5; count += 1) changes.push(next(window, changes.at(-1) ?? ''))
  t.strictSame(changes.slice(1), [
    '2027-10-31T00:15:00.000Z',
    '2027-10-31T00:45:00.000Z',
    '2027-10-31T01:15:00.000Z',
    '2027-10-31T01:45:00.000Z',
    '2027-11-01T01:15:00.000Z',
  ])
  const over: TimeWindow = { from: '01:00', to: '03:00', zone: 'Europe/Berlin' }
  t.equal(next(over, '2027-10-30T23:30:00Z'), '2027-10-31T02:00:00.000Z', 'one around it is longer')
  t.end()
})

void t.test('zones of half hours, and one whose daylight saving is half an hour', (t) => {
  const kolkata: TimeWindow = { from: '09:00', to: '09:30', zone: 'Asia/Kolkata' }
  t.equal(next(kolkata, '2027-06-01T00:00:00Z'), '2027-06-01T03:30:00.000Z')
  t.equal(next(kolkata, '2027-06-01T03:30:00Z'), '2027-06-01T04:00:00.000Z')
  // On Lord Howe 02:00 is followed by 01:30 on 2027-04-04, at 15:00 UTC of the day before.
  const howe: TimeWindow = { from: '01:30', to: '02:00', zone: 'Australia/Lord_Howe' }
  t.equal(next(howe, '2027-04-03T12:00:00Z'), '2027-04-03T14:30:00.000Z')
  t.equal(next(howe, '2027-04-03T14:30:00Z'), '2027-04-03T15:30:00.000Z', 'half an hour twice')
  t.end()
})

void t.test('a leap day, and years far ahead', (t) => {
  const tuesday: TimeWindow = { days: ['tue'], from: '00:00', to: '24:00', zone: 'UTC' }
  t.equal(next(tuesday, '2028-02-28T12:00:00Z'), '2028-02-29T00:00:00.000Z')
  t.equal(next(tuesday, '2028-02-29T12:00:00Z'), '2028-03-01T00:00:00.000Z')
  t.equal(next(OFFICE, '2400-02-29T12:00:00Z'), '2400-02-29T17:00:00.000Z')
  t.equal(next(OFFICE, '9999-12-31T12:00:00Z'), '9999-12-31T17:00:00.000Z')
  t.equal(
    nextChange(OFFICE, 8.64e15 - 100_000_000),
    Infinity,
    'behind the last moment there is nothing',
  )
  t.throws(() => isWithin(OFFICE, Number.NaN), RangeError, 'no time is no answer')
  t.end()
})

void t.test('a clock that steps back and forth gets the answer of its time', (t) => {
  const steps = ['2027-01-04T09:00:00Z', '2027-01-04T03:00:00Z', '2027-01-04T09:00:00Z']
  t.strictSame(
    steps.map((time) => isWithin(OFFICE, at(time))),
    [true, false, true],
  )
  t.end()
})

/** What the wall of a zone shows. */
function wallOf(zone: string): (moment: number) => { day: number; minute: number } {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  })
  return (moment) => {
    const parts = Object.fromEntries(
      format.formatToParts(moment).map(({ type, value }) => [type, value]),
    )
    const day = DAYS.findIndex((name) => name === parts['weekday']?.toLowerCase())
    return { day, minute: Number(parts['hour']) * 60 + Number(parts['minute']) }
  }
}

function oracle(
  { days = DAYS, from, to }: TimeWindow,
  wall: { day: number; minute: number },
): boolean {
  const [begin = 0, end = 0] = [from, to].map(
    (time) => Number(time.slice(0, 2)) * 60 + Number(time.slice(3)),
  )
  const begins = (day: number): boolean => days.some((name) => DAYS.indexOf(name) === day)
  const { day, minute } = wall
  if (end > begin) return begins(day) && begin <= minute && minute < end
  return (begins(day) && begin <= minute) || (begins((day + 6) % 7) && minute < end)
}

const ZONES = [
  'Europe/Berlin',
  'America/New_York',
  'America/St_Johns',
  'America/Santiago',
  'Asia/Kolkata',
  'Asia/Kathmandu',
  'Australia/Lord_Howe',
  'Africa/Casablanca',
  'Africa/Cairo',
  'Pacific/Apia',
  'Pacific/Kiritimati',
  'America/Scoresbysund',
  'Antarctica/Troll',
  'UTC',
]
// Days around which clocks change somewhere, and a leap day.
const AROUND = [
  '2027-03-14',
  '2027-03-28',
  '2027-04-04',
  '2027-10-03',
  '2027-10-31',
  '2027-11-07',
  '2026-02-15',
  '2026-03-22',
  '2011-12-30',
  '2028-02-29',
  '2060-03-28',
].map((day) => at(`${day}T00:00:00Z`))

const time = fc
  .integer({ min: 0, max: 1439 })
  .map(
    (minute) =>
      `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`,
  )
// Near to the hours in which clocks change, half of the time.
const early = time.map((written) => `0${Number(written.slice(0, 2)) % 4}${written.slice(2)}`)
const windows: fc.Arbitrary<TimeWindow> = fc
  .record({
    days: fc.option(fc.subarray([...DAYS], { minLength: 1 }), { nil: undefined }),
    from: fc.oneof(time, early),
    to: fc.oneof(time, early, fc.constant('24:00')),
    zone: fc.constantFrom(...ZONES),
  })
  .map(({ days, ...rest }) => (days ? { days, ...rest } : rest))

void t.test('every minute is as the wall shows it, and every change is told beforehand', (t) => {
  let minutes = 0
  const property = fc.property(
    windows,
    fc.constantFrom(...AROUND),
    fc.integer({ min: -1440, max: 1440 }),
    (window, around, shift) => {
      const wall = wallOf(window.zone)
      const start = around + shift * MINUTE_MS
      let change = nextChange(window, start)
      let last = oracle(window, wall(start))
      for (let moment = start; moment < start + 2 * DAY_MS; moment += MINUTE_MS) {
        minutes += 1
        const expected = oracle(window, wall(moment))
        if (isWithin(window, moment) !== expected) return false
        if (expected !== last) {
          if (change !== moment || isWithin(window, moment - 1) !== last) return false
          change = nextChange(window, moment)
          last = expected
        }
      }
      // Asked afresh from anywhere within, the answers are the same.
      const again = { ...window }
      return (
        change >= start + 2 * DAY_MS - MINUTE_MS &&
        isWithin(again, start + DAY_MS) === oracle(window, wall(start + DAY_MS))
      )
    },
  )
  fc.assert(property, { numRuns: 150 })
  t.ok(minutes > 100_000, `${minutes} minutes`)
  t.end()
})

void t.test('one window lies in another only in the same zone', (t) => {
  const lunch: TimeWindow = { ...OFFICE, from: '12:00', to: '13:00' }
  t.equal(isWindowInside(lunch, OFFICE), true)
  t.equal(isWindowInside(OFFICE, lunch), false)
  t.equal(isWindowInside({ ...lunch, days: ['sat'] }, OFFICE), false)
  t.equal(isWindowInside({ ...lunch, zone: 'Europe/Vienna' }, OFFICE), false)
  t.equal(isWindowInside(lunch, { from: '00:00', to: '24:00', zone: 'UTC' }), true)
  t.equal(describeWindow(lunch), 'mon, tue, wed, thu, fri 12:00-13:00 Europe/Berlin')
  t.end()
})

void t.test('what is written wrong is told', (t) => {
  const good = { from: '08:00', to: '24:00', zone: 'Europe/Berlin' }
  t.strictSame(faults(good), [])
  t.strictSame(faults({ ...OFFICE, zone: 'UTC' }), [])
  t.match(faults({ ...good, from: '24:00' }), ['from: expected a time such as'])
  t.match(faults({ ...good, from: 800 }), [/from: .* put it in quotes/])
  t.match(faults({ ...good, to: '8:00' }), ['to: expected a time such as'])
  t.match(faults({ ...good, days: [] }), ['days: expected at least one'])
  t.match(faults({ ...good, days: ['monday'] }), [/days\.0: expected mon, tue/])
  t.match(faults({ ...good, days: 'mon' }), ['days: expected days of the week in a list'])
  t.match(faults({ from: '08:00', to: '09:00' }), [/zone: expected the name of a time zone/])
  for (const zone of ['Europe/Berlim', 'CET', 'IST', '+02:00', 'Mars/Olympus'])
    t.strictSame(faults({ ...good, zone }), [`zone: \`${zone}\` is no time zone`])
  const { error } = WINDOW_SCHEMA.safeParse({ ...good, zone: 'Europe/Berlim' })
  t.match(error?.issues, [{ params: { hint: 'did you mean `Europe/Berlin`?' } }])
  t.end()
})
