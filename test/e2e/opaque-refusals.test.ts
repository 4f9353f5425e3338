// R83: what a refusal says is the table's words. Two policies whose rules differ in everything that a client is not to know
// refuse the same calls in the same shape, and nothing of either is in a head, a body or a reason phrase, nor in what
// `sallyport.internal` answers.

import t from 'tap'

import { exchange, scenario, startSecure, type Scenario } from '../fixtures/scenario.ts'
import { api, connectAs, getAs, makeTask, type MadeTask } from '../fixtures/tasks.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const OWN = 'http://sallyport.internal'

// Every text of these two that only people may read begins with `hidden` or `veiled`.
const POLICIES = [
  {
    name: 'hidden',
    path: '/hidden-path/*/x',
    method: 'PUT',
    environment: 'hidden-env',
    condition: 'task.intent == "hidden-intent"',
    value: 'hidden-value',
    tool: 'hidden-tool',
  },
  {
    name: 'veiled',
    path: '/veiled-path/**',
    method: 'PATCH',
    environment: 'veiled-env',
    condition: 'call.method == "VEILED" && task.owner.name == "veiled-owner"',
    value: 'veiled-value',
    tool: 'veiled-tool',
  },
] as const

function rulesOf(at: (typeof POLICIES)[number], port: number): string {
  const { name, path, method, environment, condition, value, tool } = at
  const to = (host: string): string => `http://${host}.test:${port}`
  return `ruleset: ${name}-set
owner: ${name}-owner@example.com
description: ${name} description
rules:
  - { id: ${name}-path, allow: '${to('path')}', paths: ['${path}'], credential: ${name}-key }
  - { id: ${name}-method, allow: '${to('method')}', methods: [${method}] }
  - { id: ${name}-environment, allow: '${to('environment')}', environment: ${environment} }
  - { id: ${name}-condition, allow: '${to('condition')}', when: '${condition}' }
  - { id: ${name}-broken, allow: '${to('broken')}', when: 'call.headers["${value}"] == "x"' }
  - { id: ${name}-query, allow: '${to('query')}', query: { kind: ${value} } }
  - { id: ${name}-tool, allow: '${to('tool')}/mcp', tools: [${tool}] }
  - { id: ${name}-shut, allow: '${to('shut')}' }
  - { id: ${name}-deny, deny: '${to('shut')}', description: ${name} reason }
  - { id: ${name}-port, allow: 'http://port.test:${port + 1}' }
  - { id: ${name}-address, allow: '${to('address')}' }
  - { id: ${name}-time, allow: '${to('time')}', between: { days: [mon, tue, wed, thu, fri, sat, sun], from: '${name === 'hidden' ? '00:00' : '00:01'}', to: '${name === 'hidden' ? '00:01' : '00:02'}', zone: UTC } }
  - { id: ${name}-held, hold: '${to('held')}', reviewers: [${name}-reviewer] }
`
}

const CALLS: readonly (readonly [kind: string, method: string, host: string, path: string])[] = [
  ['a host', 'GET', 'nowhere', '/'],
  ['a path', 'GET', 'path', '/elsewhere'],
  ['a method', 'GET', 'method', '/'],
  ['an environment', 'GET', 'environment', '/'],
  ['a condition', 'GET', 'condition', '/'],
  ['a condition that cannot be evaluated', 'GET', 'broken', '/'],
  ['a query', 'GET', 'query', '/?kind=other'],
  ['a deny', 'GET', 'shut', '/'],
  ['a port', 'GET', 'port', '/'],
  ['an address', 'GET', 'address', '/'],
  ['a window', 'GET', 'time', '/'],
  ['a hold', 'POST', 'held', '/'],
  ['a path that cannot be read', 'GET', 'path', '/a/../b'],
]

