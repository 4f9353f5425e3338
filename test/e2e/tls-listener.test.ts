// The proxy listener where clients may prove themselves by certificate: TLS and plain connections come in by one door, a
// certificate that is shown must be good, and what is behind the door is as it is without it.

import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import tls from 'node:tls'

import t from 'tap'

import { makePki, type IssueOptions } from '../fixtures/pki.ts'
import {
  exchange,
  pki,
  readHead,
  request,
  ruleSet,
  scenario,
  sleep,
  startSecure,
  until,
  type Scenario,
  type ScenarioOptions,
} from '../fixtures/scenario.ts'
import { startEcho, startHttp } from '../fixtures/upstreams.ts'

const ID = 'spiffe://acme/agent/triage'
const LOOPBACK = 'addresses: [127.0.0.0/8]'
const workloads = makePki()
const strangers = makePki()

/** Files of a workload's certificate. */
function svid(cx: Scenario, name: string, options: IssueOptions = {}, from = workloads): string[] {
  const { certPem, keyPem } = from.issue({ uris: [ID], usage: 'clientAuth', ...options })
  return [
    '--proxy-cert',
    cx.file(`${name}.crt`, certPem),
    '--proxy-key',
    cx.file(`${name}.key`, keyPem),
  ]
}

const curl = (cx: Scenario, words: readonly string[]): ReturnType<Scenario['client']> =>
  cx.client('curl', ['-sS', '--max-time', '20', ...words])

/** Curl by TLS to the proxy. */
const secureCurl = (cx: Scenario, ...words: readonly string[]): ReturnType<Scenario['client']> =>
  curl(cx, [
    '--proxy',
    `https://127.0.0.1:${cx.proxyPort}`,
    '--proxy-cacert',
    `${cx.directory}/certs/ca.crt`,
    ...words,
  ])

/** A TLS connection to the proxy. */
async function enter(cx: Scenario, more: tls.ConnectionOptions = {}): Promise<tls.TLSSocket> {
  const options = { host: '127.0.0.1', port: cx.proxyPort, ca: cx.caPem() }
  const secure = tls.connect({ ...options, ...more })
  await new Promise<void>((resolve, reject) => {
    secure.once('secureConnect', resolve)
    secure.once('error', reject)
  })
  secure.on('error', () => undefined)
  return secure
}

/** Sockets that the sidecar holds. */
function socketsOf(cx: Scenario): number {
  const directory = `/proc/${cx.pid()}/fd`
  return readdirSync(directory).filter((name) => {
    try {
      return readlinkSync(`${directory}/${name}`).startsWith('socket:')
    } catch {
      return false
    }
  }).length
}

