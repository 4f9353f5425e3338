// R49: framing that two parsers could read differently is refused with 400 and never forwarded. Raw bytes, in absolute form
// at the door and in origin form inside an intercepted tunnel; each next to a twin that is allowed.

import net, { type Socket } from 'node:net'

import t from 'tap'

import { exchange, request, scenario, startSecure } from '../fixtures/scenario.ts'
import { startHttp } from '../fixtures/upstreams.ts'

interface Payload {
  readonly title: string
  /** Behind the request line; `HOST` is replaced. */
  readonly rest: string
  readonly method?: string
  readonly reason: RegExp
  /** Wrong, but nobody can be in doubt where it ends: what comes behind it is a request of its own. */
  readonly ends?: true
  /** For what stands in the request line itself. */
  readonly line?: (target: string) => string
}

const HEADER = /400 Sallyport: malformed-header/
const BODY = /400 Sallyport: (?:malformed-body|malformed-header)/
const LINE = /400 Sallyport: malformed-request-line/

const PAYLOADS: readonly Payload[] = [
  {
    title: 'Content-Length and Transfer-Encoding',
    rest: 'Host: HOST\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    reason: HEADER,
  },
  {
    title: 'Transfer-Encoding and Content-Length',
    rest: 'Host: HOST\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n',
    reason: HEADER,
  },
  {
    title: 'two different lengths',
    rest: 'Host: HOST\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde',
    reason: HEADER,
  },
  {
    title: 'the same length twice',
    rest: 'Host: HOST\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nabcd',
    reason: HEADER,
  },
  {
    title: 'a list of lengths',
    rest: 'Host: HOST\r\nContent-Length: 4, 4\r\n\r\nabcd',
    reason: HEADER,
  },
  {
    title: 'a signed length',
    rest: 'Host: HOST\r\nContent-Length: +4\r\n\r\nabcd',
    reason: HEADER,
  },
  {
    title: 'a hexadecimal length',
    rest: 'Host: HOST\r\nContent-Length: 0x4\r\n\r\nabcd',
    reason: HEADER,
  },
  { title: 'an empty length', rest: 'Host: HOST\r\nContent-Length: \r\n\r\n', reason: HEADER },
  {
    title: 'a length beyond numbers',
    rest: 'Host: HOST\r\nContent-Length: 99999999999999999999\r\n\r\n',
    reason: HEADER,
  },
  {
    title: 'another coding before chunked',
    rest: 'Host: HOST\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
    reason: HEADER,
  },
  {
    title: 'identity before chunked',
    rest: 'Host: HOST\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n',
    reason: HEADER,
  },
  {
    title: 'chunked twice',
    rest: 'Host: HOST\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    reason: HEADER,
  },
  {
    title: 'a coding that is none',
    rest: 'Host: HOST\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n',
    reason: HEADER,
  },
  {
    title: 'a twin with an underscore',
    rest: 'Host: HOST\r\nTransfer_Encoding: chunked\r\nContent-Length: 4\r\n\r\nabcd',
    reason: HEADER,
  },
  {
    title: 'a space before the colon',
    rest: 'Host: HOST\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n',
    reason: HEADER,
  },
  { title: 'a folded line', rest: 'Host: HOST\r\nX-A: b\r\n c\r\n\r\n', reason: HEADER },
  {
    title: 'a folded coding',
    rest: 'Host: HOST\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n',
    reason: HEADER,
  },
  { title: 'a bare line feed', rest: 'Host: HOST\r\nX-A: b\nX-C: d\r\n\r\n', reason: HEADER },
  { title: 'a bare carriage return', rest: 'Host: HOST\r\nX-A: b\rX-C: d\r\n\r\n', reason: HEADER },
  { title: 'a NUL in a value', rest: 'Host: HOST\r\nX-A: b\0c\r\n\r\n', reason: HEADER },
  { title: 'an empty name', rest: 'Host: HOST\r\n: x\r\n\r\n', reason: HEADER },
  { title: 'a line without a colon', rest: 'Host: HOST\r\nContent-Length\r\n\r\n', reason: HEADER },
  {
    title: 'Connection names a framing field',
    rest: 'Host: HOST\r\nConnection: Content-Length\r\nContent-Length: 4\r\n\r\nabcd',
    reason: HEADER,
  },
  {
    ends: true,
    title: 'Connection names Host',
    rest: 'Host: HOST\r\nConnection: Host\r\n\r\n',
    reason: HEADER,
  },
  {
    title: 'an Expect with more in it',
    rest: 'Host: HOST\r\nExpect: 100-continue, x\r\nContent-Length: 4\r\n\r\nabcd',
    reason: HEADER,
  },
  {
    title: 'a chunk size that is none',
    rest: 'Host: HOST\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n',
    reason: BODY,
  },
  {
    title: 'a chunk size with a sign',
    rest: 'Host: HOST\r\nTransfer-Encoding: chunked\r\n\r\n+4\r\nabcd\r\n0\r\n\r\n',
    reason: BODY,
  },
  {
    title: 'a chunk longer than its size',
    rest: 'Host: HOST\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n',
    reason: BODY,
  },
  {
    ends: true,
    title: 'two Hosts',
    rest: 'Host: HOST\r\nHost: HOST\r\n\r\n',
    reason: /400 Sallyport: duplicate-host/,
  },
  { ends: true, title: 'no Host', rest: '\r\n', reason: /400 Sallyport: missing-host/ },
  {
    ends: true,
    title: 'another Host',
    rest: 'Host: evil.test\r\n\r\n',
    reason: /400 Sallyport: authority-mismatch/,
  },
  {
    title: 'chunked in HTTP/1.0',
    rest: 'Host: HOST\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    line: (target) => `POST ${target} HTTP/1.0`,
    reason: HEADER,
  },
  {
    title: 'HTTP/2.0',
    rest: 'Host: HOST\r\n\r\n',
    line: (target) => `GET ${target} HTTP/2.0`,
    reason: /505 Sallyport: unsupported-version/,
  },
  { title: 'HTTP/0.9', rest: '', line: (target) => `GET ${target}`, reason: LINE },
  {
    title: 'two spaces',
    rest: 'Host: HOST\r\n\r\n',
    line: (target) => `GET ${target}  HTTP/1.1`,
    reason: LINE,
  },
  {
    title: 'a tab in the line',
    rest: 'Host: HOST\r\n\r\n',
    line: (target) => `GET\t${target} HTTP/1.1`,
    reason: LINE,
  },
  {
    ends: true,
    title: 'a fragment',
    rest: 'Host: HOST\r\n\r\n',
    line: (target) => `GET ${target}#x HTTP/1.1`,
    reason: /400 Sallyport: malformed-/,
  },
  {
    title: 'a header count that hides the framing',
    rest: `Host: HOST\r\n${'A: b\r\n'.repeat(2400)}Content-Length: 5\r\n\r\nabcde`,
    reason: /431 Sallyport: head-too-large/,
  },
  {
    ends: true,
    title: 'TRACE',
    rest: 'Host: HOST\r\n\r\n',
    line: (target) => `TRACE ${target} HTTP/1.1`,
    reason: /403 Sallyport: method-not-allowed/,
  },
  {
    title: 'a protocol to switch to, with a body behind it',
    rest: 'Host: HOST\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nContent-Length: 4\r\n\r\nabcd',
    reason: /403 Sallyport: protocol-not-allowed/,
  },
]

