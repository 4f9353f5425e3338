// What one connection of HTTP/2 may cost: every bound of it reached from outside, by a client that writes its own frames. The
// connection or the stream ends, each call is on record once, and the next connection works.

import net from 'node:net'
import tls from 'node:tls'

import t from 'tap'

import {
  block,
  frame,
  headersFrame,
  pseudo,
  PREFACE,
  RawHttp2,
  secureHttp2,
} from '../fixtures/http2-client.ts'
import { pki, readHead, ruleSet, scenario, until, type Scenario } from '../fixtures/scenario.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'
const CALM = 11
const RESET = Buffer.from([0, 0, 0, 8])

const up = await startHttp({
  tls: pki.issue({ names: ['up.test'] }),
  raw: (request, response) => {
    request.resume()
    if (request.url === '/ok/slow') response.write('begun')
    else if (request.url === '/ok/large') response.end(Buffer.alloc(4 * 1024 * 1024))
    else request.on('end', () => response.end('ok'))
  },
})
t.teardown(() => up.close())
const authority = `up.test:${up.port}`
const options = {
  hosts: ['up.test'],
  rules: ruleSet(`id: up, allow: 'https://${authority}', paths: ['/ok/**'], ${LOOPBACK}`),
}

const reasons = (cx: Scenario): string[] =>
  cx
    .terminal()
    .filter(({ sallyport }) => sallyport.call?.kind === 'intercepted')
    .map(({ event }) => event.reason)

async function goesOn(cx: Scenario): Promise<boolean> {
  const raw = await RawHttp2.open(cx, authority)
  raw.send(headersFrame(1, pseudo(authority)))
  await until(() => raw.isEnded(1), 'the next connection works')
  raw.socket.destroy()
  return true
}

/** Resolves once nothing is open. */
async function isQuiet(cx: Scenario): Promise<void> {
  for (const name of ['sallyport_open_calls', 'sallyport_open_tunnels'])
    await until(async () => (await cx.metric(name)) === 0, `${name} is 0:\n${cx.summary()}`)
}

scenario(
  t,
  'http2StreamsMax: further streams are refused while so many are open',
  { ...options, limits: 'http2StreamsMax: 2' },
  async (cx, t) => {
    const raw = await RawHttp2.open(cx, authority)
    raw.send(...[1, 3, 5].map((id) => headersFrame(id, pseudo(authority, '/ok/slow'))))
    await until(() => raw.resetOf(5) !== undefined, 'the third is refused')
    t.equal(raw.resetOf(5), 7, 'it may be asked for again')
    await cx.record(({ event }) => event.reason === 'busy')
    await until(() => raw.of(0, 1).length > 0 && raw.of(0, 3).length > 0, 'two are served')
    raw.send(frame(3, 0, 1, RESET))
    await cx.record(({ event }) => event.reason === 'client-gone')
    raw.send(headersFrame(7, pseudo(authority)))
    await until(() => raw.isEnded(7), 'one that ends makes room')
    raw.socket.destroy()
    t.ok(await goesOn(cx))
  },
)

scenario(
  t,
  'http2ResetsPerMinute: streams that are reset before they are answered end the connection',
  { ...options, limits: 'http2ResetsPerMinute: 20' },
  async (cx, t) => {
    const few = await RawHttp2.open(cx, authority)
    for (let id = 1; id < 21; id += 2)
      few.send(headersFrame(id, pseudo(authority)), frame(3, 0, id, RESET))
    few.send(headersFrame(21, pseudo(authority)))
    await until(() => few.isEnded(21), 'a few are borne')
    few.socket.destroy()
    await isQuiet(cx)
    const before = reasons(cx).length
    t.equal(before, 11, 'each is on record')

    const many = await RawHttp2.open(cx, authority)
    await until(() => many.frames.length > 1, 'it stands')
    const pair = (id: number): Buffer =>
      Buffer.concat([headersFrame(id, pseudo(authority)), frame(3, 0, id, RESET)])
    for (let id = 1; id < 401; id += 2) many.send(pair(id))
    await until(() => many.isClosed, 'the connection is ended')
    t.strictSame(many.goneAway, [CALM])
    await isQuiet(cx)
    const after = reasons(cx).slice(before)
    t.ok(after.includes('busy'), 'it is said why')
    t.ok(after.length < 60, `${after.length} calls came of it`)
    t.ok(await goesOn(cx))
  },
)

