// Credentials of a Vault seen from both ends: what it keeps and makes, what an upstream receives, what is left of it at the end.

import t from 'tap'

import { scenario, until } from '../fixtures/scenario.ts'
import { makeTask, revoke } from '../fixtures/tasks.ts'
import { KEPT, openVaultDesk } from '../fixtures/vault-desk.ts'

const params = { role: 'web' }

void t.test('a Vault', async (t) => {
  const desk = await openVaultDesk(t)
  const { vault, api, urls, options, get, sent, password, guard } = desk
  scenario(
    t,
    'R20: two tasks have two leases, none beyond its task, and none after it',
    options,
    async (cx, t) => {
      const [one, two] = [await makeTask(cx, { params }), await makeTask(cx, { params })]
      const ok = /^HTTP\/1\.1 200/
      t.match(await get(cx, one, urls.db), ok)
      const first = password()
      t.match(await get(cx, two, urls.db), ok)
      const second = password()
      t.not(first, second)
      t.match(await get(cx, one, urls.db), ok)
      t.equal(password(), first, 'kept while it lasts')
      t.equal(vault.leases.size, 2)
      const latest = Math.max(...[...vault.leases.values()].map(({ expiresAt }) => expiresAt))
      t.ok(latest <= Date.now() + 30 * 60_000, 'a day was cut down to the task')
      t.equal(vault.tokens.size, 1, 'one login for both')
      guard(cx)
      await revoke(cx, one.id)
      t.notOk(vault.isLive('password', first))
      t.ok(vault.isLive('password', second), 'the other goes on')
      t.match(await get(cx, two, urls.db), ok)
      await revoke(cx, two.id)
      t.equal(vault.leases.size, 0)
      await until(() => vault.liveTokens() === 0, 'R13: the login is revoked with the last of them')
      t.ok(
        vault.log.some((line) => line.endsWith('sys/leases/lookup 400')),
        'it was looked for',
      )
    },
  )

  scenario(
    t,
    'R17: what is kept is sent and nowhere else; another version is the next one',
    options,
    async (cx, t) => {
      const one = await makeTask(cx, { params })
      t.match(await get(cx, one, urls.kv), /^HTTP\/1\.1 200/)
      t.equal(sent(api), `Bearer ${KEPT[0]}`)
      await until(() => vault.liveTokens() === 0, 'who only reads is logged in for that alone')
      vault.kept.get('secret/apps/web')?.push({ token: KEPT[1] })
      await revoke(cx, one.id)
      const two = await makeTask(cx, { params })
      t.match(await get(cx, two, urls.kv), /^HTTP\/1\.1 200/)
      t.equal(sent(api), `Bearer ${KEPT[1]}`)
      guard(cx)
    },
  )
})
