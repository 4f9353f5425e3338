// R49: where bodies end: by length, in chunks, with the connection; what is ambiguous is refused, however it is cut.

import * as fc from 'fast-check'
import t from 'tap'

import { BodyReader, type BodyFraming } from '../../../src/wire/http1-body.ts'
import { bytesOf, everySplit } from '../../fixtures/http1.ts'
import { reasonOf } from './support.ts'

const OPTIONS = { chunkLineBytesMax: 64, trailerBytesMax: 40, malformed: 'malformed-body' } as const

interface Outcome {
  readonly body: string
  readonly isDone: boolean
  readonly trailers: readonly string[]
  /** Bytes behind the body. */
  readonly rest: number
  readonly refused: string | undefined
}

function read(framing: BodyFraming, pieces: readonly Uint8Array[]): Outcome {
  const reader = new BodyReader(framing, OPTIONS)
  let body = ''
  let rest = 0
  const refused = reasonOf(() => {
    for (const piece of pieces) {
      const bytes = Buffer.from(piece)
      const at = reader.read(bytes, 0, (chunk) => (body += chunk.toString('latin1')))
      rest += bytes.length - at
    }
  })
  return { body, isDone: reader.isDone, trailers: reader.trailers, rest, refused }
}

const chunked = (text: string): Outcome => read({ kind: 'chunked' }, [bytesOf(text)])

void t.test('a body of a length is so many bytes and nothing behind them', (t) => {
  for (const pieces of everySplit(bytesOf('abcdeGET')))
    t.match(read({ kind: 'length', length: 5 }, pieces), { body: 'abcde', isDone: true, rest: 3 })
  t.match(read({ kind: 'length', length: 5 }, [bytesOf('abcd')]), { body: 'abcd', isDone: false })
  t.match(read({ kind: 'length', length: 0 }, [bytesOf('x')]), { body: '', isDone: true, rest: 1 })
  t.match(read({ kind: 'none' }, [bytesOf('x')]), { body: '', isDone: true, rest: 1 })
  t.end()
})

void t.test('a body until the connection closes is everything', (t) => {
  const reader = new BodyReader({ kind: 'until-close' }, OPTIONS)
  t.ok(reader.endsWithConnection)
  for (const pieces of everySplit(bytesOf('0\r\n\r\nx')))
    t.match(read({ kind: 'until-close' }, pieces), { body: '0\r\n\r\nx', isDone: false, rest: 0 })
  t.end()
})

void t.test('chunks, extensions and trailers are read in every cut', (t) => {
  const text = '4\r\nabcd\r\nA;x;y=z;q="a \\" b"\r\n0123456789\r\n000\r\nX-T: 1\r\nx-u:\r\n\r\nGET'
  for (const pieces of everySplit(bytesOf(text)))
    t.strictSame(read({ kind: 'chunked' }, pieces), {
      body: 'abcd0123456789',
      isDone: true,
      trailers: ['X-T', '1', 'x-u', ''],
      rest: 3,
      refused: undefined,
    })
  for (const pieces of everySplit(bytesOf('0\r\n\r\nGET')))
    t.match(read({ kind: 'chunked' }, pieces), { body: '', isDone: true, trailers: [], rest: 3 })
  t.end()
})

void t.test('what two parsers could read differently is no chunk', (t) => {
  const refused: readonly string[] = [
    '\r\n',
    ';x\r\n',
    'zz\r\n',
    '+4\r\nabcd\r\n0\r\n\r\n',
    '-4\r\n',
    '0x4\r\nabcd\r\n0\r\n\r\n',
    ' 4\r\nabcd\r\n',
    '4 \r\nabcd\r\n',
    '4\t\r\nabcd\r\n',
    '4 ;x\r\nabcd\r\n',
    '4; x\r\nabcd\r\n',
    '4;\r\nabcd\r\n',
    '4;x=\r\nabcd\r\n',
    '4;x="a\r\nabcd\r\n',
    '4;x="a\0"\r\nabcd\r\n',
    '4;(x)\r\nabcd\r\n',
    '4\nabcd\r\n',
    '4\r\r\nabcd\r\n',
    '4\rX\nabcd\r\n',
    '4,4\r\nabcd\r\n',
    '4_0\r\n',
    '4.0\r\n',
    '10000000000000\r\n'.padStart(40, '0'),
    'fffffffffffffffff\r\n',
    '4\r\nabcde\r\n0\r\n\r\n',
    '4\r\nabcd\n0\r\n\r\n',
    '4\r\nabcd\rX0\r\n\r\n',
    '2\r\nabcd\r\n0\r\n\r\n',
    '0\r\n X: y\r\n\r\n',
    '0\r\nX : y\r\n\r\n',
    '0\r\nX: y\nZ: 1\r\n\r\n',
    '0\r\nX: y\r\n z\r\n\r\n',
    '0\r\ncontent-length: 5\r\n\r\n',
    '0\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n',
    '0\r\nHost: b.test\r\n\r\n',
    '0\r\nGET / HTTP/1.1\r\n\r\n',
  ]
  for (const text of refused) {
    const whole = chunked(text)
    t.equal(whole.refused, 'malformed-body', JSON.stringify(text))
    for (const pieces of everySplit(bytesOf(text)))
      t.match(read({ kind: 'chunked' }, pieces), { refused: 'malformed-body', body: whole.body })
  }
  t.end()
})

void t.test('I7: a size line and a trailer section take their bounds and not a byte more', (t) => {
  const line = (bytes: number): string => `1;${'x'.repeat(bytes - 4)}\r\na\r\n0\r\n\r\n`
  t.match(chunked(line(64)), { refused: undefined, isDone: true })
  t.equal(chunked(line(65)).refused, 'malformed-body')
  t.equal(chunked('1'.repeat(65)).refused, 'malformed-body', 'without an end, too')
  const trailer = (bytes: number): string => `0\r\nX: ${'y'.repeat(bytes - 7)}\r\n\r\n`
  t.match(chunked(trailer(40)), { refused: undefined, isDone: true })
  t.equal(chunked(trailer(41)).refused, 'malformed-body')
  t.end()
})

void t.test('whatever is chunked by the grammar is read as what it was, in any cut', (t) => {
  const extension = fc.constantFrom('', ';a', ';a=b', ';a="b;\\"c"')
  const part = fc.tuple(fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 40 }), extension)
  fc.assert(
    fc.property(
      fc.array(part, { maxLength: 6 }),
      fc.array(fc.nat({ max: 300 }), { maxLength: 4 }),
      (parts, cuts) => {
        const chunks = parts.map(
          ([text, more]) => `${text.length.toString(16)}${more}\r\n${text}\r\n`,
        )
        const bytes = bytesOf(`${chunks.join('')}0\r\n\r\nrest`)
        const places = [
          0,
          ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b),
          bytes.length,
        ]
        const pieces = places.slice(1).map((place, at) => bytes.subarray(places[at], place))
        t.strictSame(read({ kind: 'chunked' }, pieces), {
          body: parts.map(([text]) => text).join(''),
          isDone: true,
          trailers: [],
          rest: 4,
          refused: undefined,
        })
      },
    ),
  )
  t.end()
})
