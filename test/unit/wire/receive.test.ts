// The one canonical request: target, Host and tunnel name one destination, or the request is refused.

import t from 'tap'

import type { Reason } from '../../../src/errors.ts'
import { parseAuthority } from '../../../src/wire/authority.ts'
import {
  readConnect,
  readDirect,
  readRequest,
  type CanonicalRequest,
  type RequestHead,
  type TunnelScope,
} from '../../../src/wire/receive.ts'
import { reasonOf } from './support.ts'

const HEADERS_MAX = 20
const TUNNEL: TunnelScope = { endpoint: parseAuthority('example.com:443'), tls: true }
const PLAIN_TUNNEL: TunnelScope = { endpoint: parseAuthority('example.com:8080'), tls: false }
const HANDSHAKE = ['Upgrade', 'websocket', 'Connection', 'Upgrade', 'Sec-WebSocket-Version', '13']

const head = (
  target: string,
  headers: readonly string[],
  more: Partial<RequestHead> = {},
): RequestHead => ({
  method: 'GET',
  target,
  version: '1.1',
  headers,
  upgrade: false,
  ...more,
})

const read = (
  target: string,
  headers: readonly string[],
  more: Partial<RequestHead> = {},
  tunnel?: TunnelScope,
): CanonicalRequest => readRequest(head(target, headers, more), tunnel, HEADERS_MAX)

const refusalOf = (...words: Parameters<typeof read>): string | undefined =>
  reasonOf(() => read(...words))

const connect = (
  target: string,
  headers: readonly string[],
  more: Partial<RequestHead> = {},
): string =>
  reasonOf(() => readConnect(head(target, headers, { method: 'CONNECT', ...more }), HEADERS_MAX)) ??
  readConnect(head(target, headers, { method: 'CONNECT', ...more }), HEADERS_MAX).host

void t.test('R37: target and Host of a proxied request name one destination', (t) => {
  t.match(read('http://EXAMPLE.com/a?b', ['Host', 'example.com.']), {
    scheme: 'http',
    endpoint: { host: 'example.com', port: 80 },
    path: { raw: '/a' },
    query: 'b',
  })
  t.equal(refusalOf('http://example.com/', ['Host', 'example.com:80']), undefined)
  t.equal(refusalOf('https://example.com/', ['Host', 'example.com:443']), undefined)
  t.equal(refusalOf('http://example.com/', [], { version: '1.0' }), undefined)
  for (const host of [
    'evil.test',
    'example.com:8080',
    'example.com:443',
    'www.example.com',
    'example.com.evil.test',
    '93.184.216.34',
  ])
    t.equal(refusalOf('http://example.com/', ['Host', host]), 'authority-mismatch', host)
  t.equal(refusalOf('http://127.0.0.1/', ['Host', '[::ffff:127.0.0.1]']), 'authority-mismatch')
  t.equal(refusalOf('http://127.0.0.1/', ['Host', '127.1']), 'malformed-target')
  t.equal(refusalOf('http://example.com/', ['Host', 'user@example.com']), 'malformed-target')
  t.equal(refusalOf('http://example.com/', ['Host', 'example.com:']), 'malformed-port')
  t.equal(refusalOf('http://example.com/', ['Host', '']), 'malformed-target')
  t.equal(refusalOf('http://example.com/', []), 'missing-host')
  t.equal(
    refusalOf('http://example.com/', ['Host', 'example.com', 'host', 'example.com']),
    'duplicate-host',
  )
  t.end()
})

void t.test('at the door a request names its destination in its target', (t) => {
  t.equal(refusalOf('/a', ['Host', 'example.com']), 'malformed-target')
  t.equal(refusalOf('*', ['Host', 'example.com'], { method: 'OPTIONS' }), 'malformed-target')
  t.equal(refusalOf('example.com:80', ['Host', 'example.com']), 'malformed-target')
  t.end()
})