scenario(
  t,
  'http2ResetsPerMinute: streams that the client makes us reset count too',
  { ...options, limits: 'http2ResetsPerMinute: 20' },
  async (cx, t) => {
    const raw = await RawHttp2.open(cx, authority)
    for (let id = 1; id < 201; id += 2)
      raw.send(headersFrame(id, [...pseudo(authority), ['connection', 'close']]))
    await until(() => raw.isClosed, 'the connection is ended')
    t.strictSame(raw.goneAway, [CALM])
    await isQuiet(cx)
    t.ok(reasons(cx).includes('busy'))
    t.ok(await goesOn(cx))
  },
)

const CONTROL: readonly [what: string, bytes: Buffer][] = [
  ['PING', frame(6, 0, 0, Buffer.alloc(8))],
  ['SETTINGS', frame(4, 0, 0)],
  ['PRIORITY', frame(2, 0, 1, Buffer.from([0, 0, 0, 0, 1]))],
  ['empty DATA', frame(0, 0, 1)],
  ['frames of no known type', frame(99, 0, 0, 'abc')],
]

scenario(
  t,
  'http2ControlFramesPerSecond: frames that carry nothing end the connection',
  { ...options, limits: 'http2ControlFramesPerSecond: 50' },
  async (cx, t) => {
    for (const [what, bytes] of CONTROL) {
      const before = reasons(cx).length
      const raw = await RawHttp2.open(cx, authority)
      raw.send(headersFrame(1, pseudo(authority, '/ok/slow', 'POST'), false))
      raw.send(...Array.from({ length: 20 }, () => bytes))
      await until(() => raw.of(0, 1).length > 0, `${what}: some are borne`)
      raw.send(...Array.from({ length: 2000 }, () => bytes))
      await until(() => raw.isClosed, `${what}: the connection is ended`)
      t.strictSame(raw.goneAway, [CALM], what)
      await isQuiet(cx)
      t.strictSame(reasons(cx).slice(before).toSorted(), ['busy', 'client-gone'], what)
    }
    t.ok(await goesOn(cx))
  },
)

