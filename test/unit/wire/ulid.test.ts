// Ids that sort by time.

import t from 'tap'

import { makeUlid } from '../../../src/wire/ulid.ts'

const FORM = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/

void t.test('an id is 26 characters that begin with the time', (t) => {
  const now = 4_000_000_000_000
  const id = makeUlid(now)
  t.match(id, FORM)
  t.equal(timeOf(id), now)
  t.end()
})

void t.test(
  'ids rise within a millisecond, between milliseconds, and when the clock goes back',
  (t) => {
    let last = ''
    const base = 4_000_000_001_000
    for (let made = 0; made < 20_000; made += 1) {
      const id = makeUlid(made === 10_000 ? base - 5000 : base + Math.floor(made / 3000))
      if (!(id > last) || !FORM.test(id)) t.fail(`${id} after ${last}`)
      last = id
    }
    t.end()
  },
)

void t.test('ids of different milliseconds share no random part', (t) => {
  const seen = new Set<string>()
  for (let made = 0; made < 5000; made += 1) seen.add(makeUlid(4_000_000_100_000 + made).slice(10))
  t.equal(seen.size, 5000)
  t.end()
})

void t.test('a clock with fractions of a millisecond makes sound ids', (t) => {
  t.match(makeUlid(4_000_000_200_000.75), FORM)
  t.end()
})

function timeOf(id: string): number {
  let time = 0
  for (let at = 0; at < 10; at += 1)
    time = time * 32 + '0123456789ABCDEFGHJKMNPQRSTVWXYZ'.indexOf(id.charAt(at))
  return time
}
