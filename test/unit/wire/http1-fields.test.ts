// The lines of a head or a trailer section: what a field is, where a fault is said to be, bounds to the byte.

import * as fc from 'fast-check'
import t from 'tap'

import { EgressError } from '../../../src/errors.ts'
import {
  FieldSection,
  type LineFault,
  type SectionOptions,
} from '../../../src/wire/http1-fields.ts'

const OPTIONS: SectionOptions = {
  bytesMax: 64,
  malformed: 'malformed-header',
  tooLarge: 'head-too-large',
}

// As those of the heads, it takes no line with half a line end in it.
const readStart = (line: string): LineFault | undefined =>
  /^[A-Z][^\r\n]*$/i.test(line) ? undefined : { reason: 'malformed-request-line', part: 'start' }

const bytesOf = (text: string): Buffer => Buffer.from(text, 'latin1')

interface Read {
  readonly end: number
  readonly headers: readonly string[]
  readonly refused?: { readonly reason: string; readonly detail: unknown }
}

function read(pieces: readonly Buffer[], isHead: boolean, options = OPTIONS): Read {
  const section = isHead ? new FieldSection(options, readStart) : new FieldSection(options)
  section.begin()
  let before = 0
  try {
    for (const piece of pieces) {
      const end = section.read(piece, 0)
      if (end >= 0) return { end: before + end, headers: section.headers }
      before += piece.length
    }
    return { end: -1, headers: section.headers }
  } catch (error) {
    if (!(error instanceof EgressError)) throw error
    const refused = { reason: error.reason, detail: error.detail }
    return { end: -2, headers: section.headers, refused }
  }
}

function readEverySplit(text: string, isHead: boolean, options = OPTIONS): Read[] {
  const bytes = bytesOf(text)
  const reads = [
    read(
      [...bytes].map((byte) => Buffer.of(byte)),
      isHead,
      options,
    ),
  ]
  for (let at = 1; at < bytes.length; at += 1)
    for (let next = at; next < bytes.length; next += 1)
      reads.push(
        read(
          [bytes.subarray(0, at), bytes.subarray(at, next), bytes.subarray(next)],
          isHead,
          options,
        ),
      )
  return reads
}

const SECTIONS: readonly (readonly [text: string, offset: number, part?: string])[] = [
  ['A: b\r\nC:\r\n\r\n', -1],
  ['A: b\r\nC \t: d\r\n\r\n', 6],
  ['A: b\r\n\r\nC: d', -1],
  ['A: b\nC: d\r\n\r\n', 0],
  ['A: b\r\nC: d\re\r\n\r\n', 6],
  ['A: b\r\nC: d\r\r\n\r\n', 6],
  ['A: b\r\n C: d\r\n\r\n', 6],
  ['A: b\r\nC: \0\r\n\r\n', 6],
  ['A: b\r\n: d\r\n\r\n', 6],
  ['A: b\r\nC\r\nD: e\r\n\r\n', 6],
  ['A: b\r\n\rC: d\r\n\r\n', 6],
  ['A: b\r\n\n', 6],
  ['A: b\r\nC\xe4: d\r\n\r\n', 6],
]

void t.test('a section means the same however it is cut, and a fault is at its line', (t) => {
  for (const [text, offset] of SECTIONS)
    for (const isHead of [true, false]) {
      const line = isHead ? 'S\r\n' : ''
      const whole = read([bytesOf(line + text)], isHead)
      if (offset < 0) t.equal(whole.end, line.length + text.indexOf('\r\n\r\n') + 4, text)
      else
        t.strictSame(whole.refused, {
          reason: 'malformed-header',
          detail: { part: 'field', offset: line.length + offset },
        })
      for (const other of readEverySplit(line + text, isHead))
        if (other.end !== whole.end) t.strictSame(other, whole, JSON.stringify(text))
        else t.strictSame([other.headers, other.refused], [whole.headers, whole.refused])
    }
  t.end()
})

void t.test('spaces and tabs around a value are not part of it', (t) => {
  const { headers } = read([bytesOf('A: \t b\t c \t\r\nB:\t\r\nC:d\r\n\r\n')], false)
  t.strictSame(headers, ['A', 'b\t c', 'B', '', 'C', 'd'])
  t.end()
})

