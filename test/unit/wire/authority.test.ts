// Authorities: the grammar, the normal form, and that nothing else comes through.

import * as fc from 'fast-check'
import t from 'tap'

import {
  formatAuthority,
  isSameAuthority,
  normalizeHost,
  parseAuthority,
} from '../../../src/wire/authority.ts'
import { orUndefined, reasonOf } from './support.ts'

const LABEL_63 = 'a'.repeat(63)

void t.test('an authority is read into its normal form', (t) => {
  const table: readonly (readonly [text: string, host: string, kind: string, literal?: string])[] =
    [
      ['allowed.test:8443', 'allowed.test', 'name'],
      ['ALLOWED.TEST.:8443', 'allowed.test', 'name'],
      ['localhost:8443', 'localhost', 'name'],
      ['_dmarc.a-b.test:8443', '_dmarc.a-b.test', 'name'],
      ['1password.com:8443', '1password.com', 'name'],
      ['4.example:8443', '4.example', 'name'],
      ['xn--bcher-kva.suffix.test:8443', 'xn--bcher-kva.suffix.test', 'name'],
      ['XN--BCHER-KVA.test:8443', 'xn--bcher-kva.test', 'name'],
      [`${LABEL_63}.test:8443`, `${LABEL_63}.test`, 'name'],
      ['127.0.0.1:8443', '127.0.0.1', 'ipv4'],
      ['[::1]:8443', '::1', 'ipv6'],
      ['[0:0:0:0:0:0:0:1]:8443', '::1', 'ipv6'],
      ['[2001:DB8::A]:8443', '2001:db8::a', 'ipv6'],
      ['[64:ff9b::127.0.0.1]:8443', '64:ff9b::7f00:1', 'ipv6'],
      ['[::ffff:127.0.0.1]:8443', '127.0.0.1', 'ipv4', '::ffff:127.0.0.1'],
      ['[::ffff:7f00:1]:8443', '127.0.0.1', 'ipv4', '::ffff:127.0.0.1'],
    ]
  for (const [text, host, kind, literal] of table)
    t.same(parseAuthority(text), { host, kind, port: 8443, literal: literal ?? host }, text)
  t.end()
})

