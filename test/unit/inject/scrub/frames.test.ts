// Frames of a server, cut everywhere: texts and control frames masked in place, binary messages cut, the rest byte for byte.

import t from 'tap'

import { EgressError } from '../../../../src/errors.ts'
import { FrameScrubber } from '../../../../src/inject/scrub/frames.ts'
import type { Watch } from '../../../../src/inject/scrub/watch.ts'
import { finderFor, VALUE } from './support.ts'

const finder = finderFor(VALUE)
const MASK = '*'.repeat(Buffer.byteLength(VALUE))
const FIN = 0x80
const TEXT = 1
const BINARY = 2
const PING = 9

const frame = (first: number, payload: string | Buffer): Buffer => {
  const bytes = Buffer.from(payload)
  if (bytes.length < 126) return Buffer.concat([Buffer.from([first, bytes.length]), bytes])
  const head = Buffer.alloc(bytes.length < 65_536 ? 4 : 10)
  head[0] = first
  head[1] = head.length === 4 ? 126 : 127
  if (head.length === 4) head.writeUInt16BE(bytes.length, 2)
  else head.writeBigUInt64BE(BigInt(bytes.length), 2)
  return Buffer.concat([head, bytes])
}

const scrub = (pieces: readonly Uint8Array[]): { out: Buffer; places: string[] } => {
  const places: string[] = []
  const watch: Watch = { finder: () => finder, onFound: (_, place) => places.push(place) }
  const frames = new FrameScrubber(watch)
  return { out: Buffer.concat(pieces.map((piece) => frames.push(piece))), places }
}

const refusalOf = (bytes: Uint8Array): string => {
  try {
    scrub([bytes])
    return 'passed'
  } catch (error) {
    return error instanceof EgressError ? error.reason : String(error)
  }
}

// A text in three frames, with a ping between them, and one behind it.
const said = (value: string, cut: number): Buffer => {
  const bytes = Buffer.from(`[${value}]`)
  return Buffer.concat([
    frame(TEXT, bytes.subarray(0, cut)),
    frame(FIN | PING, value),
    frame(0, ''),
    frame(0, bytes.subarray(cut, cut + 2)),
    frame(FIN, bytes.subarray(cut + 2)),
    frame(FIN | TEXT, 'behind'),
  ])
}

void t.test('a value cut anywhere, in frames and in reads', async (t) => {
  const length = Buffer.byteLength(VALUE)
  for (let cut = 1; cut < length; cut += 1) {
    const bytes = said(VALUE, cut)
    const expected = said(MASK, cut)
    const { out, places } = scrub([bytes])
    t.strictSame(out, expected, `cut at ${cut}`)
    t.strictSame([...new Set(places)], ['message'])
    t.strictSame(scrub(Array.from(bytes, (byte) => Uint8Array.of(byte))).out, expected)
    for (let at = 0; at < bytes.length; at += 7)
      t.strictSame(scrub([bytes.subarray(0, at), bytes.subarray(at)]).out, expected)
  }
})

void t.test('what is no value passes, of every length', async (t) => {
  for (const length of [0, 1, 125, 126, 65_535, 65_536, 200_000])
    for (const first of [FIN | TEXT, FIN | BINARY]) {
      const bytes = Buffer.concat([frame(first, Buffer.alloc(length, 'c')), frame(FIN | 8, '')])
      t.strictSame(scrub([bytes]).out, bytes, `${length}`)
    }
  t.equal(scrub([frame(FIN | TEXT, 'can')]).out.length, 5, 'a text that is over waits for nothing')
})

void t.test('a binary message with a value, and what cannot be read, is refused', async (t) => {
  t.equal(refusalOf(frame(FIN | BINARY, `\0${VALUE}`)), 'credential-echoed')
  t.equal(
    refusalOf(
      Buffer.concat([frame(BINARY, VALUE.slice(0, 9)), frame(FIN, Buffer.from(VALUE.slice(9)))]),
    ),
    'credential-echoed',
  )
  for (const [what, bytes] of [
    ['compressed', frame(FIN | 0x40 | TEXT, 'x')],
    ['masked', Buffer.from([FIN | TEXT, 0x81, 0, 0, 0, 0, 0])],
    ['a text within a text', Buffer.concat([frame(TEXT, 'x'), frame(TEXT, 'x')])],
    ['no beginning', frame(FIN, 'x')],
    ['an unknown kind', frame(FIN | 5, 'x')],
    ['a length longer than it has to be', Buffer.from([FIN | TEXT, 126, 0, 1, 0x78])],
    ['a long ping', frame(FIN | PING, Buffer.alloc(126))],
    [
      'pings without end behind what may be a value',
      Buffer.concat([
        frame(TEXT, 'can'),
        ...Array.from({ length: 1000 }, () => frame(FIN | PING, Buffer.alloc(100))),
      ]),
    ],
  ] as const)
    t.equal(refusalOf(bytes), 'response-malformed', what)
})
