// Heads of HTTP/2, as a decoder that looked at nothing would hand them over: what is not exactly one request is refused.

import t from 'tap'

import { parseAuthority } from '../../../src/wire/authority.ts'
import { checkHttp2Size, rawHttp2Head } from '../../../src/wire/http2-head.ts'
import { readRequest, type CanonicalRequest, type TunnelScope } from '../../../src/wire/receive.ts'
import { reasonOf } from './support.ts'

const HEADERS_MAX = 20
const TUNNEL: TunnelScope = { endpoint: parseAuthority('example.com:443'), tls: true }
const PLAIN_TUNNEL: TunnelScope = { endpoint: parseAuthority('example.com:80'), tls: false }

const PSEUDO: Readonly<Record<string, string>> = {
  ':method': 'GET',
  ':scheme': 'https',
  ':authority': 'example.com',
  ':path': '/a?b',
}

/** The pseudo-header fields of a sound request, some of them changed or left out, then fields. */
const fields = (
  changes: Readonly<Record<string, string | undefined>> = {},
  ...more: readonly string[]
): string[] => [
  ...Object.entries({ ...PSEUDO, ...changes }).flatMap(([name, value]) =>
    value === undefined ? [] : [name, value],
  ),
  ...more,
]

const read = (raw: readonly string[], isWhole = true, tunnel = TUNNEL): CanonicalRequest =>
  readRequest(rawHttp2Head(raw, isWhole), tunnel, HEADERS_MAX)
const refusalOf = (...words: Parameters<typeof read>): string | undefined =>
  reasonOf(() => read(...words))

void t.test('a sound head is a request like any other', (t) => {
  t.match(read(fields({}, 'accept', '*/*')), {
    method: 'GET',
    version: '2',
    scheme: 'https',
    endpoint: { host: 'example.com', port: 443 },
    path: { raw: '/a' },
    query: 'b',
    headers: ['host', 'example.com', 'accept', '*/*'],
    framing: { kind: 'none' },
    upgrade: false,
    expectsContinue: false,
  })
  t.strictSame(
    read(fields({}, 'cookie', 'a=1', 'x', 'y', 'cookie', 'b=2')).headers,
    ['host', 'example.com', 'x', 'y', 'cookie', 'a=1; b=2'],
    'cookies that were cut up are one field',
  )
  t.strictSame(read(fields({ ':authority': undefined }, 'host', 'example.com')).headers, [
    'host',
    'example.com',
  ])
  t.equal(refusalOf(fields({}, 'te', 'trailers')), undefined)
  t.equal(refusalOf(fields({}, 'host', 'EXAMPLE.com:443')), undefined, 'they agree')
  t.end()
})

void t.test('where the body ends is said by the stream', (t) => {
  t.strictSame(read(fields(), false).framing, { kind: 'chunked' })
  t.strictSame(read(fields({}, 'content-length', '3'), false).framing, {
    kind: 'length',
    length: 3,
  })
  t.strictSame(read(fields({}, 'content-length', '0')).framing, { kind: 'length', length: 0 })
  t.equal(refusalOf(fields({}, 'content-length', '3')), 'malformed-header')
  t.equal(refusalOf(fields({}, 'content-length', '3, 3'), false), 'malformed-header')
  t.equal(
    refusalOf(fields({}, 'content-length', '3', 'content-length', '3'), false),
    'malformed-header',
  )
  t.ok(read(fields({}, 'expect', '100-continue'), false).expectsContinue)
  t.end()
})

