// R49: heads that are refused, each with its own reason, however their bytes are cut. First bytes of tunnels: HTTP or not.

import * as fc from 'fast-check'
import t from 'tap'

import { REASONS, type Reason } from '../../../src/errors.ts'
import {
  looksLikeHttp,
  RequestHeadReader,
  ResponseHeadReader,
} from '../../../src/wire/http1-head.ts'
import { bytesOf, everySplit, readRequests, readResponses } from '../../fixtures/http1.ts'
import { reasonOf } from './support.ts'

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

void t.test('the reason is the same however the bytes are cut', (t) => {
  for (const [head, reason, why] of REFUSED) {
    const others = everySplit(bytesOf(head)).filter((pieces) => outcome(pieces) !== reason)
    t.equal(others.length, 0, why)
  }
  t.end()
})

void t.test('a head with what a request needs is read as it stands, in every cut', (t) => {
  const text =
    "M-SEARCH /a?b=%20\xff HTTP/1.1\r\nHost: a.test\r\nX-Empty:\r\nx-o!#$%&'*+-.^_`|~0: \t a\tb \xe4 \t\r\nA:b\r\n\r\n"
  for (const pieces of everySplit(bytesOf(text))) {
    const { messages, refused } = readRequests(pieces)
    t.equal(refused, undefined)
    t.match(messages, [
      {
        first: 'M-SEARCH',
        second: '/a?b=%20\xff',
        version: '1.1',
        headers: ['Host', 'a.test', 'X-Empty', '', "x-o!#$%&'*+-.^_`|~0", 'a\tb \xe4', 'A', 'b'],
        body: '',
        trailers: [],
      },
    ])
  }
  t.end()
})

void t.test('what can never become a head is refused before its end has come', (t) => {
  for (const text of ['\x16', '\x05', ' ', '\r\n', '\n', 'GET / HTTP/1.1\n', 'GET / HTTP/1.1\rH'])
    t.not(readRequests([bytesOf(text)]).refused, undefined, JSON.stringify(text))
  for (const text of ['G', 'GET / HTTP/1.1\r', 'GET / HTTP/1.1\r\nHost: a\r'])
    t.match(readRequests([bytesOf(text)]), { refused: undefined, isPartial: true }, 'may go on')
  t.end()
})

void t.test('a head that breaks off says why it is none', (t) => {
  const truncated = (text: string): Reason => {
    const reader = new RequestHeadReader(1000)
    reader.read(bytesOf(text), 0)
    return reader.truncated
  }
  t.equal(truncated('GET / HT'), 'malformed-request-line')
  t.equal(truncated('GET / HTTP/1.1\r\nHo'), 'malformed-header')
  t.end()
})

void t.test('I7: a head takes its bound and not a byte more, however it is cut', (t) => {
  const head = 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n'
  const read = (bytesMax: number, pieces: readonly Uint8Array[]): string | undefined => {
    const reader = new RequestHeadReader(bytesMax)
    return reasonOf(() => pieces.some((piece) => reader.read(Buffer.from(piece), 0) >= 0))
  }
  for (const pieces of everySplit(bytesOf(head))) {
    t.equal(read(head.length, pieces), undefined)
    t.equal(read(head.length - 1, pieces), 'head-too-large')
  }
  const early = bytesOf(`GET / HTTP/1.1\r\nH ost: a\r\n${'A: b\r\n'.repeat(100)}\r\n`)
  for (const pieces of everySplit(early))
    t.equal(read(100, pieces), 'malformed-header', 'what is wrong within the bound is told first')
  t.end()
})

void t.test('the place of a fault is told', (t) => {
  for (const pieces of everySplit(bytesOf('GET / HTTP/1.1\r\nHost: a\r\nX y: 1\r\n\r\n')))
    t.match(
      thrown(() => readAll(pieces)),
      { reason: 'malformed-header', detail: { part: 'field', offset: 25 } },
    )
  t.end()
})

void t.test(
  'response heads: what servers send is read, what two parsers could disagree on is not',
  (t) => {
    const read = (line: string): readonly string[] | string | undefined => {
      const { messages, refused } = readResponses(
        [bytesOf(`${line}\r\nContent-Length: 0\r\n\r\n`)],
        'GET',
      )
      return (
        refused ?? (messages[0] && [messages[0].first, messages[0].second, messages[0].version])
      )
    }
    t.strictSame(read('HTTP/1.1 200 OK'), ['200', 'OK', '1.1'])
    t.strictSame(read('HTTP/1.0 404 Not  Found\xe4'), ['404', 'Not  Found\xe4', '1.0'])
    t.strictSame(read('HTTP/1.1 200 '), ['200', '', '1.1'])
    t.strictSame(read('HTTP/1.1 999'), ['999', '', '1.1'], 'no reason phrase')
    for (const line of [
      'HTTP/1.1 20 OK',
      'HTTP/1.1 2000 OK',
      'HTTP/1.1 099 OK',
      'HTTP/1.1  200 OK',
      'HTTP/1.1 200\tOK',
      'HTTP/1.2 200 OK',
      'HTTP/2 200 OK',
      'http/1.1 200 OK',
      'ICY 200 OK',
      ' HTTP/1.1 200 OK',
      'HTTP/1.1 200 O\0K',
      'HTTP/1.1 200 O\rK',
      'HTTP/1.1 200 OK\nX: y',
    ])
      t.equal(read(line), 'response-malformed', JSON.stringify(line))
    t.equal(
      reasonOf(() => new ResponseHeadReader(10).read(bytesOf('HTTP/1.1 200 OK\r\n\r\n'), 0)),
      'response-malformed',
      'too large',
    )
    t.end()
  },
)

void t.test(
  'any bytes at all are read, awaited or refused with 4xx or 505, and every cut says the same',
  (t) => {
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
      fc.property(fc.array(piece, { maxLength: 14 }), fc.nat(), (pieces, cut) => {
        const bytes = bytesOf(pieces.join(''))
        const at = cut % (bytes.length + 1)
        const whole = readRequests([bytes])
        t.strictSame(readRequests([bytes.subarray(0, at), bytes.subarray(at)]), whole)
        const { refused } = whole
        if (refused !== undefined) t.ok([400, 431, 505].includes(statusOf(refused)), refused)
      }),
      { numRuns: 2000 },
    )
    t.end()
  },
)

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

function explain(text: string): string | undefined {
  return outcome([bytesOf(text)])
}

// The request line that has no end yet is told as what it is.
function outcome(pieces: readonly Uint8Array[]): string | undefined {
  const { refused, isPartial } = readRequests(pieces, true)
  if (refused !== undefined || !isPartial) return refused
  const reader = new RequestHeadReader(64 * 1024)
  for (const piece of pieces) reader.read(Buffer.from(piece), 0)
  return reader.truncated
}

function statusOf(reason: string): number {
  return Object.entries(REASONS).find(([token]) => token === reason)?.[1].status ?? 0
}

function readAll(pieces: readonly Uint8Array[]): void {
  const reader = new RequestHeadReader(64 * 1024)
  for (const piece of pieces) reader.read(Buffer.from(piece), 0)
}

function thrown(call: () => void): unknown {
  try {
    call()
  } catch (error) {
    return error
  }
  return undefined
}
