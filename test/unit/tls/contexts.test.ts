// Proves the servers for intercepted hosts: one flight a host, bounded, renewed, resumable, and nothing a client sends ends
// the process.

import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import net, { type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import tls from 'node:tls'

import t, { type Test } from 'tap'

import { EgressError } from '../../../src/errors.ts'
import { DEFAULT_LIMITS, type Limits } from '../../../src/limits.ts'
import { loadOrMakeCa, type Ca } from '../../../src/tls/ca.ts'
import { LeafServers, type LeafServersOptions } from '../../../src/tls/contexts.ts'
import { normalizeHost } from '../../../src/wire/authority.ts'
import { portOf } from '../../fixtures/port.ts'

const DAY_MS = 86_400_000
const dir = mkdtempSync(path.join(tmpdir(), 'sallyport-leaf-'))
t.teardown(() => rmSync(dir, { recursive: true }))

function makeCa(name = 'ca', lifetimeMs = 30 * DAY_MS): Ca {
  return loadOrMakeCa({
    dir: path.join(dir, name, 'certs'),
    keyFile: path.join(dir, name, 'state/ca.key'),
    lifetimeMs,
    now: Date.now,
  })
}

const ca = makeCa()

function makeServers(
  options: {
    limits?: Partial<Limits>
    now?: () => number
    ca?: LeafServersOptions['authorityFor']
  } = {},
): { servers: LeafServers; minted: () => number } {
  let minted = 0
  const servers = new LeafServers({
    authorityFor: options.ca ?? (() => ca),
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    now: options.now ?? Date.now,
    onMint: () => (minted += 1),
  })
  return { servers, minted: () => minted }
}

const serverFor = (servers: LeafServers, host: string, taskId?: string): tls.Server =>
  servers.serverFor(normalizeHost(host), taskId)

function reasonOf(act: () => unknown): string {
  try {
    act()
    return 'served'
  } catch (error) {
    if (error instanceof EgressError) return error.reason
    throw error
  }
}

/** A door that hands each accepted socket to the host's server, as the proxy does. */
async function openDoor(
  t: Test,
  host: () => tls.Server,
): Promise<{
  port: number
  open: () => number
  accepted: () => number
  errors: Error[]
}> {
  const errors: Error[] = []
  const open = new Set<Socket>()
  let accepted = 0
  const prepared = new Set<tls.Server>()
  const door = net.createServer((raw) => {
    open.add(raw)
    accepted += 1
    raw.on('error', () => undefined)
    raw.on('close', () => open.delete(raw))
    const server = host()
    if (!prepared.has(server)) {
      prepared.add(server)
      server.on('secureConnection', (socket) => {
        socket.on('error', (error) => errors.push(error))
        socket.end('hello')
      })
      server.on('tlsClientError', (error, socket) => {
        errors.push(error)
        socket.destroy()
      })
    }
    server.emit('connection', raw)
  })
  await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of open) socket.destroy()
    door.close()
  })
  return {
    port: portOf(door),
    open: () => open.size,
    accepted: () => accepted,
    errors,
  }
}

interface Greeted {
  readonly certificate: X509Certificate
  readonly reused: boolean
  readonly session: Buffer | undefined
  readonly text: string
  readonly protocol: string | null
  readonly alpn: string | false | null
}

/** A client that trusts the CA, completes the handshake and reads to the end. */
function greet(port: number, options: tls.ConnectionOptions = {}): Promise<Greeted> {
  return new Promise((resolve, reject) => {
    let session: Buffer | undefined
    let text = ''
    const socket = tls.connect({
      host: '127.0.0.1',
      port,
      servername: 'api.test',
      ca: ca.certPem,
      ...options,
    })
    socket.on('error', reject)
    socket.on('session', (ticket: Buffer) => (session = ticket))
    let seen: Omit<Greeted, 'session' | 'text'>
    socket.on('secureConnect', () => {
      seen = {
        certificate: new X509Certificate(
          socket.isSessionReused() ? ca.certPem : socket.getPeerCertificate().raw,
        ),
        reused: socket.isSessionReused(),
        protocol: socket.getProtocol(),
        alpn: socket.alpnProtocol,
      }
    })
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
    socket.on('end', () => {
      socket.destroy()
      resolve({ ...seen, session, text })
    })
  })
}

