// The counts of one connection: what is within a window, and when another begins.

import t from 'tap'

import { Http2Bounds, endsBlock } from '../../../src/listen/http2-bounds.ts'
import type { Frame } from '../../../src/wire/http2-frames.ts'

const frame = (type: number, length = 0, flags = 0): Frame => ({
  type,
  flags,
  length,
  streamId: 1,
  errorCode: 0,
})

const bounds = (): Http2Bounds =>
  new Http2Bounds({ headBytesMax: 100, http2ResetsPerMinute: 2, http2ControlFramesPerSecond: 2 })

void t.test('a header block is counted over its frames', (t) => {
  const counts = bounds()
  t.equal(counts.take(frame(1, 60), 0), undefined)
  t.equal(counts.take(frame(9, 40), 0), undefined)
  t.equal(counts.take(frame(9, 1), 0), 'headBytesMax')
  t.equal(counts.take(frame(1, 100), 0), undefined, 'the next one begins anew')
  t.ok(endsBlock(frame(9, 0, 4)))
  t.notOk(endsBlock(frame(0, 0, 4)))
  t.end()
})

void t.test('frames that carry nothing are counted a second', (t) => {
  const counts = bounds()
  for (const type of [0, 6]) t.equal(counts.take(frame(type), 5000), undefined)
  t.equal(counts.take(frame(4), 5999), 'http2ControlFramesPerSecond')
  t.equal(counts.take(frame(4), 6000), undefined, 'the next second')
  for (let at = 0; at < 10; at += 1) {
    t.equal(counts.take(frame(0, 1), 6000), undefined, 'DATA with bytes is not one')
    t.equal(counts.take(frame(0, 0, 1), 6000), undefined, 'nor is the end of a stream')
    t.equal(counts.take(frame(8, 4), 6000), undefined, 'nor a window')
  }
  t.end()
})

void t.test('streams that end unanswered are counted a minute', (t) => {
  const counts = bounds()
  t.strictSame(
    [0, 1, 59_999, 60_000, 60_001].map((now) => counts.countReset(now)),
    [false, false, true, false, false],
  )
  t.end()
})
