// Proves what is read of frames, and that nothing that can be sent breaks the reader or makes it grow.

import { array, assert, constantFrom, property, uint8Array } from 'fast-check'
import t from 'tap'

import { FrameReader, type FramesUnread } from '../../../src/inspect/websocket.ts'

const FIN = 0x80
const TEXT = 0x1

/** One frame, masked where a mask is given. */
function frame(first: number, payload: Uint8Array | string, mask?: readonly number[]): Buffer {
  const bytes = Buffer.from(payload)
  const long = bytes.length > 0xffff ? 127 : bytes.length > 125 ? 126 : bytes.length
  const head = Buffer.alloc(2 + (long === 127 ? 8 : long === 126 ? 2 : 0))
  head[0] = first
  head[1] = long | (mask === undefined ? 0 : 0x80)
  if (long === 126) head.writeUInt16BE(bytes.length, 2)
  if (long === 127) head.writeBigUInt64BE(BigInt(bytes.length), 2)
  if (mask === undefined) return Buffer.concat([head, bytes])
  const masked = Buffer.from(bytes.map((byte, at) => byte ^ mask[at & 3]!))
  return Buffer.concat([head, Buffer.from(mask), masked])
}

interface Read {
  readonly texts: string[]
  readonly unread: FramesUnread | undefined
  /** Bytes that it holds at the end, and the most that it held. */
  readonly held: number
  readonly heldMax: number
}

function read(
  from: 'client' | 'server',
  pieces: readonly Uint8Array[],
  messageBytesMax = 1024 * 1024,
): Read {
  const texts: string[] = []
  let held = 0
  let heldMax = 0
  const reader = new FrameReader({
    from,
    messageBytesMax,
    takeRoom: (bytes) => {
      held += bytes
      heldMax = Math.max(held, heldMax)
      return true
    },
    giveRoom: (bytes) => (held -= bytes),
    onText: (text) => texts.push(text),
  })
  for (const piece of pieces) reader.push(piece)
  const { unread } = reader
  reader.stop()
  return { texts, unread, held, heldMax }
}

function cut(bytes: Buffer, size: number): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
    bytes.subarray(at * size, (at + 1) * size),
  )
}

const MASK = [1, 2, 3, 255]

void t.test(
  'texts are read masked and unmasked, whole and in pieces, however the bytes come',
  (t) => {
    const long = 'ä'.repeat(40_000)
    for (const from of ['client', 'server'] as const) {
      const mask = from === 'client' ? MASK : undefined
      const bytes = Buffer.concat([
        frame(FIN | TEXT, 'one', mask),
        frame(FIN | 0x9, 'ping', mask),
        frame(TEXT, Buffer.from('zwölf').subarray(0, 3), mask),
        frame(FIN | 0xa, '', mask),
        frame(0, '', mask),
        frame(FIN, Buffer.from('zwölf').subarray(3), mask),
        frame(FIN | 0x2, 'binary', mask),
        frame(FIN | TEXT, '', mask),
        frame(FIN | TEXT, long, mask),
        frame(FIN | 0x8, Buffer.from([3, 232]), mask),
        frame(FIN | TEXT, 'behind the end', mask),
      ])
      for (const size of [1, 2, 7, 1000, bytes.length])
        t.strictSame(
          { ...read(from, cut(bytes, size)), heldMax: 0 },
          { texts: ['one', 'zwölf', '', long], unread: undefined, held: 0, heldMax: 0 },
          `${from}, ${size} bytes each`,
        )
    }
    t.end()
  },
)

const LONG = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')

void t.test('a frame that cannot be read turns the reader off, and it says why', (t) => {
  const wrong: Readonly<Record<string, [Buffer, FramesUnread]>> = {
    compressed: [frame(FIN | 0x40 | TEXT, 'x'), 'encoded'],
    'reserved bit 2': [frame(FIN | 0x20 | TEXT, 'x'), 'malformed'],
    'all reserved bits': [frame(FIN | 0x70 | TEXT, 'x'), 'malformed'],
    'a masked server': [frame(FIN | TEXT, 'x', MASK), 'malformed'],
    'opcode 3': [frame(FIN | 0x3, 'x'), 'malformed'],
    'opcode 15': [frame(FIN | 0xf, 'x'), 'malformed'],
    'a long ping': [frame(FIN | 0x9, 'x'.repeat(126)), 'malformed'],
    'a ping in pieces': [frame(0x9, 'x'), 'malformed'],
    'a continuation of nothing': [frame(FIN, 'x'), 'malformed'],
    'a message within another': [
      Buffer.concat([frame(TEXT, 'x'), frame(FIN | TEXT, 'y')]),
      'malformed',
    ],
    'a length of 2^63': [LONG('81 7f 80 00 00 00 00 00 00 00'), 'malformed'],
    'a length of 2^64-1': [LONG('82 7f ff ff ff ff ff ff ff ff'), 'malformed'],
    'a length of 2^60': [LONG('82 7f 10 00 00 00 00 00 00 00'), 'malformed'],
    'a length written too long': [LONG('81 7e 00 01 61'), 'malformed'],
    'a length written much too long': [LONG('81 7f 00 00 00 00 00 00 00 01 61'), 'malformed'],
    'no UTF-8': [frame(FIN | TEXT, Buffer.from([0xc3, 0x28])), 'malformed'],
    'UTF-8 cut off': [frame(FIN | TEXT, Buffer.from([0xe2, 0x82])), 'malformed'],
  }
  for (const [name, [bytes, unread]] of Object.entries(wrong)) {
    const seen = read('server', [frame(FIN | TEXT, 'before'), bytes, frame(FIN | TEXT, 'behind')])
    t.strictSame([seen.texts, seen.unread, seen.held], [['before'], unread, 0], name)
  }
  t.equal(read('client', [frame(FIN | TEXT, 'x')]).unread, 'malformed', 'an unmasked client')
  t.end()
})

void t.test('what is too large is left out, and what comes behind it is read', (t) => {
  const large = 'x'.repeat(3000)
  const seen = read(
    'server',
    cut(Buffer.concat([frame(FIN | TEXT, large), frame(FIN | TEXT, 'behind')]), 100),
    2000,
  )
  t.strictSame([seen.texts, seen.unread, seen.held], [['behind'], 'too-large', 0])
  t.ok(seen.heldMax <= 2000)
  const endless = Array.from({ length: 5000 }, (_, at) => frame(at === 0 ? TEXT : 0, 'y'))
  const unended = read('server', [...endless, frame(FIN, ''), frame(FIN | TEXT, 'behind')], 2000)
  t.strictSame([unended.texts, unended.unread], [['behind'], 'too-large'])
  t.ok(unended.heldMax <= 2000, 'pieces of a byte each take no more')
  t.end()
})

void t.test('whatever comes, it neither throws nor holds on', (t) => {
  assert(
    property(
      array(uint8Array({ maxLength: 64 }), { maxLength: 20 }),
      constantFrom('client' as const, 'server' as const),
      (pieces, from) => read(from, pieces, 256).held === 0,
    ),
  )
  t.end()
})
