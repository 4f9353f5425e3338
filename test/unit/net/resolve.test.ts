// Proves how names become addresses, against a real DNS server on loopback that answers as scripted.

import dgram from 'node:dgram'
import net from 'node:net'

import t, { type Test } from 'tap'

import { DEFAULT_LIMITS, type Limits } from '../../../src/limits.ts'
import { Resolver } from '../../../src/net/resolve.ts'
import { startDnsServer, type DnsScript, type DnsServer } from '../../fixtures/dns.ts'
import { portOf } from '../../fixtures/port.ts'
import { reasonOf, sleep, until } from './support.ts'

interface Options {
  readonly hosts?: Readonly<Record<string, readonly string[]>>
  readonly limits?: Partial<Limits>
  readonly now?: () => number
  /** Asked before the scripted one. */
  readonly before?: readonly string[]
}

async function start(
  t: Test,
  script: DnsScript,
  options: Options = {},
): Promise<{ dns: DnsServer; resolver: Resolver }> {
  const dns = await startDnsServer(script)
  t.teardown(() => dns.close())
  const resolver = new Resolver({
    servers: [...(options.before ?? []), `127.0.0.1:${dns.port}`],
    hosts: options.hosts ?? {},
    limits: { ...DEFAULT_LIMITS, resolveTimeoutMs: 1500, ...options.limits },
    ...(options.now && { now: options.now }),
  })
  return { dns, resolver }
}

void t.test('a name has all its addresses, IPv4 first', async (t) => {
  const { resolver, dns } = await start(t, {
    'both.test': [['2001:db8::1', '192.0.2.1', '192.0.2.2']],
    'four.test': [['192.0.2.1']],
    'six.test': [['2001:db8::1']],
    'none.test': [[]],
  })
  t.strictSame(await resolver.resolve('both.test'), ['192.0.2.1', '192.0.2.2', '2001:db8::1'])
  t.strictSame(await resolver.resolve('four.test'), ['192.0.2.1'])
  t.strictSame(await resolver.resolve('six.test'), ['2001:db8::1'])
  t.equal(await reasonOf(resolver.resolve('none.test')), 'resolve-failed', 'no address')
  t.equal(await reasonOf(resolver.resolve('absent.test')), 'resolve-failed', 'no such name')
  t.equal(dns.count('both.test'), 2, 'one question a family')
})

void t.test('fixed answers come before any resolver and none is asked', async (t) => {
  const { resolver, dns } = await start(
    t,
    { 'api.test': [['192.0.2.1']], constructor: [['192.0.2.3']] },
    { hosts: { 'api.test': ['192.0.2.9'], 'empty.test': [] } },
  )
  t.strictSame(await resolver.resolve('api.test'), ['192.0.2.9'])
  t.equal(dns.count('api.test'), 0)
  t.strictSame(
    await resolver.resolve('empty.test'),
    [],
    'a name without addresses is not asked for',
  )
  t.strictSame(await resolver.resolve('constructor'), ['192.0.2.3'], 'no name is special')
  t.equal(await reasonOf(resolver.resolve('__proto__')), 'resolve-failed')
})

void t.test('localhost names are loopback and never asked for (RFC 6761)', async (t) => {
  const { resolver, dns } = await start(t, {
    localhost: [['192.0.2.1']],
    'app.localhost': [['192.0.2.1']],
    notlocalhost: [['192.0.2.1']],
  })
  t.strictSame(await resolver.resolve('localhost'), ['127.0.0.1', '::1'])
  t.strictSame(await resolver.resolve('app.localhost'), ['127.0.0.1', '::1'])
  t.equal(dns.count('localhost') + dns.count('app.localhost'), 0)
  t.strictSame(await resolver.resolve('notlocalhost'), ['192.0.2.1'])
})

void t.test(
  'aliases are followed to the addresses at their end, and only those count',
  async (t) => {
    const { resolver } = await start(t, {
      'www.test': [{ alias: 'Edge.CDN.test', addresses: ['192.0.2.1'] }],
      'dangling.test': [{ alias: 'nowhere.test' }],
      'loop.test': [{ alias: 'loop.test' }],
    })
    t.strictSame(await resolver.resolve('www.test'), ['192.0.2.1'])
    t.equal(await reasonOf(resolver.resolve('dangling.test')), 'resolve-failed')
    t.equal(await reasonOf(resolver.resolve('loop.test')), 'resolve-failed')
  },
)

void t.test('a cut answer is asked for again over TCP', async (t) => {
  const many = Array.from({ length: 60 }, (_, at) => `192.0.2.${at + 1}`)
  const { resolver, dns } = await start(t, {
    'large.test': [{ addresses: many, truncated: true }],
    'small.test': [many.slice(0, 2)],
  })
  t.strictSame(await resolver.resolve('large.test'), many)
  t.equal(dns.overTcp(), 2)
  t.strictSame(await resolver.resolve('small.test'), many.slice(0, 2))
  t.equal(dns.overTcp(), 2, 'a whole answer is not')
})

