// WebSocket upgrades with a real client and a real server on either side, and what becomes of those that are refused, that
// break off, or that the upstream answers in another way.

import type { ClientRequest, IncomingMessage } from 'node:http'
import net, { type Socket } from 'node:net'
import type { Duplex } from 'node:stream'

import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'

import { freePort } from '../fixtures/port.ts'
import {
  exchange,
  pki,
  readHead,
  request,
  ruleSet,
  scenario,
  sleep,
  until,
} from '../fixtures/scenario.ts'
import { startHttp, startTcp, type Upstream } from '../fixtures/upstreams.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'
const SECRET = 'canary-websocket-4f1d7c3a9b'
const KEY = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='

/** An upstream that upgrades and echoes, and keeps the heads of the handshakes. */
const startWebSocket = async (
  secure: boolean,
): Promise<Upstream & { handshakes: IncomingMessage[] }> => {
  const upstream = await startHttp({ ...(secure && { tls: pki.issue({ names: ['up.test'] }) }) })
  const sockets = new WebSocketServer({ noServer: true })
  const handshakes: IncomingMessage[] = []
  upstream.server.on('upgrade', (incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => undefined)
    handshakes.push(incoming)
    sockets.handleUpgrade(incoming, socket, head, (one) => {
      one.on('error', () => undefined)
      one.on('message', (data: Buffer, isBinary) => {
        if (!isBinary && data.toString() === 'close me') one.close(4001, 'as asked')
        else if (!isBinary && data.toString() === 'drop me') one.terminate()
        else one.send(data, { binary: isBinary })
      })
    })
  })
  return { ...upstream, handshakes }
}

const opened = (url: string, socket: Socket): Promise<WebSocket> => {
  const client = new WebSocket(url, { createConnection: () => socket })
  // It comes paused behind the answer to its CONNECT.
  socket.resume()
  return new Promise((resolve, reject) => {
    client.once('open', () => resolve(client))
    client.once('error', reject)
  })
}

/** Sends messages one by one and gives what comes back. */
const talk = async (
  client: WebSocket,
  messages: readonly (string | Buffer)[],
): Promise<(string | Buffer)[]> => {
  const answers: (string | Buffer)[] = []
  for (const message of messages) {
    const answer = new Promise<string | Buffer>((resolve) => {
      client.once('message', (data: Buffer, isBinary) => resolve(isBinary ? data : data.toString()))
    })
    client.send(message)
    answers.push(await answer)
  }
  return answers
}

const ended = (client: WebSocket): Promise<number> =>
  new Promise((resolve) => {
    client.once('close', resolve)
  })

const handshake = (target: string, host: string, ...more: string[]): string =>
  `GET ${target} HTTP/1.1\r\n${[
    `Host: ${host}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    KEY,
    ...more,
  ].join('\r\n')}\r\n\r\n`

void t.test('sockets that are allowed', async (t) => {
  const secure = await startWebSocket(true)
  const plain = await startWebSocket(false)
  t.teardown(() => Promise.all([secure.close(), plain.close()]))
  const [secureHost, plainHost] = [`up.test:${secure.port}`, `up.test:${plain.port}`]
  const options = {
    hosts: ['up.test'],
    secrets: { SOCKET_TOKEN: SECRET },
    config: `credentials:
  socket: { source: { env: SOCKET_TOKEN }, inject: { bearer: true }, hosts: ['${secureHost}'] }
