// R53: what was decided can be decided again from its record alone, with the rules of then by their digests; for denials as for
// allows, for messages as for calls. What a record does not hold is named.

import t from 'tap'

import { GRAPHQL_PATH, startGraphql } from '../fixtures/graphql-upstream.ts'
import { connectMcp } from '../fixtures/mcp-client.ts'
import { startMcp } from '../fixtures/mcp-upstream.ts'
import { DIALECTS, openModels } from '../fixtures/model-client.ts'
import { startModel } from '../fixtures/model-upstream.ts'
import { proxiedFetch } from '../fixtures/proxy-fetch.ts'
import {
  pki,
  scenario,
  startSecure,
  type JournalRecord,
  type Scenario,
} from '../fixtures/scenario.ts'
import { api, getAs, makeTask, type MadeTask } from '../fixtures/tasks.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'
const METHODS = ['GET', 'POST', 'DELETE', 'PUT'] as const
const PATHS = [
  '/repos/acme/widgets/issues',
  '/repos/acme/other/issues',
  '/repos/acme/widgets/secrets/1',
  '/repos/acme/widgets/SECRETS/1',
  '/search?q=a&page=1',
  '/search?q=b',
  '/search',
  '/watched/one',
  '/repos/acme/widgets//issues;v=1',
  '/r%65pos/acme/widgets/issues',
] as const

const web = await startSecure(['web.test'], () => ({ body: 'here' }))
const mcp = await startMcp(pki.issue({ names: ['mcp.test'] }))
const model = await startModel(pki.issue({ names: ['model.test'] }))
const graph = await startGraphql(pki.issue({ names: ['graph.test'] }))
t.teardown(() => Promise.all([web, mcp, model, graph].map((one) => one.close())))
const at = {
  web: `web.test:${web.port}`,
  mcp: `mcp.test:${mcp.port}`,
  model: `model.test:${model.port}`,
  graph: `graph.test:${graph.port}`,
}

const set = (name: string, head: string, ...rules: readonly string[]): string =>
  `ruleset: ${name}\nowner: appsec@example.com\n${head}rules:\n${rules.map((rule) => `  - { ${rule}, ${LOOPBACK} }\n`).join('')}`
const PARAMS = "params:\n  repo: { pattern: '[\\w.-]+/[\\w.-]+' }\n"
const deny = (text: string): string => text.replaceAll(`, ${LOOPBACK}`, '')
const RULES = {
  mixed: set(
    'mixed',
    PARAMS,
    `id: repos, allow: 'https://${at.web}', methods: [GET, POST], paths: ['/repos/{repo}/**']`,
    `id: search, allow: 'https://${at.web}', methods: [GET], paths: [/search], query: { q: a }`,
    `id: watched, allow: 'https://${at.web}', paths: ['/watched/*'], observe: true`,
    `id: issues, allow: 'https://${at.mcp}', methods: [GET, POST, DELETE], tools: [list_*, get_*]`,
    `id: ask, allow: 'https://${at.model}', methods: [POST], models: [claude-*], maxTokens: 100`,
    `id: graph, allow: 'https://${at.graph}', paths: [${GRAPHQL_PATH}], graphql: { operations: [query], fields: [repository.issues] }`,
  ),
  guard: deny(
    set('guard', '', `id: no-secrets, deny: 'https://${at.web}', paths: ['/repos/*/*/secrets/**']`),
  ),
  stage: set(
    'stage',
    '',
    `id: all-repos, allow: 'https://${at.web}', methods: [GET], paths: [/repos/acme/widgets/issues]`,
  ),
  traced: set(
    'traced',
    '',
    `id: traced, allow: 'https://${at.web}', methods: [POST], paths: [/log], headers: { x-trace: 'a*' }`,
  ),
}
const options = {
  expires: null,
  hosts: ['web.test', 'mcp.test', 'model.test', 'graph.test'],
  rules: RULES,
  config: 'rules: { always: [guard] }\njournal: { denialsPerTaskPerSecond: 10000 }\n',
}

