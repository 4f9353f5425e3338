// Proves how requests that came by HTTP/2 go to upstreams: by HTTP/2 with everything passed both ways at once, or translated
// to HTTP/1.1, over connections that are shared only where that is safe.

import https from 'node:https'
import type { IncomingHttpHeaders } from 'node:http2'

import t from 'tap'

import { listenTls, until } from '../net/support.ts'
import {
  ask,
  failureOf,
  leaf,
  makeBody,
  makeCall,
  makePool,
  nextOf,
  serve,
  textOf,
} from './support.ts'
import { permitFor } from '../net/support.ts'

void t.test('R41: a request goes by HTTP/2 with its head translated', async (t) => {
  let seen: IncomingHttpHeaders = {}
  const upstream = await serve(t, (stream, headers) => {
    seen = headers
    stream.respond(
      {
        ':status': 200,
        'content-type': 'text/plain',
        'alt-svc': 'h3=":443"',
        'set-cookie': ['a=1', 'b=2'],
        'proxy-status': 'sallyport; error=x, other',
      },
      { waitForTrailers: true },
    )
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '7', 'alt-svc': 'h3=":1"' }))
    stream.end('hello')
  })
  const pool = makePool(t)
  const { call, response } = ask(pool, upstream.port, {
    method: 'POST',
    path: '/a?b=%20',
    headers: ['X-One', '1', 'Cookie', 'a=1', 'Cookie', 'b=2'],
    received: ['te', 'gzip, trailers'],
    body: (() => {
      const { body } = makeBody(3)
      body.push(Buffer.from('abc'))
      body.end([])
      return body
    })(),
    framing: { kind: 'length', length: 3 },
  })
  const { status, statusText, headers, length, body } = await response
  t.equal(await textOf(body), 'hello')
  t.strictSame(body.trailers, ['x-sum', '7'])
  t.strictSame([status, statusText, length], [200, '', undefined])
  const fields = headers.filter((_, at) => headers[at - (at % 2)] !== 'date')
  t.strictSame(fields, [
    'content-type',
    'text/plain',
    'set-cookie',
    'a=1',
    'set-cookie',
    'b=2',
    'proxy-status',
    'other',
  ])
  t.match(seen, {
    ':method': 'POST',
    ':path': '/a?b=%20',
    ':scheme': 'https',
    ':authority': `api.test:${upstream.port}`,
    'x-one': '1',
    'content-length': '3',
    te: 'trailers',
    cookie: 'a=1; b=2',
  })
  t.notHas(seen, 'host')
  t.match(call.upstream, { address: '127.0.0.1', port: upstream.port, tlsVersion: '1.3' })
  t.equal(call.bytesOut, 3)
})

void t.test('R41: both ways flow at once', async (t) => {
  const upstream = await serve(t, (stream) => {
    stream.respond({ ':status': 200 })
    stream.on('data', (chunk: Buffer) => stream.write(`<${chunk.toString()}>`))
    stream.on('end', () => stream.end('bye'))
  })
  const { body } = makeBody()
  const response = await ask(makePool(t), upstream.port, { method: 'POST', body }).response
  for (const word of ['one', 'two', 'three']) {
    body.push(Buffer.from(word))
    t.equal(await nextOf(response.body), `<${word}>`)
  }
  body.end([])
  t.equal(await textOf(response.body), 'bye')
})

