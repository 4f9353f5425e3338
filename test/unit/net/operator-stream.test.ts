// The operator's streams of bytes: what is shown and trusted by TLS, a greeting before it, and both ends of a connection.

import type net from 'node:net'
import tls from 'node:tls'

import t, { type Test } from 'tap'

import { issueOperatorPermit } from '../../../src/net/issue-operator.ts'
import {
  streamOpener,
  type OperatorStream,
  type StreamOptions,
} from '../../../src/net/operator-stream.ts'
import type { TlsClient } from '../../../src/net/upstream-tls.ts'
import { normalizeHost } from '../../../src/wire/authority.ts'
import { makePki } from '../../fixtures/pki.ts'
import { listen, listenTls, makeDialer, reasonOf } from './support.ts'

const pki = makePki()
const server = pki.issue({ names: ['receiver.test'] })
const identity = { cert: server.certPem, key: server.keyPem }
const hosts = { 'receiver.test': ['127.0.0.1'], 'other.test': ['127.0.0.1'] }
const trusting: TlsClient = { protocols: [], roots: [pki.caPem] }

function open(
  port: number,
  options: Partial<StreamOptions> & { readonly host?: string; readonly tls?: boolean } = {},
): Promise<OperatorStream> {
  const { host = 'receiver.test', tls: isSecure = true, ...more } = options
  const permit = issueOperatorPermit({
    purpose: 'sinks.test',
    endpoint: { ...normalizeHost(host), port },
    tls: isSecure,
  })
  const opener = streamOpener(makeDialer({ hosts }), permit, { client: () => trusting, ...more })
  return opener(new AbortController().signal)
}

/** What a stream says until its end. */
async function readAll(stream: OperatorStream): Promise<string> {
  let text = ''
  for (;;) {
    const chunk = await stream.read()
    if (chunk === undefined) return text
    text += chunk.toString()
  }
}

/** A server that says a line in the clear and then goes on by TLS. */
async function listenGreeting(t: Test, greeting: string): Promise<{ port: number }> {
  return listen(t, {
    onSocket: (socket) => {
      socket.write(greeting)
      const secure = new tls.TLSSocket(socket, { isServer: true, ...identity })
      secure.on('error', () => undefined)
      secure.on('data', (chunk: Buffer) => secure.end(`got ${chunk.toString()}`))
    },
  })
}

void t.test('bytes go each way, and each side ends by itself', async (t) => {
  const { port } = await listenTls(t, identity, (socket) => {
    socket.on('data', (chunk: Buffer) => socket.write(chunk.toString().toUpperCase()))
    socket.on('end', () => socket.end())
  })
  const stream = await open(port)
  await stream.write(Buffer.from('hello'))
  t.equal((await stream.read())?.toString(), 'HELLO')
  stream.end()
  t.equal(await stream.read(), undefined)
  await t.rejects(stream.write(Buffer.from('more')))
})

void t.test('what is broken off fails whoever waits for it', async (t) => {
  const { port } = await listen(t, { onSocket: (socket) => socket.pause() })
  const stream = await open(port, { tls: false })
  const waiting = [stream.read(), stream.write(Buffer.alloc(64 * 1024 * 1024))]
  stream.abort()
  const ends = await Promise.allSettled(waiting)
  t.strictSame(
    ends.map(({ status }) => status),
    ['rejected', 'rejected'],
  )
})

void t.test('R54: the name and the chain of a receiver are verified always', async (t) => {
  const { port } = await listenTls(t, identity)
  t.equal(await reasonOf(open(port, { client: () => ({ protocols: [] }) })), 'tls-untrusted')
  t.equal(await reasonOf(open(port, { host: 'other.test' })), 'tls-untrusted')
  const stream = await open(port)
  t.equal((await stream.read())?.toString(), 'ok', 'its root makes it trusted')
  stream.abort()
})

