// The framing of bodies: where one ends, what is refused, bounds to the byte, and that it does not matter how bytes are cut.

import * as fc from 'fast-check'
import t from 'tap'

import { EgressError } from '../../../src/errors.ts'
import { BodyReader, type BodyFraming } from '../../../src/wire/http1-body.ts'
import { REQUESTS, RESPONSES } from '../../fuzz/corpus.ts'
import {
  BOUNDS,
  cut,
  readRequests,
  readResponse,
  type Bounds,
  type Conversation,
} from '../../fuzz/own-reader.ts'

const bytesOf = (text: string): Buffer => Buffer.from(text, 'latin1')
const SMALL: Bounds = { headBytesMax: 200, chunkLineBytesMax: 16, trailerBytesMax: 32 }

interface Read {
  readonly body: string
  readonly isDone: boolean
  readonly end: number
  readonly trailers: readonly string[]
  readonly part?: unknown
}

function read(framing: BodyFraming, pieces: readonly Buffer[], bounds = SMALL): Read {
  const reader = new BodyReader(framing, { ...bounds, malformed: 'malformed-body' })
  const chunks: Buffer[] = []
  let end = 0
  let part: unknown
  try {
    for (const piece of pieces) {
      const at = reader.read(piece, 0, (chunk) => chunks.push(chunk))
      end += at
      if (at < piece.length) break
    }
  } catch (error) {
    if (!(error instanceof EgressError) || error.reason !== 'malformed-body') throw error
    part = error.detail['part']
    end = -1
  }
  const body = Buffer.concat(chunks).toString('latin1')
  const { isDone, trailers } = reader
  return { body, isDone, end, trailers, ...(part !== undefined && { part }) }
}

const CHUNKED: BodyFraming = { kind: 'chunked' }
const readChunked = (text: string, bounds = SMALL): Read => read(CHUNKED, [bytesOf(text)], bounds)

void t.test('a body of a length ends with its last byte', (t) => {
  const framing = (length: number): BodyFraming => ({ kind: 'length', length })
  t.match(read(framing(3), [bytesOf('abcdef')]), { body: 'abc', isDone: true, end: 3 })
  t.match(read(framing(3), [bytesOf('ab'), bytesOf('cd')]), { body: 'abc', isDone: true, end: 3 })
  t.match(read(framing(3), [bytesOf('ab')]), { body: 'ab', isDone: false, end: 2 })
  t.match(read(framing(0), [bytesOf('ab')]), { body: '', isDone: true, end: 0 })
  t.match(read({ kind: 'none' }, [bytesOf('ab')]), { body: '', isDone: true, end: 0 })
  t.end()
})

void t.test('a body without an end of its own takes everything', (t) => {
  const reader = new BodyReader({ kind: 'until-close' }, { ...SMALL, malformed: 'malformed-body' })
  t.ok(reader.endsWithConnection)
  t.match(read({ kind: 'until-close' }, [bytesOf('ab'), bytesOf('c\r\n')]), {
    body: 'abc\r\n',
    isDone: false,
    end: 5,
  })
  t.end()
})

void t.test('a body in chunks ends behind its trailers', (t) => {
  const table: readonly (readonly [text: string, body: string, trailers?: readonly string[]])[] = [
    ['0\r\n\r\n', ''],
    ['000\r\n\r\n', ''],
    ['3\r\nabc\r\n0\r\n\r\n', 'abc'],
    ['A\r\n0\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n', '0\r\n0\r\n\r\n\r\n'],
    ['0000000000003\r\nabc\r\n0\r\n\r\n', 'abc'],
    ['3;a\r\nabc\r\n0;b=c\r\n\r\n', 'abc'],
    ['3;a="\\";\xff"\r\nabc\r\n0\r\n\r\n', 'abc'],
    ['3;a;b=c\r\nabc\r\n0\r\n\r\n', 'abc'],
    ['0\r\nT: u\r\nv:w\r\n\r\n', '', ['T', 'u', 'v', 'w']],
  ]
  for (const [text, body, trailers = []] of table) {
    const expected = { body, isDone: true, end: text.length, trailers }
    t.strictSame(readChunked(text), expected, text)
    t.strictSame(readChunked(`${text}more`), expected, text)
    // Any byte fewer is not the whole.
    for (let length = 0; length < text.length; length += 1)
      t.match(readChunked(text.slice(0, length)), { isDone: false, end: length }, text)
  }
  t.end()
})

