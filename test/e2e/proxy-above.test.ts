// Calls that go out through a proxy above the sidecar: another sidecar, squid where it is installed, and proxies that the test
// writes. What each is asked, what records say, and that its password is nowhere but on that hop.

import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'

import t, { type Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'

import {
  startConnectProxy,
  type ConnectProxy,
  type ConnectProxyOptions,
} from '../fixtures/connect-proxy.ts'
import { freePort } from '../fixtures/port.ts'
import {
  exchange,
  pki,
  request,
  ruleSet,
  Scenario,
  scenario,
  startSecure,
  until,
  type ScenarioOptions,
} from '../fixtures/scenario.ts'
import { startEcho, startHttp } from '../fixtures/upstreams.ts'

const PASSWORD = 'above-password-7d20c4e1'
const LOGIN = `Basic ${Buffer.from(`us:${PASSWORD}`).toString('base64')}`
const AUTH = 'auth: { user: us, password: { env: ABOVE_PASSWORD } }'

interface Ends {
  readonly plain: Awaited<ReturnType<typeof startHttp>>
  readonly secure: Awaited<ReturnType<typeof startSecure>>
  readonly echo: Awaited<ReturnType<typeof startEcho>>
}

async function startEnds(t: Test): Promise<Ends> {
  const ends = {
    plain: await startHttp({}),
    secure: await startSecure(['api.test']),
    echo: await startEcho(),
  }
  t.teardown(() => Promise.all([ends.plain.close(), ends.secure.close(), ends.echo.close()]))
  return ends
}

function rulesFor({ plain, secure, echo }: Ends): Record<string, string> {
  return ruleSet(
    `id: plain, allow: ['http://api.test:${plain.port}', 'ws://api.test:${plain.port}']`,
    `id: secure, allow: ['https://api.test:${secure.port}', 'wss://api.test:${secure.port}']`,
    `id: opaque, allow: 'tcp://raw.test:${echo.port}'`,
  )
}

function through(ends: Ends, url: string, more: string, hosts: string): ScenarioOptions {
  return {
    rules: rulesFor(ends),
    config: `upstream: { ca: [upstream-ca.pem], hosts: { ${hosts} }, allowAddresses: [127.0.0.0/8], proxy: { url: '${url}', ${more} } }`,
    secrets: { ABOVE_PASSWORD: PASSWORD },
  }
}

const KNOWN = "api.test: ['127.0.0.1'], raw.test: ['127.0.0.1']"

async function proxyFor(t: Test, options: ConnectProxyOptions = {}): Promise<ConnectProxy> {
  const proxy = await startConnectProxy({ authorization: LOGIN, ...options })
  t.teardown(() => proxy.close())
  return proxy
}

/** Asks by every protocol that the rules allow. */
async function askAll(cx: Scenario, t: Test, { plain, secure, echo }: Ends): Promise<void> {
  const host = `api.test:${secure.port}`
  t.match(
    await exchange(await cx.secure(host), request('GET', '/inside', host)),
    /^HTTP\/1\.1 200[^]*"url":"\/inside"/,
    'HTTPS inside a tunnel',
  )
  t.match(
    await cx.raw(request('GET', `https://${host}/asked`, host)),
    /^HTTP\/1\.1 200[^]*"url":"\/asked"/,
    'HTTPS in absolute form',
  )
  const plainHost = `api.test:${plain.port}`
  t.match(
    await cx.raw(request('GET', `http://${plainHost}/clear`, plainHost)),
    /^HTTP\/1\.1 200[^]*clear/,
    'cleartext HTTP',
  )
  const raw = await cx.connect(`raw.test:${echo.port}`)
  raw.write('as it is')
  raw.resume()
  await new Promise<void>((resolve) => raw.once('data', () => resolve()))
  raw.destroy()
}

void t.test('through a proxy above', async (t) => {
  const ends = await startEnds(t)
  const byAddress = await proxyFor(t)

  scenario(
    t,
    'I2: by address, the proxy is asked for checked addresses alone, and TLS is end to end',
    through(ends, `http://127.0.0.1:${byAddress.port}`, AUTH, KNOWN),
    async (cx, t) => {
      await askAll(cx, t, ends)
      for (const { method, target, text } of byAddress.asked) {
        t.equal(method, 'CONNECT')
        t.match(target, /^127\.0\.0\.1:\d+$/)
        t.ok(text.includes(`Proxy-Authorization: ${LOGIN}\r\n`), 'it is shown the password')
      }
      for (const { rawHeaders } of [...ends.plain.seen, ...ends.secure.seen])
        t.notMatch(rawHeaders.join('\n'), /proxy-authorization/i, 'and nobody behind it is')
      for (const where of ['/inside', '/asked', '/clear'])
        t.match(await cx.record(({ url }) => url?.path === where), {
          destination: { domain: 'api.test', ip: '127.0.0.1' },
          sallyport: { upstream: { connect_by: 'address' } },
        })
      t.match(await cx.record(({ url }) => url?.domain === 'raw.test'), {
        destination: { domain: 'raw.test', ip: '127.0.0.1' },
        sallyport: { upstream: { connect_by: 'address' } },
      })
    },
  )

  const byName = await proxyFor(t)
  scenario(
    t,
    'by name, the proxy is asked for names, and records say that nobody here saw an address',
    through(ends, `http://127.0.0.1:${byName.port}`, `connectBy: name, ${AUTH}`, ''),
    async (cx, t) => {
      await askAll(cx, t, ends)
      t.strictSame(
        [...new Set(byName.asked.map(({ method, target }) => `${method} ${target}`))],
        [
          `CONNECT api.test:${ends.secure.port}`,
          `GET http://api.test:${ends.plain.port}/clear`,
          `CONNECT raw.test:${ends.echo.port}`,
        ],
      )
      const { text } = byName.asked.find(({ method }) => method === 'GET')!
      t.ok(text.includes(`Proxy-Authorization: ${LOGIN}\r\n`))
      t.ok(text.includes(`\r\nHost: api.test:${ends.plain.port}\r\n`))
      for (const where of ['/inside', '/asked', '/clear']) {
        const record = await cx.record(({ url }) => url?.path === where)
        t.match(record, { sallyport: { upstream: { connect_by: 'name' } } })
        t.strictSame(Object.keys(record.destination ?? {}), ['domain', 'port'])
      }
    },
  )

  scenario(
    t,
    'what the proxy refuses is told by its status, and nothing it says reaches the sandbox',
    through(
      ends,
      `http://127.0.0.1:${(await proxyFor(t, { authorization: 'Basic other' })).port}`,
      `connectBy: name, ${AUTH}`,
      '',
    ),
    async (cx, t) => {
      const host = `api.test:${ends.plain.port}`
      const answers = [
        await cx.raw(request('GET', `http://${host}/`, host)),
        await cx.raw(
          request(
            'GET',
            `https://api.test:${ends.secure.port}/`,
            host.replace(/\d+$/, String(ends.secure.port)),
          ),
        ),
      ]
      for (const answer of answers) {
        t.match(answer, /^HTTP\/1\.1 502 Sallyport: dial-failed\r\n/)
        t.notMatch(answer, /abov|proxy-authenticate/i)
      }
      await until(() => cx.terminal().length === 2, 'both are on record')
      for (const record of cx.terminal())
        t.match(record, { event: { reason: 'dial-failed' }, sallyport: { detail: { proxy: 407 } } })
    },
  )

  scenario(
    t,
    'without its password nothing is asked of the proxy',
    {
      ...through(ends, `http://127.0.0.1:${byName.port}`, AUTH, KNOWN),
      secrets: {},
    },
    async (cx, t) => {
      const before = byName.asked.length
      const host = `api.test:${ends.plain.port}`
      t.match(
        await cx.raw(request('GET', `http://${host}/`, host)),
        /^HTTP\/1\.1 502 Sallyport: credential-unavailable/,
      )
      t.match(await cx.record(() => true), {
        sallyport: { detail: { credential: 'upstream.proxy' } },
      })
      t.equal(byName.asked.length, before)
    },
  )

  const own = pki.issue({ names: ['above.test'] })
  const byTls = await proxyFor(t, { tls: own })
  scenario(
    t,
    'a WebSocket goes through a tunnel in a proxy that is reached by TLS, and ends with its task',
    through(ends, `https://above.test:${byTls.port}`, AUTH, `${KNOWN}, above.test: ['127.0.0.1']`),
    async (cx, t) => {
      await askAll(cx, t, ends)
      const sockets = new WebSocketServer({ server: ends.secure.server })
      sockets.on('connection', (peer) => peer.on('message', (data) => peer.send(data)))
      t.teardown(() => sockets.close())
      const host = `api.test:${ends.secure.port}`
      const tunnel = await cx.secure(host)
      const client = new WebSocket(`ws://${host}/`, { createConnection: () => tunnel })
      await new Promise((resolve, reject) => client.once('open', resolve).once('error', reject))
      const large = Buffer.alloc(1024 * 1024, 7)
      client.send(large)
      const echoed = await new Promise<Buffer>((resolve) =>
        client.once('message', (data: Buffer) => resolve(data)),
      )
      t.ok(echoed.equals(large))
      client.close()
      t.match(await cx.record(({ http }) => http?.response?.status_code === 101), {
        event: { reason: 'allowed' },
        sallyport: { upstream: { tls: '1.3', connect_by: 'address' } },
      })
      t.notMatch(JSON.stringify(byTls.asked.map(({ target }) => target)), 'api.test')
    },
  )
})

void t.test('another sidecar as the proxy above judges and records by itself', async (t) => {
  const ends = await startEnds(t)
  const upper = new Scenario({
    rules: ruleSet(
      `id: secure, allow: 'tls://api.test:${ends.secure.port}', addresses: [127.0.0.1/32]`,
      `id: plain, allow: 'http://api.test:${ends.plain.port}', addresses: [127.0.0.1/32]`,
    ),
    hosts: ['api.test'],
    config: '',
  })
  await upper.start()
  scenario(
    t,
    'what it refuses is told by its status, what it allows passes',
    through({ ...ends }, `http://127.0.0.1:${upper.proxyPort}`, 'connectBy: name', ''),
    async (cx, t) => {
      const host = `api.test:${ends.secure.port}`
      t.match(await exchange(await cx.secure(host), request('GET', '/', host)), /^HTTP\/1\.1 200/)
      const plainHost = `api.test:${ends.plain.port}`
      t.match(await cx.raw(request('GET', `http://${plainHost}/`, plainHost)), /^HTTP\/1\.1 200/)
      const refused = await cx.connect(`raw.test:${ends.echo.port}`).catch((error: Error) => error)
      t.match(refused, { message: /^HTTP\/1\.1 502 Sallyport: dial-failed/ })
      t.match(await cx.record(({ event }) => event.reason === 'dial-failed'), {
        sallyport: { detail: { proxy: 403 } },
      })
      t.match(await upper.record(({ url }) => url?.domain === 'raw.test'), {
        event: { reason: 'not-on-allowlist' },
      })
    },
  )
  await t.test('and its own run was sound', (t) => upper.finish(t))
})

void t.test('its configuration is checked', async (t) => {
  const cx = new Scenario({
    rules: ruleSet(
      `id: listed, allow: 'https://api.test', addresses: [10.0.0.0/8]`,
      `id: barred, deny: { scheme: https, cidr: 10.0.0.0/8, port: 443 }`,
    ),
    config: "upstream: { proxy: { url: 'http://above.test:3128', connectBy: name } }",
    unchecked: true,
  })
  cx.proxyPort = await freePort()
  cx.healthPort = await freePort()
  cx.writeConfig()
  const { stdout } = cx.run('check')
  t.match(stdout, /`addresses` of rule `listed` does not bind what names resolve to/)
  t.match(stdout, /the range of rule `barred` does not bind what names resolve to/)
  cx.file(
    'sallyport.yaml',
    `listen: { proxy: '127.0.0.1:${cx.proxyPort}' }\nupstream: { proxy: { url: 'http://127.0.0.1:${cx.proxyPort}' } }\n`,
  )
  const looped = cx.run('check')
  t.equal(looped.status, 1)
  t.match(looped.stdout, /`upstream.proxy.url` is a listener of this sidecar/)
  await cx.finish(t)
})

const squid = spawnSync('which', ['squid'], { encoding: 'utf8' }).stdout.trim()

void t.test(
  'squid as the proxy above, with a password, by address and by name',
  { skip: squid === '' && 'squid is not installed' },
  async (t) => {
    const ends = await startEnds(t)
    const squidPort = await startSquid(t)
    for (const connectBy of ['address', 'name'])
      scenario(
        t,
        `squid, by ${connectBy}`,
        through(ends, `http://127.0.0.1:${squidPort}`, `connectBy: ${connectBy}, ${AUTH}`, KNOWN),
        async (cx, t) => {
          await askAll(cx, t, ends)
          t.notMatch(JSON.stringify(ends.plain.seen), PASSWORD)
          const gone = await freePort()
          const host = `api.test:${gone}`
          t.match(
            await cx.raw(request('GET', `http://${host}/`, host)),
            /^HTTP\/1\.1 403/,
            'what no rule allows is refused before',
          )
        },
      )
  },
)

// Its helper says OK to one password; names of the test are in a file of hosts.
async function startSquid(t: Test): Promise<number> {
  const directory = mkdtempSync(path.join(tmpdir(), 'sallyport-squid-'))
  // Started by root it becomes somebody else, who has to read what is in there.
  chmodSync(directory, 0o755)
  const at = (name: string): string => path.join(directory, name)
  const port = await freePort()
  writeFileSync(at('hosts'), '127.0.0.1 api.test raw.test\n')
  writeFileSync(
    at('helper.sh'),
    `#!/bin/sh\nwhile read -r user password; do [ "$user $password" = "us ${PASSWORD}" ] && echo OK || echo ERR; done\n`,
    { mode: 0o755 },
  )
  writeFileSync(
    at('squid.conf'),
    [
      `http_port 127.0.0.1:${port}`,
      `auth_param basic program ${at('helper.sh')}`,
      'auth_param basic children 1',
      'acl known proxy_auth REQUIRED',
      'http_access allow known',
      'http_access deny all',
      `hosts_file ${at('hosts')}`,
      'cache deny all',
      'access_log none',
      'cache_log /dev/null',
      'pid_filename none',
      'shutdown_lifetime 0 seconds',
      'pinger_enable off',
      'netdb_filename none',
    ].join('\n'),
  )
  // By a name of its own, so that it shares no memory with another.
  const child = spawn(squid, ['-N', '-n', `above${port}`, '-f', at('squid.conf')], {
    stdio: 'ignore',
  })
  const ended = new Promise((resolve) => child.once('exit', resolve))
  t.teardown(async () => {
    // Killed, it would leave its shared memory behind.
    child.kill('SIGTERM')
    await ended
    rmSync(directory, { recursive: true, force: true })
  })
  await until(
    () =>
      new Promise<boolean>((resolve) => {
        const probe = net.connect(port, '127.0.0.1')
        probe.once('connect', () => resolve(true)).once('error', () => resolve(false))
        probe.once('connect', () => probe.destroy())
      }),
    'squid listens',
  )
  return port
}
