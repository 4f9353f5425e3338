// Heads that node's parser refuses: the reason they are answered with. First bytes of tunnels: HTTP or not.

import http from 'node:http'
import net from 'node:net'

import * as fc from 'fast-check'
import t from 'tap'

import { REASONS, type Reason } from '../../../src/errors.ts'
import { explainRequestHead, looksLikeHttp } from '../../../src/wire/http1-head.ts'

const bytesOf = (text: string): Buffer => Buffer.from(text, 'latin1')
const explain = (text: string): Reason => explainRequestHead(bytesOf(text))

const CONNECT = 'CONNECT a.test:443 HTTP/1.1\r\n'

const REFUSED: readonly (readonly [head: string, reason: string, why: string])[] = [
  // the request line
  ['\r\n\r\n', 'malformed-request-line', 'nothing'],
  ['CONNECT\r\n\r\n', 'malformed-request-line', 'a method alone'],
  ['CONNECT a.test:443\r\n\r\n', 'malformed-request-line', 'no version'],
  ['GET /\r\n', 'malformed-request-line', 'HTTP/0.9'],
  ['CONNECT  a.test:443 HTTP/1.1\r\n\r\n', 'malformed-request-line', 'two spaces'],
  ['CONNECT\ta.test:443 HTTP/1.1\r\n\r\n', 'malformed-request-line', 'a tab'],
  ['CONNECT a.test:443\tHTTP/1.1\r\n\r\n', 'malformed-request-line', 'a tab before the version'],
  [' CONNECT a.test:443 HTTP/1.1\r\n\r\n', 'malformed-request-line', 'a space in front'],
  ['CONNECT a.test:443 HTTP/1.1 \r\n\r\n', 'malformed-request-line', 'a space behind'],
  ['CONNECT a.test:443 x HTTP/1.1\r\n\r\n', 'malformed-request-line', 'four parts'],
  ['connect a.test:443 HTTP/1.1\r\n\r\n', 'malformed-request-line', 'lower case'],
  ['C(NNECT a.test:443 HTTP/1.1\r\n\r\n', 'malformed-request-line', 'no token'],
  ['CONNECT a.test\0:443 HTTP/1.1\r\n\r\n', 'malformed-request-line', 'NUL in the target'],
  ['CONNECT a.test:443 HTTP/1.1x\r\n\r\n', 'malformed-request-line', 'no version number'],
  ['CONNECT a.test:443 http/1.1\r\n\r\n', 'malformed-request-line', 'a version in lower case'],
  ['CONNECT a.test:443 HTTP/11\r\n\r\n', 'malformed-request-line', 'a version without a dot'],
  ['\x16\x03\x01\x02\0', 'malformed-request-line', 'TLS'],
  ['\x05\x01\0', 'malformed-request-line', 'SOCKS'],
  // versions
  ['CONNECT a.test:443 HTTP/2.0\r\n\r\n', 'unsupported-version', '2.0'],
  ['CONNECT a.test:443 HTTP/1.2\r\n\r\n', 'unsupported-version', '1.2'],
  ['GET http://a.test/ HTTP/3.0\r\n\r\n', 'unsupported-version', '3.0'],
  ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'unsupported-version', 'the preface of HTTP/2'],
  // line ends
  ['CONNECT a.test:443 HTTP/1.1\nHost: a.test:443\n\n', 'malformed-header', 'bare LF'],
  ['CONNECT a.test:443 HTTP/1.1\rHost: a.test:443\r\r', 'malformed-header', 'bare CR'],
  [
    'CONNECT a.test:443 HTTP/1.1\rX: y\r\nHost: a\r\nHost: b\r\n\r\n',
    'malformed-header',
    'bare CR first',
  ],
  [`${CONNECT}Host: a.test:443\nX: y\r\n\r\n`, 'malformed-header', 'bare LF in the fields'],
  [`${CONNECT}Host: a.test:443\rX: y\r\n\r\n`, 'malformed-header', 'bare CR in the fields'],
  // fields
  [`${CONNECT}Host: a.test:443\r\n X: y\r\n\r\n`, 'malformed-header', 'a folded line'],
  [`${CONNECT}Host: a.test:443\r\n\tX: y\r\n\r\n`, 'malformed-header', 'a line folded by a tab'],
  [`${CONNECT} Host: a.test:443\r\n\r\n`, 'malformed-header', 'a space before the first field'],
  [`${CONNECT}Host : a.test:443\r\n\r\n`, 'malformed-header', 'a space before the colon'],
  [`${CONNECT}Host\t: a.test:443\r\n\r\n`, 'malformed-header', 'a tab before the colon'],
  [`${CONNECT}: a.test:443\r\n\r\n`, 'malformed-header', 'no name'],
  [`${CONNECT}Host a.test\r\n\r\n`, 'malformed-header', 'no colon'],
  [`${CONNECT}Ho(st: a.test\r\n\r\n`, 'malformed-header', 'no token'],
  [`${CONNECT}Host: a.test:443\r\nX: y\0z\r\n\r\n`, 'malformed-header', 'NUL'],
  [`${CONNECT}Host: a.test:443\r\nX: y\x7f\r\n\r\n`, 'malformed-header', 'DEL'],
  [`${CONNECT}Host: a.test:443\r\nhost: a.test:443\r\n\r\n`, 'duplicate-host', 'two hosts'],
  // framing
  [
    'POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\nContent-Length: x\r\n\r\n',
    'malformed-header',
    'a length of letters',
  ],
  [
    'POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n',
    'malformed-header',
    'length and coding',
  ],
  [
    'POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
    'malformed-body',
    'no chunk size',
  ],
]

