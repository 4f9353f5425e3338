// HTTP/2 inside an interception: every stream is a call of its own, with the meaning that it has in HTTP/1.1.

import type { RequestListener } from 'node:http'

import t from 'tap'

import { ask, openHttp2, RawHttp2, headersFrame, pseudo } from '../fixtures/http2-client.ts'
import { pki, ruleSet, scenario, sleep, until } from '../fixtures/scenario.ts'
import { startHttp, type Seen } from '../fixtures/upstreams.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'
const MEBIBYTE = 1024 * 1024
const INTERNAL_ERROR = 2
const CANCEL = 8

let aborted = 0
const answers: Record<string, RequestListener> = {
  '/ok/length': (_request, response) => {
    response.writeHead(200, { 'Content-Length': '5', 'X-Upper': 'grüße', 'Alt-Svc': 'h3=":443"' })
    // Text would be written in one encoding with the head.
    response.end(Buffer.from('hello'))
  },
  '/ok/pieces': (_request, response) => {
    response.write('one ')
    setTimeout(() => response.end('two'), 30)
  },
  '/ok/trailers': (_request, response) => {
    response.writeHead(200, { Trailer: 'X-Sum' })
    response.write('body')
    response.addTrailers({ 'X-Sum': '4' })
    response.end()
  },
  '/ok/cookies': (_request, response) => {
    response.writeHead(200, [
      ['Set-Cookie', 'a=1'],
      ['Set-Cookie', 'b=2'],
      ['Connection', 'x-hop'],
      ['X-Hop', 'h'],
      ['Keep-Alive', 'timeout=5'],
    ])
    response.end('c')
  },
  '/ok/empty': (_request, response) => {
    response.writeHead(200, { 'Content-Length': '0' }).end()
  },
  '/ok/204': (_request, response) => {
    response.writeHead(204).end()
  },
  '/ok/304': (_request, response) => {
    response.writeHead(304, { ETag: '"x"' }).end()
  },
  '/ok/early': (_request, response) => {
    response.writeEarlyHints({ link: '</style.css>; rel=preload' }, () => response.end('late'))
  },
  '/ok/broken': (_request, response) => {
    response.writeHead(200)
    response.write('half')
    setTimeout(() => response.destroy(), 30)
  },
  '/ok/short': (_request, response) => {
    response.writeHead(200, { 'Content-Length': '10' })
    response.write('half')
    setTimeout(() => response.destroy(), 30)
  },
  '/ok/slow': (_request, response) => {
    response.write('begun')
    response.on('close', () => (aborted += 1))
  },
  '/ok/large': (_request, response) => {
    response.end(Buffer.alloc(8 * MEBIBYTE, 'l'))
  },
  '/ok/echo': (request, response) => {
    request.pipe(response)
  },
}

const seen: Seen[] = []
const up = await startHttp({
  tls: pki.issue({ names: ['up.test'] }),
  raw: (request, response) => {
    const { method = '', url = '', rawHeaders } = request
    response.sendDate = false
    const chunks: Buffer[] = []
    if (url !== '/ok/echo') request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => seen.push({ method, url, rawHeaders, body: Buffer.concat(chunks) }))
    const answer = answers[url]
    if (answer) answer(request, response)
    else request.on('end', () => response.end('ok'))
  },
})
const authority = `up.test:${up.port}`
const options = {
  hosts: ['up.test'],
  rules: ruleSet(`id: up, allow: 'https://${authority}', paths: ['/ok/**'], ${LOOPBACK}`),
}
t.teardown(() => up.close())
const seenAt = (url: string): Seen | undefined => seen.filter((one) => one.url === url).at(-1)

