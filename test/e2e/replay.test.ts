// R26: rules are proved on what really happened before they are in force: a journal decided again under others lists what would
// change, says what its records cannot tell, and under the same rules changes nothing.

import path from 'node:path'
import tls from 'node:tls'

import t from 'tap'

import { gitBackend, startGit } from '../fixtures/git-upstream.ts'
import { proxiedFetch } from '../fixtures/proxy-fetch.ts'
import { pki, request, scenario, startSecure, type Scenario } from '../fixtures/scenario.ts'
import { startHttp } from '../fixtures/upstreams.ts'

interface Replayed {
  readonly decisions: number
  readonly same: number
  readonly changed: number
  readonly otherwise: number
  readonly unrecorded: number
  readonly aside: number
  readonly changes: readonly { readonly count: number; readonly host: string }[]
  readonly others: readonly object[]
  readonly untold: readonly object[]
  readonly withoutRules: readonly string[]
}

const LOOPBACK = 'addresses: [127.0.0.0/8]'
const web = await startSecure(['web.test'], () => ({ body: 'here' }))
const opaque = await startSecure(['opaque.test'], () => ({ body: 'unseen' }))
const plain = await startHttp({ handler: () => ({ body: 'plain' }) })
const backend = gitBackend()
const git =
  backend === undefined ? undefined : await startGit(backend, pki.issue({ names: ['git.test'] }))
t.teardown(async () => {
  for (const one of [web, opaque, plain, git]) await one?.close()
})
const at = { web: `web.test:${web.port}`, plain: `plain.test:${plain.port}` }

const RULES = `ruleset: set
owner: appsec@example.com
rules:
  - { id: read, allow: 'https://${at.web}', methods: [GET], paths: ['/items/*'], ${LOOPBACK} }
  - { id: traced, allow: 'https://${at.web}', methods: [POST], paths: [/log], headers: { x-trace: 'a*' }, ${LOOPBACK} }
  - { id: noted, allow: 'https://${at.web}', methods: [POST], paths: [/note], headers: { x-note: 'a*' }, ${LOOPBACK} }
  - { id: plain, allow: 'http://${at.plain}', methods: [GET], ${LOOPBACK} }
  - { id: passed, allow: 'tls://opaque.test:${opaque.port}', ${LOOPBACK} }
  - { id: relayed, allow: 'tcp://relayed.test:${plain.port}', ${LOOPBACK} }
  - { id: watched, allow: 'https://${at.web}', methods: [PUT], observe: true, ${LOOPBACK} }
  - { id: git, allow: 'https://git.test:${git?.port ?? 1}', git: { repos: [acme/widgets], push: ['refs/heads/agent/*'] }, ${LOOPBACK} }
  - { id: never, deny: 'https://${at.web}', paths: ['/items/secret'] }
`
const options = {
  hosts: ['web.test', 'plain.test', 'opaque.test', 'relayed.test', 'git.test'],
  rules: { set: RULES },
  config: 'redact: { headers: [x-note] }\njournal: { denialsPerTaskPerSecond: 10000 }\n',
}

function replay(cx: Scenario, ...words: readonly string[]): Replayed & { status: number | null } {
  const { status, stdout, stderr } = cx.run('replay', 'journal', '--json', ...words)
  if (stderr !== '') throw new Error(stderr)
  const replayed: Replayed = JSON.parse(stdout)
  return { status, ...replayed }
}

/** Calls of every kind, and refusals of every stage. */
async function callAround(cx: Scenario): Promise<void> {
  const through = proxiedFetch(cx)
  const ask = (method: string, url: string, headers: Record<string, string> = {}): Promise<void> =>
    through.fetch(url, { method, headers }).then(
      (response) => void response.text(),
      () => undefined,
    )
  const here = `https://${at.web}`
  await ask('GET', `${here}/items/1`)
  await ask('GET', `${here}/items/2?token=abc`)
  await ask('GET', `${here}/items/secret`)
  await ask('GET', `${here}/others/1`)
  await ask('GET', `${here}/items/a%2fb`)
  await ask('DELETE', `${here}/items/1`)
  await ask('PUT', `${here}/anything`)
  await ask('POST', `${here}/log`, { 'x-trace': 'abc' })
  await ask('POST', `${here}/note`, { 'x-note': 'abc' })
  await ask('POST', `${here}/note`, { 'x-note': 'other' })
  await ask('GET', `${here}/items/1`, { 'x-http-method-override': 'DELETE' })
  await ask('GET', 'https://evil.test/')
  await ask('GET', `https://127.0.0.1:${web.port}/`)
  await through.close()
  await cx.raw(request('GET', `http://${at.plain}/`, at.plain))
  await cx.raw(request('POST', `http://${at.plain}/`, at.plain))
  await cx.raw(request('GET', `http://${at.plain}/a/../b`, at.plain))
  await cx.raw('NONSENSE\r\n\r\n')
  const relayed = await cx.connect(`relayed.test:${plain.port}`)
  relayed.end()
  const passed = await cx.connect(`opaque.test:${opaque.port}`)
  const secure = tls.connect({ socket: passed, ca: pki.caPem, servername: 'opaque.test' })
  await new Promise((resolve) => {
    secure.once('secureConnect', resolve)
    secure.once('error', resolve)
  })
  secure.destroy()
  if (git === undefined) return
  const variables = cx.env()
  for (const repo of ['widgets', 'other'])
    await cx.client('git', ['ls-remote', `https://git.test:${git.port}/acme/${repo}.git`], {
      variables,
    })
}

