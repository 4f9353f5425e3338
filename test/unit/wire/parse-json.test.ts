// JSON whose members have the names that are written, whatever was read before.

import { isDeepStrictEqual } from 'node:util'

import * as fc from 'fast-check'
import t from 'tap'

import { jsonText } from '../../../src/wire/json-text.ts'
import { parseJson } from '../../../src/wire/parse-json.ts'

void t.test('a name that was read before does not take the place of an escaped one', (t) => {
  for (const [learnt, text, name] of [
    [String.raw`{"a":1,"\\u006d":1}`, String.raw`{"a":1,"\u006dethod":2}`, 'method'],
    [String.raw`{"a":1,"\\":1}`, String.raw`{"a":1,"\"":2}`, '"'],
    [String.raw`{"a":1,"\\u":1}`, String.raw`{"a":1,"\u202e<":2}`, '\u202e<'],
    [String.raw`[{"a":1,"x\\":1}]`, String.raw`[{"a":1,"x\n":2}]`, 'x\n'],
  ] as const) {
    parseJson(learnt)
    JSON.parse(learnt)
    const [value] = [parseJson(text)].flat()
    t.strictSame(Object.entries(value ?? {}), [
      ['a', 1],
      [name, 2],
    ])
  }
  t.end()
})

void t.test('any value reads back as it was, with names full of escapes', (t) => {
  const text = fc.oneof(
    fc.string(),
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom('\\', '"', 'u', '0', '6', '\n', '<', ':', '{', ' ') }),
    fc.constantFrom('__proto__', '1', 'n0', ''),
  )
  const any = fc.object({ key: text, values: [text, fc.double(), fc.boolean(), fc.constant(null)] })
  fc.assert(
    fc.property(any, fc.nat({ max: 2 }), (value, indent) => {
      // Two writers: what both readers made of it must be written the same again.
      const written = jsonText(value, indent)
      const read = parseJson(written)
      return (
        jsonText(read, indent) === written &&
        isDeepStrictEqual(read, parseJson(JSON.stringify(value)))
      )
    }),
    { numRuns: 3000 },
  )
  t.end()
})

void t.test('of one name that is there twice the last value counts, however it is written', (t) => {
  for (const [text, value] of [
    [String.raw`{"\u0061":1,"b":0,"a":2}`, '{"a":2,"b":0}'],
    [String.raw`{"a":1,"\u0061":2,"a":3}`, '{"a":3}'],
    [String.raw`{"\u0031":1,"a":{"\u0031":[{"\u0062":null}]}}`, '{"1":1,"a":{"1":[{"b":null}]}}'],
    [String.raw`{"n1":1,"\u0061":2,"n0":3}`, '{"n1":1,"a":2,"n0":3}'],
  ] as const)
    t.equal(JSON.stringify(parseJson(text)), value)
  t.equal(Object.keys(parseJson(String.raw`{"__prot\u006f__":1}`) ?? {})[0], '__proto__')
  t.end()
})

void t.test('what is no JSON is refused, and depth costs no stack', (t) => {
  for (const text of [
    String.raw`{"\u0061":1`,
    String.raw`{"\x":1}`,
    String.raw`{"\u0061":"`,
    String.raw`{"\u0061":1}"b":2`,
    String.raw`{"\u0061"}`,
    `{"\\u0061\n":1}`,
    '\\',
    '',
  ])
    t.throws(() => parseJson(text), SyntaxError, text)
  const depth = 100_000
  t.ok(parseJson(`${String.raw`{"\u0061":`.repeat(depth)}1${'}'.repeat(depth)}`))
  t.ok(parseJson(`${'['.repeat(depth)}${String.raw`{"\u0061":1}`}${']'.repeat(depth)}`))
  t.end()
})