void t.test(
  'an answer to another question, with another id, or that is none is not taken',
  async (t) => {
    const { resolver } = await start(t, {
      'forged.test': [{ forged: ['198.51.100.66'], addresses: ['192.0.2.1'] }],
    })
    t.strictSame(await resolver.resolve('forged.test'), ['192.0.2.1'])
  },
)

void t.test('an answer from somebody who was not asked is not taken', async (t) => {
  const seen: number[] = []
  const stranger = dgram.createSocket('udp4')
  t.teardown(() => stranger.close())
  // The true server passes the asker's address on and waits; the stranger answers first, with the right id and question.
  const server = dgram.createSocket('udp4', (query, peer) => {
    const forged = Buffer.from(query)
    forged.writeUInt16BE(0x8000, 2)
    seen.push(peer.port)
    stranger.send(forged, peer.port, peer.address)
  })
  t.teardown(() => server.close())
  await new Promise<void>((resolve) => server.bind(0, '127.0.0.1', resolve))
  const resolver = new Resolver({
    servers: [`127.0.0.1:${server.address().port}`],
    hosts: {},
    limits: { ...DEFAULT_LIMITS, resolveTimeoutMs: 300 },
  })
  const startedAt = performance.now()
  t.equal(await reasonOf(resolver.resolve('name.test')), 'resolve-failed')
  t.ok(performance.now() - startedAt > 250, 'it waited for the true answer')
  t.equal(new Set(seen).size, 2, 'each question leaves from its own port')
})

void t.test(
  'answers are kept for their time, at the most for the limit, and asked for once',
  async (t) => {
    let now = 1_000_000
    const { resolver, dns } = await start(
      t,
      {
        'short.test': [{ addresses: ['192.0.2.1'], ttlSeconds: 5 }],
        'long.test': [{ addresses: ['192.0.2.1'], ttlSeconds: 86_400 }],
        'never.test': [['192.0.2.1'], ['192.0.2.2']],
      },
      { now: () => now, limits: { dnsCacheMs: 30_000 } },
    )
    for (let round = 0; round < 3; round += 1) await resolver.resolve('short.test')
    t.equal(dns.count('short.test', 'A'), 1)
    now += 5001
    await resolver.resolve('short.test')
    t.equal(dns.count('short.test', 'A'), 2, 'asked again when its time is over')
    await resolver.resolve('long.test')
    now += 29_999
    await resolver.resolve('long.test')
    t.equal(dns.count('long.test', 'A'), 1)
    now += 2
    await resolver.resolve('long.test')
    t.equal(dns.count('long.test', 'A'), 2, 'a long time to live is cut to the limit')
    t.strictSame(await resolver.resolve('never.test'), ['192.0.2.1'])
    t.strictSame(await resolver.resolve('never.test'), ['192.0.2.2'], 'no time to live: not kept')
  },
)

void t.test('one name that is asked for at once by many is one question', async (t) => {
  const { resolver, dns } = await start(t, { 'busy.test': [['192.0.2.1']] })
  const all = await Promise.all(Array.from({ length: 50 }, () => resolver.resolve('busy.test')))
  t.ok(all.every(([address]) => address === '192.0.2.1'))
  t.equal(dns.count('busy.test'), 2)
})

void t.test('I7: the cache is bounded', async (t) => {
  const names = Array.from({ length: 6 }, (_, at) => `n${at}.test`)
  const { resolver, dns } = await start(
    t,
    Object.fromEntries(names.map((name) => [name, [{ addresses: ['192.0.2.1'], ttlSeconds: 60 }]])),
    { limits: { dnsCacheMax: 3 } },
  )
  for (const name of names) await resolver.resolve(name)
  await resolver.resolve('n5.test')
  t.equal(dns.count('n5.test', 'A'), 1, 'the newest is kept')
  await resolver.resolve('n0.test')
  t.equal(dns.count('n0.test', 'A'), 2, 'the oldest is not')
})

void t.test(
  'a family that fails fails the name, because an unseen answer is an unchecked one',
  async (t) => {
    const { resolver } = await start(
      t,
      {
        'servfail.test': [{ addresses: ['192.0.2.1'], responseCode: 2 }],
        'half.test': [{ addresses: ['192.0.2.1', '2001:db8::1'], silent: true, only: 'AAAA' }],
        'refused.test': [{ responseCode: 5 }],
        'fine.test': [['192.0.2.1']],
      },
      { limits: { resolveTimeoutMs: 300 } },
    )
    t.equal(await reasonOf(resolver.resolve('servfail.test')), 'resolve-failed')
    t.equal(await reasonOf(resolver.resolve('half.test')), 'resolve-failed')
    t.equal(await reasonOf(resolver.resolve('refused.test')), 'resolve-failed')
    t.strictSame(await resolver.resolve('fine.test'), ['192.0.2.1'])
  },
)