async function until(condition: () => boolean): Promise<boolean> {
  for (let left = 200; left > 0 && !condition(); left -= 1)
    await new Promise((resolve) => {
      setTimeout(resolve, 10)
    })
  return condition()
}

void t.test('a host has one server, minted once however often it is asked for', (t) => {
  const { servers, minted } = makeServers()
  const first = serverFor(servers, 'api.test')
  for (let round = 0; round < 50; round += 1) t.equal(serverFor(servers, 'API.test.'), first)
  t.equal(minted(), 1)
  t.not(serverFor(servers, 'other.test'), first)
  t.not(serverFor(servers, '127.0.0.1'), first)
  t.equal(minted(), 3)
  t.notOk(first.listening, 'it never listens')
  t.end()
})

void t.test('a client that trusts the CA is served in the name of the host', async (t) => {
  const { servers } = makeServers()
  const door = await openDoor(t, () => serverFor(servers, 'api.test'))
  const { certificate, text, protocol, alpn } = await greet(door.port, {
    ALPNProtocols: ['h2', 'http/1.1'],
  })
  t.equal(text, 'hello')
  t.equal(certificate.subjectAltName, 'DNS:api.test')
  t.equal(protocol, 'TLSv1.3')
  t.equal(alpn, 'http/1.1', 'whatever else is offered')
  t.equal((await greet(door.port, { maxVersion: 'TLSv1.2' })).protocol, 'TLSv1.2')
  await t.rejects(
    greet(door.port, { ca: tls.rootCertificates[0]! }),
    /unable to verify/,
    'not without it',
  )
  await t.rejects(greet(door.port, { servername: 'other.test' }), {
    code: 'ERR_TLS_CERT_ALTNAME_INVALID',
  })
})

void t.test('a client without SNI is served too', async (t) => {
  const { servers } = makeServers()
  const door = await openDoor(t, () => serverFor(servers, '127.0.0.1'))
  t.equal((await greet(door.port, { servername: '', host: '127.0.0.1' })).text, 'hello')
})

void t.test('a cached host resumes sessions, of both versions', async (t) => {
  const { servers, minted } = makeServers()
  const door = await openDoor(t, () => serverFor(servers, 'api.test'))
  for (const maxVersion of ['TLSv1.3', 'TLSv1.2'] as const) {
    const first = await greet(door.port, { maxVersion })
    t.notOk(first.reused)
    t.ok(first.session)
    const second = await greet(door.port, { maxVersion, session: first.session! })
    t.ok(second.reused, maxVersion)
    t.equal(second.text, 'hello')
  }
  t.equal(minted(), 1)
  const other = await openDoor(t, () => serverFor(servers, 'other.test'))
  const { session } = await greet(door.port)
  const elsewhere = await greet(other.port, {
    session: session!,
    checkServerIdentity: () => undefined,
  })
  t.notOk(elsewhere.reused, "one host's session is worth nothing at another")
})

void t.test(
  'I7: minting is bounded a second: beyond it is busy, the next second it goes on',
  (t) => {
    let now = 1_800_000_000_000
    const { servers, minted } = makeServers({ limits: { mintsPerSecond: 3 }, now: () => now })
    const cached = serverFor(servers, 'n0.test')
    serverFor(servers, 'n1.test')
    serverFor(servers, 'n2.test')
    t.equal(
      reasonOf(() => serverFor(servers, 'n3.test')),
      'busy',
    )
    t.equal(serverFor(servers, 'n0.test'), cached, 'what is minted is served all the same')
    now += 999
    t.equal(
      reasonOf(() => serverFor(servers, 'n3.test')),
      'busy',
    )
    now += 1
    t.equal(
      reasonOf(() => serverFor(servers, 'n3.test')),
      'served',
    )
    t.equal(minted(), 4)
    t.end()
  },
)