`,
    rules: ruleSet(
      `id: secure, allow: 'wss://${secureHost}', paths: ['/ok/**'], credential: socket, ${LOOPBACK}`,
      `id: plain, allow: 'ws://${plainHost}', ${LOOPBACK}`,
    ),
  }

  scenario(
    t,
    'text and binary pass both ways, over wss and ws, through CONNECT and in absolute form, and are counted',
    options,
    async (cx, t) => {
      const large = Buffer.alloc(300_000, 7)
      const messages = ['hello', 'grüße ✓', Buffer.from([0, 1, 2, 255]), large]
      const ways: [string, string, () => Promise<Socket>][] = [
        ['/ok/tls', `wss://${secureHost}/ok/tls`, () => cx.secure(secureHost)],
        ['/ok/clear', `ws://${plainHost}/ok/clear`, () => cx.connect(plainHost)],
      ]
      for (const [path, at, open] of ways) {
        const client = await opened(at, await open())
        t.strictSame(await talk(client, messages), messages, path)
        client.close(1000)
        t.equal(await ended(client), 1000)
        const record = await cx.record(({ url }) => url?.path === path)
        t.match(record, {
          event: { action: 'call-ended', outcome: 'success', reason: 'allowed' },
          http: { response: { status_code: 101 } },
          sallyport: { call: { kind: 'upgrade' } },
        })
        t.ok(record.http!.request!.bytes > large.length, 'bytes up')
        t.ok(record.http!.response!.bytes > large.length, 'bytes down')
      }

      const direct = new WebSocket(`ws://${plainHost}/ok/direct`, {
        createConnection: () => net.connect(cx.proxyPort, '127.0.0.1'),
        finishRequest: (outgoing: ClientRequest) => {
          outgoing.path = `http://${plainHost}/ok/direct`
          outgoing.end()
        },
      })
      await new Promise((resolve, reject) => {
        direct.once('open', resolve)
        direct.once('error', reject)
      })
      t.strictSame(await talk(direct, ['direct']), ['direct'])
      direct.terminate()
      t.equal(plain.handshakes.at(-1)?.url, '/ok/direct')
      await cx.record(({ url }) => url?.path === '/ok/direct')
    },
  )

  scenario(
    t,
    'R17: the credential is in the handshake, what the client sent instead is not, and no record has it',
    options,
    async (cx, t) => {
      const client = new WebSocket(`wss://${secureHost}/ok/key`, {
        createConnection: (
          (socket) => () =>
            socket
        )(await cx.secure(secureHost)),
        headers: { Authorization: 'Bearer mine', Cookie: 'a=b', 'X-Kept': 'yes' },
      })
      await new Promise((resolve, reject) => {
        client.once('open', resolve)
        client.once('error', reject)
      })
      t.strictSame(await talk(client, ['x']), ['x'])
      const { headers } = secure.handshakes.at(-1)!
      t.match(headers, { authorization: `Bearer ${SECRET}`, 'x-kept': 'yes', host: secureHost })
      t.notOk(headers.cookie)
      client.close()
      await ended(client)
      t.match(await cx.record(({ url }) => url?.path === '/ok/key'), {
        sallyport: { credential: { name: 'socket', action: /injected|replaced/ } },
      })
      const clear = await opened(`ws://${plainHost}/ok/none`, await cx.connect(plainHost))
      clear.close()
      await ended(clear)
      t.notOk(plain.handshakes.at(-1)?.headers.authorization, 'and nowhere else')
    },
  )

  scenario(
    t,
    'the end of one side is the end of the other, whichever leaves and however',
    options,
    async (cx, t) => {
      const open = async (): Promise<WebSocket> =>
        opened(`wss://${secureHost}/ok/end`, await cx.secure(secureHost))
      const closed = await open()
      closed.send('close me')
      t.equal(await ended(closed), 4001, 'the upstream says goodbye')
      const dropped = await open()
      dropped.send('drop me')
      t.equal(await ended(dropped), 1006, 'the upstream is gone')
      const left = await open()
      left.terminate()
      await until(() => secure.open() === 0, 'no upstream socket is left')
      await until(
        () => cx.terminal().filter(({ url }) => url?.path === '/ok/end').length === 3,
        'all are on record',
      )
    },
  )

  scenario(
    t,
    'a client that resets right after its handshake, twenty times, harms nobody',
    options,
    async (cx, t) => {
      for (let at = 0; at < 20; at += 1) {
        const socket =
          at % 2 === 0 ? await cx.connect(plainHost) : net.connect(cx.proxyPort, '127.0.0.1')
        socket.on('error', () => undefined)
        const target = at % 2 === 0 ? '/ok/reset' : `http://${plainHost}/ok/reset`
        await new Promise<void>((resolve) => {
          socket.write(handshake(target, plainHost), () => resolve())
        })
        // From before the proxy has read it to after the upstream has answered.
        if (at % 4 > 1) await sleep(at)
        socket.resetAndDestroy()
      }
      for (let at = 0; at < 6; at += 1) {
        const socket = await cx.secure(secureHost)
        socket.write(handshake('/ok/reset', secureHost))
        await sleep(at * 3)
        socket.destroy()
      }
      await until(() => plain.open() === 0 && secure.open() === 0, 'no upstream socket is left')
      const client = await opened(`ws://${plainHost}/ok/twin`, await cx.connect(plainHost))
      t.strictSame(await talk(client, ['alive']), ['alive'])
      client.close()
      await ended(client)
    },
  )
})

