// TLS on both sides: what clients are shown, what upstreams must show, and what passes uninspected. Every refusal next to
// its allowed twin.

import { X509Certificate } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import net, { type Socket } from 'node:net'
import path from 'node:path'
import tls from 'node:tls'

import t from 'tap'

import { makePki } from '../fixtures/pki.ts'
import { freePort } from '../fixtures/port.ts'
import {
  exchange,
  pki,
  request,
  ruleSet,
  scenario,
  startSecure,
  until,
  type Scenario,
} from '../fixtures/scenario.ts'
import { startHttp, startTcp } from '../fixtures/upstreams.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'

const PYTHON = `
import os, socket, ssl, sys
proxy, host, port, expected = sys.argv[1:]
raw = socket.create_connection(('127.0.0.1', int(proxy)))
raw.sendall(f'CONNECT {host}:{port} HTTP/1.1\\r\\nHost: {host}:{port}\\r\\n\\r\\n'.encode())
head = b''
while not head.endswith(b'\\r\\n\\r\\n'): head += raw.recv(1)
context = ssl.create_default_context(cafile=os.environ['CA'])
context.verify_flags |= ssl.VERIFY_X509_STRICT
if expected != host: context.check_hostname = False
secure = context.wrap_socket(raw, server_hostname=host)
names = [value for _, value in secure.getpeercert()['subjectAltName']]
assert expected in names, f'mismatch: {names}'
print(secure.version())
`

