// Destinations: scheme, host and port, and the reasons they are refused with.

import t from 'tap'

import { policyOf, verdictOn } from './ask.ts'

const one = (destination: string): string => `- id: r\n  allow: ${destination}`

void t.test('R35: without a rule every call is denied', (t) => {
  const policy = policyOf('ruleset: empty\nrules: []')
  t.equal(verdictOn(policy, 'GET https://example.com/'), 'deny not-on-allowlist')
  t.equal(verdictOn(policy, 'GET http://93.184.216.34/'), 'deny ip-not-on-allowlist')
  t.equal(verdictOn(policy, 'GET https://[2606:2800::1]/'), 'deny ip-not-on-allowlist')
  t.equal(verdictOn(policy, 'CONNECT example.com:443'), 'deny not-on-allowlist')
  t.equal(verdictOn(policy, 'CONNECT 93.184.216.34:443'), 'deny ip-not-on-allowlist')
  t.end()
})

const TABLE: readonly (readonly [destination: string, call: string, verdict: string])[] = [
  // exact names, one normal form
  ['https://example.com', 'GET https://example.com/', 'allow r'],
  ['https://example.com', 'GET https://EXAMPLE.com./', 'allow r'],
  ['https://Example.COM.', 'GET https://example.com/', 'allow r'],
  ['https://example.com', 'GET https://www.example.com/', 'deny not-on-allowlist'],
  ['https://example.com', 'GET https://example.com.evil.test/', 'deny not-on-allowlist'],
  ['https://example.com', 'GET https://notexample.com/', 'deny not-on-allowlist'],
  ['https://bücher.example', 'GET https://xn--bcher-kva.example/', 'allow r'],
  // wildcards: one label or more below, never the apex
  ['"https://*.example.com"', 'GET https://a.example.com/', 'allow r'],
  ['"https://*.example.com"', 'GET https://a.b.example.com/', 'allow r'],
  ['"https://*.example.com"', 'GET https://example.com/', 'deny not-on-allowlist'],
  ['"https://*.example.com"', 'GET https://notexample.com/', 'deny not-on-allowlist'],
  ['"https://*.example.com"', 'GET https://a.example.com.evil.test/', 'deny not-on-allowlist'],
  // any name, never an address
  ['"https://*"', 'GET https://anything.test/', 'allow r'],
  ['"https://*"', 'GET https://localhost/', 'allow r'],
  ['"https://*"', 'GET https://93.184.216.34/', 'deny ip-not-on-allowlist'],
  ['"https://*"', 'GET https://[::1]/', 'deny ip-not-on-allowlist'],
  // addresses
  ['https://192.0.2.7', 'GET https://192.0.2.7/', 'allow r'],
  ['https://192.0.2.7', 'GET https://[::ffff:192.0.2.7]/', 'allow r'],
  ['https://192.0.2.7', 'GET https://192.0.2.8/', 'deny ip-not-on-allowlist'],
  ['https://[2001:DB8::1]', 'GET https://[2001:db8:0:0::1]/', 'allow r'],
  ['{ scheme: https, cidr: 192.0.2.0/24 }', 'GET https://192.0.2.7/', 'allow r'],
  ['{ scheme: https, cidr: 192.0.2.0/24 }', 'GET https://192.0.3.7/', 'deny ip-not-on-allowlist'],
  ['{ scheme: https, cidr: 192.0.2.0/24 }', 'GET https://192.0.2.7:8443/', 'deny port-not-allowed'],
  ['{ scheme: https, cidr: 192.0.2.0/24, port: 8443 }', 'GET https://192.0.2.7:8443/', 'allow r'],
  ['{ scheme: https, cidr: 192.0.2.0/24 }', 'GET https://example.com/', 'deny not-on-allowlist'],
  ['{ scheme: https, cidr: "2001:db8::/32" }', 'GET https://[2001:db8:1::2]/', 'allow r'],
  [
    '{ scheme: https, cidr: "2001:db8::/32" }',
    'GET https://[2001:db9::2]/',
    'deny ip-not-on-allowlist',
  ],
  // ports
  ['https://example.com', 'GET https://example.com:443/', 'allow r'],
  ['https://example.com', 'GET https://example.com:8443/', 'deny port-not-allowed'],
  ['https://example.com:8443', 'GET https://example.com:8443/', 'allow r'],
  ['https://example.com:8443', 'GET https://example.com/', 'deny port-not-allowed'],
  // schemes: what is asked of the wrong one on the right port
  ['http://example.com', 'GET http://example.com/', 'allow r'],
  ['http://example.com', 'GET https://example.com/', 'deny port-not-allowed'],
  ['http://example.com:443', 'GET https://example.com/', 'deny protocol-not-allowed'],
  ['https://example.com', 'GET http://example.com:443/', 'deny protocol-not-allowed'],
  ['https://example.com', 'GET wss://example.com/', 'deny protocol-not-allowed'],
  ['wss://example.com', 'GET wss://example.com/', 'allow r'],
  ['wss://example.com', 'GET https://example.com/', 'allow r'],
  ['wss://example.com', 'GET ws://example.com:443/', 'deny protocol-not-allowed'],
  ['ws://example.com', 'GET ws://example.com/', 'allow r'],
  ['ws://example.com', 'GET http://example.com/', 'allow r'],
  ['http://example.com', 'GET ws://example.com/', 'deny protocol-not-allowed'],
  ['tls://example.com', 'GET https://example.com/', 'deny protocol-not-allowed'],
  ['tcp://example.com:443', 'GET https://example.com/', 'deny protocol-not-allowed'],
  ['tcp://example.com:80', 'GET http://example.com/', 'deny protocol-not-allowed'],
  // what two readers could read differently never gets as far as a rule
  ['"https://*"', 'GET https://127.1/', 'deny malformed-target'],
  ['"https://*"', 'GET https://user@example.com/', 'deny malformed-target'],
  ['"https://*"', 'GET https://example.com/a/../b', 'deny malformed-path'],
]

