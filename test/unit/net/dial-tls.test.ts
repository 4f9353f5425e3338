// Proves TLS towards upstreams: verified always, for the name that was decided; every bad certificate has a good twin.

import type { Socket } from 'node:net'
import tls from 'node:tls'

import t, { type Test } from 'tap'

import type { Dialed, Dialer } from '../../../src/net/dial.ts'
import { startDnsServer } from '../../fixtures/dns.ts'
import { makePki, type IssueOptions } from '../../fixtures/pki.ts'
import {
  dial,
  listen,
  listenTls,
  makeDialer,
  permitFor,
  reasonOf,
  sleep,
  until,
  type TestServer,
} from './support.ts'

const DAY_MS = 86_400_000
const pki = makePki()
const stranger = makePki()
const HOSTS = {
  'api.test': ['127.0.0.1'],
  'other.test': ['127.0.0.1'],
  'two.test': ['127.0.0.5', '127.0.0.1'],
  'sub.wild.test': ['127.0.0.1'],
  'a.sub.wild.test': ['127.0.0.1'],
  'wild.test': ['127.0.0.1'],
}

function trusting(limits: { connectTimeoutMs?: number } = {}): Dialer {
  return makeDialer({ hosts: HOSTS, roots: [pki.caPem], limits })
}

/** How a dial to `host` ends where the upstream shows this certificate. */
async function outcome(
  t: Test,
  host: string,
  certificate: { certPem: string; keyPem: string },
): Promise<string> {
  const server = await listenTls(t, { cert: certificate.certPem, key: certificate.keyPem })
  const result = await reasonOf(
    dial(trusting(), permitFor(host, server.port, { tls: true, allowed: ['::1'] })),
  )
  if (result === 'connected') return result
  t.ok(await until(() => server.open() === 0), 'a refused upstream is let go')
  return result
}

void t.test(
  'R46: an upstream whose certificate is not trusted is refused, and its good twin is not',
  async (t) => {
    const leaf = (options: IssueOptions): { certPem: string; keyPem: string } => pki.issue(options)
    const names = ['api.test']
    t.equal(await outcome(t, 'api.test', leaf({ names })), 'connected', 'the good one')
    const bad: Record<string, { certPem: string; keyPem: string }> = {
      expired: leaf({
        names,
        notBefore: new Date(Date.now() - 2 * DAY_MS),
        notAfter: new Date(Date.now() - DAY_MS),
      }),
      'not valid yet': leaf({ names, notBefore: new Date(Date.now() + DAY_MS) }),
      'another name': leaf({ names: ['other.test'] }),
      'a name below': leaf({ names: ['x.api.test'] }),
      'self-signed': leaf({ names, selfSigned: true }),
      'of an unknown CA': stranger.issue({ names }),
      'without a name': leaf({}),
      'with an address only': leaf({ ips: ['127.0.0.1'] }),
      'without its intermediate': leaf({ names, intermediate: 'withheld' }),
      'the CA itself': { certPem: pki.caPem, keyPem: pki.caKeyPem },
    }
    for (const [what, certificate] of Object.entries(bad))
      t.equal(await outcome(t, 'api.test', certificate), 'tls-untrusted', what)
    t.equal(
      await outcome(t, 'api.test', leaf({ names, intermediate: 'sent' })),
      'connected',
      'a whole chain',
    )
  },
)

void t.test('a wildcard stands for one label', async (t) => {
  const certificate = pki.issue({ names: ['*.wild.test'] })
  t.equal(await outcome(t, 'sub.wild.test', certificate), 'connected')
  t.equal(await outcome(t, 'a.sub.wild.test', certificate), 'tls-untrusted')
  t.equal(await outcome(t, 'wild.test', certificate), 'tls-untrusted')
})

void t.test('an address is verified as an address', async (t) => {
  t.equal(await outcome(t, '127.0.0.1', pki.issue({ ips: ['127.0.0.1'] })), 'connected')
  t.equal(await outcome(t, '127.0.0.1', pki.issue({ ips: ['127.0.0.2'] })), 'tls-untrusted')
  t.equal(await outcome(t, '127.0.0.1', pki.issue({ names: ['127.0.0.1'] })), 'tls-untrusted')
  t.equal(await outcome(t, '127.0.0.1', pki.issue({ names: ['api.test'] })), 'tls-untrusted')
  const six = pki.issue({ ips: ['::1'] })
  const server = await listenTls(t, { cert: six.certPem, key: six.keyPem, host: '::1' })
  const permit = permitFor('[::1]', server.port, { tls: true })
  t.equal(await reasonOf(dial(trusting(), permit)), 'connected')
})

