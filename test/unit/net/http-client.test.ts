// Proves the operator's HTTP client: it posts to the one URL it was made for, over our own dialer, whatever the
// environment says.

import { once } from 'node:events'
import http, { type IncomingMessage, type RequestListener } from 'node:http'
import https from 'node:https'

import t, { type Test } from 'tap'

import { EgressError } from '../../../src/errors.ts'
import { DEFAULT_LIMITS } from '../../../src/limits.ts'
import { HttpGetter, HttpPoster } from '../../../src/net/http-client.ts'
import { issueOperatorPermit } from '../../../src/net/issue-operator.ts'
import { normalizeHost } from '../../../src/wire/authority.ts'
import { makePki } from '../../fixtures/pki.ts'
import { portOf } from '../../fixtures/port.ts'
import { listen, makeDialer, reasonOf, until } from './support.ts'

interface Seen {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

interface Sink {
  readonly port: number
  readonly seen: readonly Seen[]
  connections(): number
}

/** A sink that answers 204, or as told. */
async function startSink(
  t: Test,
  answer: RequestListener = (_request, response) => response.writeHead(204).end(),
  secure?: { certPem: string; keyPem: string },
): Promise<Sink> {
  const seen: Seen[] = []
  let connections = 0
  const onRequest: RequestListener = (request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
    request.on('end', () => {
      seen.push({ method: request.method, url: request.url, headers: request.headers, body })
      answer(request, response)
    })
  }
  const server = secure
    ? https.createServer({ cert: secure.certPem, key: secure.keyPem }, onRequest)
    : http.createServer(onRequest)
  server.on('connection', () => (connections += 1))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { port: portOf(server), seen, connections: () => connections }
}

function poster(
  t: Test,
  host: string,
  port: number,
  options: {
    tls?: boolean
    timeoutMs?: number
    own?: { host: string; port: number }[]
    roots?: string[]
  } = {},
): HttpPoster {
  const dialer = makeDialer({
    hosts: { 'siem.test': ['127.0.0.1'] },
    allow: [],
    own: options.own ?? [],
    roots: options.roots ?? [],
  })
  const permit = issueOperatorPermit({
    purpose: 'sinks.siem',
    endpoint: { ...normalizeHost(host), port },
    tls: options.tls ?? false,
  })
  const made = new HttpPoster(dialer, permit, '/ingest?source=a', {
    ...DEFAULT_LIMITS,
    sinkTimeoutMs: options.timeoutMs ?? 2000,
  })
  t.teardown(() => made.close())
  return made
}

function getter(t: Test, port: number): HttpGetter {
  const dialer = makeDialer({ hosts: { 'siem.test': ['127.0.0.1'] }, allow: [] })
  const permit = issueOperatorPermit({
    purpose: 'identity.jwt.jwks',
    endpoint: { ...normalizeHost('siem.test'), port },
    tls: false,
  })
  const bounds = { timeoutMs: 500, bodyBytesMax: 20_000 }
  const made = new HttpGetter(dialer, permit, '/keys?a=b', bounds)
  t.teardown(() => made.close())
  return made
}

const signal = (): AbortSignal => new AbortController().signal
const body = Buffer.from('{"a":1}\n{"a":2}\n')

void t.test('a batch arrives as it was sent, and one connection serves many', async (t) => {
  const sink = await startSink(t)
  const client = poster(t, 'siem.test', sink.port)
  const headers = { 'content-type': 'application/x-ndjson', authorization: 'Bearer s' }
  for (let round = 0; round < 3; round += 1)
    t.match(await client.post(body, headers, signal()), { status: 204 })
  t.equal(sink.connections(), 1)
  t.equal(sink.seen.length, 3)
  t.match(sink.seen[0], {
    method: 'POST',
    url: '/ingest?source=a',
    body: body.toString(),
    headers: { host: `siem.test:${sink.port}`, ...headers },
  })
})

void t.test('an HTTPS sink is verified like any upstream', async (t) => {
  const pki = makePki()
  const good = await startSink(t, undefined, pki.issue({ names: ['siem.test'] }))
  const bad = await startSink(t, undefined, pki.issue({ names: ['other.test'] }))
  const roots = [pki.caPem]
  t.match(await poster(t, 'siem.test', good.port, { tls: true, roots }).post(body, {}, signal()), {
    status: 204,
  })
  t.equal(
    await reasonOf(poster(t, 'siem.test', bad.port, { tls: true, roots }).post(body, {}, signal())),
    'tls-untrusted',
  )
  t.equal(
    await reasonOf(poster(t, 'siem.test', good.port, { tls: true }).post(body, {}, signal())),
    'tls-untrusted',
  )
  t.equal(bad.seen.length, 0)
})

void t.test('a redirect is an answer and is not followed', async (t) => {
  const target = await startSink(t)
  const sink = await startSink(t, (_request, response) =>
    response.writeHead(307, { location: `http://127.0.0.1:${target.port}/` }).end(),
  )
  t.match(await poster(t, 'siem.test', sink.port).post(body, {}, signal()), { status: 307 })
  t.equal(target.connections(), 0)
})

void t.test('proxy variables of the environment are not used', async (t) => {
  const trap = await listen(t)
  const names = [
    'HTTP_PROXY',
    'http_proxy',
    'HTTPS_PROXY',
    'https_proxy',
    'ALL_PROXY',
    'NODE_USE_ENV_PROXY',
  ]
  const before = names.map((name) => process.env[name])
  for (const name of names)
    process.env[name] = name.startsWith('NODE') ? '1' : `http://127.0.0.1:${trap.port}`
  t.teardown(() =>
    names.forEach((name, at) => {
      if (before[at] === undefined) delete process.env[name]
      else process.env[name] = before[at]
    }),
  )
  const sink = await startSink(t)
  t.match(await poster(t, 'siem.test', sink.port).post(body, {}, signal()), { status: 204 })
  t.equal(trap.connections(), 0)
})

void t.test('statuses come back, and a large answer is read and dropped', async (t) => {
  const sink = await startSink(t, (_request, response) =>
    response.writeHead(500).end(Buffer.alloc(1_000_000, 'x')),
  )
  const client = poster(t, 'siem.test', sink.port)
  t.match(await client.post(body, {}, signal()), { status: 500 })
  t.match(await client.post(body, {}, signal()), { status: 500 }, 'and the client goes on')
})

void t.test(
  'a sink that is down, silent or our own rejects, and the client recovers',
  async (t) => {
    const refused = poster(t, 'siem.test', 1)
    t.equal(await reasonOf(refused.post(body, {}, signal())), 'dial-failed')
    const own = await startSink(t)
    t.equal(
      await reasonOf(
        poster(t, 'siem.test', own.port, { own: [{ host: '127.0.0.1', port: own.port }] }).post(
          body,
          {},
          signal(),
        ),
      ),
      'loop-detected',
    )
    t.equal(own.connections(), 0)
    let isSilent = true
    const sink = await startSink(t, (_request, response) => {
      if (!isSilent) response.writeHead(204).end()
    })
    const client = poster(t, 'siem.test', sink.port, { timeoutMs: 300 })
    await t.rejects(client.post(body, {}, signal()))
    const abort = new AbortController()
    const cut = client.post(body, {}, abort.signal)
    setTimeout(() => abort.abort(), 50)
    await t.rejects(cut, { name: 'AbortError' })
    isSilent = false
    t.match(await client.post(body, {}, signal()), { status: 204 })
  },
)

void t.test('a get gives the status and the whole body, and follows no redirect', async (t) => {
  const target = await startSink(t)
  const sink = await startSink(t, (request, response) => {
    if (request.headers.accept === 'text/there')
      response.writeHead(302, { location: `http://127.0.0.1:${target.port}/` }).end()
    else response.writeHead(200).end('x'.repeat(10_000))
  })
  const client = getter(t, sink.port)
  const { status, body: text } = await client.get('application/json')
  t.strictSame([status, text.length], [200, 10_000])
  t.match(sink.seen[0], { method: 'GET', url: '/keys?a=b', body: '' })
  t.match(sink.seen[0]?.headers, { host: `siem.test:${sink.port}`, accept: 'application/json' })
  t.equal((await client.get('text/there')).status, 302)
  t.equal(target.connections(), 0)
})

void t.test('a body that is too large, or takes too long, is not read to its end', async (t) => {
  const sink = await startSink(t, ({ headers: { accept } }, response) => {
    if (accept === 'fits') response.writeHead(200).end('x'.repeat(20_000))
    else if (accept === 'drips') {
      const timer = setInterval(() => response.write('x'), 20)
      response.on('close', () => clearInterval(timer))
    } else if (accept === 'said') response.writeHead(200).end('x'.repeat(20_001))
    else {
      response.write('x'.repeat(20_000))
      response.end('x')
    }
  })
  const client = getter(t, sink.port)
  await t.rejects(client.get('said'))
  await t.rejects(client.get('chunked'))
  await t.rejects(client.get('drips'), { name: 'TimeoutError' })
  t.equal((await client.get('fits')).body.length, 20_000, 'the twin')
})

void t.test('other paths of the same endpoint are asked over the same connection', async (t) => {
  const sink = await startSink(t, ({ url }, response) =>
    response.writeHead(url === '/ack?a=1' ? 200 : 503).end(url),
  )
  const client = poster(t, 'siem.test', sink.port)
  t.match(await client.post(body, { 'x-a': 'b' }, signal(), { path: '/ack?a=1' }), { status: 200 })
  t.match(sink.seen[0], { method: 'POST', url: '/ack?a=1', body: body.toString() })
  t.match(sink.seen[0]?.headers, { 'x-a': 'b', host: `siem.test:${sink.port}` })
  t.match(await client.post(body, {}, signal(), { bytesMax: 100 }), {
    status: 503,
    body: Buffer.from('/ingest?source=a'),
  })
  t.equal(sink.connections(), 1)
})

void t.test('an answer that has no end is left, one that breaks off rejects', async (t) => {
  let open = 0
  const sink = await startSink(t, ({ headers }, response) => {
    const pour = (text: string, everyMs: number): void => {
      open += 1
      const timer = setInterval(() => response.write(text), everyMs)
      response.on('close', () => {
        clearInterval(timer)
        open -= 1
      })
    }
    const how = headers['x-how']
    if (how === 'fits') response.end('x'.repeat(1000))
    else if (how === 'endless') pour('x'.repeat(60_000), 1)
    else if (how === 'drips') pour('x', 10)
    else {
      response.writeHead(200, { 'content-length': '1000' }).write('x')
      setTimeout(() => response.destroy(), 20)
    }
  })
  const client = poster(t, 'siem.test', sink.port)
  const ask = (how: string, ends = signal()): ReturnType<HttpPoster['post']> =>
    client.post(body, { 'x-how': how }, ends, { bytesMax: 1000 })
  t.equal((await ask('endless')).body.length, 1000)
  await t.rejects(ask('cut'))
  await t.rejects(ask('drips', AbortSignal.timeout(100)), { name: 'TimeoutError' })
  t.ok(await until(() => open === 0), 'and the connections are gone')
  t.equal((await ask('fits')).body.length, 1000, 'the twin')
})

void t.test('the connection of a closed client is gone', async (t) => {
  const silent = await listen(t)
  const client = poster(t, 'siem.test', silent.port)
  const waiting = client.post(body, {}, signal()).catch((error: unknown) => error)
  t.ok(await until(() => silent.open() === 1))
  await client.close()
  const error = await waiting
  t.ok(error instanceof Error && !(error instanceof EgressError))
  t.ok(await until(() => silent.open() === 0))
})
