// Tokens of a GitHub App against a server in GitHub's shape: what is asked for, what is refused, what is taken back.

import { generateKeyPairSync } from 'node:crypto'

import t, { type Test } from 'tap'

import { providersOf } from '../../../../src/config/credentials/providers.ts'
import type { GithubSourceDefinition } from '../../../../src/credentials/source-definition.ts'
import { GithubIssuer } from '../../../../src/credentials/issuers/github.ts'
import {
  ProviderError,
  type Minted,
  type MintRequest,
  type Revocation,
} from '../../../../src/credentials/issuer.ts'
import { DEFAULT_LIMITS } from '../../../../src/limits.ts'
import { startGithub, type GithubUpstream } from '../../../fixtures/github-upstream.ts'
import { makePki } from '../../../fixtures/pki.ts'
import { makeDialer } from '../../net/support.ts'
import { taskFor } from '../support.ts'

const pki = makePki()

interface Kit {
  readonly server: GithubUpstream
  readonly issuer: (changes?: Partial<GithubSourceDefinition>, key?: string) => GithubIssuer
}

function prove(title: string, body: (kit: Kit, t: Test) => Promise<void>): void {
  void t.test(title, async (t) => {
    const server = await startGithub(pki.issue({ names: ['github.test'] }))
    if (server === undefined) {
      t.comment('git’s http-backend is not installed here')
      return
    }
    t.teardown(() => server.close())
    const dialer = makeDialer({ hosts: { 'github.test': ['127.0.0.1'] }, roots: [pki.caPem] })
    const issuer: Kit['issuer'] = (changes = {}, key = server.key.pkcs8) =>
      new GithubIssuer({
        source: {
          kind: 'github',
          app: server.appId,
          key: { env: 'KEY' },
          installation: String(server.installation),
          repositories: ['{repo}'],
          permissions: { issues: 'write' },
          api: `https://github.test:${server.port}/api/v3`,
          ...changes,
        },
        provider: providersOf('credentials.github.source', {
          dialer: () => dialer,
          limits: DEFAULT_LIMITS,
        }),
        key: () => Promise.resolve(key),
        now: Date.now,
      })
    await body({ server, issuer }, t)
  })
}

function requestOf(repo: string, ...above: readonly string[]): MintRequest {
  return {
    task: taskFor({ repo }),
    above: above.map((one) => taskFor({ repo: one })),
    notAfter: Date.now() + 600_000,
    signal: new AbortController().signal,
  }
}

async function failureOf(asked: Promise<Minted | Revocation>): Promise<ProviderError> {
  try {
    await asked
  } catch (error) {
    if (error instanceof ProviderError) return error
    throw error
  }
  throw new Error('it was given')
}

const live = ({ tokens }: GithubUpstream): number =>
  tokens.filter(({ isRevoked }) => !isRevoked).length

prove(
  'R20: a task gets a token for its repositories and permissions alone, and another task another',
  async ({ server, issuer }, t) => {
    for (const key of [server.key.pkcs1, server.key.pkcs8]) {
      const {
        material,
        expiresAt = 0,
        handle,
        id,
      } = await issuer({}, key).mint(requestOf('acme/widgets'))
      const given = server.tokens.at(-1)
      t.equal(material['value'], given?.token)
      t.strictSame(given?.repositories, ['widgets'])
      t.strictSame(given?.permissions, { issues: 'write', metadata: 'read' })
      t.strictSame(handle, { token: given?.token })
      t.equal(id, `installation ${server.installation}`)
      t.ok(Math.abs(expiresAt - (given?.expiresAt ?? 0)) < 3000)
    }
    const minting = issuer({ installation: undefined })
    const [one, other] = await Promise.all([
      minting.mint(requestOf('acme/widgets')),
      minting.mint(requestOf('acme/other')),
    ])
    t.not(one.material['value'], other.material['value'])
    t.strictSame(
      server.tokens
        .slice(-2)
        .map(({ repositories }) => repositories.join())
        .toSorted((left, right) => left.localeCompare(right)),
      ['other', 'widgets'],
    )
    const several = issuer({ repositories: ['acme/widgets', 'other', '{repo}'] })
    await several.mint(requestOf('acme/widgets'))
    t.strictSame(server.tokens.at(-1)?.repositories, ['widgets', 'other'])
  },
)

