// Real clients by SOCKS5, and what holds for every tunnel: refusals told inside, no way to the doors themselves, one bound for the
// connections of all doors.

import net, { type Socket } from 'node:net'

import t from 'tap'

import { gitBackend, startGit } from '../fixtures/git-upstream.ts'
import {
  exchange,
  freePort,
  pki,
  request,
  ruleSet,
  scenario,
  startSecure,
  until,
} from '../fixtures/scenario.ts'
import { readBytes, socksConnect } from '../fixtures/socks.ts'

const HERE = 'addresses: [127.0.0.0/8]'
const socksPort = await freePort()
const listen = `socks: '127.0.0.1:${socksPort}'`

void t.test('clients', async (t) => {
  const secure = await startSecure(['secure.test'])
  const url = `https://secure.test:${secure.port}`
  scenario(
    t,
    'R36: curl by names and by addresses: a rule for a name is met by the name alone',
    {
      listen,
      hosts: ['secure.test'],
      rules: ruleSet(`id: secure, allow: '${url}', ${HERE}`),
    },
    async (cx, t) => {
      cx.track(secure)
      const ca = `${cx.directory}/certs/ca.crt`
      const proxied = (scheme: string): string[] => [
        '--proxy',
        `${scheme}://127.0.0.1:${socksPort}`,
      ]
      const curl = (...words: string[]): ReturnType<typeof cx.client> =>
        cx.client('curl', ['-sS', '--cacert', ca, ...words], { variables: {} })
      t.match((await curl(...proxied('socks5h'), `${url}/name`)).stdout, /"url":"\/name"/)
      const resolved = await curl(
        ...proxied('socks5'),
        '--resolve',
        `secure.test:${secure.port}:127.0.0.1`,
        `${url}/address`,
      )
      t.match(resolved.stderr, /SOCKS5.*\(2\)/, 'a name that the client resolved is no name')
      t.match(await cx.record(({ event }) => event.action === 'call-denied'), {
        event: { reason: 'ip-not-on-allowlist' },
        destination: { ip: '127.0.0.1' },
      })
      const literal = await curl(...proxied('socks5h'), `https://[::1]:${secure.port}/`)
      t.match(literal.stderr, /SOCKS5.*\(2\)/, 'IPv6 is asked for as such')
      t.match(await cx.record(({ destination }) => destination?.ip === '::1'), {
        event: { reason: 'ip-not-on-allowlist' },
      })
    },
  )
})

void t.test('git', async (t) => {
  const backend = gitBackend()
  if (backend === undefined) {
    t.pass('skipped', { skip: 'git has no http-backend here' })
    return
  }
  const upstream = await startGit(backend, pki.issue({ names: ['git.test'] }))
  const host = `git.test:${upstream.port}`
  const grant = `git: { repos: [acme/widgets] }`
  scenario(
    t,
    'git clones what it may, and is told why not of the rest',
    {
      listen,
      hosts: ['git.test'],
      rules: ruleSet(`id: git, allow: 'https://${host}', ${grant}, ${HERE}`),
    },
    async (cx, t) => {
      cx.track(upstream)
      const clone = (name: string): ReturnType<typeof cx.client> =>
        cx.client(
          'git',
          [
            '-c',
            `http.proxy=socks5h://127.0.0.1:${socksPort}`,
            '-c',
            `http.sslCAInfo=${cx.directory}/certs/ca.crt`,
            'clone',
            '-q',
            `https://${host}/acme/${name}.git`,
          ],
          { variables: {} },
        )
      t.match(await clone('widgets'), { status: 0 })
      const other = await clone('other')
      t.not(other.status, 0)
      t.match(other.stderr, /403|source-not-allowed/)
      t.match(await cx.record(({ event }) => event.reason === 'source-not-allowed'), {
        sallyport: { call: { door: 'socks' } },
      })
    },
  )
})

void t.test('refusals inside', async (t) => {
  scenario(
    t,
    'a refused name is told inside where the configuration says so',
    {
      listen,
      rules: ruleSet(`id: any, allow: 'https://allowed.test'`),
      config: 'refusals: { connect: inside }',
    },
    async (cx, t) => {
      const { socket, code } = await socksConnect(socksPort, 'other.test', 80)
      t.equal(code, 0)
      t.match(
        await exchange(socket, request('GET', '/', 'other.test')),
        /403 Sallyport: not-on-allowlist/,
      )
      await until(() => cx.terminal().length === 2, 'tunnel and request are on record')
      t.ok(cx.terminal().every(({ event }) => event.reason === 'not-on-allowlist'))
    },
  )
})

void t.test('the doors themselves', async (t) => {
  const httpPort = await freePort()
  const tlsPort = await freePort()
  const doors = [socksPort, httpPort, tlsPort]
  scenario(
    t,
    'lead nowhere, by whichever door and whatever rules say',
    {
      listen: `${listen}, transparent: { http: '127.0.0.1:${httpPort}', tls: '127.0.0.1:${tlsPort}' }`,
      hosts: ['self.test'],
      rulesFor: (proxyPort, healthPort) =>
        ruleSet(
          ...[...doors, proxyPort, healthPort].flatMap((port) => [
            `id: name-${port}, allow: ['http://self.test:${port}', 'tcp://127.0.0.1:${port}'], ${HERE}`,
          ]),
        ),
      ruleSets: ['set'],
    },
    async (cx, t) => {
      for (const port of [...doors, cx.proxyPort, cx.healthPort]) {
        const { code } = await socksConnect(socksPort, '127.0.0.1', port)
        t.equal(code, 1, `SOCKS5 to ${port}`)
        const host = `self.test:${port}`
        const answer = await exchange(net.connect(httpPort, '127.0.0.1'), request('GET', '/', host))
        t.match(answer, /502 Sallyport: loop-detected/, `transparent to ${port}`)
        t.match(await cx.raw(request('GET', `http://${host}/`, host)), /loop-detected/)
      }
    },
  )
})

void t.test('one bound', async (t) => {
  const tlsPort = await freePort()
  const httpPort = await freePort()
  scenario(
    t,
    'connectionsMax bounds the connections of all doors together',
    {
      listen: `${listen}, transparent: { http: '127.0.0.1:${httpPort}', tls: '127.0.0.1:${tlsPort}' }`,
      rules: ruleSet(`id: any, allow: 'https://allowed.test'`),
      limits: 'connectionsMax: 4',
    },
    async (cx, t) => {
      const open: Socket[] = []
      for (const port of [socksPort, tlsPort, httpPort, cx.proxyPort]) {
        const socket = net.connect(port, '127.0.0.1')
        socket.on('error', () => undefined)
        await new Promise((resolve) => socket.once('connect', resolve))
        open.push(socket)
      }
      t.match(await exchange(net.connect(cx.proxyPort, '127.0.0.1'), ''), /503 Sallyport: busy/)
      for (const port of [socksPort, tlsPort, httpPort])
        t.equal(await exchange(net.connect(port, '127.0.0.1'), ''), '', `${port} closes`)
      await until(() => cx.terminal().length === 4, 'all four are on record')
      t.ok(cx.terminal().every(({ event }) => event.reason === 'busy'))
      for (const socket of open) socket.destroy()
      let answered = 0
      await until(async () => {
        const socket = net.connect(socksPort, '127.0.0.1')
        socket.on('error', () => undefined)
        socket.write(Buffer.from([5, 1, 0]))
        answered = (await readBytes(socket, 2)).length
        socket.destroy()
        return answered === 2
      }, 'there is room again')
      t.equal(answered, 2)
    },
  )
})
