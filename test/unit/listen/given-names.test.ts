// Proves that a name keeps its address, that no address stands for two names of a task, and that there is an end to both.

import t from 'tap'

import { GivenNames } from '../../../src/listen/given-names.ts'

const MANY = 5000
const chosen = (): boolean => false

void t.test('a name keeps its address while its task lives', (t) => {
  const names = new GivenNames(MANY)
  const first = names.addressesFor('t_1', 'api.test', chosen)
  t.match(first, { ipv4: /^198\.1[89]\./, ipv6: /^2001:2::/ })
  t.strictSame(names.addressesFor('t_1', 'api.test', chosen), first)
  t.strictSame(
    new GivenNames(MANY).addressesFor('t_1', 'api.test', chosen),
    first,
    'also after a restart',
  )
  t.not(
    names.addressesFor('t_2', 'api.test', chosen).ipv4,
    first.ipv4,
    'tells nothing of another task',
  )
  t.equal(names.nameOf('t_1', first.ipv4), 'api.test')
  t.equal(names.nameOf('t_1', first.ipv6), 'api.test')
  t.equal(names.nameOf('t_2', first.ipv4), undefined)
  t.equal(names.nameOf('t_1', '192.0.2.1'), undefined)
  t.equal(names.forget('t_1'), 1)
  t.equal(names.nameOf('t_1', first.ipv4), undefined)
  t.equal(names.forget('t_1'), 0)
  t.end()
})

void t.test('dnsNamesMax: no two names of a task share an address, and none is taken back', (t) => {
  const names = new GivenNames(MANY)
  const given = new Map<string, string>()
  for (let at = 0; at < MANY; at += 1)
    given.set(names.addressesFor('t_1', `n${at}.test`, chosen).ipv4, `n${at}.test`)
  t.equal(given.size, MANY)
  t.throws(() => names.addressesFor('t_1', 'more.test', chosen), /quota-exceeded/)
  t.ok([...given].every(([address, name]) => names.nameOf('t_1', address) === name))
  t.match(names.addressesFor('t_1', 'n0.test', chosen), { ipv4: String }, 'one that was given')
  t.match(names.addressesFor('t_2', 'more.test', chosen), { ipv4: String }, 'another task')
  const written = names.addressesFor('t_1', 'written.test', () => true)
  t.notOk(given.has(written.ipv4), 'one that people wrote has its place still')
  t.throws(() => names.addressesFor('t_1', 'more.test', chosen), /quota-exceeded/)
  t.end()
})
