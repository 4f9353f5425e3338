// Classes of data from outside: what is above a task's ceiling is refused whatever it comes by, and sources are told apart within
// one host, each with a class of its own.

import t from 'tap'

import { talk } from '../fixtures/mcp-talk.ts'
import {
  exchange,
  pki,
  ruleSet,
  scenario,
  type Scenario,
  type ScenarioOptions,
} from '../fixtures/scenario.ts'
import {
  api,
  connectAs,
  getAs,
  makeTask,
  secureAs,
  taskDefinition,
  type MadeTask,
} from '../fixtures/tasks.ts'
import { startEcho, startHttp } from '../fixtures/upstreams.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'
const ALLOWED = /^HTTP\/1\.1 200 /
// git is told in its own words, with another status.
const refused = (reason: string): RegExp => new RegExp(`^HTTP/1\\.1 \\d+ Sallyport: ${reason}`)

const http = await startHttp({ handler: () => ({ body: 'said' }) })
const echo = await startEcho()
const mcp = await startHttp({
  tls: pki.issue({ names: ['mcp.test'] }),
  handler: (_request, body) => {
    const { id }: { id: number } = JSON.parse(body.toString())
    const result = { contents: [{ uri: 'notes://x', text: 'text of it' }] }
    return {
      headers: ['Content-Type', 'application/json'],
      body: JSON.stringify({ jsonrpc: '2.0', id, result }),
    }
  },
})
t.teardown(() => Promise.all([http.close(), echo.close(), mcp.close()]))

const bucket = `http://bucket.test:${http.port}`
const git = `http://git.test:${http.port}`
const mcpHost = `mcp.test:${mcp.port}`
const notes = `allow: 'https://${mcpHost}/mcp', methods: [POST]`
const rules = ruleSet(
  `id: figures, allow: '${bucket}', methods: [GET], paths: ['/reports/figures/**'], data: internal, accepts: restricted, ${LOOPBACK}`,
  `id: salaries, allow: '${bucket}', methods: [GET], paths: ['/reports/salaries/**'], data: restricted, accepts: restricted, category: [salaries, people], ${LOOPBACK}`,
  `id: widgets, allow: '${git}', methods: [GET], git: { repos: [acme/widgets] }, data: confidential, accepts: restricted, ${LOOPBACK}`,
  `id: secrets, allow: '${git}', methods: [GET], git: { repos: [acme/secrets] }, data: restricted, accepts: restricted, ${LOOPBACK}`,
  `id: notes, ${notes}, resources: ['notes://open/*'], data: internal, accepts: restricted, ${LOOPBACK}`,
  `id: diary, ${notes}, resources: ['notes://diary/*'], data: restricted, accepts: restricted, ${LOOPBACK}`,
  `id: once, allow: 'https://${mcpHost}/once', methods: [POST], resources: ['*'], data: internal, ${LOOPBACK}`,
  `id: vault, allow: 'tcp://vault.test:${echo.port}', data: restricted, ${LOOPBACK}`,
  `id: shed, allow: 'tcp://shed.test:${echo.port}', data: internal, accepts: restricted, ${LOOPBACK}`,
)
const options: ScenarioOptions = {
  rules,
  expires: null,
  hosts: ['bucket.test', 'git.test', 'mcp.test', 'vault.test', 'shed.test'],
}

async function readNote(cx: Scenario, task: MadeTask, uri: string, path = '/mcp'): Promise<string> {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 7, method: 'resources/read', params: { uri } })
  const head = [
    `POST ${path} HTTP/1.1`,
    `Host: ${mcpHost}`,
    'Content-Type: application/json',
    'Accept: application/json, text/event-stream',
    'MCP-Protocol-Version: 2025-06-18',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ]
  return exchange(await secureAs(cx, task, mcpHost), `${head.join('\r\n')}\r\n\r\n${body}`)
}

const refsOf = (repo: string): string => `${git}/${repo}.git/info/refs?service=git-upload-pack`

async function connectTo(cx: Scenario, task: MadeTask, host: string): Promise<string> {
  try {
    const tunnel = await connectAs(cx, task, `${host}:${echo.port}`)
    tunnel.destroy()
    return 'open'
  } catch (error) {
    return String(error)
  }
}

