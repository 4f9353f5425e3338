import { inspect } from 'node:util'

import t from 'tap'

import { derivePlaceholder } from '../../../src/credentials/placeholder.ts'
import { reveal } from '../../../src/credentials/reveal.ts'
import type { LocalSource } from '../../../src/credentials/source-definition.ts'
import { CredentialStore } from '../../../src/credentials/store.ts'
import { DEFAULT_LIMITS } from '../../../src/limits.ts'
import { ALL, BEARER, CANARY, define, makeStore, QUERY, reasonOf, TASK } from '../inject/support.ts'

const KEY = Buffer.alloc(32, 7)

void t.test(
  'a placeholder is stable over restarts and differs between tasks, credentials and keys',
  (t) => {
    const one = makeStore().placeholder(TASK, 'bearer')
    t.match(one, /^ghp_[A-Za-z0-9]{36}$/)
    t.equal(makeStore().placeholder(TASK, 'bearer'), one)
    const others = [
      makeStore().placeholder('t_other', 'bearer'),
      makeStore().placeholder(TASK, 'query'),
      derivePlaceholder(Buffer.alloc(32, 8), TASK, 'bearer', BEARER.placeholder),
    ]
    t.equal(new Set([one, ...others]).size, 4)
    t.end()
  },
)

void t.test(
  'a placeholder has the length asked for, and never fewer than 16 derived characters',
  (t) => {
    for (const [prefix, length, expected] of [
      ['ghp_', 40, 40],
      ['sallyport_github_', 49, 49],
      ['', 16, 16],
      ['x', 512, 512],
      ['sallyport_github_', 20, 33],
    ] as const) {
      const text = derivePlaceholder(KEY, TASK, 'github', { prefix, length })
      t.equal(text.length, expected)
      t.ok(text.startsWith(prefix))
      t.match(text.slice(prefix.length), /^[A-Za-z0-9]+$/)
    }
    t.end()
  },
)

void t.test('a task has one placeholder a credential, in one map that is kept', (t) => {
  const store = makeStore()
  const placeholders = store.placeholders(TASK)
  t.equal(store.placeholders(TASK), placeholders)
  t.strictSame(
    [...placeholders].map(([text, held]) => [text, held.definition]),
    ALL.map((one) => [store.placeholder(TASK, one.name), one]),
  )
  t.equal(makeStore([]).placeholders(TASK).size, 0)
  t.end()
})

void t.test('R19: a credential is for its own hosts and ports only', (t) => {
  const store = makeStore([
    BEARER,
    define(
      { kind: 'bearer' },
      {
        name: 'second',
        hosts: [
          { host: 'api.test', kind: 'name', port: 443 },
          { host: 'api.test', kind: 'name', port: 443 },
          { host: 'other.test', kind: 'name', port: 8443 },
        ],
      },
    ),
  ])
  const names = (host: string, port: number): string[] =>
    store.definitionsFor({ host, port }).map(({ name }) => name)
  t.strictSame(names('api.test', 443), ['bearer', 'second'])
  t.strictSame(names('other.test', 8443), ['second'])
  t.strictSame(names('other.test', 443), [])
  t.strictSame(names('api.test', 80), [])
  t.strictSame(names('sub.api.test', 443), [])
  t.end()
})

void t.test('a credential is known by its name, and an unknown one is unavailable', async (t) => {
  const store = makeStore()
  t.strictSame(store.names(), ['bearer', 'basic', 'header', 'query'])
  t.equal(store.definition('query'), QUERY)
  t.equal(store.definition('none'), undefined)
  t.equal(reveal(await store.secret('query'), 'test'), CANARY)
  t.equal(await reasonOf(() => store.secret('none')), 'credential-unavailable')
  t.equal(await reasonOf(() => store.placeholder(TASK, 'none')), 'credential-unavailable')
})

void t.test('a credential without a value refuses its calls, and the others go on', async (t) => {
  const store = makeStore(
    [
      BEARER,
      define(
        { kind: 'query', name: 'key' },
        { source: { kind: 'local', from: { env: 'UNSET' }, format: 'text' } },
      ),
    ],
    { CANARY },
  )
  t.equal(await reasonOf(() => store.secret('query')), 'credential-unavailable')
  t.equal((await store.secret('bearer')).name, 'bearer')
})

void t.test('only a variable has the value that it had', (t) => {
  const mayChange = (from: LocalSource, environment: Record<string, string>): boolean =>
    makeStore(
      [define({ kind: 'bearer' }, { source: { kind: 'local', from, format: 'text' } })],
      environment,
    ).mayChange('bearer')
  t.equal(mayChange({ env: 'CANARY' }, { CANARY }), false)
  t.equal(mayChange({ env: 'CANARY' }, {}), false, 'nor will one that is not set have any')
  t.equal(mayChange({ env: 'CANARY' }, { CANARY_FILE: '/nowhere' }), true)
  t.equal(mayChange({ file: '/nowhere' }, {}), true)
  t.equal(makeStore([]).mayChange('minted'), true)
  t.end()
})

void t.test('I3: a store that was used prints no value', async (t) => {
  const store = new CredentialStore(ALL, {
    environment: { CANARY },
    limits: { ...DEFAULT_LIMITS, secretBytesMax: 1024, providerTimeoutMs: 1000 },
    placeholderKey: KEY,
  })
  await store.secret('bearer')
  t.notMatch(inspect(store, { showHidden: true, depth: 9 }), 'canary-')
  t.notMatch(JSON.stringify(store), 'canary-')
})