void t.test('a trailer section without a field is two bytes, in one piece or two', (t) => {
  t.equal(read([bytesOf('\r\nX')], false).end, 2)
  t.equal(read([bytesOf('\r'), bytesOf('\nX')], false).end, 2)
  t.equal(read([bytesOf('\r'), bytesOf('\r\n')], false).refused?.reason, 'malformed-header')
  t.equal(read([bytesOf('\r\r\n')], false).refused?.reason, 'malformed-header')
  t.equal(read([bytesOf('\n')], false).refused?.reason, 'malformed-header')
  t.equal(read([bytesOf('\r')], false).end, -1)
  t.end()
})

void t.test('a section may have exactly its bytes, the empty line included', (t) => {
  for (const isHead of [true, false]) {
    const line = isHead ? 'S\r\n' : ''
    const filled = (length: number): string =>
      `${line}A: ${'b'.repeat(length - line.length - 7)}\r\n\r\n`
    const exact = filled(OPTIONS.bytesMax)
    t.equal(exact.length, OPTIONS.bytesMax)
    t.equal(read([bytesOf(exact)], isHead).end, OPTIONS.bytesMax)
    for (const other of readEverySplit(exact, isHead)) t.equal(other.end, OPTIONS.bytesMax)
    // What comes behind does not count.
    t.equal(read([bytesOf(`${exact}more`)], isHead).end, OPTIONS.bytesMax)
    const refused = { reason: 'head-too-large', detail: { bytesMax: OPTIONS.bytesMax } }
    const beyond = filled(OPTIONS.bytesMax + 1)
    t.strictSame(read([bytesOf(beyond)], isHead).refused, refused)
    for (const other of readEverySplit(beyond, isHead)) t.strictSame(other.refused, refused)
    const endless = `${line}A: ${'b'.repeat(OPTIONS.bytesMax)}`
    t.equal(read([bytesOf(endless.slice(0, OPTIONS.bytesMax))], isHead).end, -1)
    t.strictSame(read([bytesOf(endless.slice(0, OPTIONS.bytesMax + 1))], isHead).refused, refused)
  }
  t.end()
})

void t.test('a fault within the bound comes before the bound, one beyond it does not', (t) => {
  const early = `A: b\r\nC : d\r\nE: ${'f'.repeat(OPTIONS.bytesMax)}\r\n\r\n`
  t.match(read([bytesOf(early)], false).refused, {
    reason: 'malformed-header',
    detail: { offset: 6 },
  })
  const late = `A: ${'b'.repeat(OPTIONS.bytesMax - 7)}\r\nC : d\r\n\r\n`
  t.match(read([bytesOf(late)], false).refused, { reason: 'head-too-large' })
  for (const text of [early, late]) {
    const whole = read([bytesOf(text)], false)
    for (const other of readEverySplit(text, false)) t.strictSame(other.refused, whole.refused)
  }
  t.end()
})

void t.test('a section that is read again has forgotten the last one', (t) => {
  const section = new FieldSection(OPTIONS)
  section.begin()
  t.equal(section.read(bytesOf('A: b'), 0), -1)
  t.ok(section.hasBegun)
  t.equal(section.read(bytesOf('\r\n\r\nC: d\r\n\r\n'), 0), 4)
  const first = section.headers
  section.begin()
  t.notOk(section.hasBegun)
  t.equal(section.read(bytesOf('\r\n\r\nC: d\r\n\r\n'), 4), 12)
  t.strictSame(
    [first, section.headers],
    [
      ['A', 'b'],
      ['C', 'd'],
    ],
  )
  t.end()
})

void t.test('any lines, cut anywhere, mean the same', (t) => {
  const piece = fc.constantFrom(
    'A',
    ': ',
    'b',
    '\r\n',
    '\r',
    '\n',
    ' ',
    '\t',
    '\0',
    'c: d\r\n',
    '\xff',
  )
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 30 }),
      fc.boolean(),
      fc.array(fc.nat(40), { maxLength: 5 }),
      (pieces, isHead, cuts) => {
        const bytes = bytesOf(pieces.join(''))
        const sorted = [0, ...cuts.map((at) => Math.min(at, bytes.length)), bytes.length].sort(
          (one, other) => one - other,
        )
        const cutPieces = sorted.slice(1).map((at, index) => bytes.subarray(sorted[index], at))
        t.strictSame(read(cutPieces, isHead), read([bytes], isHead))
      },
    ),
    { numRuns: 2000 },
  )
  t.end()
})
