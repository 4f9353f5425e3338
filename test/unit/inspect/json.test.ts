// The strict reader of JSON against others: what it accepts all read alike, what they read differently it refuses.

import {
  array,
  assert,
  boolean,
  constant,
  constantFrom,
  dictionary,
  double,
  integer,
  letrec,
  oneof,
  property,
  sample,
  string,
  tuple,
  type Arbitrary,
} from 'fast-check'
import t from 'tap'

import { EgressError } from '../../../src/errors.ts'
import { canonicalJson } from '../../../src/inspect/canonical.ts'
import type { JsonValue } from '../../../src/inspect/fields.ts'
import { readJson } from '../../../src/inspect/json.ts'
import { describe, readWithParse, readWithPython, type Heard } from './readers.ts'

const SEED = 20_260_101
const bytesOf = (text: string): Uint8Array => Buffer.from(text)

/** Why it is refused and where; undefined where it is not. */
function refusalOf(bytes: Uint8Array, depthMax?: number): string | undefined {
  try {
    readJson(bytes, depthMax)
    return undefined
  } catch (error) {
    if (!(error instanceof EgressError)) throw error
    if (error.reason !== 'malformed-body' || error.detail['part'] !== 'json') throw error
    return `${error.detail['why']} ${error.detail['at']}`
  }
}

function keysOf(value: JsonValue): string[] {
  return typeof value === 'object' && value !== null ? Object.keys(value) : []
}

const nest = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)
const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1')