void t.test('R37: what is asked for inside a tunnel is what the tunnel is for', (t) => {
  t.match(read('/a', ['Host', 'example.com'], {}, TUNNEL), {
    scheme: 'https',
    endpoint: { host: 'example.com', port: 443 },
  })
  t.match(read('/a', ['Host', 'example.com:8080'], {}, PLAIN_TUNNEL), { scheme: 'http' })
  t.match(read('https://example.com/a', ['Host', 'example.com'], {}, TUNNEL), { scheme: 'https' })
  t.match(read('/a', [], { version: '1.0' }, TUNNEL), { endpoint: { host: 'example.com' } })
  const refused: readonly (readonly [target: string, host: string, reason: Reason])[] = [
    ['/a', 'evil.test', 'authority-mismatch'],
    ['/a', 'example.com:8443', 'authority-mismatch'],
    ['https://evil.test/a', 'example.com', 'authority-mismatch'],
    ['https://evil.test/a', 'evil.test', 'authority-mismatch'],
    ['https://example.com:8443/a', 'example.com:8443', 'authority-mismatch'],
    ['http://example.com:443/a', 'example.com:443', 'authority-mismatch'],
    ['constructor://example.com:443/a', 'example.com', 'malformed-target'],
    ['*', 'example.com', 'malformed-target'],
  ]
  for (const [target, host, reason] of refused)
    t.equal(refusalOf(target, ['Host', host], {}, TUNNEL), reason, `${target} ${host}`)
  t.equal(
    refusalOf('/a', ['Host', 'example.com'], {}, PLAIN_TUNNEL),
    'authority-mismatch',
    'no port',
  )
  t.end()
})

void t.test('versions, methods and the number of fields have their bounds', (t) => {
  const host = ['Host', 'example.com']
  t.equal(refusalOf('http://example.com/', host, { version: '2.0' }), 'unsupported-version')
  t.equal(refusalOf('http://example.com/', host, { version: '1.2' }), 'unsupported-version')
  t.equal(refusalOf('http://example.com/', host, { version: '0.9' }), 'malformed-request-line')
  t.equal(refusalOf('http://example.com/', host, { method: 'TRACE' }), 'method-not-allowed')
  t.equal(refusalOf('http://example.com/', host, { method: 'OPTIONS' }), undefined)
  const fields = (count: number): string[] => Array.from({ length: count }, () => ['X', 'y']).flat()
  t.equal(refusalOf('http://example.com/', [...host, ...fields(HEADERS_MAX - 1)]), undefined)
  t.equal(refusalOf('http://example.com/', [...host, ...fields(HEADERS_MAX)]), 'head-too-large')
  t.equal(refusalOf('http://example.com/', [...host, 'Connection', 'host']), 'malformed-header')
  t.equal(
    refusalOf('http://example.com/', [...host, 'Transfer_Encoding', 'chunked']),
    'malformed-header',
  )
  t.end()
})

void t.test('a client that waits for 100 is told apart', (t) => {
  const headers = ['Host', 'example.com', 'Expect', '100-continue', 'Content-Length', '1']
  t.equal(read('http://example.com/', headers).expectsContinue, true)
  t.equal(read('http://example.com/', headers, { version: '1.0' }).expectsContinue, false)
  t.equal(read('http://example.com/', ['Host', 'example.com']).expectsContinue, false)
  t.end()
})

