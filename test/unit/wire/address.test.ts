// Addresses: literals and their normal form, ranges, the table of special-purpose ranges at both of its edges.

import { isIP } from 'node:net'

import * as fc from 'fast-check'
import t from 'tap'

import {
  canonicalAddress,
  contains,
  isCloudMetadata,
  parseCidr,
  specialPurpose,
} from '../../../src/wire/address.ts'

void t.test('a literal has one normal form, and what is none has none', (t) => {
  const table: readonly (readonly [text: string, host: string | undefined])[] = [
    ['127.0.0.1', '127.0.0.1'],
    ['::1', '::1'],
    ['2001:DB8:0:0:0:0:0:A', '2001:db8::a'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['1:0:2:0:3:0:4:0', '1:0:2:0:3:0:4:0'],
    ['::ffff:10.1.2.3', '10.1.2.3'],
    ['::FFFF:0a01:0203', '10.1.2.3'],
    ['0:0:0:0:0:ffff:a01:203', '10.1.2.3'],
    ['127.1', undefined],
    ['0x7f000001', undefined],
    ['2130706433', undefined],
    ['010.0.0.1', undefined],
    ['1.2.3.256', undefined],
    ['1.2.3.4.', undefined],
    [' 1.2.3.4', undefined],
    ['1.2.3.4\0', undefined],
    ['[::1]', undefined],
    ['fe80::1%eth0', undefined],
    ['::1%lo', undefined],
    ['1::2::3', undefined],
    ['', undefined],
    ['localhost', undefined],
  ]
  for (const [text, host] of table) t.equal(canonicalAddress(text)?.host, host, text)
  t.end()
})

void t.test('the normal form of IPv6 is the one of RFC 5952', (t) => {
  fc.assert(
    fc.property(fc.ipV6(), (text) => {
      const address = canonicalAddress(text)
      t.ok(address)
      if (address?.kind === 'ipv6') {
        t.equal(`[${address.host}]`, new URL(`http://[${text}]`).hostname)
        t.equal(canonicalAddress(address.host)?.host, address.host)
      }
    }),
    { numRuns: 1000 },
  )
  t.end()
})

void t.test('a range is read strictly', (t) => {
  const table: readonly (readonly [text: string, range: string | undefined])[] = [
    ['10.0.0.0/8', '10.0.0.0/8'],
    ['10.1.2.3', '10.1.2.3/32'],
    ['10.1.2.3/32', '10.1.2.3/32'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['FD00::/8', 'fd00::/8'],
    ['::1', '::1/128'],
    ['::/0', '::/0'],
    ['2001:db8::/33', '2001:db8::/33'],
    ['::ffff:10.1.2.3', '10.1.2.3/32'],
    ['10.0.0.1/8', undefined],
    ['10.128.0.0/8', undefined],
    ['fd00::1/8', undefined],
    ['10.0.0.0/33', undefined],
    ['::/129', undefined],
    ['10.0.0.0/', undefined],
    ['10.0.0.0/08', undefined],
    ['10.0.0.0/-1', undefined],
    ['10.0.0.0/8.0', undefined],
    ['10.0.0.0/8/8', undefined],
    ['10.0.0.0/255.0.0.0', undefined],
    ['10/8', undefined],
    ['::ffff:10.0.0.0/104', undefined],
    ['::ffff:10.0.0.0/8', undefined],
    ['fe80::%eth0/10', undefined],
    ['', undefined],
  ]
  for (const [text, range] of table) t.equal(parseCidr(text)?.text, range, text)
  t.end()
})

void t.test('an address lies in a range by its bits, however it is written', (t) => {
  const table: readonly (readonly [range: string, address: string, inside: boolean])[] = [
    ['10.0.0.0/8', '10.255.255.255', true],
    ['10.0.0.0/8', '11.0.0.0', false],
    ['10.0.0.0/8', '::ffff:10.0.0.1', true],
    ['172.16.0.0/12', '172.31.255.255', true],
    ['172.16.0.0/12', '172.32.0.0', false],
    ['10.1.2.3/32', '10.1.2.3', true],
    ['10.1.2.3/32', '10.1.2.2', false],
    ['0.0.0.0/0', '255.255.255.255', true],
    ['0.0.0.0/0', '::1', false],
    ['::/0', '1.2.3.4', false],
    ['::/0', 'ff02::1', true],
    ['fe80::/10', 'febf::1', true],
    ['fe80::/10', 'fec0::1', false],
    ['fe80::/10', 'fe80::1%eth0', false],
    ['::1/128', '0:0:0:0:0:0:0:1', true],
    ['10.0.0.0/8', 'localhost', false],
    ['10.0.0.0/8', '', false],
  ]
  for (const [range, address, inside] of table)
    t.equal(contains(parseCidr(range)!, address), inside, `${address} in ${range}`)
  t.end()
})

void t.test('every special-purpose range is known from its first address to its last', (t) => {
  const table: readonly (readonly [first: string, last: string])[] = [
    ['0.0.0.0', '0.255.255.255'],
    ['10.0.0.0', '10.255.255.255'],
    ['100.64.0.0', '100.127.255.255'],
    ['127.0.0.0', '127.255.255.255'],
    ['169.254.0.0', '169.254.255.255'],
    ['172.16.0.0', '172.31.255.255'],
    ['192.0.0.0', '192.0.0.255'],
    ['192.0.2.0', '192.0.2.255'],
    ['192.88.99.0', '192.88.99.255'],
    ['192.168.0.0', '192.168.255.255'],
    ['198.18.0.0', '198.19.255.255'],
    ['198.51.100.0', '198.51.100.255'],
    ['203.0.113.0', '203.0.113.255'],
    ['224.0.0.0', '239.255.255.255'],
    ['240.0.0.0', '255.255.255.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['::2', '::255.255.255.255'],
    ['::ffff:0:0:0', '::ffff:0:ffff:ffff'],
    ['64:ff9b::', '64:ff9b::ffff:ffff'],
    ['64:ff9b:1::', '64:ff9b:1:ffff:ffff:ffff:ffff:ffff'],
    ['100::', '100::ffff:ffff:ffff:ffff'],
    ['2001::', '2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff'],
    ['2001:db8::', '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff'],
    ['2002::', '2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
    ['3fff::', '3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff'],
    ['5f00::', '5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
    ['fc00::', 'fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
    ['fe80::', 'febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
    ['fec0::', 'feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
    ['ff00::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
    // Mapped, written both ways.
    ['::ffff:127.0.0.1', '::ffff:a9fe:a9fe'],
  ]
  for (const [first, last] of table) {
    t.ok(specialPurpose(first), first)
    t.ok(specialPurpose(last), last)
  }
  t.equal(specialPurpose('127.0.0.1'), 'loopback')
  t.equal(specialPurpose('::1'), 'loopback')
  t.equal(specialPurpose('::'), 'unspecified')
  t.end()
})

void t.test('their neighbours are public', (t) => {
  // prettier-ignore
  const neighbours = [
    '1.0.0.0', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '126.255.255.255', '128.0.0.0',
    '169.253.255.255', '169.255.0.0', '172.15.255.255', '172.32.0.0', '192.0.1.0', '192.0.3.0',
    '192.88.98.255', '192.167.255.255', '192.169.0.0', '198.17.255.255', '198.20.0.0', '223.255.255.255',
    '::1:0:0:1', '64:ff9c::', '101::', '2001:200::', '2001:db7:ffff::', '2001:db9::', '2003::', '2606:4700::1',
    '3ffe::', '3fff:1000::', '5f01::', 'fbff::', '::ffff:8.8.8.8',
  ]
  for (const address of neighbours) t.equal(specialPurpose(address), undefined, address)
  t.end()
})

void t.test('what is no address is not public', (t) => {
  for (const text of ['', 'localhost', '127.1', 'fe80::1%eth0', '8.8.8.8 '])
    t.equal(specialPurpose(text), 'no-address', text)
  t.end()
})

void t.test('cloud metadata is known by any way to it', (t) => {
  // prettier-ignore
  const metadata = [
    '169.254.169.254', '169.254.170.2', '168.63.129.16', '100.100.100.200', '192.0.0.192',
    'fd00:ec2::254', 'FD00:0EC2:0::254', '::ffff:169.254.169.254', '::ffff:a9fe:a9fe',
    '64:ff9b::169.254.169.254', '64:ff9b:1::a9fe:a9fe', '2002:a9fe:a9fe::', '::a9fe:a9fe',
  ]
  for (const address of metadata) t.ok(isCloudMetadata(address), address)
  for (const address of ['169.254.169.253', '8.8.8.8', '2606:4700::a9fe:a9fe', '::1', 'x', ''])
    t.notOk(isCloudMetadata(address), address)
  t.end()
})

void t.test('whatever the text, nothing is thrown, and only literals are addresses', (t) => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom(...Array.from('0123456789abcdefx.:/%')) }),
    fc.ipV4(),
    fc.ipV6(),
    fc.ipV4Extended(),
  )
  fc.assert(
    fc.property(text, (one) => {
      t.equal(canonicalAddress(one) === undefined, isIP(one) === 0 || one.includes('%'))
      specialPurpose(one)
      isCloudMetadata(one)
      const range = parseCidr(one)
      if (range) t.ok(contains(range, range.text.split('/')[0]!))
    }),
    { numRuns: 2000 },
  )
  t.end()
})

void t.test('a range holds exactly the addresses that share its prefix', (t) => {
  fc.assert(
    fc.property(fc.ipV4(), fc.ipV4(), fc.integer({ min: 0, max: 32 }), (network, address, bits) => {
      const mask = bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0
      const base = (numberOf(network) & mask) >>> 0
      const range = parseCidr(
        `${[24, 16, 8, 0].map((shift) => (base >>> shift) & 255).join('.')}/${bits}`,
      )
      t.equal(contains(range!, address), (numberOf(address) & mask) >>> 0 === base)
    }),
  )
  t.end()
})

function numberOf(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
}