scenario(t, 'R41: answers of every kind reach the client of a stream', options, async (cx, t) => {
  const session = await openHttp2(cx, authority)
  const get = (path: string, method = 'GET'): ReturnType<typeof ask> =>
    ask(session, { ':path': path, ':method': method })
  t.match(await get('/ok/length'), {
    status: 200,
    body: 'hello',
    headers: { 'content-length': '5', 'alt-svc': undefined },
    code: 0,
  })
  t.equal((await get('/ok/length')).headers['x-upper'], 'grüße', 'octets are kept')
  t.match(await get('/ok/pieces'), { status: 200, body: 'one two', code: 0 })
  t.match(await get('/ok/trailers'), { body: 'body', trailers: { 'x-sum': '4' }, code: 0 })
  t.match(await get('/ok/cookies'), {
    headers: { 'set-cookie': ['a=1', 'b=2'], 'x-hop': undefined, 'keep-alive': undefined },
  })
  t.match(await get('/ok/empty'), { status: 200, body: '', headers: { 'content-length': '0' } })
  t.match(await get('/ok/204'), { status: 204, body: '', code: 0 })
  t.match(await get('/ok/304'), { status: 304, headers: { etag: '"x"' }, code: 0 })
  t.match(await get('/ok/length', 'HEAD'), {
    status: 200,
    body: '',
    headers: { 'content-length': '5' },
  })
  t.match(await get('/ok/early'), { informational: [103], body: 'late' })
  t.match(await get('/ok/broken'), { body: 'half', code: INTERNAL_ERROR }, 'no end in order')
  t.match(await get('/ok/short'), { body: 'half', code: INTERNAL_ERROR }, 'nor here')
  const record = await cx.record(({ url }) => url?.path === '/ok/length')
  t.match(record, {
    event: { action: 'call-ended', reason: 'allowed' },
    http: { version: '2', request: { method: 'GET' }, response: { status_code: 200, bytes: 5 } },
    sallyport: { call: { kind: 'intercepted' } },
  })
  const tunnel = cx.records().find(({ sallyport }) => sallyport.call?.kind === 'tunnel')
  t.equal(record.sallyport.call?.parent, tunnel?.sallyport.call?.id, 'inside its tunnel')
  t.match(await cx.record(({ url }) => url?.path === '/ok/broken'), {
    event: { reason: 'upstream-gone' },
  })
  session.close()
})

scenario(t, 'R41: requests of every kind arrive as HTTP/1.1 has them', options, async (cx, t) => {
  const session = await openHttp2(cx, authority)
  const base = { ':method': 'POST', ':path': '/ok/post' }
  await ask(session, { ...base, 'content-length': 3, 'x-note': 'ü' }, 'abc')
  t.strictSame(seenAt('/ok/post')?.rawHeaders, [
    'Host',
    authority,
    'x-note',
    'ü',
    'Content-Length',
    '3',
  ])
  await ask(session, { ...base, cookie: ['a=1', 'b=2'], te: 'trailers' }, 'abcd')
  t.strictSame(seenAt('/ok/post')?.rawHeaders, [
    'Host',
    authority,
    'cookie',
    'a=1; b=2',
    'Transfer-Encoding',
    'chunked',
  ])
  t.equal(seenAt('/ok/post')?.body.toString(), 'abcd')
  await ask(session, { ...base, 'content-length': 0 })
  t.strictSame(seenAt('/ok/post')?.rawHeaders, ['Host', authority, 'Content-Length', '0'])
  t.match(await ask(session, { ...base, expect: '100-continue' }, 'x'), {
    informational: [100],
    status: 200,
  })
  const stream = session.request(base, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers({ 'x-late': 'no' }))
  stream.resume()
  stream.end('body')
  await new Promise((resolve) => stream.once('close', resolve))
  t.equal(seenAt('/ok/post')?.body.toString(), 'body')
  t.match(await cx.record(({ http }) => http?.request?.bytes === 4), {
    event: { reason: 'allowed' },
  })
  session.close()
})