void t.test('roots of one stream are those of no other', async (t) => {
  const { port } = await listenTls(t, identity)
  const dialer = makeDialer({ hosts })
  const permit = issueOperatorPermit({
    purpose: 'sinks.same',
    endpoint: { ...normalizeHost('receiver.test'), port },
    tls: true,
  })
  const { signal } = new AbortController()
  for (let round = 0; round < 3; round += 1) {
    const stream = await streamOpener(dialer, permit, { client: () => trusting })(signal)
    await stream.read()
    stream.abort()
    const bare = streamOpener(dialer, permit, { client: () => ({ protocols: [] }) })
    t.equal(await reasonOf(bare(signal)), 'tls-untrusted', 'nor its sessions')
  }
})

void t.test('a certificate is shown to a receiver that asks for one', async (t) => {
  const shown = pki.issue({ names: ['sidecar.test'], usage: 'clientAuth' })
  const { port } = await listenTls(
    t,
    { ...identity, requestCert: true, rejectUnauthorized: true, ca: pki.caPem },
    (socket) => socket.end(String(socket.getPeerCertificate().subjectaltname)),
  )
  const certificate = { certPem: shown.certPem, keyPem: shown.keyPem }
  const stream = await open(port, { client: () => ({ ...trusting, certificate }) })
  t.equal(await readAll(stream), 'DNS:sidecar.test')
  const bare = await open(port)
  await t.rejects(readAll(bare), 'without one nothing is said')
  const other = pki.issue({ names: ['sidecar.test'] }).keyPem
  const wrong = { ...trusting, certificate: { ...certificate, keyPem: other } }
  t.match(await reasonOf(open(port, { client: () => wrong })), /^tls-/, 'a key of another')
})

void t.test('no protocol is offered where there is none', async (t) => {
  const seen: unknown[] = []
  const { port } = await listenTls(
    t,
    {
      ...identity,
      ALPNCallback: ({ protocols }) => {
        seen.push(protocols)
        return undefined
      },
    },
    (socket) => socket.end('ok'),
  )
  t.equal(await readAll(await open(port)), 'ok')
  t.strictSame(seen, [])
})

void t.test('a greeting in the clear is read first, and TLS begins behind it', async (t) => {
  const { port } = await listenGreeting(t, 'INFO {}\r\n')
  const stream = await open(port, { greetingBytesMax: 100 })
  t.equal((await stream.read())?.toString(), 'INFO {}\r\n')
  await stream.write(Buffer.from('secret'))
  t.equal(await readAll(stream), 'got secret')
})

void t.test('R54: nothing but one bounded line is taken before TLS', async (t) => {
  for (const [greeting, why] of [
    ['INFO {}\r\nPING\r\n', 'a second line would be taken for the verified server’s'],
    [`INFO ${'x'.repeat(200)}\r\n`, 'too long'],
    ['x'.repeat(200), 'no line'],
  ] as const) {
    const { port } = await listenGreeting(t, greeting)
    t.equal(await reasonOf(open(port, { greetingBytesMax: 100 })), 'tls-failed', why)
  }
  const { port } = await listen(t, { onSocket: (socket) => socket.end() })
  t.equal(await reasonOf(open(port, { greetingBytesMax: 100 })), 'tls-failed', 'closed before it')
  const clear = await listen(t, { onSocket: (socket: net.Socket) => socket.write('INFO {}\r\n') })
  const permit = issueOperatorPermit({
    purpose: 'sinks.test',
    endpoint: { ...normalizeHost('receiver.test'), port: clear.port },
    tls: true,
  })
  const dialer = makeDialer({ hosts, limits: { connectTimeoutMs: 300 } })
  const opener = streamOpener(dialer, permit, { client: () => trusting, greetingBytesMax: 100 })
  const { signal } = new AbortController()
  t.match(await reasonOf(opener(signal)), /^(connect-timeout|tls-failed)$/, 'no TLS behind it')
})
