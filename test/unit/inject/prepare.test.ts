import { inspect } from 'node:util'

import * as fc from 'fast-check'
import t from 'tap'

import { makeSecret } from '../../../src/credentials/vault.ts'
import { parseAuthority } from '../../../src/wire/authority.ts'
import {
  ALL,
  base64,
  BASIC,
  BEARER,
  CANARY,
  define,
  ENDPOINT,
  HEADER,
  LOCAL,
  OTHER,
  placeholderOf,
  prepare,
  QUERY,
  reasonOf,
} from './support.ts'

const ENCODED = encodeURIComponent(CANARY)
const HOST = ['Host', 'api.test']
const UNAVAILABLE = 'credential-unavailable'

void t.test('R18: every kind of credential goes to its place', (t) => {
  t.strictSame(prepare({}, BEARER), {
    headers: [...HOST, 'Authorization', `Bearer ${CANARY}`],
    path: '/',
    dropped: [],
    used: { name: 'bearer', action: 'injected' },
  })
  t.strictSame(prepare({}, BASIC).headers, [
    ...HOST,
    'Authorization',
    `Basic ${base64(`x-access-token:${CANARY}`)}`,
  ])
  t.strictSame(prepare({}, HEADER).headers, [...HOST, 'X-Goog-Api-Key', `key ${CANARY};v=1`])
  t.strictSame(prepare({ path: '/a' }, QUERY), {
    headers: HOST,
    path: `/a?access_token=${ENCODED}`,
    dropped: [],
    used: { name: 'query', action: 'injected' },
  })
  t.end()
})

void t.test('R22: a token in the name of a subprotocol does not leave, the others do', (t) => {
  const headers = [...HOST, 'Sec-WebSocket-Protocol', 'realtime, openai-insecure-api-key.sk-own']
  const { headers: written, dropped } = prepare({ headers }, BEARER)
  t.strictSame(written.slice(2, 4), ['Sec-WebSocket-Protocol', 'realtime'])
  t.strictSame(dropped, ['sec-websocket-protocol'])
  t.strictSame(prepare({ headers }).headers, headers, 'where no credential is')
  t.end()
})

void t.test('a value is text, never a pattern of the format', (t) => {
  const definition = define({ kind: 'header', name: 'X-Key', format: '<{}>' })
  const secret = makeSecret('header', "$& $1 $$ $' {}")
  t.strictSame(prepare({ credential: { definition, secret, placeholder: '' } }).headers, [
    ...HOST,
    'X-Key',
    "<$& $1 $$ $' {}>",
  ])
  t.end()
})

void t.test('the credential takes the place and the spelling of what the client had there', (t) => {
  const mine = `Bearer ${placeholderOf(BEARER)}`
  const head = prepare(
    { headers: ['A', '1', 'authorization', mine, 'Host', 'api.test', 'b', '2', 'A', '3'] },
    BEARER,
  )
  t.strictSame(head.headers, [
    ...HOST,
    'A',
    '1',
    'authorization',
    `Bearer ${CANARY}`,
    'b',
    '2',
    'A',
    '3',
  ])
  t.strictSame(head.used, { name: 'bearer', action: 'replaced' })
  t.strictSame(head.dropped, [])
  t.equal(
    prepare({ query: `a=%20&access_token=${placeholderOf(QUERY)}&b=+&&c` }, QUERY).path,
    `/?a=%20&access_token=${ENCODED}&b=+&&c`,
  )
  t.equal(prepare({ query: 'a&Access%5FToken=x' }, QUERY).path, `/?a&access_token=${ENCODED}`)
  t.end()
})

void t.test('every other copy of an injected header or parameter is dropped', (t) => {
  const head = prepare(
    { headers: ['X-Goog-Api-Key', 'one', 'x-goog-api-key', 'two', 'X_Goog_Api_Key', 'three'] },
    HEADER,
  )
  t.strictSame(head.headers, [...HOST, 'X-Goog-Api-Key', `key ${CANARY};v=1`])
  t.strictSame(head.dropped, ['x-goog-api-key'])
  const queried = prepare(
    {
      query:
        'access_token=1&a=1&access%5ftoken=2&b=2;access_token=3;c=3&ACCESS_TOKEN=4&access%255ftoken=5&access_token',
    },
    QUERY,
  )
  t.equal(queried.path, `/?access_token=${ENCODED}&a=1&b=2;c=3`)
  t.strictSame(queried.dropped, ['?access_token'])
  // Also where the rest of the client's own may pass.
  const passed = { clientAuth: 'pass' } as const
  t.equal(
    prepare({ obligations: passed, query: 'key=mine&access_token=1&access_token=2' }, QUERY).path,
    `/?key=mine&access_token=${ENCODED}`,
  )
  t.strictSame(
    prepare({ obligations: passed, headers: ['Cookie', 'a', 'Authorization', 'x'] }, BEARER)
      .headers,
    [...HOST, 'Cookie', 'a', 'Authorization', `Bearer ${CANARY}`],
  )
  t.end()
})