void t.test('sockets that are refused', async (t) => {
  const secure = await startWebSocket(true)
  const plain = await startWebSocket(false)
  t.teardown(() => Promise.all([secure.close(), plain.close()]))
  const [secureHost, plainHost] = [`up.test:${secure.port}`, `up.test:${plain.port}`]
  scenario(
    t,
    'an upgrade needs a rule for it: http(s):// alone is not, and paths and names bind it as any call',
    {
      hosts: ['up.test'],
      rules: ruleSet(
        `id: secure, allow: 'https://${secureHost}', paths: ['/web/**'], ${LOOPBACK}`,
        `id: plain, allow: 'http://${plainHost}', paths: ['/web/**'], ${LOOPBACK}`,
        `id: sockets, allow: 'wss://${secureHost}', paths: ['/socket/**'], ${LOOPBACK}`,
      ),
    },
    async (cx, t) => {
      const [before, plainBefore] = [secure.handshakes.length, plain.handshakes.length]
      t.match(
        await exchange(await cx.secure(secureHost), handshake('/web/x', secureHost)),
        /^HTTP\/1\.1 403 Sallyport: (?:protocol|path)-not-allowed/,
      )
      t.match(
        await exchange(await cx.connect(plainHost), handshake('/web/x', plainHost)),
        /^HTTP\/1\.1 403 Sallyport: protocol-not-allowed/,
      )
      t.match(
        await exchange(await cx.secure(secureHost), handshake('/other', secureHost)),
        /^HTTP\/1\.1 403 Sallyport: path-not-allowed/,
      )
      t.match(
        await exchange(await cx.secure(secureHost), handshake('/socket/x', 'evil.test')),
        /^HTTP\/1\.1 400 Sallyport: authority-mismatch/,
      )
      await t.rejects(
        opened(`wss://${secureHost}/web/x`, await cx.secure(secureHost)),
        /403/,
        'as a client sees it',
      )
      t.equal(secure.handshakes.length, before)
      t.equal(plain.handshakes.length, plainBefore)
      t.match(await cx.record(({ event }) => event.reason === 'protocol-not-allowed'), {
        event: { action: 'call-denied', outcome: 'failure' },
      })
      const client = await opened(`wss://${secureHost}/socket/x`, await cx.secure(secureHost))
      t.strictSame(await talk(client, ['twin']), ['twin'])
      client.close()
      await ended(client)
      t.match(
        await exchange(await cx.secure(secureHost), request('GET', '/web/x', secureHost)),
        /^HTTP\/1\.1 200/,
        'and the web twin',
      )
    },
  )

  scenario(
    t,
    'an upgrade with a body is refused; offers of other protocols are not passed on',
    {
      hosts: ['up.test'],
      rules: ruleSet(`id: all, allow: ['ws://${plainHost}', 'http://${plainHost}'], ${LOOPBACK}`),
    },
    async (cx, t) => {
      const seen = plain.seen.length
      const target = `http://${plainHost}/x`
      for (const more of ['Content-Length: 4', 'Transfer-Encoding: chunked'])
        t.match(
          await cx.raw(`${handshake(target, plainHost, more)}abcd`),
          /^HTTP\/1\.1 40[03] Sallyport: (?:protocol-not-allowed|malformed-header)/,
          more,
        )
      t.equal(plain.seen.length, seen)
      for (const protocol of ['h2c', 'connect-udp', 'websocket, h2c', 'TLS/1.0', 'HTTP/2.0']) {
        const answer = await cx.raw(
          `GET ${target} HTTP/1.1\r\nHost: ${plainHost}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: ${protocol}\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n`,
          500,
        )
        t.notMatch(answer, /^HTTP\/1\.1 101/, protocol)
        if (answer.startsWith('HTTP/1.1 200'))
          t.notMatch(
            plain.seen.at(-1)!.rawHeaders.join('\n'),
            /upgrade|http2-settings/i,
            `${protocol} is an ordinary request`,
          )
        else t.match(answer, /^HTTP\/1\.1 403 Sallyport: protocol-not-allowed/, protocol)
      }
      const client = await opened(`ws://${plainHost}/x`, await cx.connect(plainHost))
      client.close()
      await ended(client)
    },
  )
})