// What is refused, why and where, and what is close to it and is not.
const EVASIONS: readonly (readonly [
  what: string,
  refused: string | Uint8Array,
  why: string,
  twin: string | Uint8Array,
])[] = [
  // keys
  ['a key twice', '{"method":1,"method":1}', 'duplicate key 12', '{"method":1,"methods":1}'],
  [
    'a key twice by an escape',
    '{"method":1,"\\u006dethod":2}',
    'duplicate key 12',
    '{"\\u006dethod":2}',
  ],
  ['a key twice by two escapes', '{"\\/":1,"\\u002f":2}', 'duplicate key 8', '{"/":1,"\\\\/":2}'],
  [
    'an astral key twice',
    '{"😀":1,"\\ud83d\\uDE00":2}',
    'duplicate key 10',
    '{"😀":1,"\\ud83d\\ude01":2}',
  ],
  [
    'a key twice further in',
    '[{"a":{"b":1,"c":2,"b":3}}]',
    'duplicate key 19',
    '[{"a":{"b":1,"c":2},"b":3}]',
  ],
  ['an empty key twice', '{"":1,"":2}', 'duplicate key 6', '{"":1," ":2}'],
  [
    'the tenth key twice',
    '{"0":0,"1":0,"2":0,"3":0,"4":0,"5":0,"6":0,"7":0,"8":0,"9":0,"9":0}',
    'duplicate key 61',
    '{"0":0,"1":0,"2":0,"3":0,"4":0,"5":0,"6":0,"7":0,"8":0,"9":0,"a":0}',
  ],
  [
    'the first of ten keys twice',
    '{"0":0,"1":0,"2":0,"3":0,"4":0,"5":0,"6":0,"7":0,"8":0,"9":0,"0":0}',
    'duplicate key 61',
    '{"0":0,"1":0,"2":0,"3":0,"4":0,"5":0,"6":0,"7":0,"8":0,"9":0,"00":0}',
  ],
  ['NUL in a key', '{"method\\u0000":1}', 'nul in key 1', '{"method":"\\u0000"}'],
  ['raw NUL in a key', '{"method\0":1}', 'control 8', '{"method\x7f":1}'],
  [
    'the prototype as a key',
    '{"__proto__":{"method":1}}',
    'proto key 1',
    '{"proto":{"method":1},"constructor":1}',
  ],
  ['the prototype as an escaped key', '{"\\u005f_proto__":1}', 'proto key 1', '["__proto__"]'],
  // encodings
  ['a byte order mark', '\uFEFF{}', 'bom 0', '{"\uFEFF":1}'],
  ['two byte order marks', '\uFEFF\uFEFF{}', 'bom 0', '"\uFEFF"'],
  ['a byte order mark behind', '{}\uFEFF', 'trailing 2', '{} '],
  ['UTF-16 with a mark', latin1('\xff\xfe{\0}\0'), 'utf-8 0', '{}'],
  ['UTF-16', Buffer.from('{}', 'utf16le'), 'grammar 1', '{}'],
  ['big-endian UTF-16', Buffer.from('{}', 'utf16le').swap16(), 'grammar 0', '{}'],
  ['UTF-32', latin1('1\0\0\0'), 'trailing 1', '1'],
  ['an overlong quote', latin1('{"a\xc0\xa2:1}'), 'utf-8 3', latin1('{"a\xc2\xa2":1}')],
  ['an overlong NUL', latin1('"\xc0\x80"'), 'utf-8 1', latin1('"\xc2\x80"')],
  ['a surrogate in UTF-8', latin1('"ab\xed\xa0\x80"'), 'utf-8 3', latin1('"ab\xed\x9f\xbf"')],
  [
    'a pair of surrogates in UTF-8',
    latin1('"\xed\xa0\xbd\xed\xb8\x80"'),
    'utf-8 1',
    latin1('"\xf0\x9f\x98\x80"'),
  ],
  ['beyond Unicode', latin1('"\xf4\x90\x80\x80"'), 'utf-8 1', latin1('"\xf4\x8f\xbf\xbf"')],
  ['a sequence cut short', latin1('"\xe2\x82"'), 'utf-8 1', latin1('"\xe2\x82\xac"')],
  ['Latin-1', latin1('"\xe4"'), 'utf-8 1', '"ä"'],
  ['a fault behind a replacement character', latin1('"\xef\xbf\xbd\xff"'), 'utf-8 4', '"\uFFFD"'],
  // strings
  ['a lone high surrogate', '"\\ud800"', 'surrogate 1', '"\\ud800\\udc00"'],
  ['a lone low surrogate', '"x\\uDC00"', 'surrogate 2', '"x\\uE000"'],
  ['a pair the wrong way round', '"\\ude00\\ud83d"', 'surrogate 1', '"\\ud83d\\ude00"'],
  ['a high surrogate before another escape', '"\\ud83d\\n"', 'surrogate 1', '"\\\\ud83d\\n"'],
  ['a high surrogate before an astral character', '"\\ud83d😀"', 'surrogate 1', '"\\ud7ff😀"'],
  ['a raw line break', '"a\nb"', 'control 2', '"a\\nb"'],
  ['a raw tab', '"\t"', 'control 1', '"\u2028"'],
  ['an unknown escape', '"\\x41"', 'escape 1', '"\\u0041"'],
  ['an escape cut short', '"\\u004"', 'escape 1', '"\\u0040"'],
  ['an escape with a sign', '"\\u+041"', 'escape 1', '"\\u0041"'],
  ['a string without its end', '"a', 'end 2', '"a"'],
  ['a string that ends in a backslash', '"a\\', 'escape 2', '"a\\\\"'],
  ['single quotes', "{'a':1}", 'grammar 1', '{"a":1}'],
  ['a key without quotes', '{a:1}', 'grammar 1', '{"a":1}'],
  // numbers
  ['an integer beyond 2^53', '9007199254740992', 'number 0', '9007199254740991'],
  ['the same below', '[-9007199254740993]', 'number 1', '[-9007199254740991]'],
  ['twenty digits', '12345678901234567890', 'number 0', '123456789012345'],
  ['a large power', '1e30', 'number 0', '1e15'],
  ['an integer with a point', '1.0e20', 'number 0', '1.0e2'],
  ['infinity by a power', '1e400', 'number 0', '1e-30'],
  ['nothing by a power', '1e-400', 'number 0', '0e-4'],
  ['a subnormal', '5e-324', 'number 0', '2.2250738585072014e-308'],
  ['minus zero', '-0', 'number 0', '-0.0'],
  ['more digits than a double has', '0.123456789012345678', 'number 0', '0.12345678901234567'],
  ['a fraction that rounds to one', '0.99999999999999999', 'number 0', '1.00000000000000000000'],
  ['a fraction that rounds to an integer', '4503599627370497.9', 'number 0', '1125899906842625.5'],
  ['a power of many digits', '1e0000', 'number 0', '1e000'],
  ['a number of many digits', `0.${'0'.repeat(200)}1`, 'number 0', `0.${'0'.repeat(20)}1`],
  ['a leading zero', '{"a":01}', 'grammar 6', '{"a":0}'],
  ['a plus', '+1', 'grammar 0', '1e+1'],
  ['a minus alone', '-', 'grammar 0', '-1'],
  ['a minus before a zero', '-01', 'number 0', '-0.5'],
  ['a point alone', '.5', 'grammar 0', '0.5'],
  ['a point at the end', '5.', 'trailing 1', '5.0'],
  ['a power without digits', '5e', 'trailing 1', '5e0'],
  ['hexadecimal', '0x10', 'trailing 1', '"0x10"'],
  ['NaN', 'NaN', 'grammar 0', 'null'],
  ['Infinity', '[Infinity]', 'grammar 1', '["Infinity"]'],
  ['minus Infinity', '-Infinity', 'grammar 0', '-1'],
  // around and between
  ['nothing', '', 'end 0', '0'],
  ['space alone', ' \n', 'end 2', ' \n0'],
  ['a second value', '{"a":1}{"a":2}', 'trailing 7', '[{"a":1},{"a":2}]'],
  ['a second line', '{}\n{}', 'trailing 3', '{}\r\n\t '],
  ['NUL behind', '{}\0', 'trailing 2', '{}\n'],
  ['another space', '\u00a01', 'grammar 0', '\t1'],
  ['a form feed', '[\f1]', 'grammar 1', '[ 1]'],
  ['a comment', '{/*"*/"a":1}', 'grammar 1', '{"/*":1}'],
  ["a comment to the line's end", '[1,//\n2]', 'grammar 3', '[1,\n2]'],
  ['a comma at the end', '[1,]', 'grammar 3', '[1]'],
  ["a comma at an object's end", '{"a":1,}', 'grammar 7', '{"a":1}'],
  ['two commas', '[1,,2]', 'grammar 3', '[1,2]'],
  ['a key without a value', '{"a"}', 'grammar 4', '{"a":0}'],
  ['a colon in an array', '["a":1]', 'grammar 4', '["a",1]'],
  ['the wrong end', '[1}', 'grammar 2', '[1]'],
  ['the wrong end of an object', '{"a":1]', 'grammar 6', '{"a":1}'],
  ['no end', '[[1]', 'grammar 4', '[[1]]'],
  ['another literal', 'True', 'grammar 0', 'true'],
  ['half a literal', '[nul]', 'grammar 1', '[null]'],
  ['a literal and more', 'nullx', 'trailing 4', 'null'],
  // depth
  ['65 levels', nest(65), 'depth 64', nest(64)],
  [
    '65 levels of objects',
    `${'{"a":'.repeat(64)}[]${'}'.repeat(64)}`,
    'depth 320',
    `${'{"a":'.repeat(64)}1${'}'.repeat(64)}`,
  ],
  ['100,000 levels', '['.repeat(100_000), 'depth 64', nest(2)],
]

