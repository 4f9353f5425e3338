// Every bound of limits.ts reached from outside: at the bound the answer is a reason, quickly, and the program goes on.

import { readFileSync } from 'node:fs'
import net, { type Socket } from 'node:net'
import tls from 'node:tls'

import t from 'tap'

import { startDnsServer } from '../fixtures/dns.ts'
import { portOf } from '../fixtures/port.ts'
import {
  exchange,
  freePort,
  readHead,
  request,
  ruleSet,
  scenario,
  sleep,
  startSecure,
  until,
  type Scenario,
} from '../fixtures/scenario.ts'
import { startEcho, startHttp, startTcp, type Upstream } from '../fixtures/upstreams.ts'

const MEBIBYTE = Buffer.alloc(1024 * 1024, 'x')
const LOOPBACK = 'addresses: [127.0.0.0/8]'
const NAMES = ['up', 'other', 'sec', 'echo', 'silent', 'slow', 'fat', 'a.mint', 'b.mint', 'c.mint']
const HOSTS = NAMES.map((name) => `${name}.test`)

/** Resolves once the peer has closed; with how long that took. */
function closed(socket: Socket): Promise<number> {
  const startedAt = Date.now()
  socket.on('error', () => undefined)
  socket.resume()
  return new Promise((resolve) => {
    if (socket.closed) resolve(0)
    else socket.once('close', () => resolve(Date.now() - startedAt))
  })
}

/** A connection to the door on which nothing is said yet. */
function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => resolve(socket))
    socket.on('error', reject)
  })
}

/** The first flight of a client. */
function clientHello(servername: string): Promise<Buffer> {
  return new Promise((resolve) => {
    const server = net.createServer((socket) => {
      socket.once('data', (bytes: Buffer) => {
        resolve(bytes)
        socket.destroy()
        server.close()
      })
    })
    server.listen(0, '127.0.0.1', () => {
      tls
        .connect({ port: portOf(server), host: '127.0.0.1', servername })
        .on('error', () => undefined)
    })
  })
}

