// Upstreams that send a credential back, in every encoding, wherever they can say something and however it is cut: the sandbox gets
// none of it, and what is no credential byte for byte.

import { createHash } from 'node:crypto'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { ClientHttp2Session } from 'node:http2'
import zlib from 'node:zlib'

import t, { type Test } from 'tap'

import { canariesIn, canaryOf } from '../fixtures/canary.ts'
import { encodingsOf } from '../fixtures/encodings.ts'
import { ask, openHttp2 } from '../fixtures/http2-client.ts'
import { startHttp2 } from '../fixtures/http2-upstream.ts'
import {
  exchange,
  pki,
  request as requestOf,
  ruleSet,
  scenario,
  until,
  type JournalRecord,
  type Scenario,
} from '../fixtures/scenario.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'
const SECRET = 'canary-Echo7/"x+2_k<9\\Zq'
const CANARY = [canaryOf('echo', SECRET)]
const ENCODINGS = [...encodingsOf(SECRET).values()]
const INNOCENT = `{"fine":"canary-Echo7 100% \\u0041 &amp; ${'Y2FuYXJ5'.repeat(3)}"}`
const seen: string[][] = []

/** A value cut at every one of its bytes, each time with something around it. */
const cutEverywhere = (text: string): string[] => {
  const pieces: string[] = []
  for (let cut = 1; cut < text.length; cut += 1)
    pieces.push(`[${text.slice(0, cut)}`, `${text.slice(cut)}]\n`)
  return pieces
}
const EVERYTHING = ENCODINGS.flatMap(cutEverywhere)

const inTurns = async (response: ServerResponse, pieces: readonly string[]): Promise<void> => {
  for (const piece of pieces) {
    response.write(piece)
    await new Promise((resolve) => setImmediate(resolve))
  }
  response.end()
}

const gzip = (text: string): Buffer => zlib.gzipSync(text)
const CODED: Readonly<Record<string, (text: string) => Buffer>> = {
  gzip,
  deflate: (text) => zlib.deflateSync(text),
  br: (text) => zlib.brotliCompressSync(text),
  zstd: (text) => zlib.zstdCompressSync(text),
  'gzip, br': (text) => zlib.brotliCompressSync(gzip(text)),
}

const PLAIN: Readonly<Record<string, RequestListener>> = {
  '/chunked': (_request, response) => {
    response.writeHead(200, { 'Content-Type': 'application/json' })
    for (const piece of EVERYTHING) response.write(piece)
    response.end()
  },
  '/length': (_request, response) => {
    const length = Buffer.byteLength(EVERYTHING.join(''))
    response.writeHead(200, { 'Content-Type': 'text/html', 'Content-Length': length })
    void inTurns(response, EVERYTHING)
  },
  '/untyped': (_request, response) => {
    response.end(ENCODINGS.join('\n'))
  },
  '/error': (_request, response) => {
    response.writeHead(500, `no ${SECRET}`, { 'Content-Type': 'text/plain' })
    response.end(SECRET)
  },
  '/head': (_request, response) => {
    response.writeEarlyHints({ link: `</${encodeURIComponent(SECRET)}>; rel=preload` })
    response.writeHead(302, {
      Location: `https://elsewhere.test/?${new URLSearchParams({ t: SECRET }).toString()}`,
      'Set-Cookie': [`a=${Buffer.from(SECRET).toString('base64')}`, 'b=fine'],
      'X-Said': SECRET,
      [`X-${Buffer.from(SECRET).toString('hex')}`]: 'name',
      Trailer: 'X-Sum',
    })
    response.addTrailers({ 'X-Sum': SECRET, 'X-Fine': 'fine' })
    response.end('moved')
  },
  '/binary': (_request, response) => {
    response.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': 60 })
    response.end(`\0\x01${SECRET}`.padEnd(60, '\0'))
  },
  '/binary/late': (_request, response) => {
    response.writeHead(200, { 'Content-Type': 'application/octet-stream' })
    response.write('\0begun\0')
    setTimeout(() => response.end(`\0${SECRET}\0`), 50)
  },
  '/fine': (_request, response) => {
    response.writeHead(200, { 'Content-Type': 'application/json', ETag: '"strong"' })
    response.end(INNOCENT)
  },
  '/fine/binary': (_request, response) => {
    response.writeHead(200, { 'Content-Type': 'image/png' })
    response.end(Buffer.from(Array.from({ length: 4096 }, (_, byte) => (byte * 7) & 0xff)))
  },
  '/events': (_request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' })
    response.write(`data: innocent\n\n`)
    waiting.push(() => response.end(`data: ${SECRET}\n\n`))
  },
  '/bomb': (_request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Encoding': 'gzip' })
    response.end(zlib.gzipSync(Buffer.alloc(64 * 1024 * 1024)))
  },
  '/unknown': (_request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Encoding': 'rot13' })
    response.end('pnanel')
  },
}
const waiting: (() => void)[] = []

