// Header lists: what may stand in one, framing that two parsers could read differently, and what is for one hop only.

import * as fc from 'fast-check'
import t from 'tap'

import {
  checkHeaderFields,
  checkHost,
  firstValue,
  hasHeader,
  isLastResponse,
  keepsConnection,
  requestFraming,
  responseFraming,
  valuesOf,
} from '../../../src/wire/headers.ts'
import { stripHopByHop, stripResponseHead } from '../../../src/wire/hop-by-hop.ts'
import { RequestHeadReader } from '../../../src/wire/http1-head.ts'
import { reasonOf } from './support.ts'

void t.test('fields are found whatever their case', (t) => {
  const headers = ['Accept', 'a', 'X-Ids', '1', 'x-ids', '2', 'X-Id', '3']
  t.same(valuesOf(headers, 'x-ids'), ['1', '2'])
  t.same(valuesOf(headers, 'x'), [])
  t.equal(firstValue(headers, 'x-ids'), '1')
  t.equal(firstValue(headers, 'host'), undefined)
  t.ok(hasHeader(['X-Empty', ''], 'x-empty'))
  // A value is never taken for a name.
  t.notOk(hasHeader(['X-A', 'host'], 'host'))
  t.end()
})

void t.test('fields that are not well formed or disguise framing are refused', (t) => {
  const table: readonly (readonly [name: string, value: string, sound: boolean])[] = [
    ['X-Plain', 'value', true],
    ['X-Empty', '', true],
    ['X-Tab', 'a\tb', true],
    ['X-Latin', 'b\xfccher', true],
    ["X!#$%&'*+.^_`|~9", 'a', true],
    ['X_Forwarded_Thing', 'a', true],
    ['Content_Type', 'a', true],
    ['__proto__', 'a', true],
    ['', 'a', false],
    ['Bad Header', 'x', false],
    ['Bad ', 'x', false],
    ['B\xe4d', 'x', false],
    ['Bad\0', 'x', false],
    ['(Bad)', 'x', false],
    ['X-Nul', 'a\0b', false],
    ['X-Bare', 'a\nb', false],
    ['X-Return', 'a\rb', false],
    ['X-Delete', 'a\x7f', false],
    // Twins of the framing fields.
    ['Transfer_Encoding', 'chunked', false],
    ['Content_Length', '5', false],
    ['CONTENT_LENGTH', '5', false],
    ['Content.Length', '5', false],
    ['Transfer-Encoding_', 'chunked', false],
    ['_Transfer_Encoding', 'chunked', false],
    // What Connection may and may not name.
    ['Connection', 'keep-alive', true],
    ['Connection', 'close, X-Mine', true],
    ['Connection', 'Upgrade', true],
    ['Connection', 'Upgrade, HTTP2-Settings', true],
    ['Connection', 'te,', true],
    ['Connection', '', true],
    ['Connection', 'Transfer-Encoding', false],
    ['Connection', 'close, content-length', false],
    ['Connection', 'close\t,\tHOST', false],
    ['Connection', 'Authorization', false],
    ['Connection', '\xa0Transfer-Encoding', false],
    ['Connection', '"Transfer-Encoding"', false],
    ['Connection', 'close Transfer-Encoding', false],
  ]
  for (const [name, value, sound] of table)
    t.equal(
      reasonOf(() => readFields(`${name}: ${value}`)),
      sound ? undefined : 'malformed-header',
      JSON.stringify(`${name}: ${value}`),
    )
  t.end()
})

