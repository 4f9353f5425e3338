// What records keep of content: digests that are the same for the same words, no secrets in what is redacted, bounds.

import { createHash } from 'node:crypto'

import { assert, integer, jsonValue, property } from 'fast-check'
import t from 'tap'

import type { JsonValue } from '../../../src/inspect/fields.ts'
import { makeKeeper } from '../../../src/inspect/keep.ts'
import { redactText } from '../../../src/inspect/redact.ts'

const keeper = makeKeeper({
  bytesMax: 1024,
  mask: (each) => each.replaceAll('sallyport_github_0123456789', '[secret:placeholder]'),
})
const SHRINKING = `ghp_${'a1B2'.repeat(100)}`
const keptValue = (value: JsonValue, mode: 'redacted' | 'full' = 'redacted'): unknown =>
  keeper.keep(value, mode)?.value

void t.test('a mode keeps what it says and no more', (t) => {
  const value = { b: 'token=hunter2hunter2', a: 1 }
  const digest = `sha256:${createHash('sha256').update('{"a":1,"b":"token=hunter2hunter2"}').digest('hex')}`
  t.equal(keeper.keep(value, 'off'), undefined)
  t.strictSame(keeper.keep(value, 'digest'), { digest, bytes: 34 })
  t.strictSame(keeper.keep(value, 'redacted'), {
    digest,
    bytes: 34,
    value: { b: 'token=[secret:value]', a: 1 },
  })
  t.strictSame(keeper.keep(value, 'full'), { digest, bytes: 34, value })
  t.end()
})

void t.test('the digest does not depend on the order of members', (t) => {
  const one = keeper.keep({ a: 1, b: { c: [1, 2], d: null } }, 'digest')
  t.strictSame(keeper.keep({ b: { d: null, c: [1, 2] }, a: 1 }, 'digest'), one)
  t.not(keeper.keep({ b: { d: null, c: [2, 1] }, a: 1 }, 'digest')?.digest, one?.digest)
  t.end()
})

void t.test('what is larger than a record keeps is cut, and says so', (t) => {
  const small = makeKeeper({ bytesMax: 10, mask: (each) => each })
  t.strictSame(small.keep('0123456789abc', 'full')?.value, '0123456789')
  t.equal(small.keep('0123456789abc', 'full')?.truncated, true)
  t.equal(small.keep('0123456789', 'full')?.truncated, undefined)
  t.equal(small.keep('0123456789abc', 'digest')?.truncated, undefined, 'a digest is of all')
  t.strictSame(small.keep('€€€€', 'full')?.value, '€€€', 'no character is cut through')
  t.strictSame(small.keep(['aaaa', 'bbbb', 'cccc'], 'full')?.value, ['aaaa', 'bbbb'])
  t.strictSame(small.keep({ one: 'x', two: 'y' }, 'full')?.value, { one: 'x' })
  t.end()
})

void t.test(
  'what is far beyond a record is not searched for secrets, and shows none that the cut goes through',
  (t) => {
    const many: JsonValue = Array.from({ length: 1_000_000 }, () => 'a')
    const kept = makeKeeper({ bytesMax: 1000, mask: (each) => each }).keep(many, 'redacted')
    t.strictSame(
      kept?.value,
      Array.from({ length: 500 }, () => 'a'),
    )
    t.equal(kept?.truncated, true)
    const password = 'hunter2hunter2'
    for (let before = 0; before < 12_000; before += 1) {
      // Masks make it shorter, so that what the first cut went through could come into what is kept.
      const text = `${`${SHRINKING} `.repeat(40)}${' '.repeat(before % 700)}https://agent:${password.repeat(30)}@host/ ${'x'.repeat(9000)}`
      const value: JsonValue = [text, { rest: text }]
      const bytesMax = 100 + before
      const shown = JSON.stringify(
        makeKeeper({ bytesMax, mask: (each) => each }).keep(value, 'redacted'),
      )
      if (shown.includes('hunter')) t.fail(`a part of a secret is kept of ${bytesMax} bytes`)
      before += 10
    }
    t.end()
  },
)