const coded = (request: IncomingMessage, response: ServerResponse): void => {
  const [, , coding = '', what] = decodeURIComponent(request.url ?? '').split('/')
  response.writeHead(200, {
    'Content-Type': 'application/json',
    'Content-Encoding': coding,
    ETag: '"strong"',
    'Content-MD5': 'x',
    'X-Amz-Checksum-CRC32': 'x',
  })
  response.end(CODED[coding]!(what === 'fine' ? INNOCENT : EVERYTHING.join('')))
}

const listen: RequestListener = (request, response) => {
  const { url = '', rawHeaders } = request
  request.resume()
  response.sendDate = false
  seen.push(rawHeaders)
  if (url.startsWith('/coded/')) coded(request, response)
  else (PLAIN[url] ?? PLAIN['/fine']!)(request, response)
}

const up = await startHttp({ tls: pki.issue({ names: ['up.test', 'bare.test'] }), raw: listen })
const newer = await startHttp2(pki.issue({ names: ['newer.test'] }))
newer.server.removeAllListeners('request')
newer.server.on('request', (request, response) => {
  request.resume()
  const pieces = request.url === '/fine' ? [INNOCENT] : EVERYTHING
  response.writeHead(200, { 'content-type': 'text/plain', 'x-said': SECRET })
  response.stream.on('wantTrailers', () => undefined)
  response.addTrailers({ 'x-sum': SECRET })
  for (const piece of pieces) response.write(piece)
  response.end()
})
t.teardown(() => Promise.all([up.close(), newer.close()]))
const [at, bareAt, newerAt] = [
  `up.test:${up.port}`,
  `bare.test:${up.port}`,
  `newer.test:${newer.port}`,
]
const options = {
  hosts: ['up.test', 'bare.test', 'newer.test'],
  secrets: { TOKEN: SECRET },
  config: `credentials:
  token: { source: { env: TOKEN }, inject: { bearer: true }, hosts: ['${at}', '${newerAt}'] }
`,
  rules: ruleSet(
    `id: bare, allow: 'https://${bareAt}', ${LOOPBACK}`,
    `id: up, allow: 'https://${at}', credential: token, ${LOOPBACK}`,
    `id: newer, allow: 'https://${newerAt}', credential: token, ${LOOPBACK}`,
  ),
}

const get = async (
  cx: Scenario,
  path: string,
  headers: readonly string[] = [],
  host = at,
): Promise<{ head: string; body: string; all: string }> => {
  const all = await exchange(
    await cx.secure(host),
    requestOf('GET', path, host, { headers }),
    20_000,
  )
  const end = all.indexOf(
    '\r\n\r\n',
    all.startsWith('HTTP/1.1 1') ? all.indexOf('\r\n\r\n') + 4 : 0,
  )
  const head = all.slice(0, end)
  const rest = all.slice(end + 4)
  return { head, body: /transfer-encoding: chunked/i.test(head) ? unchunk(rest) : rest, all }
}

const unchunk = (text: string): string => {
  let body = ''
  for (let from = 0; ;) {
    const line = text.indexOf('\r\n', from)
    const size = parseInt(text.slice(from, line), 16)
    if (!(size > 0)) return body
    body += text.slice(line + 2, line + 2 + size)
    from = line + 4 + size
  }
}

const echoes = (cx: Scenario): JournalRecord[] =>
  cx.records().filter(({ event }) => event.action === 'credential-echoed')

// Not a byte is gone, and each of the values is nothing but asterisks and what the bits of its neighbours are part of.
const isMasked = (t: Test, body: string, what: string): void => {
  t.strictSame(canariesIn(body, CANARY), [], `${what}: nothing comes back`)
  t.equal(body.length, EVERYTHING.join('').length, `${what}: of the same length`)
  const lines = body.split('\n').slice(0, -1)
  t.equal(lines.length, EVERYTHING.length / 2, `${what}: every one is there`)
  t.strictSame(
    lines.filter((line) => !/^\[.{0,12}\*{16,}.{0,16}\]$/.test(line)).slice(0, 3),
    [],
    `${what}: every one is masked`,
  )
}

scenario(
  t,
  'R17: a credential that an upstream sends back in any encoding, cut anywhere, reaches the sandbox in none',
  options,
  async (cx, t) => {
    isMasked(t, (await get(cx, '/chunked')).body, 'chunked')
    const length = await get(cx, '/length')
    isMasked(t, length.body, 'with a length')
    t.match(length.head, new RegExp(`content-length: ${EVERYTHING.join('').length}`, 'i'))
    for (const path of ['/untyped', '/error', '/head']) {
      const { all } = await get(cx, path)
      t.strictSame(canariesIn(all, CANARY), [], path)
      t.match(all, /\*{24}/, path)
    }
    const { all } = await get(cx, '/head')
    t.match(all, /^HTTP\/1\.1 103 /)
    t.match(all, /X-Fine: fine/)
    t.match(all, /b=fine/)
    t.match((await get(cx, '/error')).head, /^HTTP\/1\.1 500 no \*{24}\r\n/)
    const fine = await get(cx, '/fine')
    t.equal(fine.body, INNOCENT, 'the twin')
    t.match(fine.head, /etag: "strong"/i)
    await until(() => echoes(cx).length > 0, 'it is told')
    t.match(echoes(cx)[0], {
      event: { kind: 'alert' },
      sallyport: { detail: { credential: 'token', place: 'body', host: 'up.test' } },
    })
    t.match(await cx.record(({ url }) => url?.path === '/chunked'), {
      event: { reason: 'allowed' },
    })
  },
)

