// Tasks of one sidecar share nothing, and none of them reaches what it is governed by: connections, TLS sessions, answers of
// DNS, credentials, records; the control API; the CA.

import { createHash, X509Certificate } from 'node:crypto'
import { statSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import path from 'node:path'
import tls, { type TLSSocket } from 'node:tls'

import t from 'tap'

import { startDnsServer } from '../fixtures/dns.ts'
import {
  freePort,
  readHead,
  request,
  ruleSet,
  scenario,
  startSecure,
  until,
} from '../fixtures/scenario.ts'
import {
  api,
  connectAs,
  getAs,
  makeTask,
  revoke,
  secureAs,
  taskDefinition,
  type MadeTask,
} from '../fixtures/tasks.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'
const KEY = 'canary-key-of-the-upstream-0001'
// The key itself would not come back.
const digestOf = (key: string): string => createHash('sha256').update(key).digest('base64')
const KEY_DIGEST = digestOf(KEY)

void t.test('two tasks of one sidecar', async (t) => {
  const sec = await startSecure(['sec.test'], ({ socket, headers }) => {
    const key = headers['x-key']
    const digest = typeof key === 'string' ? digestOf(key) : null
    const body = JSON.stringify({ port: socket.remotePort, key: digest })
    return { headers: ['Content-Length', String(body.length)], body }
  })
  t.teardown(() => sec.close())
  const authority = `sec.test:${sec.port}`
  const rules = {
    ...ruleSet(`id: sec, allow: 'https://${authority}', ${LOOPBACK}, credential: key`),
    other: `ruleset: other\nrules:\n  - { id: sec, allow: 'https://${authority}', ${LOOPBACK} }\n`,
  }
  const credential = `credentials:
  key: { source: { env: KEY }, inject: { header: { name: X-Key } }, hosts: ['${authority}'] }
`
  const secrets = { KEY }
  const options = { hosts: ['sec.test'], rules, expires: null, config: credential, secrets }

  const ask = async (
    socket: TLSSocket,
    headers = '',
  ): Promise<{ port: number; /** A digest. */ key: string | null }> => {
    socket.write(`GET / HTTP/1.1\r\nHost: ${authority}\r\n${headers}\r\n`)
    const head = await readHead(socket)
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0)
    let body = ''
    socket.on('data', (chunk: Buffer) => (body += chunk.toString()))
    socket.resume()
    await until(() => body.length >= length, `the body of ${head}`)
    socket.removeAllListeners('data')
    return JSON.parse(body)
  }

  scenario(t, 'no connection to an upstream is shared', options, async (cx, t) => {
    const [one, two] = [await makeTask(cx), await makeTask(cx)]
    const first = await ask(await secureAs(cx, one, authority))
    const again = await ask(await secureAs(cx, one, authority))
    const other = await ask(await secureAs(cx, two, authority))
    t.equal(again.port, first.port, 'a task uses its own again')
    t.not(other.port, first.port)
    await revoke(cx, one.id)
    await until(() => sec.open() === 1, "the ended task's is closed")
    t.equal((await ask(await secureAs(cx, two, authority))).port, other.port)
  })

  scenario(t, 'no TLS session is shared', options, async (cx, t) => {
    const [one, two] = [await makeTask(cx), await makeTask(cx)]
    const open = async (
      task: MadeTask,
      session?: Buffer,
    ): Promise<{ reused: boolean; session: Buffer }> => {
      const socket = await connectAs(cx, task, authority)
      const both = one.caPem + two.caPem
      const terms = { socket, ca: both, servername: 'sec.test', maxVersion: 'TLSv1.2' } as const
      const secure = tls.connect({ ...terms, ...(session && { session }) })
      await new Promise((resolve, reject) =>
        secure.once('secureConnect', resolve).once('error', reject),
      )
      const kept = secure.getSession() ?? Buffer.of()
      const reused = secure.isSessionReused()
      secure.destroy()
      return { reused, session: kept }
    }
    const { session } = await open(one)
    t.equal((await open(one, session)).reused, true, 'its own is taken')
    t.equal((await open(two, session)).reused, false)
  })

  scenario(
    t,
    'R68: no credential is shared, and a placeholder is worth nothing to another',
    options,
    async (cx, t) => {
      const one = await makeTask(cx)
      const two = await makeTask(cx, { rules: ['other'] })
      const [mine, theirs] = [one.env['KEY_TOKEN'] ?? '', two.env['KEY_TOKEN'] ?? '']
      t.not(mine, theirs)
      t.equal((await ask(await secureAs(cx, one, authority))).key, KEY_DIGEST, 'its rule names it')
      t.equal((await ask(await secureAs(cx, two, authority))).key, null, "the other's does not")
      const socket = await secureAs(cx, two, authority)
      t.not((await ask(socket, `X-Key: ${mine}\r\n`)).key, KEY_DIGEST, "another's placeholder")
      const receipt = await revoke(cx, one.id)
      t.match(
        receipt.items.find(({ kind }) => kind === 'credential'),
        { name: 'key', outcome: 'forgotten', residualExposureUntil: null },
        'R64: what cannot be revoked is named',
      )
      t.notOk((await revoke(cx, two.id)).items.some(({ kind }) => kind === 'credential'))
    },
  )

  scenario(
    t,
    'R66: the kill switch for a credential stops what it is used by',
    options,
    async (cx, t) => {
      const one = await makeTask(cx)
      const two = await makeTask(cx, { rules: ['other'] })
      const socket = await secureAs(cx, one, authority)
      await ask(socket)
      const { body } = await api(cx, 'POST', '/v1/kill', {
        scope: 'credential',
        value: 'key',
        reason: 'leaked',
      })
      socket.write(`GET / HTTP/1.1\r\nHost: ${authority}\r\n\r\n`)
      t.match(await readHead(socket), /^HTTP\/1\.1 403 Sallyport: killed/)
      t.equal(
        (await ask(await secureAs(cx, two, authority))).key,
        null,
        'a call without it goes on',
      )
      await api(cx, 'DELETE', `/v1/kill/${body.kill.id}`)
      t.equal((await ask(await secureAs(cx, one, authority))).key, KEY_DIGEST)
    },
  )

  scenario(
    t,
    'R46: the CA of a task is its own, short-lived and held to its hosts',
    options,
    async (cx, t) => {
      const task = await makeTask(cx, { expires: '20m' })
      const anchor = new X509Certificate(task.caPem)
      t.match(anchor.subject, task.id)
      t.ok(anchor.validToDate.getTime() < Date.now() + 26 * 60_000, 'it ends with the task')
      const file = task.env['NODE_EXTRA_CA_CERTS'] ?? ''
      const { stdout } = await cx.client('openssl', ['x509', '-in', file, '-noout', '-text'])
      t.match(stdout, /X509v3 Name Constraints: critical\s+Permitted:\s+DNS:sec\.test/)
      t.match(
        await cx.client('curl', ['-sS', '-o', '/dev/null', `https://${authority}/`], {
          env: task.env,
        }),
        {
          status: 0,
        },
      )
      await revoke(cx, task.id)
      t.throws(
        () => statSync(path.join(cx.directory, 'state/task-ca', `${task.id}.pem`)),
        'and its key is gone with it',
      )
    },
  )
})

