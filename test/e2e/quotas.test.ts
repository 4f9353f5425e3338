// What tasks may do in numbers, from outside: rules and tasks with limits through the real program, by real clients, with the
// process killed in between.

import { readFileSync } from 'node:fs'
import net from 'node:net'

import t from 'tap'

import {
  exchange,
  ruleSet,
  scenario,
  startSecure,
  until,
  type JournalRecord,
  type Scenario,
} from '../fixtures/scenario.ts'
import { api, getAs, makeTask, stateOf, taskDefinition } from '../fixtures/tasks.ts'
import { startEcho, startHttp, startTcp } from '../fixtures/upstreams.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'
const BIG = 'x'.repeat(5000)
const up = await startHttp({
  handler: ({ url }) =>
    url === '/big'
      ? { body: BIG, headers: ['Content-Length', String(BIG.length)] }
      : { body: url === '/chunked' ? BIG : 'ok' },
})
const sec = await startSecure(['sec.test'], () => ({ body: 'ok' }))
const echo = await startEcho()
let taken = 0
const sink = await startTcp((socket) => {
  socket.on('data', (chunk: Buffer) => (taken += chunk.length))
  socket.on('end', () => socket.end())
  socket.on('error', () => undefined)
})
t.teardown(() => Promise.all([up, sec, echo, sink].map((upstream) => upstream.close())))
const HOSTS = ['up.test', 'other.test', 'sec.test', 'echo.test', 'sink.test']
const UP = `http://up.test:${up.port}`
const OTHER = `http://other.test:${up.port}`
const rules = (limit: string): Record<string, string> =>
  ruleSet(
    `id: up, allow: '${UP}', ${limit === '' ? '' : `limit: { ${limit} }, `}${LOOPBACK}`,
    `id: other, allow: '${OTHER}', ${LOOPBACK}`,
    `id: sec, allow: 'https://sec.test:${sec.port}', limit: { calls: 3 }, ${LOOPBACK}`,
    `id: echo, allow: 'tcp://echo.test:${echo.port}', limit: { bytesOut: 1KiB, bytesIn: 1KiB }, ${LOOPBACK}`,
    `id: sink, allow: 'tcp://sink.test:${sink.port}', limit: { bytesOut: 100KiB, concurrentCalls: 1 }, ${LOOPBACK}`,
  )

const SHORT = { expires: '10m' }

const statusOf = (answer: string): number => Number(answer.split(' ', 2)[1])
const bodyOf = (answer: string): unknown => JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4))

async function statuses(cx: Scenario, url: string, count: number): Promise<number[]> {
  const all: number[] = []
  for (let at = 0; at < count; at += 1) all.push(statusOf(await getAs(cx, undefined, url)))
  return all
}

const isExceeded = ({ event }: JournalRecord): boolean => event.reason === 'quota-exceeded'

scenario(
  t,
  'R33: a rule with a limit a minute lets as many pass, and says when to come again',
  { hosts: HOSTS, rules: rules('callsPerMinute: 3') },
  async (cx, t) => {
    t.strictSame(await statuses(cx, UP, 5), [200, 200, 200, 429, 429])
    t.strictSame(await statuses(cx, OTHER, 2), [200, 200], 'another rule has no part in it')
    const answer = await getAs(cx, undefined, UP)
    t.match(answer, /^HTTP\/1.1 429 Sallyport: quota-exceeded\r\n/)
    const seconds = Number(/\r\nRetry-After: (\d+)\r\n/.exec(answer)?.[1])
    t.ok(seconds > 30 && seconds <= 62, `${seconds} s`)
    t.match(bodyOf(answer), { reason: 'quota-exceeded', retry: 'later', retryAfter: seconds })
    t.notMatch(answer, /callsPerMinute|"set|\bup"/, 'R83: no rule and no number leaves')
    const record = await cx.record(isExceeded)
    t.equal(record.event.action, 'call-denied')
    t.match(record.sallyport.detail, { limit: 'callsPerMinute', of: 'rule', rule: 'set/up' })
    t.equal(await cx.metric('sallyport_quota_refusals_total{limit="callsPerMinute"}'), 3)
  },
)