void t.test(
  'R22: what the sandbox sends to authenticate is dropped for a brokered destination',
  (t) => {
    const head = {
      headers: [
        'Accept',
        '*/*',
        'Authorization',
        'Bearer own',
        'cookie',
        'a=b',
        'X-API-Key',
        'own',
        'x_api_key',
        'own',
        'Private-Token',
        'own',
        'X-Goog-Api-Key',
        'own',
        'X-Request-Id',
        '1',
      ],
      query: 'a=1&api_key=own&API%5FKEY=own&b=2&appid=own',
    }
    const appid = define({ kind: 'query', name: 'appid' })
    const dropped = prepare({ ...head, brokered: [HEADER, appid] })
    t.strictSame(dropped.headers, [...HOST, 'Accept', '*/*', 'X-Request-Id', '1'])
    t.equal(dropped.path, '/?a=1&b=2')
    t.strictSame(dropped.dropped, [
      'authorization',
      'cookie',
      'x-api-key',
      'private-token',
      'x-goog-api-key',
      '?api_key',
      '?appid',
    ])
    t.strictSame(dropped.used, { name: 'header', action: 'dropped' })

    const unbrokered = prepare({ ...head, endpoint: OTHER })
    t.strictSame(unbrokered.headers, ['Host', 'other.test', ...head.headers])
    t.equal(unbrokered.path, `/?${head.query}`)
    t.strictSame([unbrokered.dropped, unbrokered.used], [[], undefined])

    const passed = prepare({ ...head, brokered: [HEADER], obligations: { clientAuth: 'pass' } })
    t.strictSame(passed.headers, [...HOST, ...head.headers])
    t.equal(passed.path, `/?${head.query}`)

    const clean = prepare({ headers: ['Accept', '*/*'], brokered: [HEADER] })
    t.strictSame([clean.dropped, clean.used], [[], undefined])
    t.end()
  },
)

void t.test('R22: a credential of another kind leaves no room for the own one beside it', (t) => {
  const head = prepare(
    { headers: ['Authorization', 'Bearer own', 'X-Goog-Api-Key', 'own'], query: 'key=own' },
    HEADER,
  )
  t.strictSame(head.headers, [...HOST, 'X-Goog-Api-Key', `key ${CANARY};v=1`])
  t.equal(head.path, '/')
  t.end()
})

void t.test('R19: a credential is not sent to a host or port that is not its own', async (t) => {
  for (const endpoint of [
    OTHER,
    parseAuthority('api.test:8443'),
    parseAuthority('sub.api.test:443'),
    parseAuthority('test:443'),
  ])
    for (const definition of ALL)
      t.equal(await reasonOf(() => prepare({ endpoint }, definition)), UNAVAILABLE)
  t.match(prepare({}, BEARER).used, { action: 'injected' })
})

void t.test('R19: a credential is not sent where the rule names none', (t) => {
  const head = prepare({ headers: ['Authorization', 'Bearer x'], brokered: ALL })
  t.strictSame(head.headers, HOST)
  t.end()
})

void t.test(
  'R19: in plaintext a credential goes only where definition and rule both say so',
  async (t) => {
    const hosts = [{ host: 'api.test', kind: 'name', port: 80 }] as const
    const plain = { endpoint: parseAuthority('api.test:80'), scheme: 'http' } as const
    const secure = define({ kind: 'bearer' }, { hosts })
    const insecure = define({ kind: 'bearer' }, { hosts, insecurePlaintext: true })
    t.equal(await reasonOf(() => prepare({ ...plain, addresses: LOCAL }, secure)), UNAVAILABLE)
    t.equal(await reasonOf(() => prepare(plain, insecure)), UNAVAILABLE)
    const unlisted = { ...LOCAL, also: [{ allowed: [], denied: [] }] }
    t.equal(
      await reasonOf(() => prepare({ ...plain, addresses: unlisted }, insecure)),
      UNAVAILABLE,
      "I9: an ancestor's rule does not",
    )
    t.strictSame(prepare({ ...plain, addresses: LOCAL }, insecure).headers, [
      ...HOST,
      'Authorization',
      `Bearer ${CANARY}`,
    ])
  },
)

