// A Vault that gives nothing, and how one logs in: a call that needs it is refused at once and in our words.

import { generateKeyPair, SignJWT } from 'jose'
import t from 'tap'

import { scenario } from '../fixtures/scenario.ts'
import { makeTask } from '../fixtures/tasks.ts'
import { KEPT, openVaultDesk } from '../fixtures/vault-desk.ts'
import { VAULT_WORDS } from '../fixtures/vault-server.ts'

const params = { role: 'web' }

void t.test('a Vault that gives nothing', async (t) => {
  const desk = await openVaultDesk(t)
  const { vault, api, database, urls, options, get, sent, guard } = desk
  scenario(
    t,
    'a Vault that is down, slow, wrong, sealed or asked too often is told in our words',
    options,
    async (cx, t) => {
      const refused = /^HTTP\/1\.1 502 Sallyport: credential-unavailable/
      const before = database.seen.length
      const faults: NonNullable<typeof vault.fault>[] = [
        () => [503, { errors: [VAULT_WORDS] }],
        () => [429, { errors: [VAULT_WORDS] }, { 'retry-after': '7' }],
        () => [307, '', { location: `${urls.kv}${VAULT_WORDS}` }],
        () => [473, VAULT_WORDS],
        () => [200, `{ "auth": "${VAULT_WORDS}`],
        () => [200, { auth: { client_token: { [VAULT_WORDS]: 1 } } }],
        () => 'silent',
        (path) =>
          path.startsWith('database/')
            ? [200, { lease_id: '', data: { password: 17 } }]
            : undefined,
        (path) =>
          path.startsWith('database/')
            ? [200, { data: { password: `a\r\nX: ${VAULT_WORDS}` } }]
            : undefined,
        (path) => (path.startsWith('database/') ? [403, { errors: [VAULT_WORDS] }] : undefined),
      ]
      const asked = api.seen.length
      for (const fault of faults) {
        vault.fault = fault
        const questions = vault.log.length
        // One task's failures hold up no other: each of these is asked.
        const task = await makeTask(cx, { params })
        t.match(await get(cx, task, urls.db), refused, String(fault))
        t.ok(vault.log.length > questions, 'Vault was asked')
      }
      t.equal(database.seen.length, before, 'nothing left')
      t.equal(api.seen.length, asked, 'no redirect was followed')
      vault.fault = undefined
      guard(cx)
    },
  )

  scenario(
    t,
    'an answer beyond `providerAnswerBytesMax` is none',
    { ...options, limits: 'providerAnswerBytesMax: 4096' },
    async (cx, t) => {
      const task = await makeTask(cx, { params })
      vault.fault = (path) =>
        path.startsWith('secret/')
          ? [200, { data: { data: { token: KEPT[0], more: 'x'.repeat(5000) }, metadata: {} } }]
          : undefined
      t.match(await get(cx, task, urls.kv), /^HTTP\/1\.1 502 Sallyport: credential-un/)
      vault.fault = undefined
      guard(cx)
    },
  )

  scenario(t, 'what a task says leads nowhere else', options, async (cx, t) => {
    vault.engines.set('database/admin', {
      seconds: 60,
      maxSeconds: 60,
      make: () => ({ password: 'x' }),
    })
    const asked = vault.log.length
    for (const role of ['../admin', 'web/x', '..'])
      t.match(
        await get(cx, await makeTask(cx, { params: { role } }), urls.db),
        /^HTTP\/1\.1 502 Sallyport: credential-unavailable/,
        role,
      )
    t.notOk(vault.log.slice(asked).some((line) => line.includes('database/')))
  })

  const pair = await generateKeyPair('EdDSA')
  const jwt = (subject: string): Promise<string> =>
    new SignJWT({})
      .setProtectedHeader({ alg: 'EdDSA' })
      .setSubject(subject)
      .setAudience('vault')
      .setExpirationTime('10m')
      .sign(pair.privateKey)
  const subject = 'system:serviceaccount:agents:sallyport'
  for (const mount of ['kubernetes', 'jwt'])
    vault.jwtRoles.set(`${mount}/broker`, { key: pair.publicKey, audience: 'vault', subject })
  for (const mount of ['kubernetes', 'jwt'])
    scenario(
      t,
      `logs in by ${mount}, and by nobody else's token`,
      async () => ({
        ...options,
        config: desk.config(`${mount}: { role: broker, token: { file: account.secret } }`),
        files: { 'account.secret': await jwt('system:serviceaccount:agents:other') },
      }),
      async (cx, t) => {
        const ask = async (url: string): Promise<string> =>
          get(cx, await makeTask(cx, { params }), url)
        t.match(await ask(urls.db), /^HTTP\/1\.1 502 Sallyport: credential-unavailable/)
        cx.file('account.secret', await jwt(subject))
        t.match(await ask(urls.db), /^HTTP\/1\.1 200/, 'the same credential, for the next task')
        t.match(await ask(urls.kv), /^HTTP\/1\.1 200/)
        t.equal(sent(api), `Bearer ${KEPT[0]}`)
        guard(cx)
      },
    )
})