for (const [destination, call, verdict] of TABLE)
  void t.test(`R35: under ${destination} the call ${call} gets ${verdict}`, (t) => {
    t.equal(verdictOn(policyOf(one(destination)), call), verdict)
    t.end()
  })

void t.test('R35: a method is allowed by its own name only', (t) => {
  const policy = policyOf('- id: r\n  allow: https://example.com\n  methods: [GET]')
  t.equal(verdictOn(policy, 'GET https://example.com/'), 'allow r')
  t.equal(verdictOn(policy, 'HEAD https://example.com/'), 'deny method-not-allowed')
  t.equal(verdictOn(policy, 'POST https://example.com/'), 'deny method-not-allowed')
  const any = policyOf(one('https://example.com'))
  for (const method of ['GET', 'HEAD', 'DELETE', 'PROPFIND', 'M-SEARCH'])
    t.equal(verdictOn(any, `${method} https://example.com/`), 'allow r')
  t.end()
})

void t.test('the reason is the furthest dimension that any allow of the host reached', (t) => {
  const policy = policyOf(`
- id: read
  allow: https://example.com
  methods: [GET]
  paths: [/a]
- id: write
  allow: https://example.com:8443
  methods: [POST]
- id: elsewhere
  allow: https://other.test
- id: never
  deny: https://denied.test
  paths: [/x]`)
  t.equal(verdictOn(policy, 'GET https://example.com/b'), 'deny path-not-allowed')
  t.equal(verdictOn(policy, 'POST https://example.com/a'), 'deny method-not-allowed')
  t.equal(verdictOn(policy, 'POST https://example.com:9000/a'), 'deny port-not-allowed')
  t.equal(verdictOn(policy, 'GET https://unknown.test/'), 'deny not-on-allowlist')
  t.equal(
    verdictOn(policy, 'GET https://denied.test/y'),
    'deny not-on-allowlist',
    'a deny that does not match says nothing about its host',
  )
  t.equal(verdictOn(policy, 'GET https://denied.test/x'), 'deny denied-by-rule')
  t.end()
})

void t.test('a deny covers every scheme and port of its host, unless it writes ports', (t) => {
  const allows =
    '- id: r\n  allow: [https://a.test, http://a.test, "https://a.test:8443", wss://a.test]'
  const all = policyOf(`${allows}\n- id: d\n  deny: https://a.test`)
  for (const url of ['https://a.test/', 'http://a.test/', 'https://a.test:8443/', 'wss://a.test/'])
    t.equal(verdictOn(all, `GET ${url}`), 'deny denied-by-rule', url)
  const some = policyOf(`${allows}\n- id: d\n  deny: https://a.test\n  ports: [8443]`)
  t.equal(verdictOn(some, 'GET https://a.test:8443/'), 'deny denied-by-rule')
  t.equal(verdictOn(some, 'GET https://a.test/'), 'allow r')
  t.equal(verdictOn(some, 'GET http://a.test/'), 'allow r')
  t.end()
})

void t.test('a deny binds by every kind of host', (t) => {
  const denied = (host: string, call: string): string =>
    verdictOn(
      policyOf(
        `- id: r\n  allow: ["https://*", { scheme: https, cidr: 0.0.0.0/0 }]\n- id: d\n  deny: ${host}`,
      ),
      call,
    )
  t.equal(denied('"https://*.a.test"', 'GET https://x.a.test/'), 'deny denied-by-rule')
  t.equal(denied('"https://*.a.test"', 'GET https://a.test/'), 'allow r')
  t.equal(denied('"https://*"', 'GET https://a.test/'), 'deny denied-by-rule')
  t.equal(denied('"https://*"', 'GET https://192.0.2.1/'), 'allow r', '`*` is never an address')
  t.equal(denied('{ cidr: 192.0.2.0/24 }', 'GET https://192.0.2.1/'), 'deny denied-by-rule')
  t.equal(denied('{ cidr: 192.0.2.0/24 }', 'GET https://192.0.3.1/'), 'allow r')
  t.equal(
    denied('tcp://a.test', 'GET https://a.test/'),
    'deny denied-by-rule',
    'any scheme will do',
  )
  t.end()
})