scenario(
  t,
  'R26: a journal under its own rules changes nothing; under others what changes is listed, with what records cannot tell',
  options,
  async (cx, t) => {
    await callAround(cx)
    await cx.record(({ url }) => url?.domain === 'opaque.test')
    const same = replay(cx, '--rules', 'rules')
    t.match(same, { status: 0, changed: 0, otherwise: 0, changes: [], others: [] })
    t.ok(same.decisions > 20, `${same.decisions} decisions`)
    t.ok(same.aside >= 2, `${same.aside} refusals beside the rules`)
    t.match(
      same.untold,
      [
        { count: 1, missing: ['the headers that set/traced looks at'] },
        { count: 1, missing: ['the method that its x-http-method-override asks for'] },
      ],
      'x-note is recorded, x-trace is not',
    )
    t.equal(same.untold.length, 2)
    t.equal(cx.run('replay', 'journal', '--rules', 'rules').status, 0)

    const other = RULES.replace("paths: ['/items/*']", "paths: ['/items/*', '/others/*']")
      .replace(/^.*id: never.*\n/m, '')
      .replace(/^.*id: plain.*\n/m, '')
      .replace(', observe: true', '')
    cx.file('candidate/set.yaml', other)
    const changed = replay(cx, '--rules', 'candidate')
    t.equal(changed.status, 1)
    const change = (from: object, to: object): object => ({ from, to })
    for (const [host, count, sides] of [
      ['web.test', 1, change({ reason: 'path-not-allowed' }, { rule: 'set/read' })],
      ['web.test', 1, change({ rule: 'set/never' }, { verdict: 'allow', rule: 'set/read' })],
      ['plain.test', 1, change({ rule: 'set/plain' }, { reason: 'not-on-allowlist' })],
    ] as const) {
      const found = changed.changes.filter((each) => each.host === host)
      t.ok(
        found.some((each) => each.count === count && matches(each, sides)),
        `${host} ${JSON.stringify(sides)} in ${JSON.stringify(found)}`,
      )
    }
    t.equal(changed.changed, 3)
    t.ok(
      changed.others.some((each) =>
        matches(each, change({ verdict: 'observe' }, { verdict: 'allow', rule: 'set/watched' })),
      ),
      'what was only observed is allowed',
    )
    const text = cx.run('replay', 'journal', '--rules', 'candidate')
    t.equal(text.status, 1)
    t.match(
      text.stdout,
      / 1 {2}web\.test {2}deny denied-by-rule by set\/never -> allow by set\/read\n/,
    )
    t.match(text.stdout, /\n +01\w+ GET https:\/\/web\.test:\d+\/items\/secret\n/)

    const task = cx.terminal()[0]!.sallyport.task!.id
    t.equal(replay(cx, '--rules', 'candidate', '--task', task).changed, 3)
    t.equal(replay(cx, '--rules', 'candidate', '--task', 't_none').decisions, 0)
    t.equal(replay(cx, '--rules', 'candidate', '--since', '2100-01-01').decisions, 0)
  },
)

scenario(
  t,
  'a replay says how it must be used, what rules would not be taken, and which set is missing',
  options,
  async (cx, t) => {
    await cx.raw(request('GET', `http://${at.plain}/`, at.plain))
    await cx.record(({ url }) => url?.domain === 'plain.test')
    t.match(cx.run('replay', 'journal'), { status: 2, stderr: /needs `--rules DIR`/ })
    t.match(cx.run('replay', 'nowhere', '--rules', 'rules'), { status: 2, stderr: /no nowhere/ })
    cx.file('broken/set.yaml', RULES.replace('methods: [GET]', 'methods: [get]'))
    t.match(cx.run('replay', 'journal', '--rules', 'broken'), { status: 2, stderr: /no method/ })
    cx.file(
      'failing/set.yaml',
      `${RULES}tests:\n  - { call: 'GET https://${at.web}/items/1', expect: deny path-not-allowed }\n`,
    )
    t.match(cx.run('replay', 'journal', '--rules', 'failing'), { status: 2, stderr: /expected/ })
    cx.file('renamed/set.yaml', RULES.replace('ruleset: set', 'ruleset: other'))
    t.match(replay(cx, '--rules', 'renamed'), {
      status: 1,
      changed: 1,
      changes: [{ to: { verdict: 'deny', reason: 'policy-unavailable' } }],
      withoutRules: ['there is no rule set `set`'],
    })
    const without = cx.run('replay', path.join(cx.directory, 'journal'), '--rules', 'renamed')
    t.match(without.stdout, /without rules: there is no rule set `set`\n/)
  },
)

/** Whether all members of one value are in another. */
function matches(value: unknown, wanted: unknown): boolean {
  if (typeof wanted !== 'object' || wanted === null) return value === wanted
  if (typeof value !== 'object' || value === null) return false
  const members = new Map(Object.entries(value))
  return Object.entries(wanted).every(([name, item]) => matches(members.get(name), item))
}