void t.test('a request is framed in one way or refused', (t) => {
  const none = { kind: 'none' }
  const chunked = { kind: 'chunked' }
  const refused = undefined
  const table: readonly (readonly [
    headers: string[],
    version: string,
    framing: object | undefined,
  ])[] = [
    [[], '1.1', none],
    [['Accept', 'a'], '1.1', none],
    [['Content-Length', '0'], '1.1', { kind: 'length', length: 0 }],
    [['CONTENT-LENGTH', '42'], '1.0', { kind: 'length', length: 42 }],
    [['Content-Length', '9007199254740991'], '1.1', { kind: 'length', length: 2 ** 53 - 1 }],
    [['Transfer-Encoding', 'chunked'], '1.1', chunked],
    [['transfer-encoding', 'Chunked'], '1.1', chunked],
    [['Expect', '100-Continue', 'Content-Length', '5'], '1.1', { kind: 'length', length: 5 }],
    // Lengths.
    [['Content-Length', '5', 'Content-Length', '5'], '1.1', refused],
    [['Content-Length', '5', 'content-length', '6'], '1.1', refused],
    [['Content-Length', '5, 5'], '1.1', refused],
    [['Content-Length', ''], '1.1', refused],
    [['Content-Length', '+5'], '1.1', refused],
    [['Content-Length', '-5'], '1.1', refused],
    [['Content-Length', '5 '], '1.1', refused],
    [['Content-Length', '0x5'], '1.1', refused],
    [['Content-Length', '5.0'], '1.1', refused],
    [['Content-Length', '1e1'], '1.1', refused],
    [['Content-Length', '\u0665'], '1.1', refused],
    [['Content-Length', '9007199254740992'], '1.1', refused],
    [['Content-Length', '18446744073709551621'], '1.1', refused],
    // Codings.
    [['Content-Length', '5', 'Transfer-Encoding', 'chunked'], '1.1', refused],
    [['Transfer-Encoding', 'chunked', 'Transfer-Encoding', 'chunked'], '1.1', refused],
    [['Transfer-Encoding', 'chunked', 'Transfer-Encoding', 'identity'], '1.1', refused],
    [['Transfer-Encoding', 'identity'], '1.1', refused],
    [['Transfer-Encoding', 'identity, chunked'], '1.1', refused],
    [['Transfer-Encoding', 'gzip, chunked'], '1.1', refused],
    [['Transfer-Encoding', 'chunked, chunked'], '1.1', refused],
    [['Transfer-Encoding', 'chunked;a=b'], '1.1', refused],
    [['Transfer-Encoding', ' chunked'], '1.1', refused],
    [['Transfer-Encoding', '\vchunked'], '1.1', refused],
    [['Transfer-Encoding', 'xchunked'], '1.1', refused],
    [['Transfer-Encoding', ''], '1.1', refused],
    [['Transfer-Encoding', 'chunked'], '1.0', refused],
    // Expectations.
    [['Expect', '100-continue, x'], '1.1', refused],
    [['Expect', '200-ok'], '1.1', refused],
    [['Expect', ''], '1.1', refused],
    [['Expect', '100-continue', 'Expect', '100-continue'], '1.1', refused],
  ]
  for (const [headers, version, framing] of table)
    if (framing === refused)
      t.equal(
        reasonOf(() => requestFraming(headers, version)),
        'malformed-header',
        headers.join(' '),
      )
    else t.same(requestFraming(headers, version), framing, headers.join(' '))
  t.end()
})