scenario(
  t,
  'R33: curl through CONNECT is refused at the limit, and the tunnel itself takes nothing',
  { hosts: HOSTS, rules: rules('') },
  async (cx, t) => {
    const codes: string[] = []
    for (let at = 0; at < 4; at += 1) {
      const words = [
        '-sS',
        '-o',
        '/dev/null',
        '-w',
        '%{http_code}',
        `https://sec.test:${sec.port}/`,
      ]
      codes.push((await cx.client('curl', words)).stdout)
    }
    t.strictSame(codes, ['200', '200', '200', '429'])
    const words = ['-sS', '-i', `https://sec.test:${sec.port}/`]
    const { stdout } = await cx.client('curl', words)
    t.notMatch(stdout, /Retry-After/i, 'what is used up in all does not come back')
    t.match(stdout, /"retry":"no","remedy":"Do not retry\./)
  },
)

scenario(
  t,
  'R33: kill -9 gives no call back, and a restart lets none be under way for ever',
  { hosts: HOSTS, rules: rules('calls: 6'), unchecked: true },
  async (cx, t) => {
    t.strictSame(await statuses(cx, UP, 3), [200, 200, 200])
    const held = await cx.connect(`sink.test:${sink.port}`)
    await t.rejects(cx.connect(`sink.test:${sink.port}`), /429 Sallyport: quota-exceeded/)
    await cx.stop('SIGKILL')
    held.destroy()
    await cx.start()
    const after = await statuses(cx, UP, 5)
    const passed = after.filter((status) => status === 200).length
    t.ok(
      passed <= 3 && passed >= 2,
      `${after.join(' ')}: all that were left but a step at the most`,
    )
    t.equal(after.at(-1), 429)
    const again = await cx.connect(`sink.test:${sink.port}`)
    again.destroy()
  },
)

scenario(
  t,
  'R33: of a body no more leaves than the limit, and the call is cut there',
  { hosts: HOSTS, rules: rules('bytesOut: 64KiB') },
  async (cx, t) => {
    const head = `POST ${UP}/ HTTP/1.1\r\nHost: up.test:${up.port}\r\n`
    const known = await cx.raw(`${head}Content-Length: 70000\r\n\r\n`)
    t.equal(statusOf(known), 429, 'one that says it is too long does not begin')
    const piece = `2000\r\n${'x'.repeat(8192)}\r\n`
    const chunked = await cx.raw(
      `${head}Transfer-Encoding: chunked\r\n\r\n${piece.repeat(10)}0\r\n\r\n`,
    )
    t.equal(statusOf(chunked), 429)
    const [denied, cut] = [
      await cx.record((record) => isExceeded(record) && record.event.action === 'call-denied'),
      await cx.record((record) => isExceeded(record) && record.event.action === 'call-ended'),
    ]
    t.match(denied.sallyport.detail, { limit: 'bytesOut' })
    t.match(cut.sallyport.detail, { limit: 'bytesOut' })
    t.ok(Number(cut.http?.request?.bytes) <= 65_536, `${cut.http?.request?.bytes} bytes`)
  },
)

scenario(
  t,
  'R33: of an answer no more comes than the limit',
  { hosts: HOSTS, rules: rules('bytesIn: 12000') },
  async (cx, t) => {
    t.strictSame(await statuses(cx, `${UP}/big`, 4), [200, 200, 429, 429])
    t.equal(statusOf(await getAs(cx, undefined, `${UP}/`)), 200, 'a smaller one has room')
    const broken = await getAs(cx, undefined, `${UP}/chunked`)
    t.notMatch(broken, /\r\n0\r\n\r\n$/, 'one that does not say how long it is breaks off')
    const record = await cx.record(isExceeded)
    t.match(record, {
      event: { action: 'call-ended' },
      sallyport: { detail: { limit: 'bytesIn' } },
    })
  },
)

scenario(
  t,
  'R33: an opaque tunnel is cut where its bytes are used up, and no more have left',
  { hosts: HOSTS, rules: rules('') },
  async (cx, t) => {
    const socket = await cx.connect(`sink.test:${sink.port}`)
    taken = 0
    const ended = new Promise((resolve) => socket.once('close', resolve))
    const push = (): void => {
      while (!socket.destroyed && socket.write(Buffer.alloc(7000)));
      if (!socket.destroyed) socket.once('drain', push)
    }
    push()
    await ended
    const record = await cx.record(isExceeded)
    t.match(record.sallyport.detail, { limit: 'bytesOut', rule: 'set/sink' })
    t.ok(taken <= 102_400, `${taken} bytes reached the upstream`)
    const again = await cx.connect(`sink.test:${sink.port}`)
    again.destroy()
    const small = await cx.connect(`echo.test:${echo.port}`)
    t.match(await exchange(small, 'hello', 300), 'hello')
  },
)

scenario(
  t,
  'R33, R69: children together do no more than their parent may, and none is given more',
  { hosts: HOSTS, rules: rules(''), expires: null },
  async (cx, t) => {
    const parent = await makeTask(cx, { limits: { calls: 5, callsPerMinute: 100, denials: 50 } })
    const one = await makeTask(cx, { ...SHORT, limits: { calls: 4 } }, parent.id)
    const two = await makeTask(cx, SHORT, parent.id)
    const status = async (task: { login: string }): Promise<number> =>
      statusOf(await getAs(cx, task, OTHER))
    for (const task of [one, one, two, parent, two]) t.equal(await status(task), 200)
    for (const task of [one, two, parent]) t.equal(await status(task), 429)
    const record = await cx.record(
      ({ event, sallyport }) => event.reason === 'quota-exceeded' && sallyport.task?.id === two.id,
    )
    t.match(record.sallyport.detail, { limit: 'calls', of: 'task', refusedFor: parent.id })
    const shown = await api(cx, 'GET', `/v1/tasks/${parent.id}`)
    t.match(shown.body.limits, [
      { name: 'callsPerMinute', max: 100, used: 5 },
      { name: 'calls', max: 5, used: 5 },
    ])
    t.match(cx.run('task', 'show', parent.id).stdout, /limit +calls: 5 of 5 used/)
    for (const [limits, axis] of [
      [{ calls: 6 }, 'limits.calls'],
      [{ callsPerMinute: 101 }, 'limits.callsPerMinute'],
      [{ denials: 51 }, 'limits.denials'],
    ] as const) {
      const { status: code, body } = await api(
        cx,
        'POST',
        `/v1/tasks/${parent.id}/children`,
        taskDefinition({ ...SHORT, limits }),
      )
      t.equal(code, 403)
      t.match(body, { reason: 'delegation-widening' })
      t.match(JSON.stringify(body), `axis ${axis}`)
    }
    await makeTask(cx, { ...SHORT, limits: { calls: 5, callsPerHour: 1 } }, parent.id)
  },
)

scenario(
  t,
  'a limit of a rule counts for a child and for the task above it by itself',
  { hosts: HOSTS, rules: rules('calls: 3'), expires: null },
  async (cx, t) => {
    const parent = await makeTask(cx)
    const [one, two] = [await makeTask(cx, SHORT, parent.id), await makeTask(cx, SHORT, parent.id)]
    const status = async (task: { login: string }): Promise<number> =>
      statusOf(await getAs(cx, task, UP))
    for (const task of [one, two, one]) t.equal(await status(task), 200)
    for (const task of [one, two, parent]) t.equal(await status(task), 429)
    const other = await makeTask(cx)
    t.equal(await status(other), 200, 'a task beside them has its own')
  },
)

scenario(
  t,
  'what is refused takes nothing: a call too many at once leaves the total as it is',
  { hosts: HOSTS, rules: rules(''), expires: null },
  async (cx, t) => {
    const task = await makeTask(cx, { limits: { concurrentCalls: 1, calls: 3 } })
    const socket = net.connect(cx.proxyPort, '127.0.0.1')
    socket.on('error', () => undefined)
    const host = `sink.test:${sink.port}`
    socket.write(`CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n${task.login}\r\n\r\n`)
    await until(() => cx.records().some(({ event }) => event.action === 'call-started'), 'it began')
    for (let at = 0; at < 3; at += 1) t.equal(statusOf(await getAs(cx, task, OTHER)), 429)
    socket.destroy()
    await cx.record(({ sallyport }) => sallyport.call?.kind === 'tunnel')
    t.equal(statusOf(await getAs(cx, task, OTHER)), 200)
    t.equal(statusOf(await getAs(cx, task, OTHER)), 200)
    t.equal(statusOf(await getAs(cx, task, OTHER)), 429)
  },
)

scenario(
  t,
  'the task of the configuration has limits, too, and keeps what it used over a restart',
  { hosts: HOSTS, rules: rules(''), unchecked: true },
  async (cx, t) => {
    await cx.stop()
    cx.writeConfig()
    const written = `${readFileSync(cx.configFile, 'utf8')}  limits: { calls: 2 }\n`
    cx.file('sallyport.yaml', written)
    await cx.start()
    t.strictSame(await statuses(cx, OTHER, 1), [200])
    await cx.stop()
    await cx.start()
    t.strictSame(await statuses(cx, OTHER, 2), [200, 429])
    cx.file(
      'sallyport.yaml',
      written.replace('{ calls: 2 }', '{ tools: { "a{b}": { calls: 1 } } }'),
    )
    t.match(cx.run('check').stdout, /expected the name of a tool/)
  },
)

// Spellings of one host that no rule allows.
const SPELLINGS = [
  'http://evil.test/',
  'http://EVIL.test/',
  'http://evil.test./',
  'http://evil.test:80/',
  'http://evil.test:8080/',
  'http://127.0.0.1:1/',
  'http://127.1:1/',
  'http://2130706433:1/',
  'http://0x7f.1:1/',
  'http://[::ffff:127.0.0.1]:1/',
  'http://user@evil.test/',
  'http://evil.test\\@up.test/',
]

scenario(
  t,
  'R31: every spelling of what a task may not have is refused and counted, and at the limit it is suspended',
  {
    hosts: HOSTS,
    rules: rules(''),
    expires: null,
    config: 'journal: { denialsPerTaskPerSecond: 3 }',
  },
  async (cx, t) => {
    const task = await makeTask(cx, { limits: { denials: SPELLINGS.length + 10 } })
    for (const url of SPELLINGS) {
      const host = /^http:\/\/([^/]*)/.exec(url)![1]!
      const head = `GET ${url} HTTP/1.1\r\nHost: ${host}\r\n${task.login}\r\nConnection: close\r\n\r\n`
      const answer = await cx.raw(head)
      t.match(answer, /^HTTP\/1.1 (400|403) /, url)
    }
    for (let at = 0; at < 9; at += 1) await getAs(cx, task, 'http://evil.test/')
    t.equal(await stateOf(cx, task.id), 'active', 'one fewer is not enough')
    t.equal(statusOf(await getAs(cx, task, OTHER)), 200)
    const socket = net.connect(cx.proxyPort, '127.0.0.1')
    socket.on('error', () => undefined)
    const closed = new Promise((resolve) => socket.once('close', resolve))
    socket.resume()
    const host = `sink.test:${sink.port}`
    socket.write(`CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n${task.login}\r\n\r\n`)
    await until(
      () =>
        cx
          .records()
          .some(
            ({ event, sallyport }) =>
              event.action === 'call-started' && sallyport.call?.kind === 'tunnel',
          ),
      'a tunnel is open',
    )
    await getAs(cx, task, 'http://evil.test/')
    await closed
    t.equal(await stateOf(cx, task.id), 'suspended')
    t.equal(statusOf(await getAs(cx, task, OTHER)), 403)
    const moved = cx.records().find(({ event }) => event.action === 'task-suspended')
    t.match(moved?.sallyport.detail, { cause: 'denials', actor: 'sidecar', cut: 2 })
    await until(
      () => cx.records().some(({ event }) => event.action === 'call-denied-repeated'),
      'those that are told together are told',
    )
    await api(cx, 'POST', `/v1/tasks/${task.id}/heartbeat`, {})
    t.equal(await stateOf(cx, task.id), 'suspended', 'only a person resumes it')
    t.equal((await api(cx, 'POST', `/v1/tasks/${task.id}/resume`, { reason: 'seen' })).status, 200)
    await getAs(cx, task, 'http://evil.test/')
    t.equal(await stateOf(cx, task.id), 'active', 'and it is counted anew')
    t.equal(statusOf(await getAs(cx, task, OTHER)), 200)
  },
)

scenario(
  t,
  'R31: limits.denialsSuspendMax holds for every task; what may be tried again is no denial',
  {
    hosts: HOSTS,
    rules: rules('callsPerMinute: 1'),
    expires: null,
    limits: 'denialsSuspendMax: 4, denialsSuspendMs: 60s',
  },
  async (cx, t) => {
    const task = await makeTask(cx)
    for (let at = 0; at < 8; at += 1) await getAs(cx, task, UP)
    for (let at = 0; at < 3; at += 1) await getAs(cx, task, 'http://evil.test/')
    t.equal(await stateOf(cx, task.id), 'active')
    await getAs(cx, task, 'http://evil.test/')
    t.equal(await stateOf(cx, task.id), 'suspended')
  },
)