// Requests that look much like them and are sound.
const TWINS: readonly { title: string; rest: string }[] = [
  { title: 'a length', rest: 'Host: HOST\r\nContent-Length: 4\r\n\r\nabcd' },
  {
    title: 'chunks with extensions and trailers',
    rest: 'Host: HOST\r\nTransfer-Encoding: chunked\r\n\r\n4;a=b\r\nabcd\r\n0\r\nX-T: 1\r\n\r\n',
  },
  {
    title: 'chunked in capitals',
    rest: 'Host: HOST\r\nTransfer-Encoding: CHUNKED\r\n\r\n4\r\nabcd\r\n0\r\n\r\n',
  },
  {
    title: 'Connection names a field of this hop',
    rest: 'Host: HOST\r\nConnection: X-Mine\r\nX-Mine: 1\r\nContent-Length: 4\r\n\r\nabcd',
  },
  {
    title: 'an offer of h2c, which is only an offer',
    rest: 'Host: HOST\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 4\r\n\r\nabcd',
  },
]

void t.test('R49: ambiguous framing', async (t) => {
  const plain = await startHttp({ handler: (_request, body) => ({ body: `got ${body.length}` }) })
  const secure = await startSecure(['up.test'], (_request, body) => ({
    body: `got ${body.length}`,
  }))
  t.teardown(() => Promise.all([plain.close(), secure.close()]))
  const options = {
    hosts: ['up.test'],
    rules: {
      set: `ruleset: set
owner: a@example.com
rules:
  - { id: plain, allow: 'http://up.test:${plain.port}', addresses: [127.0.0.0/8] }
  - { id: secure, allow: 'https://up.test:${secure.port}', addresses: [127.0.0.0/8] }
`,
    },
  }
  const write = (
    payload: { rest: string; line?: (target: string) => string },
    target: string,
    host: string,
  ): string =>
    `${payload.line?.(target) ?? `POST ${target} HTTP/1.1`}\r\n${payload.rest.replaceAll('HOST', host)}`

  scenario(t, 'R49: at the door', options, async (cx, t) => {
    const host = `up.test:${plain.port}`
    const open = async (): Promise<Socket> => net.connect(cx.proxyPort, '127.0.0.1')
    await attack(
      t,
      open,
      (payload) => write(payload, `http://${host}/x`, host),
      request('GET', `http://${host}/smuggled`, host),
      plain,
    )
  })
  scenario(t, 'R49: inside an intercepted tunnel', options, async (cx, t) => {
    const host = `up.test:${secure.port}`
    await attack(
      t,
      () => cx.secure(host),
      (payload) => write(payload, '/x', host),
      request('GET', '/smuggled', host),
      secure,
    )
  })
})