void t.test('a response is framed in one way or refused', (t) => {
  const none = { kind: 'none' }
  const table: readonly (readonly [
    headers: string[],
    status: number,
    method: string,
    version: string,
    framing: object | undefined,
    length?: number,
  ])[] = [
    [[], 200, 'GET', '1.1', { kind: 'until-close' }],
    [[], 200, 'GET', '1.0', { kind: 'until-close' }],
    [['Content-Length', '5'], 200, 'GET', '1.1', { kind: 'length', length: 5 }, 5],
    [['Content-Length', '5'], 200, 'GET', '1.0', { kind: 'length', length: 5 }, 5],
    [['Content-Length', '0'], 200, 'GET', '1.1', { kind: 'length', length: 0 }, 0],
    [['Transfer-Encoding', 'chunked'], 200, 'GET', '1.1', { kind: 'chunked' }],
    [['transfer-encoding', 'CHUNKED'], 200, 'POST', '1.1', { kind: 'chunked' }],
    // What HEAD and 304 say of a length is of the body they leave out.
    [['Content-Length', '5'], 200, 'HEAD', '1.1', none, 5],
    [['Transfer-Encoding', 'chunked'], 200, 'HEAD', '1.1', none],
    [['Content-Length', '5'], 304, 'GET', '1.1', none, 5],
    [['Transfer-Encoding', 'chunked'], 304, 'GET', '1.1', none],
    [[], 204, 'GET', '1.1', none],
    [['Content-Length', '0'], 204, 'GET', '1.1', none],
    [[], 101, 'GET', '1.1', none],
    [[], 103, 'GET', '1.1', none],
    // A 1xx has no body, and some readers would look for the one that is announced.
    [['Content-Length', '0'], 103, 'GET', '1.1', none],
    [['Content-Length', '5'], 103, 'GET', '1.1', undefined],
    [['Content-Length', '5'], 103, 'HEAD', '1.1', undefined],
    [['Transfer-Encoding', 'chunked'], 100, 'GET', '1.1', undefined],
    [['Content-Length', '5', 'Content-Length', '5'], 200, 'GET', '1.1', undefined],
    [['Content-Length', '5', 'CONTENT-LENGTH', '6'], 200, 'GET', '1.1', undefined],
    [['Content-Length', '5, 5'], 200, 'GET', '1.1', undefined],
    [['Content-Length', 'x'], 304, 'HEAD', '1.1', undefined],
    [['Content-Length', '5', 'Transfer-Encoding', 'chunked'], 200, 'GET', '1.1', undefined],
    [['Content-Length', '5', 'Transfer-Encoding', 'chunked'], 200, 'HEAD', '1.1', undefined],
    [['Transfer-Encoding', 'gzip, chunked'], 200, 'GET', '1.1', undefined],
    [['Transfer-Encoding', 'identity'], 200, 'GET', '1.1', undefined],
    [
      ['Transfer-Encoding', 'chunked', 'Transfer-Encoding', 'chunked'],
      200,
      'GET',
      '1.1',
      undefined,
    ],
    // HTTP/1.0 has no codings.
    [['Transfer-Encoding', 'chunked'], 200, 'GET', '1.0', undefined],
    [['Transfer-Encoding', 'chunked'], 304, 'HEAD', '1.0', undefined],
  ]
  for (const [headers, status, method, version, framing, length] of table) {
    const title = `${method} ${status} ${version} ${headers.join(' ')}`
    if (framing === undefined)
      t.equal(
        reasonOf(() => responseFraming(headers, status, method, version)),
        'response-malformed',
        title,
      )
    else t.strictSame(responseFraming(headers, status, method, version), { framing, length }, title)
  }
  t.end()
})

void t.test('who keeps the connection is said by version and Connection', (t) => {
  t.ok(keepsConnection([], '1.1'))
  t.notOk(keepsConnection([], '1.0'))
  t.notOk(keepsConnection(['connection', 'x, Close'], '1.1'))
  t.ok(keepsConnection(['Connection', 'Keep-Alive'], '1.0'))
  t.notOk(keepsConnection(['Connection', 'keep-alive', 'Connection', 'close'], '1.0'))
  t.notOk(isLastResponse(['Server', 'close'], '1.1'))
  t.ok(isLastResponse(['Connection', 'close'], '1.1'))
  t.ok(isLastResponse(['Connection', 'keep-alive'], '1.0'))
  t.end()
})

void t.test('a request has one Host', (t) => {
  t.equal(checkHost(['hOsT', 'a.test'], '1.1'), 'a.test')
  t.equal(checkHost([], '1.0'), undefined)
  t.equal(checkHost(['Host', 'a.test'], '1.0'), 'a.test')
  t.equal(
    reasonOf(() => checkHost([], '1.1')),
    'missing-host',
  )
  t.equal(
    reasonOf(() => checkHost(['Host', ''], '1.1')),
    'malformed-target',
  )
  t.equal(
    reasonOf(() => checkHost(['Host', 'a.test', 'host', 'a.test'], '1.1')),
    'duplicate-host',
  )
  t.equal(
    reasonOf(() => checkHost(['Host', 'a.test', 'Host', ''], '1.0')),
    'duplicate-host',
  )
  t.end()
})

void t.test(
  'what is for this hop only and what frames the body goes no further, the rest keeps order and spelling',
  (t) => {
    // prettier-ignore
    t.same(
    stripHopByHop([
      'Host', 'a.test', 'ACCEPT', 'a', 'Connection', 'keep-alive, X-Mine', 'Keep-Alive', '5',
      'x-mine', '1', 'Proxy-Authorization', 'Basic x', 'Proxy-Connection', 'close', 'Proxy-Anything', 'x',
      'TE', 'trailers', 'Trailer', 'x', 'Transfer-Encoding', 'chunked', 'Upgrade', 'websocket',
      'HTTP2-Settings', 'x', 'X-B', '1', 'x-a', '2', 'X-B', '3', 'X-MINE', '2', 'Content-Length', '5',
      'Expect', '100-continue',
    ]),
    ['Host', 'a.test', 'ACCEPT', 'a', 'X-B', '1', 'x-a', '2', 'X-B', '3'],
  )
    t.same(stripHopByHop(['Connection', 'close', 'Close', 'x']), ['Close', 'x'])
    t.same(stripHopByHop(['X-A', '1', 'Connection', 'x-a', 'Connection', 'x-b', 'X-B', '2']), [])
    t.end()
  },
)