scenario(t, 'R41: a refusal is an answer of its stream alone', options, async (cx, t) => {
  const session = await openHttp2(cx, authority)
  const [refused, allowed] = await Promise.all([
    ask(session, { ':path': '/no', ':method': 'POST' }, 'x'.repeat(MEBIBYTE)),
    ask(session, { ':path': '/ok/length' }),
  ])
  t.match(refused, {
    status: 403,
    headers: {
      'content-type': 'application/problem+json',
      'proxy-status': /sallyport.*path-not-allowed/,
    },
    body: /path-not-allowed/,
    code: 0,
  })
  t.match(allowed, { status: 200, body: 'hello' })
  t.match(await ask(session, { ':path': '/no', ':method': 'HEAD' }), { status: 403, body: '' })
  t.match(await ask(session, { ':path': '/ok/length' }), { status: 200 }, 'it goes on')
  t.match(await cx.record(({ url }) => url?.path === '/no'), {
    event: { action: 'call-denied', reason: 'path-not-allowed' },
    http: { version: '2' },
  })
  session.close()
})

scenario(
  t,
  'R41: each stream of a refused tunnel is told why, and nothing is dialed',
  { ...options, config: 'refusals: { connect: inside }\n' },
  async (cx, t) => {
    const session = await openHttp2(cx, 'other.test:443')
    for (const path of ['/a', '/b'])
      t.match(await ask(session, { ':path': path }), {
        status: 403,
        headers: { 'proxy-status': /not-on-allowlist/ },
      })
    session.close()
    const allowed = await openHttp2(cx, authority)
    t.match(await ask(allowed, { ':path': '/ok/length' }), { status: 200 })
    allowed.close()
  },
)

scenario(t, 'many streams at once do not disturb each other', options, async (cx, t) => {
  const session = await openHttp2(cx, authority)
  const bodies = Array.from({ length: 40 }, (_, at) => Buffer.alloc(MEBIBYTE, String(at % 10)))
  const echoed = await Promise.all(
    bodies.map((body) => ask(session, { ':path': '/ok/echo', ':method': 'POST' }, body)),
  )
  for (const [at, { body, code }] of echoed.entries()) {
    t.equal(code, 0)
    t.ok(body === bodies[at]!.toString('latin1'), `body ${at} came back`)
  }
  const large = await Promise.all(
    Array.from({ length: 6 }, () => ask(session, { ':path': '/ok/large' })),
  )
  t.strictSame(
    large.map(({ body }) => body.length),
    large.map(() => 8 * MEBIBYTE),
  )
  session.close()
})

scenario(
  t,
  'a client that resets a stream ends its call, there and above',
  options,
  async (cx, t) => {
    aborted = 0
    const session = await openHttp2(cx, authority)
    const stream = session.request({ ':path': '/ok/slow' })
    stream.on('error', () => undefined)
    await new Promise((resolve) => stream.once('data', resolve))
    stream.close(CANCEL)
    t.match(await cx.record(({ url }) => url?.path === '/ok/slow'), {
      event: { reason: 'client-gone' },
    })
    await until(() => aborted === 1, 'the upstream is let go')
    t.match(await ask(session, { ':path': '/ok/length' }), { status: 200 })
    session.close()
  },
)

scenario(t, 'what nobody pulls waits at its client', options, async (cx, t) => {
  answers['/ok/stuck'] = (request) => request.pause()
  const session = await openHttp2(cx, authority)
  const stream = session.request({ ':path': '/ok/stuck', ':method': 'POST' })
  stream.on('error', () => undefined)
  let written = 0
  const push = (): void => {
    while (written < 64 * MEBIBYTE) {
      written += MEBIBYTE
      if (!stream.write(Buffer.alloc(MEBIBYTE))) break
    }
  }
  stream.on('drain', push)
  push()
  await sleep(1500)
  t.ok(written < 32 * MEBIBYTE, `${written} bytes were taken`)
  t.match(await ask(session, { ':path': '/ok/length' }), { status: 200 }, 'others go on')
  stream.close(CANCEL)
  session.close()
})