void t.test('the room of a sidecar', async (t) => {
  const silent = await startHttp({ raw: () => undefined })
  const sec = await startSecure(['sec.test'], () => ({ body: 'ok' }))
  t.teardown(() => Promise.all([silent.close(), sec.close()]))
  const url = `http://silent.test:${silent.port}/`
  const options = {
    hosts: ['silent.test', 'sec.test'],
    expires: null,
    limits: 'tunnelsPerTaskMax: 1, callsPerTaskMax: 1, tasksMax: 2',
    rules: ruleSet(
      `id: silent, allow: 'http://silent.test:${silent.port}', ${LOOPBACK}`,
      `id: sec, allow: 'https://sec.test:${sec.port}', ${LOOPBACK}`,
    ),
  }
  scenario(t, 'I7: what one task has open keeps no other out', options, async (cx, t) => {
    const [one, two] = [await makeTask(cx), await makeTask(cx)]
    const third = await api(cx, 'POST', '/v1/tasks', taskDefinition())
    t.match(third, { status: 503, body: { reason: 'busy', detail: /tasksMax/ } })
    const held = net.connect(cx.proxyPort, '127.0.0.1')
    held.write(`GET ${url} HTTP/1.1\r\nHost: silent.test:${silent.port}\r\n${one.login}\r\n\r\n`)
    await until(() => silent.open() === 1, 'a call is under way')
    t.match(await getAs(cx, one, url), /^HTTP\/1\.1 503 Sallyport: busy/)
    const tunnel = await connectAs(cx, one, `sec.test:${sec.port}`)
    await t.rejects(connectAs(cx, one, `sec.test:${sec.port}`), /503 Sallyport: busy/)
    const other = await secureAs(cx, two, `sec.test:${sec.port}`)
    other.write(`GET / HTTP/1.1\r\nHost: sec.test:${sec.port}\r\n\r\n`)
    t.match(await readHead(other), /^HTTP\/1\.1 200/, 'the other has room')
    held.destroy()
    tunnel.destroy()
    await until(
      () =>
        connectAs(cx, one, `sec.test:${sec.port}`).then(
          (again) => !!again.destroy(),
          () => false,
        ),
      'what is over is given back',
    )
  })
})