async function attack(
  t: {
    match: (value: string, pattern: RegExp, name: string) => void
    strictSame: (a: unknown, b: unknown, name: string) => void
    ok: (value: unknown, name: string) => void
    equal: (a: unknown, b: unknown, name: string) => void
  },
  open: () => Promise<Socket>,
  write: (payload: { rest: string; line?: (target: string) => string }) => string,
  smuggled: string,
  upstream: { readonly seen: { url: string; body: Buffer }[]; open: () => number },
): Promise<void> {
  for (const twin of TWINS) {
    const before = upstream.seen.length
    const answer = await exchange(await open(), write(twin), 400)
    t.match(answer, /^HTTP\/1\.1 200/, `twin: ${twin.title}`)
    t.match(answer, /got 4/, `twin: ${twin.title} arrives whole`)
    t.equal(upstream.seen.length, before + 1, `twin: ${twin.title} arrives once`)
  }
  const seen = upstream.seen.length
  for (const payload of PAYLOADS) {
    // What is smuggled would show as a second request: where the framing is in doubt, nobody can say where one begins.
    const answer = await exchange(
      await open(),
      write(payload) + (payload.ends ? '' : smuggled),
      700,
    )
    t.match(answer, new RegExp(`^HTTP/1\\.[01] ${payload.reason.source}`), payload.title)
    t.equal(answer.split('HTTP/1.1 ').length, 2, `${payload.title}: nothing passes behind it`)
  }
  t.strictSame(
    upstream.seen.slice(seen).map(({ url }) => url),
    [],
    'nothing ambiguous reached the upstream whole',
  )
}
