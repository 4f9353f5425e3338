// Nothing of an answer of a token endpoint is a token any more.

import * as fc from 'fast-check'
import t from 'tap'

import { takeTokens, WITHHELD } from '../../../src/inspect/token-answer.ts'

const STAND_INS = new Map([['access_token', 'placeholder_of_api']])
const read = (text: string): { body: unknown; tokens: [string, string][]; expiresIn: unknown } => {
  const { body, tokens, expiresIn } = takeTokens(Buffer.from(text), STAND_INS)
  return { body: JSON.parse(Buffer.from(body).toString()), tokens: [...tokens], expiresIn }
}

void t.test('the token is replaced, whatever else looks like one is withheld', (t) => {
  t.strictSame(
    read(
      JSON.stringify({
        access_token: 'real',
        token_type: 'Bearer',
        expires_in: 60,
        refresh_token: 'again',
        id_token: 'who',
        scope: 'a b',
        issued_token_type: 'urn:x',
        device_secret: 'd',
        bot: { accessToken: 'nested', name: 'see real here', list: ['real'] },
      }),
    ),
    {
      body: {
        access_token: 'placeholder_of_api',
        token_type: 'Bearer',
        expires_in: 60,
        refresh_token: WITHHELD,
        id_token: WITHHELD,
        scope: 'a b',
        issued_token_type: 'urn:x',
        device_secret: WITHHELD,
        bot: {
          accessToken: WITHHELD,
          name: 'see placeholder_of_api here',
          list: ['placeholder_of_api'],
        },
      },
      tokens: [['access_token', 'real']],
      expiresIn: 60,
    },
  )
  t.strictSame(read('{"error":"slow_down"}'), {
    body: { error: 'slow_down' },
    tokens: [],
    expiresIn: undefined,
  })
  t.strictSame(read('{"access_token":["a"]}').body, { access_token: WITHHELD })
  t.strictSame(read('{"tokens":{"access_token":"a","x":1}}').body, {
    tokens: { access_token: WITHHELD, x: 1 },
  })
  t.strictSame(
    read('{"tokens":{"api":"a","more":[{"x":"b"}],"n":1},"session":{"value":"c"}}').body,
    {
      tokens: { api: WITHHELD, more: [{ x: WITHHELD }], n: 1 },
      session: { value: WITHHELD },
    },
  )
  t.strictSame(read('{"sid":"a","code":"b","error":"c","token_type":"d","scope":"e"}').body, {
    sid: WITHHELD,
    code: WITHHELD,
    error: 'c',
    token_type: 'd',
    scope: 'e',
  })
  t.strictSame(read('{"code":0}').body, { code: 0 })
  t.strictSame(read('{"who":"eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl"}').body, { who: WITHHELD })
  for (const text of ['', 'a=b', '{"access_token":"a","access_token":"b"}', '{"a":1}{'])
    t.throws(() => read(text), /malformed-body/, text)
  t.end()
})

void t.test('R17: no captured value is left, wherever it stands', (t) => {
  const token = 'canary-5f3e9a71c4'
  const tree = fc
    .jsonValue({ maxDepth: 4 })
    .map((value) => JSON.stringify({ access_token: token, value, deep: [{ value: `${token}!` }] }))
  fc.assert(
    fc.property(tree, (text) => {
      try {
        return !JSON.stringify(read(text).body).includes(token)
      } catch {
        return true
      }
    }),
    { numRuns: 300 },
  )
  t.end()
})
