// Frames of HTTP/2 as they pass: the same ones however the bytes are cut.

import t from 'tap'

import { FRAME, FrameReader, goAwayFrame, type Frame } from '../../../src/wire/http2-frames.ts'

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
const bytes = (hex: string): Buffer => Buffer.from(hex.replaceAll(' ', ''), 'hex')

const FRAMES = [
  bytes('000000 04 00 00000000'),
  bytes('000003 01 05 00000001 828684'),
  bytes('000004 03 00 00000001 00000008'),
  bytes('000002 03 00 00000003 0008'),
  bytes('000005 00 09 80000005 0168690000'),
  goAwayFrame(11, 7),
  bytes('000000 09 04 00000001'),
]

const EXPECTED: readonly Frame[] = [
  { type: 4, flags: 0, streamId: 0, length: 0, errorCode: 0 },
  { type: FRAME.headers, flags: 5, streamId: 1, length: 3, errorCode: 0 },
  { type: FRAME.resetStream, flags: 0, streamId: 1, length: 4, errorCode: 8 },
  // Of a frame that is too short for a code the library makes what it likes.
  { type: FRAME.resetStream, flags: 0, streamId: 3, length: 2, errorCode: 0 },
  { type: FRAME.data, flags: 9, streamId: 5, length: 5, errorCode: 0 },
  { type: FRAME.goAway, flags: 0, streamId: 0, length: 8, errorCode: 11 },
  { type: FRAME.continuation, flags: 4, streamId: 1, length: 0, errorCode: 0 },
]

void t.test('frames are told once, whatever the cut', (t) => {
  const all = Buffer.concat([PREFACE, ...FRAMES])
  for (let size = 1; size <= all.length; size += 1) {
    const seen: Frame[] = []
    const reader = new FrameReader('client', (frame) => seen.push(frame))
    for (let at = 0; at < all.length; at += size) reader.read(all.subarray(at, at + size))
    t.strictSame(seen, EXPECTED, `${size} bytes at a time`)
    t.ok(reader.isBetween)
  }
  t.end()
})

void t.test('within a frame is not between two', (t) => {
  const reader = new FrameReader('server', () => undefined)
  t.ok(reader.isBetween)
  reader.read(FRAMES[1]!.subarray(0, 5))
  t.notOk(reader.isBetween, 'within its head')
  reader.read(FRAMES[1]!.subarray(5, 10))
  t.notOk(reader.isBetween, 'within its payload')
  reader.read(FRAMES[1]!.subarray(10))
  t.ok(reader.isBetween)
  t.end()
})
