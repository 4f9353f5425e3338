// The strict reader of JSON against others: what it accepts all read alike, what they read differently it refuses.

import { assert, constantFrom, property } from 'fast-check'
import t from 'tap'

import { canonicalJson } from '../../../src/inspect/canonical.ts'
import type { JsonValue } from '../../../src/inspect/fields.ts'
import { readJson } from '../../../src/inspect/json.ts'
import { EVASIONS, latin1, nest } from './json-evasions.ts'
import { compareReaders, CORPUS, jsonValue, makeMutants, refusalOf } from './json-mutants.ts'
import { describe, readWithParse } from './json-readers.ts'

const SEED = 20_260_101
const bytesOf = (text: string): Uint8Array => Buffer.from(text)

function keysOf(value: JsonValue): string[] {
  return typeof value === 'object' && value !== null ? Object.keys(value) : []
}

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
    const keys = Array.from({ length: 50_000 }, (_, at) => `${prefix}${at * 7919}`)
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

void t.test('what we accept all read alike, what they read differently we refuse', (t) => {
  const texts = [...CORPUS, ...makeMutants(SEED, 20_000)]
  const { accepted, differing, readers, failures } = compareReaders(texts)
  t.comment(`${texts.length} texts, ${accepted} accepted, ${differing} read differently`)
  t.strictSame(failures, [])
  t.ok(accepted > texts.length / 10, `${accepted} accepted`)
  if (readers === 1) t.comment('python3 is not installed: JSON.parse only')
  else t.ok(differing > texts.length / 50, `${differing} read differently`)
  t.end()
})

void t.test('a key is the one that is written, whatever keys were read before', (t) => {
  const text = String.raw`{"jsonrpc":"2.0","\u006dethod":"tools/call"}`
  for (const before of [String.raw`{"jsonrpc":"2.0","\\u006d":1}`, text]) readJson(bytesOf(before))
  t.strictSame(readJson(bytesOf(text)), { jsonrpc: '2.0', method: 'tools/call' })
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

void t.test(
  'so many values that reading them would keep everybody waiting are refused; as many bytes are not',
  (t) => {
    const list = (length: number): Buffer => Buffer.from(`[${'{},'.repeat(length - 2)}{}]`)
    t.match(refusalOf(list(500_001)), /^values /)
    t.equal(refusalOf(list(500_000)), undefined)
    t.equal(refusalOf(Buffer.from(`"${'a'.repeat(2_000_000)}"`)), undefined)
    t.end()
  },
)
