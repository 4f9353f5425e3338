// Upstreams that send a credential back where and how few would look for it: split at every byte of a stream of events, coded twice, in
// chunk extensions and folded fields, in two credentials that overlap, in a value that is barely long enough.

import tls, { type TLSSocket } from 'node:tls'
import zlib from 'node:zlib'

import t from 'tap'

import { canariesIn, canaryOf } from '../fixtures/canary.ts'
import { encodingsOf } from '../fixtures/encodings.ts'
import { portOf } from '../fixtures/port.ts'
import { exchange, pki, request, ruleSet, scenario, type Scenario } from '../fixtures/scenario.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'
// Of 16 bytes each; the end of the one is the beginning of the other.
const ONE = 'cn1-/"x<9\\Zq+mid'
const OTHER = '+mid&end-5b1f0d9'
const BOTH = `${ONE.slice(0, -4)}${OTHER}`
const CANARY = [canaryOf('one', ONE), canaryOf('other', OTHER)]
const said = [...encodingsOf(ONE).values(), ...encodingsOf(OTHER).values(), BOTH]
const lines = said.map((text) => `data: ${text}\n\n`).join('')

const chunk = (bytes: string | Buffer, extension = ''): Buffer => {
  const data = Buffer.from(bytes)
  return Buffer.concat([
    Buffer.from(`${data.length.toString(16)}${extension}\r\n`),
    data,
    Buffer.from('\r\n'),
  ])
}
const chunked = (
  type: string,
  coding: string,
  pieces: readonly Buffer[],
  rest = '0\r\n\r\n',
): Buffer =>
  Buffer.concat([
    Buffer.from(
      `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\n${coding}\r\n`,
    ),
    ...pieces,
    Buffer.from(rest),
  ])
const inBytes = (text: string): Buffer[] =>
  Array.from(Buffer.from(text), (byte) => chunk(Buffer.of(byte)))
const twice = zlib.gzipSync(zlib.gzipSync(lines))

const ANSWERS: Readonly<Record<string, Buffer>> = {
  '/events': chunked('text/event-stream', '', inBytes(lines)),
  '/extensions': chunked('text/plain', '', [
    chunk('fine', `;said=${Buffer.from(ONE).toString('hex')}`),
  ]),
  '/twice': chunked('text/event-stream', 'Content-Encoding: gzip\r\nContent-Encoding: GZIP\r\n', [
    chunk(twice),
  ]),
  '/thrice': chunked('text/plain', 'Content-Encoding: gzip, gzip, gzip\r\n', [
    chunk(zlib.gzipSync(twice)),
  ]),
  '/inside': chunked('application/gzip', '', [chunk(zlib.gzipSync('nothing here'))]),
  '/trailers': chunked(
    'text/plain',
    'Trailer: X-Said\r\n',
    [chunk('fine')],
    `0\r\nX-Said: ${BOTH}\r\nX-Fine: fine\r\n\r\n`,
  ),
  '/status': Buffer.from(
    `HTTP/1.1 103 ${ONE}\r\nX-Said: ${OTHER}\r\n\r\nHTTP/1.1 302 ${BOTH}\r\nLocation: /?t=${encodeURIComponent(BOTH)}#${encodeURIComponent(OTHER)}\r\nSet-Cookie: a=${encodeURIComponent(ONE)}; Path=/${Buffer.from(OTHER).toString('hex')}\r\nSet-Cookie: b=fine\r\nContent-Length: 0\r\n\r\n`,
  ),
  '/attribute': chunked('text/html', '', [
    chunk(
      `<a title="${ONE.replace('"', '&#34').replace('<', '&lt')}" href='${encodeURIComponent(Buffer.from(OTHER).toString('base64'))}'>`,
    ),
  ]),
  '/fine': chunked('text/event-stream', '', inBytes('data: cn1-/ fine\n\n')),
}

const leaf = pki.issue({ names: ['up.test'] })
const answer = (socket: TLSSocket): void => {
  let got = ''
  socket.on('error', () => undefined)
  socket.on('data', (bytes: Buffer) => {
    got += bytes.toString('latin1')
    if (!got.includes('\r\n\r\n')) return
    const target = got.split(' ', 2)[1] ?? ''
    got = ''
    socket.write(ANSWERS[target] ?? ANSWERS['/fine']!)
  })
}
const server = tls.createServer({ cert: leaf.certPem, key: leaf.keyPem }, answer)
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
t.teardown(() => server.close())
const at = `up.test:${portOf(server)}`

const get = async (cx: Scenario, path: string): Promise<string> =>
  exchange(await cx.secure(at), request('GET', path, at), 20_000)
// Of what has no line ends of this kind in itself.
const bodyOf = (text: string): string =>
  text
    .slice(text.indexOf('\r\n\r\n') + 4)
    .split('\r\n')
    .filter((_, index) => index % 2 === 1)
    .join('')

scenario(
  t,
  'R17: a hostile upstream finds no place and no way in which it is let through',
  {
    hosts: ['up.test'],
    secrets: { ONE, OTHER },
    config: `credentials:
  one: { source: { env: ONE }, inject: { bearer: true }, hosts: ['${at}'] }
  other: { source: { env: OTHER }, inject: { header: { name: X-Key } }, hosts: ['${at}'] }
`,
    rules: ruleSet(
      `id: other, allow: 'https://${at}', methods: [POST], credential: other, ${LOOPBACK}`,
      `id: one, allow: 'https://${at}', methods: [GET], credential: one, ${LOOPBACK}`,
    ),
  },
  async (cx, t) => {
    await exchange(await cx.secure(at), request('POST', '/fine', at), 20_000)
    const got: Record<string, string> = {}
    for (const path of Object.keys(ANSWERS)) {
      got[path] = await get(cx, path)
      t.strictSame(canariesIn(got[path], CANARY), [], path)
      t.notMatch(got[path], /cn1-\/.*mid|end-5b1f0d/, path)
    }
    for (const path of ['/events', '/twice']) {
      const events = bodyOf(got[path]!).split('\n\n').slice(0, -1)
      t.equal(events.length, said.length, `${path}: every event`)
      t.strictSame(
        events.filter((event) => !/^data: .{0,6}\*{16,}.{0,16}$/.test(event)),
        [],
        `${path}: each of them masked`,
      )
    }
    t.match(got['/trailers'], `X-Said: ${'*'.repeat(BOTH.length)}\r\nX-Fine: fine\r\n`)
    t.match(
      got['/status'],
      /^HTTP\/1\.1 103 [^]*HTTP\/1\.1 302 \*{28}\r\n[^]*Set-Cookie: b=fine\r\n/,
    )
    t.match(got['/attribute'], /<a title="\*+" href='\*{20}/)
    t.match(
      got['/extensions'],
      /^HTTP\/1\.1 200 OK[^]*\r\nfine\r\n/,
      'an extension goes no further',
    )
    t.match(got['/thrice'], /^HTTP\/1\.1 502 .*response-malformed/)
    t.match(got['/inside'], /^HTTP\/1\.1 200 /, 'what is compressed as a whole is not looked into')
    t.equal(bodyOf(got['/fine']!), 'data: cn1-/ fine\n\n', 'the twin')
  },
)
