import * as fc from 'fast-check'
import t from 'tap'

import { screenPlaceholders } from '../../../src/inject/screen.ts'
import {
  ALL,
  base64,
  BASIC,
  BEARER,
  define,
  ENDPOINT,
  HEADER,
  makeStore,
  OTHER,
  placeholderOf,
  PLACEHOLDERS,
  QUERY,
  screen,
  TASK,
} from './support.ts'

const MISUSED = 'placeholder-misused'
const bearer = placeholderOf(BEARER)
const basic = placeholderOf(BASIC)
const header = placeholderOf(HEADER)
const query = placeholderOf(QUERY)

const encodeAll = (text: string, upper = false): string =>
  [...Buffer.from(text)]
    .map((byte) => {
      const hex = byte.toString(16).padStart(2, '0')
      return `%${upper ? hex.toUpperCase() : hex}`
    })
    .join('')

void t.test('each kind of credential has one right place on its own host', (t) => {
  t.strictSame(screen({ headers: ['Authorization', `Bearer ${bearer}`] }), ['bearer'])
  t.strictSame(screen({ headers: ['authorization', `bearer ${bearer}`] }), ['bearer'])
  const pair = base64(`x-access-token:${basic}`)
  t.strictSame(screen({ headers: ['Authorization', `Basic ${pair}`] }), ['basic'])
  t.strictSame(screen({ headers: ['AUTHORIZATION', `BASIC ${pair}`] }), ['basic'])
  t.strictSame(screen({ headers: ['x-goog-api-key', `key ${header};v=1`] }), ['header'])
  t.strictSame(screen({ query: `a=1&access_token=${query}&b` }), ['query'])
  t.strictSame(screen({ query: `access%5ftoken=${query}` }), ['query'])
  t.strictSame(
    screen({
      headers: ['Authorization', `Bearer ${bearer}`, 'X-Goog-Api-Key', `key ${header};v=1`],
      query: `access_token=${query}`,
    }),
    ['query', 'bearer', 'header'],
  )
  t.strictSame(screen({}), [])
  t.end()
})

void t.test('the right place on another host or port is a wrong one', (t) => {
  for (const endpoint of [OTHER, { ...ENDPOINT, port: 8443 }]) {
    t.equal(screen({ endpoint, headers: ['Authorization', `Bearer ${bearer}`] }), MISUSED)
    t.equal(screen({ endpoint, query: `access_token=${query}` }), MISUSED)
  }
  t.end()
})

void t.test('beside the right place everything is wrong, to its own host too', (t) => {
  const wrong: readonly (readonly string[])[] = [
    ['Authorization', bearer],
    ['Authorization', `Bearer  ${bearer}`],
    ['Authorization', `Bearer ${bearer} `],
    ['Authorization', `Bearer ${bearer}, x`],
    ['Authorization', `Bearer x${bearer}`],
    ['Authorization', `Bearer ${bearer.toLowerCase()}`],
    ['Authorization', `Bearer ${bearer.slice(4)}`],
    ['Authorization', `Bearer ${encodeAll(bearer)}`],
    ['Authorization', `Bearer ${base64(bearer)}`],
    ['Authorization', `token ${bearer}`],
    ['Authorization', `Basic ${base64(`x-access-token:${bearer}`)}`],
    ['X-Authorization', `Bearer ${bearer}`],
    ['Proxy-Authorization', `Bearer ${bearer}`],
    ['Cookie', `session=${bearer}`],
    ['User-Agent', `agent/1.0 (${bearer})`],
    ['Referer', `https://api.test/?access_token=${query}`],
    [bearer, 'x'],
    [bearer.toLowerCase(), 'x'],
    [`X-${bearer.toUpperCase()}-Y`, 'x'],
    ['Authorization', `Bearer ${basic}`],
    ['Authorization', `Basic ${base64(`other:${basic}`)}`],
    ['Authorization', `Basic ${base64(`${basic}:x-access-token`)}`],
    ['Authorization', `Basic ${base64(`${basic}:`)}`],
    ['Authorization', `Basic ${base64(`x-access-token:${basic}x`)}`],
    ['Authorization', `Basic ${base64(`x-access-token:${basic}`)}=`],
    ['Authorization', `Bearer ${bearer}`, 'Authorization', `Bearer ${bearer}`],
    ['Authorization', `Bearer ${bearer}`, 'X-Copy', bearer],
    ['X-Goog-Api-Key', header],
    ['X-Goog-Api-Key', `KEY ${header};v=1`],
    ['X-Other', `key ${header};v=1`],
    ['Access_Token', query],
  ]
  for (const headers of wrong) t.equal(screen({ headers }), MISUSED, headers.join(': '))
  for (const text of [
    query,
    `${query}=1`,
    `key=${query}`,
    `ACCESS_TOKEN=${query}`,
    `access_token=${query}x`,
    `access_token=${query};a=1`,
    `a=1;access_token=${query}`,
    `access_token=${encodeAll(query)}`,
    `access_token=${query}&access_token=${query}`,
    `access_token=${base64(query)}`,
    `access_token=${bearer}`,
  ])
    t.equal(screen({ query: text }), MISUSED, text)
  for (const path of [`/${bearer}`, `/a/${bearer.toUpperCase()}/b`, `/x-${base64(`a${bearer}`)}`])
    t.equal(screen({ path }), MISUSED, path)
  t.equal(screen({ endpoint: { host: `${bearer.toLowerCase()}.test`, port: 443 } }), MISUSED)
  t.equal(screen({ endpoint: { host: `x${bearer.toUpperCase()}.test`, port: 443 } }), MISUSED)
  t.end()
})