interface Side {
  readonly outcome?: { readonly verdict: string; readonly reason: string }
  readonly missing?: readonly string[]
  readonly aside?: string
  readonly why?: string
  readonly same: boolean | null
}

interface Explained {
  readonly record: JournalRecord
  readonly underRulesThen: Side
  readonly underRulesNow: Side
  readonly rulesChanged: boolean | null
}

// What one run prints has to fit the test's buffer.
const AT_ONCE = 100

function explain(cx: Scenario, ids: readonly string[]): Explained[] {
  const explained: Explained[] = []
  for (let from = 0; from < ids.length; from += AT_ONCE) {
    const some = ids.slice(from, from + AT_ONCE)
    const { stdout, stderr } = cx.run('explain', '--json', '--call', ...some)
    if (stderr !== '') throw new Error(stderr)
    for (const line of stdout.trimEnd().split('\n')) explained.push(JSON.parse(line))
  }
  if (explained.length !== ids.length) throw new Error(`${explained.length} of ${ids.length}`)
  return explained
}

/** A few hundred calls of a task: every method with every path, tunnels to nowhere, messages, questions. */
async function callAround(cx: Scenario, task: MadeTask): Promise<void> {
  const through = proxiedFetch(cx, task)
  const ask = (url: string, method: string, body?: string): Promise<unknown> =>
    through
      .fetch(url, {
        method,
        ...(body !== undefined && { body, headers: { 'content-type': 'application/json' } }),
      })
      .then((response) => response.text())
      .catch(() => undefined)
  for (let round = 0; round < 4; round += 1)
    for (const where of PATHS)
      await Promise.all(METHODS.map((method) => ask(`https://${at.web}${where}`, method)))
  for (const url of ['https://evil.test/', 'https://web.test:1/', 'https://127.0.0.1/'])
    await ask(url, 'GET')
  for (const query of [
    '{ repository(owner: "acme", name: "widgets") { issues { nodes { title } } } }',
    '{ repository(owner: "acme", name: "widgets") { collaborators { login } } }',
    'mutation { addComment(subject: "I1", body: "x") { comment { id } } }',
    '{ __schema { types { name } } }',
    '{ not graphql',
  ])
    await ask(`https://${at.graph}${GRAPHQL_PATH}`, 'POST', JSON.stringify({ query }))
  await through.close()
}

async function talk(cx: Scenario, task: MadeTask): Promise<void> {
  const client = await connectMcp(cx, { way: 'sessions', host: at.mcp, task })
  await client.listTools()
  await client.callTool('list_issues', {}).catch(() => undefined)
  await client.callTool('delete_issue', { id: 'PAY-1' }).catch(() => undefined)
  await client.readResource('file:///etc/passwd').catch(() => undefined)
  await client.close()
  const models = openModels(cx, at.model, task)
  for (const dialect of DIALECTS)
    for (const more of [{}, { max_tokens: 50 }, { max_tokens: 5000 }])
      await models
        .post(dialect.path, JSON.stringify(dialect.question('hello', more)))
        .then((response) => response.text())
  await models.close()
}

const decided = ({ sallyport: { decision } }: JournalRecord): boolean => decision !== undefined