void t.test('an authority that could be read in two ways is refused', (t) => {
  const target = 'malformed-target'
  const table: readonly (readonly [text: string, reason: string])[] = [
    // Hosts that are none.
    ['', target],
    [':443', target],
    ['.:443', target],
    ['..:443', target],
    ['a..b:443', target],
    ['.a:443', target],
    ['a..:443', target],
    [`${LABEL_63}a.test:443`, target],
    [`${`${LABEL_63}.`.repeat(4)}test:443`, target],
    // Ports.
    ['127.0.0.1', target],
    ['allowed.test', target],
    ['[::1]', target],
    ['127.0.0.1:', 'malformed-port'],
    ['127.0.0.1:0', 'malformed-port'],
    ['127.0.0.1:00', 'malformed-port'],
    ['127.0.0.1:0443', 'malformed-port'],
    ['127.0.0.1:65536', 'malformed-port'],
    ['127.0.0.1:4294967739', 'malformed-port'],
    ['127.0.0.1:http', 'malformed-port'],
    ['127.0.0.1:+443', 'malformed-port'],
    ['127.0.0.1:-1', 'malformed-port'],
    ['127.0.0.1:4e2', 'malformed-port'],
    ['127.0.0.1:0x1bb', 'malformed-port'],
    ['127.0.0.1:443 ', 'malformed-port'],
    ['[::1]:http', 'malformed-port'],
    // More than an authority.
    ['user@127.0.0.1:443', target],
    ['user:password@127.0.0.1:443', target],
    ['allowed.test:443@evil.test:80', target],
    ['allowed.test@evil.test:443', target],
    ['127.0.0.1:443/admin', target],
    ['allowed.test/admin:443', target],
    ['127.0.0.1:443?x=1', target],
    ['127.0.0.1:443#x', target],
    ['[::1]:443/admin', target],
    ['http://127.0.0.1:443', target],
    ['http://allowed.test', target],
    ['allowed.test:443,evil.test:443', target],
    ['allowed.test:443:443', target],
    // Brackets.
    ['::1:443', target],
    ['[::1', target],
    ['::1]:443', target],
    ['[::1]443', target],
    ['[::1].allowed.test:443', target],
    ['[[::1]]:443', target],
    ['[]:443', target],
    ['[127.0.0.1]:443', target],
    ['[allowed.test]:443', target],
    ['[v1.fe80::1]:443', target],
    ['[::1::]:443', target],
    ['[12345::]:443', target],
    ['[::ffff:010.0.0.1]:443', target],
    // Zones.
    ['[fe80::1%25eth0]:443', 'scoped-ip'],
    ['[fe80::1%eth0]:443', 'scoped-ip'],
    ['[::1%lo]:443', 'scoped-ip'],
    ['[::ffff:127.0.0.1%25lo]:443', 'scoped-ip'],
    // Addresses in other clothes.
    ['127.1:443', target],
    ['0x7f.1:443', target],
    ['0x7f000001:443', target],
    ['2130706433:443', target],
    ['017700000001:443', target],
    ['010.0.0.1:443', target],
    ['127.0.0.01:443', target],
    ['127.0.0.1.:443', target],
    ['127.0.0.256:443', target],
    ['1.2.3.4.5:443', target],
    ['0:443', target],
    ['0x:443', target],
    ['evil.0x7f:443', target],
    // Spellings that resolvers and URL parsers take for something else.
    ['evil.test\0.allowed.test:443', target],
    ['allowed.test\0:443', target],
    ['%65vil.test:443', target],
    ['evil%2etest:443', target],
    ['\xefvil.test:443', target],
    ['b\xfccher.test:443', target],
    ['b\xc3\xbccher.test:443', target],
    ['al\xadlowed.test:443', target],
    ['ｅvil.test:443', target],
    ['evil。test:443', target],
    ['evil\u00ad.test:443', target],
    ['allowed.test\t:443', target],
    [' allowed.test:443', target],
    ['allowed.test\r\n:443', target],
    ['allowed.test\\:443', target],
    ['evil.test\\@allowed.test:443', target],
    ['*.allowed.test:443', target],
    ['allowed!.test:443', target],
    // A-labels that come from no U-label.
    ['xn--:443', target],
    ['xn--a:443', target],
    ['xn--foo-.test:443', target],
    ['xn--a-ecp.test:443', target],
  ]
  for (const [text, reason] of table)
    t.equal(
      reasonOf(() => parseAuthority(text)),
      reason,
      text,
    )
  t.end()
})

void t.test('the default port stands in only where no port is written', (t) => {
  t.equal(parseAuthority('allowed.test', 443).port, 443)
  t.equal(parseAuthority('allowed.test:8443', 443).port, 8443)
  t.equal(parseAuthority('[::1]', 80).port, 80)
  t.equal(
    reasonOf(() => parseAuthority('allowed.test:', 443)),
    'malformed-port',
  )
  t.equal(
    reasonOf(() => parseAuthority('::1', 443)),
    'malformed-target',
  )
  t.end()
})

void t.test('two spellings of one name are the same authority, two of one address are not', (t) => {
  const same = (one: string, other: string): boolean =>
    isSameAuthority(parseAuthority(one), parseAuthority(other))
  t.ok(same('ALLOWED.TEST.:1', 'allowed.test:1'))
  t.ok(same('[::0:1]:1', '[::1]:1'))
  t.ok(same('[::ffff:127.0.0.1]:1', '[::ffff:7f00:1]:1'))
  t.notOk(same('[::ffff:127.0.0.1]:1', '127.0.0.1:1'))
  t.notOk(same('allowed.test:1', 'allowed.test:2'))
  t.notOk(same('allowed.test:1', 'denied.test:1'))
  t.end()
})

void t.test('an authority is written with brackets and without the default port', (t) => {
  t.equal(formatAuthority(parseAuthority('[::1]:443')), '[::1]:443')
  t.equal(formatAuthority(parseAuthority('[::1]:443'), 443), '[::1]')
  t.equal(formatAuthority(parseAuthority('[::ffff:10.0.0.1]:80'), 443), '10.0.0.1:80')
  t.equal(formatAuthority(parseAuthority('A.test:443'), 443), 'a.test')
  t.end()
})

