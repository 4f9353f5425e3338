// Proves what goes through a proxy above: checked addresses or names, TLS end to end inside, what the proxy refuses and how it
// may misbehave; and what does not go through it.

import net, { type Socket } from 'node:net'
import tls from 'node:tls'

import t, { type Test } from 'tap'

import { makeSecret } from '../../../src/credentials/vault.ts'
import { EgressError } from '../../../src/errors.ts'
import { issueOperatorPermit } from '../../../src/net/issue-operator.ts'
import type { ProxyAbove } from '../../../src/net/proxy-above.ts'
import { normalizeHost } from '../../../src/wire/authority.ts'
import {
  startConnectProxy,
  type ConnectProxy,
  type ConnectProxyOptions,
} from '../../fixtures/connect-proxy.ts'
import { makePki } from '../../fixtures/pki.ts'
import { dial, listen, listenTls, makeDialer, permitFor, reasonOf, until } from './support.ts'

const pki = makePki()
const PASSWORD = 'above-password-2f9a'
const LOGIN = `Basic ${Buffer.from(`us:${PASSWORD}`).toString('base64')}`

function above(
  { port }: Pick<ConnectProxy, 'port'>,
  more: Partial<Omit<ProxyAbove, 'permit'>> & { host?: string; tls?: boolean } = {},
): ProxyAbove {
  const { host = '127.0.0.1', tls: secure = false, connectBy = 'address', auth } = more
  return {
    permit: issueOperatorPermit({
      purpose: 'upstream.proxy',
      endpoint: { ...normalizeHost(host), port },
      tls: secure,
    }),
    connectBy,
    auth,
  }
}

async function proxy(t: Test, options: ConnectProxyOptions = {}): Promise<ConnectProxy> {
  const started = await startConnectProxy(options)
  t.teardown(() => started.close())
  return started
}

const withPassword = {
  auth: { user: 'us', secret: () => Promise.resolve(makeSecret('upstream.proxy', PASSWORD)) },
}

/** The failure of an attempt. */
async function failureOf(attempt: Promise<unknown>): Promise<EgressError> {
  const error = await attempt.then(
    () => new Error('it connected'),
    (failure: unknown) => failure,
  )
  if (error instanceof EgressError) return error
  throw error
}

function firstBytes(socket: Socket): Promise<string> {
  return new Promise((resolve) => socket.once('data', (chunk: Buffer) => resolve(chunk.toString())))
}

void t.test(
  'I2: the proxy is asked for the address that was checked, never for the name',
  async (t) => {
    const server = await listen(t, { onSocket: (socket) => socket.write('here') })
    const way = await proxy(t)
    const dialer = makeDialer({ hosts: { 'api.test': ['127.0.0.1'] }, above: above(way) })
    const dialed = await dial(dialer, permitFor('api.test', server.port))
    t.equal(await firstBytes(dialed.socket), 'here', 'a server may speak first')
    t.match(dialed, { address: '127.0.0.1', port: server.port, connectBy: 'address' })
    t.equal(dialed.socket.remotePort, way.port)
    t.equal(
      way.asked[0]?.text,
      `CONNECT 127.0.0.1:${server.port} HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\n\r\n`,
    )
    dialed.socket.destroy()
    const denied = permitFor('api.test', server.port, { denied: ['127.0.0.0/8'] })
    t.equal(await reasonOf(dial(dialer, denied)), 'resolved-address-denied')
    t.equal(way.asked.length, 1, 'nobody was asked for an address that may not be dialed')
  },
)

void t.test(
  'an address that the proxy does not reach is not the end: the next one is tried',
  async (t) => {
    const server = await listen(t)
    const outcomes: string[] = []
    const way = await proxy(t)
    const dialer = makeDialer({
      hosts: { 'two.test': ['127.0.0.5', '127.0.0.1'] },
      above: above(way),
      onDial: (outcome) => outcomes.push(outcome),
    })
    const { socket, address } = await dial(dialer, permitFor('two.test', server.port))
    socket.destroy()
    t.equal(address, '127.0.0.1')
    t.strictSame(outcomes, ['failed', 'connected'], 'the way to the proxy is not counted')
    t.match(await failureOf(dial(dialer, permitFor('[::1]', server.port))), {
      reason: 'dial-failed',
      detail: { proxy: 502 },
    })
    t.match(way.asked.at(-1)?.target, `[::1]:${server.port}`)
  },
)

