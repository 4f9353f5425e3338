// Values in every encoding, cut everywhere, against a slow reading; what is no value passes at once and byte for byte.

import * as fc from 'fast-check'
import t from 'tap'

import { encodingsOf } from '../../../fixtures/encodings.ts'
import { Scrubber } from '../../../../src/inject/scrub/scrubber.ts'
import { cutAt, finderFor, scrubSlowly, VALUE } from './support.ts'

const IGNORED = (): void => undefined
const finder = finderFor(VALUE)

const scrub = (pieces: readonly Uint8Array[], sought = finder): Buffer => {
  const scrubber = new Scrubber(sought, IGNORED)
  return Buffer.concat([...pieces.map((piece) => scrubber.push(piece)), scrubber.end()])
}

void t.test('a value in every encoding, cut at every place', async (t) => {
  for (const [name, text] of encodingsOf(VALUE)) {
    const bytes = Buffer.from(`{"said":"é${text}","and":1}`)
    const expected = scrubSlowly(bytes, [VALUE])
    t.match(expected.toString(), /^\{"said":"é.{0,6}\*{16,}.{0,12}","and":1\}$/, name)
    const outs = Array.from({ length: bytes.length }, (_, at) =>
      scrub(cutAt(bytes, [at])).toString('latin1'),
    )
    t.strictSame(new Set(outs), new Set([expected.toString('latin1')]), name)
    const single = Array.from({ length: bytes.length }, (_, at) => at)
    t.strictSame(scrub(cutAt(bytes, single)), expected, `${name}, byte by byte`)
  }
})

void t.test(
  'let go on after every piece, a value shows three bytes at most, and nothing is lost',
  async (t) => {
    for (const [name, text] of encodingsOf(VALUE)) {
      const bytes = Buffer.from(`{"said":"é${text}","and":1}`)
      const masked = scrubSlowly(bytes, [VALUE])
      for (let at = 1; at < bytes.length; at += 1) {
        const scrubber = new Scrubber(finder, IGNORED)
        const outs = cutAt(bytes, [at]).flatMap((piece) => [scrubber.push(piece), scrubber.flush()])
        const out = Buffer.concat([...outs, scrubber.end()])
        t.equal(out.length, bytes.length, name)
        const shown = masked.filter((byte, index) => byte !== out[index]).length
        if (shown > 3) t.fail(`${name}, cut at ${at}: ${shown} bytes`)
      }
    }
    const scrubber = new Scrubber(finder, IGNORED)
    const begun = Buffer.from(VALUE.slice(0, 4))
    t.strictSame([...scrubber.push(begun), ...scrubber.flush()], [], 'more of one waits')
    t.equal(scrubber.canFlush, false)
  },
)

const VALUES = [
  VALUE,
  'abcabcabcabcabcabcabc',
  'abcabcabcabcabcabcabcabcX',
  '%41%42%43%44%45%46%47',
  'a&b<c>d"e\'f&lt;g&',
  '\\\\u0041&amp;&quot;\\n',
  'with space + plus - and_/',
]
const sought = finderFor(...VALUES)

// A text with each byte escaped or not as it comes.
const mixed = (text: string): fc.Arbitrary<string> =>
  fc.array(fc.nat(8), { minLength: text.length, maxLength: text.length }).map((ways) =>
    Array.from(text, (one, at) => {
      const hex = one.charCodeAt(0).toString(16).padStart(2, '0')
      return [
        one,
        `%${hex}`,
        `\\u00${hex}`,
        `&#x${hex};`,
        `&#x${hex}`,
        `&#${one.charCodeAt(0)}`,
        one,
        one,
      ][ways[at]!]!
    }).join(''),
  )
const oneWay = (text: string): fc.Arbitrary<string> =>
  fc
    .tuple(fc.nat(5), fc.array(fc.boolean(), { minLength: text.length, maxLength: text.length }))
    .map(([way, picks]) =>
      Array.from(text, (one, at) => {
        const hex = one.charCodeAt(0).toString(16).padStart(2, '0')
        const escaped = [
          `%${hex.toUpperCase()}`,
          `\\u00${hex}`,
          `&#x${hex};`,
          `&#${one.charCodeAt(0)};`,
          `&#x${hex}`,
          `&#${one.charCodeAt(0)}`,
        ]
        return picks[at] === true && one.charCodeAt(0) < 0x80 ? escaped[way]! : one
      }).join(''),
    )
const encodings = VALUES.flatMap((value) => [...encodingsOf(value).values()])
const piece = fc.oneof(
  fc.constantFrom(...encodings),
  fc.constantFrom(...encodings).chain((text) => fc.nat(text.length).map((at) => text.slice(0, at))),
  fc.constantFrom(...encodings).chain((text) => fc.nat(text.length).map((at) => text.slice(at))),
  fc.constantFrom(...VALUES).chain(oneWay),
  fc.constantFrom(...VALUES, ...encodings).chain(mixed),
  fc.string({
    unit: fc.constantFrom(...Array.from('%\\&u0041x;#aAbcltgmpquo{} é')),
    maxLength: 12,
  }),
  fc.string({ unit: 'binary', maxLength: 200 }),
)

void t.test('what the slow reading masks is masked, and nothing else, however it is cut', (t) => {
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 6 }),
      fc.array(fc.nat(3000), { maxLength: 20 }),
      (pieces, places) => {
        const bytes = Buffer.from(pieces.join(''))
        const out = scrub(
          cutAt(
            bytes,
            places.map((at) => at % (bytes.length + 1)),
          ),
          sought,
        )
        const expected = scrubSlowly(bytes, VALUES)
        if (!out.equals(expected))
          throw new Error(
            `${bytes.toString('latin1')}\n${out.toString('latin1')}\n${expected.toString('latin1')}`,
          )
      },
    ),
    { numRuns: Number(process.env['FUZZ_RUNS'] ?? 3000) },
  )
  t.end()
})

void t.test('entities are read without their semicolons where browsers read them so', (t) => {
  const meant = 'a"b<c>d&e\'f-canary-5b1f0d'
  const sees = (text: string): boolean => {
    const bytes = Buffer.from(text)
    const outs = Array.from({ length: bytes.length + 1 }, (_, at) =>
      scrub(cutAt(bytes, [at]), finderFor(meant)).toString('latin1'),
    )
    const all = new Set([
      ...outs,
      scrub(cutAt(bytes, [...bytes.keys()]), finderFor(meant)).toString('latin1'),
    ])
    t.equal(all.size, 1, `${text}, however it is cut`)
    return [...all][0] !== bytes.toString('latin1')
  }
  const written = (quot: string, lt: string, gt: string, amp: string, apos: string): string =>
    `a${quot}b${lt}c${gt}d${amp}e${apos}f-canary-5b1f0d`
  t.ok(sees(written('&quot', '&lt', '&gt', '&amp', '&#39;')))
  t.ok(sees(written('&QUOT', '&LT;', '&gt', '&AMP', '&apos;')))
  t.ok(sees(written('&#34;', '&#60', '&#62', '&#38', '&#x27;')), 'no digit stands behind them')
  t.ok(sees(`a&#34;b<c>d&e'f-canary-5b1f0&#100`), 'at the end')
  t.ok(sees(`a&#34;b<c>d&e'f-canary-5b1f0&#x64`))
  t.notOk(sees(written('&quot', '&lt', '&gt', '&amp', '&apos')), '&apos needs its own')
  t.notOk(sees(written('&#34', '&#x3c', '&#62', '&#38', '&#39')), '&#x3cc is another character')
  t.end()
})
