// A credential that comes back on an upgraded connection, or with the answer to an upgrade: texts have it masked across frames, a
// binary message with it ends the connection, and no compression is offered.

import type { IncomingMessage } from 'node:http'
import https from 'node:https'
import type { Duplex } from 'node:stream'

import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'

import { canariesIn, canaryOf } from '../fixtures/canary.ts'
import { encodingsOf } from '../fixtures/encodings.ts'
import { portOf } from '../fixtures/port.ts'
import { exchange, pki, ruleSet, scenario, until, type Scenario } from '../fixtures/scenario.ts'
import { acceptOf, handshakeOf } from '../fixtures/websocket-ends.ts'

const SECRET = 'canary-Socket7/"x+2_k<9\\Zq'
const CANARY = [canaryOf('echo', SECRET)]
const ENCODINGS = [...encodingsOf(SECRET).values()]

const leaf = pki.issue({ names: ['up.test'] })
const server = https.createServer({ cert: leaf.certPem, key: leaf.keyPem })
const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: true })
const heads: IncomingMessage[] = []

const frame = (first: number, payload: string | Buffer): Buffer => {
  const bytes = Buffer.from(payload)
  const head =
    bytes.length < 126
      ? [first, bytes.length]
      : [first, 126, bytes.length >> 8, bytes.length & 0xff]
  return Buffer.concat([Buffer.from(head), bytes])
}
const FIN = 0x80

server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
  heads.push(request)
  socket.on('error', () => undefined)
  if (request.url === '/refused') {
    socket.end(
      `HTTP/1.1 401 no ${SECRET}\r\nX-Said: ${SECRET}\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n${SECRET}`,
    )
    return
  }
  if (request.url === '/refused/binary') {
    socket.end(`HTTP/1.1 401 no\r\nContent-Type: image/png\r\nConnection: close\r\n\r\n\0${SECRET}`)
    return
  }
  if (request.url === '/raw') {
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Said: ${SECRET}\r\nSec-WebSocket-Accept: ${acceptOf(request.headers['sec-websocket-key'] ?? '')}\r\n\r\n`,
    )
    // Each text cut into three frames, a ping with the value between them.
    for (const text of ENCODINGS)
      for (let cut = 1; cut < text.length - 1; cut += 1) {
        socket.write(frame(1, `[${text.slice(0, cut)}`))
        socket.write(frame(FIN | 9, SECRET))
        socket.write(frame(0, ''))
        socket.write(frame(0, text.slice(cut, cut + 1)))
        socket.write(frame(FIN, `${text.slice(cut + 1)}]`))
      }
    socket.write(frame(FIN | 1, 'over'))
    socket.on('data', () => undefined)
    return
  }
  sockets.handleUpgrade(request, socket, head, (one) => {
    one.on('message', (data: Buffer, isBinary) => one.send(data, { binary: isBinary }))
  })
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
t.teardown(() => {
  server.closeAllConnections()
  server.close()
})
const at = `up.test:${portOf(server)}`
const options = {
  hosts: ['up.test'],
  secrets: { TOKEN: SECRET },
  config: `credentials:
  token: { source: { env: TOKEN }, inject: { bearer: true }, hosts: ['${at}'] }
`,
  rules: ruleSet(`id: up, allow: 'wss://${at}', credential: token, addresses: [127.0.0.0/8]`),
}

const open = async (cx: Scenario, path: string): Promise<WebSocket> => {
  const socket = await cx.secure(at)
  // It gives up where it has many pings to answer at once.
  const client = new WebSocket(`wss://${at}${path}`, {
    createConnection: () => socket,
    autoPong: false,
  })
  socket.resume()
  client.on('error', () => undefined)
  return client
}

scenario(
  t,
  'R17: texts and control frames of a WebSocket have it masked, across frames; the twin passes',
  options,
  async (cx, t) => {
    const client = await open(cx, '/raw')
    const texts: string[] = []
    const pings = new Set<string>()
    client.on('upgrade', (response: IncomingMessage) => {
      t.equal(response.headers['x-said'], '*'.repeat(SECRET.length), 'the head too')
    })
    client.on('ping', (data: Buffer) => pings.add(data.toString()))
    client.on('message', (data: Buffer) => texts.push(data.toString()))
    await until(() => texts.at(-1) === 'over', 'the last one')
    t.strictSame(canariesIn(texts.join('\n'), CANARY), [])
    t.equal(
      texts.length - 1,
      ENCODINGS.reduce((sum, { length }) => sum + length - 2, 0),
    )
    t.ok(texts.slice(0, -1).every((text) => /^\[.{0,4}\*{16,}.{0,16}\]$/.test(text)))
    t.strictSame([...pings], ['*'.repeat(SECRET.length)])
    client.terminate()

    const twin = await open(cx, '/echo')
    const got: (string | number)[] = []
    twin.on('message', (data: Buffer, isBinary) =>
      got.push(isBinary ? data.length : data.toString()),
    )
    await new Promise((resolve) => twin.once('open', resolve))
    twin.send('grüße canary-Socket7')
    twin.send(Buffer.alloc(300_000, 7))
    await until(() => got.length === 2, 'both')
    t.strictSame(got, ['grüße canary-Socket7', 300_000])
    t.notOk('sec-websocket-extensions' in heads.at(-1)!.headers, 'no compression is offered')
    const closed = new Promise((resolve) => twin.once('close', resolve))
    twin.send(Buffer.from(`\0${SECRET}`))
    t.equal(await closed, 1006, 'a binary message with it ends the connection')
    t.equal(got.length, 2)
    t.match(await cx.record(({ url }) => url?.path === '/echo'), {
      event: { reason: 'credential-echoed' },
    })
    const alert = cx.records().find(({ event }) => event.action === 'credential-echoed')
    t.match(alert?.sallyport.detail, { credential: 'token', place: 'header' })
  },
)

scenario(t, 'R17: the answer to a refused upgrade has none of it', options, async (cx, t) => {
  const all = await exchange(await cx.secure(at), handshakeOf('/refused', at))
  t.strictSame(canariesIn(all, CANARY), [])
  t.match(all, /^HTTP\/1\.1 401 no \*{26}\r\n/)
  t.ok(all.endsWith(`\r\n\r\n${'*'.repeat(SECRET.length)}`))
  const cut = await exchange(await cx.secure(at), handshakeOf('/refused/binary', at))
  t.strictSame(canariesIn(cut, CANARY), [])
  t.match(await cx.record(({ url }) => url?.path === '/refused/binary'), {
    event: { reason: 'credential-echoed' },
  })
})
