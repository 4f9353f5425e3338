// What a sandbox starts: a process of its own is the same task and no more; a container of its own, at another address, is
// nobody until it is registered, and then a stage that holds less. The client is curl, started by a shell as an agent would.

import t from 'tap'

import { ruleSet, scenario, until, type Scenario } from '../fixtures/scenario.ts'
import { api, makeTask, revoke } from '../fixtures/tasks.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const up = await startHttp({ handler: () => ({ body: 'fetched' }) })
t.teardown(() => up.close())
const site = `http://up.test:${up.port}`
const LOOPBACK = 'addresses: [127.0.0.0/8]'
/** Addresses on one bridge: the sandbox, and containers that it starts. */
const [SANDBOX, CONTAINER, OTHER] = ['127.0.0.1', '127.0.0.2', '127.0.0.3'] as const

const options = {
  expires: null,
  hosts: ['up.test'],
  rules: {
    ...ruleSet(
      `id: read, allow: '${site}', paths: [/read, /write], ${LOOPBACK}`,
      `id: never, deny: '${site}', paths: [/never]`,
    ),
    narrow: `ruleset: narrow\nowner: a@example.com\nrules:\n  - { id: read, allow: '${site}', paths: [/read], ${LOOPBACK} }\n`,
    wide: `ruleset: wide\nowner: a@example.com\nrules:\n  - { id: all, allow: '${site}', ${LOOPBACK} }\n`,
  },
  config: `task:
  intent: e2e
  owner: { name: ann, team: test }
  agent: { account: agent, instance: agent/1 }
  identity: { sources: [${SANDBOX}/32] }
  sandbox: { id: box }
  rules: [set]
  environment: test
  ceiling: confidential
  expires: 30m
`,
}

/** Asks for a path from an address; what came back, or the reason why nothing did. */
async function fetchFrom(
  cx: Scenario,
  address: string,
  asked: string,
  more: { readonly proxy?: string; readonly command?: readonly string[] } = {},
): Promise<string> {
  const proxy = more.proxy ?? `http://127.0.0.1:${cx.proxyPort}`
  const words = ['curl', '-sS', '--interface', address, '--proxy', proxy, `${site}${asked}`]
  const [command = '', ...before] = more.command ?? ['sh', '-c', '"$@"', 'sh']
  const { stdout, stderr } = await cx.client(command, [...before, ...words], { variables: {} })
  return /"reason":"([\w-]+)"/.exec(stdout)?.[1] ?? `${stdout}${stderr}`
}

async function ownTask(cx: Scenario): Promise<string> {
  const { body } = await api(cx, 'GET', '/v1/tasks')
  return body.tasks[0].id
}

scenario(
  t,
  "R47: a process that the sandbox starts holds the task's envelope and no more",
  options,
  async (cx, t) => {
    const deep = ['sh', '-c', 'setsid sh -c \'env -i "$@"\' sh "$@"', 'sh']
    for (const command of [['env'], ['sh', '-c', '"$@"', 'sh'], deep]) {
      t.equal(await fetchFrom(cx, SANDBOX, '/read', { command }), 'fetched')
      t.equal(await fetchFrom(cx, SANDBOX, '/never', { command }), 'denied-by-rule')
      t.equal(await fetchFrom(cx, SANDBOX, '/else', { command }), 'path-not-allowed')
    }
    const id = await ownTask(cx)
    await until(() => cx.terminal().length === 9, 'each call is on record')
    t.strictSame([...new Set(cx.terminal().map(({ sallyport }) => sallyport.task?.id))], [id])
  },
)

scenario(
  t,
  'R47: a container without a registration of its own is `unknown-client`, denied and on record',
  options,
  async (cx, t) => {
    const before = up.connections()
    t.equal(await fetchFrom(cx, CONTAINER, '/read'), 'unknown-client')
    const record = await cx.record(({ event }) => event.reason === 'unknown-client')
    t.match(record, { event: { action: 'call-denied' }, source: { ip: CONTAINER } })
    t.equal(up.connections(), before, 'nothing left')
    const { body } = await api(cx, 'GET', '/v1/inventory')
    t.match(body.unknownClients, [{ address: CONTAINER, reason: 'unknown-client' }])
    t.equal(await fetchFrom(cx, SANDBOX, '/read'), 'fetched', 'the sandbox itself goes on')
  },
)

scenario(
  t,
  'R47: a registered container has an envelope of its own that is narrower, and never more',
  options,
  async (cx, t) => {
    const parent = await ownTask(cx)
    const own = (sources: readonly string[], rules: string, ceiling = 'internal'): object => ({
      identity: { sources },
      rules: [rules],
      ceiling,
      expires: '10m',
    })
    const child = await makeTask(cx, { ...own([`${CONTAINER}/32`], 'narrow') }, parent)
    const { proxy } = child
    t.equal(await fetchFrom(cx, CONTAINER, '/read', { proxy }), 'fetched')
    t.equal(await fetchFrom(cx, CONTAINER, '/write', { proxy }), 'path-not-allowed')
    t.equal(await fetchFrom(cx, SANDBOX, '/write'), 'fetched', 'which its parent may')
    t.equal(await fetchFrom(cx, CONTAINER, '/never', { proxy }), 'path-not-allowed')
    const record = await cx.record(
      ({ event, source }) => event.reason === 'allowed' && source?.ip === CONTAINER,
    )
    t.strictSame(record.sallyport.task?.path, [parent, child.id])

    await t.rejects(
      makeTask(cx, { ...own([`${OTHER}/32`], 'wide') }, parent),
      /delegation-widening/,
    )
    await t.rejects(
      makeTask(cx, { ...own([`${OTHER}/32`], 'narrow', 'restricted') }, parent),
      /delegation-widening/,
    )
    t.equal(await fetchFrom(cx, OTHER, '/read', { proxy }), 'identity-shared', 'a copied token')
    t.equal(await fetchFrom(cx, SANDBOX, '/read', { proxy }), 'identity-shared', "its parent's too")
    t.equal(await fetchFrom(cx, OTHER, '/read'), 'unknown-client')
    t.equal(await fetchFrom(cx, CONTAINER, '/read'), 'unknown-client', 'without its token')

    await revoke(cx, child.id)
    t.equal(await fetchFrom(cx, CONTAINER, '/read', { proxy }), 'task-ended')
    t.equal(await fetchFrom(cx, SANDBOX, '/read'), 'fetched')
    const again = await makeTask(cx, { ...own([`${CONTAINER}/32`], 'narrow') }, parent)
    t.equal(await fetchFrom(cx, CONTAINER, '/read', { proxy: again.proxy }), 'fetched')
    await revoke(cx, parent)
    t.equal(await fetchFrom(cx, CONTAINER, '/read', { proxy: again.proxy }), 'task-ended')
  },
)