for (const [what, refused, why, twin] of EVASIONS)
  void t.test(`${what} is refused, its twin is not`, (t) => {
    const [bytes, twinBytes] = [refused, twin].map((each) =>
      typeof each === 'string' ? bytesOf(each) : each,
    )
    t.equal(refusalOf(bytes!), why)
    t.equal(refusalOf(twinBytes!), undefined)
    t.equal(describe(readJson(twinBytes!)), readWithParse([twinBytes!])![0], 'read as others do')
    t.end()
  })

void t.test('the depth can be set, and no depth overflows anything', (t) => {
  t.equal(refusalOf(bytesOf('[[1]]'), 1), 'depth 1')
  t.equal(refusalOf(bytesOf('[1]'), 1), undefined)
  t.equal(refusalOf(bytesOf(nest(100_000)), 100_000), undefined)
  t.equal(canonicalJson(readJson(bytesOf(nest(100_000)), 100_000)), nest(100_000))
  t.end()
})

void t.test('objects have their own members and no others', (t) => {
  const value = readJson(
    bytesOf('{"hasOwnProperty":1,"constructor":{"prototype":2},"toString":null}'),
  )
  t.ok(value instanceof Object)
  t.strictSame(keysOf(value), ['hasOwnProperty', 'constructor', 'toString'])
  t.end()
})