void t.test('a response loses its hop, its framing, Alt-Svc, and any claim to be us', (t) => {
  const strip = (...headers: string[]): string[] => stripResponseHead(headers)
  t.same(
    strip(
      'Server',
      'a',
      'Alt-Svc',
      'h3=":443"',
      'Connection',
      'X-Mine',
      'X-Mine',
      '1',
      'Content-Length',
      '5',
      'transfer-encoding',
      'chunked',
      'Set-Cookie',
      'a',
    ),
    ['Server', 'a', 'Set-Cookie', 'a'],
  )
  t.same(
    strip('Proxy-Authenticate', 'Basic', 'Keep-Alive', '5', 'Upgrade', 'h2c', 'Proxy-Agent', 'x'),
    [],
  )
  const other = 'cdn; error=connection_timeout; details="a, b"'
  t.same(strip('Proxy-Status', other), ['Proxy-Status', other])
  t.same(strip('Proxy-Status', 'sallyport; error=http_request_denied; reason=denied-by-rule'), [])
  t.same(strip('proxy-status', 'SallyPort'), [])
  t.same(strip('Proxy-Status', 'cdn, sallyport; error=x'), ['Proxy-Status', 'cdn'])
  t.same(strip('Proxy-Status', 'sallyport;a , cdn;b'), ['Proxy-Status', 'cdn;b'])
  t.same(strip('Proxy-Status', '"sallyport"; error=x'), [])
  // Where quotes could hide where a member begins, the whole field goes.
  t.same(strip('Proxy-Status', 'cdn; details="x, sallyport; error=y"'), [])
  t.same(strip('Proxy-Status', 'sallyport-edge; a'), ['Proxy-Status', 'sallyport-edge; a'])
  t.end()
})

const field = fc.tuple(
  fc.oneof(
    fc.constantFrom(
      'Connection',
      'TE',
      'Host',
      'Proxy-Status',
      'proxy-x',
      'X-A',
      'Content-Length',
      'Expect',
    ),
    fc.string({ unit: 'binary', maxLength: 6 }),
  ),
  fc.oneof(
    fc.constantFrom('x-a', 'close', 'chunked', '5', 'sallyport', 'te, x-a'),
    fc.string({ unit: 'binary', maxLength: 8 }),
  ),
)
const anyHeaders = fc.array(field, { maxLength: 8 }).map((fields) => fields.flat())

void t.test('whatever the fields, the answer is a value or a refusal', (t) => {
  fc.assert(
    fc.property(anyHeaders, fc.constantFrom('1.0', '1.1'), (headers, version) => {
      reasonOf(() => checkHeaderFields(headers))
      reasonOf(() => requestFraming(headers, version))
      reasonOf(() => responseFraming(headers, 200, 'GET', version))
      reasonOf(() => checkHost(headers, version))
    }),
    { numRuns: 2000 },
  )
  t.end()
})

void t.test('stripping keeps a part of the list, in order, and twice is as good as once', (t) => {
  fc.assert(
    fc.property(anyHeaders, (headers) => {
      for (const strip of [stripHopByHop, stripResponseHead]) {
        const kept = strip(headers)
        t.same(strip(kept), kept)
        t.equal(kept.length % 2, 0)
        for (const name of ['connection', 'te', 'transfer-encoding', 'content-length'])
          t.notOk(hasHeader(kept, name), name)
        let at = 0
        for (let from = 0; from < kept.length; from += 2) {
          while (at < headers.length && headers[at] !== kept[from]) at += 2
          t.ok(at < headers.length)
          at += 2
        }
      }
    }),
  )
  t.end()
})

// A field as the reader takes it from the wire and the checks behind it see it.
function readFields(line: string): void {
  const reader = new RequestHeadReader(1000)
  reader.read(Buffer.from(`GET / HTTP/1.1\r\n${line}\r\n\r\n`, 'latin1'), 0)
  checkHeaderFields(reader.take().headers)
}
