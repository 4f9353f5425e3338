// Rules that change under live traffic: the next request on a kept connection is judged by what is in force then, a broken
// file changes nothing, and observing is unmistakable.

import { renameSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'

import t from 'tap'

import {
  readHead,
  request,
  scenario,
  sleep,
  startSecure,
  until,
  type JournalRecord,
  type Scenario,
} from '../fixtures/scenario.ts'
import { startHttp } from '../fixtures/upstreams.ts'

void t.test('rules under live traffic', async (t) => {
  const upstream = await startSecure(['up.test'], () => ({ body: 'ok' }))
  const plain = await startHttp({ handler: () => ({ body: 'ok' }) })
  t.teardown(() => Promise.all([upstream.close(), plain.close()]))
  const host = `up.test:${upstream.port}`
  const set = (paths: string, more = ''): string => `ruleset: set
owner: a@example.com
rules:
  - { id: secure, allow: 'https://${host}', paths: [${paths}], addresses: [127.0.0.0/8]${more} }
  - { id: plain, allow: 'http://up.test:${plain.port}', paths: [${paths}], addresses: [127.0.0.0/8]${more} }
`
  const options = { hosts: ['up.test'], rules: { set: set("'/**'") } }
  const events = (cx: Scenario, action: string): JournalRecord[] =>
    cx.records().filter(({ event }) => event.action === action)
  const isReady = (cx: Scenario): Promise<{ status: number; text: string }> =>
    fetch(`http://127.0.0.1:${cx.healthPort}/readyz`).then(async (response) => ({
      status: response.status,
      text: await response.text(),
    }))
  /** Requests on one kept connection inside one tunnel. */
  const keptTunnel = async (cx: Scenario): Promise<(target: string) => Promise<string>> => {
    const socket = await cx.secure(host)
    return async (target) => {
      socket.write(request('GET', target, host, { keep: true }))
      const head = await readHead(socket)
      socket.resume()
      await sleep(50)
      socket.read()
      return head.split('\r\n', 1)[0]!
    }
  }

  scenario(
    t,
    'R25: a changed rule binds the next request on a connection that is open',
    options,
    async (cx, t) => {
      const get = await keptTunnel(cx)
      t.equal(await get('/a'), 'HTTP/1.1 200 OK')
      t.equal(await get('/a'), 'HTTP/1.1 200 OK')
      cx.file('rules/set.yaml', set('/b'))
      await until(() => events(cx, 'rules-loaded').length === 2, 'the change is loaded')
      t.equal(await get('/a'), 'HTTP/1.1 403 Sallyport: path-not-allowed')
      t.equal(await get('/b'), 'HTTP/1.1 200 OK', 'and the connection serves on')
      cx.file('rules/set.yaml', set('/a'))
      await until(() => events(cx, 'rules-loaded').length === 3, 'the next change is loaded')
      t.equal(await get('/a'), 'HTTP/1.1 200 OK')
      const decisions = cx
        .terminal()
        .filter(({ sallyport }) => sallyport.call?.kind === 'intercepted')
      t.equal(
        new Set(decisions.map(({ sallyport }) => sallyport.decision?.id)).size,
        5,
        'each request has its own decision',
      )
      const policies = decisions.map(({ sallyport }) => sallyport.decision?.policy)
      t.strictSame(
        [
          policies[0] === policies[1],
          policies[1] === policies[2],
          policies[2] === policies[3],
          policies[3] === policies[4],
        ],
        [true, false, true, false],
        'R26: which cites the policy it was made by',
      )
      t.equal(
        new Set(decisions.map(({ rule }) => rule?.version)).size,
        4,
        'and the version of the rule',
      )
    },
  )

  scenario(
    t,
    'R26: a broken file leaves the last good rules in force, and everybody is told',
    options,
    async (cx, t) => {
      const get = await keptTunnel(cx)
      t.equal(await get('/a'), 'HTTP/1.1 200 OK')
      const broken = {
        'no YAML': 'ruleset: [',
        'an unknown key': set('/b', ', bogus: 1'),
        'a key of a later version': set('/b', ', static: true'),
        'a failing test of its own': `${set('/b')}tests:\n  - { call: 'GET https://${host}/a', expect: allow secure }\n`,
      }
      let refused = 0
      for (const [what, text] of Object.entries(broken)) {
        cx.file('rules/set.yaml', text)
        refused += 1
        await until(() => events(cx, 'rules-refused').length === refused, `${what} is refused`)
        t.equal(await get('/a'), 'HTTP/1.1 200 OK', `${what}: the old rules are in force`)
        t.match(await isReady(cx), { status: 200, text: /"name":"rules",[^}]*refused/ })
        t.match(events(cx, 'rules-refused').at(-1), { event: { outcome: 'failure' } })
        const checked = cx.run('check')
        t.equal(checked.status, 1, `${what}: check says so`)
        t.match(`${checked.stdout}${checked.stderr}`, /set\.yaml:\d+:\d+/)
      }
      t.match(cx.log(), /"level":"(?:warn|error)"[^\n]*rules/i)
      cx.file('rules/set.yaml', set('/b'))
      await until(() => events(cx, 'rules-loaded').length === 2, 'a good one is loaded')
      t.equal(await get('/a'), 'HTTP/1.1 403 Sallyport: path-not-allowed')
      t.notMatch((await isReady(cx)).text, /refused/)
    },
  )

  scenario(
    t,
    'I5: a rule set that the task names and that is gone lets nothing out until it is back',
    options,
    async (cx, t) => {
      const get = await keptTunnel(cx)
      t.equal(await get('/a'), 'HTTP/1.1 200 OK')
      rmSync(path.join(cx.directory, 'rules/set.yaml'))
      await until(() => events(cx, 'rules-loaded').length === 2, 'the change is seen')
      const before = upstream.seen.length
      t.equal(await get('/a'), 'HTTP/1.1 503 Sallyport: policy-unavailable')
      t.equal(upstream.seen.length, before)
      t.equal((await isReady(cx)).status, 503, 'and it does not call itself ready')
      cx.file('rules/set.yaml', set('/a'))
      await until(() => events(cx, 'rules-loaded').length === 3, 'it is back')
      t.equal(await get('/a'), 'HTTP/1.1 200 OK')
    },
  )

  scenario(
    t,
    'R26: several files count together or not at all',
    {
      ...options,
      ruleSets: ['set', 'other'],
      rules: { ...options.rules, other: 'ruleset: other\nowner: a@example.com\nrules: []\n' },
    },
    async (cx, t) => {
      const get = await keptTunnel(cx)
      cx.file('rules/set.yaml', set('/b'))
      cx.file('rules/other.yaml', 'ruleset: other\nrules: [{ nonsense: 1 }]\n')
      await until(() => events(cx, 'rules-refused').length > 0, 'the two are refused')
      t.equal(await get('/a'), 'HTTP/1.1 200 OK', 'the good one of them is not in force')
      cx.file('rules/other.yaml', 'ruleset: other\nowner: a@example.com\nrules: []\n')
      await until(() => events(cx, 'rules-loaded').length === 2, 'both are loaded')
      t.equal(await get('/a'), 'HTTP/1.1 403 Sallyport: path-not-allowed')
    },
  )

  scenario(
    t,
    'R80: observe lets pass what would be denied, and every record says so',
    {
      hosts: ['up.test'],
      rules: {
        set: `${set('/a')}  - { id: look, allow: 'http://up.test:${plain.port}', observe: true, addresses: [127.0.0.0/8] }\n  - { id: no, deny: 'http://up.test:${plain.port}', paths: [/a/denied], observe: true }\n  - { id: never, deny: 'http://up.test:${plain.port}', paths: [/never] }\n`,
      },
    },
    async (cx, t) => {
      const get = (target: string): Promise<string> =>
        cx.raw(request('GET', `http://up.test:${plain.port}${target}`, `up.test:${plain.port}`))
      t.match(await get('/a'), /^HTTP\/1\.1 200/)
      t.match(await get('/else'), /^HTTP\/1\.1 200/)
      t.match(await get('/never'), /^HTTP\/1\.1 403 Sallyport: denied-by-rule/)
      t.match(await cx.record(({ url }) => url?.path === '/a'), { sallyport: { mode: 'enforce' } })
      t.match(await cx.record(({ url }) => url?.path === '/else'), {
        sallyport: {
          mode: 'observe',
          decision: { verdict: 'allow', would_deny: 'path-not-allowed' },
        },
      })
      t.match(await get('/a/denied'), /^HTTP\/1\.1 200/)
      t.match(await cx.record(({ url }) => url?.path === '/a/denied'), {
        sallyport: { mode: 'observe', decision: { would_deny: /denied/ } },
      })
      const checked = cx.run('check')
      t.match(`${checked.stdout}${checked.stderr}`, /observe/, 'check is loud about it')
      t.match(cx.log(), /observe/i, 'so is the log')
    },
  )
})