void t.test('answers without a body have none: trailers alone, HEAD, 204', async (t) => {
  const upstream = await serve(t, (stream, headers) => {
    const path = headers[':path']
    if (path === '/grpc')
      stream.respond({ ':status': 200, 'grpc-status': '5' }, { endStream: true })
    else if (path === '/head')
      stream.respond({ ':status': 200, 'content-length': '12' }, { endStream: true })
    else stream.respond({ ':status': 204 }, { endStream: true })
  })
  const pool = makePool(t)
  const grpc = await ask(pool, upstream.port, { path: '/grpc' }).response
  t.equal(grpc.body.length, 0)
  t.equal(grpc.length, undefined)
  t.ok(grpc.headers.includes('grpc-status'))
  const head = await ask(pool, upstream.port, { method: 'HEAD', path: '/head' }).response
  t.strictSame([head.length, head.body.length], [12, 0])
  const none = await ask(pool, upstream.port, { path: '/204' }).response
  t.strictSame([none.status, none.length, none.body.length], [204, undefined, 0])
  t.equal(upstream.connections(), 1)
})

void t.test('informational answers are passed on', async (t) => {
  const upstream = await serve(t, (stream) => {
    stream.additionalHeaders({ ':status': 103, link: '</x>', 'alt-svc': 'h3' })
    stream.respond({ ':status': 200 }, { endStream: true })
  })
  const seen: unknown[] = []
  await ask(makePool(t), upstream.port, {
    onInformational: (status, headers) => seen.push([status, headers]),
  }).response
  t.strictSame(seen, [[103, ['link', '</x>']]])
})

void t.test('calls that come together share one connection', async (t) => {
  const upstream = await serve(t, (stream) => {
    stream.respond({ ':status': 200 })
    stream.end('x')
  })
  const pool = makePool(t)
  const all = Array.from({ length: 20 }, () => ask(pool, upstream.port).response)
  for (const response of await Promise.all(all)) t.equal(await textOf(response.body), 'x')
  t.equal(upstream.connections(), 1)
  t.equal(pool.dials(), 1)
})

void t.test(
  'as many streams are opened as the upstream allows, then another connection',
  async (t) => {
    let open = 0
    let most = 0
    const upstream = await serve(
      t,
      (stream) => {
        open += 1
        most = Math.max(most, open)
        stream.on('close', () => (open -= 1))
        stream.respond({ ':status': 200 })
        setTimeout(() => stream.end('x'), 50)
      },
      { settings: { maxConcurrentStreams: 2 } },
    )
    const pool = makePool(t, { upstreamConnectionsMax: 4 })
    const all = Array.from({ length: 6 }, () => ask(pool, upstream.port).response)
    for (const response of await Promise.all(all)) t.equal(await textOf(response.body), 'x')
    t.ok(upstream.connections() <= 4)
    t.ok(upstream.connections() >= 3)
    const more = Array.from({ length: 9 }, () => failureOf(ask(pool, upstream.port).response))
    const outcomes = await Promise.all(more)
    t.ok(outcomes.includes('busy'), 'beyond all connections: busy')
    t.ok(outcomes.filter((outcome) => outcome === 'fine').length >= 6)
  },
)

void t.test('never between tasks, never to another address policy', async (t) => {
  const upstream = await serve(t, (stream) =>
    stream.respond({ ':status': 204 }, { endStream: true }),
  )
  const pool = makePool(t)
  const asked = (options: Parameters<typeof ask>[2]): Promise<string> =>
    failureOf(ask(pool, upstream.port, options).response)
  t.equal(await asked({ taskId: 't_1' }), 'fine')
  t.equal(await asked({ taskId: 't_2' }), 'fine')
  t.equal(upstream.connections(), 2)
  t.equal(await asked({ taskId: 't_1', denied: ['127.0.0.1'] }), 'resolved-address-denied')
  t.equal(await asked({ taskId: 't_1' }), 'fine')
  t.equal(upstream.connections(), 2)
  t.equal(pool.pool.closeTask('t_1'), 1)
  t.ok(await until(() => upstream.open() === 1), 'the end of a task ends its connection')
})

void t.test('an unused connection is closed', async (t) => {
  const upstream = await serve(t, (stream) =>
    stream.respond({ ':status': 204 }, { endStream: true }),
  )
  const pool = makePool(t, { upstreamKeepAliveMs: 40 })
  await ask(pool, upstream.port).response
  t.equal(upstream.open(), 1)
  t.ok(await until(() => upstream.open() === 0))
  await ask(pool, upstream.port).response
  t.equal(upstream.connections(), 2)
})

