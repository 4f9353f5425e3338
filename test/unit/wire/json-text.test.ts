// JSON that is harmless wherever it is shown, and says the same as any other.

import { isDeepStrictEqual } from 'node:util'

import * as fc from 'fast-check'
import t from 'tap'

import { escapeHarmful, jsonText } from '../../../src/wire/json-text.ts'
import { parseJson } from '../../../src/wire/parse-json.ts'

const HOSTILE = [
  ['a carriage return', '\r'],
  ['an escape', '\u001b[31m'],
  ['a delete', '\u007f'],
  ['an eight-bit control sequence', '\u009b31m'],
  ['a next line', '\u0085'],
  ['a right-to-left override', '\u202e'],
  ['an isolate', '\u2066'],
  ['a line separator', '\u2028'],
  ['a paragraph separator', '\u2029'],
  ['a zero-width space', '\u200b'],
  ['a zero-width joiner', '\u200d'],
  ['a word joiner', '\u2060'],
  ['a byte order mark', '\ufeff'],
  ['a soft hyphen', '\u00ad'],
  ['a tag', '\u{e0041}'],
  ['a variation selector', '\ufe0f'],
  ['a Hangul filler', '\u3164'],
  ['private use', '\ue000'],
  ['private use beyond 16 bits', '\u{f0000}'],
  ['a high surrogate alone', '\ud83d'],
  ['a low surrogate alone', '\ude00'],
  ['the end of a script', '</script>'],
  ['the beginning of a comment', '<!--'],
] as const
const SHOWN = ['printable ASCII', 'é', '漢字', '👍', 'a=1&b=2', '"quotes" and \\']

void t.test('what is harmful is escaped and reads back as it was', (t) => {
  for (const [title, hostile] of HOSTILE) {
    const text = jsonText({ [hostile]: [hostile] })
    t.match(text, /^[ -;=?-~]+$/, title)
    t.strictSame(JSON.parse(text), { [hostile]: [hostile] }, title)
    t.equal(text, Buffer.from(text).toString(), title)
  }
  t.end()
})

void t.test('what is harmless stays as it is', (t) => {
  for (const harmless of SHOWN) t.equal(jsonText(harmless), JSON.stringify(harmless))
  t.end()
})

void t.test('line breaks are those of the indentation alone', (t) => {
  const text = jsonText({ a: '\n\u0085', b: ['\u202e'] }, 2)
  t.equal(text, '{\n  "a": "\\n\\u0085",\n  "b": [\n    "\\u202e"\n  ]\n}')
  t.end()
})

void t.test('any value reads back as it was, from text without a harmful character', (t) => {
  const text = fc.string({ unit: 'binary' })
  const values = [text, fc.double(), fc.boolean(), fc.constant(null)]
  const any = fc.object({ key: text, values })
  const harmful = /[<>\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Default_Ignorable_Code_Point}]/u
  fc.assert(
    fc.property(any, (value) => {
      const written = jsonText(value)
      return (
        !harmful.test(written) &&
        escapeHarmful(written) === written &&
        isDeepStrictEqual(parseJson(written), parseJson(JSON.stringify(value)))
      )
    }),
    { numRuns: 2000 },
  )
  t.end()
})
