// Proves that no window of time sees more counted away than it held, whatever borders the buckets have.

import * as fc from 'fast-check'
import t from 'tap'

import { SlidingCount } from '../../../src/tasks/sliding-count.ts'

const WINDOW_MS = 60_000

void t.test('what is added counts for the whole window and at most one bucket more', (t) => {
  const count = new SlidingCount(WINDOW_MS, 60)
  const at = 1_800_000_000_999
  t.equal(count.sum(at), 0)
  count.add(at, 3)
  t.equal(count.sum(at + WINDOW_MS), 3, 'a window later it counts still')
  t.equal(count.sum(at + WINDOW_MS + 1), 0, 'and a bucket later not')
  t.end()
})

void t.test('it says how long until there is room', (t) => {
  const count = new SlidingCount(WINDOW_MS, 60)
  const at = 1_800_000_000_000
  count.add(at, 3)
  count.add(at + 10_000, 2)
  t.equal(count.waitMs(at + 10_000, 5), 0)
  const waitMs = count.waitMs(at + 10_000, 4)
  t.equal(count.sum(at + 10_000 + waitMs - 1), 5)
  t.equal(count.sum(at + 10_000 + waitMs), 2)
  t.end()
})

void t.test('what is taken back does not count, and only once it has been counted', (t) => {
  const count = new SlidingCount(WINDOW_MS, 60)
  const at = 1_800_000_000_000
  const bucket = count.add(at, 3)
  count.takeBack(bucket, 1)
  t.equal(count.sum(at), 2)
  t.equal(count.sum(at + 2 * WINDOW_MS), 0)
  count.takeBack(bucket, 1)
  t.equal(count.sum(at + 2 * WINDOW_MS), 0, 'long gone')
  t.end()
})

void t.test('what was kept counts on, and what is said to be of later counts as of now', (t) => {
  const first = new SlidingCount(WINDOW_MS, 60)
  const at = 1_800_000_000_000
  first.add(at, 2)
  first.add(at + 30_000, 1)
  const second = new SlidingCount(WINDOW_MS, 60)
  second.restore(at + 40_000, first.buckets(at + 30_000))
  t.equal(second.sum(at + 40_000), 3)
  t.equal(second.sum(at + WINDOW_MS + 1000), 1)
  const behind = new SlidingCount(WINDOW_MS, 60)
  behind.restore(at - 5_000_000, first.buckets(at + 30_000))
  t.equal(behind.sum(at - 5_000_000 + WINDOW_MS), 3)
  t.equal(behind.sum(at - 5_000_000 + WINDOW_MS + 1000), 0)
  t.end()
})

void t.test('R33: it counts exactly what lies within the window and one bucket', (t) => {
  const step = fc.record({ ms: fc.nat({ max: 20_000 }), count: fc.nat({ max: 5 }) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const count = new SlidingCount(WINDOW_MS, 60)
      const added: [number, number][] = []
      let now = 1_800_000_000_000
      for (const { ms, count: more } of steps) {
        now += ms
        if (more > 0) added.push([count.add(now, more) * 1000, more])
        const within = added.filter(([at]) => at >= Math.floor(now / 1000) * 1000 - WINDOW_MS)
        if (count.sum(now) !== within.reduce((sum, [, one]) => sum + one, 0)) return false
      }
      return true
    }),
    { numRuns: 200 },
  )
  t.end()
})