scenario(
  t,
  'a slow window holds the upstream back, and the call that waits on it is ended',
  { ...options, limits: 'idleTimeoutMs: 800' },
  async (cx, t) => {
    const raw = await RawHttp2.open(cx, authority)
    raw.send(headersFrame(1, pseudo(authority, '/ok/large')))
    t.match(await cx.record(({ url }) => url?.path === '/ok/large'), {
      event: { reason: 'idle-timeout' },
    })
    await until(() => raw.resetOf(1) !== undefined || raw.isClosed, 'the stream is reset')
    t.notOk(raw.isEnded(1), 'no end in order')
    await until(() => raw.isClosed, 'its connection is ended')
    await until(
      async () => (await cx.metric('sallyport_open_tunnels')) === 0,
      'its tunnel is let go',
    )
  },
)

scenario(
  t,
  'R25: a rule that changes between two streams binds the second',
  options,
  async (cx, t) => {
    const session = await openHttp2(cx, authority)
    t.match(await ask(session, { ':path': '/ok/length' }), { status: 200 })
    cx.file(
      'rules/set.yaml',
      ruleSet(`id: up, allow: 'https://${authority}', paths: ['/other/**'], ${LOOPBACK}`)['set']!,
    )
    await until(
      () => cx.records().filter(({ event }) => event.action === 'rules-loaded').length === 2,
      'the change is loaded',
    )
    t.match(await ask(session, { ':path': '/ok/length' }), { status: 403 })
    session.close()
  },
)

scenario(t, 'SIGTERM lets open streams end and takes no other', options, async (cx, t) => {
  answers['/ok/ends'] = (_request, response) => {
    response.write('begun ')
    setTimeout(() => response.end('ended'), 600)
  }
  const session = await openHttp2(cx, authority)
  const idle = await openHttp2(cx, authority)
  t.match(await ask(idle, { ':path': '/ok/length' }), { status: 200 })
  let goneAway = false
  session.on('goaway', () => {
    goneAway = true
  })
  const running = ask(session, { ':path': '/ok/ends' })
  await until(() => seenAt('/ok/ends') !== undefined, 'it is there')
  const stopping = cx.stop()
  await until(() => goneAway && idle.closed, 'clients are told')
  t.match(await running, { status: 200, body: 'begun ended', code: 0 })
  t.equal(await stopping, 0)
  await cx.start()
})

scenario(t, 'R41: HTTP/2 without TLS is refused, whoever asks', options, async (cx, t) => {
  const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
  t.match(await cx.raw(preface), /^HTTP\/1\.1 505 /)
  await cx.record(({ event }) => event.reason === 'unsupported-version')
  const tunnel = await cx.connect(authority)
  tunnel.resume()
  tunnel.write(preface)
  await cx.record(
    ({ event, sallyport }) =>
      event.reason === 'protocol-not-allowed' && sallyport.call?.kind === 'tunnel',
  )
  const secure = await cx.secure(authority)
  secure.resume()
  secure.write(preface)
  await until(
    () => cx.terminal().filter(({ event }) => event.reason === 'unsupported-version').length === 2,
    'it is on record',
  )
  const upgrade = `GET http://${authority}/ok/length HTTP/1.1\r\nHost: ${authority}\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n`
  t.notMatch(await cx.raw(upgrade), /^HTTP\/1\.1 101/, 'h2c is offered in vain')
})

void t.test('R41: ALPN that chose HTTP/1.1 goes on as before', (t) => {
  scenario(t, 'a client that speaks no HTTP/2', options, async (cx, t) => {
    const secure = await cx.secure(authority)
    secure.resume()
    secure.write(`GET /ok/length HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`)
    t.match(await cx.record(({ url }) => url?.path === '/ok/length'), {
      event: { reason: 'allowed' },
      http: { version: '1.1' },
    })
  })
  t.end()
})