void t.test('upstreams that do not upgrade', async (t) => {
  const answers: Readonly<Record<string, string>> = {
    '/length': 'HTTP/1.1 403 Forbidden\r\nX-Why: no\r\nContent-Length: 6\r\n\r\nno way',
    '/chunked':
      'HTTP/1.1 403 Forbidden\r\nX-Why: no\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nno way\r\n0\r\n\r\n',
    '/until-close': 'HTTP/1.1 403 Forbidden\r\nX-Why: no\r\nConnection: close\r\n\r\nno way',
    '/ordinary': 'HTTP/1.1 200 OK\r\nX-Why: no\r\nContent-Length: 6\r\n\r\nno way',
    '/both':
      'HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nno way\r\n0\r\n\r\n',
    '/garbage': 'SSH-2.0-x\r\n\r\n',
  }
  const upstream = await startTcp((socket) => {
    let text = ''
    socket.on('end', () => socket.end())
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      if (!text.includes('\r\n\r\n')) return
      const path = text.split(' ')[1] ?? ''
      if (path === '/hang-up') socket.destroy()
      else if (path === '/slow')
        setTimeout(
          () =>
            socket.end(
              'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nbytes',
            ),
          200,
        )
      else if (path === '/until-close') socket.end(answers[path] ?? '')
      else socket.write(answers[path] ?? '')
    })
  })
  const closedPort = await freePort()
  t.teardown(() => upstream.close())
  const host = `up.test:${upstream.port}`
  scenario(
    t,
    'another answer is passed on framed soundly, none at all comes to an answer of ours',
    {
      hosts: ['up.test'],
      limits: 'responseTimeoutMs: 600',
      rules: ruleSet(`id: all, allow: ['ws://${host}', 'ws://up.test:${closedPort}'], ${LOOPBACK}`),
    },
    async (cx, t) => {
      const ask = (path: string, at = host): Promise<string> =>
        cx.raw(handshake(`http://${at}${path}`, at), 4000)
      for (const path of ['/length', '/chunked', '/until-close', '/ordinary']) {
        const startedAt = performance.now()
        const answer = await ask(path)
        t.match(answer, /^HTTP\/1\.1 (?:403 Forbidden|200 OK)\r\n[^]*X-Why: no\r\n/, path)
        t.match(
          answer,
          /\r\n\r\n(?:no way|6\r\nno way\r\n0\r\n\r\n)$/,
          `${path}: the whole body, once`,
        )
        t.equal(
          /transfer-encoding: chunked/i.test(answer),
          answer.endsWith('\r\n0\r\n\r\n'),
          `${path}: framed as it says`,
        )
        t.ok(performance.now() - startedAt < 3000, `${path}: and over`)
        t.match(await cx.record(({ url }) => url?.path === path), {
          http: { response: { status_code: path === '/ordinary' ? 200 : 403 } },
        })
      }
      for (const path of ['/both', '/garbage', '/hang-up']) {
        const answer = await ask(path)
        t.notMatch(answer, /no way/, `${path}: nothing ambiguous passes`)
        t.match(answer, /^HTTP\/1\.1 502 Sallyport: (?:response-malformed|upgrade-failed)/, path)
      }
      t.match(await ask('/never'), /^HTTP\/1\.1 504 Sallyport: response-timeout/)
      t.match(
        await ask('/x', `up.test:${closedPort}`),
        /^HTTP\/1\.1 502 Sallyport: (?:dial-failed|upgrade-failed)/,
      )
      t.match(
        await cx.raw(handshake(`http://${host}/x`, host).replace('GET', 'POST'), 4000),
        /^HTTP\/1\.1 403 Sallyport: (?:protocol|method)-not-allowed/,
        'nor is a handshake anything but a GET',
      )
      t.match(await ask('/slow'), /^HTTP\/1\.1 101 [^]*\r\n\r\nbytes$/, 'while a slow one upgrades')
      await until(() => upstream.open() === 0, 'no upstream socket is left')
    },
  )
})

void t.test('bytes behind a handshake', async (t) => {
  const upstream = await startWebSocket(false)
  t.teardown(() => upstream.close())
  const host = `up.test:${upstream.port}`
  scenario(
    t,
    'frames sent at once with the handshake arrive, and no second request can hide there',
    { hosts: ['up.test'], rules: ruleSet(`id: all, allow: 'ws://${host}', ${LOOPBACK}`) },
    async (cx, t) => {
      const seen = upstream.seen.length
      const socket = net.connect(cx.proxyPort, '127.0.0.1')
      // A masked text frame: "hi", mask zero.
      const frame = Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69])
      socket.write(Buffer.concat([Buffer.from(handshake(`http://${host}/early`, host)), frame]))
      t.match(await readHead(socket), /^HTTP\/1\.1 101 /)
      const echoed = await new Promise<Buffer>((resolve) => {
        socket.once('data', resolve)
        socket.resume()
      })
      t.strictSame(echoed, Buffer.from([0x81, 0x02, 0x68, 0x69]))
      socket.destroy()
      await exchange(
        net.connect(cx.proxyPort, '127.0.0.1'),
        `${handshake(`http://${host}/early`, host)}GET /hidden HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
        600,
      )
      t.equal(upstream.seen.length, seen, 'the upstream saw no other request')
    },
  )
})