void t.test('rule files and the sets that always bind', async (t) => {
  const plain = await startHttp({ handler: () => ({ headers: ['Content-Length', '0'] }) })
  t.teardown(() => plain.close())
  const host = `up.test:${plain.port}`
  const set = (paths: string): string =>
    `ruleset: set\nowner: a@example.com\nrules:\n  - { id: up, allow: 'http://${host}', paths: [${paths}], addresses: [127.0.0.0/8] }\n`
  const options = { hosts: ['up.test'], rules: { set: set('/a, /b') } }
  const loads = (cx: Scenario, action = 'rules-loaded'): number =>
    cx.records().filter(({ event }) => event.action === action).length
  const get = (target: string, keep = false): string =>
    request('GET', `http://${host}${target}`, host, { keep })
  const first = (answer: string): string => answer.split('\r\n', 1)[0]!

  scenario(
    t,
    'R25: at the door too a changed rule binds the next request of a kept connection',
    options,
    async (cx, t) => {
      const socket = net.connect(cx.proxyPort, '127.0.0.1')
      const ask = async (target: string): Promise<string> => {
        socket.write(get(target, true))
        return first(await readHead(socket))
      }
      t.equal(await ask('/b'), 'HTTP/1.1 200 OK')
      cx.file('rules/set.yaml', set('/a'))
      await until(() => loads(cx) === 2, 'the change is loaded')
      t.equal(await ask('/a'), 'HTTP/1.1 200 OK')
      t.equal(await ask('/b'), 'HTTP/1.1 403 Sallyport: path-not-allowed')
      socket.destroy()
    },
  )

  scenario(
    t,
    'a file that is still being written is not taken; the whole of it is, written or renamed into place',
    options,
    async (cx, t) => {
      const file = path.join(cx.directory, 'rules/set.yaml')
      const text = set('/a')
      for (let end = 20; end < text.length; end += 20) {
        writeFileSync(file, text.slice(0, end))
        await sleep(200)
      }
      t.equal(loads(cx, 'rules-refused'), 0, 'no half of it was judged')
      t.equal(loads(cx), 1)
      writeFileSync(file, text)
      await until(() => loads(cx) === 2, 'the whole of it is loaded')
      t.equal(first(await cx.raw(get('/b'))), 'HTTP/1.1 403 Sallyport: path-not-allowed')
      writeFileSync(`${file}.new`, set('/b'))
      renameSync(`${file}.new`, file)
      await until(() => loads(cx) === 3, 'so is what replaces it')
      t.equal(first(await cx.raw(get('/b'))), 'HTTP/1.1 200 OK')
    },
  )

  scenario(t, 'SIGHUP loads the rules at once', options, async (cx, t) => {
    cx.file('rules/set.yaml', set('/a'))
    const startedAt = Date.now()
    process.kill(cx.pid(), 'SIGHUP')
    await until(() => loads(cx) === 2, 'the change is loaded')
    t.ok(Date.now() - startedAt < 450, 'without a second reading')
    t.equal(first(await cx.raw(get('/b'))), 'HTTP/1.1 403 Sallyport: path-not-allowed')
    t.equal(first(await cx.raw(get('/a'))), 'HTTP/1.1 200 OK')
    cx.file('rules/set.yaml', 'ruleset: [')
    process.kill(cx.pid(), 'SIGHUP')
    await until(() => loads(cx, 'rules-refused') === 1, 'a broken file is refused at once too')
    t.equal(first(await cx.raw(get('/a'))), 'HTTP/1.1 200 OK')
  })

  const binding = {
    binding: `ruleset: binding
owner: a@example.com
rules:
  - { id: never, deny: 'http://up.test', paths: [/b] }
  - { id: gift, allow: 'http://${host}', paths: [/gift], addresses: [127.0.0.0/8] }
`,
  }
  scenario(
    t,
    'denies of `rules.always` bind every task, its allows do not',
    {
      ...options,
      rules: { ...options.rules, ...binding },
      ruleSets: ['set'],
      config: 'rules: { always: [binding] }',
    },
    async (cx, t) => {
      t.equal(first(await cx.raw(get('/a'))), 'HTTP/1.1 200 OK')
      t.equal(first(await cx.raw(get('/b'))), 'HTTP/1.1 403 Sallyport: denied-by-rule')
      t.equal(first(await cx.raw(get('/gift'))), 'HTTP/1.1 403 Sallyport: path-not-allowed')
      t.match(await cx.record(({ url }) => url?.path === '/b'), {
        rule: { id: 'never', ruleset: 'binding' },
      })
    },
  )

  scenario(
    t,
    'a set that is neither named nor in `rules.always` binds nobody',
    { ...options, rules: { ...options.rules, ...binding }, ruleSets: ['set'] },
    async (cx, t) => {
      t.equal(first(await cx.raw(get('/b'))), 'HTTP/1.1 200 OK')
      t.equal(first(await cx.raw(get('/gift'))), 'HTTP/1.1 403 Sallyport: path-not-allowed')
    },
  )
})
