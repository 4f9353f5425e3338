// Held calls where other parts meet them: rules that change while a body is read, a task that is suspended, what the task itself
// is told.

import { writeFileSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'

import t, { type Test } from 'tap'

import { answerAs, askAs, holdsOf, reviewed, tokenOf } from '../fixtures/hold-desk.ts'
import { exchange, readHead, ruleSet, type Scenario } from '../fixtures/scenario.ts'
import { getAs, makeTask, type MadeTask } from '../fixtures/tasks.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const up = await startHttp({})
t.teardown(() => up.close())
const host = `pay.test:${up.port}`
const KEYS = `'http://${host}', methods: [POST], addresses: [127.0.0.0/8]`
const HELD = ruleSet(`id: pay, hold: ${KEYS}`)
const INSPECTED = ruleSet(`id: pay, allow: ${KEYS}, tools: [list_issues]`)
const options = { hosts: ['pay.test'], rules: HELD }

function head(route: string, ...fields: readonly string[]): string {
  return [`POST http://${host}${route} HTTP/1.1`, `Host: ${host}`, ...fields, '', ''].join('\r\n')
}

async function reload(cx: Scenario, rules: Record<string, string>, t: Test): Promise<void> {
  writeFileSync(path.join(cx.directory, 'rules/set.yaml'), rules['set'] ?? '')
  t.match(await askAs(cx, 'olga', 'POST', '/v1/rules/reload'), { body: { inForce: true } })
}

const sent = (route: string): number => up.seen.filter(({ url }) => url === route).length

for (const [what, body] of [
  ['is nothing that these rules know', '{"amount":1}'],
  ['calls another tool', called('delete_issue')],
] as const)
  reviewed(
    t,
    `R75: where rules look inside once the body of a held call is there, one that ${what} does not leave`,
    options,
    async (cx, t) => {
      const socket = net.connect(cx.proxyPort, '127.0.0.1')
      socket.write(
        head(
          '/late',
          'Content-Type: application/json',
          'Accept: application/json, text/event-stream',
          `Content-Length: ${body.length}`,
          'Expect: 100-continue',
        ),
      )
      t.match(await readHead(socket), 'HTTP/1.1 100')
      await reload(cx, INSPECTED, t)
      t.match(await exchange(socket, body), 'approval-denied')
      t.equal(sent('/late'), 0)
    },
  )

function called(name: string): string {
  const params = { name, arguments: {} }
  return JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params })
}

reviewed(
  t,
  'R75: a suspended task keeps no approval: what it goes on with is asked anew',
  { ...options, expires: null, limits: 'holdWaitMs: 300' },
  async (cx, t) => {
    const login = { authorization: `Bearer ${tokenOf('olga')}` }
    const parent = await makeTask(cx, {}, undefined, login)
    const task = await makeTask(cx, { expires: '5m' }, parent.id, login)
    const pay = (): Promise<string> =>
      cx.raw(head('/kept', task.login, 'Content-Length: 0', 'Connection: close'))
    t.match(await pay(), 'approval-pending')
    const [{ id }] = await holdsOf(cx)
    t.match(await answerAs(cx, 'bob', id, 'approve'), { body: { state: 'approved' } })
    await askAs(cx, 'olga', 'POST', `/v1/tasks/${parent.id}/suspend`, {})
    t.match(await askAs(cx, 'bob', 'GET', `/v1/holds/${id}`), {
      body: { state: 'withdrawn', cause: 'task-not-active' },
    })
    await askAs(cx, 'olga', 'POST', `/v1/tasks/${parent.id}/resume`, {})
    t.match(await pay(), 'approval-pending')
    t.equal(sent('/kept'), 0)
    const [next] = await holdsOf(cx)
    t.not(next.id, id)
    await answerAs(cx, 'bob', next.id, 'approve')
    t.match(await pay(), /^HTTP\/1\.1 200 /)
    t.equal(sent('/kept'), 1)
  },
)