void t.test('only a WebSocket handshake leaves HTTP', (t) => {
  const host = ['Host', 'example.com']
  const upgrade = { upgrade: true }
  t.equal(read('ws://example.com/', [...host, ...HANDSHAKE], upgrade).upgrade, true)
  t.equal(read('http://example.com/', host).upgrade, false)
  const refused: readonly (readonly [headers: readonly string[], more: Partial<RequestHead>])[] = [
    [['Upgrade', 'h2c', 'Connection', 'Upgrade'], {}],
    [['Upgrade', 'foo', 'Connection', 'Upgrade', 'Sec-WebSocket-Version', '13'], {}],
    [['Upgrade', 'websocket', 'Connection', 'Upgrade'], {}],
    [['Upgrade', 'websocket', 'Connection', 'Upgrade', 'Sec-WebSocket-Version', '8'], {}],
    [HANDSHAKE, { method: 'POST' }],
    [HANDSHAKE, { version: '1.0' }],
    [[...HANDSHAKE, 'Content-Length', '5'], {}],
    [[...HANDSHAKE, 'Transfer-Encoding', 'chunked'], {}],
    [[...HANDSHAKE, 'Expect', '100-continue'], {}],
  ]
  for (const [headers, more] of refused)
    t.equal(
      refusalOf('http://example.com/', [...host, ...headers], { ...upgrade, ...more }),
      'protocol-not-allowed',
      JSON.stringify([headers, more]),
    )
  t.end()
})

void t.test('R37: CONNECT has a host and a port, and its Host says the same', (t) => {
  t.equal(connect('example.com:443', ['Host', 'example.com:443']), 'example.com')
  t.equal(connect('example.com:443', ['Host', 'example.com']), 'example.com')
  t.equal(connect('example.com:80', ['Host', 'example.com']), 'example.com')
  t.equal(connect('EXAMPLE.com.:443', ['Host', 'example.com:443']), 'example.com')
  t.equal(connect('example.com:443', [], { version: '1.0' }), 'example.com')
  t.equal(connect('127.0.0.1:8443', ['Host', '127.0.0.1:8443']), '127.0.0.1')
  t.equal(connect('[::1]:8443', ['Host', '[0:0::1]:8443']), '::1')
  // A length belongs to no tunnel and frames nothing there.
  t.equal(connect('example.com:443', ['Host', 'example.com', 'Content-Length', '3']), 'example.com')
  const refused: readonly (readonly [target: string, host: string, reason: Reason])[] = [
    ['example.com:443', 'evil.test:443', 'authority-mismatch'],
    ['example.com:443', 'example.com:8443', 'authority-mismatch'],
    ['example.com:8443', 'example.com', 'authority-mismatch'],
    ['127.0.0.1:443', '[::ffff:127.0.0.1]:443', 'authority-mismatch'],
    ['[::ffff:127.0.0.1]:443', '127.0.0.1:443', 'authority-mismatch'],
    ['example.com', 'example.com', 'malformed-target'],
    [':443', ':443', 'malformed-target'],
    ['/', 'example.com', 'malformed-target'],
    ['*', 'example.com', 'malformed-target'],
    ['https://example.com:443', 'example.com:443', 'malformed-target'],
    ['http://example.com/', 'example.com', 'malformed-target'],
    ['user@example.com:443', 'example.com:443', 'malformed-target'],
    ['example.com:443/a', 'example.com:443', 'malformed-target'],
    ['evil.test\0.example.com:443', 'example.com:443', 'malformed-target'],
    ['::1:443', '[::1]:443', 'malformed-target'],
    ['127.1:443', '127.0.0.1:443', 'malformed-target'],
    ['0x7f.1:443', '127.0.0.1:443', 'malformed-target'],
    ['2130706433:443', '127.0.0.1:443', 'malformed-target'],
    ['010.0.0.1:443', '8.0.0.1:443', 'malformed-target'],
    ['example.com:', 'example.com', 'malformed-port'],
    ['example.com:0', 'example.com:0', 'malformed-port'],
    ['example.com:65536', 'example.com', 'malformed-port'],
    ['example.com:https', 'example.com', 'malformed-port'],
    ['[fe80::1%25eth0]:443', '[fe80::1]:443', 'scoped-ip'],
    ['[fe80::1%eth0]:443', '[fe80::1]:443', 'scoped-ip'],
  ]
  for (const [target, host, reason] of refused)
    t.equal(connect(target, ['Host', host]), reason, JSON.stringify([target, host]))
  t.equal(connect('example.com:443', []), 'missing-host')
  t.equal(
    connect('example.com:443', ['Host', 'example.com', 'Host', 'example.com']),
    'duplicate-host',
  )
  t.equal(
    connect('example.com:443', ['Host', 'example.com'], { version: '2.0' }),
    'unsupported-version',
  )
  t.end()
})