scenario(
  t,
  'headBytesMax, headerCountMax: of a header list as of any head',
  { ...options, limits: 'headBytesMax: 4KiB, headerCountMax: 20' },
  async (cx, t) => {
    const fields = (count: number, bytes: number): [string, string][] =>
      Array.from({ length: count }, (_, at) => [`x-${at}`, 'v'.repeat(bytes)])
    const heads: [string, Uint8Array[], string][] = [
      ['too many fields', [headersFrame(1, [...pseudo(authority), ...fields(30, 1)])], 'answered'],
      [
        'one field too large',
        [headersFrame(1, [...pseudo(authority), ...fields(1, 3950)])],
        'answered',
      ],
      ['a block too large', [headersFrame(1, [...pseudo(authority), ...fields(1, 8000)])], 'ended'],
      [
        'a block too large in CONTINUATION',
        [
          frame(1, 1, 1, block(pseudo(authority))),
          ...Array.from({ length: 100 }, () => frame(9, 0, 1, block(fields(1, 400)))),
        ],
        'ended',
      ],
      [
        'a table of one large field, named again and again',
        [
          frame(
            1,
            5,
            1,
            Buffer.concat([
              block(pseudo(authority)),
              // Literal with indexing, then its index.
              Buffer.concat([
                Buffer.from([0x40]),
                block([['x-bomb', 'b'.repeat(2000)]]).subarray(1),
              ]),
              Buffer.alloc(1000, 0xbe),
            ]),
          ),
        ],
        'reset',
      ],
    ]
    for (const [what, frames, end] of heads) {
      const before = reasons(cx).length
      const raw = await RawHttp2.open(cx, authority)
      raw.send(...frames)
      await until(() => reasons(cx).length > before, `${what}: it is on record`)
      t.equal(reasons(cx)[before], 'head-too-large', what)
      if (end === 'answered') await until(() => raw.isEnded(1), `${what}: it is answered`)
      if (end === 'reset') await until(() => raw.resetOf(1) !== undefined, `${what}: it is reset`)
      if (end === 'ended') {
        await until(() => raw.isClosed, `${what}: the connection is ended`)
        t.strictSame(raw.goneAway, [CALM], what)
      }
      raw.socket.destroy()
      await isQuiet(cx)
      t.equal(reasons(cx).length, before + 1, `${what}: one record`)
    }
    const raw = await RawHttp2.open(cx, authority)
    raw.send(headersFrame(1, [...pseudo(authority), ...fields(10, 100)]))
    await until(() => raw.isEnded(1), 'what is within is answered')
    raw.socket.destroy()
  },
)

scenario(t, 'a flood of empty CONTINUATION frames ends the connection', options, async (cx, t) => {
  const raw = await RawHttp2.open(cx, authority)
  raw.send(frame(1, 1, 1, block(pseudo(authority))))
  raw.send(...Array.from({ length: 10_000 }, () => frame(9, 0, 1)))
  await until(() => raw.isClosed, 'the connection is ended')
  await isQuiet(cx)
  t.equal(reasons(cx).length, 1, 'one record')
  t.ok(await goesOn(cx))
})

scenario(
  t,
  'http2SessionBytesMax: a client that lets nothing out gets no further streams',
  { ...options, limits: 'http2SessionBytesMax: 1MiB, http2StreamsMax: 1000' },
  async (cx, t) => {
    const raw = new RawHttp2(await secureHttp2(cx, authority))
    // SETTINGS_INITIAL_WINDOW_SIZE 0.
    raw.send(PREFACE, frame(4, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0])))
    let id = -1
    const isRefused = (): boolean => reasons(cx).includes('busy')
    while (!isRefused() && id < 2000) {
      id += 2
      raw.send(headersFrame(id, pseudo(authority, '/ok/large')))
      await until(() => raw.of(1, id).length > 0 || raw.of(3, id).length > 0, 'it is told')
    }
    t.ok(isRefused(), `refused after ${id} streams`)
    raw.socket.destroy()
    t.ok(await goesOn(cx))
  },
)

scenario(
  t,
  'headTimeoutMs, keepAliveTimeoutMs: of a connection on which nothing is asked',
  { ...options, limits: 'headTimeoutMs: 300, keepAliveTimeoutMs: 300' },
  async (cx, t) => {
    const silent: [string, (Uint8Array | string)[]][] = [
      ['nothing', []],
      ['half a preface', ['PRI * HT']],
      ['a preface alone', [PREFACE]],
      ['no request', [PREFACE, frame(4, 0, 0)]],
      ['half a header block', [PREFACE, frame(4, 0, 0), frame(1, 1, 1, block(pseudo(authority)))]],
    ]
    for (const [what, bytes] of silent) {
      const before = reasons(cx).length
      const raw = new RawHttp2(await secureHttp2(cx, authority))
      raw.send(...bytes)
      await until(() => raw.isClosed, `${what}: it is ended`)
      await isQuiet(cx)
      t.strictSame(reasons(cx).slice(before), ['head-timeout'], what)
    }
    const kept = await RawHttp2.open(cx, authority)
    kept.send(headersFrame(1, pseudo(authority)))
    await until(() => kept.isEnded(1), 'it is answered')
    await until(() => kept.isClosed, 'and ended when nothing more comes')
    t.ok(kept.goneAway.length > 0 && kept.goneAway.every((code) => code === 0), 'in order')
    await isQuiet(cx)
    t.equal(reasons(cx).at(-1), 'allowed')
  },
)