void t.test('one door for TLS and plain connections', async (t) => {
  const secureUpstream = await startSecure(['up.test', 'pass.test'])
  const plainUpstream = await startHttp({})
  const echo = await startEcho()
  t.teardown(() => Promise.all([secureUpstream, plainUpstream, echo].map((each) => each.close())))
  const inspected = `https://up.test:${secureUpstream.port}`
  const passed = `https://pass.test:${secureUpstream.port}`
  const cleartext = `http://up.test:${plainUpstream.port}`
  const rules = ruleSet(
    `id: inspected, allow: '${inspected}', ${LOOPBACK}`,
    `id: passed, allow: 'tls://pass.test:${secureUpstream.port}', ${LOOPBACK}`,
    `id: cleartext, allow: '${cleartext}', ${LOOPBACK}`,
    `id: opaque, allow: 'tcp://up.test:${echo.port}', ${LOOPBACK}`,
  )
  const hosts = ['up.test', 'pass.test']
  const directory = mkdtempSync(path.join(tmpdir(), 'sallyport-bundle-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const bundle = path.join(directory, 'bundle.pem')
  writeFileSync(bundle, workloads.caPem)
  const config = `identity: { mtls: { ca: ${bundle} } }`
  const started = (
    title: string,
    more: Partial<ScenarioOptions>,
    body: Parameters<typeof scenario>[3],
  ): void => scenario(t, title, { rules, hosts, config, ...more }, body)

  started('curl comes in with a certificate, without one, and plain', {}, async (cx, t) => {
    const ways: [string, (...words: string[]) => ReturnType<Scenario['client']>][] = [
      ['certificate', (...words) => secureCurl(cx, ...svid(cx, 'good'), ...words)],
      ['no certificate', (...words) => secureCurl(cx, ...words)],
      ['plain', (...words) => curl(cx, words)],
    ]
    const trust = ['--cacert', cx.file('upstreams.pem', pki.caPem)]
    for (const [way, run] of ways) {
      t.match(await run(`${inspected}/a`), { status: 0, stdout: '"url":"/a"' }, `${way}, inspected`)
      t.match(await run(`${cleartext}/b`), { status: 0, stdout: '/b"' }, `${way}, absolute form`)
      t.match(
        await run(...trust, `${passed}/c`),
        { status: 0, stdout: '"url":"/c"' },
        `${way}, passed through`,
      )
      const refused = await run('https://evil.test/')
      t.not(refused.status, 0, `${way}, refused`)
      t.match(refused.stderr, /403/, way)
    }
    await cx.record(({ url }) => url?.domain === 'evil.test')
    const kinds = cx
      .terminal()
      .map(({ event, sallyport }) => `${sallyport.call?.kind} ${event.reason}`)
    t.equal(kinds.filter((kind) => kind === 'intercepted allowed').length, 3)
    t.equal(kinds.filter((kind) => kind === 'forward allowed').length, 3)
  })

  started(
    'a large body, a half-closed tunnel and kept connections go through TLS',
    {},
    async (cx, t) => {
      const { certPem, keyPem } = workloads.issue({ uris: [ID], usage: 'clientAuth' })
      const secure = await enter(cx, { cert: certPem, key: keyPem })
      const authority = `up.test:${echo.port}`
      secure.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`)
      t.match(await readHead(secure), /^HTTP\/1\.1 200/)
      const sent = 'x'.repeat(3_000_000)
      const back = new Promise<number>((resolve) => {
        let length = 0
        secure.on('data', (chunk: Buffer) => (length += chunk.length))
        secure.on('end', () => resolve(length))
      })
      secure.resume()
      secure.end(sent)
      t.equal(await back, sent.length, 'what was echoed after our end came whole')

      const kept = await enter(cx)
      for (const target of ['/1', '/2']) {
        kept.write(
          request('GET', `${cleartext}${target}`, `up.test:${plainUpstream.port}`, { keep: true }),
        )
        t.match(await readHead(kept), /^HTTP\/1\.1 200/)
        kept.resume()
        await sleep(50)
      }
      kept.destroy()
      await until(() => cx.terminal().length === 3, 'three calls are on record')
    },
  )

  started(
    'a certificate that is not good is refused, on record, and its good twin passes',
    {},
    async (cx, t) => {
      const past = {
        notBefore: new Date(Date.now() - 7_200_000),
        notAfter: new Date(Date.now() - 3_600_000),
      }
      const bad: [string, string[], RegExp][] = [
        ['of another root', svid(cx, 'stranger', {}, strangers), /./],
        ['signed by itself', svid(cx, 'self', { selfSigned: true }), /./],
        ['that has ended', svid(cx, 'past', past), /CERT_HAS_EXPIRED/],
        ['for servers', svid(cx, 'server', { usage: 'serverAuth' }), /INVALID_PURPOSE/],
        ['without an id', svid(cx, 'nameless', { uris: [], names: ['a.test'] }), /no-spiffe-id/],
        ['with two ids', svid(cx, 'two', { uris: [ID, 'spiffe://acme/b'] }), /no-spiffe-id/],
        [
          'with a name that looks like an id',
          svid(cx, 'crafted', { uris: [], names: [`x, URI:${ID}`] }),
          /no-spiffe-id/,
        ],
        ['of a stranger with the same id', svid(cx, 'same', { uris: [ID] }, strangers), /./],
      ]
      const before = secureUpstream.connections()
      for (const [which, words] of bad) {
        const run = await secureCurl(cx, '-v', ...words, `${inspected}/a`)
        t.not(run.status, 0, which)
        t.match(run.stderr, /403 Sallyport: identity-unknown/, which)
      }
      await until(() => cx.terminal().length === bad.length, 'each refusal is on record')
      t.equal(secureUpstream.connections(), before, 'nothing reached the upstream')
      for (const [at, { event, sallyport }] of cx.terminal().entries()) {
        t.equal(event.reason, 'identity-unknown')
        t.match(String(sallyport.detail?.['certificate']), bad[at]![2], bad[at]![0])
      }
      t.match(await secureCurl(cx, ...svid(cx, 'good'), `${inspected}/a`), { status: 0 })
      const named = [
        '--proxy',
        `https://proxy.acme.test:${cx.proxyPort}`,
        '--resolve',
        `proxy.acme.test:${cx.proxyPort}:127.0.0.1`,
      ]
      const byName = await secureCurl(cx, ...named, ...svid(cx, 'named'), `${inspected}/a`)
      t.match(byName, { status: 0 }, 'by the name of the proxy')
      const badByName = await secureCurl(
        cx,
        ...named,
        ...svid(cx, 'named-stranger', {}, strangers),
        `${inspected}/a`,
      )
      t.match(badByName.stderr, /403/, 'by which a stranger is refused as well')
      const sent = svid(cx, 'behind', { intermediate: 'sent' })
      t.match(await secureCurl(cx, ...sent, `${inspected}/a`), { status: 0 }, 'by an intermediate')
    },
  )

  started(
    'the listener shows a certificate of the CA for its address and localhost',
    {},
    async (cx, t) => {
      const secure = await enter(cx)
      t.equal(
        secure.getPeerX509Certificate()?.subjectAltName,
        'IP Address:127.0.0.1, DNS:localhost',
      )
      secure.destroy()
      for (const servername of ['localhost', 'proxy.acme.test']) {
        const named = await enter(cx, { servername })
        t.match(named.getPeerX509Certificate()?.subjectAltName, `DNS:${servername}`)
        named.destroy()
      }
      await t.rejects(enter(cx, { servername: 'no host' }))
      await t.rejects(enter(cx, { maxVersion: 'TLSv1.1', minVersion: 'TLSv1.1' }))
      const old = await enter(cx, { maxVersion: 'TLSv1.2' })
      t.equal(old.getProtocol(), 'TLSv1.2')
      old.destroy()
      t.match(await secureCurl(cx, `${cleartext}/after`), { status: 0 })
    },
  )

  started('no session is resumed: each connection shows its certificate', {}, async (cx, t) => {
    const { certPem: cert, keyPem: key } = workloads.issue({ uris: [ID], usage: 'clientAuth' })
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const sessions: Buffer[] = []
      const first = tls.connect({
        host: '127.0.0.1',
        port: cx.proxyPort,
        ca: cx.caPem(),
        cert,
        key,
        maxVersion,
      })
      first.on('session', (session) => sessions.push(session))
      first.on('secureConnect', () => sessions.push(first.getSession() ?? Buffer.of()))
      const head = request('GET', `${cleartext}/s`, `up.test:${plainUpstream.port}`)
      t.match(await exchange(first, head), /^HTTP\/1\.1 200/, maxVersion)
      const session = sessions.findLast(({ length }) => length > 0)
      t.ok(session, 'the client has what it would resume by')
      const second = await enter(cx, { cert, key, maxVersion, ...(session && { session }) })
      t.equal(second.isSessionReused(), false, maxVersion)
      t.match(await exchange(second, head), /^HTTP\/1\.1 200/, 'and the new one is served')
    }
  })

  started(
    'who comes and says nothing, or half of a handshake, is gone after its time',
    { limits: 'headTimeoutMs: 400, handshakeTimeoutMs: 400' },
    async (cx, t) => {
      const base = socketsOf(cx)
      t.match(await cx.raw('', 3000), /^HTTP\/1\.1 408 Sallyport: head-timeout/)
      const begun = await Promise.all(
        [Buffer.of(0x16), Buffer.of(0x16, 3, 1, 2, 0, 1), Buffer.from('\x16nonsense\r\n\r\n')].map(
          (bytes) => {
            const from = Date.now()
            return cx.raw(bytes, 5000).then(() => Date.now() - from)
          },
        ),
      )
      t.ok(
        begun.every((ms) => ms < 3000),
        `closed by us: ${begun.join(' ')}`,
      )
      const leaving = Array.from({ length: 60 }, (_, at) => {
        const socket = net.connect(cx.proxyPort, '127.0.0.1')
        socket.on('error', () => undefined)
        socket.write(at % 2 === 0 ? Buffer.of(0x16, 3, 1) : Buffer.of(0x16))
        return socket
      })
      await sleep(100)
      for (const [at, socket] of leaving.entries()) {
        if (at % 3 === 0) socket.resetAndDestroy()
        else if (at % 3 === 1) socket.end()
        else socket.destroy()
      }
      const inside = await Promise.all(Array.from({ length: 12 }, () => enter(cx)))
      for (const [at, socket] of inside.entries()) if (at % 2 === 0) socket.destroy()
      await until(
        () => socketsOf(cx) <= base,
        `the sockets are given back: ${socketsOf(cx)} of ${base}`,
      )
      t.match(await secureCurl(cx, `${cleartext}/after`), { status: 0 }, 'and the door is open')
    },
  )

  started(
    'connections are counted before they have said a byte',
    { limits: 'connectionsMax: 2' },
    async (cx, t) => {
      const waiting = [1, 2].map(() => net.connect(cx.proxyPort, '127.0.0.1'))
      await sleep(200)
      const head = request('GET', `${cleartext}/busy`, `up.test:${plainUpstream.port}`)
      t.match(await cx.raw(head), /503 Sallyport: busy/)
      for (const socket of waiting) socket.destroy()
      await sleep(200)
      t.match(await cx.raw(head), /^HTTP\/1\.1 200/)
    },
  )
})

void t.test('a sidecar that asks for no certificates', async (t) => {
  scenario(
    t,
    'takes no TLS on its listener',
    { rules: ruleSet("id: a, allow: 'https://a.test'") },
    async (cx, t) => {
      await t.rejects(enter(cx))
      await cx.record(({ event }) => event.reason.startsWith('malformed'))
    },
  )
})
