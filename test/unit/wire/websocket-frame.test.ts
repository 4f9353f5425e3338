// Heads of frames, split everywhere, and lengths that are none.

import t from 'tap'

import { FrameHeadReader, OPCODE, type FrameHead } from '../../../src/wire/websocket-frame.ts'

const MASK = Buffer.from([1, 2, 3, 255])

const headOf = (first: number, length: number, isMasked: boolean): Buffer => {
  const long = length > 0xffff ? 8 : length > 125 ? 2 : 0
  const head = Buffer.alloc(2 + long)
  head[0] = first
  head[1] = (long === 8 ? 127 : long === 2 ? 126 : length) | (isMasked ? 0x80 : 0)
  if (long === 2) head.writeUInt16BE(length, 2)
  if (long === 8) head.writeBigUInt64BE(BigInt(length), 2)
  return isMasked ? Buffer.concat([head, MASK]) : head
}

// The heads in some bytes that have no payload between them.
const readAll = (pieces: readonly Uint8Array[]): FrameHead[] => {
  const reader = new FrameHeadReader()
  const heads: FrameHead[] = []
  for (const piece of pieces)
    for (let at = 0; at < piece.length;) {
      at = reader.take(piece, at)
      const head = reader.next()
      if (head) heads.push(head)
    }
  return heads
}

void t.test('a head is read as it was written, split at every place', async (t) => {
  for (const length of [0, 1, 125, 126, 0xffff, 0x10000, Number.MAX_SAFE_INTEGER])
    for (const isMasked of [false, true])
      for (const first of [0x80 | OPCODE.text, OPCODE.continuation, 0xc2, 0x30 | OPCODE.pong]) {
        const bytes = headOf(first, length, isMasked)
        const expected = {
          bytes,
          isLast: first >= 0x80,
          reserved: first & 0x70,
          opcode: first & 0x0f,
          mask: isMasked ? MASK : undefined,
          length,
        }
        const twice = Buffer.concat([bytes, bytes])
        for (let at = 0; at <= twice.length; at += 1)
          t.strictSame(readAll([twice.subarray(0, at), twice.subarray(at)]), [expected, expected])
        t.strictSame(readAll(Array.from(bytes, (byte) => Uint8Array.of(byte))), [expected])
        t.strictSame(readAll([bytes.subarray(0, -1)]), [], 'not before it is whole')
      }
})

void t.test('a head keeps its bytes when the next one is read', async (t) => {
  const [one, other] = readAll([headOf(0x81, 3, true), Buffer.from([0x82, 0x84, 9, 9, 9, 9])])
  t.strictSame(one?.mask, MASK)
  t.strictSame(other?.mask, Buffer.alloc(4, 9))
})

void t.test('what nobody can count, or is written longer than it has to be, is no length', (t) => {
  const lengthOf = (...bytes: number[]): unknown => readAll([Uint8Array.from(bytes)])[0]?.length
  t.equal(lengthOf(0x81, 126, 0, 126), 126)
  t.equal(lengthOf(0x81, 126, 0, 125), undefined)
  t.equal(lengthOf(0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0), 0x10000)
  t.equal(lengthOf(0x81, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff), undefined)
  t.equal(lengthOf(0x81, 127, 0, 32, 0, 0, 0, 0, 0, 0), undefined, 'beyond what is exact')
  t.equal(lengthOf(0x81, 127, 128, 0, 0, 0, 0, 0, 0, 1), undefined, 'the highest bit')
  t.end()
})