void t.test(
  'by name the proxy is asked for the name, and nobody is asked for its addresses',
  async (t) => {
    const server = await listen(t)
    const way = await proxy(t)
    const dialer = makeDialer({ above: above(way, { connectBy: 'name' }), allow: [] })
    const dialed = await dial(dialer, permitFor('nowhere.test', server.port))
    dialed.socket.destroy()
    t.equal(dialed.address, undefined)
    t.equal(dialed.connectBy, 'name')
    t.equal(way.asked[0]?.target, `nowhere.test:${server.port}`)
    const literal = await dial(dialer, permitFor('127.0.0.1', server.port))
    literal.socket.destroy()
    t.equal(literal.address, '127.0.0.1', 'an address is known as it is')
    t.equal(
      await reasonOf(
        dial(dialer, permitFor('127.0.0.1', server.port, { denied: ['127.0.0.0/8'] })),
      ),
      'resolved-address-denied',
      'and is checked',
    )
    t.equal(
      await reasonOf(dial(dialer, permitFor('169.254.169.254', 80))),
      'resolved-address-denied',
    )
    for (const name of ['localhost', 'db.localhost'])
      t.equal(await reasonOf(dial(dialer, permitFor(name, server.port))), 'resolved-address-denied')
    const listed = permitFor('localhost', server.port, { allowed: ['127.0.0.1/32'] })
    t.equal(await reasonOf(dial(dialer, listed)), 'connected')
    t.equal(way.asked.length, 3)
  },
)

void t.test(
  'TLS with the destination is end to end, through a proxy in the clear and by TLS',
  async (t) => {
    const leaf = pki.issue({ names: ['api.test'] })
    const server = await listenTls(t, { cert: leaf.certPem, key: leaf.keyPem })
    const stranger = makePki().issue({ names: ['api.test'] })
    const untrusted = await listenTls(t, { cert: stranger.certPem, key: stranger.keyPem })
    const hosts = { 'api.test': ['127.0.0.1'], 'above.test': ['127.0.0.1'] }
    const own = pki.issue({ names: ['above.test'] })
    for (const secure of [false, true])
      for (const connectBy of ['address', 'name'] as const) {
        const way = await proxy(t, secure ? { tls: own } : {})
        const through = above(way, { connectBy, tls: secure, host: 'above.test', ...withPassword })
        const dialer = makeDialer({ hosts, roots: [pki.caPem], above: through })
        const dialed = await dial(dialer, permitFor('api.test', server.port, { tls: true }))
        t.ok(dialed.socket instanceof tls.TLSSocket)
        t.equal(await firstBytes(dialed.socket), 'ok')
        t.equal(dialed.tlsVersion, '1.3')
        t.match(way.asked[0]?.text, `\r\nProxy-Authorization: ${LOGIN}\r\n`)
        dialed.socket.destroy()
        t.ok(await until(() => way.open() === 0), 'what is closed is closed all the way')
        t.equal(
          await reasonOf(dial(dialer, permitFor('api.test', untrusted.port, { tls: true }))),
          'tls-untrusted',
        )
      }
  },
)

void t.test('the proxy itself is verified where it is reached by TLS', async (t) => {
  const server = await listen(t)
  const hosts = { 'above.test': ['127.0.0.1'] }
  const other = pki.issue({ names: ['other.test'] })
  const way = await proxy(t, { tls: other })
  const dialer = makeDialer({
    hosts,
    roots: [pki.caPem],
    above: above(way, { tls: true, host: 'above.test' }),
  })
  t.match(await failureOf(dial(dialer, permitFor('127.0.0.1', server.port))), {
    reason: 'dial-failed',
    detail: { proxy: 'tls-untrusted' },
  })
  t.equal(way.asked.length, 0, 'it was told nothing')
})