scenario(t, 'R17: nor over HTTP/2, in trailers, in events as they come', options, async (cx, t) => {
  const session: ClientHttp2Session = await openHttp2(cx, newerAt)
  const answer = await ask(session, { ':path': '/all' })
  isMasked(t, answer.body, 'HTTP/2')
  t.match(answer.headers, { 'x-said': '*'.repeat(SECRET.length) })
  t.match(answer.trailers, { 'x-sum': '*'.repeat(SECRET.length) })
  t.equal((await ask(session, { ':path': '/fine' })).body, INNOCENT, 'the twin')
  session.close()

  const socket = await cx.secure(at)
  let got = ''
  socket.on('data', (chunk: Buffer) => (got += chunk.toString('latin1')))
  socket.resume()
  socket.write(requestOf('GET', '/events', at))
  await until(() => got.includes('data: innocent\n\n'), 'an event that is over waits for no other')
  waiting.shift()?.()
  await until(() => got.endsWith('0\r\n\r\n'), 'the end')
  t.match(got, `data: ${'*'.repeat(SECRET.length)}\n\n`)
  socket.destroy()
})

scenario(
  t,
  'R17: what is no text is cut, with 502 where nothing of it had left',
  options,
  async (cx, t) => {
    const whole = await get(cx, '/binary')
    t.match(whole.head, /^HTTP\/1\.1 502 .*credential-echoed/)
    t.strictSame(canariesIn(whole.all, CANARY), [])
    t.match(await cx.record(({ url }) => url?.path === '/binary'), {
      event: { reason: 'credential-echoed', outcome: 'failure' },
    })
    const late = await get(cx, '/binary/late')
    t.match(late.all, /^HTTP\/1\.1 200 /)
    t.match(late.all, '\0begun\0')
    t.notMatch(late.all, /\r\n0\r\n\r\n$/, 'no end in order')
    t.strictSame(canariesIn(late.all, CANARY), [])
    t.match(await cx.record(({ url }) => url?.path === '/binary/late'), {
      event: { reason: 'credential-echoed' },
    })
    const fine = await get(cx, '/fine/binary')
    const sum = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
    t.equal(
      sum(Buffer.from(fine.body, 'latin1')),
      sum(Buffer.from(Array.from({ length: 4096 }, (_, byte) => (byte * 7) & 0xff))),
      'the twin',
    )
  },
)

scenario(
  t,
  'R17: what comes compressed all the same is decoded, within bounds, and masked',
  options,
  async (cx, t) => {
    const asked = ['Accept-Encoding: gzip, br', 'Range: bytes=0-9', 'If-Range: "x"']
    for (const coding of Object.keys(CODED)) {
      const path = `/coded/${encodeURIComponent(coding)}`
      const all = await get(cx, `${path}/all`, asked)
      isMasked(t, all.body, coding)
      t.notMatch(all.head, /content-encoding|content-md5|checksum/i)
      t.match(all.head, /etag: W\/"strong"/i)
      t.equal((await get(cx, `${path}/fine`)).body, INNOCENT, `${coding}: the twin`)
    }
    const told = seen.at(-2)!.map((text) => text.toLowerCase())
    t.equal(told[told.indexOf('accept-encoding') + 1], 'identity')
    t.notOk(told.includes('range') || told.includes('if-range'), 'it is asked for whole')
    const bomb = await get(cx, '/bomb')
    t.ok(bomb.body.length < 16 * 1024 * 1024, 'it does not come out whole')
    t.match(await cx.record(({ url }) => url?.path === '/bomb'), {
      event: { reason: 'response-malformed' },
    })
    t.match((await get(cx, '/unknown')).head, /^HTTP\/1\.1 502 .*response-malformed/)
  },
)

scenario(
  t,
  'R17: calls without a credential of a task that has used one are looked through as well',
  options,
  async (cx, t) => {
    const bare = (path: string): ReturnType<typeof get> => get(cx, path, [], bareAt)
    t.match((await bare('/error')).body, SECRET, 'before: its upstream has it from elsewhere')
    await get(cx, '/fine')
    isMasked(t, (await bare('/chunked')).body, 'chunked')
    const path = '/coded/gzip'
    const cut = await bare(`${path}/all`)
    t.strictSame(canariesIn(cut.all, CANARY), [], 'compressed as it was asked for: cut')
    t.match(await cx.record(({ url }) => url?.path === `${path}/all`), {
      event: { reason: 'credential-echoed' },
    })
    const fine = await bare(`${path}/fine`)
    t.equal(
      zlib.gunzipSync(Buffer.from(fine.body, 'latin1')).toString(),
      INNOCENT,
      'the twin: as it came',
    )
    t.match(fine.head, /content-encoding: gzip/i)
    t.match((await bare('/unknown')).body, 'pnanel', 'what cannot be read passes')
  },
)
