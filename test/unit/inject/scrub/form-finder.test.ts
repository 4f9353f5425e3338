// What counts as a value: forms, folding, PEM by its lines, and what is too short; and what waits at the end of what has come.

import { randomBytes } from 'node:crypto'

import t from 'tap'

import { FormFinder } from '../../../../src/inject/scrub/form-finder.ts'
import { contentKind, looksLikeText } from '../../../../src/inject/scrub/content.ts'
import { Scrubber } from '../../../../src/inject/scrub/scrubber.ts'
import { finderOf } from '../../../../src/inject/scrub/sought.ts'
import { makeSecret } from '../../../../src/credentials/vault.ts'
import { base64, BASIC } from '../support.ts'
import { finderFor, VALUE } from './support.ts'

const scrub = (text: string, finder = finderFor(VALUE)): string =>
  Buffer.from(new Scrubber(finder, () => undefined).scrub(Buffer.from(text))).toString()

void t.test('letters of both cases, both alphabets and plus for space are one', async (t) => {
  const finder = finderFor('Some Value+with-all_of/them')
  t.equal(scrub('<some value with all/of_THEM>', finder), `<${'*'.repeat(27)}>`)
})

void t.test('of very many forms each is found, however it is written, and once', async (t) => {
  const texts = Array.from({ length: 5000 }, () => randomBytes(30).toString('base64'))
  const finder = new FormFinder(texts.map((owner) => ({ bytes: Buffer.from(owner), owner })))
  const found = (bytes: Buffer): string[] => {
    const owners: string[] = []
    finder.find(bytes, 0, bytes.length, (_at, _length, owner) => owners.push(owner))
    return owners
  }
  const missed = texts.filter((text, number) => {
    const other = text.toUpperCase().replaceAll('+', '-').replaceAll('/', '_')
    const bytes = Buffer.concat([randomBytes(number % 50), Buffer.from(other), randomBytes(20)])
    const owners = found(bytes)
    return owners.length !== 1 || owners[0] !== text
  })
  t.strictSame(missed, [])
})

void t.test('bytes wait only where they may begin a value', async (t) => {
  const held = (text: string): number => {
    const scrubber = new Scrubber(finderFor('0123456789abcdefXYZ'), () => undefined)
    scrubber.push(Buffer.from(text))
    return scrubber.heldBytes
  }
  t.equal(held('data: {"it":"is"}\n\n'), 0)
  t.equal(held('[0'), 1)
  t.equal(held('[012345'), 6)
  t.equal(held('[012345]'), 0)
  t.equal(held('[0123456789abcdefXYZ]'), 0)
  t.equal(held('100 %'), 1, 'an escape may be coming')
  t.equal(held('100 %z'), 0)
  t.equal(held('[%30%31%3'), 8)
  t.equal(held(`[${'\\u0030'.repeat(1000)}`), 6, 'and never more than a value is long')
})

void t.test('PEM by its lines, its armour not', async (t) => {
  const lines = ['MIIEvQIBADANBgkqhkiG9w0BAQEFAASC', 'BKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj', 'short']
  const pem = `-----BEGIN PRIVATE KEY-----\n${lines.join('\n')}\n-----END PRIVATE KEY-----\n`
  const finder = finderFor(pem)
  const out = scrub(`x ${lines[1]} ${JSON.stringify(pem)} ${base64(pem)}`, finder)
  t.notMatch(out, lines[0])
  t.notMatch(out, lines[1])
  t.match(out, '-----BEGIN PRIVATE KEY-----')
  t.notMatch(Buffer.from(out.split(' ').at(-1)!, 'base64').toString(), lines[0])
})

void t.test('what is public is not looked for', async (t) => {
  const [certificate, key] = [
    'MIIDdzCCAl+gAwIBAgIEAgAAuTANBgkq',
    'MIIEvQIBADANBgkqhkiG9w0BAQEFAASC',
  ]
  const pem = `-----BEGIN CERTIFICATE-----\n${certificate}\n-----END CERTIFICATE-----\n`
  const both = `${pem}-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`
  t.equal(scrub(`${certificate} ${key}`, finderFor(both)), `${certificate} ${'*'.repeat(32)}`)
  const parts = { user: 'a-user-of-some-length', accessKeyId: 'AKIAIOSFODNN7EXAMPLE' }
  const finder = finderOf(
    [makeSecret('api', VALUE, { ...parts, certificate: pem })],
    () => undefined,
  )
  const text = [...Object.values(parts), certificate].join(' ')
  t.equal(scrub(text, finder), text)
})

void t.test(
  'what was made of a secret and how it was sent; the same list is read once',
  async (t) => {
    const secret = makeSecret('basic', 'password-0123456789', {
      user: 'u',
      key: 'a-part-of-it-0123456',
    })
    const secrets = [secret]
    const finder = finderOf(secrets, () => BASIC)!
    t.equal(
      finderOf(secrets, () => BASIC),
      finder,
    )
    const sent = base64('x-access-token:password-0123456789')
    t.equal(
      scrub(`Basic ${sent} a-part-of-it-0123456`, finder),
      `Basic ${'*'.repeat(46)}== ${'*'.repeat(20)}`,
    )
    t.equal(
      finderOf([makeSecret('short', 'of fifteen byte')], () => undefined),
      undefined,
    )
  },
)

void t.test('what is text', async (t) => {
  const kind = (...types: string[]): string =>
    contentKind(types.flatMap((type) => ['Content-Type', type]))
  for (const type of [
    'text/html; charset=utf-8',
    'Application/JSON',
    'application/problem+json',
    'application/x-ndjson',
    'image/svg+xml',
    'text/event-stream',
    'application/javascript',
    'application/x-www-form-urlencoded',
  ])
    t.equal(kind(type), 'text', type)
  for (const type of [
    'image/png',
    'application/octet-stream',
    'application/grpc',
    'multipart/form-data; boundary=x',
    'application/zip',
  ])
    t.equal(kind(type), 'other', type)
  t.equal(kind(), 'unsaid')
  t.equal(kind('text/plain', 'image/png'), 'other', 'said twice')
  t.ok(looksLikeText(Buffer.from('grüße\r\n\t')))
  t.notOk(looksLikeText(Buffer.from([0x50, 0x4b, 3, 4])))
})