void t.test('many keys, and many that look like numbers, are read', (t) => {
  for (const prefix of ['k', '']) {
    const keys = Array.from({ length: 200_000 }, (_, at) => `${prefix}${at * 7919}`)
    const text = `{${keys.map((key) => `"${key}":0`).join(',')}`
    t.equal(keysOf(readJson(bytesOf(`${text}}`))).length, keys.length)
    t.match(refusalOf(bytesOf(`${text},"${keys[100]}":0}`)), /^duplicate key/)
  }
  t.end()
})

void t.test('bytes of a larger buffer are read alone', (t) => {
  const larger = bytesOf('[1][2][3]')
  t.strictSame(readJson(larger.subarray(3, 6)), [2])
  t.equal(refusalOf(latin1('xx"\xff"').subarray(2)), 'utf-8 1')
  t.end()
})

// ---- differential

const number = oneof(
  integer(),
  double({ noNaN: true, noDefaultInfinity: true, min: -1e15, max: 1e15 }),
)
const { value: jsonValue } = letrec<{ value: JsonValue }>((tie) => ({
  value: oneof(
    { maxDepth: 4, depthSize: 'small', withCrossShrink: true },
    constant(null),
    boolean(),
    number,
    string({ unit: 'binary' }),
    array(tie('value'), { maxLength: 5 }),
    dictionary(string({ unit: 'grapheme', maxLength: 4 }), tie('value'), { maxKeys: 5 }),
  ),
}))

void t.test('what JSON.stringify writes is read as it was', (t) => {
  assert(
    property(jsonValue, constantFrom(undefined, 2, '\t'), (value, space) => {
      const text = JSON.stringify(value, null, space)
      const hasOddNumber = /(?<![\d.])\d[^,\]}\s"]*e-3\d\d/.test(text)
      if (hasOddNumber || text.includes('"__proto__"') || /\\u0000[^"]*":/.test(text)) return true
      return describe(readJson(bytesOf(text))) === describe(JSON.parse(text))
    }),
    { seed: SEED, numRuns: 500 },
  )
  t.end()
})

const PIECES = [
  '"', '\\', '\\u', '\\u0000', '\\u006d', '\\ud800', '\\udc00', 'method', '"method":', '__proto__', '{', '}', '[', ']', ',',
  ':', ' ', '\n', '\0', '\x0b', '\u00a0', '\uFEFF', '0', '1', '-', '-0', '.', '.0', 'e', 'E+', '1e30', '1e400', '1e-400',
  '12345678901234567890', '9007199254740993', '0.1', 'NaN', 'Infinity', 'true', 'null', '//', '/**/', "'", '\xc0\xa2',
  '\xed\xa0\x80', '\xff\xfe', '\xef\xbb\xbf', '\xe4', '\ud83d',
] // prettier-ignore
const piece = constantFrom(...PIECES).map((text) =>
  /^[\x80-\xff]+$/.test(text) ? latin1(text) : Buffer.from(text),
)
const CORPUS = EVASIONS.flatMap(([, refused, , twin]) => [refused, twin])
  .map((each) => Buffer.from(each))
  .filter(({ length }) => length < 1000)