void t.test(
  'percent-encoded placeholders are found, whole or in part, in any case, and twice over',
  (t) => {
    const once = encodeAll(bearer)
    const forms = [
      once,
      encodeAll(bearer, true),
      bearer.replaceAll(/[a-m]/g, (letter) => encodeAll(letter)),
      bearer.replaceAll(/[g-z]/g, (letter) => encodeAll(letter, true)),
      bearer.slice(0, 20) + encodeAll(bearer.slice(20)),
      once.replaceAll('%', '%25'),
      encodeAll(once),
      encodeAll(once.slice(0, 30)) + once.slice(30),
      encodeAll(base64(bearer)),
      encodeAll(encodeAll(base64(`a:${bearer}`))),
    ]
    for (const form of forms) {
      t.equal(screen({ path: `/a/${form}/b` }), MISUSED)
      t.equal(screen({ query: `a=${form}` }), MISUSED)
      t.equal(screen({ headers: ['X-Note', `100% ${form} %zz%`] }), MISUSED)
    }
    t.end()
  },
)

void t.test('a placeholder in base64 or base64url is found wherever it lies in it', (t) => {
  const item = fc.constantFrom(...ALL.map(placeholderOf))
  const around = fc.uint8Array({ maxLength: 12 })
  const encoding = fc.constantFrom('base64', 'base64url')
  fc.assert(
    fc.property(item, around, around, encoding, (placeholder, before, after, name) => {
      const text = Buffer.concat([before, Buffer.from(placeholder), after]).toString(name)
      return (
        screen({ headers: ['X-Note', `a=${text}; b`] }) === MISUSED &&
        screen({ query: `q=${text}` }) === MISUSED
      )
    }),
  )
  t.end()
})

void t.test('a placeholder of any shape is found at any place of any value', (t) => {
  const shape = fc.record({
    prefix: fc.constantFrom('', 'ghp_', 'sallyport_x_', 'sk-ant-api03-', 'a.b-c_d'),
    extra: fc.integer({ min: 16, max: 80 }),
  })
  const noise = fc.string({
    unit: fc.constantFrom(...'abcXYZ019 %+/=;-_'.split('')),
    maxLength: 90,
  })
  fc.assert(
    fc.property(shape, noise, noise, ({ prefix, extra }, before, after) => {
      const length = prefix.length + extra
      const store = makeStore([
        define({ kind: 'bearer' }, { placeholder: { env: 'TOKEN', prefix, length } }),
      ])
      const placeholders = store.placeholders(TASK)
      const [placeholder = ''] = placeholders.keys()
      return (
        screen({ placeholders, headers: ['X-Note', `${before}${placeholder}${after}`] }) === MISUSED
      )
    }),
  )
  t.end()
})

void t.test('heads without placeholders pass, whatever they hold', (t) => {
  const stranger = makeStore().placeholder('t_other', 'bearer')
  fc.assert(
    fc.property(fc.string({ unit: 'binary-ascii', maxLength: 400 }), (text) => {
      const heads = [
        screen({ headers: ['Authorization', `Bearer ${stranger}`, 'X-Note', text] }),
        screen({ path: `/${text}`, query: text }),
      ]
      return heads.every((found) => Array.isArray(found) && found.length === 0)
    }),
  )
  t.end()
})

void t.test('parts of a placeholder, and placeholders of other tasks, are only text', (t) => {
  t.strictSame(screen({ headers: ['X-Note', bearer.slice(0, 20)] }), [])
  t.strictSame(screen({ headers: ['X-Note', 'ghp_'], path: '/ghp_', query: 'ghp_=ghp_' }), [])
  t.strictSame(screen({ placeholders: new Map(), headers: ['X-Note', bearer] }), [])
  t.end()
})

void t.test('the refusal names the credential and the place, never the placeholder', (t) => {
  try {
    screenPlaceholders({
      endpoint: OTHER,
      headers: ['X-Note', bearer],
      path: '/',
      query: undefined,
      placeholders: PLACEHOLDERS,
    })
    t.fail('expected a refusal')
  } catch (error) {
    t.match(error, { reason: MISUSED, detail: { credential: 'bearer', place: 'header' } })
    t.notMatch(String(error), bearer)
  }
  t.end()
})