void t.test('I2: the name that was decided is the name in SNI; an address has none', async (t) => {
  const certificate = pki.issue({ names: ['api.test'], ips: ['127.0.0.1'] })
  const seen: unknown[] = []
  const server = await listenTls(
    t,
    { cert: certificate.certPem, key: certificate.keyPem, ALPNProtocols: ['h2', 'http/1.1'] },
    (socket) => {
      seen.push([socket.servername, socket.alpnProtocol])
      socket.end()
    },
  )
  for (const host of ['api.test', '127.0.0.1']) {
    const { socket } = await dial(trusting(), permitFor(host, server.port, { tls: true }))
    await new Promise((resolve) => socket.once('end', resolve).resume())
    socket.destroy()
  }
  t.ok(await until(() => seen.length === 2))
  t.strictSame(seen, [
    ['api.test', 'http/1.1'],
    [false, 'http/1.1'],
  ])
})

void t.test('verification cannot be turned off by the environment', async (t) => {
  const before = process.env['NODE_TLS_REJECT_UNAUTHORIZED']
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'
  t.teardown(() => {
    if (before === undefined) delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']
    else process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = before
  })
  t.equal(
    await outcome(t, 'api.test', pki.issue({ names: ['api.test'], selfSigned: true })),
    'tls-untrusted',
  )
  t.equal(await outcome(t, 'api.test', pki.issue({ names: ['other.test'] })), 'tls-untrusted')
})

void t.test('only TLS 1.2 and 1.3 are spoken, and the version is told', async (t) => {
  const { certPem: cert, keyPem: key } = pki.issue({ names: ['api.test'] })
  for (const [version, told] of [
    ['TLSv1.3', '1.3'],
    ['TLSv1.2', '1.2'],
  ] as const) {
    const server = await listenTls(t, { cert, key, minVersion: version, maxVersion: version })
    const { socket, tlsVersion } = await dial(
      trusting(),
      permitFor('api.test', server.port, { tls: true }),
    )
    t.equal(tlsVersion, told)
    socket.destroy()
  }
  const old = await listenTls(t, {
    cert,
    key,
    minVersion: 'TLSv1',
    maxVersion: 'TLSv1.1',
    ciphers: 'DEFAULT:@SECLEVEL=0',
  })
  t.equal(
    await reasonOf(dial(trusting(), permitFor('api.test', old.port, { tls: true }))),
    'tls-failed',
  )
})

