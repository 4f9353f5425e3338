// Proves the reading of texts with a unit.

import t from 'tap'

import {
  formatListenAddress,
  isLocalAddress,
  parseHostPort,
  parseListenAddress,
} from '../../../src/config/units.ts'
import { formatDuration, parseDuration, parseSize } from '../../../src/wire/units.ts'

void t.test('a duration is a whole number and one unit', (t) => {
  t.equal(parseDuration('250ms'), 250)
  t.equal(parseDuration('30s'), 30_000)
  t.equal(parseDuration('30m'), 1_800_000)
  t.equal(parseDuration('12h'), 43_200_000)
  t.equal(parseDuration('30d'), 2_592_000_000)
  for (const wrong of [
    '',
    '30',
    '0s',
    '-1s',
    '1.5h',
    '1h30m',
    '30 m',
    '30M',
    '030s',
    '9999999999d',
  ])
    t.equal(parseDuration(wrong), undefined, wrong)
  t.end()
})

void t.test('a size is bytes, or a whole number and a binary unit', (t) => {
  t.equal(parseSize('512'), 512)
  t.equal(parseSize('512B'), 512)
  t.equal(parseSize('64KiB'), 65_536)
  t.equal(parseSize('64MiB'), 67_108_864)
  t.equal(parseSize('4GiB'), 4_294_967_296)
  for (const wrong of ['', '0', '64MB', '64M', '-1', '1.5GiB', '99999999TiB'])
    t.equal(parseSize(wrong), undefined, wrong)
  t.end()
})

void t.test('a listen address is ADDRESS:PORT or unix:PATH', (t) => {
  t.strictSame(parseListenAddress('127.0.0.1:3128'), { kind: 'tcp', host: '127.0.0.1', port: 3128 })
  t.strictSame(parseListenAddress('localhost:0'), { kind: 'tcp', host: '127.0.0.1', port: 0 })
  t.strictSame(parseListenAddress('[::1]:3128'), { kind: 'tcp', host: '::1', port: 3128 })
  t.strictSame(parseListenAddress('unix:state/x.sock'), { kind: 'unix', path: 'state/x.sock' })
  for (const wrong of [
    '',
    '3128',
    ':3128',
    '*:3128',
    '::1:3128',
    '[127.0.0.1]:1',
    'proxy:3128',
    '127.1:1',
    '127.0.0.1:65536',
    '127.0.0.1:',
    'unix:',
  ])
    t.equal(parseListenAddress(wrong), undefined, wrong)
  t.end()
})

void t.test('a listen address is printed as it is written', (t) => {
  for (const text of ['127.0.0.1:3128', '[::1]:3128', 'unix:/run/x.sock']) {
    const address = parseListenAddress(text)
    t.ok(address)
    if (address) t.equal(formatListenAddress(address), text)
  }
  t.end()
})

void t.test('only unix sockets and loopback are local', (t) => {
  const isLocal = (text: string): boolean => {
    const address = parseListenAddress(text)
    return address !== undefined && isLocalAddress(address)
  }
  for (const text of ['unix:x', '127.0.0.1:1', '127.9.9.9:1', '[::1]:1']) t.ok(isLocal(text), text)
  for (const text of ['0.0.0.0:1', '10.0.0.1:1', '[::]:1', '[fd00::1]:1'])
    t.notOk(isLocal(text), text)
  t.end()
})

void t.test('a host has port 443 unless another is written', (t) => {
  t.strictSame(parseHostPort('API.GitHub.com.'), {
    host: 'api.github.com',
    kind: 'name',
    port: 443,
  })
  t.strictSame(parseHostPort('localhost:8443'), { host: 'localhost', kind: 'name', port: 8443 })
  t.strictSame(parseHostPort('[::1]:8443'), { host: '::1', kind: 'ipv6', port: 8443 })
  t.equal(parseHostPort('a:99999'), undefined)
  t.equal(parseHostPort('a:b'), undefined)
  t.end()
})

void t.test('a duration is printed in its largest whole unit', (t) => {
  t.equal(formatDuration(86_400_000), '1d')
  t.equal(formatDuration(90_000), '90s')
  t.equal(formatDuration(1), '1ms')
  t.end()
})
