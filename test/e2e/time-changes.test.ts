// Streams and tunnels that are open when time changes the answer of the rules: at the end of a window, where a rule expires,
// where a deny begins. What the rules still allow goes on.

import type { IncomingMessage, ServerResponse } from 'node:http'
import net, { type Socket } from 'node:net'
import type { Duplex } from 'node:stream'

import t, { type Test } from 'tap'
import { WebSocketServer } from 'ws'

import { readHead, scenario, sleep, until, type Scenario } from '../fixtures/scenario.ts'
import { api } from '../fixtures/tasks.ts'
import { startHttp, startTcp } from '../fixtures/upstreams.ts'

const LOOPBACK = "addresses: ['127.0.0.0/8']"
const SOON_MS = 5000
const MINUTE_MS = 60_000
const DAY_MS = 1440 * MINUTE_MS
const HOUR_MS = 60 * MINUTE_MS
// Kolkata is this much ahead of UTC, all year.
const ZONE = { name: 'Asia/Kolkata', aheadMs: 5.5 * HOUR_MS }

/** Streams that never end by themselves: a stream of events, which may be one of MCP, and echoes. */
async function startUpstreams(t: Test): Promise<{ http: number; tcp: number }> {
  const raw = (request: IncomingMessage, response: ServerResponse): void => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' })
    const say = (): void => {
      response.write('data: {"jsonrpc":"2.0","method":"notifications/message","params":{}}\n\n')
    }
    say()
    const timer = setInterval(say, 100)
    response.on('close', () => clearInterval(timer))
    request.resume()
  }
  const http = await startHttp({ raw })
  const sockets = new WebSocketServer({ noServer: true })
  http.server.on('upgrade', (incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => undefined)
    sockets.handleUpgrade(incoming, socket, head, () => undefined)
  })
  const tcp = await startTcp((socket) => {
    socket.on('error', () => undefined)
    socket.pipe(socket)
  })
  t.teardown(() => Promise.all([http.close(), tcp.close()]))
  return { http: http.port, tcp: tcp.port }
}

interface Stream {
  readonly name: string
  readonly socket: Socket
}

/** Opens one of each kind at a host. */
async function openAll(
  cx: Scenario,
  host: string,
  ports: { readonly http: number; readonly tcp: number },
): Promise<Stream[]> {
  const at = `${host}:${ports.http}`
  const ask = async (
    name: string,
    method: string,
    path: string,
    ...headers: string[]
  ): Promise<Stream> => {
    const socket = net.connect(cx.proxyPort, '127.0.0.1')
    socket.on('error', () => undefined)
    const lines = [`${method} http://${at}${path} HTTP/1.1`, `Host: ${at}`, ...headers]
    socket.write(`${lines.join('\r\n')}\r\n\r\n`)
    const head = await readHead(socket)
    if (!/^HTTP\/1\.1 (?:200|101)/.test(head)) throw new Error(`${host} ${name}: ${head}`)
    return { name: `${host} ${name}`, socket }
  }
  const streams = [
    await ask('events', 'GET', '/events', 'Accept: text/event-stream'),
    await ask(
      'mcp',
      'GET',
      '/mcp',
      'Accept: text/event-stream',
      'MCP-Protocol-Version: 2025-06-18',
    ),
    await ask(
      'websocket',
      'GET',
      '/socket',
      'Upgrade: websocket',
      'Connection: Upgrade',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ),
    { name: `${host} tunnel`, socket: await cx.connect(`${host}:${ports.tcp}`) },
  ]
  for (const { socket } of streams) socket.resume()
  return streams
}

/** Rules for one of each kind at a host. */
function allowAll(
  host: string,
  ports: { readonly http: number; readonly tcp: number },
  more: string,
  suffix = '',
): string[] {
  const of = (name: string): string => `${host.replace('.test', '')}-${name}${suffix}`
  const url = `://${host}:${ports.http}`
  return [
    `id: ${of('events')}, allow: 'http${url}/events', ${LOOPBACK}${more}`,
    `id: ${of('mcp')}, allow: 'http${url}/mcp', tools: [any], ${LOOPBACK}${more}`,
    `id: ${of('socket')}, allow: 'ws${url}/socket', ${LOOPBACK}${more}`,
    `id: ${of('tunnel')}, allow: 'tcp://${host}:${ports.tcp}', ${LOOPBACK}${more}`,
  ]
}

/** Puts other rules in force. */
async function writeRules(cx: Scenario, rules: readonly string[]): Promise<void> {
  cx.file(
    'rules/set.yaml',
    `ruleset: set\nrules:\n${rules.map((rule) => `  - { ${rule} }\n`).join('')}`,
  )
  const { body } = await api(cx, 'POST', '/v1/rules/reload', {})
  if (body.inForce !== true) throw new Error(JSON.stringify(body))
}

