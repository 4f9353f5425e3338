// What ends a task, and that nothing of it is left alive (I10): every trigger, a busy task, a crash in the middle.

import net, { type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { writeFileSync } from 'node:fs'

import t, { type Test } from 'tap'
import { WebSocketServer } from 'ws'

import {
  readHead,
  ruleSet,
  scenario,
  sleep,
  startSecure,
  until,
  type JournalRecord,
  type Scenario,
} from '../fixtures/scenario.ts'
import {
  api,
  connectAs,
  getAs,
  makeTask,
  revoke,
  secureAs,
  stateOf,
  taskDefinition,
  type MadeTask,
  type ReceiptJson,
} from '../fixtures/tasks.ts'
import { startEcho, startHttp } from '../fixtures/upstreams.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'
const CUT_MS = 2000

function closed(socket: Socket): Promise<number> {
  socket.on('error', () => undefined)
  socket.resume()
  return new Promise((resolve) => {
    if (socket.destroyed) resolve(performance.now())
    else socket.once('close', () => resolve(performance.now()))
  })
}

void t.test('the end of a task', async (t) => {
  let upstreamSockets = 0
  const count = (socket: Socket): void => {
    upstreamSockets += 1
    socket.once('close', () => (upstreamSockets -= 1))
  }
  const sec = await startSecure(['sec.test'], () => ({ body: 'ok' }))
  const slow = await startHttp({
    raw: (request, response) => {
      request.resume()
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: begun\n\n')
      const timer = setInterval(() => response.write('data: more\n\n'), 50)
      response.on('close', () => clearInterval(timer))
    },
  })
  const silent = await startHttp({ raw: () => undefined })
  const echo = await startEcho()
  const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await new Promise((resolve) => sockets.once('listening', resolve))
  const wsAddress = sockets.address()
  const wsPort = typeof wsAddress === 'object' && wsAddress !== null ? wsAddress.port : 0
  for (const { server } of [sec, slow, silent]) server.on('connection', count)
  t.teardown(() => {
    sockets.close()
    return Promise.all([sec, slow, silent, echo].map((one) => one.close()))
  })
  const hosts = ['sec.test', 'slow.test', 'silent.test', 'echo.test', 'ws.test']
  const rules = ruleSet(
    `id: sec, allow: 'https://sec.test:${sec.port}', ${LOOPBACK}`,
    `id: slow, allow: 'http://slow.test:${slow.port}', ${LOOPBACK}`,
    `id: silent, allow: 'http://silent.test:${silent.port}', ${LOOPBACK}`,
    `id: echo, allow: 'tcp://echo.test:${echo.port}', ${LOOPBACK}`,
    `id: ws, allow: 'ws://ws.test:${wsPort}', ${LOOPBACK}`,
  )
  const options = { hosts, rules, expires: null }
  const slowUrl = `http://slow.test:${slow.port}/`

  /** Everything that a task may have open; each socket is the client's end of one. */
  async function occupy(cx: Scenario, task: MadeTask, many: number): Promise<Socket[]> {
    const open: Socket[] = []
    const plain = async (head: string): Promise<Socket> => {
      const socket = net.connect(cx.proxyPort, '127.0.0.1')
      socket.write(head)
      await readHead(socket)
      return socket
    }
    for (let at = 0; at < many; at += 1) {
      const kept = await secureAs(cx, task, `sec.test:${sec.port}`)
      kept.write(`GET / HTTP/1.1\r\nHost: sec.test:${sec.port}\r\n\r\n`)
      await readHead(kept)
      open.push(kept)
    }
    const line = (method: string, url: string): string =>
      `${method} ${url} HTTP/1.1\r\nHost: ${new URL(url).host}\r\n${task.login}\r\n`
    open.push(await plain(`${line('GET', slowUrl)}\r\n`))
    const upload = await plain(`${line('POST', slowUrl)}Content-Length: 100000000\r\n\r\nbegun`)
    open.push(upload)
    const ws = `${line('GET', `http://ws.test:${wsPort}/`)}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`
    open.push(await plain(ws))
    const tunnel = await connectAs(cx, task, `echo.test:${echo.port}`)
    tunnel.write('hello')
    open.push(tunnel)
    const waiting = net.connect(cx.proxyPort, '127.0.0.1')
    waiting.write(`${line('GET', `http://silent.test:${silent.port}/`)}\r\n`)
    open.push(waiting)
    await until(async () => (await openCalls(cx, task)) >= many + 5, 'everything is open')
    return open
  }

  async function openCalls(cx: Scenario, { id }: MadeTask): Promise<number> {
    return (await api(cx, 'GET', `/v1/tasks/${id}`)).body.calls.open
  }

  /** Asserts that a task is gone, and that another is not. */
  async function assertGone(cx: Scenario, t: Test, task: MadeTask): Promise<void> {
    t.match(await getAs(cx, task, slowUrl), /^HTTP\/1\.1 403 Sallyport: task-ended/)
    const { receipt } = (await api(cx, 'GET', `/v1/tasks/${task.id}`)).body
    t.ok(receipt.complete, 'the receipt is complete')
  }

  scenario(
    t,
    'I10: R60, R62: a busy task is ended together with all that is open of it',
    options,
    async (cx, t) => {
      const task = await makeTask(cx)
      const other = await makeTask(cx)
      const child = await makeTask(cx, { parent: task.id, expires: '10m' })
      const open = await occupy(cx, task, 100)
      const [childOpen] = await occupy(cx, child, 1)
      const [otherOpen] = await occupy(cx, other, 1)
      const ends = Promise.all([...open, childOpen!].map(closed))
      const askedAt = performance.now()
      const receipt = await revoke(cx, task.id)
      const closedAt = await ends
      t.ok(Math.max(...closedAt) - askedAt < CUT_MS, 'every client has seen its end')
      t.ok(receipt.complete)
      const item = (kind: string): ReceiptJson['items'][number] | undefined =>
        receipt.items.find((one) => one.kind === kind)
      t.match(item('calls'), { outcome: 'ended', count: 105 }, 'tunnels and calls')
      t.match(item('tls'), { outcome: 'ended' })
      t.match(item('tools'), { outcome: 'none' }, 'it saw none')
      t.match(item('child'), { name: child.id, outcome: 'ended' })
      t.notOk(otherOpen?.destroyed, 'what is of another task goes on')
      await assertGone(cx, t, task)
      await assertGone(cx, t, child)
      await revoke(cx, other.id)
      await until(() => upstreamSockets === 0, 'no upstream socket is left')
      const recorded = (meets: (record: JournalRecord) => boolean): number =>
        cx.records().filter(meets).length
      await until(
        () => recorded(({ event }) => event.reason === 'task-ended-midway') > 100,
        'each cut is on record',
      )
      await until(
        () => recorded(({ event }) => event.action === 'task-receipt') === 3,
        'each receipt',
      )
      // The WebSocket server keeps its ends until it is told.
      for (const client of sockets.clients) client.terminate()
    },
  )

  scenario(
    t,
    'R61: what is past its end is cut within two seconds, whoever looks',
    options,
    async (cx, t) => {
      const task = await makeTask(cx, { expires: '3s' })
      const madeAt = performance.now()
      const open = await occupy(cx, task, 1)
      const ends = await Promise.all(open.map(closed))
      t.ok(Math.min(...ends) - madeAt > 2500, 'not before')
      t.ok(Math.max(...ends) - madeAt < 3000 + CUT_MS)
      await until(async () => (await stateOf(cx, task.id)) === 'ended', 'it has ended')
      t.equal((await api(cx, 'GET', `/v1/tasks/${task.id}`)).body.cause, 'expired')
      await assertGone(cx, t, task)
    },
  )

  scenario(t, 'R61: heartbeat loss suspends, then ends', options, async (cx, t) => {
    const task = await makeTask(cx, { heartbeat: { within: '500ms', endAfter: '2s' } })
    await until(async () => (await stateOf(cx, task.id)) === 'suspended', 'it is suspended')
    t.match(await getAs(cx, task, slowUrl), /task-not-active/)
    t.equal((await api(cx, 'POST', `/v1/tasks/${task.id}/heartbeat`, {})).body.state, 'active')
    await until(async () => (await stateOf(cx, task.id)) === 'ended', 'it has ended')
    t.equal((await api(cx, 'GET', `/v1/tasks/${task.id}`)).body.cause, 'heartbeat-lost')
    await assertGone(cx, t, task)
  })

  scenario(
    t,
    'R61: a task that is refused too often ends',
    { ...options, limits: 'taskDenialsPerMinute: 5' },
    async (cx, t) => {
      const task = await makeTask(cx)
      for (let call = 0; call < 6; call += 1) await getAs(cx, task, 'http://nowhere.test/')
      await until(async () => (await stateOf(cx, task.id)) === 'ended', 'it has ended')
      t.equal((await api(cx, 'GET', `/v1/tasks/${task.id}`)).body.cause, 'denials')
    },
  )

  scenario(
    t,
    'R66: the kill switch ends and keeps off what it names, and nothing else',
    options,
    async (cx, t) => {
      const kill = async (
        scope: string,
        value: string,
      ): Promise<{ id: string; ended: string[]; cut: number }> => {
        const { status, body } = await api(cx, 'POST', '/v1/kill', { scope, value, reason: 'test' })
        t.equal(status, 200, `${scope} ${value}`)
        return { id: body.kill.id, ended: body.ended, cut: body.cut }
      }
      const ask = (task: MadeTask, url = `http://silent.test:${silent.port}/`): Promise<string> =>
        getAs(cx, task, url)
      const task = await makeTask(cx)
      const tunnel = await connectAs(cx, task, `echo.test:${echo.port}`)
      const stays = await secureAs(cx, task, `sec.test:${sec.port}`)
      const end = closed(tunnel)
      const byHost = await kill('host', 'echo.test')
      await end
      t.equal(byHost.cut, 1)
      t.notOk(stays.destroyed, 'another host of the task goes on')
      await t.rejects(connectAs(cx, task, `echo.test:${echo.port}`), /403 Sallyport: killed/)
      t.equal((await api(cx, 'DELETE', `/v1/kill/${byHost.id}`)).status, 200)
      const back = await connectAs(cx, task, `echo.test:${echo.port}`)
      back.destroy()

      const agent = await makeTask(cx, { agent: { account: 'rogue', instance: 'rogue/1' } })
      const byAgent = await kill('agent', 'rogue')
      t.strictSame(byAgent.ended, [agent.id])
      t.match(await ask(agent), /task-ended/)
      const barred = await api(
        cx,
        'POST',
        '/v1/tasks',
        taskDefinition({ agent: { account: 'rogue', instance: 'rogue/2' } }),
      )
      t.match(barred, { status: 409, body: { field: '/agent/account' } })

      const owned = await makeTask(cx, { owner: { name: 'eve', team: 'test' } })
      t.strictSame((await kill('owner', 'eve')).ended, [owned.id])
      const alone = await makeTask(cx)
      t.strictSame((await kill('task', alone.id)).ended, [alone.id])
      t.equal(await stateOf(cx, task.id), 'active', 'all this was not this task')
      const all = await kill('all', '')
      t.strictSame(all.ended, [task.id])
      await closed(stays)
      t.equal((await api(cx, 'POST', '/v1/tasks', taskDefinition())).status, 409, 'and nothing new')
      for (const { id } of (await api(cx, 'GET', '/v1/kill')).body.kills)
        await api(cx, 'DELETE', `/v1/kill/${id}`)
      t.equal((await api(cx, 'POST', '/v1/tasks', taskDefinition())).status, 201)
      const throws = (): JournalRecord[] =>
        cx.records().filter(({ event }) => event.action === 'kill-switch-thrown')
      await until(() => throws().length === 5, 'each throw is on record')
      const thrown = throws()
      t.ok(thrown.every(({ sallyport }) => sallyport.detail?.['by'] === 'administrator'))
    },
  )

  scenario(t, 'R06: the tasks of an owner who leaves let nothing out', options, async (cx, t) => {
    const task = await makeTask(cx)
    t.equal((await api(cx, 'PUT', '/v1/owners/ann', { disabled: true })).status, 200)
    t.match(await getAs(cx, task, slowUrl), /task-not-active/)
    t.equal(await stateOf(cx, task.id), 'suspended')
    const { status, body } = await api(cx, 'POST', '/v1/tasks', taskDefinition())
    t.match({ status, body }, { status: 409, body: { field: '/owner/name' } })
    await api(cx, 'PUT', '/v1/owners/ann', { disabled: false })
    await api(cx, 'POST', `/v1/tasks/${task.id}/resume`, {})
    t.equal(await stateOf(cx, task.id), 'active')
  })

  scenario(
    t,
    'R63: an ending survives kill -9 at any point, and nothing comes back to life',
    { ...options, unchecked: true },
    async (cx, t) => {
      for (let round = 0; round < 8; round += 1) {
        const task = await makeTask(cx)
        const other = await makeTask(cx)
        const ended = await makeTask(cx)
        await revoke(cx, ended.id)
        const open = await occupy(cx, task, 3)
        const asked = revoke(cx, task.id).catch(() => undefined)
        await sleep(round * 2)
        await cx.stop('SIGKILL')
        const receipt = await asked
        for (const socket of open) socket.destroy()
        await cx.start()
        t.match(await getAs(cx, ended, slowUrl), /task-ended/, `round ${round}: ended stays ended`)
        t.equal(await stateOf(cx, other.id), 'active', 'what was not ended goes on')
        t.match(
          await getAs(cx, other, 'http://nowhere.test/'),
          /not-on-allowlist/,
          'with its token',
        )
        const state = await stateOf(cx, task.id)
        if (receipt !== undefined) t.equal(state, 'ended', 'what was answered holds')
        if (state === 'active') continue
        await until(async () => (await stateOf(cx, task.id)) === 'ended', 'the ending is finished')
        await assertGone(cx, t, task)
      }
    },
  )

  scenario(
    t,
    'a task that was made is there after kill -9, with its token, its CA and its socket',
    { ...options, unchecked: true },
    async (cx, t) => {
      const task = await makeTask(cx, { identity: { listener: 'unix' } })
      await cx.stop('SIGKILL')
      await cx.start()
      const secure: TLSSocket = await secureAs(cx, task, `sec.test:${sec.port}`)
      secure.destroy()
      const socket = net.connect(task.socket ?? '')
      await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
      socket.destroy()
      writeFileSync(`${cx.directory}/state/tasks.ndjson`, 'nonsense\n')
      await cx.stop('SIGKILL')
      await t.rejects(cx.start(), /not what was written/, 'a damaged state is no state')
    },
  )
})
