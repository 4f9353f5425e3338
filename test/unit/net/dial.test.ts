// Proves what is dialed and what is not: only checked addresses, the next one where one fails, in time, and nothing left.

import { networkInterfaces } from 'node:os'

import t from 'tap'

import { EgressError } from '../../../src/errors.ts'
import { issueOperatorPermit } from '../../../src/net/issue-operator.ts'
import { normalizeHost } from '../../../src/wire/authority.ts'
import { startDnsServer } from '../../fixtures/dns.ts'
import {
  blackhole,
  dial,
  listen,
  makeDialer,
  permitFor,
  reasonOf,
  sleep,
  until,
} from './support.ts'

void t.test(
  'I2: a checked address is dialed, without delay and with an error listener on it',
  async (t) => {
    const server = await listen(t, {
      onSocket: (socket) => setTimeout(() => socket.resetAndDestroy(), 20),
    })
    const quiet = await listen(t)
    const dialer = makeDialer({ hosts: { 'api.test': ['127.0.0.1'] } })
    const dialed = await dial(dialer, permitFor('api.test', quiet.port))
    t.equal(dialed.address, '127.0.0.1')
    t.equal(dialed.port, quiet.port)
    t.equal(dialed.socket.remoteAddress, '127.0.0.1')
    t.equal(dialed.tlsVersion, undefined)
    dialed.socket.destroy()
    // A reset that nobody waits for ends that connection and nothing else.
    const { socket } = await dial(dialer, permitFor('api.test', server.port))
    t.ok(await until(() => socket.destroyed))
  },
)

void t.test(
  'R36: a name that is rebound to an address that is not allowed is refused, never dialed',
  async (t) => {
    const dns = await startDnsServer({
      'rebind.test': [['127.0.0.1'], ['127.0.0.9'], ['127.0.0.1']],
    })
    t.teardown(() => dns.close())
    const good = await listen(t)
    const bad = await listen(t, { host: '127.0.0.9', port: good.port })
    const attempts: string[] = []
    const dialer = makeDialer({
      dnsPort: dns.port,
      allow: ['127.0.0.1/32'],
      onDial: (outcome) => attempts.push(outcome),
    })
    const permit = permitFor('rebind.test', good.port)
    t.equal(await reasonOf(dial(dialer, permit)), 'connected')
    t.equal(await reasonOf(dial(dialer, permit)), 'resolved-address-denied', 'checked again')
    t.equal(await reasonOf(dial(dialer, permit)), 'connected', 'and back')
    t.strictSame(attempts, ['connected', 'connected'], 'the refused one was no attempt')
    t.equal(bad.connections(), 0)
    t.equal(dns.count('rebind.test', 'A'), 3, 'one question a dial')
  },
)

void t.test('R36: a retry uses no address that was not checked', async (t) => {
  const dns = await startDnsServer({
    'flaky.test': [['127.0.0.5', '127.0.0.6'], ['127.0.0.9']],
  })
  t.teardown(() => dns.close())
  const bad = await listen(t, { host: '127.0.0.9' })
  const dialer = makeDialer({ dnsPort: dns.port, allow: ['127.0.0.5/32', '127.0.0.6/32'] })
  t.equal(await reasonOf(dial(dialer, permitFor('flaky.test', bad.port))), 'dial-failed')
  t.equal(dns.count('flaky.test', 'A'), 1, 'the second address came from the same answer')
  t.equal(bad.connections(), 0)
})

void t.test(
  'R36: one answer that is not allowed refuses the name and dials none of the others',
  async (t) => {
    const server = await listen(t)
    const hosts = { 'mixed.test': ['127.0.0.1', '127.0.0.9'] }
    const permit = permitFor('mixed.test', server.port)
    t.equal(
      await reasonOf(dial(makeDialer({ hosts, allow: ['127.0.0.1/32'] }), permit)),
      'resolved-address-denied',
    )
    t.equal(server.connections(), 0)
    t.equal(
      await reasonOf(dial(makeDialer({ hosts, allow: ['127.0.0.0/8'] }), permit)),
      'connected',
    )
    t.equal(server.connections(), 1)
    const byRule = permitFor('mixed.test', server.port, { allowed: ['127.0.0.1', '127.0.0.9'] })
    t.equal(
      await reasonOf(dial(makeDialer({ hosts, allow: [] }), byRule)),
      'connected',
      'by the rule',
    )
  },
)