void t.test('R31, R37: what could be read in two ways is refused', (t) => {
  const refused: readonly [what: string, raw: readonly string[], reason: string][] = [
    ['no method', fields({ ':method': undefined }), 'malformed-header'],
    ['no scheme', fields({ ':scheme': undefined }), 'malformed-header'],
    ['no path', fields({ ':path': undefined }), 'malformed-header'],
    ['an empty method', fields({ ':method': '' }), 'malformed-header'],
    ['a method twice', [':method', 'GET', ...fields()], 'malformed-header'],
    ['an authority twice', [':authority', 'example.com', ...fields()], 'malformed-header'],
    ['a path twice', [':path', '/b', ...fields()], 'malformed-header'],
    ['another pseudo-header field', fields({ ':protocol': 'websocket' }), 'malformed-header'],
    ['one of responses', fields({ ':status': '200' }), 'malformed-header'],
    ['one behind a field', ['x', 'y', ...fields()], 'malformed-header'],
    ['upper case', fields({}, 'X-Upper', 'y'), 'malformed-header'],
    ['a name that is none', fields({}, 'x y', 'z'), 'malformed-header'],
    ['an empty name', fields({}, '', 'z'), 'malformed-header'],
    ['a colon in a name', fields({}, 'x:y', 'z'), 'malformed-header'],
    ['CR in a value', fields({}, 'x', 'a\rb'), 'malformed-header'],
    ['LF in a value', fields({}, 'x', 'a\nb'), 'malformed-header'],
    ['NUL in a value', fields({}, 'x', 'a\0b'), 'malformed-header'],
    ['a blank before a value', fields({}, 'x', ' a'), 'malformed-header'],
    ['a blank behind a value', fields({}, 'x', 'a\t'), 'malformed-header'],
    ['a line end in a path', fields({ ':path': '/a\r\nx: y' }), 'malformed-header'],
    ['Connection', fields({}, 'connection', 'close'), 'malformed-header'],
    ['Keep-Alive', fields({}, 'keep-alive', 'x'), 'malformed-header'],
    ['Proxy-Connection', fields({}, 'proxy-connection', 'close'), 'malformed-header'],
    ['Transfer-Encoding', fields({}, 'transfer-encoding', 'chunked'), 'malformed-header'],
    ['Upgrade', fields({}, 'upgrade', 'websocket'), 'malformed-header'],
    ['TE', fields({}, 'te', 'gzip'), 'malformed-header'],
    ['a twin of a coding', fields({}, 'transfer_encoding', 'chunked'), 'malformed-header'],
    ['another expectation', fields({}, 'expect', 'x'), 'malformed-header'],
    ['no authority', fields({ ':authority': undefined }), 'missing-host'],
    ['an empty authority', fields({ ':authority': '' }), 'malformed-target'],
    ['two Host fields', fields({}, 'host', 'example.com', 'host', 'example.com'), 'duplicate-host'],
    ['another Host', fields({}, 'host', 'other.test'), 'authority-mismatch'],
    ['another port in Host', fields({}, 'host', 'example.com:80'), 'authority-mismatch'],
    ['another authority', fields({ ':authority': 'other.test' }), 'authority-mismatch'],
    ['another port', fields({ ':authority': 'example.com:8443' }), 'authority-mismatch'],
    ['userinfo', fields({ ':authority': 'user@example.com' }), 'malformed-target'],
    ['userinfo with a port', fields({ ':authority': 'a:b@example.com' }), 'malformed-target'],
    ['a port of five zeros', fields({ ':authority': 'example.com:00443' }), 'malformed-port'],
    ['http', fields({ ':scheme': 'http' }), 'authority-mismatch'],
    ['HTTPS', fields({ ':scheme': 'HTTPS' }), 'authority-mismatch'],
    ['asterisk-form', fields({ ':path': '*', ':method': 'OPTIONS' }), 'malformed-target'],
    ['an empty path', fields({ ':path': '' }), 'malformed-target'],
    ['absolute form', fields({ ':path': 'https://example.com/' }), 'malformed-target'],
    ['dot segments', fields({ ':path': '/a/../b' }), 'malformed-path'],
    ['CONNECT', [':method', 'CONNECT', ':authority', 'example.com'], 'protocol-not-allowed'],
    ['TRACE', fields({ ':method': 'TRACE' }), 'method-not-allowed'],
    ['a method in lower case', fields({ ':method': 'get' }), 'malformed-header'],
    ['too many fields', fields({}, ...Array.from({ length: 50 }, () => 'x')), 'head-too-large'],
  ]
  for (const [what, raw, reason] of refused) t.equal(refusalOf(raw), reason, what)
  for (const authority of ['EXAMPLE.com', 'example.com.', 'example.com:443'])
    t.equal(refusalOf(fields({ ':authority': authority })), undefined, authority)
  t.end()
})

void t.test('HTTP/2 is read inside TLS alone', (t) => {
  t.equal(refusalOf(fields(), true, PLAIN_TUNNEL), 'unsupported-version')
  t.equal(
    reasonOf(() => readRequest(rawHttp2Head(fields(), true), undefined, HEADERS_MAX)),
    'unsupported-version',
  )
  t.end()
})

void t.test('a header list is bounded as RFC 7541 counts it', (t) => {
  const list = ['a', 'b', 'c', 'd']
  t.equal(
    reasonOf(() => checkHttp2Size(list, 68)),
    undefined,
  )
  t.equal(
    reasonOf(() => checkHttp2Size(list, 67)),
    'head-too-large',
  )
  t.end()
})