void t.test(
  'I7: servers are bounded: the one unused longest goes, and what it serves goes on',
  async (t) => {
    const { servers, minted } = makeServers({ limits: { secureContextsMax: 2 } })
    const first = serverFor(servers, 'api.test')
    const door = await openDoor(t, () => first)
    serverFor(servers, 'n1.test')
    serverFor(servers, 'n2.test')
    t.equal((await greet(door.port)).text, 'hello', 'a socket on it is served')
    t.not(serverFor(servers, 'api.test'), first, 'it is minted anew when it is asked for')
    t.equal(minted(), 4)
    const latest = serverFor(servers, 'n2.test')
    serverFor(servers, 'n3.test')
    t.equal(serverFor(servers, 'n2.test'), latest, 'what is used stays')
    t.end()
  },
)

void t.test('a leaf is minted anew before it ends, by the CA of then', async (t) => {
  // It begins a day ago, so that what is minted at its end is valid now.
  let now = Date.now() - 23 * 3_600_000 - 1000
  let current = ca
  const { servers, minted } = makeServers({ now: () => now, ca: () => current })
  const first = serverFor(servers, 'api.test')
  now += 23 * 3_600_000 - 1000
  t.equal(serverFor(servers, 'api.test'), first, 'an hour before its end it is still served')
  now += 2000
  current = makeCa('renewed')
  const second = serverFor(servers, 'api.test')
  t.not(second, first)
  t.equal(minted(), 2)
  const door = await openDoor(t, () => second)
  t.equal((await greet(door.port, { ca: current.certPem })).text, 'hello')
  await t.rejects(greet(door.port), /unable to verify/, 'not in the name of the old one')
})

void t.test('a CA about to end still serves, within the bound on minting', (t) => {
  const short = makeCa('short', 1_800_000)
  let now = Date.now()
  const { servers, minted } = makeServers({ now: () => now, ca: () => short })
  const first = serverFor(servers, 'api.test')
  t.equal(serverFor(servers, 'api.test'), first)
  now += 1500
  serverFor(servers, 'api.test')
  t.equal(minted(), 2)
  t.end()
})

void t.test('nothing that a client sends or leaves out ends the process', async (t) => {
  const { servers } = makeServers({ limits: { handshakeTimeoutMs: 300 } })
  const door = await openDoor(t, () => serverFor(servers, 'api.test'))
  const attacks: Record<string, (socket: Socket) => unknown> = {
    cleartext: (socket) => socket.write('GET / HTTP/1.1\r\n\r\n'),
    zeros: (socket) => socket.write(Buffer.alloc(5000)),
    'a record that promises too much': (socket) =>
      socket.write(Buffer.from([0x16, 3, 1, 0xff, 0xff, 1, 0, 0, 0])),
    'a hello cut short': (socket) => socket.end(Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc])),
    nothing: () => undefined,
    'an end': (socket) => socket.end(),
    'a reset': (socket) => socket.resetAndDestroy(),
    'an end in the middle': (socket) => {
      const secure = tls.connect({ socket, servername: 'api.test', ca: ca.certPem })
      secure.on('error', () => undefined)
      setTimeout(() => socket.resetAndDestroy(), 2)
    },
    'a name with control characters': (socket) => {
      tls
        .connect({ socket, servername: 'a\u0001b\u007f.test', rejectUnauthorized: false })
        .resume()
        .on('error', () => undefined)
    },
    'a very long name': (socket) => {
      tls
        .connect({ socket, servername: 'x'.repeat(250), rejectUnauthorized: false })
        .resume()
        .on('error', () => undefined)
    },
    'no protocol in common': (socket) => {
      tls
        .connect({ socket, servername: 'api.test', ca: ca.certPem, ALPNProtocols: ['h2'] })
        .on('error', () => undefined)
    },
  }
  const sockets = Object.values(attacks).map((attack) => {
    const socket = net.connect(door.port, '127.0.0.1')
    socket.on('error', () => undefined)
    socket.on('connect', () => attack(socket))
    return socket
  })
  t.ok(await until(() => door.accepted() === sockets.length))
  t.ok(await until(() => door.open() === 0), 'each is let go, the silent one after its time')
  t.ok(door.errors.length > 0)
  for (const socket of sockets) socket.destroy()
  t.equal((await greet(door.port)).text, 'hello', 'and others are served')
})

