// What is looked for of values that are not plain ASCII texts of one line.

import t from 'tap'

import { FormFinder } from '../../../../src/inject/scrub/form-finder.ts'
import { formsOf } from '../../../../src/inject/scrub/value-forms.ts'

const finds = (value: string, bytes: Uint8Array): boolean => {
  const forms = formsOf(value, 'owner')
  if (forms.length === 0) return false
  let found = false
  new FormFinder(forms).find(bytes, 0, bytes.length, () => (found = true))
  return found
}

void t.test('16 bytes are enough, in every form, and 15 are not', (t) => {
  const value = 'canary-5b1f0d9c3'
  t.equal(value.length, 16)
  for (const before of ['', '.', '..'])
    t.ok(finds(value, Buffer.from(Buffer.from(`${before}${value}~`).toString('base64'))), before)
  t.ok(finds(value, Buffer.from(Buffer.from(value).toString('hex'))))
  t.ok(finds(value, Buffer.from(value)))
  t.strictSame(formsOf(value.slice(1), 'owner'), [])
  t.end()
})

void t.test('the bytes of a key that is no text are found as they are', (t) => {
  const bytes = Buffer.from([0xe9, 0xff, 0xc3, 0x80, ...Buffer.from('canary-5b1f0d')])
  // As a file of it is read.
  const value = bytes.toString('latin1')
  t.ok(finds(value, bytes))
  t.ok(finds(value, Buffer.from(bytes.toString('base64'))))
  t.ok(finds(value, Buffer.from(bytes.toString('hex'))))
  t.ok(finds(value, Buffer.from(value)), 'and as the text that it could be')
  t.ok(finds('canary-€-5b1f0d9c', Buffer.from('canary-€-5b1f0d9c')))
  t.notOk(finds('canary-€-5b1f0d9c', Buffer.from('canary-¬-5b1f0d9c', 'latin1')))
  t.end()
})

void t.test('a PEM is found by its lines, however they are parted', (t) => {
  const lines = ['MIIEvQIBADANBgkqhkiG9w0BAQEFAASC', 'BKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj']
  const whole = (end: string): string =>
    ['-----BEGIN PRIVATE KEY-----', ...lines, '-----END PRIVATE KEY-----'].join(end)
  for (const end of ['\n', '\r\n', '\\n', ' '])
    for (const line of lines) t.ok(finds(whole(end), Buffer.from(line)), JSON.stringify(end))
  t.end()
})
