// How fast the end of a task takes effect, over many: its next call is refused within a second, its open streams are cut
// within two. These bounds are promised, so they are asserted. What an issuer is asked to revoke is not part of it: no
// credential is minted for a task yet, and the receipt of a static one says that it stays valid.

import net, { type Socket } from 'node:net'

import t, { type Test } from 'tap'

import { readHead, ruleSet, scenario, type Scenario } from '../fixtures/scenario.ts'
import { getAs, makeTask, revoke, type MadeTask } from '../fixtures/tasks.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const TASKS = 60
const AT_ONCE = 2
const STREAMS = 2
const DENY_MS = 1000
const CUT_MS = 2000

const up = await startHttp({
  raw: (asked, answer) => {
    asked.resume()
    answer.writeHead(200)
    if (asked.url === '/') answer.end('ok')
    else answer.write('begun')
  },
})
t.teardown(() => up.close())
const url = `http://up.test:${up.port}/`
const options = {
  hosts: ['up.test'],
  rules: ruleSet(`id: up, allow: 'http://up.test:${up.port}', addresses: [127.0.0.0/8]`),
  expires: null,
}

interface Measured {
  readonly denyMs: number
  readonly cutMs: readonly number[]
}

async function openStream(cx: Scenario, task: MadeTask): Promise<Socket> {
  const socket = net.connect(cx.proxyPort, '127.0.0.1')
  socket.on('error', () => undefined)
  const { host } = new URL(url)
  socket.write(`GET ${url}stream HTTP/1.1\r\nHost: ${host}\r\n${task.login}\r\n\r\n`)
  await readHead(socket)
  socket.resume()
  return socket
}

const closedAt = (socket: Socket): Promise<number> =>
  new Promise((resolve) => {
    if (socket.closed) resolve(performance.now())
    else socket.once('close', () => resolve(performance.now()))
  })

/** Ends one busy task and looks at the clock. */
async function endOne(cx: Scenario, t: Test): Promise<Measured> {
  const task = await makeTask(cx)
  const streams: Socket[] = []
  for (let opened = 0; opened < STREAMS; opened += 1) streams.push(await openStream(cx, task))
  if (!(await getAs(cx, task, url)).startsWith('HTTP/1.1 200')) t.fail('it may call before')
  const ends = streams.map(closedAt)
  const askedAt = performance.now()
  const receipt = revoke(cx, task.id)
  while (!(await getAs(cx, task, url)).startsWith('HTTP/1.1 403'));
  const denyMs = performance.now() - askedAt
  const cutMs = (await Promise.all(ends)).map((at) => at - askedAt)
  if (!(await receipt).complete) t.fail('its receipt is complete')
  return { denyMs, cutMs }
}

const percentile99 = (values: readonly number[]): number =>
  values.toSorted((one, other) => one - other)[Math.ceil(values.length * 0.99) - 1] ?? Infinity

scenario(
  t,
  'R62: of many ends the 99th percentile refuses locally within 1 s and cuts streams within 2 s',
  options,
  async (cx, t) => {
    const measured: Measured[] = []
    while (measured.length < TASKS)
      measured.push(...(await Promise.all(Array.from({ length: AT_ONCE }, () => endOne(cx, t)))))
    const deny = percentile99(measured.map(({ denyMs }) => denyMs))
    const cut = percentile99(measured.flatMap(({ cutMs }) => cutMs))
    t.comment(
      `p99 of ${TASKS} ends: refused after ${deny.toFixed(1)} ms, streams cut after ${cut.toFixed(1)} ms`,
    )
    t.ok(deny <= DENY_MS, `refused after ${deny.toFixed(1)} ms`)
    t.ok(cut <= CUT_MS, `cut after ${cut.toFixed(1)} ms`)
    t.ok((await cx.metric('sallyport_task_ending_seconds_count')) >= TASKS)
  },
)