void t.test('a kept answer is checked again for every permit', async (t) => {
  const dns = await startDnsServer({
    'kept.test': [{ addresses: ['127.0.0.1'], ttlSeconds: 60 }],
  })
  t.teardown(() => dns.close())
  const server = await listen(t)
  const dialer = makeDialer({ dnsPort: dns.port })
  t.equal(await reasonOf(dial(dialer, permitFor('kept.test', server.port))), 'connected')
  const denied = permitFor('kept.test', server.port, { denied: ['127.0.0.0/8'] })
  t.equal(await reasonOf(dial(dialer, denied)), 'resolved-address-denied')
  t.equal(dns.count('kept.test', 'A'), 1)
  t.ok(dialer.mayReuse(permitFor('kept.test', server.port), '127.0.0.1'))
  t.notOk(dialer.mayReuse(denied, '127.0.0.1'), 'nor is a connection of another permit reused')
  t.notOk(dialer.mayReuse(permitFor('kept.test', server.port), '10.0.0.1'))
})

void t.test('a literal is dialed as it is, and nobody is asked', async (t) => {
  const server = await listen(t)
  const six = await listen(t, { host: '::1' })
  const dialer = makeDialer({ allow: [] })
  t.equal((await closing(dial(dialer, permitFor('127.0.0.1', server.port)))).address, '127.0.0.1')
  t.equal((await closing(dial(dialer, permitFor('[::1]', six.port)))).address, '::1')
  t.equal(
    (await closing(dial(dialer, permitFor('[::ffff:127.0.0.1]', server.port)))).address,
    '127.0.0.1',
    'mapped is IPv4',
  )
  t.equal(
    await reasonOf(dial(dialer, permitFor('127.0.0.1', server.port, { denied: ['127.0.0.0/8'] }))),
    'resolved-address-denied',
  )
})

void t.test(
  "the sidecar's own listener is never dialed, by whatever name or address",
  async (t) => {
    const server = await listen(t, { host: '0.0.0.0' })
    const other = await listen(t, { host: '0.0.0.0' })
    const mine = Object.values(networkInterfaces())
      .flatMap((list) => list ?? [])
      .find(({ family, internal }) => family === 'IPv4' && !internal)
    const targets = ['127.0.0.1', '127.1.2.3', '0.0.0.0', 'name.test', 'localhost']
    if (mine) targets.push(mine.address)
    const dialer = makeDialer({
      hosts: { 'name.test': ['127.0.0.1'] },
      own: [{ host: '0.0.0.0', port: server.port }],
    })
    for (const target of targets) {
      const everything = { allowed: ['0.0.0.0/0', '::/0'] }
      t.equal(
        await reasonOf(dial(dialer, permitFor(target, server.port, everything))),
        'loop-detected',
        target,
      )
      t.equal(
        await reasonOf(dial(dialer, permitFor(target, other.port, everything))),
        'connected',
        `${target} on another port`,
      )
    }
    t.equal(server.connections(), 0)
  },
)

void t.test('a refused address is not the end: the next one is tried, in order', async (t) => {
  const server = await listen(t)
  const outcomes: string[] = []
  const dialer = makeDialer({
    hosts: { 'two.test': ['127.0.0.5', '127.0.0.1'], 'one.test': ['127.0.0.5'] },
    onDial: (outcome) => outcomes.push(outcome),
  })
  const dialed = await closing(dial(dialer, permitFor('two.test', server.port)))
  t.equal(dialed.address, '127.0.0.1')
  t.strictSame(outcomes, ['failed', 'connected'])
  const failed = await dial(dialer, permitFor('one.test', server.port)).catch(
    (error: unknown) => error,
  )
  t.ok(failed instanceof EgressError)
  t.match(failed, {
    reason: 'dial-failed',
    detail: { code: 'ECONNREFUSED', address: '127.0.0.5' },
  })
})

void t.test(
  'an address that does not answer costs its share of the time, and the next one is tried',
  async (t) => {
    const hole = await blackhole(t, '127.0.0.2')
    await listen(t, { host: '127.0.0.3', port: hole.port })
    const dialer = makeDialer({
      hosts: { 'hole.test': ['127.0.0.2'], 'half.test': ['127.0.0.2', '127.0.0.3'] },
      limits: { connectTimeoutMs: 600 },
    })
    const startedAt = performance.now()
    t.equal(await reasonOf(dial(dialer, permitFor('hole.test', hole.port))), 'connect-timeout')
    const tookMs = performance.now() - startedAt
    t.ok(tookMs > 500, `not before its time: ${tookMs} ms`)
    const dialed = await closing(dial(dialer, permitFor('half.test', hole.port)))
    t.equal(dialed.address, '127.0.0.3')
  },
)

