import { verify } from 'node:crypto'

import t from 'tap'

import { loginFields } from '../../../../src/record/sinks/nats-login.ts'
import { credentialsText, makeDecentralised, makeNatsKey } from '../../../fixtures/nats-keys.ts'

void t.test('a token, a user, or nothing', async (t) => {
  t.strictSame(loginFields({}, 'nonce'), {})
  t.strictSame(loginFields({ token: 'secret' }, undefined), { auth_token: 'secret' })
  t.strictSame(loginFields({ user: 'u', password: 'p' }, undefined), { user: 'u', pass: 'p' })
})

void t.test('a seed signs the nonce and gives the name of its key', async (t) => {
  for (let round = 0; round < 20; round += 1) {
    const key = makeNatsKey('U')
    const { nkey, sig } = loginFields({ credentials: `${key.seed}\n` }, 'the nonce')
    t.equal(nkey, key.publicName)
    const signature = Buffer.from(sig!, 'base64url')
    t.ok(verify(null, Buffer.from('the nonce'), key.privateKey, signature))
  }
})

void t.test('a credentials file gives its JWT and the signature', async (t) => {
  const { credentials } = makeDecentralised()
  const { jwt, sig, ...others } = loginFields({ credentials }, 'nonce')
  t.ok(credentials.includes(`\n${jwt}\n`))
  t.match(sig, /^[\w-]{86}$/)
  t.strictSame(others, {})
  const windows = credentials.replaceAll('\n', '\r\n')
  t.equal(loginFields({ credentials: windows }, 'nonce')['jwt'], jwt, 'with CRLF as well')
})

void t.test(
  'a seed that is damaged, of another kind, or without a nonce is told without it',
  async (t) => {
    const { seed } = makeNatsKey('U')
    const at = 20
    const other = seed[at] === 'A' ? 'B' : 'A'
    const damaged = seed.slice(0, at) + other + seed.slice(at + 1)
    for (const [credentials, nonce] of [
      [damaged, 'nonce'],
      [makeNatsKey('A').seed, 'nonce'],
      [credentialsText('a.b.c', ''), 'nonce'],
      [seed, undefined],
    ] as const)
      try {
        loginFields({ credentials }, nonce)
        t.fail('it was taken')
      } catch (error) {
        t.notOk(credentials.length > 0 && String(error).includes(credentials), String(error))
      }
  },
)