void t.test('R49: a head that is refused is refused with its own reason', (t) => {
  for (const [head, reason, why] of REFUSED) t.equal(explain(head), reason, why)
  t.end()
})

void t.test(
  'whatever the parser refuses has a reason that is answered with 4xx or 505',
  async (t) => {
    const server = http.createServer((_request, response) => response.end())
    server.on('connect', (_request, socket) => socket.destroy())
    const refused: Reason[] = []
    let awaited = ''
    server.on('clientError', (_error, socket) => {
      refused.push(explain(awaited))
      socket.destroy()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.teardown(() => server.close())
    const address = server.address()
    const port = typeof address === 'object' && address ? address.port : 0
    for (const [head] of REFUSED) {
      awaited = head
      await new Promise<void>((resolve) => {
        const socket = net.connect(port, '127.0.0.1', () => socket.end(bytesOf(head)))
        socket.on('error', () => undefined)
        socket.on('data', () => undefined)
        socket.on('close', () => resolve())
      })
    }
    t.ok(refused.length > REFUSED.length / 2, 'the corpus is one that a parser refuses')
    for (const reason of refused) t.ok([400, 505].includes(REASONS[reason].status), reason)
  },
)

void t.test('any bytes at all get a reason', (t) => {
  const piece = fc.constantFrom(
    'GET',
    ' ',
    '/',
    'HTTP/1.1',
    '\r\n',
    '\n',
    '\r',
    'Host: a',
    ':',
    'Content-Length: 5',
    '\0',
    '\xff',
  )
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 12 }),
      (pieces) => explain(pieces.join('')) in REASONS,
    ),
    { numRuns: 2000 },
  )
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 60 }),
      (bytes) => REASONS[explainRequestHead(bytes)].status >= 400,
    ),
  )
  t.end()
})

void t.test('the first bytes of a tunnel show HTTP/1, or that it is something else', (t) => {
  for (const text of [
    'GET / HTTP/1.1\r\n',
    'POST /a',
    'OPTIONS *',
    'M-SEARCH /',
    'GET http://a/',
    'CONNECT a:1',
  ])
    t.equal(looksLikeHttp(bytesOf(text)), true, text)
  for (const text of ['', 'G', 'GET', 'GET ', 'PR'])
    t.equal(looksLikeHttp(bytesOf(text)), undefined, text)
  for (const text of [
    'PRI * HTTP/2.0\r\n',
    'PRI ',
    'get / HTTP/1.1',
    ' GET /',
    'SSH-2.0-OpenSSH\r\n',
    '220 mail.test ESMTP\r\n',
    '\x16\x03\x01',
    '\0',
    'G\0',
    'ABCDEFGHIJKLMNOPQRSTUVWXYZ',
    'GET\r\n',
    'GET  /',
  ])
    t.equal(looksLikeHttp(bytesOf(text)), false, JSON.stringify(text))
  t.end()
})

void t.test('more bytes never change what was already said', (t) => {
  const piece = fc.constantFrom('G', 'ET', ' ', '/', 'PRI', '\0', 'x', '-', 'AB')
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const bytes = bytesOf(pieces.join(''))
      const last = looksLikeHttp(bytes)
      for (let at = 0; at <= bytes.length; at += 1) {
        const early = looksLikeHttp(bytes.subarray(0, at))
        if (early !== undefined && early !== last) return false
      }
      return true
    }),
  )
  t.end()
})