void t.test('limits', async (t) => {
  const small = (): { body: string } => ({ body: 'ok' })
  const up = await startHttp({ handler: small })
  const other = await startHttp({ handler: small })
  const sec = await startSecure(['sec.test', 'a.mint.test', 'b.mint.test', 'c.mint.test'], small)
  const echo = await startEcho()
  const silent = await startTcp((socket) => socket.resume())
  let written = 0
  const slow = await startHttp({
    raw: (_request, response) => {
      response.writeHead(200)
      response.write('begun')
      const push = (): void => {
        const more = response.write(MEBIBYTE)
        written += MEBIBYTE.length
        if (more) setTimeout(push, 5)
        else response.once('drain', push)
      }
      setTimeout(push, 50)
    },
  })
  const fat = await startHttp({
    handler: ({ url }) => ({
      headers: ['X-Fat', 'x'.repeat(url === '/fat' ? 4000 : 10)],
      body: 'ok',
    }),
  })
  const all: Upstream[] = [up, other, sec, echo, silent, slow, fat]
  t.teardown(() => Promise.all(all.map((upstream) => upstream.close())))
  const at = {
    up: `up.test:${up.port}`,
    other: `other.test:${other.port}`,
    sec: `sec.test:${sec.port}`,
    echo: `echo.test:${echo.port}`,
    silent: `silent.test:${silent.port}`,
    slow: `slow.test:${slow.port}`,
    fat: `fat.test:${fat.port}`,
  }
  const rules = ruleSet(
    `id: up, allow: 'http://${at.up}', ${LOOPBACK}`,
    `id: other, allow: 'http://${at.other}', ${LOOPBACK}`,
    `id: sec, allow: 'https://${at.sec}', ${LOOPBACK}`,
    `id: mint, allow: 'https://*.mint.test:${sec.port}', ${LOOPBACK}`,
    `id: echo, allow: 'tcp://${at.echo}', ${LOOPBACK}`,
    `id: silent, allow: ['http://${at.silent}'], ${LOOPBACK}`,
    `id: slow, allow: 'http://${at.slow}', ${LOOPBACK}`,
    `id: fat, allow: 'http://${at.fat}', ${LOOPBACK}`,
  )
  const options = { hosts: HOSTS, rules }
  const get = (host: string, target = '/', more: Parameters<typeof request>[3] = {}): string =>
    request('GET', `http://${host}${target}`, host, more)
  const begin = async (cx: Scenario, host: string): Promise<Socket> => {
    const socket = await open(cx.proxyPort)
    socket.write(get(host))
    await readHead(socket)
    return socket
  }
  const isUp = async (cx: Scenario): Promise<boolean> =>
    (await cx.raw(get(at.up))).startsWith('HTTP/1.1 200')

  scenario(
    t,
    'I7: beyond connectionsMax a connection is answered busy; the place that comes free is taken',
    { ...options, limits: 'connectionsMax: 2' },
    async (cx, t) => {
      const held = await Promise.all([open(cx.proxyPort), open(cx.proxyPort)])
      t.match(await cx.raw(get(at.up)), /^HTTP\/1\.1 503 Sallyport: busy/)
      held[0].destroy()
      await until(() => isUp(cx), 'a place is free')
      held[1].destroy()
    },
  )

  scenario(
    t,
    'I7: beyond tunnelsMax and callsMax the next is busy, the running ones go on',
    { ...options, limits: 'tunnelsMax: 1, callsMax: 1' },
    async (cx, t) => {
      const tunnel = await cx.connect(at.echo)
      await t.rejects(cx.connect(at.echo), /503 Sallyport: busy/)
      t.ok(await isUp(cx), 'a tunnel takes no place of a call')
      const call = await begin(cx, at.slow)
      t.match(await cx.raw(get(at.up)), /^HTTP\/1\.1 503 Sallyport: busy/)
      call.destroy()
      await until(() => isUp(cx), 'the call has ended')
      tunnel.destroy()
      await until(
        () =>
          cx.connect(at.echo).then(
            (again) => !!again.destroy(),
            () => false,
          ),
        'the tunnel has ended',
      )
    },
  )

  scenario(
    t,
    'I7: a head beyond headBytesMax or headerCountMax is too large, outside and inside a tunnel',
    { ...options, limits: 'headBytesMax: 2048, headerCountMax: 8' },
    async (cx, t) => {
      const fields = (count: number): string[] =>
        Array.from({ length: count }, (_, n) => `X-${n}: 1`)
      const long = (bytes: number): string[] => [`X-Long: ${'x'.repeat(bytes)}`]
      for (const [headers, expected] of [
        [long(1000), /^HTTP\/1\.1 200/],
        [long(3000), /^HTTP\/1\.1 431 Sallyport: head-too-large/],
        [fields(6), /^HTTP\/1\.1 200/],
        [fields(7), /^HTTP\/1\.1 431 Sallyport: head-too-large/],
      ] as [string[], RegExp][]) {
        t.match(await cx.raw(get(at.up, '/', { headers })), expected)
        t.match(
          await exchange(await cx.secure(at.sec), request('GET', '/', at.sec, { headers })),
          expected,
        )
      }
      t.match(
        await cx.raw(get(at.up, `/${'x'.repeat(3000)}`)),
        /^HTTP\/1\.1 431 Sallyport: head-too-large/,
      )
    },
  )

  scenario(
    t,
    "I7: an upstream's head beyond responseHeadBytesMax is not passed on",
    { ...options, limits: 'responseHeadBytesMax: 1024' },
    async (cx, t) => {
      t.match(await cx.raw(get(at.fat, '/fat')), /^HTTP\/1\.1 502 Sallyport: response-malformed/)
      t.match(await cx.raw(get(at.fat, '/lean')), /^HTTP\/1\.1 200/)
    },
  )

  scenario(
    t,
    'I7: trailers beyond trailerBytesMax and chunk lines beyond chunkLineBytesMax are a malformed body',
    { ...options, limits: 'trailerBytesMax: 64, chunkLineBytesMax: 64' },
    async (cx, t) => {
      const chunked = (body: string): string =>
        `POST http://${at.up}/ HTTP/1.1\r\nHost: ${at.up}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n${body}`
      t.match(await cx.raw(chunked('2\r\nab\r\n0\r\nX-A: 1\r\n\r\n')), /^HTTP\/1\.1 200/)
      t.match(
        await cx.raw(chunked(`2\r\nab\r\n0\r\nX-A: ${'x'.repeat(100)}\r\n\r\n`)),
        /^HTTP\/1\.1 400 Sallyport: malformed-body/,
      )
      t.match(await cx.raw(chunked('2;a=b\r\nab\r\n0\r\n\r\n')), /^HTTP\/1\.1 200/)
      t.match(
        await cx.raw(chunked(`2;a=${'b'.repeat(100)}\r\nab\r\n0\r\n\r\n`)),
        /^HTTP\/1\.1 400 Sallyport: malformed-body/,
      )
    },
  )

  scenario(
    t,
    'I7: a head that is not whole after headTimeoutMs ends in 408',
    { ...options, limits: 'headTimeoutMs: 400' },
    async (cx, t) => {
      for (const begun of ['GET', `GET http://${at.up}/ HTTP/1.1\r\nHost: `])
        t.match(await cx.raw(begun, 5000), /^HTTP\/1\.1 408 Sallyport: head-timeout/)
      const socket = await open(cx.proxyPort)
      const [first, second] = [get(at.up).slice(0, 10), get(at.up).slice(10)]
      socket.write(first)
      await sleep(100)
      t.match(await exchange(socket, second), /^HTTP\/1\.1 200/, 'slow, but in time')
      const inside = await cx.secure(at.sec)
      t.match(
        await exchange(inside, 'GET / HTTP/1.1\r\nHos', 5000),
        /^HTTP\/1\.1 408 Sallyport: head-timeout/,
      )
    },
  )

  scenario(
    t,
    'I7: a tunnel without a first byte, half a ClientHello or half a handshake ends after handshakeTimeoutMs',
    { ...options, limits: 'handshakeTimeoutMs: 400' },
    async (cx, t) => {
      const nothing = await cx.connect(at.sec)
      t.ok((await closed(nothing)) < 3000, 'nothing sent')
      const half = await cx.connect(at.sec)
      half.write(Buffer.from('160301020001000100', 'hex'))
      t.ok((await closed(half)) < 3000, 'half a ClientHello')
      const begun = await cx.connect(at.sec)
      begun.write(await clientHello('sec.test'))
      t.ok((await closed(begun)) < 3000, 'a ClientHello and nothing after it')
      await until(
        () => cx.terminal().filter(({ event }) => event.reason === 'head-timeout').length === 2,
        'both are on record',
      )
      t.match(
        await exchange(await cx.secure(at.sec), request('GET', '/', at.sec)),
        /^HTTP\/1\.1 200/,
      )
    },
  )

  scenario(
    t,
    'I7: clientHelloBytesMax bounds what is read of a ClientHello',
    { ...options, limits: 'clientHelloBytesMax: 1024' },
    async (cx, t) => {
      const socket = await cx.connect(at.sec)
      // A record that promises 8 KiB and never ends.
      socket.write(
        Buffer.concat([Buffer.from('160301200001001ffc0303', 'hex'), Buffer.alloc(2000)]),
      )
      t.ok((await closed(socket)) < 3000)
      await cx.record(({ event }) => event.reason === 'protocol-not-allowed')
      t.match(
        await exchange(await cx.secure(at.sec), request('GET', '/', at.sec)),
        /^HTTP\/1\.1 200/,
      )
    },
  )

  scenario(
    t,
    'I7: a kept client connection without a request is closed after keepAliveTimeoutMs',
    { ...options, limits: 'keepAliveTimeoutMs: 300' },
    async (cx, t) => {
      const socket = await open(cx.proxyPort)
      socket.write(get(at.up, '/', { keep: true }))
      await readHead(socket)
      socket.write(get(at.up, '/', { keep: true }))
      t.ok((await closed(socket)) < 4000)
      t.equal(cx.terminal().length, 2, 'until then it was kept')
    },
  )

  scenario(
    t,
    'I7: where no byte moves for idleTimeoutMs a tunnel and a call end; where some do they go on',
    { ...options, limits: 'idleTimeoutMs: 500' },
    async (cx, t) => {
      const idle = await cx.connect(at.echo)
      const busy = await cx.connect(at.echo)
      const timer = setInterval(() => busy.write('x'), 100)
      busy.resume()
      t.ok((await closed(idle)) < 3000)
      await cx.record(({ event }) => event.reason === 'idle-timeout')
      await sleep(700)
      t.notOk(busy.destroyed)
      clearInterval(timer)
      busy.destroy()
      const answer = await cx.raw(get(at.silent), 5000)
      t.match(answer, /^(?:HTTP\/1\.1 50\d Sallyport: |$)/, 'a call without an answer ends too')
      await cx.record(
        ({ event, url }) => event.reason === 'idle-timeout' && url?.domain === 'silent.test',
      )
    },
  )

  scenario(
    t,
    'I7: connectTimeoutMs bounds the dial with its handshake, responseTimeoutMs the wait for a head',
    {
      ...options,
      rules: ruleSet(
        `id: up, allow: 'http://${at.up}', ${LOOPBACK}`,
        `id: silent, allow: ['https://${at.silent}', 'http://${at.silent}'], ${LOOPBACK}`,
      ),
      limits: 'connectTimeoutMs: 400, responseTimeoutMs: 400',
    },
    async (cx, t) => {
      const secure = request('GET', `https://${at.silent}/`, at.silent)
      t.match(await cx.raw(secure, 5000), /^HTTP\/1\.1 504 Sallyport: connect-timeout/)
      t.match(await cx.raw(get(at.silent), 5000), /^HTTP\/1\.1 504 Sallyport: response-timeout/)
      t.ok(await isUp(cx))
    },
  )

  void t.test('names', async (t) => {
    const dns = await startDnsServer({
      'a.dns.test': [{ addresses: ['127.0.0.1'], ttlSeconds: 3600 }],
      'b.dns.test': [{ addresses: ['127.0.0.1'], ttlSeconds: 3600 }],
      'silent.dns.test': [{ silent: true }],
    })
    t.teardown(() => dns.close())
    scenario(
      t,
      'I7: resolveTimeoutMs, dnsCacheMs and dnsCacheMax bound what is asked and kept of names',
      {
        rules: ruleSet(`id: dns, allow: 'tcp://*.dns.test:${echo.port}', ${LOOPBACK}`),
        config: `upstream: { resolver: ['127.0.0.1:${dns.port}'], ca: [upstream-ca.pem] }\n`,
        limits: 'resolveTimeoutMs: 400, dnsCacheMs: 1500, dnsCacheMax: 1',
      },
      async (cx, t) => {
        const asked = async (name: string): Promise<number> => {
          const socket = await cx.connect(`${name}.dns.test:${echo.port}`)
          socket.destroy()
          return dns.count(`${name}.dns.test`, 'A')
        }
        const startedAt = Date.now()
        await t.rejects(cx.connect(`silent.dns.test:${echo.port}`), /502 Sallyport: resolve-failed/)
        t.ok(Date.now() - startedAt < 3000)
        t.equal(await asked('a'), 1)
        t.equal(await asked('a'), 1, 'kept')
        t.equal(await asked('b'), 1)
        t.equal(await asked('a'), 2, 'one place only')
        await sleep(1600)
        t.equal(await asked('a'), 3, 'too old')
      },
    )
  })

  scenario(
    t,
    'I7: beyond upstreamConnectionsMax to one origin a call is busy',
    { ...options, limits: 'upstreamConnectionsMax: 1' },
    async (cx, t) => {
      const call = await begin(cx, at.slow)
      t.match(await cx.raw(get(at.slow)), /^HTTP\/1\.1 503 Sallyport: busy/)
      t.ok(await isUp(cx), 'another origin has its own')
      call.destroy()
      await until(async () => {
        const again = await cx.raw(get(at.slow), 200)
        return again.startsWith('HTTP/1.1 200')
      }, 'the connection is free')
    },
  )

  scenario(
    t,
    'I7: upstreamPoolsMax and upstreamKeepAliveMs bound what is kept open',
    { ...options, limits: 'upstreamPoolsMax: 1, upstreamKeepAliveMs: 500' },
    async (cx, t) => {
      const before = up.connections()
      await cx.raw(get(at.up))
      await cx.raw(get(at.up))
      t.equal(up.connections(), before + 1, 'used again')
      await cx.raw(get(at.other))
      await cx.raw(get(at.up))
      t.equal(up.connections(), before + 2, 'one pool only')
      await until(() => up.open() + other.open() === 0, 'unused connections are closed')
    },
  )

  scenario(
    t,
    'I7: mintsPerSecond and secureContextsMax bound a flood of names',
    { ...options, limits: 'mintsPerSecond: 1, secureContextsMax: 1' },
    async (cx, t) => {
      const names = ['a', 'b', 'c'].map((name) => `${name}.mint.test:${sec.port}`)
      const ask = async (host: string): Promise<boolean> => {
        const socket = await cx.secure(host).catch(() => undefined)
        if (socket === undefined) return false
        return (await exchange(socket, request('GET', '/', host))).startsWith('HTTP/1.1 200')
      }
      const passed = await Promise.all(names.map(ask))
      t.ok(passed.includes(false), 'not all in one second')
      await cx.record(({ event }) => event.reason === 'busy')
      for (const name of [...names, names[0]!])
        await until(() => ask(name), 'each in its time, although only one is kept')
    },
  )

  scenario(
    t,
    'I7: bufferBytesMax: an upstream waits for a client that does not read',
    { ...options, limits: 'bufferBytesMax: 65536' },
    async (cx, t) => {
      written = 0
      const call = await begin(cx, at.slow)
      call.pause()
      let last = -1
      await until(async () => {
        const still = written === last
        last = written
        await sleep(300)
        return still
      }, 'the upstream is held back')
      t.ok(written < 32 * 1024 * 1024, `${written} bytes, the kernel's buffers included`)
      let received = 0
      call.on('data', (chunk: Buffer) => (received += chunk.length))
      call.resume()
      await until(() => received > last, 'all of it comes once the client reads')
      call.destroy()
    },
  )

  scenario(
    t,
    'I5: beyond recordsQueuedMax waiting records a call is refused',
    { ...options, limits: 'recordsQueuedMax: 1' },
    async (cx, t) => {
      const answer = await cx.raw(get(at.up, '/', { keep: true }).repeat(20) + get(at.up), 3000)
      t.match(answer, /HTTP\/1\.1 200/)
      t.match(answer, /HTTP\/1\.1 503 Sallyport: audit-unavailable/)
      t.ok(await isUp(cx))
    },
  )

  scenario(
    t,
    'I7: taskLifetimeMs: a longer task is refused before it begins',
    { ...options, limits: 'taskLifetimeMs: 3600000', expires: '1h' },
    async (cx, t) => {
      t.equal(cx.run('check').status, 0)
      cx.file(
        'sallyport.yaml',
        readFileSync(cx.configFile, 'utf8').replace('expires: 1h', 'expires: 61m'),
      )
      t.match(cx.run('check'), { status: 1, stdout: /limits\.taskLifetimeMs/ })
      t.match(cx.run('start'), { status: 2, stderr: /limits\.taskLifetimeMs/ })
      cx.writeConfig()
    },
  )

  scenario(
    t,
    'I7: drainTimeoutMs: after SIGTERM an open call has so long, and no longer',
    { ...options, limits: 'drainTimeoutMs: 1000' },
    async (cx, t) => {
      const endless = await begin(cx, at.slow)
      endless.resume()
      const startedAt = Date.now()
      const exited = cx.stop()
      await sleep(100)
      t.equal(await exited, 0)
      const took = Date.now() - startedAt
      t.ok(took >= 900 && took < 6000, `${took} ms`)
      t.match(
        cx.terminal().map(({ event }) => event.reason),
        ['draining'],
      )
    },
  )

  scenario(
    t,
    'I7: ruleFileBytesMax and rulesPerSetMax: rules beyond them are refused, those in force stay',
    { ...options, limits: 'ruleFileBytesMax: 4096, rulesPerSetMax: 10' },
    async (cx, t) => {
      const refused = (): string =>
        cx
          .records()
          .filter(({ event }) => event.action === 'rules-refused')
          .map(({ sallyport }) => JSON.stringify(sallyport.detail))
          .join('\n')
      const many = Array.from({ length: 11 }, (_, n) => `id: r${n}, allow: 'https://r${n}.test'`)
      cx.file('rules/set.yaml', ruleSet(...many)['set']!)
      await until(() => refused().includes('too-many-rules'), 'too many rules are refused')
      cx.file('rules/set.yaml', `${rules['set']!}# ${'x'.repeat(5000)}\n`)
      await until(() => refused().includes('file-unreadable'), 'a file too large is refused')
      t.ok(await isUp(cx), 'what was in force stays so')
      cx.file('rules/set.yaml', ruleSet(...many.slice(1))['set']!)
      await until(async () => !(await isUp(cx)), 'sound rules are taken')
    },
  )

  for (const [length, expected] of [
    [16, /^HTTP\/1\.1 200/],
    [17, /^HTTP\/1\.1 502 Sallyport: credential-unavailable/],
  ] as const)
    scenario(
      t,
      `I7: secretBytesMax: a value of ${length} bytes where 16 are allowed`,
      {
        hosts: HOSTS,
        limits: 'secretBytesMax: 16',
        secrets: { KEY: 'k'.repeat(length) },
        rules: ruleSet(`id: sec, allow: 'https://${at.sec}', credential: key, ${LOOPBACK}`),
        config: `credentials:\n  key: { source: { env: KEY }, inject: { bearer: true }, hosts: ['${at.sec}'] }\n`,
      },
      async (cx, t) => {
        t.match(await exchange(await cx.secure(at.sec), request('GET', '/', at.sec)), expected)
      },
    )

  scenario(
    t,
    'I7: beyond healthConnectionsMax a connection to the health listener is dropped',
    { ...options, limits: 'healthConnectionsMax: 3' },
    async (cx, t) => {
      const held = await Promise.all(Array.from({ length: 8 }, () => open(cx.healthPort)))
      for (const socket of held) closed(socket).catch(() => undefined)
      await until(() => held.filter(({ destroyed }) => destroyed).length >= 5, 'some are dropped')
      t.ok(held.some(({ destroyed }) => !destroyed))
      t.ok(await isUp(cx), 'calls go on')
      for (const socket of held) socket.destroy()
      await until(
        () =>
          fetch(`http://127.0.0.1:${cx.healthPort}/healthz`).then(
            ({ ok }) => ok,
            () => false,
          ),
        'it answers again',
      )
    },
  )

  void t.test('the sink', async (t) => {
    const port = await freePort()
    const batches: number[] = []
    let hanging = true
    const sink = await startHttp({
      port,
      raw: (incoming, response) => {
        let text = ''
        incoming.on('data', (chunk: Buffer) => (text += chunk.toString()))
        incoming.on('end', () => {
          if (hanging) {
            hanging = false
            return
          }
          batches.push(text.trim().split('\n').length)
          response.end()
        })
      },
    })
    t.teardown(() => sink.close())
    scenario(
      t,
      'I7: sinkTimeoutMs ends a delivery without an answer, sinkBatchMax bounds each',
      {
        ...options,
        limits: 'sinkBatchMax: 2, sinkTimeoutMs: 300',
        config: `sinks: [{ http: { url: 'http://127.0.0.1:${port}/' } }]`,
      },
      async (cx, t) => {
        for (let n = 0; n < 6; n += 1) await cx.raw(get(at.up))
        const sent = (): number => batches.reduce((sum, count) => sum + count, 0)
        // Six calls, the rules and the task.
        await until(() => sent() >= 8, 'all are delivered after all')
        t.ok(batches.every((count) => count <= 2))
      },
    )
  })
})
