// What a tree of tasks has read is no more than what it may send: every way in and every way out, over restarts, by whichever
// of its tasks, until a person takes it back.

import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import net, { type Socket } from 'node:net'
import path from 'node:path'
import type { Duplex } from 'node:stream'

import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'

import {
  pki,
  readHead,
  ruleSet,
  scenario,
  until,
  type Scenario,
  type ScenarioOptions,
} from '../fixtures/scenario.ts'
import {
  api,
  connectAs,
  getAs,
  makeTask,
  secureAs,
  type ApiAnswer,
  type MadeTask,
} from '../fixtures/tasks.ts'
import { startHttp, startTcp, type Upstream } from '../fixtures/upstreams.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'
const DENIED = /^HTTP\/1\.1 403 Sallyport: flow-violation/
const ALLOWED = /^HTTP\/1\.1 200 /
const CI = 'canary-principal-ci-0123456789'
const ON_CALL = 'canary-principal-on-call-9876543210'
const LOOKER = 'canary-principal-looker-1122334455'
const OWNER = 'token-of-the-owner-0123456789'

interface World {
  readonly http: Upstream
  readonly secure: Upstream
  readonly raw: Upstream
  readonly sockets: Upstream
  /** What arrived at the tunnels' end. */
  received: string
  /** Requests that wait for their answer. */
  readonly waiting: ServerResponse[]
  /** Told of each request that arrives. */
  onArrival: (request: IncomingMessage) => void
}

async function startWorld(): Promise<World> {
  const waiting: ServerResponse[] = []
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    world.onArrival(request)
    const { url = '' } = request
    if (url.endsWith('/hinted')) response.writeEarlyHints({ link: '</secret>; rel=preload' })
    if (url.endsWith('/waits') || url.endsWith('/hinted')) waiting.push(response)
    else if (url.endsWith('/stream')) {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: one\n\n')
      waiting.push(response)
    } else {
      request.resume()
      request.on('end', () => response.end('said'))
    }
  }
  const echo = await startTcp((socket) => {
    socket.on('end', () => socket.end())
    socket.on('data', (chunk: Buffer) => {
      world.received += chunk.toString()
      socket.write(chunk)
    })
  })
  return {
    http: await startHttp({ raw: answer }),
    secure: await startHttp({ raw: answer, tls: pki.issue({ names: ['secure.test'] }) }),
    raw: echo,
    sockets: await startSockets(),
    received: '',
    waiting,
    onArrival: () => undefined,
  }
}

async function startSockets(): Promise<Upstream> {
  const upstream = await startHttp({})
  const server = new WebSocketServer({ noServer: true })
  upstream.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => undefined)
    server.handleUpgrade(request, socket, head, (one) => {
      one.on('error', () => undefined)
      one.on('message', (data: Buffer) => one.send(data.toString()))
    })
  })
  return upstream
}

const world = await startWorld()
const { http, secure, raw, sockets } = world
t.teardown(() => Promise.all([http.close(), secure.close(), raw.close(), sockets.close()]))

const source = `http://source.test:${http.port}`
const up = `http://up.test:${http.port}`
const rules = ruleSet(
  `id: secret, allow: '${source}', paths: [/secret, /hinted, /stream], data: restricted, ${LOOPBACK}`,
  `id: memo, allow: '${source}', paths: [/memo], data: confidential, accepts: restricted, ${LOOPBACK}`,
  `id: secret-again, allow: '${source}', paths: [/again], data: restricted, accepts: restricted, ${LOOPBACK}`,
  `id: up, allow: '${up}', ${LOOPBACK}`,
  `id: trusted, allow: 'http://trusted.test:${http.port}', accepts: restricted, ${LOOPBACK}`,
  `id: half, allow: 'http://half.test:${http.port}', accepts: confidential, ${LOOPBACK}`,
  `id: secure, allow: 'https://secure.test:${secure.port}', paths: [/open], ${LOOPBACK}`,
  `id: secure-in, allow: 'https://secure.test:${secure.port}', paths: [/in], accepts: restricted, ${LOOPBACK}`,
  `id: raw, allow: 'tcp://raw.test:${raw.port}', ${LOOPBACK}`,
  `id: vault, allow: 'tcp://vault.test:${raw.port}', data: restricted, ${LOOPBACK}`,
  `id: socket, allow: 'ws://socket.test:${sockets.port}', paths: [/plain], ${LOOPBACK}`,
  `id: socket-in, allow: 'ws://socket.test:${sockets.port}', paths: [/secret], data: restricted, ${LOOPBACK}`,
)
const options: ScenarioOptions = {
  rules,
  expires: null,
  hosts: [
    'source.test',
    'up.test',
    'trusted.test',
    'half.test',
    'secure.test',
    'raw.test',
    'vault.test',
    'socket.test',
  ],
}