scenario(
  t,
  'R53: a decision made again from its record, with the rules of then, is the same',
  options,
  async (cx, t) => {
    const task = await makeTask(cx, { rules: ['mixed'], params: { repo: 'acme/widgets' } })
    const child = await makeTask(cx, { rules: ['stage'], expires: '20m' }, task.id)
    await callAround(cx, task)
    await talk(cx, task)
    await callAround(cx, child)
    const records = [...cx.terminal(), ...cx.messages()].filter(decided)
    const denied = records.filter(({ sallyport }) => sallyport.decision?.verdict === 'deny')
    t.ok(records.length > 300, `${records.length} decisions`)
    t.ok(denied.length > 100, `${denied.length} of them refusals`)
    const ids = records.map(({ event }) => event.id)
    const explained = explain(cx, ids)
    const told = explained.filter(({ underRulesThen: { outcome } }) => outcome !== undefined)
    const others = explained.filter(({ underRulesThen: { outcome } }) => outcome === undefined)
    t.strictSame(
      told
        .filter(({ underRulesThen: { same } }) => same !== true)
        .map(({ record, underRulesThen }) => [
          record.event.reason,
          record.url?.full,
          underRulesThen.outcome,
        ]),
      [],
      `all ${told.length} that a record tells come to the same`,
    )
    const untold = others.map(({ underRulesThen: { missing, aside } }) => String(aside ?? missing))
    // A GET without a body, and a record has no headers.
    t.ok(untold.every((what) => what === 'whether it was a request of an MCP client'))
    t.ok(told.length > records.length * 0.95, `${others.length} are not told by their records`)
    for (const verdict of ['allow', 'deny'])
      t.ok(told.some(({ underRulesThen: { outcome } }) => outcome?.verdict === verdict))
    t.ok(told.every(({ underRulesNow: { same } }) => same === true))
    t.ok(explained.every(({ rulesChanged }) => rulesChanged !== true))
    const replayed = cx.run('replay', 'journal', '--rules', 'rules', '--json')
    t.equal(replayed.status, 0, 'R26: a replay under the same rules')
    t.match(JSON.parse(replayed.stdout), { changed: 0, otherwise: 0, unrecorded: others.length })
  },
)

scenario(
  t,
  'after the rules have changed both sides are told, and what a record does not have',
  options,
  async (cx, t) => {
    const task = await makeTask(cx, {
      rules: ['mixed', 'traced'],
      params: { repo: 'acme/widgets' },
    })
    const child = await makeTask(cx, { rules: ['stage'], expires: '20m' }, task.id)
    const issues = `https://${at.web}/repos/acme/widgets/issues`
    const through = proxiedFetch(cx, task)
    await through.fetch(issues)
    await through.fetch(`https://${at.web}/log`, { method: 'POST', headers: { 'x-trace': 'abc' } })
    await through.close()
    cx.file('rules/mixed.yaml', RULES.mixed.replace('methods: [GET, POST]', 'methods: [POST]'))
    t.equal((await api(cx, 'POST', '/v1/rules/reload', {})).status, 200)
    const below = proxiedFetch(cx, child)
    await below.fetch(issues)
    await below.close()
    await getAs(cx, undefined, 'http://web.test/')
    const record = (meets: (record: JournalRecord) => boolean): Promise<JournalRecord> =>
      cx.record(meets)
    const before = await record(
      ({ url, sallyport }) => url?.full === issues && sallyport.task?.id === task.id,
    )
    const traced = await record(({ url }) => url?.path === '/log')
    const refused = await record(
      ({ url, sallyport }) => url?.full === issues && sallyport.task?.id === child.id,
    )
    const stranger = await record(({ event }) => event.reason === 'identity-missing')
    const [one, two, three, four] = explain(
      cx,
      [before, traced, refused, stranger].map(({ sallyport }) => sallyport.call!.id),
    )
    t.match(one, {
      underRulesThen: { same: true, outcome: { verdict: 'allow' } },
      underRulesNow: { same: false, outcome: { verdict: 'deny', reason: 'path-not-allowed' } },
      rulesChanged: true,
    })
    t.match(two, {
      underRulesThen: { same: null, missing: ['the headers that traced/traced looks at'] },
    })
    t.match(refused.sallyport.detail, { refusedFor: task.id })
    t.match(three, { underRulesThen: { same: true }, underRulesNow: { same: true } }, 'a parent’s')
    t.match(four, { underRulesThen: { same: null, why: /identity-missing/ } })
    const text = cx.run('explain', '--call', before.sallyport.call!.id)
    t.equal(text.status, 1, 'as it would be now')
    t.match(text.stdout, /^recorded allow by mixed\/repos$/m)
    t.match(text.stdout, /^then +allow by mixed\/repos \(the same\)$/m)
    t.match(text.stdout, /^now +deny path-not-allowed \(another\)$/m)
    t.match(text.stdout, /^rules +changed since: sha256:\S+ then, sha256:\S+ now$/m)
    t.match(cx.run('explain', '--call', '01JNONE'), { status: 2, stderr: /there is no call/ })
  },
)
