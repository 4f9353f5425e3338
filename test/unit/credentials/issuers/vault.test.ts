import t, { type Test } from 'tap'

import {
  ProviderError,
  type MintRequest,
  type Provider,
} from '../../../../src/credentials/issuer.ts'
import type { VaultAsk } from '../../../../src/credentials/source-definition.ts'
import { VaultClient } from '../../../../src/credentials/issuers/vault-client.ts'
import { VaultSession } from '../../../../src/credentials/issuers/vault-session.ts'
import { VaultIssuer } from '../../../../src/credentials/issuers/vault.ts'
import type { Task } from '../../../../src/tasks/task.ts'
import { until } from '../../../fixtures/scenario.ts'
import { VAULT_WORDS, VaultServer } from '../../../fixtures/vault-server.ts'
import { taskFor } from '../support.ts'

const CREDS: VaultAsk = { kind: 'lease', path: 'database/creds/{role}' }
const signal = new AbortController().signal

interface Desk {
  /** Tokens that are masked. */
  readonly known: Set<string>
  readonly vault: VaultServer
  readonly issuer: (ask?: VaultAsk, namespace?: string) => VaultIssuer
  readonly request: (ms?: number, params?: Task['params'], above?: Task['params'][]) => MintRequest
}

async function open(t: Test): Promise<Desk> {
  const vault = new VaultServer()
  vault.appRoles.set('role', 'canary-secret-id')
  let made = 0
  vault.engines.set('database/creds/web', {
    seconds: 300,
    maxSeconds: 1200,
    make: () => ({ username: 'v-1', password: `canary-made-${(made += 1)}` }),
  })
  const server = await vault.start()
  t.teardown(() => server.close())
  const provider: Provider = {
    ask: async ({ path, ...asked }) => {
      const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, {
        method: asked.method,
        headers: asked.headers,
        ...(typeof asked.body === 'string' && { body: asked.body }),
        redirect: 'manual',
      })
      const body = Buffer.from(await answer.arrayBuffer())
      return { status: answer.status, headers: Object.fromEntries(answer.headers), body }
    },
  }
  const now = (): number => vault.now()
  const known = new Set<string>()
  const issuer = (ask = CREDS, namespace?: string): VaultIssuer => {
    const client = new VaultClient({ provider: () => provider, basePath: '', namespace, now })
    const session = new VaultSession({
      client,
      login: { kind: 'appRole', mount: 'approle', roleId: 'role', secret: { env: 'X' } },
      secret: async () => 'canary-secret-id',
      learn: (token) => {
        known.add(token)
        return () => known.delete(token)
      },
      now,
    })
    return new VaultIssuer({ ask, client, session, secretBytesMax: 1000, now })
  }
  const request: Desk['request'] = (ms = 600_000, params = { role: 'web' }, above = []) => ({
    task: taskFor(params),
    above: above.map((one) => taskFor(one)),
    notAfter: now() + ms,
    signal,
  })
  return { known, vault, issuer, request }
}

async function refusal(t: Test, asked: Promise<unknown>): Promise<ProviderError> {
  const error: unknown = await asked.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof ProviderError)) throw new Error('no ProviderError', { cause: error })
  t.notMatch(error.message, VAULT_WORDS)
  return error
}

void t.test(
  'R20: a lease ends with its task at the latest, is prolonged, and is taken back',
  async (t) => {
    const { known, vault, issuer, request } = await open(t)
    const one = issuer()
    const short = await one.mint(request(60_000))
    t.match(short.material, { user: 'v-1', value: 'canary-made-1' })
    t.ok((short.expiresAt ?? Infinity) <= vault.now() + 60_000)
    const lease = await one.mint(request())
    t.equal(vault.tokens.size, 1)
    t.strictSame([...known], [...vault.tokens.keys()])
    vault.skewMs = 200_000
    const longer = await one.renew(lease, request())
    t.ok((longer.expiresAt ?? 0) > (lease.expiresAt ?? 0))
    t.strictSame(longer.handle, lease.handle)
    t.equal(await one.revoke(lease.handle ?? {}, signal), 'confirmed')
    t.equal(await one.revoke(lease.handle ?? {}, signal), 'confirmed', 'once more')
    t.equal(await issuer().revoke(short.handle ?? {}, signal), 'confirmed', 'after a restart')
    await one.revoke(short.handle ?? {}, signal)
    await until(() => vault.liveTokens() === 0, 'no login is left')
    t.equal(known.size, 0)
  },
)

void t.test('a login that ended is followed by another; one that may not is not', async (t) => {
  const { vault, issuer, request } = await open(t)
  const one = issuer()
  const lease = await one.mint(request())
  vault.tokens.clear()
  t.match((await one.mint(request())).material, { value: 'canary-made-2' })
  t.ok((await refusal(t, one.renew(lease, request()))).isLasting, 'it is minted anew')
  vault.policy = []
  vault.tokens.clear()
  const logins = (): number => vault.log.filter((line) => line.includes('/login ')).length
  const before = logins()
  const denied = await refusal(t, one.mint(request()))
  t.match(denied.message, 'Vault does not allow it (403)')
  t.equal(logins(), before + 1)
})

