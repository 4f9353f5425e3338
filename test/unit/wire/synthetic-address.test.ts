// Proves that synthetic addresses and their numbers are one to one, and that no other address is taken for one.

import t from 'tap'

import { specialPurpose } from '../../../src/wire/address.ts'
import {
  isSyntheticAddress,
  isSyntheticReverse,
  SYNTHETIC_COUNT,
  syntheticAddresses,
  syntheticNumber,
} from '../../../src/wire/synthetic-address.ts'

void t.test('each number has one address a family, which nothing dials', (t) => {
  const numbers = [1, 2, 255, 256, 65_535, 65_536, 100_000, SYNTHETIC_COUNT - 1]
  for (const number of numbers) {
    const { ipv4, ipv6 } = syntheticAddresses(number)
    for (const address of [ipv4, ipv6]) {
      t.equal(syntheticNumber(address), number, address)
      t.ok(isSyntheticAddress(address))
      t.ok(specialPurpose(address), 'no public address')
    }
  }
  t.strictSame(syntheticAddresses(1), { ipv4: '198.18.0.1', ipv6: '2001:2::1' })
  t.ok(isSyntheticAddress('::ffff:198.18.0.1'))
  t.ok(isSyntheticAddress('2001:0002:0:0:0:0:0:1'))
  t.end()
})

void t.test('no other address is one', (t) => {
  for (const address of [
    '198.17.255.255',
    '198.18.0.0',
    '198.19.255.255',
    '198.20.0.1',
    '2001:2::',
    '2001:2::2:0',
    '2001:2:0:1::1',
    '2001:2:1::1',
    '2001:3::1',
    '127.0.0.1',
    '198.18.1',
    'api.test',
    '',
  ])
    t.notOk(isSyntheticAddress(address), address)
  t.end()
})

void t.test('the reverse names of synthetic addresses are known', (t) => {
  const six = `1${'.0'.repeat(23)}.2.0.0.0.1.0.0.2.ip6.arpa`
  t.ok(isSyntheticReverse('1.0.18.198.in-addr.arpa'))
  t.ok(isSyntheticReverse(six))
  for (const name of [
    '1.0.20.198.in-addr.arpa',
    '0.18.198.in-addr.arpa',
    'x.1.0.18.198.in-addr.arpa',
    '1.0.18.198.in-addr.arpa.test',
    `0.${six}`,
    six.replace('ip6', 'ip4'),
    six.replace('1.0', 'g.0'),
    'arpa',
    'ip6.arpa',
  ])
    t.notOk(isSyntheticReverse(name), name)
  t.end()
})