scenario(
  t,
  'R73: above its ceiling a task gets nothing, by whatever way it asks',
  options,
  async (cx, t) => {
    const low = await makeTask(cx, { ceiling: 'confidential' })
    const high = await makeTask(cx, { ceiling: 'restricted' })
    const salaries = `${bucket}/reports/salaries/2026.csv`
    t.match(await getAs(cx, low, salaries), refused('classification-ceiling'))
    t.match(await getAs(cx, low, refsOf('acme/secrets')), refused('classification-ceiling'))
    t.match(await readNote(cx, low, 'notes://diary/1'), /"reason":"classification-ceiling"/)
    t.match(await connectTo(cx, low, 'vault.test'), /403 Sallyport: classification-ceiling/)
    t.match(await getAs(cx, low, `${bucket}/reports/figures/2026.csv`), ALLOWED)
    t.match(await readNote(cx, low, 'notes://open/1'), /text of it/)
    t.equal(await connectTo(cx, low, 'shed.test'), 'open')
    t.equal((await api(cx, 'GET', `/v1/tasks/${low.id}`)).body.read, 'internal', 'as it may')

    t.match(await getAs(cx, high, salaries), ALLOWED, 'the same with a higher ceiling')
    t.match(await getAs(cx, high, refsOf('acme/secrets')), ALLOWED)
    t.match(await readNote(cx, high, 'notes://diary/1'), /text of it/)
    const other = await makeTask(cx, { ceiling: 'restricted' })
    t.equal(await connectTo(cx, other, 'vault.test'), 'open')

    const denied = await cx.record(({ event }) => event.reason === 'classification-ceiling')
    t.match(denied, {
      event: { action: 'call-denied' },
      sallyport: { task: { id: low.id }, decision: { verdict: 'deny' } },
    })
    const read = await cx.record(
      ({ url, event }) => url?.full === salaries && event.action === 'call-ended',
    )
    t.match(read, {
      rule: { id: 'salaries' },
      sallyport: { decision: { data: 'restricted', category: ['people', 'salaries'] } },
    })
  },
)

scenario(t, 'R73: a stage touches no more than every task above it', options, async (cx, t) => {
  const root = await makeTask(cx, { ceiling: 'confidential' })
  const wide = taskDefinition({ parent: root.id, expires: '5m', ceiling: 'restricted' })
  t.match(await api(cx, 'POST', '/v1/tasks', wide), {
    status: 403,
    body: { reason: 'delegation-widening', field: '/ceiling' },
  })
  const stage = await makeTask(cx, { parent: root.id, expires: '5m', ceiling: 'internal' })
  const peer = await makeTask(cx, { parent: root.id, expires: '5m', ceiling: 'confidential' })
  t.match(await getAs(cx, stage, refsOf('acme/widgets')), refused('classification-ceiling'))
  t.match(await getAs(cx, stage, `${bucket}/reports/figures/1`), ALLOWED)
  t.match(await getAs(cx, peer, refsOf('acme/widgets')), ALLOWED)
})

scenario(
  t,
  'R40: sources are a list of their own: the host is allowed, another part of it is not',
  options,
  async (cx, t) => {
    const task = await makeTask(cx, { ceiling: 'restricted' })
    t.match(await getAs(cx, task, refsOf('acme/widgets')), ALLOWED)
    t.match(await getAs(cx, task, refsOf('acme/other')), refused('source-not-allowed'))
    t.match(await getAs(cx, task, `${bucket}/reports/figures/1`), ALLOWED)
    t.match(await getAs(cx, task, `${bucket}/reports/plans/1`), refused('path-not-allowed'))
    t.match(await getAs(cx, task, `${bucket}/other/figures/1`), refused('path-not-allowed'))
    t.match(await readNote(cx, task, 'notes://open/1'), /text of it/)
    t.match(await readNote(cx, task, 'notes://closed/1'), /"reason":"source-not-allowed"/)
    t.equal((await api(cx, 'GET', `/v1/tasks/${task.id}`)).body.read, 'confidential')
    const classes = cx
      .records()
      .filter(({ event }) => event.action === 'flow-raised')
      .map(({ sallyport }) => [sallyport.detail?.['rule'], sallyport.detail?.['after']])
    t.strictSame(classes, [['set/widgets', 'confidential']])
  },
)

scenario(
  t,
  'R32: what a server answers is no send, and the next message is one',
  options,
  async (cx, t) => {
    const task = await makeTask(cx, { ceiling: 'restricted' })
    t.match(await readNote(cx, task, 'notes://x', '/once'), /text of it/)
    t.match(await readNote(cx, task, 'notes://x', '/once'), /"reason":"flow-violation"/)
    t.match(await readNote(cx, task, 'notes://open/1'), /text of it/, 'where it is accepted')
    await cx.message(
      ({ event, sallyport }) =>
        event.action === 'message-allowed' && sallyport.message?.direction === 'to-client',
    )
    const denied = await cx.message(({ event }) => event.action === 'message-denied')
    t.match(denied.sallyport.decision, { reason: 'flow-violation', read: 'internal' })
  },
)

for (const way of ['sessions', 'sse'] as const)
  talk(
    `R32: over ${way} a real client reads and goes on where what it read is accepted`,
    'tools: [get_issue], data: confidential, accepts: confidential',
    async ({ t, cx, connect }) => {
      const client = await connect(way)
      t.match(await client.callTool('get_issue', { id: 'PAY-1' }), { content: [{}] })
      t.match(await client.callTool('get_issue', { id: 'PAY-2' }), { content: [{}] })
      const raised = cx.records().filter(({ event }) => event.action === 'flow-raised')
      t.match(
        raised.map(({ sallyport }) => sallyport.detail),
        [{ after: 'confidential', rule: 'set/mcp', cut: 0 }],
      )
      const { status, stdout } = cx.run(
        'explain',
        'GET',
        'https://mcp.test/x',
        '--after',
        'restricted',
      )
      t.equal(status, 1, stdout)
    },
  )
