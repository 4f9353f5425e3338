// The values of secrets are found in every usual encoding, wherever they lie; nothing else is touched.

import * as fc from 'fast-check'
import t from 'tap'

import { KnownSecrets } from '../../../src/credentials/known-secrets.ts'

const printable = fc
  .array(fc.integer({ min: 0x21, max: 0x7e }), { minLength: 8, maxLength: 80 })
  .map((codes) => String.fromCharCode(...codes))

const ENCODINGS: readonly (readonly [title: string, encode: (text: string) => string])[] = [
  ['as it is', (text) => text],
  ['in base64', (text) => Buffer.from(text).toString('base64')],
  ['in base64url', (text) => Buffer.from(text).toString('base64url')],
  ['behind a user in base64', (text) => Buffer.from(`me:${text}`).toString('base64')],
  ['between others in base64', (text) => Buffer.from(`x:${text}:y`).toString('base64')],
  ['in hex', (text) => Buffer.from(text).toString('hex')],
  ['in upper-case hex', (text) => Buffer.from(text).toString('hex').toUpperCase()],
  ['as a component of a URL', encodeURIComponent],
  ['in JSON', (text) => JSON.stringify(text)],
  ['in lower case', (text) => text.toLowerCase()],
]

for (const [title, encode] of ENCODINGS)
  void t.test(`R55: a value ${title} is masked`, (t) => {
    fc.assert(
      fc.property(printable, fc.string(), fc.string(), (value, before, behind) => {
        const known = new KnownSecrets()
        known.learn('one', value)
        const masked = known.maskValues(`${before}${encode(value)}${behind}`)
        return masked.includes('[secret:credential]') && !masked.includes(encode(value))
      }),
      { numRuns: 300 },
    )
    t.end()
  })

void t.test('what is no value stays as it is', (t) => {
  const known = new KnownSecrets()
  t.equal(known.maskValues('hunter2hunter2'), 'hunter2hunter2', 'nothing is known')
  known.learn('one', 'hunter2hunter2')
  for (const text of ['', 'hunter2', 'hunter2hunter', 'Hunter 2 hunter 2', 'é漢字'.repeat(9)])
    t.equal(known.maskValues(text), text)
  t.equal(
    known.maskValues('a hunter2hunter2hunter2hunter2 b hunter2hunter2'),
    'a [secret:credential][secret:credential] b [secret:credential]',
  )
  t.end()
})

void t.test('a value of fewer than eight characters is not looked for', (t) => {
  const known = new KnownSecrets()
  known.learn('short', 'letmein')
  t.equal(known.maskValues('letmein'), 'letmein')
  known.learn('long', 'letmein8')
  t.equal(known.maskValues('letmein8'), '[secret:credential]')
  t.end()
})

void t.test('the last values of a name are known, and no more than these', (t) => {
  const known = new KnownSecrets()
  const values = Array.from({ length: 6 }, (_, at) => `value-number-${String(at)}`)
  for (const value of values) known.learn('rotating', value)
  const { changes } = known
  known.learn('rotating', 'value-number-5')
  t.equal(known.changes, changes, 'nothing new')
  t.strictSame(
    values.map((value) => known.maskValues(value) !== value),
    [false, false, true, true, true, true],
  )
  t.end()
})

void t.test('R55: what is left of a value where a text was cut is masked', (t) => {
  const known = new KnownSecrets()
  const value = 'canary-0123456789abcdefghij'
  known.learn('one', value)
  for (const form of [value, Buffer.from(value).toString('base64'), encodeURIComponent(value)])
    for (let left = 8; left < form.length; left += 1) {
      const text = `${'x '.repeat(600)}${form.slice(0, left)}`
      t.equal(known.maskValues(text), `${'x '.repeat(600)}[secret:credential]`)
    }
  t.equal(
    known.maskValues(`${value} ${'x '.repeat(100)}${value.slice(0, 12)}`),
    `[secret:credential] ${'x '.repeat(100)}[secret:credential]`,
  )
  const fewer = `${'x '.repeat(600)}${value.slice(0, 7)}`
  t.equal(known.maskValues(fewer), fewer)
  const within = `${value.slice(0, 20)} ${'x '.repeat(600)}`
  t.equal(known.maskValues(within), within, 'nothing was cut there')
  t.end()
})