prove('a scope that is empty, unknown or too wide gets nothing', async ({ server, issuer }, t) => {
  for (const [repo, changes, above] of [
    ['', {}, []],
    ['..', {}, []],
    ['acme/..', {}, []],
    ['a/b/c', {}, []],
    ['acme/widgets?x=1', {}, []],
    ['acme/missing', {}, []],
    ['evil/widgets', {}, []],
    ['evil/widgets', { installation: undefined }, []],
    ['widgets', { installation: undefined }, []],
    ['acme/widgets', { repositories: ['evil/other', '{repo}'] }, []],
    ['acme/widgets', { repositories: ['{other}'] }, []],
    ['acme/widgets', { permissions: { administration: 'write' } }, []],
    ['acme/widgets', { permissions: { issues: 'admin' } }, []],
    ['acme/widgets', { installation: '1' }, []],
    ['acme/widgets', { app: 'other' }, []],
    ['acme/widgets', {}, ['acme/other']],
    ['acme/widgets', {}, ['acme/widgets', 'acme/other']],
  ] as const) {
    const failed = await failureOf(issuer(changes).mint(requestOf(repo, ...above)))
    t.ok(failed.isLasting, `${repo}: ${failed.message}`)
  }
  t.equal(live(server), 0, 'no token is left that works')
  await issuer().mint(requestOf('acme/widgets', 'acme/widgets'))
  t.equal(live(server), 1)
})

prove(
  'what is wider than was asked for is given back and not used',
  async ({ server, issuer }, t) => {
    for (const widens of ['repositories', 'permissions', 'other owner', 'end'] as const) {
      server.faults.widens = widens
      const { message, isLasting } = await failureOf(issuer().mint(requestOf('acme/widgets')))
      t.match(message, /more than was asked/)
      t.ok(isLasting)
    }
    t.equal(server.tokens.length, 4)
    t.equal(live(server), 0)
  },
)

prove(
  'R60: a token that is taken back is seen not to work; 204 proves nothing',
  async ({ server, issuer }, t) => {
    const minting = issuer()
    const { signal } = requestOf('')
    const handle = (await minting.mint(requestOf('acme/widgets'))).handle!
    server.faults.keepsTokens = true
    const failed = await failureOf(minting.revoke(handle, signal))
    t.match(failed.message, /works still/)
    t.notOk(failed.isLasting, 'it is tried again')
    server.faults.keepsTokens = false
    t.equal(await minting.revoke(handle, signal), 'confirmed')
    t.equal(live(server), 0)
    t.equal(await minting.revoke(handle, signal), 'confirmed', 'what is gone is gone')
    server.faults.next.push({ status: 502 })
    t.notOk((await failureOf(minting.revoke(handle, signal))).isLasting)
  },
)

prove(
  'a clock that is another is followed, for proving oneself and for ends',
  async ({ server, issuer }, t) => {
    for (const skew of [600_000, -600_000, 45_000]) {
      server.faults.clockSkewMs = skew
      const { expiresAt = 0 } = await issuer().mint(requestOf('acme/widgets'))
      t.ok(Math.abs(expiresAt - Date.now() - 3_600_000) < 5000, String(skew))
    }
  },
)

prove(
  'a limited, broken or missing provider says how long to wait, never in its own words',
  async ({ server, issuer }, t) => {
    const reset = String(Math.floor(Date.now() / 1000) + 120)
    for (const [status, headers, atLeast, atMost] of [
      [429, { 'retry-after': '7' }, 7000, 7000],
      [403, { 'retry-after': '7' }, 7000, 7000],
      [403, { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': reset }, 100_000, 121_000],
      [429, {}, 1000, 1000],
      [429, { 'retry-after': '999999999' }, 3_600_000, 3_600_000],
      [429, { 'retry-after': '-5' }, 1000, 1000],
    ] as const) {
      server.faults.next.push({ status, headers })
      const { retryAfterMs = 0, isLasting } = await failureOf(
        issuer().mint(requestOf('acme/widgets')),
      )
      t.ok(retryAfterMs >= atLeast && retryAfterMs <= atMost, `${status} ${retryAfterMs}`)
      t.notOk(isLasting)
    }
    for (const status of [500, 301, 200]) {
      server.faults.next.push({ status, headers: { location: 'https://evil.test/' } })
      const { message, isLasting } = await failureOf(issuer().mint(requestOf('acme/widgets')))
      t.equal(message, `the provider answered ${status}`)
      t.notOk(isLasting)
    }
    server.faults.next.push({ status: 403 })
    t.ok((await failureOf(issuer().mint(requestOf('acme/widgets')))).isLasting)
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    for (const key of [
      '',
      'nonsense',
      privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    ])
      t.match(
        (await failureOf(issuer({}, key).mint(requestOf('acme/widgets')))).message,
        /no RSA key/,
      )
    const nowhere = issuer({ api: 'https://github.test:1/api/v3' })
    t.match((await failureOf(nowhere.mint(requestOf('acme/widgets')))).message, /^the provider/)
  },
)