void t.test(
  'a peer that speaks no TLS or leaves fails the handshake and nothing else',
  async (t) => {
    const behaviours: Record<string, (socket: Socket) => unknown> = {
      garbage: (socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'),
      'binary garbage': (socket) => socket.write(Buffer.alloc(4096, 0x16)),
      'closes at once': (socket) => socket.end(),
      resets: (socket) => socket.once('data', () => socket.resetAndDestroy()),
      'closes after the hello': (socket) => socket.once('data', () => socket.end()),
    }
    for (const [what, behave] of Object.entries(behaviours)) {
      const server = await listen(t, {
        onSocket: (socket) => {
          socket.resume().once('end', () => socket.end())
          behave(socket)
        },
      })
      t.equal(
        await reasonOf(dial(trusting(), permitFor('api.test', server.port, { tls: true }))),
        'tls-failed',
        what,
      )
      t.ok(await until(() => server.open() === 0), `${what}: let go`)
    }
  },
)

void t.test('a handshake that does not end is given up in time', async (t) => {
  const server = await listen(t)
  t.equal(
    await reasonOf(
      dial(trusting({ connectTimeoutMs: 300 }), permitFor('api.test', server.port, { tls: true })),
    ),
    'connect-timeout',
  )
  t.ok(await until(() => server.open() === 0))
})

void t.test('a wrong certificate at one address is not mended by asking the next', async (t) => {
  const wrong = pki.issue({ names: ['other.test'] })
  const right = pki.issue({ names: ['two.test'] })
  const first = await listenTls(t, { cert: wrong.certPem, key: wrong.keyPem, host: '127.0.0.5' })
  const second = await listenTls(t, { cert: right.certPem, key: right.keyPem, port: first.port })
  const permit = permitFor('two.test', first.port, { tls: true })
  t.equal(await reasonOf(dial(trusting(), permit)), 'tls-untrusted')
  t.equal(second.connections(), 0)
  await first.close()
  t.equal(await reasonOf(dial(trusting(), permit)), 'connected', 'a dead one is passed over')
})

void t.test('a rebound name is refused before any handshake', async (t) => {
  const { certPem: cert, keyPem: key } = pki.issue({ names: ['rebind.test'] })
  const dns = await startDnsServer({ 'rebind.test': [['127.0.0.1'], ['127.0.0.1', '10.0.0.1']] })
  t.teardown(() => dns.close())
  const server = await listenTls(t, { cert, key })
  const dialer = makeDialer({ dnsPort: dns.port, roots: [pki.caPem] })
  const permit = permitFor('rebind.test', server.port, { tls: true })
  t.equal(await reasonOf(dial(dialer, permit)), 'connected')
  t.equal(await reasonOf(dial(dialer, permit)), 'resolved-address-denied')
  t.equal(server.connections(), 1)
})

/** Dials, waits for what the server says so that tickets have arrived, and says whether a session was resumed. */
async function dialAndRead(dialer: Dialer, server: TestServer, taskId: string): Promise<boolean> {
  const permit = permitFor('api.test', server.port, { tls: true, taskId })
  const { socket }: Dialed = await dial(dialer, permit)
  await new Promise((resolve) => socket.once('data', resolve))
  await sleep(10)
  const reused = socket instanceof tls.TLSSocket && socket.isSessionReused()
  socket.destroy()
  return reused
}

void t.test('sessions are resumed within a task and not across tasks', async (t) => {
  const { certPem: cert, keyPem: key } = pki.issue({ names: ['api.test'] })
  for (const maxVersion of ['TLSv1.3', 'TLSv1.2'] as const) {
    const server = await listenTls(t, { cert, key, maxVersion })
    const dialer = trusting()
    t.notOk(await dialAndRead(dialer, server, 't_1'), `${maxVersion}: the first is whole`)
    t.ok(await dialAndRead(dialer, server, 't_1'), `${maxVersion}: the second is resumed`)
    t.notOk(await dialAndRead(dialer, server, 't_2'), `${maxVersion}: another task's is whole`)
  }
})

void t.test('a session of a peer that was not verified is never resumed', async (t) => {
  const wrong = pki.issue({ names: ['other.test'] })
  for (const maxVersion of ['TLSv1.3', 'TLSv1.2'] as const) {
    const server = await listenTls(t, { cert: wrong.certPem, key: wrong.keyPem, maxVersion })
    const dialer = trusting()
    const permit = permitFor('api.test', server.port, { tls: true })
    for (let round = 0; round < 3; round += 1)
      t.equal(await reasonOf(dial(dialer, permit)), 'tls-untrusted', `${maxVersion}, one by one`)
    const together = await Promise.all(
      Array.from({ length: 8 }, () => reasonOf(dial(dialer, permit))),
    )
    t.strictSame([...new Set(together)], ['tls-untrusted'], `${maxVersion}, at once`)
  }
})

void t.test('a resumed session does not outlive its certificate', async (t) => {
  const { certPem: cert, keyPem: key } = pki.issue({
    names: ['api.test'],
    notAfter: new Date(Date.now() + 2500),
  })
  const server = await listenTls(t, { cert, key })
  const dialer = trusting()
  t.notOk(await dialAndRead(dialer, server, 't_1'))
  t.ok(await dialAndRead(dialer, server, 't_1'), 'resumed while it is valid')
  await sleep(2600)
  const permit = permitFor('api.test', server.port, { tls: true })
  t.equal(await reasonOf(dial(dialer, permit)), 'tls-untrusted')
  t.equal(await reasonOf(dial(dialer, permit)), 'tls-untrusted', 'nor afterwards')
})

void t.test('a root that cannot be read is an error at once, never passed over', (t) => {
  for (const [text, says] of [
    ['', /holds no certificate/],
    ['nothing of the kind', /holds no certificate/],
    ['-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', /cannot be read/],
    [pki.caKeyPem, /holds no certificate/],
  ] as const)
    t.throws(() => makeDialer({ roots: [text] }), says)
  t.doesNotThrow(() => makeDialer({ roots: [`# ours\n${pki.caPem}\n# theirs\n${stranger.caPem}`] }))
  t.end()
})

void t.test('both of two roots in one file are trusted', async (t) => {
  const { certPem: cert, keyPem: key } = stranger.issue({ names: ['api.test'] })
  const server = await listenTls(t, { cert, key })
  const permit = permitFor('api.test', server.port, { tls: true })
  const both = makeDialer({ hosts: HOSTS, roots: [`${pki.caPem}\n${stranger.caPem}`] })
  t.equal(await reasonOf(dial(both, permit)), 'connected')
  t.equal(await reasonOf(dial(trusting(), permit)), 'tls-untrusted')
})