void t.test('h2 alone is not agreed to', async (t) => {
  const { servers } = makeServers()
  const door = await openDoor(t, () => serverFor(servers, 'api.test'))
  await t.rejects(greet(door.port, { ALPNProtocols: ['h2'] }), /alert/i)
  t.equal((await greet(door.port, { ALPNProtocols: ['http/1.1'] })).alpn, 'http/1.1')
})

void t.test(
  'tasks share no server, no leaf and no session, each is signed for apart',
  async (t) => {
    const authorities: Record<string, Ca> = { one: makeCa('one'), two: makeCa('two') }
    const asked: (string | undefined)[] = []
    const { servers, minted } = makeServers({
      ca: (taskId) => {
        asked.push(taskId)
        return taskId === undefined ? ca : authorities[taskId]!
      },
    })
    const [one, two, none] = ['one', 'two', undefined].map((task) =>
      serverFor(servers, 'api.test', task),
    )
    t.equal(new Set([one, two, none]).size, 3)
    t.equal(serverFor(servers, 'API.test', 'one'), one)
    t.equal(minted(), 3)
    t.strictSame(asked, ['one', 'two', undefined], 'asked at each mint alone')
    const doors = await Promise.all([one, two].map((server) => openDoor(t, () => server!)))
    const [first, second] = doors.map(({ port }) => port)
    const trust = (task: string): tls.ConnectionOptions => ({ ca: authorities[task]!.certPem })
    const mine = await greet(first!, trust('one'))
    t.ok(mine.session)
    t.ok((await greet(first!, { ...trust('one'), session: mine.session! })).reused, 'the twin')
    await t.rejects(
      greet(second!, { ...trust('one'), session: mine.session! }),
      /unable to verify/,
      'no session of one task opens the other',
    )
    const theirs = await greet(second!, { ...trust('two'), session: mine.session! })
    t.notOk(theirs.reused)
    t.not(theirs.certificate.serialNumber, mine.certificate.serialNumber)
  },
)

void t.test('a task’s servers are let go together, and what one serves goes on', async (t) => {
  const { servers, minted } = makeServers()
  const [old] = ['api.test', 'n1.test', 'n2.test'].map((host) => serverFor(servers, host, 'one'))
  const other = serverFor(servers, 'api.test', 'two')
  const none = serverFor(servers, 'api.test')
  const door = await openDoor(t, () => old!)
  t.equal(servers.dropTask('one'), 3)
  t.equal(servers.dropTask('one'), 0)
  t.equal((await greet(door.port)).text, 'hello')
  t.equal(serverFor(servers, 'api.test', 'two'), other)
  t.equal(serverFor(servers, 'api.test'), none)
  t.equal(minted(), 5)
  t.not(serverFor(servers, 'api.test', 'one'), old)
  t.equal(minted(), 6)
  t.end()
})

void t.test('a leaf that ends with its task is kept to its end', (t) => {
  let now = Date.now()
  const short = { ...makeCa('brief', 1_800_000), chainPem: '' }
  const { servers, minted } = makeServers({ now: () => now, ca: () => short })
  const first = serverFor(servers, 'api.test', 'one')
  now = short.notAfter - 1000
  t.equal(serverFor(servers, 'api.test', 'one'), first)
  now = short.notAfter
  t.not(serverFor(servers, 'api.test', 'one'), first)
  t.equal(minted(), 2)
  t.end()
})