void t.test('refusals are opaque', async (t) => {
  const up = await startHttp({})
  const secure = await startSecure(['secure.test'])
  t.teardown(() => Promise.all([up.close(), secure.close()]))
  const hosts = [...new Set([...CALLS.map(([, , host]) => `${host}.test`), 'tool.test'])]
  const sets = Object.fromEntries(POLICIES.map((at) => [`${at.name}-set`, rulesOf(at, up.port)]))

  scenario(
    t,
    'R83: two different hidden rules refuse in the same shape, and nothing of either leaves',
    {
      hosts,
      expires: null,
      rules: sets,
      secrets: { HIDDEN: 'canary-hidden-0123456789', VEILED: 'canary-veiled-0123456789' },
      config: `credentials:
  hidden-key: { source: { env: HIDDEN }, inject: { bearer: true }, hosts: ['path.test:${up.port}'], insecurePlaintext: true }
  veiled-key: { source: { env: VEILED }, inject: { bearer: true }, hosts: ['path.test:${up.port}'], insecurePlaintext: true }
`,
    },
    async (cx, t) => {
      const tasks = await Promise.all(
        POLICIES.map(({ name }) => makeTask(cx, { rules: [`${name}-set`] })),
      )
      const shapesOf = async (task: MadeTask): Promise<Record<string, string>> => ({
        ...(await callsOf(cx, task, up.port)),
        ...(await othersOf(cx, task, up.port)),
      })
      const [first, second] = [await shapesOf(tasks[0]!), await shapesOf(tasks[1]!)]
      for (const [kind, answer] of Object.entries(first)) {
        t.equal(second[kind], answer, kind)
        t.notMatch(answer, /hidden|veiled/i, `nothing leaves by ${kind}`)
        t.notMatch(second[kind], /hidden|veiled/i)
      }
      t.ok(Object.keys(first).length > 20)
      const rules = new Set(cx.terminal().map(({ rule }) => rule?.id))
      t.ok(rules.has('hidden-deny') && rules.has('veiled-deny'), 'the record names them')
    },
  )
})

// Ids and times are what differs from call to call.
function shape(answer: string, task: MadeTask): string {
  return answer
    .replaceAll(task.id, 'TASK')
    .replaceAll(/[0-9A-HJKMNP-TV-Z]{26}/g, 'CALL')
    .replaceAll(/q_[0-9a-z]{26}/g, 'REQUEST')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
    .replaceAll(/"expiresInSeconds":\d+/g, 'SECONDS')
    .replaceAll(/bot\/[\d-]+/g, 'INSTANCE')
    .replaceAll(/Date: [^\r]*/g, 'Date')
    .replaceAll(/Content-Length: \d+/g, 'LENGTH')
}

async function callsOf(
  cx: Scenario,
  task: MadeTask,
  port: number,
): Promise<Record<string, string>> {
  const shapes: Record<string, string> = {}
  for (const [kind, method, host, path] of CALLS) {
    const url = `http://${host}.test:${port}${path}`
    const head = `${method} ${url} HTTP/1.1\r\nHost: ${host}.test:${port}\r\n${task.login}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`
    shapes[`a call: ${kind}`] = shape(await cx.raw(head), task)
    const may = `${OWN}/v1/may?method=${method}&url=${encodeURIComponent(url)}`
    shapes[`a question: ${kind}`] = shape(await getAs(cx, task, may), task)
  }
  return shapes
}

async function othersOf(
  cx: Scenario,
  task: MadeTask,
  port: number,
): Promise<Record<string, string>> {
  const body = JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: { name: 'other', arguments: {} },
  })
  const fields = `Host: tool.test:${port}\r\n${task.login}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: ${body.length}\r\nConnection: close`
  const tool = await cx.raw(
    `POST http://tool.test:${port}/mcp HTTP/1.1\r\n${fields}\r\n\r\n${body}`,
  )
  const tunnel = await connectAs(cx, task, 'nowhere.test:443').then(
    () => 'open',
    (error: Error) => error.message,
  )
  const inside = await exchange(
    await connectAs(cx, task, `path.test:${port}`),
    `GET /elsewhere HTTP/1.1\r\nHost: path.test:${port}\r\nConnection: close\r\n\r\n`,
  )
  const asked = JSON.stringify({
    method: 'GET',
    url: `http://shut.test:${port}/`,
    reason: 'please',
  })
  const opened = await cx.raw(
    `POST ${OWN}/v1/requests HTTP/1.1\r\nHost: sallyport.internal\r\n${task.login}\r\nContent-Length: ${asked.length}\r\nConnection: close\r\n\r\n${asked}`,
  )
  const { id } = JSON.parse(opened.split('\r\n\r\n')[1] ?? '{}')
  await api(cx, 'POST', `/v1/requests/${id}/close`, { answer: 'refused' })
  const shapes: Record<string, string> = { tool, tunnel, inside, opened }
  for (const path of ['/', '/v1/task', '/v1/refusals', '/v1/requests', `/v1/requests/${id}`])
    shapes[path.replace(String(id), 'ID')] = await getAs(cx, task, `${OWN}${path}`)
  // What it may call differs, as it must; what it is told of that does not name how.
  const allowed = await getAs(cx, task, `${OWN}/v1/allowed`)
  shapes['allowed'] = allowed.replaceAll(/PUT|PATCH/g, 'METHOD')
  return Object.fromEntries(
    Object.entries(shapes).map(([kind, answer]) => [kind, shape(answer, task)]),
  )
}