void t.test('a lost datagram is sent again', async (t) => {
  const { resolver, dns } = await start(t, {
    'lossy.test': [{ silent: true }, ['192.0.2.1']],
  })
  t.strictSame(await resolver.resolve('lossy.test'), ['192.0.2.1'])
  t.equal(dns.count('lossy.test', 'A'), 2)
})

void t.test('the next server is asked where one is dead, refuses or fails', async (t) => {
  const silent = dgram.createSocket('udp4')
  t.teardown(() => silent.close())
  await new Promise<void>((resolve) => silent.bind(0, '127.0.0.1', resolve))
  const failing = await startDnsServer({ 'name.test': [{ responseCode: 2 }] })
  t.teardown(() => failing.close())
  const { resolver } = await start(
    t,
    { 'name.test': [['192.0.2.1']] },
    { before: [`127.0.0.1:${silent.address().port}`, `127.0.0.1:${failing.port}`, '127.0.0.1:1'] },
  )
  t.strictSame(await resolver.resolve('name.test'), ['192.0.2.1'])
})

void t.test('a server that says nothing fails the name in time', async (t) => {
  const { resolver } = await start(
    t,
    { 'silent.test': [{ silent: true }], 'loud.test': [['192.0.2.1']] },
    { limits: { resolveTimeoutMs: 250 } },
  )
  t.equal(await reasonOf(resolver.resolve('silent.test')), 'resolve-failed')
  t.strictSame(await resolver.resolve('loud.test'), ['192.0.2.1'])
})

void t.test(
  'TCP answers that are garbage, cut short or absent fail the name and nothing else',
  async (t) => {
    for (const behave of [
      (socket: net.Socket): unknown => socket.end(),
      (socket: net.Socket): unknown => socket.destroy(),
      (socket: net.Socket): unknown => socket.end(Buffer.from([0, 40, 1, 2, 3])),
      (socket: net.Socket): unknown => socket.end(Buffer.from('\0\x10not a dns message')),
    ]) {
      const tcp = net.createServer((socket) => {
        socket.on('error', () => undefined)
        socket.once('data', () => behave(socket))
      })
      await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve))
      const port = portOf(tcp)
      const udp = dgram.createSocket('udp4', (query, peer) => {
        const cut = Buffer.from(query)
        cut.writeUInt16BE(0x8200, 2)
        udp.send(cut, peer.port, peer.address)
      })
      await new Promise<void>((resolve) => udp.bind(port, '127.0.0.1', resolve))
      const resolver = new Resolver({
        servers: [`127.0.0.1:${port}`],
        hosts: {},
        limits: { ...DEFAULT_LIMITS, resolveTimeoutMs: 400 },
      })
      t.equal(await reasonOf(resolver.resolve('name.test')), 'resolve-failed')
      udp.close()
      tcp.close()
    }
  },
)

void t.test('who no longer waits is let go at once; others who wait get the answer', async (t) => {
  const { resolver } = await start(t, {
    'slow.test': [{ silent: true }, ['192.0.2.1']],
  })
  const abort = new AbortController()
  const given = reasonOf(resolver.resolve('slow.test', '', abort.signal))
  const kept = resolver.resolve('slow.test', '', new AbortController().signal)
  await sleep(20)
  let isAnswered = false
  const answered = kept.then(() => (isAnswered = true))
  abort.abort()
  t.equal(await given, 'client-gone')
  t.notOk(isAnswered, 'before the answer is there')
  await answered
  t.strictSame(await kept, ['192.0.2.1'])
  t.equal(await reasonOf(resolver.resolve('slow.test', '', AbortSignal.abort())), 'client-gone')
})

void t.test("the system's resolver is read where none is configured", async (t) => {
  const resolver = new Resolver({ servers: undefined, hosts: {}, limits: DEFAULT_LIMITS })
  const addresses = await resolver.resolve('localhost')
  t.ok(addresses.includes('127.0.0.1') || addresses.includes('::1'))
})

void t.test('no socket is left behind', async (t) => {
  const { resolver } = await start(
    t,
    { 'a.test': [['192.0.2.1']], 'b.test': [{ silent: true }] },
    { limits: { resolveTimeoutMs: 200 } },
  )
  const sockets = (): readonly string[] =>
    process.getActiveResourcesInfo().filter((name) => /UDP|TCPSocket/.test(name))
  await Promise.all([resolver.resolve('a.test'), reasonOf(resolver.resolve('b.test'))])
  t.ok(await until(() => sockets().length === 1), "only the server's own is left")
  t.strictSame(sockets(), ['UDPWrap'])
})
