// A run with something of everything, recorded by the real program and exported in each vocabulary: every line of each keeps
// the published rules, and every record has the seven AIMS fields.

import t, { type Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'

import { assertAuditLine } from '../fixtures/agents-net-check.ts'
import { assertCloudEvent } from '../fixtures/cloudevents-check.ts'
import { assertEcs } from '../fixtures/ecs-check.ts'
import { connectMcp } from '../fixtures/mcp-client.ts'
import { startMcp } from '../fixtures/mcp-upstream.ts'
import { DIALECTS, openModels } from '../fixtures/model-client.ts'
import { startModel } from '../fixtures/model-upstream.ts'
import { ocsfProblems } from '../fixtures/ocsf-validator.ts'
import { assertOtlp } from '../fixtures/otlp-check.ts'
import {
  exchange,
  pki,
  request,
  scenario,
  startSecure,
  until,
  type Scenario,
} from '../fixtures/scenario.ts'
import {
  api,
  connectAs,
  getAs,
  makeTask,
  revoke,
  secureAs,
  type MadeTask,
} from '../fixtures/tasks.ts'
import { startEcho, startHttp } from '../fixtures/upstreams.ts'

const SECRET = 'canary-projections-9f1c3b7a5d'
const LOOPBACK = 'addresses: [127.0.0.0/8]'

const mcp = await startMcp(pki.issue({ names: ['mcp.test'] }))
const model = await startModel(pki.issue({ names: ['model.test'] }))
const secure = await startSecure(['api.test'], () => ({ body: 'ok' }))
const pinned = await startSecure(['pinned.test'])
const echo = await startEcho()
const spoken = await startHttp({ tls: pki.issue({ names: ['ws.test'] }) })
new WebSocketServer({ server: spoken.server }).on('connection', (one) =>
  one.on('message', (data) => one.send(data)),
)
t.teardown(() => Promise.all([mcp, model, secure, pinned, echo, spoken].map((one) => one.close())))
const at = {
  mcp: `mcp.test:${mcp.port}`,
  model: `model.test:${model.port}`,
  api: `api.test:${secure.port}`,
  pinned: `pinned.test:${pinned.port}`,
  echo: `echo.test:${echo.port}`,
  ws: `ws.test:${spoken.port}`,
}

const rulesWith = (more: string): string => `ruleset: set
owner: a@example.com
rules:
  - { id: api, accepts: confidential, allow: 'https://${at.api}', paths: [/ok, /with/**], credential: api, data: confidential, ${LOOPBACK} }
  - { id: mcp, accepts: confidential, allow: 'https://${at.mcp}', tools: [get_issue], data: internal, ${LOOPBACK} }
  - { id: model, accepts: confidential, allow: 'https://${at.model}', models: [claude-*], ${LOOPBACK} }
  - { id: ws, accepts: confidential, allow: 'wss://${at.ws}', ${LOOPBACK} }
  - { id: pinned, accepts: confidential, allow: 'tls://${at.pinned}', ${LOOPBACK} }
  - { id: echo, accepts: confidential, allow: 'tcp://${at.echo}', ${LOOPBACK} }
  - { id: nowhere, accepts: confidential, allow: 'http://nowhere.invalid' }
  - { id: inward, accepts: confidential, allow: 'http://inward.test' }
${more}`

const options = {
  expires: null,
  hosts: [
    'mcp.test',
    'model.test',
    'api.test',
    'pinned.test',
    'echo.test',
    'ws.test',
    'inward.test',
  ],
  secrets: { API: SECRET },
  rules: { set: rulesWith('') },
  config: `credentials:
  api: { source: { env: API }, inject: { bearer: true }, hosts: ['${at.api}'], placeholder: { env: API_TOKEN, prefix: tok_, length: 40 } }
`,
}

scenario(t, 'R57: a run of everything keeps every vocabulary’s rules', options, async (cx, t) => {
  const task = await makeTask(cx, {
    principal: 'mia@example.com',
    sandbox: { id: 'box-1', image: `sha256:${'a'.repeat(64)}` },
  })
  const stage = await makeTask(cx, { expires: '10m' }, task.id)
  const shown = { image: `sha256:${'b'.repeat(64)}` }
  const pending = await makeTask(cx, { require: shown })
  await api(cx, 'POST', `/v1/tasks/${pending.id}/attest`, shown)
  await callEverything(cx, t, task)
  await getAs(cx, stage, 'http://refused.test/')
  await changeEverything(cx, task, stage)
  await until(
    () => cx.records().some(({ event }) => event.action === 'task-receipt'),
    'the receipt is on record',
  )
  const records = cx.records()
  const actions = new Set(records.map(({ event }) => event.action))
  for (const action of EXPECTED) t.ok(actions.has(action), action)
  const classes = checkExports(cx, t, records.length)
  for (const uid of [4001, 4002, 4003, 6003, 3002, 2004, 3004]) t.ok(classes.has(uid), String(uid))
  checkPosture(cx, t, task)
  const activated = records.find(({ event }) => event.action === 'task-activated')
  t.match(activated?.sallyport.task, {
    id: pending.id,
    autonomous: true,
    posture: { proofs: ['token'], evidence: /^sha256:[0-9a-f]{64}$/ },
  })
})

const EXPECTED = [
  'call-started',
  'call-ended',
  'call-denied',
  'message-allowed',
  'message-denied',
  'placeholder-misused',
  'task-created',
  'task-suspended',
  'task-resumed',
  'task-revoked',
  'task-ended',
  'task-receipt',
  'rules-loaded',
  'rules-refused',
  'kill-switch-thrown',
  'kill-switch-lifted',
  'owner-disabled',
  'owner-enabled',
  'control-changed',
  'control-refused',
]

async function callEverything(cx: Scenario, t: Test, task: MadeTask): Promise<void> {
  const ask = async (method: string, path: string, headers: string[] = []): Promise<string> =>
    exchange(await secureAs(cx, task, at.api), request(method, path, at.api, { headers }))
  t.match(
    await ask('GET', '/ok', [
      'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    ]),
    / 200 /,
  )
  t.match(await ask('PROPFIND', '/ok'), / 200 /)
  t.match(await ask('GET', '/no'), /path-not-allowed/)
  t.match(await ask('GET', `/ok?q=${task.env['API_TOKEN']}`), /placeholder-misused/)
  t.match(await getAs(cx, undefined, 'http://nowhere.invalid/'), /identity-missing/)
  t.match(await getAs(cx, task, 'http://nowhere.invalid/'), /resolve-failed/)
  t.match(await getAs(cx, task, 'http://inward.test/'), /resolved-address-denied/)
  t.match(await cx.raw('NONSENSE\r\n\r\n'), /malformed-request-line/)

  const opaque = await connectAs(cx, task, at.echo)
  t.match(await exchange(opaque, 'hello', 300), /hello/)
  await exchange(await connectAs(cx, task, at.pinned), 'no TLS', 300).catch(() => undefined)

  const client = await connectMcp(cx, { way: 'stateless', host: at.mcp, task })
  await client.callTool('get_issue', { id: 'PAY-1' })
  await client.callTool('get_issue', { id: 'PAY-404' }).catch(() => undefined)
  await client.callTool('delete_issue', { id: 'PAY-1' }).catch(() => undefined)
  await client.close()

  const models = openModels(cx, at.model, task)
  const claude = DIALECTS.find(({ provider }) => provider === 'anthropic')!
  await claude.ask(models, claude.question('Summarise PAY-1.'))
  await models.close()

  const socket = await secureAs(cx, task, at.ws)
  const talking = new WebSocket(`wss://${at.ws}/`, { createConnection: () => socket })
  socket.resume()
  await new Promise((resolve) => talking.once('open', resolve))
  const answer = new Promise((resolve) => talking.once('message', resolve))
  talking.send('hello')
  await answer
  talking.close()
}

async function changeEverything(cx: Scenario, task: MadeTask, stage: MadeTask): Promise<void> {
  await api(cx, 'POST', `/v1/tasks/${stage.id}/suspend`, {})
  await api(cx, 'POST', `/v1/tasks/${stage.id}/resume`, {})
  const kill = await api(cx, 'POST', '/v1/kill', { scope: 'host', value: 'evil.test' })
  await api(cx, 'DELETE', `/v1/kill/${kill.body.kill.id}`)
  await api(cx, 'PUT', '/v1/owners/ghost', { disabled: true })
  await api(cx, 'PUT', '/v1/owners/ghost', { disabled: false })
  await api(cx, 'POST', '/v1/tasks/t_none/revoke', {})
  const count = (action: string): number =>
    cx.records().filter(({ event }) => event.action === action).length
  const before = count('rules-loaded')
  cx.file('rules/set.yaml', rulesWith(`  - { id: more, allow: 'https://more.test' }\n`))
  await until(() => count('rules-loaded') > before, 'the rules are loaded again')
  cx.file('rules/set.yaml', 'no: rules')
  await until(() => count('rules-refused') > 0, 'the rules are refused')
  cx.file('rules/set.yaml', rulesWith(''))
  await revoke(cx, task.id, 'the work is done')
}

/** Exports the journal in each vocabulary and holds each line to its rules. @returns the classes of OCSF that were seen */
function checkExports(cx: Scenario, t: Test, count: number): Set<unknown> {
  const classes = new Set<unknown>()
  for (const event of exported(cx, t, 'ocsf')) {
    t.strictSame(ocsfProblems(event), [], JSON.stringify(event['metadata']))
    classes.add(event['class_uid'])
  }
  for (const record of exported(cx, t, 'ecs')) assertEcs(record)
  for (const event of exported(cx, t, 'cloudevents')) assertCloudEvent(event)
  const lines = exported(cx, t, 'agents-net')
  lines.forEach(assertAuditLine)
  t.strictSame(new Set(lines.map(({ decision }) => decision)), new Set(['allow', 'block', 'fail']))
  const logs = exported(cx, t, 'otlp').flatMap(logRecordsOf)
  logs.forEach(assertOtlp)
  t.ok(logs.length >= count, 'every record is exported')
  return classes
}

function exported(cx: Scenario, t: Test, format: string): Record<string, unknown>[] {
  const { status, stdout, stderr } = cx.run('export', '--format', format, '--all')
  t.strictSame([status, stderr], [0, ''], format)
  const lines = stdout.split('\n').filter((line) => line !== '')
  t.ok(lines.length > 0, format)
  return lines.map((line): Record<string, unknown> => JSON.parse(line))
}

function logRecordsOf(body: Record<string, unknown>): readonly unknown[] {
  const { resourceLogs }: { resourceLogs: { scopeLogs: { logRecords: unknown[] }[] }[] } =
    JSON.parse(JSON.stringify(body))
  return resourceLogs.flatMap(({ scopeLogs }) => scopeLogs.flatMap((scope) => scope.logRecords))
}

/** Every record of a task says who acted, on whose behalf, and in what state it was trusted. */
function checkPosture(cx: Scenario, t: Test, { id }: MadeTask): void {
  const own = cx.records().filter(({ sallyport }) => sallyport.task?.id === id)
  t.ok(own.length > 20)
  for (const { event, sallyport, ...record } of own)
    t.match(
      { ...record, task: sallyport.task },
      {
        '@timestamp': /^\d{4}-/,
        task: {
          agent: 'bot',
          principal: 'mia@example.com',
          autonomous: false,
          posture: { proofs: ['token'], image: /^sha256:/, environment: 'test' },
        },
      },
      event.action,
    )
}
