// Proves what a file of hosts says, and that what it says now counts.

import { renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import { HostsFile } from '../../../src/net/hosts-file.ts'

void t.test('names have the addresses of all their lines, in normal form', (t) => {
  const dir = t.testdir({
    hosts: [
      '# a comment',
      '127.0.0.1\tlocalhost  Loop loop # the same twice',
      '::1 localhost',
      '192.0.2.1 one.test',
      '2001:DB8::0:1 one.test two.test',
      'no-address three.test',
      '192.0.2.9',
      '192.0.2.7 constructor __proto__',
    ].join('\n'),
  })
  const hosts = new HostsFile(path.join(dir, 'hosts'))
  t.strictSame(hosts.addressesOf('localhost'), ['127.0.0.1', '::1'])
  t.strictSame(hosts.addressesOf('loop'), ['127.0.0.1'], 'in whichever case it is written')
  t.strictSame(hosts.addressesOf('one.test'), ['192.0.2.1', '2001:db8::1'])
  t.strictSame(hosts.addressesOf('two.test'), ['2001:db8::1'])
  t.strictSame(hosts.addressesOf('three.test'), [])
  t.strictSame(hosts.addressesOf('toString'), [])
  t.strictSame(hosts.addressesOf('constructor'), ['192.0.2.7'])
  t.end()
})

void t.test('a file that is changed, replaced or gone is read as it is', (t) => {
  const dir = t.testdir({ hosts: '192.0.2.1 a.test\n' })
  const file = path.join(dir, 'hosts')
  let now = 0
  const hosts = new HostsFile(file, () => now)
  t.strictSame(hosts.addressesOf('a.test'), ['192.0.2.1'])
  writeFileSync(file, '192.0.2.2 a.test\n')
  t.strictSame(hosts.addressesOf('a.test'), ['192.0.2.1'], 'it is not looked at for every call')
  now += 1000
  t.strictSame(hosts.addressesOf('a.test'), ['192.0.2.2'], 'of the same length')
  writeFileSync(`${file}.new`, '192.0.2.3 a.test\n')
  renameSync(`${file}.new`, file)
  now += 1000
  t.strictSame(hosts.addressesOf('a.test'), ['192.0.2.3'])
  rmSync(file)
  now += 1000
  t.strictSame(hosts.addressesOf('a.test'), [])
  writeFileSync(file, '192.0.2.4 a.test\n')
  now += 1000
  t.strictSame(hosts.addressesOf('a.test'), ['192.0.2.4'])
  t.end()
})