void t.test('a kept value is never larger than its bound allows', (t) => {
  assert(
    property(
      jsonValue().map((value): JsonValue => JSON.parse(JSON.stringify(value))),
      integer({ min: 1, max: 200 }),
      (value, bytesMax) => {
        const kept = makeKeeper({ bytesMax, mask: (each) => each }).keep(value, 'full')
        const text = JSON.stringify(kept?.value)
        if (kept?.truncated === undefined) return JSON.stringify(value) === text
        // Escapes may make a kept text longer by six times.
        return text.length <= 6 * bytesMax + 64
      },
    ),
    { numRuns: 300 },
  )
  t.end()
})

const SECRETS: readonly (readonly [string, string, string])[] = [
  ['github-token', `ghp_${'a1B2'.repeat(9)}`, 'a1B2a1B2'],
  ['github-token', `github_pat_${'a1B2'.repeat(9)}`, 'a1B2a1B2'],
  ['anthropic-key', `sk-ant-api03-${'x9'.repeat(20)}`, 'x9x9'],
  ['openai-key', `sk-proj-${'x9_-'.repeat(20)}`, 'x9_-x9'],
  ['slack-token', 'xoxb-123456789012-abcdefghijkl', '123456789012'],
  ['google-key', `AIza${'Sy0-_'.repeat(7)}`, 'Sy0-_Sy0'],
  ['aws-key-id', 'AKIAIOSFODNN7EXAMPLE', 'IOSFODNN'],
  ['jwt', 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl', 'eyJzdWIi'],
  ['gitlab-token', 'glpat-abcdefghij0123456789', 'abcdefghij'],
  ['npm-token', `npm_${'aB3'.repeat(12)}`, 'aB3aB3'],
  ['header', 'Authorization: Bearer abcdefgh12345678', 'abcdefgh'],
  ['header', 'authorization: basic dXNlcjpwYXNzd29yZA==', 'dXNlcjpw'],
  ['value', 'DB_PASSWORD=hunter2hunter2', 'hunter2'],
  ['value', 'password: correct-horse', 'correct'],
  ['value', '{"api_key": "abc def ghi"}', 'abc def'],
  ['value', '{\\"api_key\\": \\"abc def ghi\\"}', 'abc def'],
  ['value', "client_secret = 'abc!def'", 'abc!def'],
  ['value', 'AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG', 'wJalrXUt'],
  ['url-user', 'postgres://admin:s3cr3t@db.test/app', 's3cr3t'],
  [
    'private-key',
    '-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKC\n-----END RSA PRIVATE KEY-----',
    'MIIEpAIB',
  ],
  ['private-key', '-----BEGIN PRIVATE KEY-----\nMIIEpAIBAAKC, and no end', 'MIIEpAIB'],
  ['placeholder', 'sallyport_github_0123456789', '0123456789'],
]

void t.test('what looks like a secret is masked, and its kind is kept', (t) => {
  for (const [kind, secret, part] of SECRETS) {
    const kept = String(keptValue(`before ${secret} after it`))
    t.match(kept, `[secret:${kind}]`, secret)
    t.notMatch(kept, part, secret)
    t.ok(kept.startsWith('before '), kept)
    const isKnown = kind === 'placeholder'
    const full = keptValue(`before ${secret} after it`, 'full')
    t.equal(full, isKnown ? 'before [secret:placeholder] after it' : `before ${secret} after it`)
  }
  t.end()
})

void t.test('what only resembles a secret stays as it is', (t) => {
  for (const text of [
    'Ask sk-8 or task-0123456789abcdef for it.',
    '{"max_tokens": 1024, "tokenizer": "cl100k"}',
    'https://api.example.com/repos/acme/widgets?page=2',
    'mail me at me@example.com, see http://example.com/@user',
    'The bearer of this letter',
    '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----',
    'AKIA is a prefix',
    'commit 53bc719418690c1bfdd1479863b3ff8907955055',
  ])
    t.equal(keptValue(text), text)
  t.end()
})

void t.test('a private key behind a certificate is masked, the certificate is not', (t) => {
  const certificate = `-----BEGIN CERTIFICATE-----\n${'MIIB'.repeat(40)}\n-----END CERTIFICATE-----\n`
  const key = '-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----'
  t.equal(
    redactText(`${certificate}${key}\n${certificate}${key} end`),
    `${certificate}[secret:private-key]\n${certificate}[secret:private-key] end`,
  )
  t.end()
})

void t.test('a member whose name says that it is secret is masked, whatever it is', (t) => {
  t.strictSame(
    keptValue({
      password: 'a',
      apiKey: 'b',
      Authorization: 'c',
      name: 'd',
      list: [{ token: 'e' }],
    }),
    {
      password: '[secret:value]',
      apiKey: '[secret:value]',
      Authorization: '[secret:value]',
      name: 'd',
      list: [{ token: '[secret:value]' }],
    },
  )
  t.strictSame(keptValue({ max_tokens: 7, [`ghp_${'a'.repeat(36)}`]: 1 }), {
    max_tokens: 7,
    '[secret:github-token]': 1,
  })
  t.end()
})

// Work that grows with the square of a text of a million characters does not end within the test's time.
void t.test('hostile texts take time that is linear in their length', (t) => {
  const million = 1_000_000
  for (const unit of [
    '-----BEGIN ',
    '-----BEGIN PRIVATE KEY-----',
    '-----BEGIN -----END ',
    'eyJaaaaaaaa',
    'eyJaaaaaaaa.',
    'eyJaaaaaaaa.eyJ',
    'sk-ant-',
    'sk-',
    'ghp_',
    'github_pat_',
    'xoxb-',
    'Bearer ',
    'Bearer',
    'password',
    'password=',
    'password="',
    'secret-',
    'api_key\\',
    'token" ',
    'a://',
    'a+',
    'a://b:',
    'AKIA',
    'AIza',
  ])
    t.ok(redactText(unit.repeat(million / unit.length)).length > 0, unit)
  t.end()
})

void t.test('nesting beyond reason is left out and overflows nothing', (t) => {
  let deep: JsonValue = 'end'
  for (let at = 0; at < 200_000; at += 1) deep = [deep]
  t.equal(keeper.keep(deep, 'full')?.truncated, true)
  t.ok(keeper.keep(deep, 'redacted')?.digest)
  t.end()
})

void t.test('of what is not kept no secret is left over, wherever it is cut', (t) => {
  const token = `ghp_${'a1B2'.repeat(9)}`
  for (let before = 980; before < 1030; before += 1) {
    const text = `${'x '.repeat(before / 2)}${token} ${'y '.repeat(10_000)}`
    const kept = keeper.keep({ text }, 'redacted')
    t.notMatch(JSON.stringify(kept?.value), /a1B2|ghp_/, String(before))
    t.equal(kept?.truncated, true)
  }
  const many = `${`${token} `.repeat(1000)}-----BEGIN PRIVATE KEY-----${'MIIE'.repeat(5000)}`
  t.notMatch(JSON.stringify(keeper.keep(many, 'redacted')?.value), /a1B2|MIIE/)
  t.match(JSON.stringify(keeper.keep(`${token} after`, 'redacted')?.value), /after/)
  t.end()
})

void t.test('a value of very many strings costs what is kept of it', (t) => {
  const many = Array.from({ length: 1_000_000 }, () => 'password: hunter2')
  const kept = keeper.keep(many, 'redacted')
  t.match(kept, { truncated: true, value: ['password: [secret:value]'] })
  t.end()
})