void t.test('chunks that two parsers could read differently are refused', (t) => {
  const table: readonly (readonly [text: string, part: string])[] = [
    ['\r\n', 'chunk size'],
    ['\n', 'chunk size'],
    ['g\r\n', 'chunk size'],
    ['+3\r\n', 'chunk size'],
    ['-3\r\n', 'chunk size'],
    ['0x3\r\n', 'chunk size'],
    [' 3\r\n', 'chunk size'],
    ['3 \r\n', 'chunk size'],
    ['3\t\r\n', 'chunk size'],
    ['3\n', 'chunk size'],
    ['3\rabc', 'chunk size'],
    ['3\r\r\n', 'chunk size'],
    ['00000000000003\r\n', 'chunk size'],
    ['3;\r\n', 'chunk size'],
    ['3; a\r\n', 'chunk size'],
    ['3 ;a\r\n', 'chunk size'],
    ['3;a=\r\n', 'chunk size'],
    ['3;a = b\r\n', 'chunk size'],
    ['3;a="\r\n', 'chunk size'],
    ['3;a="b\n"\r\n', 'chunk size'],
    ['3;a\0\r\n', 'chunk size'],
    ['3;a\n', 'chunk size'],
    ['3;a\rb\r\n', 'chunk size'],
    ['3\r\nabcd', 'chunk end'],
    ['3\r\nabc\n', 'chunk end'],
    ['3\r\nabc\r\r', 'chunk end'],
    ['0\r\n\n', 'field'],
    ['0\r\n\rX', 'field'],
    ['0\r\nT\r\n\r\n', 'field'],
    ['0\r\nT : u\r\n\r\n', 'field'],
    ['0\r\nT: u\n\r\n', 'field'],
    ['0\r\nT: u\r\ncontent-length: 0\r\n\r\n', 'trailer'],
    ['0\r\nTransfer-Encoding: chunked\r\n\r\n', 'trailer'],
    ['0\r\nTransfer_Encoding: chunked\r\n\r\n', 'trailer'],
    ['0\r\nT: u\r\n v\r\n\r\n', 'field'],
  ]
  for (const [text, part] of table) {
    const title = JSON.stringify(text)
    t.match(readChunked(text), { isDone: false, part }, title)
    const single = [...bytesOf(text)].map((byte) => Buffer.of(byte))
    t.strictSame(read(CHUNKED, single), readChunked(text), title)
  }
  t.end()
})

void t.test('a size line and a trailer section may have exactly their bytes', (t) => {
  const line = (bytes: number): string => `3;${'a'.repeat(bytes - 4)}\r\nabc\r\n0\r\n\r\n`
  const trailers = (bytes: number): string => `0\r\nT: ${'u'.repeat(bytes - 7)}\r\n\r\n`
  const single = (text: string): Read =>
    read(
      CHUNKED,
      [...bytesOf(text)].map((byte) => Buffer.of(byte)),
    )
  for (const run of [readChunked, single]) {
    t.match(run(line(SMALL.chunkLineBytesMax)), { body: 'abc', isDone: true })
    t.match(run(line(SMALL.chunkLineBytesMax + 1)), { body: '', part: 'chunk line' })
    t.match(run(`3;${'a'.repeat(SMALL.chunkLineBytesMax - 1)}`), { part: 'chunk line' })
    t.match(run(`3;${'a'.repeat(SMALL.chunkLineBytesMax - 2)}`), { isDone: false, end: 16 })
    t.match(run(`3${'x'.repeat(SMALL.chunkLineBytesMax)}`), { part: 'chunk size' })
    t.match(run(trailers(SMALL.trailerBytesMax)), { isDone: true })
    t.match(run(trailers(SMALL.trailerBytesMax + 1)), { isDone: false, end: -1 })
  }
  // The largest size there is is beyond no number.
  t.match(readChunked('FFFFFFFFFFFFF\r\nabc'), { body: 'abc', isDone: false })
  t.end()
})

void t.test('bytes of a body are handed on, not copied', (t) => {
  const reader = new BodyReader(
    { kind: 'length', length: 8 },
    { ...SMALL, malformed: 'malformed-body' },
  )
  const piece = bytesOf('abcd')
  const got: Buffer[] = []
  reader.read(piece, 0, (chunk) => got.push(chunk))
  reader.read(piece, 1, (chunk) => got.push(chunk))
  t.equal(got[0], piece)
  t.equal(got[1]?.buffer, piece.buffer)
  t.equal(got[1]?.toString(), 'bcd')
  t.end()
})

type Whole = (pieces: readonly Buffer[]) => Conversation

const READERS: readonly (readonly [name: string, texts: readonly string[], read: Whole])[] = [
  ['request', REQUESTS, (pieces) => readRequests(pieces, BOUNDS)],
  ['request with small bounds', REQUESTS, (pieces) => readRequests(pieces, SMALL)],
  ['response', RESPONSES, (pieces) => readResponse(pieces, 'GET', true, BOUNDS)],
  ['response with small bounds', RESPONSES, (pieces) => readResponse(pieces, 'GET', true, SMALL)],
  ['response to HEAD', RESPONSES, (pieces) => readResponse(pieces, 'HEAD', true, BOUNDS)],
]

for (const [name, texts, whole] of READERS)
  void t.test(`every ${name} means the same, cut at any byte and at every byte`, (t) => {
    let accepted = 0
    let refused = 0
    for (const text of texts) {
      const bytes = bytesOf(text)
      const expected = JSON.stringify(whole([bytes]))
      const differing: number[] = []
      for (let at = 1; at < bytes.length; at += 1)
        if (JSON.stringify(whole(cut(bytes, [at]))) !== expected) differing.push(at)
      const single = [...bytes].map((byte) => Buffer.of(byte))
      if (JSON.stringify(whole(single)) !== expected) differing.push(-1)
      t.strictSame(differing, [], JSON.stringify(text))
      if (expected.includes('"refused"')) refused += 1
      else accepted += 1
    }
    t.ok(accepted > 20 && refused > 20, `${accepted} accepted, ${refused} refused`)
    t.end()
  })

void t.test('any messages one behind the other, cut anywhere, mean the same', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...REQUESTS), { minLength: 1, maxLength: 3 }),
      fc.array(fc.nat(400), { maxLength: 6 }),
      (texts, cuts) => {
        const bytes = bytesOf(texts.join(''))
        const pieces = cut(
          bytes,
          cuts.filter((at) => at < bytes.length).sort((one, other) => one - other),
        )
        t.equal(JSON.stringify(readRequests(pieces)), JSON.stringify(readRequests([bytes])))
      },
    ),
    { numRuns: 500 },
  )
  t.end()
})