void t.test('a host in a rule file may be written in Unicode', (t) => {
  const table: readonly (readonly [text: string, host: string | undefined])[] = [
    ['bücher.example', 'xn--bcher-kva.example'],
    ['BÜCHER.example.', 'xn--bcher-kva.example'],
    ['bu\u0308cher.example', 'xn--bcher-kva.example'],
    ['faß.example', 'xn--fa-hia.example'],
    ['日本語.example', 'xn--wgv71a119e.example'],
    ['::1', '::1'],
    ['[::1]', '::1'],
    ['10.0.0.1', '10.0.0.1'],
    // What UTS 46 would fold into another name.
    ['ｅvil.test', undefined],
    ['ｅvil.bücher.test', undefined],
    ['bücher。test', undefined],
    ['bü\u00adcher.test', undefined],
    ['bü\u200dcher.test', undefined],
    ['\u212a.test', undefined],
    ['１２７.0.0.1', undefined],
    ['bücher.127.1', undefined],
    ['bücher .test', undefined],
    ['bücher/.test', undefined],
    ['bücher\0.test', undefined],
    ['xn--bcher-kva', 'xn--bcher-kva'],
    ['', undefined],
  ]
  for (const [text, host] of table)
    t.equal(orUndefined(() => normalizeHost(text))?.host, host, JSON.stringify(text))
  t.end()
})

// Texts near the grammar's edges, which random strings hardly ever reach.
// prettier-ignore
const nearAuthority = fc
  .array(
    fc.constantFrom(
      'a', 'B', '0', '1', '127', '0x7f', '255', 'xn--', 'bcher-kva', 'test', '.', '.', ':', '[', ']',
      '::', 'ffff', '%', '%25', '@', '/', '\\', '-', '_', '\0', '\t', ' ', '443', '65536', 'ü', '。',
    ),
    { maxLength: 10 },
  )
  .map((parts) => parts.join(''))
const anyText = fc.oneof(nearAuthority, fc.string({ unit: 'binary' }), fc.string())

void t.test('whatever the text, the answer is an endpoint or a refusal', (t) => {
  const reasons = new Set([undefined, 'malformed-target', 'malformed-port', 'scoped-ip'])
  fc.assert(
    fc.property(anyText, fc.option(fc.constant(443), { nil: undefined }), (text, port) =>
      reasons.has(reasonOf(() => parseAuthority(text, port))),
    ),
    { numRuns: 2000 },
  )
  fc.assert(
    fc.property(anyText, (text) => reasons.has(reasonOf(() => normalizeHost(text)))),
    { numRuns: 2000 },
  )
  t.end()
})

void t.test('normalising what is normal changes nothing', (t) => {
  fc.assert(
    fc.property(anyText, (text) => {
      const once = orUndefined(() => normalizeHost(text))
      if (once === undefined) return
      const { host, kind } = normalizeHost(once.host)
      t.same({ host, kind }, { host: once.host, kind: once.kind })
      const literal = normalizeHost(once.literal)
      t.same(literal, once)
    }),
    { numRuns: 2000 },
  )
  fc.assert(
    fc.property(anyText, (text) => {
      const once = orUndefined(() => parseAuthority(text, 443))
      if (once === undefined) return
      const again = parseAuthority(formatAuthority(once, 443), 443)
      t.same([again.host, again.kind, again.port], [once.host, once.kind, once.port])
    }),
    { numRuns: 2000 },
  )
  t.end()
})

void t.test('what is taken means the same to a URL parser', (t) => {
  const ofUrl = (text: string): string => {
    const { hostname } = new URL(`http://${text}`)
    return normalizeHost(hostname).host
  }
  fc.assert(
    fc.property(
      fc.oneof(
        nearAuthority,
        fc.ipV4(),
        fc.ipV6().map((ip) => `[${ip}]`),
        fc.domain(),
      ),
      (text) => {
        const endpoint = orUndefined(() => parseAuthority(text, 80))
        if (endpoint !== undefined) t.equal(ofUrl(text), endpoint.host, text)
      },
    ),
    { numRuns: 3000 },
  )
  t.end()
})
