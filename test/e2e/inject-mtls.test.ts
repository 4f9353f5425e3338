// A certificate shown to the upstream that it is for: to no other, on no connection of anybody else's, and not once it is no good.

import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'

import t from 'tap'

import { ask, openHttp2 } from '../fixtures/http2-client.ts'
import { startHttp2 } from '../fixtures/http2-upstream.ts'
import { makePki, type Issued } from '../fixtures/pki.ts'
import {
  exchange,
  pki,
  readHead,
  request,
  ruleSet,
  scenario,
  type Scenario,
} from '../fixtures/scenario.ts'
import { startHttp, type Handler } from '../fixtures/upstreams.ts'

// A call on a busy machine; its connection closes behind it.
const WAIT_MS = 20_000
const LOOPBACK = 'addresses: [127.0.0.0/8]'
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

const nameOf = (socket: Socket): string =>
  socket instanceof TLSSocket ? String(socket.getPeerCertificate().subject?.CN ?? 'nobody') : ''
// What it ends with begins no value, and is in no piece of its own.
const sayWho: Handler = ({ socket }) => ({ body: `who=${nameOf(socket)}.` })

void t.test('client certificates', async (t) => {
  const clients = makePki()
  const client = (commonName: string, more = {}): Issued =>
    clients.issue({ commonName, usage: 'clientAuth', names: ['client.test'], ...more })
  const [one, two] = [client('one'), client('two')]
  const old = client('old', {
    notBefore: new Date(Date.now() - 864e5),
    notAfter: new Date(Date.now() - 1000),
  })
  const pem = ({ certPem, keyPem }: Issued): string => `${keyPem}${certPem}`
  const server = (name: string): Issued & { clientCaPem: string } => ({
    ...pki.issue({ names: [name] }),
    clientCaPem: clients.caPem,
  })
  const strict = await startHttp({ tls: server('strict.test'), handler: sayWho })
  // Asks everybody, and serves everybody.
  const asking = await startHttp({
    tls: { ...server('asking.test'), servesAll: true },
    handler: sayWho,
  })
  const http2 = await startHttp2(server('http2.test'))
  strict.server.on('upgrade', (upgrade, socket) => {
    const key = `${upgrade.headers['sec-websocket-key'] ?? ''}${GUID}`
    const accept = createHash('sha1').update(key).digest('base64')
    socket.end(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\nX-Who: ${nameOf(upgrade.socket)}\r\n\r\n`,
    )
  })
  t.teardown(() => Promise.all([strict, asking, http2].map((upstream) => upstream.close())))
  const at = {
    strict: `strict.test:${strict.port}`,
    asking: `asking.test:${asking.port}`,
    http2: `http2.test:${http2.port}`,
  }
  const options = {
    hosts: ['strict.test', 'asking.test', 'http2.test'],
    files: {
      'one.secret': pem(one),
      'parts.secret': JSON.stringify({ certificate: two.certPem, key: two.keyPem }),
      'old.secret': pem(old),
      'mixed.secret': `${one.certPem}${two.keyPem}`,
      'half.secret': one.certPem,
    },
    config: `credentials:
${['one', 'old', 'mixed', 'half'].map((name) => `  ${name}: { source: { file: ${name}.secret }, inject: { mtls: true }, hosts: ['${at.strict}', '${at.http2}'] }\n`).join('')}  parts: { source: { file: parts.secret, format: json }, inject: { mtls: true }, hosts: ['${at.strict}'] }
`,
    rules: ruleSet(
      ...['one', 'parts', 'old', 'mixed', 'half'].map(
        (name) =>
          `id: ${name}, allow: 'https://${at.strict}', paths: ['/${name}'], credential: ${name}, ${LOOPBACK}`,
      ),
      `id: none, allow: 'https://${at.strict}', paths: ['/none'], ${LOOPBACK}`,
      `id: asking, allow: 'https://${at.asking}', ${LOOPBACK}`,
      `id: wrong-host, allow: 'https://${at.asking}', paths: ['/wrong'], credential: one, ${LOOPBACK}`,
      `id: http2, allow: 'https://${at.http2}', paths: ['/with'], credential: one, ${LOOPBACK}`,
      `id: http2-none, allow: 'https://${at.http2}', paths: ['/none'], ${LOOPBACK}`,
      `id: socket, allow: 'wss://${at.strict}', paths: ['/socket'], credential: one, ${LOOPBACK}`,
    ),
  }
  const get = async (cx: Scenario, host: string, target: string): Promise<string> =>
    exchange(await cx.secure(host), request('GET', target, host), WAIT_MS)
  const UNAVAILABLE = /^HTTP\/1\.1 502 Sallyport: credential-unavailable/

  scenario(
    t,
    'R18: a certificate is shown to its host, each on connections of its own',
    options,
    async (cx, t) => {
      for (const { keyPem } of [one, two]) cx.guard('key', keyPem.split('\n')[1]!)
      const before = strict.connections()
      t.match(await get(cx, at.strict, '/one'), /who=one/)
      t.match(await get(cx, at.strict, '/parts'), /who=two/)
      t.match(await get(cx, at.strict, '/one'), /who=one/)
      t.equal(strict.connections() - before, 2, 'calls with the same one share')
      const served = strict.seen.length
      t.match(
        await get(cx, at.strict, '/none'),
        /^HTTP\/1\.1 502/,
        'R22: without it a call has none',
      )
      t.equal(strict.seen.length, served)
      t.match(await cx.record(({ rule }) => rule?.id === 'one'), {
        sallyport: { credential: { name: 'one', action: 'injected' } },
      })
    },
  )

  scenario(
    t,
    'R19: a host that asks for a certificate gets none that is not for it',
    options,
    async (cx, t) => {
      t.match(await get(cx, at.strict, '/one'), /who=one/)
      t.match(await get(cx, at.asking, '/'), /who=nobody/)
      t.match(await get(cx, at.asking, '/wrong'), UNAVAILABLE)
    },
  )

  scenario(
    t,
    'one that has expired, does not fit or is not whole is not shown',
    options,
    async (cx, t) => {
      const before = strict.connections()
      for (const name of ['old', 'mixed', 'half'])
        t.match(await get(cx, at.strict, `/${name}`), UNAVAILABLE, name)
      t.equal(strict.connections(), before, 'nothing was dialed')
      t.match(await get(cx, at.strict, '/one'), /who=one/, 'others go on')
    },
  )

  scenario(t, 'a new certificate opens new connections', options, async (cx, t) => {
    t.match(await get(cx, at.strict, '/one'), /who=one/)
    writeFileSync(path.join(cx.directory, 'one.secret'), pem(two))
    t.match(await get(cx, at.strict, '/one'), /who=two/)
  })

  scenario(
    t,
    'R18: an upgraded connection and one of HTTP/2 show it too',
    options,
    async (cx, t) => {
      const socket = await cx.secure(at.strict)
      socket.write(
        `GET /socket HTTP/1.1\r\nHost: ${at.strict}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}\r\n\r\n`,
      )
      t.match(await readHead(socket), /^HTTP\/1\.1 101[^]*X-Who: one/i)
      socket.destroy()
      // What it speaks is asked without a certificate: that is refused, and changes nothing for the call that has one.
      const session = await openHttp2(cx, at.http2, { protocols: ['h2', 'http/1.1'] }).catch(
        () => undefined,
      )
      session?.destroy()
      const strictly = await openHttp2(cx, at.http2)
      t.equal((await ask(strictly, { ':path': '/with' })).status, 200)
      t.equal(http2.seen.at(-1)!.version, '2.0')
      t.equal((await ask(strictly, { ':path': '/none' })).status, 502)
      t.equal((await ask(strictly, { ':path': '/with' })).status, 200)
      strictly.close()
    },
  )
})