void t.test('a dial that is cut ends at once and leaves no socket', async (t) => {
  const hole = await blackhole(t, '127.0.0.4')
  const dns = await startDnsServer({ 'silent.test': [{ silent: true }] })
  t.teardown(() => dns.close())
  const server = await listen(t)
  const mute = await listen(t)
  const dialer = makeDialer({ dnsPort: dns.port })
  const sockets = (): number =>
    process.getActiveResourcesInfo().filter((name) => /TCPSocket|TCPConnect/.test(name)).length
  const before = sockets()
  const cut = async (permit: ReturnType<typeof permitFor>): Promise<void> => {
    const abort = new AbortController()
    const attempt = reasonOf(dial(dialer, permit, abort.signal))
    await sleep(60)
    abort.abort()
    t.equal(await attempt, 'client-gone')
  }
  await cut(permitFor('127.0.0.4', hole.port))
  await cut(permitFor('silent.test', server.port))
  await cut(permitFor('127.0.0.1', mute.port, { tls: true }))
  t.equal(mute.connections(), 1, 'that one was in the middle of its handshake')
  t.ok(await until(() => mute.open() === 0), 'and is closed')
  t.ok(await until(() => sockets() <= before), 'nothing is left')
  const ended = reasonOf(dial(dialer, permitFor('127.0.0.1', server.port), AbortSignal.abort()))
  t.equal(await ended, 'client-gone')
  t.equal(server.connections(), 0, 'cut before it began: nothing was dialed')
  t.equal(await reasonOf(dial(dialer, permitFor('127.0.0.1', server.port))), 'connected')
})

void t.test(
  'a signal that is aborted later does not touch a connection that is there',
  async (t) => {
    const server = await listen(t)
    const abort = new AbortController()
    const { socket } = await dial(makeDialer(), permitFor('127.0.0.1', server.port), abort.signal)
    abort.abort()
    await sleep(20)
    t.notOk(socket.destroyed)
    socket.destroy()
  },
)

void t.test(
  'a cleartext connection may still be written to when the upstream has said its end',
  async (t) => {
    const received: string[] = []
    const server = await listen(t, {
      onSocket: (socket) => {
        socket.end('bye')
        socket.on('data', (chunk: Buffer) => received.push(chunk.toString()))
        socket.on('end', () => received.push('end'))
      },
    })
    const { socket } = await dial(makeDialer(), permitFor('127.0.0.1', server.port))
    await new Promise((resolve) => socket.once('end', resolve).resume())
    await sleep(20)
    socket.end('late')
    t.ok(await until(() => received.includes('end')))
    t.strictSame(received, ['late', 'end'])
  },
)

void t.test(
  "the operator's destinations may lie on the operator's networks, but are no way to us",
  async (t) => {
    const server = await listen(t)
    const dialer = makeDialer({
      hosts: { 'siem.test': ['127.0.0.1'], 'meta.test': ['169.254.169.254'] },
      allow: [],
      own: [{ host: '127.0.0.1', port: 3128 }],
    })
    const permit = (host: string, port: number): ReturnType<typeof issueOperatorPermit> =>
      issueOperatorPermit({
        purpose: 'sinks.a',
        endpoint: { ...normalizeHost(host), port },
        tls: false,
      })
    t.equal(await reasonOf(dial(dialer, permit('siem.test', server.port))), 'connected')
    t.equal(
      await reasonOf(dial(dialer, permitFor('siem.test', server.port))),
      'resolved-address-denied',
      "a call's permit does not share that",
    )
    t.equal(await reasonOf(dial(dialer, permit('siem.test', 3128))), 'loop-detected')
    t.equal(await reasonOf(dial(dialer, permit('meta.test', 80))), 'resolved-address-denied')
  },
)

void t.test('a name that cannot be resolved is not dialed', async (t) => {
  const dns = await startDnsServer({ 'there.test': [['127.0.0.1']] })
  t.teardown(() => dns.close())
  const server = await listen(t)
  const dialer = makeDialer({ dnsPort: dns.port, allow: ['127.0.0.0/8'] })
  t.equal(await reasonOf(dial(dialer, permitFor('absent.test', server.port))), 'resolve-failed')
  t.equal(await reasonOf(dial(dialer, permitFor('there.test', server.port))), 'connected')
})

async function closing<T extends { socket: { destroy(): unknown } }>(
  dialed: Promise<T>,
): Promise<T> {
  const value = await dialed
  value.socket.destroy()
  return value
}