const make = (cx: Scenario, changes: object = {}): Promise<MadeTask> =>
  makeTask(cx, { ceiling: 'restricted', ...changes })

function post(cx: Scenario, task: MadeTask, url: string): Promise<string> {
  const { host } = new URL(url)
  const head = `POST ${url} HTTP/1.1\r\nHost: ${host}\r\n${task.login}\r\nContent-Length: 5\r\nConnection: close`
  return cx.raw(`${head}\r\n\r\nknown`)
}

/** A request whose answer waits, or that is not whole yet. */
function open(cx: Scenario, task: MadeTask, method: string, url: string, more = ''): Socket {
  const { host } = new URL(url)
  const socket = net.connect(cx.proxyPort, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write(`${method} ${url} HTTP/1.1\r\nHost: ${host}\r\n${task.login}\r\n${more}\r\n`)
  return socket
}

async function openSocket(cx: Scenario, task: MadeTask, where: string): Promise<WebSocket> {
  const host = `socket.test:${sockets.port}`
  const tunnel = await connectAs(cx, task, host)
  const client = new WebSocket(`ws://${host}${where}`, { createConnection: () => tunnel })
  tunnel.resume()
  client.on('error', () => undefined)
  await new Promise<void>((resolve, reject) => {
    client.once('open', resolve)
    client.once('error', reject)
  })
  return client
}

const marksIn = (cx: Scenario): string => {
  try {
    return readFileSync(path.join(cx.directory, 'state/flow-marks.ndjson'), 'utf8')
  } catch {
    return ''
  }
}

const readOf = async (cx: Scenario, { id }: MadeTask): Promise<string> =>
  (await api(cx, 'GET', `/v1/tasks/${id}`)).body.read

scenario(
  t,
  'R32: what was read as restricted is not sent on, and what was sent before was let through',
  options,
  async (cx, t) => {
    const task = await make(cx)
    const other = await make(cx)
    t.match(await post(cx, task, `${up}/before`), ALLOWED, 'the reverse order passes')
    t.equal(await readOf(cx, task), 'public')
    let atArrival = 'nothing arrived'
    world.onArrival = () => (atArrival = marksIn(cx))
    t.match(await getAs(cx, task, `${source}/secret`), ALLOWED)
    world.onArrival = () => undefined
    t.equal(atArrival, '', 'what is only asked is not read')
    t.match(marksIn(cx), `{"id":"${task.id}","read":"restricted"}\n`)
    t.match(await post(cx, task, `${up}/after`), DENIED)
    t.match(await getAs(cx, task, `${up}/?known`), DENIED, 'every call is a send')
    t.match(await post(cx, task, `http://half.test:${http.port}/`), DENIED)
    t.match(await getAs(cx, task, `${source}/secret`), DENIED, 'its own source says no more')
    t.match(await post(cx, task, `http://trusted.test:${http.port}/`), ALLOWED)
    t.match(await post(cx, other, `${up}/other`), ALLOWED, 'another task knows nothing of it')
    t.equal(await readOf(cx, task), 'restricted')
    t.match(cx.run('task', 'show', task.id).stdout, /^read +restricted$/m)

    const [raised, ...more] = cx.records().filter(({ event }) => event.action === 'flow-raised')
    t.strictSame(more, [], 'told once')
    const read = await cx.record(({ url }) => url?.path === '/secret')
    t.match(raised!.sallyport, {
      task: { id: task.id },
      detail: {
        root: task.id,
        before: 'public',
        after: 'restricted',
        call: read.sallyport.call!.id,
        rule: 'set/secret',
      },
    })
    t.match(read.sallyport, { decision: { data: 'restricted' } })
    const denied = await cx.record(({ url }) => url?.path === '/after')
    t.match(denied, {
      event: { action: 'call-denied', reason: 'flow-violation' },
      sallyport: { decision: { verdict: 'deny', read: 'restricted' } },
    })
  },
)

scenario(
  t,
  'R32: what is open when something is read is cut where it is not to have it, whatever it is',
  options,
  async (cx, t) => {
    const parent = await make(cx)
    const child = await make(cx, { parent: parent.id, expires: '5m' })
    const other = await make(cx)
    world.received = ''
    const upload = open(cx, parent, 'POST', `${up}/upload`, 'Content-Length: 100\r\n')
    upload.write('before')
    const chunked = open(cx, child, 'PUT', `${up}/chunks`, 'Transfer-Encoding: chunked\r\n')
    chunked.write('6\r\nbefore\r\n')
    const stream = open(cx, child, 'GET', `${up}/stream`)
    const tunnel = await connectAs(cx, child, `raw.test:${raw.port}`)
    const kept = await connectAs(cx, other, `raw.test:${raw.port}`)
    const socket = await openSocket(cx, parent, '/plain')
    const socketClosed = new Promise((resolve) => socket.once('close', resolve))
    const inspected = await secureAs(cx, parent, `secure.test:${secure.port}`)
    const trusted = open(cx, parent, 'GET', `http://trusted.test:${http.port}/waits`)
    t.match(await readHead(stream), ALLOWED)
    for (const one of [tunnel, kept]) {
      one.resume()
      one.write('before')
    }
    await until(() => world.received === 'beforebefore', 'both tunnels flow')
    await until(() => world.waiting.length === 2, 'both wait')
    const answers = [upload, chunked].map((one) => readHead(one).finally(() => one.resume()))
    stream.resume()

    t.match(await getAs(cx, child, `${source}/again`), ALLOWED)
    for (const answer of await Promise.all(answers)) t.match(answer, DENIED)
    await until(() => [stream, tunnel].every(({ closed }) => closed), 'the others are closed')
    await socketClosed
    kept.write('after')
    await until(() => world.received.endsWith('after'), 'that of another tree goes on')
    t.equal(world.received, 'beforebeforeafter')
    inspected.write(`GET /open HTTP/1.1\r\nHost: secure.test:${secure.port}\r\n\r\n`)
    t.match(await readHead(inspected), DENIED, 'inside a tunnel that was open before')
    inspected.destroy()
    for (const response of world.waiting.splice(0)) response.end('late')
    t.match(await readHead(trusted), ALLOWED, 'what accepts it is not cut')
    for (const one of [kept, trusted]) one.destroy()
    const again = await secureAs(cx, parent, `secure.test:${secure.port}`)
    again.write(`GET /in HTTP/1.1\r\nHost: secure.test:${secure.port}\r\n\r\n`)
    t.match(await readHead(again), ALLOWED, 'a tunnel whose calls are judged one by one')
    again.destroy()

    const cut = cx
      .terminal()
      .filter(({ event }) => event.reason === 'flow-violation' && event.action === 'call-ended')
    t.equal(cut.length, 5, cx.summary())
    const raised = cx.records().find(({ event }) => event.action === 'flow-raised')
    t.match(raised!.sallyport, {
      task: { id: child.id },
      detail: { root: parent.id, cut: 5 },
    })
  },
)

scenario(
  t,
  'R32: kill -9 right after the first byte makes no task forget, nor does a restart',
  options,
  async (cx, t) => {
    const task = await make(cx)
    const stream = open(cx, task, 'GET', `${source}/stream`)
    t.match(await readHead(stream), ALLOWED)
    await cx.stop('SIGKILL')
    world.waiting.splice(0)
    await cx.start()
    t.match(await post(cx, task, `${up}/after`), DENIED)
    t.match(await post(cx, task, `http://trusted.test:${http.port}/`), ALLOWED)
    await cx.stop()
    await cx.start()
    t.match(await post(cx, task, `${up}/after`), DENIED)
    t.equal(await readOf(cx, task), 'restricted')
  },
)

scenario(
  t,
  'R32: what one stage reads the whole tree has read, up, down and across',
  options,
  async (cx, t) => {
    const root = await make(cx)
    const one = await make(cx, { parent: root.id, expires: '5m' })
    const two = await make(cx, { parent: root.id, expires: '5m' })
    const deep = await make(cx, { parent: two.id, expires: '4m' })
    t.match(await getAs(cx, deep, `${source}/memo`), ALLOWED)
    for (const task of [root, one, two, deep]) {
      t.match(await post(cx, task, `${up}/x`), DENIED)
      t.match(await post(cx, task, `http://half.test:${http.port}/`), ALLOWED)
      t.equal(await readOf(cx, task), 'confidential')
    }
    const late = await make(cx, { parent: root.id, expires: '5m' })
    t.match(await post(cx, late, `${up}/x`), DENIED, 'one that is made later, too')
  },
)

scenario(
  t,
  'R32: by tunnels, sockets and what comes before an answer it is read as well',
  options,
  async (cx, t) => {
    const ways: [string, (task: MadeTask) => Promise<() => void>][] = [
      [
        'an opaque tunnel',
        async (task) => {
          const tunnel = await connectAs(cx, task, `vault.test:${raw.port}`)
          return () => tunnel.destroy()
        },
      ],
      [
        'a socket',
        async (task) => {
          const socket = await openSocket(cx, task, '/secret')
          return () => socket.terminate()
        },
      ],
      [
        'hints before the answer',
        async (task) => {
          const socket = open(cx, task, 'GET', `${source}/hinted`)
          t.match(await readHead(socket), /^HTTP\/1\.1 103 /)
          return () => {
            socket.destroy()
            for (const response of world.waiting.splice(0)) response.end()
          }
        },
      ],
      [
        'what is posted, whose answer may come by another call',
        async (task) => {
          let atArrival = ''
          world.onArrival = () => (atArrival = marksIn(cx))
          t.match(await post(cx, task, `${source}/secret`), ALLOWED)
          world.onArrival = () => undefined
          t.match(atArrival, `"${task.id}"`, 'before it left')
          return () => undefined
        },
      ],
    ]
    for (const [name, read] of ways) {
      const task = await make(cx)
      t.match(await post(cx, task, `${up}/before`), ALLOWED, name)
      const end = await read(task)
      t.match(await post(cx, task, `${up}/after`), DENIED, name)
      end()
    }
  },
)

scenario(
  t,
  'R32: a connection to where data came from does not get what comes from elsewhere',
  options,
  async (cx, t) => {
    const task = await make(cx)
    world.received = ''
    const tunnel = await connectAs(cx, task, `vault.test:${raw.port}`)
    tunnel.resume()
    tunnel.write('question')
    await until(() => world.received === 'question', 'its own source may be asked on')
    t.match(await getAs(cx, task, `${source}/memo`), ALLOWED)
    await until(() => tunnel.closed, 'it is cut, although the mark was as high before')
    t.equal(world.received, 'question')
  },
)

const principals: ScenarioOptions = {
  ...options,
  config: `control:
  principals:
    - { name: ci, tokenFile: ci.secret, roles: [orchestrator, approver, operator] }
    - { name: on-call, tokenFile: on-call.secret, roles: [approver] }
    - { name: looker, tokenFile: looker.secret, roles: [viewer, operator] }
    - { name: test-owner, tokenFile: owner.secret, roles: [approver] }
`,
  files: {
    'ci.secret': CI,
    'on-call.secret': ON_CALL,
    'looker.secret': LOOKER,
    'owner.secret': OWNER,
  },
}
const reset = (
  cx: Scenario,
  token: string,
  id: string,
  body: object = { reason: 'looked at what it read' },
): Promise<ApiAnswer> =>
  api(cx, 'POST', `/v1/tasks/${id}/flow/reset`, body, { authorization: `Bearer ${token}` })

scenario(
  t,
  'R32: a person takes it back, on record by name, and nobody else can',
  principals,
  async (cx, t) => {
    const login = { authorization: `Bearer ${CI}` }
    const owner = { name: 'Test Owner', team: 'test' }
    const task = await makeTask(cx, { ceiling: 'restricted', owner }, undefined, login)
    const stage = { ceiling: 'restricted', expires: '5m' }
    const child = await makeTask(cx, stage, task.id, login)
    t.match(await getAs(cx, child, `${source}/again`), ALLOWED)
    const stream = open(cx, task, 'GET', `${source}/again`)
    t.match(await readHead(stream), ALLOWED)
    t.match(await post(cx, task, `${up}/x`), DENIED)

    t.match(await reset(cx, LOOKER, task.id), {
      status: 403,
      body: { reason: 'principal-not-allowed' },
    })
    t.match(await reset(cx, CI, task.id), {
      status: 403,
      body: { reason: 'principal-not-allowed' },
    })
    t.match(
      await reset(cx, OWNER, task.id),
      { status: 403, body: { reason: 'principal-not-allowed' } },
      'who owns it, however the name is written',
    )
    t.match(await reset(cx, ON_CALL, task.id, {}), {
      status: 400,
      body: { reason: 'definition-invalid', field: '/reason' },
    })
    t.match(await reset(cx, ON_CALL, 't_00000000000000000000000000'), { status: 404 })
    t.match(await post(cx, task, `${up}/x`), DENIED, 'nothing has changed by that')

    t.match(await reset(cx, ON_CALL, child.id), { status: 200, body: { read: 'public' } })
    t.match(await post(cx, task, `${up}/x`), ALLOWED)
    t.match(await post(cx, child, `${up}/x`), ALLOWED)
    stream.destroy()
    const [record, ...more] = cx.records().filter(({ event }) => event.action === 'flow-reset')
    t.strictSame(more, [])
    t.match(record!.sallyport, {
      task: { id: child.id },
      detail: {
        root: task.id,
        before: 'restricted',
        after: 'public',
        actor: 'on-call',
        reason: 'looked at what it read',
      },
    })
    await cx.stop('SIGKILL')
    await cx.start()
    t.match(await post(cx, task, `${up}/x`), ALLOWED, 'after a crash as well')
    t.match(await getAs(cx, task, `${source}/again`), ALLOWED)
    t.match(await post(cx, task, `${up}/x`), DENIED, 'what is read from then on counts again')
  },
)

scenario(t, 'R32: a reset cuts what is being read', options, async (cx, t) => {
  const task = await make(cx)
  const stream = open(cx, task, 'GET', `${source}/stream`)
  t.match(await readHead(stream), ALLOWED)
  stream.resume()
  const { status, stdout } = cx.run('task', 'reset-flow', task.id, '--reason', 'seen')
  t.equal(status, 0, stdout)
  t.match(stdout, /^read +public$/m)
  await until(() => stream.closed, 'the stream is closed')
  for (const response of world.waiting.splice(0)) response.end()
  t.match(await post(cx, task, `${up}/x`), ALLOWED)
  t.equal(cx.run('task', 'reset-flow', task.id).status, 2, 'a reason is needed')
})
