// Heads that are refused, each with its reason, however they are cut. First bytes of tunnels: HTTP or not.

import * as fc from 'fast-check'
import t from 'tap'

import { REASONS } from '../../../src/errors.ts'
import {
  looksLikeHttp,
  RequestHeadReader,
  ResponseHeadReader,
} from '../../../src/wire/http1-head.ts'
import { readRequests } from '../../fuzz/own-reader.ts'
import { explainRequest as explain, reasonOf } from './support.ts'

const bytesOf = (text: string): Buffer => Buffer.from(text, 'latin1')

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

void t.test('a head that is refused is refused however it is cut', (t) => {
  for (const [head, , why] of REFUSED) {
    const bytes = bytesOf(head)
    const whole = readRequests([bytes])
    for (let at = 1; at < bytes.length; at += 1)
      t.strictSame(readRequests([bytes.subarray(0, at), bytes.subarray(at)]), whole, why)
    const single = [...bytes].map((byte) => Buffer.of(byte))
    t.strictSame(readRequests(single), whole, why)
  }
  t.end()
})

void t.test('every reason is one that is answered with 4xx or 505', (t) => {
  for (const [head, , why] of REFUSED) {
    const reason = explain(head)
    t.ok(reason !== undefined && [400, 505].includes(REASONS[reason].status), why)
  }
  t.end()
})

void t.test('a sound head is read in its parts', (t) => {
  const heads = new RequestHeadReader(1024)
  const text =
    "M-SEARCH!#$%&'*+.^_`|~0 *\x80\xff HTTP/1.0\r\nA:\r\nb-C:\t x: y\t \r\nA: \xfc\tz\r\n\r\nrest"
  t.equal(heads.read(bytesOf(text), 0), text.length - 4)
  t.strictSame(heads.take(), {
    method: "M-SEARCH!#$%&'*+.^_`|~0",
    target: '*\x80\xff',
    version: '1.0',
    headers: ['A', '', 'b-C', 'x: y', 'A', '\xfc\tz'],
    upgrade: false,
  })
  t.notOk(heads.hasBegun)
  t.end()
})

void t.test('a method has up to 24 characters', (t) => {
  const method = 'ABCDEFGHIJKLMNOPQRSTUVWX'
  t.equal(explain(`${method} http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n`), undefined)
  t.equal(
    explain(`${method}Y http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n`),
    'malformed-request-line',
  )
  t.end()
})

void t.test('an offer of a WebSocket needs both of its fields', (t) => {
  const table: readonly (readonly [fields: string, upgrade: boolean])[] = [
    ['Upgrade: websocket\r\nConnection: Upgrade\r\n', true],
    ['connection: keep-alive ,\tupgrade\r\nUPGRADE: WebSocket\r\n', true],
    ['Connection: keep-alive\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n', true],
    ['Upgrade: websocket\r\n', false],
    ['Connection: Upgrade\r\n', false],
    ['Upgrade: websocket\r\nConnection: xupgrade\r\n', false],
    ['Upgrade: h2c\r\nConnection: Upgrade\r\n', false],
    ['Upgrade: websocket, h2c\r\nConnection: Upgrade\r\n', false],
    ['xpgrade: websocket\r\nConnection: Upgrade\r\n', false],
  ]
  for (const [fields, upgrade] of table) {
    const heads = new RequestHeadReader(1024)
    heads.read(bytesOf(`GET / HTTP/1.1\r\n${fields}\r\n`), 0)
    t.equal(heads.take().upgrade, upgrade, fields)
  }
  t.end()
})

void t.test('a head that ends early lacks its line or its fields', (t) => {
  const table: readonly (readonly [text: string, reason: string])[] = [
    ['G', 'malformed-request-line'],
    ['GET / HTTP/1.1', 'malformed-request-line'],
    ['GET / HTTP/1.1\r', 'malformed-request-line'],
    ['GET / HTTP/1.1\r\n', 'malformed-header'],
    ['GET / HTTP/1.1\r\nA: b\r\n\r', 'malformed-header'],
  ]
  for (const [text, reason] of table) {
    const heads = new RequestHeadReader(1024)
    t.equal(heads.read(bytesOf(text), 0), -1, text)
    t.ok(heads.hasBegun)
    t.equal(heads.truncated, reason, text)
  }
  t.end()
})

void t.test('one reader reads head after head, each with its own fields', (t) => {
  const heads = new RequestHeadReader(1024)
  const bytes = bytesOf('GET /1 HTTP/1.1\r\nA: 1\r\n\r\nGET /2 HTTP/1.0\r\nB: 2\r\n\r\n')
  const first = heads.read(bytes, 0)
  const one = heads.take()
  t.equal(heads.truncated, 'malformed-request-line')
  t.equal(heads.read(bytes.subarray(0, first + 3), first), -1)
  t.equal(heads.read(bytes, first + 3), bytes.length)
  const two = heads.take()
  t.match(
    [one, two],
    [
      { target: '/1', headers: ['A', '1'] },
      { target: '/2', headers: ['B', '2'] },
    ],
  )
  t.equal(one.headers.length, 2)
  t.end()
})

void t.test('a status line has a version, three digits, and a reason phrase or none', (t) => {
  const sound: readonly (readonly [line: string, status: number, text: string, version: string])[] =
    [
      ['HTTP/1.1 200 OK', 200, 'OK', '1.1'],
      ['HTTP/1.0 404 Not  Found\t', 404, 'Not  Found\t', '1.0'],
      ['HTTP/1.1 200 ', 200, '', '1.1'],
      ['HTTP/1.1 200', 200, '', '1.1'],
      ['HTTP/1.1 999 \xfcber', 999, '\xfcber', '1.1'],
      ['HTTP/1.1 200  OK', 200, ' OK', '1.1'],
    ]
  for (const [line, status, statusText, version] of sound) {
    const heads = new ResponseHeadReader(1024)
    const bytes = bytesOf(`${line}\r\nA: b\r\n\r\n`)
    t.equal(heads.read(bytes, 0), bytes.length, line)
    t.strictSame(heads.take(), { status, statusText, version, headers: ['A', 'b'] }, line)
  }
  for (const line of [
    '',
    ' HTTP/1.1 200 OK',
    'HTTP/1.1  200 OK',
    'HTTP/1.1\t200 OK',
    'HTTP/1.1 200\tOK',
    'HTTP/1.1 20 OK',
    'HTTP/1.1 2000 OK',
    'HTTP/1.1 +20 OK',
    'HTTP/1.1 000 OK',
    'HTTP/1.1 099 OK',
    'HTTP/1.1 2x0 OK',
    'HTTP/1.2 200 OK',
    'HTTP/2 200',
    'HTTP/2.0 200 OK',
    'HTTP/0.9 200 OK',
    'http/1.1 200 OK',
    'ICY 200 OK',
    'HTTP/1.1 200 O\0K',
    'HTTP/1.1 200 O\rK',
    'HTTP/1.1 200 O\nK',
    'HTTP/1.1 200 OK\x7f',
  ]) {
    const heads = new ResponseHeadReader(1024)
    t.equal(
      reasonOf(() => heads.read(bytesOf(`${line}\r\nA: b\r\n\r\n`), 0)),
      'response-malformed',
      JSON.stringify(line),
    )
  }
  t.end()
})

void t.test('any bytes at all are read or get a reason', (t) => {
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
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const reason = explain(pieces.join(''))
      return reason === undefined || REASONS[reason].status >= 400
    }),
    { numRuns: 2000 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      const reason = explain(Buffer.from(bytes).toString('latin1'))
      return reason !== undefined && REASONS[reason].status >= 400
    }),
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
