// Proves what the door says of a connection: whom its certificate names, and that nothing is read of it before its turn.

import { mkdtempSync, rmSync } from 'node:fs'
import net, { type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import tls from 'node:tls'

import t, { type Test } from 'tap'

import { DEFAULT_LIMITS } from '../../../src/limits.ts'
import { TlsDoor, type Entry } from '../../../src/listen/tls-door.ts'
import { loadOrMakeCa } from '../../../src/tls/ca.ts'
import { LeafServers } from '../../../src/tls/contexts.ts'
import { makePki } from '../../fixtures/pki.ts'
import { portOf } from '../../fixtures/port.ts'

const ID = 'spiffe://acme/agent/triage'
const directory = mkdtempSync(path.join(tmpdir(), 'sallyport-door-'))
t.teardown(() => rmSync(directory, { recursive: true }))
const workloads = makePki()
const ca = loadOrMakeCa({
  dir: path.join(directory, 'certs'),
  keyFile: path.join(directory, 'ca.key'),
  lifetimeMs: 86_400_000,
  now: Date.now,
})

interface Admitted {
  readonly port: number
  /** What became of the next connection. */
  next(): Promise<Entry | undefined>
}

async function openDoor(t: Test, mintsPerSecond = 200): Promise<Admitted> {
  const limits = { ...DEFAULT_LIMITS, mintsPerSecond, handshakeTimeoutMs: 300 }
  const door = new TlsDoor({
    leafServers: new LeafServers({ authorityFor: () => ca, limits, now: Date.now }),
    clientCa: workloads.caPem,
    firstByteTimeoutMs: 300,
  })
  const entries: Promise<Entry | undefined>[] = []
  const sockets = new Set<Socket>()
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => socket.destroy())
    sockets.add(socket)
    entries.push(door.admit(socket))
    server.emit('entry')
  })
  server.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return {
    port: portOf(server),
    async next() {
      if (entries.length === 0) await new Promise((resolve) => server.once('entry', resolve))
      return entries.shift()
    },
  }
}

function dial(t: Test, port: number, bytes?: string): Socket {
  const socket = net.connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  t.teardown(() => socket.destroy())
  if (bytes !== undefined) socket.write(bytes)
  return socket
}

function dialTls(t: Test, port: number, more: tls.ConnectionOptions = {}): tls.TLSSocket {
  const socket = tls.connect({ host: '127.0.0.1', port, ca: ca.certPem, ...more })
  socket.on('error', () => undefined)
  t.teardown(() => socket.destroy())
  return socket
}

const credentials = (uris: string[]): tls.ConnectionOptions => {
  const { certPem, keyPem } = workloads.issue({ uris, usage: 'clientAuth' })
  return { cert: certPem, key: keyPem }
}

void t.test('the certificate of a client names the subject of its calls', async (t) => {
  const door = await openDoor(t)
  for (const servername of ['', 'proxy.acme.test']) {
    const named = servername === '' ? {} : { servername }
    const client = dialTls(t, door.port, { ...credentials([ID]), ...named })
    client.write('GET')
    const entry = await door.next()
    t.equal(entry?.certificateSubject, ID)
    t.equal(entry?.refusal, undefined)
    const read = new Promise((resolve) => entry?.socket.once('data', resolve))
    entry?.socket.resume()
    t.equal(String(await read), 'GET', 'nothing was read of it')
  }
})

void t.test('who shows none is nobody, and who shows a bad one is refused', async (t) => {
  const door = await openDoor(t)
  dialTls(t, door.port)
  const nobody = await door.next()
  t.ok(nobody?.socket instanceof tls.TLSSocket)
  t.strictSame([nobody?.certificateSubject, nobody?.refusal], [undefined, undefined])
  dialTls(t, door.port, credentials([ID, `${ID}/2`]))
  const refused = await door.next()
  t.equal(refused?.certificateSubject, undefined)
  t.match(refused?.refusal, {
    reason: 'identity-unknown',
    detail: { certificate: 'no-spiffe-id' },
  })
})

void t.test('a plain connection is handed on with its first bytes', async (t) => {
  const door = await openDoor(t)
  const client = dial(t, door.port, 'GET / HTTP/1.1\r\n')
  const entry = await door.next()
  t.ok(entry && !(entry.socket instanceof tls.TLSSocket))
  const read = new Promise((resolve) => entry?.socket.once('data', resolve))
  const end = new Promise((resolve) => entry?.socket.once('end', () => resolve('end')))
  entry?.socket.resume()
  t.equal(String(await read), 'GET / HTTP/1.1\r\n')
  client.end()
  t.equal(await end, 'end', 'and its end is told behind them')
})

void t.test('who leaves or fails has left, and who is silent is told so', async (t) => {
  const door = await openDoor(t)
  dial(t, door.port).end()
  t.equal(await door.next(), undefined)
  const leaving = dial(t, door.port)
  await new Promise((resolve) => leaving.once('connect', resolve))
  leaving.resetAndDestroy()
  t.equal(await door.next(), undefined)
  dial(t, door.port, '\x16nonsense')
  t.equal(await door.next(), undefined)
  dial(t, door.port, '\x16\x03\x01')
  t.equal(await door.next(), undefined, 'it does not go on')
  dial(t, door.port)
  t.match((await door.next())?.refusal, { reason: 'head-timeout' })
})

void t.test('beyond the bound of mints nobody is let in', async (t) => {
  const door = await openDoor(t, 1)
  dialTls(t, door.port, { servername: 'one.test' })
  t.equal(await door.next(), undefined, 'one for the address, none is left for the name')
  await new Promise((resolve) => {
    setTimeout(resolve, 1100)
  })
  dialTls(t, door.port, { servername: 'one.test' })
  t.ok(await door.next(), 'the twin')
})
