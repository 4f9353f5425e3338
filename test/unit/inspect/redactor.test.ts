// What the redactor takes out of texts and URLs, and what it leaves byte for byte.

import { readFileSync } from 'node:fs'

import * as fc from 'fast-check'
import t from 'tap'

import { KnownSecrets } from '../../../src/credentials/known-secrets.ts'
import { NO_SECRETS, Redactor } from '../../../src/inspect/redactor.ts'
import { DEFAULT_QUERY_NAMES } from '../../../src/inspect/secret-names.ts'

const VALUE = 'p4ss/w0rd+c4n4ry"='
const known = new KnownSecrets()
known.learn('db', VALUE)
const redactor = new Redactor(known, {
  patterns: [(text) => text.replaceAll(/EMP-\d{6}/g, '[secret:pattern]')],
  query: ['Tenant-Pin'],
})
const path = (written: string): string => redactor.path(written, undefined)
const query = (written: string): string => redactor.query(written, undefined)

const AS_IT_IS = [
  '/',
  '/repos/acme/widgets/issues/7',
  '/@scope%2fname/-/name-1.0.0.tgz',
  '/v1/projects/8f14e45f-ceea-467f-a8f2-1b2c3d4e5f60/items',
  '/a;v=1/b;token=',
  '/sha/53bc719418690c1bfdd1479863b3ff8907955055',
  '/caf%C3%A9/%E2%9C%93',
  '/tokens/keys/passwords',
] as const

void t.test('R55: a path without a secret stays byte for byte', (t) => {
  for (const written of AS_IT_IS) t.equal(path(written), written)
  t.end()
})

const TOKEN = `ghp_${'a1B2'.repeat(9)}`
const encoded = (text: string): string =>
  text.replaceAll(/[^]/g, (one) => `%${one.charCodeAt(0).toString(16)}`)

const PATHS: readonly (readonly [written: string, shown: string])[] = [
  [`/a/${TOKEN}/b`, '/a/[secret:github-token]/b'],
  [`/a/x${encoded('%')}2f${encoded(TOKEN)}/b`, '/a/[secret:github-token]/b'],
  [`/a/${encoded(encoded(TOKEN))}/b%20c`, '/a/[secret:github-token]/b%20c'],
  [`/db/${VALUE}/x`, '/db/[secret:credential]/x'],
  [`/db/${encodeURIComponent(VALUE)}/x`, '/db/[secret:credential]/x'],
  [`/db/p4ss/${encoded('w0rd+c4n4ry"=')}`, '[secret:credential]'],
  [`/a;access_token=abc;v=1/b`, '/a;access_token=[secret:parameter];v=1/b'],
  ['/bot123456789:AAF-abcdefghijklmnopqrstuvwxyz012345/getMe', '/bot[secret:telegram-token]/getMe'],
  [`/services/T00000000/B00000000/${'x'.repeat(24)}`, '/services/[secret:webhook]'],
  ['/staff/EMP-123456', '/staff/[secret:pattern]'],
  ['/x/sallyport_github_abcdefghijklmnop0123', '/x/[secret:placeholder]'],
]

void t.test('R55: what is secret in a path is masked, also where it is encoded', (t) => {
  for (const [written, shown] of PATHS) t.equal(path(written), shown, written)
  t.end()
})

const QUERIES: readonly (readonly [written: string, shown: string])[] = [
  ['', ''],
  ['page=2&per_page=100&page_token=abc', 'page=2&per_page=100&page_token=abc'],
  ['tokens=5&keyword=x&monkey=y&encode=z', 'tokens=5&keyword=x&monkey=y&encode=z'],
  ['token', 'token'],
  ['token=&a', 'token=&a'],
  ['a=1&TOKEN=x&b=2', 'a=1&TOKEN=[secret:parameter]&b=2'],
  [
    'access-token=x&accessToken=y',
    'access-token=[secret:parameter]&accessToken=[secret:parameter]',
  ],
  ['%74oken=x', '%74oken=[secret:parameter]'],
  ['a=1;sig=x;b', 'a=1;sig=[secret:parameter];b'],
  ['a?code=x', 'a?code=[secret:parameter]'],
  [
    'user[password]=x&auth.token=y',
    'user[password]=[secret:parameter]&auth.token=[secret:parameter]',
  ],
  ['user%5Bpassword%5D=x', 'user%5Bpassword%5D=[secret:parameter]'],
  ['key=a=b=c', 'key=[secret:parameter]'],
  ['tenant_pin=1', 'tenant_pin=[secret:parameter]'],
  ['X-Amz-Signature=abc&X-Amz-Date=1', 'X-Amz-Signature=[secret:parameter]&X-Amz-Date=1'],
  [`q=${TOKEN}&n=1`, 'q=[secret:github-token]&n=1'],
  [`to=https%3A%2F%2Fuser%3Apass@x.test%2F&n=1`, 'to=[secret:url-user]&n=1'],
  [`${encodeURIComponent(VALUE)}=1`, '[secret:credential]=1'],
]

void t.test('R55: parameters that carry secrets are masked by their names', (t) => {
  for (const [written, shown] of QUERIES) t.equal(query(written), shown, written)
  t.end()
})

void t.test('the page names every parameter that is masked', (t) => {
  const page = readFileSync('docs/redaction.md', 'utf8')
  for (const name of DEFAULT_QUERY_NAMES) t.match(page, `\`${name}\``)
  t.end()
})

void t.test('a URI is redacted in all its parts', (t) => {
  t.equal(
    redactor.uri('https://u:p@a.test/x?id=7&api_key=1#access_token=2&b=3', undefined),
    'https://[secret:url-user]@a.test/x?id=7&api_key=[secret:parameter]#access_token=[secret:parameter]&b=3',
  )
  t.equal(redactor.uri('urn:a:b', undefined), 'urn:a:b')
  t.end()
})

void t.test('what was seen to be harmless is looked at again once more is known', (t) => {
  const growing = new KnownSecrets()
  const watching = new Redactor(growing)
  t.equal(watching.text('agent hunter2hunter2', undefined), 'agent hunter2hunter2')
  growing.learn('one', 'hunter2hunter2')
  t.equal(watching.text('agent hunter2hunter2', undefined), 'agent [secret:credential]')
  t.end()
})

void t.test('redacting twice is redacting once', (t) => {
  const secret = fc.constantFrom(
    VALUE,
    TOKEN,
    encoded(TOKEN),
    'token=x',
    'sig=',
    '%',
    '&',
    ';',
    '/',
  )
  const url = fc.array(fc.oneof(secret, fc.webPath(), fc.string())).map((parts) => parts.join(''))
  fc.assert(
    fc.property(url, (written) => {
      for (const redact of [path, query]) {
        const once = redact(written)
        if (redact(once) !== once) return false
      }
      return true
    }),
    { numRuns: 3000 },
  )
  t.end()
})

void t.test('texts of a million characters take no longer than they are long', (t) => {
  const nobody = new Redactor(NO_SECRETS)
  const million = 1_000_000
  for (const unit of [
    '%',
    '%2',
    '%25',
    '&',
    'a=',
    ';',
    'token=',
    '[',
    '].',
    '/',
    'sallyport_',
    '1:',
  ])
    t.ok(nobody.query(unit.repeat(million / unit.length), undefined).length > 0, unit)
  t.end()
})