/** A true ClientHello with one more, empty-looking extension at its end. */
const helloWith = async (extension: number, servername: string): Promise<Buffer> => {
  const port = await freePort()
  const server = net.createServer().listen(port, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const arrived = new Promise<Buffer>((resolve) => {
    server.once('connection', (socket) => socket.once('data', resolve))
  })
  const client = tls.connect({
    port,
    servername,
    maxVersion: 'TLSv1.3',
  })
  client.on('error', () => undefined)
  const hello = await arrived
  client.destroy()
  server.close()
  // Record header 5, handshake header 4, version 2, random 32, session id, cipher suites, compression, extensions.
  let at = 5 + 4 + 2 + 32
  at += 1 + hello[at]!
  at += 2 + hello.readUInt16BE(at)
  at += 1 + hello[at]!
  const added = Buffer.from([extension >> 8, extension & 0xff, 0, 2, 0, 0])
  const out = Buffer.concat([hello, added])
  out.writeUInt16BE(hello.readUInt16BE(at) + added.length, at)
  out.writeUIntBE(hello.readUIntBE(6, 3) + added.length, 6, 3)
  out.writeUInt16BE(hello.readUInt16BE(3) + added.length, 3)
  return out
}

/** What the handshake of a client that trusts the sidecar's CA comes to. */
const handshake = (socket: Socket, options: tls.ConnectionOptions): Promise<tls.TLSSocket> =>
  new Promise((resolve, reject) => {
    const secure = tls.connect({ socket, ...options })
    secure.once('secureConnect', () => resolve(secure))
    secure.once('error', reject)
    secure.once('close', () => reject(new Error('closed in the handshake')))
  })

void t.test('agreement of names', async (t) => {
  const upstream = await startSecure(['up.test', 'other.test'])
  t.teardown(() => upstream.close())
  const host = `up.test:${upstream.port}`
  const options = {
    hosts: ['up.test', 'other.test'],
    rules: ruleSet(
      `id: both, allow: ['https://${host}', 'https://other.test:${upstream.port}'], ${LOOPBACK}`,
    ),
  }

  scenario(
    t,
    'R37: a ClientHello that names another host ends the tunnel',
    options,
    async (cx, t) => {
      const before = upstream.connections()
      await t.rejects(cx.secure(host, 'other.test'), 'the handshake fails')
      t.match(await cx.record(({ event }) => event.reason === 'authority-mismatch'), {
        sallyport: { call: { kind: 'tunnel' }, detail: { part: 'sni' } },
        tls: { client: { server_name: 'other.test' } },
      })
      t.equal(upstream.connections(), before, 'nothing was dialed')
      t.match(await exchange(await cx.secure(host), request('GET', '/', host)), /^HTTP\/1\.1 200/)
      t.match(
        await exchange(await cx.secure(host, 'UP.TEST'), request('GET', '/', host)),
        /^HTTP\/1\.1 200/,
        'case does not matter',
      )
    },
  )

  scenario(
    t,
    'R37: a Host inside the tunnel that names another is refused',
    options,
    async (cx, t) => {
      const seen = upstream.seen.length
      for (const other of [`other.test:${upstream.port}`, 'up.test', `up.test:443`, '127.0.0.1'])
        t.match(
          await exchange(await cx.secure(host), request('GET', '/', other)),
          /^HTTP\/1\.1 400 Sallyport: authority-mismatch/,
          other,
        )
      t.match(
        await exchange(
          await cx.secure(host),
          request('GET', `https://other.test:${upstream.port}/`, host),
        ),
        /^HTTP\/1\.1 400 Sallyport: authority-mismatch/,
        'nor may an absolute target',
      )
      t.match(
        await exchange(await cx.secure(host), request('GET', `http://${host}/`, host)),
        /^HTTP\/1\.1 400 Sallyport: authority-mismatch/,
        'nor may its scheme',
      )
      t.equal(upstream.seen.length, seen)
      t.match(
        await exchange(await cx.secure(host), request('GET', '/', `UP.test.:${upstream.port}`)),
        /^HTTP\/1\.1 200/,
      )
      t.match(
        await exchange(await cx.secure(host), request('GET', `https://${host}/`, host)),
        /^HTTP\/1\.1 200/,
      )
      t.equal(upstream.seen.at(-1)?.rawHeaders[1], host, 'I2: the decided name is sent as Host')
    },
  )
})

void t.test('certificates for clients', async (t) => {
  const named = await startSecure(['up.test'])
  const byAddress = await startHttp({ tls: pki.issue({ ips: ['127.0.0.1'] }) })
  t.teardown(() => Promise.all([named.close(), byAddress.close()]))
  const long = `${'a'.repeat(63)}.${'b'.repeat(40)}.up.test`
  const options = {
    hosts: ['up.test'],
    rules: ruleSet(
      `id: named, allow: ['https://up.test:${named.port}', 'https://*.up.test:${named.port}'], ${LOOPBACK}`,
      `id: by-address, allow: 'https://127.0.0.1:${byAddress.port}'`,
    ),
  }
  const strictly = (cx: Scenario, connect: string, ...words: string[]): Promise<string> =>
    cx
      .client('openssl', [
        's_client',
        '-proxy',
        `127.0.0.1:${cx.proxyPort}`,
        '-connect',
        connect,
        '-CAfile',
        path.join(cx.directory, 'certs/ca.crt'),
        '-verify_return_error',
        '-x509_strict',
        '-brief',
        ...words,
      ])
      .then(({ status, stdout, stderr }) => `${status} ${stdout}${stderr}`)

  scenario(
    t,
    'leaf certificates pass a strict verifier, for names long and short and for addresses',
    options,
    async (cx, t) => {
      const port = named.port
      t.match(
        await strictly(
          cx,
          `up.test:${port}`,
          '-servername',
          'up.test',
          '-verify_hostname',
          'up.test',
        ),
        /^0 [^]*Verification: OK/,
      )
      t.match(
        await strictly(cx, `${long}:${port}`, '-servername', long, '-verify_hostname', long),
        /^0 [^]*Verification: OK/,
      )
      t.match(
        await strictly(
          cx,
          `127.0.0.1:${byAddress.port}`,
          '-noservername',
          '-verify_ip',
          '127.0.0.1',
        ),
        /^0 [^]*Verification: OK/,
      )
      t.notMatch(
        await strictly(
          cx,
          `up.test:${port}`,
          '-servername',
          'up.test',
          '-verify_hostname',
          'no.test',
        ),
        /^0 /,
        'the verifier does look',
      )
    },
  )

  scenario(
    t,
    'leaf certificates pass Python’s strict verifier, for a name and for an address',
    options,
    async (cx, t) => {
      const python = (host: string, port: number, expected = host): Promise<string> =>
        cx
          .client('python3', ['-c', PYTHON, String(cx.proxyPort), host, String(port), expected], {
            env: { CA: path.join(cx.directory, 'certs/ca.crt') },
          })
          .then(({ status, stdout, stderr }) => `${status} ${stdout}${stderr}`)
      t.match(await python('up.test', named.port), /^0 TLSv1\.3/)
      t.match(await python('127.0.0.1', byAddress.port), /^0 TLSv1\.3/)
      t.match(await python('up.test', named.port, 'no.test'), /^1 [^]*(?:mismatch|not valid for)/i)
    },
  )

  scenario(t, 'a client resumes its session with us', options, async (cx, t) => {
    const authority = `up.test:${named.port}`
    const first = await cx.secure(authority)
    let session: Buffer | undefined
    first.on('session', (ticket: Buffer) => (session = ticket))
    t.match(await exchange(first, request('GET', '/', authority)), /^HTTP\/1\.1 200/)
    t.notOk(first.isSessionReused())
    t.ok(session, 'a ticket was sent')
    const second = await handshake(await cx.connect(authority), {
      ca: cx.caPem(),
      servername: 'up.test',
      session,
    })
    t.ok(second.isSessionReused())
    t.match(await exchange(second, request('GET', '/', authority)), /^HTTP\/1\.1 200/)
  })

  scenario(
    t,
    'a name gets one certificate, however many ask at once; HTTP/1.1 is agreed on',
    options,
    async (cx, t) => {
      const sockets = await Promise.all(
        Array.from({ length: 12 }, async () =>
          handshake(await cx.connect(`up.test:${named.port}`), {
            ca: cx.caPem(),
            servername: 'up.test',
            ALPNProtocols: ['h2', 'http/1.1'],
          }),
        ),
      )
      const serials = new Set(sockets.map((socket) => socket.getPeerCertificate().serialNumber))
      t.equal(serials.size, 1)
      t.strictSame([...new Set(sockets.map(({ alpnProtocol }) => alpnProtocol))], ['http/1.1'])
      for (const socket of sockets) socket.destroy()
    },
  )

  scenario(
    t,
    'the CA is this installation’s own; only its public part is where it may be mounted',
    options,
    async (cx, t) => {
      const ca = new X509Certificate(cx.caPem())
      t.ok(ca.ca)
      t.equal(statSync(path.join(cx.directory, 'state/ca.key')).mode & 0o777, 0o600)
      t.equal(statSync(path.join(cx.directory, 'state')).mode & 0o777, 0o700)
      const published = readdirSync(path.join(cx.directory, 'certs'))
      t.strictSame(published.toSorted(), ['ca-bundle.crt', 'ca-truststore.p12', 'ca.crt', 'wgetrc'])
      for (const name of published)
        t.notMatch(readFileSync(path.join(cx.directory, 'certs', name), 'utf8'), /PRIVATE KEY/)
      const bundle = readFileSync(path.join(cx.directory, 'certs/ca-bundle.crt'), 'utf8')
      t.ok(bundle.includes(cx.caPem().trim()), 'the bundle holds ours')
      t.ok(bundle.split('BEGIN CERTIFICATE').length > 50, 'and the public roots')
      const before = ca.fingerprint256
      t.equal(await cx.stop(), 0)
      await cx.start()
      t.equal(new X509Certificate(cx.caPem()).fingerprint256, before, 'a restart keeps it')
    },
  )

  scenario(t, 'a client that does not trust us is told apart on record', options, async (cx, t) => {
    const authority = `up.test:${named.port}`
    await t.rejects(handshake(await cx.connect(authority), { servername: 'up.test' }))
    t.match(await cx.record(({ event }) => event.reason === 'client-rejected-certificate'), {
      event: { action: 'call-ended', outcome: 'failure' },
      sallyport: { call: { kind: 'tunnel' } },
    })
    const refused = await cx.client('openssl', [
      's_client',
      '-proxy',
      `127.0.0.1:${cx.proxyPort}`,
      '-connect',
      authority,
      '-servername',
      'up.test',
      '-verify_return_error',
      '-no-CAfile',
      '-no-CApath',
      '-no-CAstore',
    ])
    t.not(refused.status, 0)
    const byAlert = await cx.record(
      ({ event, sallyport }) =>
        event.reason === 'client-rejected-certificate' && sallyport.detail?.['alert'] !== 'none',
    )
    t.match(String(byAlert.sallyport.detail?.['alert']), /UNKNOWN_CA|unknown ca/i)
    const curl = await cx.client('curl', ['-sS', '-o', '/dev/null', `https://${authority}/`], {
      env: { CURL_CA_BUNDLE: '/etc/ssl/certs/ca-certificates.crt', SSL_CERT_FILE: '' },
    })
    t.equal(curl.status, 60, 'curl says which end it distrusts')
    await until(
      () =>
        cx.terminal().filter(({ event }) => event.reason === 'client-rejected-certificate')
          .length === 3,
      'curl’s is on record too',
    )
    t.equal((await cx.client('curl', ['-sS', `https://${authority}/`])).status, 0, 'its twin')
    t.match(
      await exchange(await cx.secure(authority), request('GET', '/', authority)),
      /^HTTP\/1\.1 200/,
    )
  })
})

void t.test('upstreams are verified, always', async (t) => {
  const day = 86_400_000
  const stranger = makePki()
  const bad = {
    'expired.test': pki.issue({
      names: ['expired.test'],
      notBefore: new Date(Date.now() - 3 * day),
      notAfter: new Date(Date.now() - day),
    }),
    'early.test': pki.issue({ names: ['early.test'], notBefore: new Date(Date.now() + day) }),
    'wrong-name.test': pki.issue({ names: ['up.test'] }),
    'self-signed.test': pki.issue({ names: ['self-signed.test'], selfSigned: true }),
    'unknown-ca.test': stranger.issue({ names: ['unknown-ca.test'] }),
    'no-name.test': pki.issue({}),
  }
  const upstreams = await Promise.all(
    Object.entries(bad).map(
      async ([name, issued]) => [name, await startHttp({ tls: issued })] as const,
    ),
  )
  const good = await startSecure(['good.test'])
  const cleartext = await startTcp((socket) => socket.end('SSH-2.0-x\r\n'))
  const web = await startHttp({})
  const noise = await startTcp((socket) => socket.end(Buffer.alloc(600, 0xa5)))
  const mute = await startTcp((socket) => socket.once('data', () => socket.destroy()))
  t.teardown(() =>
    Promise.all([
      ...upstreams.map(([, one]) => one.close()),
      good.close(),
      ...[cleartext, web, noise, mute].map((one) => one.close()),
    ]),
  )
  const noTls = [
    ['cleartext.test', cleartext],
    ['web.test', web],
    ['noise.test', noise],
    ['mute.test', mute],
  ] as const
  const all = [...upstreams, ['good.test', good], ...noTls] as const
  scenario(
    t,
    'expired, early, wrong name, self-signed, unknown CA: tls-untrusted, and no request leaves',
    {
      hosts: all.map(([name]) => name),
      rules: ruleSet(
        `id: all, allow: [${all.map(([name, { port }]) => `'https://${name}:${port}'`).join(', ')}], ${LOOPBACK}`,
      ),
    },
    async (cx, t) => {
      for (const [name, upstream] of upstreams) {
        const host = `${name}:${upstream.port}`
        const [head = '', body = ''] = (
          await cx.raw(request('GET', `https://${host}/`, host))
        ).split('\r\n\r\n')
        t.match(head, /^HTTP\/1\.1 502 Sallyport: tls-untrusted/, name)
        t.match(head, /Proxy-Status: sallyport; error=tls_certificate_error; reason=tls-untrusted/)
        t.match(body, /"remedy":"Do not retry and do not turn verification off/)
        t.match(
          await exchange(await cx.secure(host), request('GET', '/', host)),
          /^HTTP\/1\.1 502 Sallyport: tls-untrusted/,
          `${name} inside a tunnel`,
        )
        t.equal(upstream.seen.length, 0)
        await cx.record(
          ({ event, destination }) =>
            event.reason === 'tls-untrusted' && destination?.domain === name,
        )
      }
      for (const [name, { port }] of noTls)
        t.match(
          await cx.raw(request('GET', `https://${name}:${port}/`, `${name}:${port}`)),
          /^HTTP\/1\.1 502 Sallyport: tls-failed/,
          name,
        )
      t.equal(web.seen.length, 0, 'no request goes out in clear instead')
      const twin = `good.test:${good.port}`
      t.match(await cx.raw(request('GET', `https://${twin}/`, twin)), /^HTTP\/1\.1 200/)
    },
  )
})

void t.test('tunnels that are not inspected', async (t) => {
  const pinned = await startSecure(['pinned.test'])
  const banner = await startTcp((socket) => {
    socket.write('220 hello\r\n')
    let bytes = 0
    socket.on('data', (chunk: Buffer) => (bytes += chunk.length))
    socket.on('end', () => socket.end(`got ${bytes}`))
  })
  const inspected = await startSecure(['up.test'])
  const plain = await startHttp({})
  t.teardown(() => Promise.all([pinned, banner, inspected, plain].map((one) => one.close())))
  const options = {
    hosts: ['pinned.test', 'tcp.test', 'up.test', 'plain.test'],
    rules: ruleSet(
      `id: pinned, allow: 'tls://pinned.test:${pinned.port}', ${LOOPBACK}`,
      `id: tcp, allow: 'tcp://tcp.test:${banner.port}', ${LOOPBACK}`,
      `id: inspected, allow: 'https://up.test:${inspected.port}', ${LOOPBACK}`,
      `id: plain, allow: 'http://plain.test:${plain.port}', paths: [/ok], ${LOOPBACK}`,
    ),
  }

  scenario(
    t,
    'R42: tls:// passes the upstream’s own certificate through and is labelled on record',
    options,
    async (cx, t) => {
      const host = `pinned.test:${pinned.port}`
      const secure = await handshake(await cx.connect(host), {
        ca: pki.caPem,
        servername: 'pinned.test',
      })
      t.match(await exchange(secure, request('GET', '/', host)), /^HTTP\/1\.1 200/)
      t.match(await cx.record(({ rule }) => rule?.id === 'pinned'), {
        event: { reason: 'allowed', outcome: 'success' },
        tls: { client: { server_name: 'pinned.test' } },
        sallyport: { inspection: 'none', call: { kind: 'tunnel' }, credential: undefined },
      })
    },
  )

  scenario(
    t,
    'R42: tls:// with another name, without one, or without TLS is refused before anything is dialed',
    options,
    async (cx, t) => {
      const host = `pinned.test:${pinned.port}`
      const before = pinned.connections()
      await t.rejects(handshake(await cx.connect(host), { ca: pki.caPem, servername: 'evil.test' }))
      await cx.record(({ event }) => event.reason === 'authority-mismatch')
      await t.rejects(handshake(await cx.connect(host), { ca: pki.caPem, servername: '' }))
      const ssh = await cx.connect(host)
      t.equal(await exchange(ssh, 'SSH-2.0-OpenSSH_9.2\r\n'), '')
      await cx.record(({ event }) => event.reason === 'protocol-not-allowed')
      const http = await cx.connect(host)
      t.equal(await exchange(http, request('GET', '/', host)), '')
      t.equal(pinned.connections(), before)
      await until(
        () => cx.terminal().filter(({ event }) => event.action === 'call-denied').length === 4,
        'four refusals are on record',
      )
    },
  )

  scenario(
    t,
    'R42: an encrypted ClientHello is refused before anything is dialed, any other extension passes',
    options,
    async (cx, t) => {
      const host = `pinned.test:${pinned.port}`
      const before = pinned.connections()
      const refused = await exchange(await cx.connect(host), await helloWith(0xfe0d, 'pinned.test'))
      t.ok(refused.startsWith('\x15\x03'), 'a TLS alert')
      t.match(await cx.record(({ event }) => event.reason === 'protocol-not-allowed'), {
        sallyport: { detail: { begins: 'ech' } },
      })
      t.equal(pinned.connections(), before)
      const passed = await exchange(await cx.connect(host), await helloWith(0x5a5a, 'pinned.test'))
      t.ok(passed.startsWith('\x16\x03'), 'a ServerHello')
      t.equal(pinned.connections(), before + 1)
    },
  )

  scenario(
    t,
    'tcp:// relays whatever it is, a server that speaks first and half-closed ends too',
    options,
    async (cx, t) => {
      const socket = net.connect({ port: cx.proxyPort, host: '127.0.0.1', allowHalfOpen: true })
      socket.write(
        `CONNECT tcp.test:${banner.port} HTTP/1.1\r\nHost: tcp.test:${banner.port}\r\n\r\n`,
      )
      socket.once('data', () => socket.end('five!'))
      t.match(await exchange(socket, ''), /^HTTP\/1\.1 200 [^]*220 hello\r\ngot 5$/)
      const record = await cx.record(({ rule }) => rule?.id === 'tcp')
      t.match(record, { event: { reason: 'allowed' }, sallyport: { inspection: 'none' } })
    },
  )

  scenario(
    t,
    'an inspected CONNECT takes TLS and HTTP, and nothing else',
    options,
    async (cx, t) => {
      const host = `up.test:${inspected.port}`
      const before = inspected.connections()
      for (const bytes of [
        'SSH-2.0-OpenSSH_9.2\r\n',
        'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
        '\0\0\0\0\0\0\0\0\0\0',
      ])
        t.equal(await exchange(await cx.connect(host), bytes), '', JSON.stringify(bytes))
      await cx.record(({ event }) => event.reason === 'protocol-not-allowed')
      t.match(
        await exchange(await cx.connect(host), request('GET', '/', host)),
        /^HTTP\/1\.1 403 Sallyport: protocol-not-allowed/,
        'cleartext HTTP needs a rule for it',
      )
      t.match(
        await exchange(await cx.secure(host), `CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`),
        /^HTTP\/1\.1 403 Sallyport: protocol-not-allowed/,
        'no tunnel inside a tunnel',
      )
      t.equal(inspected.connections(), before)
      const cleartext = `plain.test:${plain.port}`
      t.match(
        await exchange(await cx.connect(cleartext), request('GET', '/ok', cleartext)),
        /^HTTP\/1\.1 200/,
        'I8: cleartext inside a CONNECT is judged under http:// rules',
      )
      t.match(
        await exchange(await cx.connect(cleartext), request('GET', '/no', cleartext)),
        /^HTTP\/1\.1 403 Sallyport: path-not-allowed/,
      )
      t.match(await cx.record(({ url }) => url?.path === '/ok'), {
        url: { scheme: 'http' },
        sallyport: { call: { kind: 'intercepted' }, inspection: 'full' },
      })
    },
  )
})