void t.test('a secret of another credential is never sent for this one', (t) => {
  const credential = { definition: BEARER, secret: makeSecret('other', CANARY), placeholder: '' }
  t.throws(() => prepare({ credential }), { code: 'ERR_ASSERTION' })
  t.end()
})

void t.test('the head has one Host, first, in normal form', (t) => {
  const hostOf = (authority: string, scheme: 'http' | 'https'): string[] =>
    prepare({ endpoint: parseAuthority(authority), scheme, headers: ['A', '1', 'HOST', 'x'] })
      .headers
  t.strictSame(hostOf('API.test.:443', 'https'), ['Host', 'api.test', 'A', '1'])
  t.strictSame(hostOf('api.test:443', 'http'), ['Host', 'api.test:443', 'A', '1'])
  t.strictSame(hostOf('api.test:80', 'http'), ['Host', 'api.test', 'A', '1'])
  t.strictSame(hostOf('[2001:DB8::1]:8443', 'https'), ['Host', '[2001:db8::1]:8443', 'A', '1'])
  t.end()
})

void t.test("this hop's fields and the framing do not leave, the injected credential does", (t) => {
  const head = prepare(
    {
      headers: [
        'Connection',
        'keep-alive, X-Goog-Api-Key, X-Mine',
        'X-Mine',
        '1',
        'X-Goog-Api-Key',
        'own',
        'Proxy-Authorization',
        'Basic x',
        'Content-Length',
        '5',
        'Transfer-Encoding',
        'chunked',
        'Accept',
        '*/*',
      ],
    },
    HEADER,
  )
  t.strictSame(head.headers, [...HOST, 'Accept', '*/*', 'X-Goog-Api-Key', `key ${CANARY};v=1`])
  t.end()
})

void t.test('path and query leave byte for byte', (t) => {
  for (const query of [undefined, '', '&', 'a=%7e&b=%7E&&=', 'q=a+b;c', '%', '?=?', 'a=b=c']) {
    const expected = query === undefined ? '/%7Ea//b' : `/%7Ea//b?${query}`
    t.equal(prepare({ path: '/%7Ea//b', query }).path, expected)
    t.equal(prepare({ path: '/%7Ea//b', query }, BEARER).path, expected)
  }
  t.equal(prepare({ query: '' }, QUERY).path, `/?access_token=${ENCODED}`)
  t.equal(prepare({ query: 'a;b' }, QUERY).path, `/?a;b&access_token=${ENCODED}`)
  t.equal(prepare({ query: 'token=1;key=2' }, BEARER).path, '/')
  t.end()
})

void t.test('preparing changes nothing of what it was given', (t) => {
  const name = fc.constantFrom('Accept', 'authorization', 'COOKIE', 'X-Goog-Api-Key', 'Host', 'x')
  const headers = fc
    .array(fc.tuple(name, fc.string({ unit: fc.constantFrom(...'ab =;'.split('')) })))
    .map((pairs) => pairs.flat())
  const query = fc.option(fc.string({ unit: fc.constantFrom(...'a&=;%5fkey_'.split('')) }), {
    nil: undefined,
  })
  fc.assert(
    fc.property(headers, query, fc.constantFrom(undefined, ...ALL), (list, text, definition) => {
      const frozen = Object.freeze([...list])
      const head = prepare({ headers: frozen, query: text, brokered: ALL }, definition)
      const names = head.headers.filter((_, at) => at % 2 === 0).map((item) => item.toLowerCase())
      return (
        frozen.every((item, at) => item === list[at]) &&
        names[0] === 'host' &&
        new Set(names.filter((item) => item === 'host')).size === 1 &&
        names.filter((item) => item === 'authorization').length <= 1 &&
        !names.includes('cookie')
      )
    }),
  )
  t.end()
})

void t.test('I3: the canary is in the prepared head, at one place, and in nothing else', (t) => {
  for (const definition of ALL) {
    const input = { headers: ['Authorization', 'own'], query: 'a=1' }
    const head = prepare(input, definition)
    const sent = JSON.stringify([head.headers, head.path])
    const forms = [CANARY, ENCODED, base64(`x-access-token:${CANARY}`)]
    t.equal(
      forms.filter((form) => sent.includes(form)).length,
      1,
      `${definition.name} sends it once`,
    )
    const rest = inspect([head.used, head.dropped, input, definition], { depth: 9 })
    for (const form of forms) t.notOk(rest.includes(form))
  }
  const refusal = (): unknown => {
    try {
      return prepare({ endpoint: ENDPOINT, scheme: 'http' }, BEARER)
    } catch (error) {
      return error
    }
  }
  t.notMatch(inspect(refusal(), { depth: 9, showHidden: true }), 'canary-')
  t.end()
})
