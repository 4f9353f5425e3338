// R41: what passes within a WebSocket is the two ends' to judge. Malformed frames both ways pass byte for byte and harm nobody,
// large and fragmented messages are held up by who does not read, and extensions, pings and ends are the ends' own.

import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import net, { type Socket } from 'node:net'

import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'

import {
  readHead,
  ruleSet,
  scenario,
  sleep,
  startSecure,
  until,
  type Scenario,
} from '../fixtures/scenario.ts'
import {
  handshakeOf,
  SOCKET_ACCEPT,
  startRawSocket,
  upgradedOf,
} from '../fixtures/websocket-ends.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')

const FRAMES: Readonly<Record<string, Buffer>> = {
  'reserved-bits': hex('f1 01 61'),
  'compressed-without-extension': hex('c1 03 4a 04 00'),
  'opcode-3': hex('83 01 61'),
  'opcode-15': hex('8f 00'),
  unmasked: hex('81 05 68 65 6c 6c 6f'),
  masked: hex('81 85 37 fa 21 3d 7f 9f 4d 51 58'),
  'ping-of-126': Buffer.concat([hex('89 7e 00 7e'), Buffer.alloc(126, 1)]),
  'ping-in-pieces': hex('09 01 61'),
  'length-2-63': hex('82 7f 80 00 00 00 00 00 00 00 61 62'),
  'length-2-64-less-1': hex('82 7f ff ff ff ff ff ff ff ff 61 62'),
  'length-too-large-for-its-bytes': hex('82 7e ff ff 61 62'),
  'length-written-too-long': hex('81 7f 00 00 00 00 00 00 00 01 61'),
  'continuation-of-nothing': hex('80 01 61'),
  'message-in-message': hex('01 01 61 81 01 62'),
  'close-without-code': hex('88 00'),
  'close-with-half-a-code': hex('88 01 03'),
  'close-with-1005': hex('88 02 03 ed'),
  'close-with-999': hex('88 02 03 e7'),
  'close-with-bad-reason': hex('88 04 03 e8 c3 28'),
  'close-and-more': hex('88 02 03 e8 81 01 61'),
  'not-utf-8': hex('81 02 c3 28'),
  'head-cut-off': hex('81 7e 00'),
  'payload-cut-off': hex('81 05 68 65'),
  'pieces-without-end': Buffer.concat([
    hex('01 01 61'),
    ...Array.from({ length: 3000 }, () => hex('00 01 61')),
  ]),
  'empty-pieces': Buffer.concat([
    hex('01 00'),
    ...Array.from({ length: 3000 }, () => hex('00 00')),
  ]),
  'no-frames': Buffer.from('GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n'),
  random: randomBytes(4096),
}