reviewed(
  t,
  'R75: nothing of a held call is kept from the reviewer without saying so',
  { ...options, limits: 'holdWaitMs: 300' },
  async (cx, t) => {
    const noise = Array.from({ length: 45 }, (_, at) => `A-${at}: ${at}`)
    await cx.raw(
      head(
        '/many',
        ...noise,
        `X-Note: ${'n'.repeat(300)}`,
        'X-HTTP-Method-Override: POST',
        'Content-Length: 0',
        'Connection: close',
      ),
    )
    const [hold] = await holdsOf(cx)
    const { headers, unshown } = hold.request
    t.equal(headers.length + unshown.headers, 47)
    await cx.raw(head('/long', `A: ${'n'.repeat(300)}`, 'Content-Length: 0', 'Connection: close'))
    const [, long] = await holdsOf(cx)
    t.strictSame(long.request.headers, [['a', `${'n'.repeat(256)}…`]])
    t.notOk(long.request.unshown)
  },
)

reviewed(
  t,
  'R75: the tools of a batch are shown wherever they stand in it',
  {
    ...options,
    rules: ruleSet(
      `id: read, allow: ${KEYS}, tools: [get_*]`,
      `id: delete, hold: ${KEYS}, tools: [delete_*]`,
    ),
    limits: 'holdWaitMs: 300',
  },
  async (cx, t) => {
    const pings = Array.from(
      { length: 20 },
      (_, at) => `{"jsonrpc":"2.0","id":"p${at}","method":"ping"}`,
    )
    const said = async (messages: readonly string[]): Promise<void> => {
      const body = `[${messages.join(',')}]`
      const fields = [
        'Content-Type: application/json',
        'Accept: application/json, text/event-stream',
        `Content-Length: ${body.length}`,
        'Connection: close',
      ]
      t.match(await cx.raw(`${head('/mcp', ...fields)}${body}`), 'approval-pending')
    }
    await said([...pings, called('delete_issue')])
    const [hidden] = await holdsOf(cx)
    t.match(hidden.request.tools, [{ name: 'delete_issue', arguments: {} }])
    const calls = Array.from({ length: 22 }, (_, at) =>
      called(at < 21 ? 'get_issue' : 'delete_issue').replace('"id":1', `"id":${at}`),
    )
    await said(calls)
    const [, many] = await holdsOf(cx)
    t.equal(many.request.tools.length, 20)
    t.equal(many.request.unshown.tools, 2)
  },
)

reviewed(
  t,
  'R75: a task reads what became of its own held calls, and nothing of who answers',
  {
    ...options,
    expires: null,
    rules: ruleSet(`id: pay, hold: ${KEYS}, reviewers: [bob]`),
    limits: 'holdWaitMs: 300',
  },
  async (cx, t) => {
    const login = { authorization: `Bearer ${tokenOf('olga')}` }
    const task = await makeTask(cx, {}, undefined, login)
    const other = await makeTask(cx, {}, undefined, login)
    await cx.raw(head('/own?a=1', task.login, 'Content-Length: 0', 'Connection: close'))
    const [{ id }] = await holdsOf(cx)
    const own = (who: MadeTask, route: string): Promise<string> =>
      getAs(cx, who, `http://sallyport.internal${route}`)
    t.match(await own(task, '/'), 'GET  /v1/holds')
    const shown = await own(task, `/v1/holds/${id}`)
    t.match(shown, `"id":"${id}"`)
    t.notMatch(shown, /bob|reviewers|"rule"|digest/)
    t.match(await own(other, '/v1/holds'), '{"holds":[]}')
    t.match(await own(other, `/v1/holds/${id}`), /^HTTP\/1\.1 404 /)
    await answerAs(cx, 'bob', id, 'deny', 'not now')
    const denied = await own(task, '/v1/holds')
    t.match(denied, '"state":"denied"')
    t.notMatch(denied, /bob|not now/)
  },
)