/** A tunnel's two sockets: the raw one and TLS on it. */
async function both(cx: Scenario): Promise<{ socket: net.Socket; secure: tls.TLSSocket }> {
  const socket = net.connect(cx.proxyPort, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`)
  await readHead(socket)
  const secure = tls.connect({
    socket,
    servername: 'up.test',
    ca: cx.caPem(),
    ALPNProtocols: ['h2'],
  })
  secure.on('error', () => undefined)
  secure.resume()
  await new Promise((resolve) => secure.once('secureConnect', resolve))
  return { socket, secure }
}

type Leaving = (sockets: { socket: net.Socket; secure: tls.TLSSocket }) => void

scenario(
  t,
  'nothing is left of a connection, however a client leaves it',
  { ...options, limits: 'headTimeoutMs: 1s, keepAliveTimeoutMs: 1s, idleTimeoutMs: 2s' },
  async (cx, t) => {
    const preface = [PREFACE, frame(4, 0, 0)]
    const begins: Record<string, (string | Buffer)[]> = {
      'with nothing said': [],
      'behind its preface': preface,
      'within a frame': [...preface, headersFrame(1, pseudo(authority)).subarray(0, 20)],
      'within a header block': [...preface, frame(1, 1, 1, block(pseudo(authority)))],
      'behind a request': [...preface, headersFrame(1, pseudo(authority))],
      'within an answer': [...preface, headersFrame(1, pseudo(authority, '/ok/slow'))],
      'within a large answer': [...preface, headersFrame(1, pseudo(authority, '/ok/large'))],
      'within a body': [...preface, headersFrame(1, pseudo(authority, '/ok/a', 'POST'), false)],
      'with many streams': [
        ...preface,
        ...Array.from({ length: 20 }, (_, at) =>
          headersFrame(at * 2 + 1, pseudo(authority, '/ok/slow')),
        ),
      ],
      'behind its GOAWAY': [
        ...preface,
        headersFrame(1, pseudo(authority, '/ok/slow')),
        frame(7, 0, 0, Buffer.alloc(8)),
      ],
      'behind an error of its own': [
        ...preface,
        headersFrame(1, pseudo(authority, '/ok/slow')),
        frame(7, 0, 0, Buffer.from([0, 0, 0, 0, 0, 0, 0, 2])),
      ],
    }
    const ways: Record<string, Leaving> = {
      'by FIN': ({ secure }) => secure.end(),
      'by FIN without a close of TLS': ({ socket }) => socket.end(),
      'by a close': ({ secure }) => secure.destroy(),
      'by RST': ({ socket }) => socket.resetAndDestroy(),
      'by garbage in TLS': ({ socket }) => socket.end(Buffer.from('garbage')),
      'by silence': ({ socket }) => socket.pause(),
    }
    let opened = 0
    const kept: net.Socket[] = []
    for (const bytes of Object.values(begins))
      for (const leave of Object.values(ways))
        for (const isAtOnce of [true, false]) {
          const sockets = await both(cx)
          kept.push(sockets.socket)
          opened += 1
          if (bytes.length > 0)
            sockets.secure.write(Buffer.concat(bytes.map((piece) => Buffer.from(piece))))
          if (isAtOnce) leave(sockets)
          else setTimeout(() => leave(sockets), 50)
        }
    t.comment(`${opened} connections`)
    await isQuiet(cx)
    t.ok(await goesOn(cx))
    for (const socket of kept) socket.destroy()
    await isQuiet(cx)
    await until(() => up.open() <= 1, 'the upstream is let go too')
  },
)