// A document, or one of the table, with a few places changed.
const mutant: Arbitrary<Buffer> = tuple(
  oneof(
    jsonValue.map((value) => Buffer.from(JSON.stringify(value))),
    constantFrom(...CORPUS),
    array(piece, { maxLength: 8 }).map((pieces) => Buffer.concat(pieces)),
  ),
  array(tuple(integer({ min: 0, max: 2 ** 20 }), integer({ min: 0, max: 3 }), piece), {
    maxLength: 3,
  }),
).map(([seed, changes]) => {
  let bytes = seed
  for (const [place, cut, added] of changes) {
    const at = place % (bytes.length + 1)
    bytes = Buffer.concat([bytes.subarray(0, at), added, bytes.subarray(at + cut)])
  }
  return bytes
})

void t.test('what we accept all read alike, what they read differently we refuse', (t) => {
  const texts = [...CORPUS, ...sample(mutant, { seed: SEED, numRuns: 20_000 })]
  const python = readWithPython(texts)
  if (!python) t.comment('python3 is not installed: JSON.parse only')
  const others: readonly (readonly Heard[])[] = [readWithParse(texts)!, ...(python ? [python] : [])]
  const tally = { accepted: 0, differing: 0 }
  for (const [at, bytes] of texts.entries()) {
    const heard = others.map((each) => each[at])
    const isRefused = refusalOf(bytes) !== undefined
    if (new Set(heard).size > 1) tally.differing += 1
    if (isRefused) continue
    tally.accepted += 1
    const ours = describe(readJson(bytes))
    if (heard.some((each) => each !== ours)) t.strictSame(heard, [ours], bytes.toString('latin1'))
  }
  t.comment(
    `${texts.length} texts, ${tally.accepted} accepted, ${tally.differing} read differently`,
  )
  t.ok(tally.accepted > texts.length / 10, `${tally.accepted} accepted`)
  if (python) t.ok(tally.differing > texts.length / 50, `${tally.differing} read differently`)
  t.end()
})

// ---- canonical

void t.test('the canonical text is the one of RFC 8785', (t) => {
  // RFC 8785 sections 3.2.2 and 3.2.3.
  const numbers = '[333333333.33333329, 1E15, 4.50, 2e-3, 0.000000000000000000000000001, -0.0]'
  t.equal(
    canonicalJson(readJson(bytesOf(numbers))),
    '[333333333.3333333,1000000000000000,4.5,0.002,1e-27,0]',
  )
  t.equal(
    canonicalJson(
      readJson(bytesOf('{"s":"\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/"}')),
    ),
    `{"s":"€$\\u000f\\nA'B\\"\\\\\\\\\\"/"}`,
  )
  const keys = '{"\\u20ac":1,"\\r":2,"\\ufb33":3,"1":4,"\\ud83d\\ude00":5,"\\u0080":6,"\\u00f6":7}'
  t.equal(
    canonicalJson(readJson(bytesOf(keys))),
    '{"\\r":2,"1":4,"\u0080":6,"ö":7,"€":1,"😀":5,"\ufb33":3}',
  )
  t.equal(
    canonicalJson({ 10: [], 9: {}, a: [{ c: null, b: true }] }),
    '{"10":[],"9":{},"a":[{"b":true,"c":null}]}',
  )
  t.end()
})

void t.test('the canonical text is a value again, the same for every order of its keys', (t) => {
  assert(
    property(jsonValue, (value) => {
      const text = canonicalJson(value)
      const isSame = describe(JSON.parse(text)) === describe(JSON.parse(JSON.stringify(value)))
      return isSame && canonicalJson(reverseKeys(value)) === text
    }),
    { seed: SEED, numRuns: 300 },
  )
  t.end()
})

function reverseKeys(value: JsonValue): JsonValue {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(reverseKeys)
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, item]) => [key, reverseKeys(item)] as const)
      .toReversed(),
  )
}