void t.test('R41: an upstream of HTTP/1.1 gets HTTP/1.1', async (t) => {
  const heads: string[][] = []
  const server = https.createServer(
    { cert: leaf.certPem, key: leaf.keyPem },
    (request, response) => {
      heads.push([request.httpVersion, ...request.rawHeaders])
      request.resume()
      request.on('end', () => {
        response.writeHead(200, { Trailer: 'x-sum', 'Transfer-Encoding': 'chunked' })
        response.write('hi')
        response.addTrailers({ 'x-sum': '2' })
        response.end()
      })
    },
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  const pool = makePool(t)
  const protocols = await pool.pool.protocolsOf(
    permitFor('api.test', port, { tls: true }),
    makeCall(),
  )
  t.strictSame(protocols, ['http/1.1'])
  for (let round = 0; round < 2; round += 1) {
    const { response } = ask(pool, port, {
      headers: ['x-a', '1', 'cookie', 'a=1', 'cookie', 'b=2'],
      received: ['te', 'trailers'],
    })
    const { body } = await response
    t.equal(await textOf(body), 'hi')
    t.strictSame(body.trailers, ['x-sum', '2'])
  }
  t.strictSame(heads[0], ['1.1', 'Host', `api.test:${port}`, 'x-a', '1', 'cookie', 'a=1; b=2'])
  t.equal(pool.dials(), 1, 'what was dialed to ask is used')
})

void t.test('what an origin speaks is asked once', async (t) => {
  const upstream = await serve(t, (stream) =>
    stream.respond({ ':status': 204 }, { endStream: true }),
  )
  const pool = makePool(t)
  const permit = permitFor('api.test', upstream.port, { tls: true })
  const answers = await Promise.all([1, 2, 3].map(() => pool.pool.protocolsOf(permit, makeCall())))
  for (const answer of answers) t.strictSame(answer, ['h2', 'http/1.1'])
  await ask(pool, upstream.port).response
  t.strictSame(await pool.pool.protocolsOf(permit, makeCall()), ['h2', 'http/1.1'])
  t.equal(pool.dials(), 1)
  await ask(pool, upstream.port, { version: '1.1' }).response.catch(() => undefined)
  t.equal(pool.dials(), 2, 'a client of HTTP/1.1 goes by HTTP/1.1')
})

void t.test('an origin that cannot be asked is told about by the request itself', async (t) => {
  const silent = await listenTls(t, { cert: leaf.certPem, key: leaf.keyPem })
  const pool = makePool(t, { connectTimeoutMs: 300 })
  await silent.close()
  const permit = permitFor('api.test', silent.port, { tls: true })
  t.strictSame(await pool.pool.protocolsOf(permit, makeCall()), ['http/1.1'])
  const request = { version: '1.1' }
  t.match(await failureOf(ask(pool, silent.port, request).response), /^dial-failed/)
  t.equal(pool.dials(), 1, 'by what was found just now')
  t.match(await failureOf(ask(pool, silent.port, request).response), /^dial-failed/)
  t.equal(pool.dials(), 2, 'and once')
})

void t.test('the end of the call ends the asking', async (t) => {
  const mute = await listenTls(t, {
    cert: leaf.certPem,
    key: leaf.keyPem,
    SNICallback: () => undefined,
  })
  const pool = makePool(t, { connectTimeoutMs: 60_000 })
  const call = makeCall()
  const asked = pool.pool.protocolsOf(permitFor('api.test', mute.port, { tls: true }), call)
  t.ok(await until(() => mute.open() === 1))
  call.cut('client-gone')
  t.strictSame(await asked, ['http/1.1'])
  t.ok(await until(() => mute.open() === 0), 'nothing is dialed on')
})
