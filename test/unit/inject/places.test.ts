import t from 'tap'

import { makeSecret } from '../../../src/credentials/vault.ts'
import {
  BEARER,
  CANARY,
  COOKIE,
  OTHER,
  PATH,
  placeholderOf,
  prepare,
  reasonOf,
  screen,
} from './support.ts'

const HOST = ['Host', 'api.test']
const UNAVAILABLE = 'credential-unavailable'
const PASS = { obligations: { clientAuth: 'pass' } } as const

void t.test('R18, R22: a cookie is one among none, or among the client’s own', (t) => {
  const cookies = (...fields: string[]): string[] =>
    prepare({ headers: [...HOST, ...fields.flatMap((one) => ['cookie', one])] }, COOKIE).headers
  const ours = `session=${CANARY}`
  t.strictSame(prepare({}, COOKIE).headers, [...HOST, 'Cookie', ours])
  t.strictSame(cookies('a=1; session=own; session=two'), [...HOST, 'cookie', ours])
  t.strictSame(cookies('a=1'), [...HOST, 'Cookie', ours], 'others are dropped')
  t.strictSame(cookies('a=1', 'session=own', 'b=2'), [...HOST, 'cookie', ours], 'crumbs')
  const passed = prepare(
    {
      headers: [
        ...HOST,
        'Cookie',
        `a=1; session=own; b="2"; session=x; s%65ssion=y; c=1,session=z`,
      ],
      ...PASS,
    },
    COOKIE,
  )
  t.strictSame(passed.headers, [...HOST, 'Cookie', `a=1; ${ours}; b="2"`])
  t.strictSame(passed.used, { name: 'cookie', action: 'replaced' })
  t.end()
})

void t.test('a value that no cookie or head may have is not sent', async (t) => {
  for (const value of ['a b', 'a;b', 'a"b', 'a,b', 'a\\b'])
    t.equal(
      await reasonOf(() =>
        prepare({
          credential: { definition: COOKIE, secret: makeSecret('cookie', value), placeholder: '' },
        }),
      ),
      UNAVAILABLE,
      value,
    )
  for (const value of ['', 'a\r\nb', 'é'])
    t.equal(
      await reasonOf(() =>
        prepare({
          credential: { definition: BEARER, secret: makeSecret('bearer', value), placeholder: '' },
        }),
      ),
      UNAVAILABLE,
      JSON.stringify(value),
    )
})

void t.test('R19: the placeholder of a cookie is right as its whole value alone', (t) => {
  const held = placeholderOf(COOKIE)
  const cookie = (value: string): readonly string[] | string =>
    screen({ headers: [...HOST, 'Cookie', value] })
  t.strictSame(cookie(`a=1; session=${held}; b=2`), ['cookie'])
  for (const wrong of [
    `Session=${held}`,
    `session="${held}"`,
    `session=x${held}`,
    `other=${held}`,
    `${held}=session`,
    held,
    `session=${held}; session=${held}`,
    `session=${held.replace('_', '%5f')}`,
    `session=${Buffer.from(held).toString('base64')}`,
  ])
    t.equal(cookie(wrong), 'placeholder-misused', wrong)
  t.equal(screen({ headers: [...HOST, 'X', held] }), 'placeholder-misused')
  t.equal(
    screen({ headers: [...HOST, 'Cookie', `session=${held}`], endpoint: OTHER }),
    'placeholder-misused',
  )
  t.end()
})

void t.test('R18, R19: a path has it in its one segment, exactly as it was sent', async (t) => {
  const held = placeholderOf(PATH)
  t.strictSame(screen({ path: `/bot${held}/getMe` }), ['path'])
  t.equal(prepare({ path: `/bot${held}/getMe`, query: 'a=1' }, PATH).path.split('?')[1], 'a=1')
  t.equal(
    prepare({ path: `/bot${held}/getMe` }, PATH).path,
    `/bot${CANARY.replace('/', '%2F')}/getMe`,
  )
  const secret = makeSecret('path', '123456:AAF-x_y')
  const credential = { definition: PATH, secret, placeholder: held }
  t.equal(prepare({ path: `/bot${held}`, credential }).path, '/bot123456:AAF-x_y')
  for (const wrong of [
    `/x/bot${held}/getMe`,
    `//bot${held}/getMe`,
    `/${held}/getMe`,
    `/bot${held}x`,
    `/bot${held};a`,
    `/b%6ft${held}`,
    `/bot${held.replace('_', '%5F')}`,
    `/bot${held}/bot${held}`,
    `/a%2fbot${held}`,
  ]) {
    t.equal(screen({ path: wrong }), 'placeholder-misused', wrong)
  }
  t.equal(screen({ path: `/bot${held}`, endpoint: OTHER }), 'placeholder-misused')
  t.equal(screen({ query: `a=bot${held}` }), 'placeholder-misused')
  for (const path of ['/getMe', '/bot123:own/getMe', '/'])
    t.equal(await reasonOf(() => prepare({ path }, PATH)), UNAVAILABLE, path)
})