void t.test('a field that Connection names is not sent on, and says nothing to rules', (t) => {
  const fields = ['Host', 'a.test', 'X-Dry-Run', '1', 'Proxy-Authorization', 'x', 'Accept', '*/*']
  const connection = ['Connection', 'close, x-dry-run, Proxy-Authorization']
  t.same(
    read('http://a.test/', [...fields, ...connection]).headers,
    ['Host', 'a.test', 'Proxy-Authorization', 'x', 'Accept', '*/*', ...connection],
    'what is for this hop stays',
  )
  const usual = [...fields, 'Connection', 'keep-alive']
  t.equal(read('http://a.test/', usual).headers, usual)
  t.end()
})

void t.test('R37: without a proxy or a tunnel, Host alone says where a request goes', (t) => {
  const dialed = parseAuthority('192.0.2.7:80')
  const far = parseAuthority('192.0.2.7:8080')
  const asked = (
    target: string,
    headers: string[],
    to: Parameters<typeof readDirect>[1]['dialed'],
    version = '1.1',
  ): string => {
    const sent = head(target, headers, { version })
    const tunnel = readDirect(sent, { dialed: to, defaultPort: 80 }, HEADERS_MAX)
    const { scheme, endpoint, path } = readRequest(sent, tunnel, HEADERS_MAX)
    return `${scheme}://${endpoint.host}:${endpoint.port}${path.raw}`
  }
  const read_: [args: Parameters<typeof asked>, url: string][] = [
    [['/a', ['Host', 'a.test'], undefined], 'http://a.test:80/a'],
    [['/a', ['Host', 'A.test.'], dialed], 'http://a.test:80/a'],
    [['/a', ['Host', 'a.test:80'], dialed], 'http://a.test:80/a'],
    [['/a', ['Host', 'a.test:8080'], undefined], 'http://a.test:8080/a'],
    [['/a', ['Host', 'a.test:8080'], far], 'http://a.test:8080/a'],
    [['http://a.test/a', ['Host', 'a.test'], dialed], 'http://a.test:80/a'],
    [['/a', ['Host', '192.0.2.7'], dialed], 'http://192.0.2.7:80/a'],
    [['/a', [], dialed, '1.0'], 'http://192.0.2.7:80/a'],
    [['/a', ['Host', 'a.test'], dialed, '1.0'], 'http://a.test:80/a'],
  ]
  for (const [args, url] of read_) t.equal(asked(...args), url)
  const refused: [args: Parameters<typeof asked>, reason: Reason][] = [
    [['/a', [], undefined, '1.0'], 'missing-host'],
    [['/a', [], dialed], 'missing-host'],
    [['/a', ['Host', 'a.test', 'Host', 'b.test'], dialed], 'duplicate-host'],
    [['/a', ['Host', 'a.test:8080'], dialed], 'authority-mismatch'],
    [['/a', ['Host', 'a.test'], far], 'authority-mismatch'],
    [['http://b.test/a', ['Host', 'a.test'], dialed], 'authority-mismatch'],
    [['https://a.test/a', ['Host', 'a.test'], dialed], 'authority-mismatch'],
    [['http://a.test/a', [], dialed, '1.0'], 'authority-mismatch'],
    [['/a', ['Host', 'a.test\0'], dialed], 'malformed-target'],
    [['/a', ['Host', 'a.test:0'], dialed], 'malformed-port'],
    [['/a', ['Host', '[fe80::1%25eth0]'], dialed], 'scoped-ip'],
    [['/a', ['Host', 'a.test', 'Transfer_Encoding', 'chunked'], dialed], 'malformed-header'],
    [['/a', ['Host', 'a.test'], dialed, '2.0'], 'unsupported-version'],
  ]
  for (const [args, reason] of refused)
    t.equal(
      reasonOf(() => asked(...args)),
      reason,
    )
  t.end()
})