void t.test('answers of DNS', async (t) => {
  const dns = await startDnsServer({
    'up.test': [{ addresses: ['127.0.0.1'], ttlSeconds: 300 }],
  })
  const up = await startHttp({ handler: () => ({ body: 'ok' }) })
  t.teardown(() => Promise.all([dns.close(), up.close()]))
  const url = `http://up.test:${up.port}/`
  const config = `upstream: { resolver: ['127.0.0.1:${dns.port}'] }\n`
  const rules = ruleSet(`id: up, allow: 'http://up.test:${up.port}', ${LOOPBACK}`)
  scenario(
    t,
    'no answer of DNS is shared, and none outlives its task',
    { rules, config, expires: null },
    async (cx, t) => {
      const [one, two] = [await makeTask(cx), await makeTask(cx)]
      const asked = (): number => dns.count('up.test')
      await getAs(cx, one, url)
      const first = asked()
      await getAs(cx, one, url)
      t.equal(asked(), first, 'a task keeps its own')
      await getAs(cx, two, url)
      t.equal(asked(), 2 * first)
      const receipt = await revoke(cx, one.id)
      t.match(
        receipt.items.find(({ kind }) => kind === 'dns'),
        { outcome: 'ended', count: 1 },
      )
    },
  )
})

void t.test('R44: what governs a task is out of its reach', async (t) => {
  const up = await startHttp({ handler: () => ({ body: 'ok' }) })
  t.teardown(() => up.close())
  const control = await freePort()
  const rulesFor = (): Record<string, string> =>
    ruleSet(
      `id: all, allow: ['http://127.0.0.1:${control}', 'http://control.test:${control}', 'http://127.0.0.1:${up.port}'], ${LOOPBACK}`,
    )
  const token = 'an-administrators-token-0001'
  scenario(
    t,
    'over TCP: not through the proxy, whatever rules say, and not without a token',
    {
      rulesFor,
      ruleSets: ['set'],
      hosts: ['control.test'],
      config: `control: { listen: '127.0.0.1:${control}', tokenFile: control.secret }\n`,
      secrets: { ADMINISTRATOR: token },
      files: { 'control.secret': `${token}\n` },
    },
    async (cx, t) => {
      t.match(
        await cx.raw(request('GET', `http://127.0.0.1:${up.port}/`, `127.0.0.1:${up.port}`)),
        /^HTTP\/1\.1 200/,
      )
      for (const host of ['127.0.0.1', 'control.test']) {
        const at = `${host}:${control}`
        t.match(
          await cx.raw(request('GET', `http://${at}/v1/tasks`, at)),
          /^HTTP\/1\.1 502 Sallyport: loop-detected/,
          at,
        )
      }
      const inside = request('GET', '/v1/tasks', `127.0.0.1:${control}`)
      const tunnel = `CONNECT 127.0.0.1:${control} HTTP/1.1\r\nHost: 127.0.0.1:${control}\r\n\r\n`
      t.match(await cx.raw(tunnel + inside), /\r\n\r\nHTTP\/1\.1 502 Sallyport: loop-detected/)
      t.match(
        await cx.raw(request('GET', '/v1/tasks', `127.0.0.1:${cx.proxyPort}`)),
        /^HTTP\/1\.1 400/,
        'the data port',
      )
      const direct = (headers: http.OutgoingHttpHeaders): Promise<number | undefined> =>
        new Promise((resolve, reject) => {
          http
            .get({ host: '127.0.0.1', port: control, path: '/v1/tasks', headers }, (answer) => {
              answer.resume()
              resolve(answer.statusCode)
            })
            .on('error', reject)
        })
      t.equal(await direct({}), 401)
      t.equal(await direct({ authorization: 'Bearer guess-guess-guess-guess' }), 401)
      t.equal(await direct({ authorization: `Bearer ${token}` }), 200, 'its administrator')
      t.equal(
        await direct({ authorization: `Bearer ${token}`, host: 'evil.test' }),
        400,
        'no rebinding',
      )
      t.equal(
        await direct({ authorization: `Bearer ${token}`, origin: 'http://evil.test' }),
        403,
        'no forged request of a browser',
      )
    },
  )

  scenario(
    t,
    'over its socket: only who may open it',
    { rules: ruleSet(`id: up, allow: 'http://up.test'`), expires: null },
    async (cx, t) => {
      const socket = path.join(cx.directory, 'state/control.sock')
      t.equal(statSync(socket).mode & 0o777, 0o660)
      t.equal(statSync(path.dirname(socket)).mode & 0o777, 0o700)
      for (const name of ['tasks.ndjson', 'receipt.key', 'ca.key'])
        t.equal(statSync(path.join(cx.directory, 'state', name)).mode & 0o077, 0, name)
      t.equal((await api(cx, 'GET', '/v1/tasks')).status, 200)
      const words = [
        '--reuid=65534',
        '--regid=65534',
        '--clear-groups',
        'curl',
        '-sS',
        '--unix-socket',
      ]
      const { status } = await cx.client('setpriv', [...words, socket, 'http://localhost/v1/tasks'])
      t.not(status, 0, 'another user')
    },
  )
})
