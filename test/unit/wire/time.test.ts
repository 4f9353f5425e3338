// Moments and dates as they are written.

import t from 'tap'

import { parseDate, parseMoment } from '../../../src/wire/time.ts'

const iso = (written: string): string | undefined => {
  const moment = parseMoment(written)
  return moment === undefined ? undefined : new Date(moment).toISOString()
}

void t.test('a moment has a date, a time and an offset', (t) => {
  t.equal(iso('2027-06-30T18:00:00+02:00'), '2027-06-30T16:00:00.000Z')
  t.equal(iso('2027-06-30T18:00:00-05:30'), '2027-06-30T23:30:00.000Z')
  t.equal(iso('2027-06-30t18:00:00.1239z'), '2027-06-30T18:00:00.123Z')
  t.equal(iso('2027-01-01T00:30:00+01:00'), '2026-12-31T23:30:00.000Z')
  for (const written of [
    '2027-06-30',
    '2027-06-30T18:00:00',
    '2027-06-30T18:00Z',
    '2027-06-30 18:00:00Z',
    '2027-06-30T24:00:00Z',
    '2027-06-30T18:60:00Z',
    '2027-06-30T18:00:61Z',
    '2027-06-30T18:00:00+24:00',
    '2027-06-30T18:00:00+02:60',
    '2027-06-30T18:00:00+0200',
    '2027-13-01T00:00:00Z',
    '+002027-01-01T00:00:00Z',
  ])
    t.equal(parseMoment(written), undefined, written)
  t.end()
})

void t.test('a leap day is a day in leap years only', (t) => {
  t.equal(iso('2028-02-29T12:00:00Z'), '2028-02-29T12:00:00.000Z')
  t.equal(iso('2400-02-29T12:00:00Z'), '2400-02-29T12:00:00.000Z')
  for (const day of [
    '2027-02-29',
    '2100-02-29',
    '2027-02-30',
    '2027-04-31',
    '2027-00-01',
    '2027-01-00',
  ])
    t.equal(parseDate(day), undefined, day)
  t.equal(parseDate('2028-02-29'), Date.UTC(2028, 1, 29))
  t.equal(parseDate('2028-2-29'), undefined)
  t.end()
})

void t.test(
  'a leap second is the second after it, and is one only at the end of a day of UTC',
  (t) => {
    t.equal(iso('2016-12-31T23:59:60Z'), '2017-01-01T00:00:00.000Z')
    t.equal(iso('2016-12-31T23:59:60.9Z'), '2017-01-01T00:00:00.000Z')
    t.equal(iso('2017-01-01T00:59:60+01:00'), '2017-01-01T00:00:00.000Z')
    t.equal(iso('2016-12-31T15:59:60-08:00'), '2017-01-01T00:00:00.000Z')
    t.equal(iso('2016-12-31T22:59:60Z'), undefined)
    t.equal(iso('2016-12-31T23:59:60+01:00'), undefined)
    t.end()
  },
)