void t.test(
  'a login is renewed before it ends, and followed by another towards its longest',
  async (t) => {
    const { vault, issuer, request } = await open(t)
    vault.tokenMaxSeconds = 900
    const one = issuer()
    await one.mint(request())
    vault.skewMs = 400_000
    await one.mint(request())
    t.ok(vault.log.some((line) => line.includes('renew-self 200')))
    t.equal(vault.tokens.size, 1)
    vault.skewMs = 650_000
    await one.mint(request())
    t.equal(vault.tokens.size, 2, 'what the first one made goes on with it')
  },
)

void t.test('two at once log in once', async (t) => {
  const { vault, issuer, request } = await open(t)
  const one = issuer()
  await Promise.all([one.mint(request()), one.mint(request()), one.mint(request())])
  t.equal(vault.log.filter((line) => line.includes('/login ')).length, 1)
  t.equal(vault.leases.size, 3)
})

void t.test(
  'what is kept: a version, members by their names, another after a rotation',
  async (t) => {
    const { vault, issuer, request } = await open(t)
    vault.namespace = 'team/a'
    vault.kept.set('secret/apps/one two', [{ name: 'n', pass: 'first' }, { pass: 'second' }])
    const ask = {
      kind: 'kv',
      mount: 'secret',
      path: 'apps/one two',
      fields: { value: 'pass' },
    } as const
    const one = issuer(ask, 'team/a')
    t.ok(one.isStatic)
    t.match(await one.mint(request()), {
      material: { value: 'second' },
      handle: undefined,
      id: 'version 2',
    })
    vault.kept.get('secret/apps/one two')?.push({ pass: 'third' })
    t.match(await one.mint(request()), { material: { value: 'third' } })
    const pinned = issuer({ ...ask, version: 1, fields: { user: 'name', value: 'pass' } }, 'team/a')
    t.match(await pinned.mint(request()), { material: { user: 'n', value: 'first' } })
    const absent = await refusal(
      t,
      issuer({ ...ask, fields: { value: 'none' } }, 'team/a').mint(request()),
    )
    t.match(absent, { message: 'Vault gives nothing for `value`', isLasting: true })
    t.match(await refusal(t, issuer({ ...ask, path: 'x' }, 'team/a').mint(request())), {
      message: /\(404\)/,
    })
    t.match(await refusal(t, issuer(ask).mint(request())), { message: 'Vault refuses the login' })
  },
)

void t.test('what is only read and has no lease is no lease', async (t) => {
  const { vault, issuer, request } = await open(t)
  const answer = { lease_id: '', lease_duration: 0, data: { password: 'canary-shared' } }
  vault.fault = (path) => (path.includes('database/') ? [200, answer] : undefined)
  t.match(await refusal(t, issuer().mint(request())), {
    message: 'Vault made no lease of it',
    isLasting: true,
  })
  const posted = issuer({ kind: 'lease', path: 'database/creds/{role}', parameters: {} })
  t.match(await posted.mint(request()), { material: { value: 'canary-shared' }, handle: undefined })
})

void t.test("parameters are the task's, and never wider than above it", async (t) => {
  const { vault, issuer, request } = await open(t)
  const bodies: unknown[] = []
  const make = (body: unknown): Record<string, unknown> => {
    bodies.push(body)
    return { access_key: 'AKIA', secret_key: 'canary-key', security_token: null }
  }
  vault.engines.set('aws/sts/deploy', {
    seconds: 3600,
    maxSeconds: 3600,
    takesTtl: true,
    isRenewable: false,
    make,
  })
  const ask = {
    kind: 'lease',
    path: 'aws/sts/deploy',
    parameters: { name: '{name}', a: '{a}' },
    ttlParameter: 'ttl',
  } as const
  const one = issuer(ask)
  const params = { name: 'x', a: 'y' }
  const minted = await one.mint(request(90_500, params, [params]))
  t.strictSame(minted.material, { accessKeyId: 'AKIA', secretAccessKey: 'canary-key' })
  t.strictSame(bodies, [{ name: 'x', a: 'y', ttl: '90s' }])
  t.ok((minted.expiresAt ?? Infinity) <= vault.now() + 90_500)
  const swapped = one.mint(request(90_000, params, [{ name: 'y', a: 'x' }]))
  t.match(await refusal(t, swapped), { message: /wider than that of a task above/ })
})

void t.test(
  'what Vault answers otherwise is told in our words, and what it made is given back',
  async (t) => {
    const { vault, issuer, request } = await open(t)
    vault.engines.set('database/creds/odd', {
      seconds: 60,
      maxSeconds: 60,
      make: () => ({ password: 17 }),
    })
    t.match(await refusal(t, issuer().mint(request(1000, { role: 'odd' }))), {
      message: '`value` is no text',
    })
    t.equal(vault.leases.size, 0)
    vault.fault = () => [429, { errors: [VAULT_WORDS] }, { 'retry-after': '7' }]
    t.match(await refusal(t, issuer().mint(request())), { retryAfterMs: 7000, isLasting: false })
    vault.fault = () => [503, VAULT_WORDS]
    t.match(await refusal(t, issuer().mint(request())), {
      message: /sealed/,
      retryAfterMs: undefined,
    })
    vault.fault = () => [307, '', { location: `http://127.0.0.1/${VAULT_WORDS}` }]
    t.match(await refusal(t, issuer().mint(request())), { message: /active node/, isLasting: true })
  },
)