const PADDING = `X: ${'a'.repeat(1000)}\r\n`.repeat(100)
const MISBEHAVIOURS: Readonly<Record<string, [answer: string, proxy: string | number]>> = {
  'asks for another proof': ['HTTP/1.1 407 P\r\nProxy-Authenticate: Basic\r\n\r\n', 407],
  refuses: ['HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nevil', 403],
  'fails with a chunked body': [
    'HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n',
    503,
  ],
  redirects: ['HTTP/1.1 302 Found\r\nLocation: http://evil.test/\r\n\r\n', 302],
  'switches protocols': ['HTTP/1.1 101 Switching\r\nUpgrade: evil\r\n\r\n', 101],
  'says bytes behind its 200': ['HTTP/1.1 200 OK\r\n\r\nevil', 'bytes behind its answer'],
  'says a body with its 200': [
    'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil',
    'bytes behind its answer',
  ],
  'says nothing that can be read': ['SSH-2.0-OpenSSH_9\r\n\r\n', 'unreadable'],
  'says another version': ['HTTP/2 200\r\n\r\n', 'unreadable'],
  'says two heads in one field': ['HTTP/1.1 200 OK\r\nA: b\nHTTP/1.1 200\r\n\r\n', 'unreadable'],
  'says a head without end': [`HTTP/1.1 200 OK\r\n${PADDING}`, 'unreadable'],
  'says interim answers without end': ['HTTP/1.1 100 Continue\r\n\r\n'.repeat(9), 'unreadable'],
  closes: ['', 'closed'],
  'closes within its head': ['HTTP/1.1 200 OK\r\nA: ', 'closed'],
}

void t.test(
  'what the proxy answers itself reaches nobody, and says why the call failed',
  async (t) => {
    const leaf = pki.issue({ names: ['api.test'] })
    const server = await listenTls(t, { cert: leaf.certPem, key: leaf.keyPem })
    const hosts = { 'api.test': ['127.0.0.1'] }
    for (const [name, [answer, told]] of Object.entries(MISBEHAVIOURS)) {
      const way = await proxy(t, { answer: (socket) => socket.end(answer) })
      const dialer = makeDialer({ hosts, roots: [pki.caPem], above: above(way) })
      const attempt = dial(dialer, permitFor('api.test', server.port, { tls: true }))
      const { reason, detail } = await failureOf(attempt)
      t.strictSame([reason, detail['proxy']], ['dial-failed', told], `one that ${name}`)
      t.ok(await until(() => way.open() === 0), 'and it is let go')
    }
    t.equal(server.connections(), 0)
  },
)

void t.test(
  'what a tunnel is granted with may be odd, where it takes nothing from the tunnel',
  async (t) => {
    const server = await listenTls(t, { ...pemOf('api.test') })
    const hosts = { 'api.test': ['127.0.0.1'] }
    const granted = [
      'HTTP/1.0 200 Connection established\r\n\r\n',
      'HTTP/1.1 204\r\nContent-Length: 0\r\n\r\n',
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\n\r\n',
      // To be ignored: RFC 9110 section 9.3.6.
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
    ]
    for (const head of granted) {
      const way = await proxy(t, { answer: (_socket, _asked, pass) => pass(head) })
      const dialer = makeDialer({ hosts, roots: [pki.caPem], above: above(way) })
      const attempt = dial(dialer, permitFor('api.test', server.port, { tls: true }))
      t.equal(await reasonOf(attempt), 'connected', head)
    }
    // Where nothing is verified inside, a body would be taken for what the destination says.
    const way = await proxy(t, { answer: (_socket, _asked, pass) => pass(granted[3]) })
    const dialer = makeDialer({ hosts, above: above(way) })
    t.match(await failureOf(dial(dialer, permitFor('api.test', server.port))), {
      reason: 'dial-failed',
      detail: { proxy: 'a body behind its answer' },
    })
  },
)

void t.test(
  'a proxy that does not answer costs its time and no more, and a call that ends ends it',
  async (t) => {
    const way = await proxy(t, {
      answer: (socket) => {
        const timer = setInterval(() => socket.write('H'), 50)
        socket.on('close', () => clearInterval(timer))
      },
    })
    const limits = { connectTimeoutMs: 1200 }
    const hosts = { 'two.test': ['127.0.0.1', '127.0.0.2'] }
    const silent = await proxy(t, { answer: (socket) => socket.on('end', () => socket.end()) })
    for (const port of [way.port, silent.port]) {
      const dialer = makeDialer({ limits, hosts, above: above({ port }) })
      const { reason } = await failureOf(dial(dialer, permitFor('two.test', 443)))
      t.ok(port === way.port || reason === 'connect-timeout', reason)
    }
    t.equal(silent.asked.length, 2, 'each address has its share')
    const asked = silent.asked.length
    const abort = new AbortController()
    const patient = makeDialer({ above: above(silent) })
    const attempt = failureOf(dial(patient, permitFor('127.0.0.1', 443), abort.signal))
    t.ok(await until(() => silent.asked.length === asked + 1))
    abort.abort()
    t.equal((await attempt).reason, 'client-gone')
    t.ok(await until(() => silent.open() === 0))
  },
)