/** Waits until streams are cut, each at a moment or after it and for a reason. */
async function expectCut(
  cx: Scenario,
  t: Test,
  at: number,
  expected: readonly (readonly [streams: readonly Stream[], reason: string])[],
): Promise<void> {
  const streams = expected.flatMap(([each]) => each)
  const open = (): string[] =>
    streams.filter(({ socket }) => !socket.closed).map(({ name }) => name)
  t.equal(open().length, streams.length, 'all are open until then')
  if (at > Date.now()) await sleep(at - Date.now())
  await until(() => open().length === 0, 'they are cut')
  for (const [cut, reason] of expected) {
    const host = cut[0]?.name.split(' ')[0]
    const ends = (): ReturnType<Scenario['terminal']> =>
      cx
        .terminal()
        .filter(
          ({ event, destination }) => event.action === 'call-ended' && destination?.domain === host,
        )
    await until(() => ends().length >= cut.length, 'each is on record')
    const times = ends().map(({ '@timestamp': time }) => Date.parse(time))
    t.ok(Math.min(...times) >= at, 'not before')
    t.comment(`${host}: cut within ${Math.max(...times) - at} ms`)
    t.strictSame(
      ends().map(({ event }) => event.reason),
      cut.map(() => reason),
    )
  }
}

function wallAt(moment: number): string {
  return new Date(moment + ZONE.aheadMs).toISOString().slice(11, 16)
}

void t.test('time changes', async (t) => {
  const ports = await startUpstreams(t)
  const hosts = ['over.test', 'stays.test', 'denied.test', 'always.test']
  const options = { rules: { set: 'ruleset: set\nrules: []\n' }, hosts }

  scenario(
    t,
    'R11: what is open when its rule expires is cut, and nothing else',
    options,
    async (cx, t) => {
      const at = Math.ceil((Date.now() + SOON_MS) / 1000) * 1000
      const expires = `, expires: '${new Date(at).toISOString().replace('.000Z', 'Z')}', ticket: SEC-1`
      await writeRules(cx, [
        ...allowAll('over.test', ports, expires),
        ...allowAll('stays.test', ports, expires),
        ...allowAll('stays.test', ports, '', '-too'),
        ...allowAll('always.test', ports, ''),
      ])
      const over = await openAll(cx, 'over.test', ports)
      const going = [
        ...(await openAll(cx, 'stays.test', ports)),
        ...(await openAll(cx, 'always.test', ports)),
      ]
      await expectCut(cx, t, at, [[over, 'not-on-allowlist']])
      await t.rejects(openAll(cx, 'over.test', ports), /403 Sallyport: not-on-allowlist/)
      t.strictSame(
        going.filter(({ socket }) => socket.closed).map(({ name }) => name),
        [],
      )
      for (const { socket } of [...going, ...(await openAll(cx, 'stays.test', ports))])
        socket.destroy()
      await writeRules(cx, [
        ...allowAll('over.test', ports, expires),
        ...allowAll('always.test', ports, ''),
      ])
      t.pass('a file with a rule that has expired is loaded')
    },
  )

  scenario(
    t,
    'R11: what is open at the end of its window is cut, and where the window of a deny begins',
    options,
    async (cx, t) => {
      // Windows are of whole minutes; there has to be time to open everything before.
      const at = Math.ceil((Date.now() + 2 * SOON_MS) / MINUTE_MS) * MINUTE_MS
      const ending = `, between: { from: '${wallAt(at - HOUR_MS)}', to: '${wallAt(at)}', zone: ${ZONE.name} }`
      const beginning = `, between: { from: '${wallAt(at)}', to: '${wallAt(at + DAY_MS - HOUR_MS)}', zone: ${ZONE.name} }`
      await writeRules(cx, [
        ...allowAll('over.test', ports, ending),
        ...allowAll('stays.test', ports, ending),
        ...allowAll('stays.test', ports, '', '-too'),
        ...allowAll('denied.test', ports, ''),
        `id: night, deny: 'http://denied.test'${beginning}`,
        ...allowAll('always.test', ports, ''),
      ])
      const over = await openAll(cx, 'over.test', ports)
      const denied = await openAll(cx, 'denied.test', ports)
      const going = [
        ...(await openAll(cx, 'stays.test', ports)),
        ...(await openAll(cx, 'always.test', ports)),
      ]
      await expectCut(cx, t, at, [
        [over, 'outside-time-window'],
        [denied, 'denied-by-rule'],
      ])
      await t.rejects(openAll(cx, 'over.test', ports), /403 Sallyport: outside-time-window/)
      await t.rejects(openAll(cx, 'denied.test', ports), /403 Sallyport: denied-by-rule/)
      t.strictSame(
        going.filter(({ socket }) => socket.closed).map(({ name }) => name),
        [],
      )
      for (const { socket } of going) socket.destroy()
    },
  )
})