/** Opens a raw socket to the upstream through the sidecar, past the answer to its handshake. */
async function openRaw(cx: Scenario, host: string, path: string, behind = ''): Promise<Socket> {
  const socket = net.connect(cx.proxyPort, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write(`${handshakeOf(`http://${host}${path}`, host)}${behind}`, 'latin1')
  const head = await readHead(socket)
  if (!head.startsWith('HTTP/1.1 101')) throw new Error(head)
  return socket
}

function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.resume()
  return new Promise((resolve) => socket.once('close', () => resolve(Buffer.concat(chunks))))
}

void t.test('malformed frames', async (t) => {
  const upstream = await startRawSocket((path, socket) => {
    const [, way, name = ''] = path.split('/')
    if (way === 'down') {
      socket.write(upgradedOf())
      socket.end(FRAMES[name]!)
    } else if (way === 'behind')
      socket.end(Buffer.concat([Buffer.from(upgradedOf()), FRAMES[name]!]))
    else if (way === 'up') {
      socket.write(upgradedOf())
      socket.on('end', () => socket.end())
    } else if (name === 'wrong') socket.write(upgradedOf().replace(SOCKET_ACCEPT, 'd3Jvbmc='))
    else if (name === 'none') socket.write(upgradedOf().replace(/Sec-WebSocket-Accept.*\r\n/, ''))
    else if (name === 'other') socket.write(upgradedOf().replace('websocket', 'h2c'))
    else socket.write(upgradedOf())
  })
  t.teardown(() => upstream.close())
  const host = `up.test:${upstream.port}`
  const options = {
    hosts: ['up.test'],
    rules: ruleSet(`id: all, allow: ['ws://${host}', 'http://${host}'], ${LOOPBACK}`),
  }

  scenario(
    t,
    'R41: pass byte for byte both ways, the end of a side is passed on, and each call has its one record',
    options,
    async (cx, t) => {
      for (const [name, bytes] of Object.entries(FRAMES)) {
        for (const way of ['down', 'behind']) {
          const socket = await openRaw(cx, host, `/${way}/${name}`)
          t.ok((await readAll(socket)).equals(bytes), `${name}, to the client, ${way}`)
        }
        const up = await openRaw(cx, host, `/up/${name}`)
        const over = readAll(up)
        up.end(bytes)
        await over
        t.ok(upstream.got.get(`/up/${name}`)?.equals(bytes), `${name}, to the upstream`)
      }
      const all = Object.keys(FRAMES).length * 3
      await until(() => cx.terminal().length === all, 'all are on record')
      for (const { event, http, url } of cx.terminal()) {
        t.equal(event.action, 'call-ended')
        t.equal(http?.response?.status_code, 101)
        const [, way, name = ''] = url!.path.split('/')
        const bytes = way === 'up' ? http?.request?.bytes : http?.response?.bytes
        t.equal(bytes, FRAMES[name]!.length, `${way} ${name} is counted`)
      }
    },
  )

  scenario(
    t,
    'frames that a client sends with its handshake are sent on behind it',
    options,
    async (cx, t) => {
      const bytes = FRAMES['unmasked']!.toString('latin1')
      const socket = await openRaw(cx, host, '/up/early', bytes)
      socket.end()
      await readAll(socket)
      t.equal(upstream.got.get('/up/early')?.toString('latin1'), bytes)
    },
  )

  scenario(
    t,
    'an answer that does not know the key is no upgrade, nor is one to who asked for none',
    options,
    async (cx, t) => {
      for (const name of ['wrong', 'none', 'other']) {
        const answer = await cx.raw(handshakeOf(`http://${host}/accept/${name}`, host))
        t.match(answer, /^HTTP\/1\.1 502 Sallyport: upgrade-failed\r\n/, name)
        t.notMatch(answer, /101 Switching/)
      }
      const plain = await cx.raw(
        `GET http://${host}/accept/right HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
      )
      t.match(plain, /^HTTP\/1\.1 502 Sallyport: response-malformed\r\n/)
      const twin = await openRaw(cx, host, '/accept/right')
      twin.destroy()
      await until(() => upstream.open() === 0, 'nothing is left open')
    },
  )

  scenario(
    t,
    'a peer that says no more and stays is cut when nothing moves, and so is the other',
    { ...options, limits: 'idleTimeoutMs: 1500' },
    async (cx, t) => {
      const silent = await openRaw(cx, host, '/accept/half-open')
      t.equal((await readAll(silent)).length, 0)
      t.match(await cx.record(({ url }) => url?.path === '/accept/half-open'), {
        event: { reason: 'idle-timeout' },
      })
      await until(() => upstream.open() === 0, 'the upstream is let go')
    },
  )
})

void t.test('real ends', async (t) => {
  const secure = await startSecure(['up.test'])
  const sockets = new WebSocketServer({
    server: secure.server,
    maxPayload: 0,
    perMessageDeflate: { threshold: 0 },
  })
  const pongs: string[] = []
  const stalled: Socket[] = []
  sockets.on('connection', (peer, incoming) => {
    peer.on('error', () => undefined)
    peer.on('pong', (data) => pongs.push(data.toString()))
    if (incoming.url === '/stalled') {
      incoming.socket.pause()
      stalled.push(incoming.socket)
    } else peer.on('message', (data: Buffer, isBinary) => peer.send(data, { binary: isBinary }))
    if (incoming.url === '/ping') peer.ping('are you there')
  })
  t.teardown(() => secure.close())
  const host = `up.test:${secure.port}`
  const options = {
    hosts: ['up.test'],
    limits: 'progressBytes: 8388608',
    rules: ruleSet(`id: all, allow: 'wss://${host}', ${LOOPBACK}`),
  }
  const open = async (
    cx: Scenario,
    path: string,
    perMessageDeflate: boolean,
  ): Promise<{ client: WebSocket; raw: Socket }> => {
    const raw = await cx.secure(host)
    const client = new WebSocket(`wss://${host}${path}`, {
      createConnection: () => raw,
      perMessageDeflate: perMessageDeflate && { threshold: 0 },
      maxPayload: 0,
    })
    raw.resume()
    await new Promise((resolve, reject) => client.once('open', resolve).once('error', reject))
    return { client, raw }
  }
  const echoed = (client: WebSocket): Promise<Buffer> =>
    new Promise((resolve) => client.once('message', (data: Buffer) => resolve(data)))
  const closed = (client: WebSocket): Promise<unknown> => {
    const over = new Promise((resolve) => client.once('close', resolve))
    client.close(1000)
    return over
  }

  scenario(
    t,
    '64 MiB pass in one message and in pieces, and are told as they go',
    options,
    async (cx, t) => {
      const { client } = await open(cx, '/large', false)
      const large = randomBytes(64 * 1024 * 1024)
      const whole = echoed(client)
      client.send(large)
      t.ok((await whole).equals(large), 'whole')
      const pieces = echoed(client)
      for (let at = 0; at < 64; at += 1)
        client.send(large.subarray(at * 1024 * 1024, (at + 1) * 1024 * 1024), {
          fin: at === 63,
          binary: true,
        })
      t.ok((await pieces).equals(large), 'in pieces')
      await closed(client)
      const { http } = await cx.record(({ url }) => url?.path === '/large')
      t.ok(http!.request!.bytes > 2 * large.length)
      t.ok(http!.response!.bytes > 2 * large.length)
      const progress = cx.records().filter(({ event }) => event.action === 'call-progress')
      t.ok(progress.length > 0, 'call-progress')
    },
  )

  scenario(
    t,
    'a peer that does not read holds the other up, and memory does not grow with what waits',
    options,
    async (cx, t) => {
      const { client } = await open(cx, '/stalled', false)
      const before = residentBytes(cx.pid())
      for (let at = 0; at < 16; at += 1) client.send(Buffer.alloc(8 * 1024 * 1024, at))
      let left = Infinity
      // Until nothing leaves any more.
      await until(async () => {
        const was = left
        left = client.bufferedAmount
        await sleep(300)
        return left > 0 && left === was
      }, 'the client is held up')
      t.ok(left > 64 * 1024 * 1024, `${left} bytes wait in the client`)
      const grown = residentBytes(cx.pid()) - before
      t.ok(grown < 64 * 1024 * 1024, `the sidecar grew by ${grown} bytes`)
      client.terminate()
      for (const socket of stalled) socket.resume()
      await cx.record(({ url }) => url?.path === '/stalled')
    },
  )

  scenario(
    t,
    'compression is agreed on end to end, pings are answered by the other end',
    options,
    async (cx, t) => {
      const { client } = await open(cx, '/deflated', true)
      t.match(client.extensions, /permessage-deflate/)
      const text = 'the same words again, '.repeat(20_000)
      const back = echoed(client)
      client.send(text)
      t.equal((await back).toString(), text)
      await closed(client)
      const { http } = await cx.record(({ url }) => url?.path === '/deflated')
      t.ok(http!.request!.bytes < text.length / 10, 'compressed bytes are what passed')
      const { client: asked } = await open(cx, '/ping', false)
      await until(() => pongs.includes('are you there'), 'the client has answered')
      const pong = new Promise<string>((resolve) =>
        asked.once('pong', (data) => resolve(data.toString())),
      )
      asked.ping('and you')
      t.equal(await pong, 'and you')
      await closed(asked)
    },
  )
})

function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024
}