void t.test('a proxy that is not there is told apart from a destination that is not', async (t) => {
  const closed = await listen(t)
  await closed.close()
  const hosts = { 'two.test': ['127.0.0.1', '127.0.0.2'] }
  const absent = makeDialer({ hosts, above: above(closed) })
  t.match(await failureOf(dial(absent, permitFor('two.test', 443))), {
    reason: 'dial-failed',
    detail: { proxy: 'dial-failed', code: 'ECONNREFUSED' },
  })
  const dialer = makeDialer({ above: above(closed, { host: 'unknown.invalid' }) })
  t.match(await failureOf(dial(dialer, permitFor('127.0.0.1', 443))), {
    reason: 'dial-failed',
    detail: { proxy: 'resolve-failed' },
  })
})

void t.test('a proxy that is this sidecar is never dialed', async (t) => {
  const way = await proxy(t)
  const own = [{ host: '0.0.0.0', port: way.port }]
  const dialer = makeDialer({ own, above: above(way) })
  t.equal(await reasonOf(dial(dialer, permitFor('127.0.0.1', 443))), 'loop-detected')
  t.equal(way.asked.length, 0)
})

void t.test('a wrong password is not tried again at the next address', async (t) => {
  const way = await proxy(t, { authorization: 'Basic other' })
  const hosts = { 'two.test': ['127.0.0.1', '127.0.0.2'] }
  const dialer = makeDialer({ hosts, above: above(way, withPassword) })
  const { reason, detail, message } = await failureOf(dial(dialer, permitFor('two.test', 443)))
  t.strictSame([reason, detail['proxy']], ['dial-failed', 407])
  t.notMatch(message + JSON.stringify(detail), PASSWORD)
  t.equal(way.asked.length, 1)
})

void t.test(
  'by name, cleartext requests are sent on in absolute form with the password on that hop',
  async (t) => {
    const way = await proxy(t, { authorization: LOGIN })
    const dialer = makeDialer({ above: above(way, { connectBy: 'name', ...withPassword }) })
    const { signal } = new AbortController()
    const plain = permitFor('api.test', 80)
    const dialed = await dialer.dial(plain, { tls: false, signal, forRequests: true })
    t.equal(way.asked.length, 0, 'no tunnel is asked for')
    const head = dialed.addressHead?.({ target: '/a?b', headers: ['Host', 'api.test'] })
    t.strictSame(head, {
      target: 'http://api.test/a?b',
      headers: ['Host', 'api.test', 'Proxy-Authorization', LOGIN],
    })
    dialed.socket.destroy()
    const tunnel = await dial(
      makeDialer({ above: above(await proxy(t), { connectBy: 'name' }) }),
      permitFor('api.test', (await listen(t)).port),
    )
    t.equal(tunnel.addressHead, undefined, 'what is no request goes through a tunnel')
    tunnel.socket.destroy()
  },
)

void t.test('what the operator dials goes out by itself', async (t) => {
  const server = await listen(t)
  const way = await proxy(t)
  const dialer = makeDialer({ above: above(way) })
  const endpoint = { ...normalizeHost('127.0.0.1'), port: server.port }
  const permit = issueOperatorPermit({ purpose: 'sinks.0.http', endpoint, tls: false })
  const { socket, connectBy } = await dial(dialer, permit)
  t.equal(connectBy, undefined)
  t.equal(socket.remotePort, server.port)
  socket.destroy()
  t.equal(way.asked.length, 0)
})

void t.test('the two halves of a tunnel end apart, also through a proxy by TLS', async (t) => {
  const own = pki.issue({ names: ['above.test'] })
  for (const secure of [false, true]) {
    const server = await listen(t, {
      onSocket: (socket) =>
        socket.resume().on('end', () => setTimeout(() => socket.end('last words'), 20)),
    })
    const way = await proxy(t, secure ? { tls: own } : {})
    const dialer = makeDialer({
      hosts: { 'above.test': ['127.0.0.1'] },
      roots: [pki.caPem],
      above: above(way, { tls: secure, host: 'above.test' }),
    })
    const { socket } = await dial(dialer, permitFor('127.0.0.1', server.port))
    t.ok(socket instanceof net.Socket)
    socket.end()
    t.equal(await firstBytes(socket), 'last words')
    socket.destroy()
  }
})

function pemOf(name: string): { cert: string; key: string } {
  const { certPem, keyPem } = pki.issue({ names: [name] })
  return { cert: certPem, key: keyPem }
}
