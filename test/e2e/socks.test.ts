// The door for SOCKS5 from outside: what is inside its tunnels is judged as in a CONNECT, whoever may not is told by the
// protocol's own codes, and whatever is no SOCKS5 ends on record.

import net, { type Socket } from 'node:net'
import tls from 'node:tls'

import t from 'tap'

import {
  exchange,
  freePort,
  request,
  ruleSet,
  scenario,
  startSecure,
  until,
  type Scenario,
  type ScenarioOptions,
} from '../fixtures/scenario.ts'
import { greeting, login, readBytes, socksConnect, socksRequest } from '../fixtures/socks.ts'
import { makeTask } from '../fixtures/tasks.ts'
import { startEcho, startHttp } from '../fixtures/upstreams.ts'

const HERE = 'addresses: [127.0.0.0/8]'

interface Given {
  readonly socks: number
  readonly options: ScenarioOptions
}

async function withDoor(options: ScenarioOptions): Promise<Given> {
  const socks = await freePort()
  return { socks, options: { listen: `socks: '127.0.0.1:${socks}'`, ...options } }
}

/** TLS inside a tunnel, ended by the sidecar. */
async function secureInside(cx: Scenario, socket: Socket, servername: string): Promise<Socket> {
  const secure = tls.connect({ socket, ca: cx.caPem(), servername })
  await new Promise<void>((resolve, reject) => {
    secure.once('secureConnect', resolve)
    secure.once('error', reject)
    secure.once('close', () => reject(new Error('closed in the handshake')))
  })
  secure.on('error', () => undefined)
  return secure
}

void t.test('what is inside', async (t) => {
  const plain = await startHttp({})
  const secure = await startSecure(['secure.test'])
  const opaque = await startEcho()
  const passed = await startSecure(['passed.test'])
  const { socks, options } = await withDoor({
    hosts: ['plain.test', 'secure.test', 'opaque.test', 'passed.test'],
    rules: ruleSet(
      `id: plain, allow: 'http://plain.test:${plain.port}', methods: [GET], ${HERE}`,
      `id: secure, allow: 'https://secure.test:${secure.port}', methods: [GET], ${HERE}`,
      `id: literal, allow: 'http://127.0.0.1:${plain.port}'`,
      `id: opaque, allow: 'tcp://opaque.test:${opaque.port}', ${HERE}`,
      `id: passed, allow: 'tls://passed.test:${passed.port}', ${HERE}`,
    ),
  })
  scenario(
    t,
    'TLS is intercepted, cleartext is judged as http, tls and tcp pass as they are, and all of it says that it came by SOCKS',
    options,
    async (cx, t) => {
      for (const upstream of [plain, secure, opaque, passed]) cx.track(upstream)
      const open = async (host: string, port: number): Promise<Socket> => {
        const { socket, code } = await socksConnect(socks, host, port)
        t.equal(code, 0, `${host} is granted`)
        return socket
      }
      const plainHost = `plain.test:${plain.port}`
      const secureHost = `secure.test:${secure.port}`
      t.match(
        await exchange(await open('plain.test', plain.port), request('GET', '/a', plainHost)),
        /^HTTP\/1\.1 200/,
      )
      t.match(
        await exchange(await open('plain.test', plain.port), request('POST', '/b', plainHost)),
        /403 Sallyport: method-not-allowed/,
        'and each request is judged',
      )
      const inside = await secureInside(cx, await open('secure.test', secure.port), 'secure.test')
      t.match(await exchange(inside, request('GET', '/c', secureHost)), /^HTTP\/1\.1 200/)
      const literal = await open('127.0.0.1', plain.port)
      t.match(
        await exchange(literal, request('GET', '/d', `127.0.0.1:${plain.port}`)),
        /^HTTP\/1\.1 200/,
        'an address that a rule lists',
      )
      t.match(await exchange(await open('opaque.test', opaque.port), 'ping', 300), /^ping$/)
      const through = tls.connect({
        socket: await open('passed.test', passed.port),
        servername: 'passed.test',
        rejectUnauthorized: false,
      })
      through.on('error', () => undefined)
      t.match(
        await exchange(through, request('GET', '/e', `passed.test:${passed.port}`)),
        /^HTTP\/1\.1 200/,
      )
      const ssh = await open('secure.test', secure.port)
      t.equal(await exchange(ssh, 'SSH-2.0-OpenSSH_9.2\r\n'), '', 'R41: other bytes are cut off')
      t.match(await cx.record(({ event }) => event.reason === 'protocol-not-allowed'), {
        sallyport: { call: { kind: 'tunnel', door: 'socks' }, detail: { begins: 'other' } },
      })
      t.match(await cx.record(({ url }) => url?.path === '/c'), {
        rule: { id: 'secure' },
        sallyport: { call: { kind: 'intercepted', door: 'socks' }, inspection: 'full' },
      })
      await until(
        () => cx.terminal().filter(({ rule }) => rule?.id === 'passed').length === 1,
        'the tunnel that passed is on record',
      )
      for (const { sallyport } of cx.records().filter(({ sallyport: { call } }) => call?.kind))
        t.equal(sallyport.call?.door, 'socks')
    },
  )
})

void t.test('who may not', async (t) => {
  const opaque = await startEcho()
  const closed = await freePort()
  const { socks, options } = await withDoor({
    hosts: ['opaque.test', 'closed.test', 'inside.test'],
    rules: ruleSet(
      `id: opaque, allow: 'tcp://opaque.test:${opaque.port}', ${HERE}`,
      `id: closed, allow: 'tcp://closed.test:${closed}', ${HERE}`,
      `id: private, allow: 'tcp://inside.test:${opaque.port}'`,
      `id: unknown, allow: 'tcp://unknown.invalid:9'`,
    ),
  })
  scenario(
    t,
    'R31: is told by the code that says why, and one record says it in full',
    { ...options },
    async (cx, t) => {
      cx.track(opaque)
      const { code: granted, socket } = await socksConnect(socks, 'opaque.test', opaque.port)
      t.equal(granted, 0, 'the allowed twin')
      socket.destroy()
      await cx.record(({ event }) => event.action === 'call-ended')
      const cases: [host: string | Buffer, port: number, code: number, reason: string][] = [
        ['other.test', 443, 2, 'not-on-allowlist'],
        ['opaque.test', opaque.port + 1, 2, 'port-not-allowed'],
        ['OPAQUE.TEST.', opaque.port, 0, 'allowed'],
        ['10.1.2.3', 443, 2, 'ip-not-on-allowlist'],
        ['fd00::7', 443, 2, 'ip-not-on-allowlist'],
        ['::ffff:a01:203', 443, 2, 'ip-not-on-allowlist'],
        ['closed.test', closed, 5, 'dial-failed'],
        ['inside.test', opaque.port, 2, 'resolved-address-denied'],
        [Buffer.from('evil.test\0.opaque.test'), opaque.port, 1, 'malformed-target'],
        [Buffer.from('opaque.test\0'), opaque.port, 1, 'malformed-target'],
        [Buffer.from('[opaque.test]'), opaque.port, 1, 'malformed-target'],
        [Buffer.from('user@opaque.test'), opaque.port, 1, 'malformed-target'],
        [Buffer.from('opaque.test:80'), opaque.port, 1, 'malformed-target'],
        [Buffer.from('fe80::1%eth0'), opaque.port, 1, 'malformed-target'],
        [Buffer.from('2130706433'), opaque.port, 1, 'malformed-target'],
        [Buffer.from('127.1'), opaque.port, 1, 'malformed-target'],
        [Buffer.from('ｏpaque.test'), opaque.port, 1, 'malformed-target'],
        [Buffer.alloc(0), opaque.port, 1, 'malformed-target'],
        [Buffer.alloc(255, 'a'), opaque.port, 1, 'malformed-target'],
        ['opaque.test', 0, 1, 'malformed-port'],
      ]
      for (const [host, port, code, reason] of cases) {
        const before = cx.terminal().length
        const answer = await socksConnect(socks, host, port)
        answer.socket.destroy()
        t.equal(answer.code, code, `${JSON.stringify(String(host))}:${port} is answered ${code}`)
        await until(() => cx.terminal().length > before, 'it is on record')
        const record = cx.terminal().at(-1)!
        if (reason !== 'allowed') t.equal(record.event.reason, reason)
        t.equal(cx.terminal().length, before + 1)
        t.equal(record.sallyport.call?.door, 'socks')
      }
    },
  )
})

/** What the door answers to bytes, until it closes. */
function say(port: number, bytes: Buffer, end = false): Promise<Buffer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.on('error', () => undefined)
    socket.on('end', () => socket.end())
    socket.on('close', () => resolve(Buffer.concat(chunks)))
    if (end) socket.end(bytes)
    else socket.write(bytes)
  })
}

void t.test('what is no SOCKS5', async (t) => {
  const { socks, options } = await withDoor({
    rules: ruleSet(`id: any, allow: 'https://allowed.test'`),
    limits: 'headTimeoutMs: 400',
    config: 'journal: { denialsPerTaskPerSecond: 1000 }',
  })
  const ask = socksRequest('allowed.test', 443)
  const whole = Buffer.concat([greeting(0), ask])
  const wholeWithLogin = Buffer.concat([greeting(0, 2), login('id', 'word'), ask])
  scenario(
    t,
    'every truncation ends with one record, and nothing is opened',
    options,
    async (cx, t) => {
      let expected = 0
      for (const bytes of [whole, wholeWithLogin]) {
        for (let length = 0; length < bytes.length; length += 1) {
          await say(socks, bytes.subarray(0, length), true)
          if (length > 0) expected += 1
          await until(() => cx.terminal().length >= expected, `cut at ${length} it is on record`)
          t.equal(cx.terminal().length, expected, `cut at ${length}`)
        }
      }
      for (const length of [3, 5, whole.length - 1]) {
        const broken = net.connect(socks, '127.0.0.1')
        broken.write(whole.subarray(0, length))
        await readBytes(broken, 2)
        broken.resetAndDestroy()
        expected += 1
        await until(() => cx.terminal().length >= expected, `broken off at ${length}`)
      }
      const reasons = new Set(cx.terminal().map(({ event }) => event.reason))
      t.strictSame(reasons, new Set(['malformed-request-line', 'client-gone']))
      t.ok(cx.terminal().every(({ event }) => event.action === 'call-denied'))
      for (const length of [0, 1, 2, 5, whole.length - 1]) {
        await say(socks, whole.subarray(0, length))
        expected += 1
        await until(() => cx.terminal().length >= expected, 'a silent client is on record')
        t.equal(cx.terminal().at(-1)?.event.reason, 'head-timeout', `silent after ${length}`)
      }
    },
  )
  scenario(t, 'every wrong byte is refused, one record each', options, async (cx, t) => {
    const changed = (at: number, byte: number, bytes = whole): Buffer => {
      const copy = Buffer.from(bytes)
      copy[at] = byte
      return copy
    }
    const socks4 = Buffer.from([4, 1, 1, 187, 10, 1, 2, 3, 0])
    const refusals: [what: string, bytes: Buffer, answer: number[], reason: string][] = [
      ['SOCKS4', socks4, [0, 0x5b, 0, 0, 0, 0, 0, 0], 'protocol-not-allowed'],
      ['HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n'), [], 'protocol-not-allowed'],
      ['TLS', Buffer.from([0x16, 3, 1, 0, 5]), [], 'protocol-not-allowed'],
      ['a zero', Buffer.from([0]), [], 'protocol-not-allowed'],
      ['version 6', changed(0, 6), [], 'protocol-not-allowed'],
      ['no method', Buffer.from([5, 0]), [], 'malformed-request-line'],
      ['GSSAPI alone', greeting(1), [5, 0xff], 'identity-missing'],
      ['methods of nobody', greeting(3, 0x80, 0xfe, 0xff), [5, 0xff], 'identity-missing'],
      ['a request of version 4', changed(3, 4), [5, 0, 5, 1], 'malformed-request-line'],
      ['BIND', changed(4, 2), [5, 0, 5, 7], 'protocol-not-allowed'],
      ['UDP ASSOCIATE', changed(4, 3), [5, 0, 5, 7], 'protocol-not-allowed'],
      ['command 0', changed(4, 0), [5, 0, 5, 7], 'protocol-not-allowed'],
      ['a reserved byte', changed(5, 1), [5, 0, 5, 1], 'malformed-request-line'],
      ['address type 0', changed(6, 0), [5, 0, 5, 8], 'protocol-not-allowed'],
      ['address type 2', changed(6, 2), [5, 0, 5, 8], 'protocol-not-allowed'],
      ['address type 255', changed(6, 255), [5, 0, 5, 8], 'protocol-not-allowed'],
      [
        'a login of version 5',
        changed(4, 5, wholeWithLogin),
        [5, 2, 1, 1],
        'malformed-request-line',
      ],
      [
        'a colon in the name',
        Buffer.concat([greeting(2), login('a:b', 'c')]),
        [5, 2, 1, 1],
        'identity-unknown',
      ],
    ]
    for (const [what, bytes, answer, reason] of refusals) {
      const before = cx.terminal().length
      const said = await say(socks, bytes)
      t.strictSame([...said.subarray(0, answer.length)], answer, what)
      if (answer.length === 0) t.equal(said.length, 0, `${what} is answered by nothing`)
      await until(() => cx.terminal().length > before, `${what} is on record`)
      t.match(cx.terminal().at(-1), {
        event: { action: 'call-denied', reason },
        sallyport: { call: { kind: 'tunnel', door: 'socks' }, task: {} },
      })
    }
    t.equal(cx.terminal().length, refusals.length)
  })
})

const GRANTED_THEN_200 = new RegExp(`^05000500.{16}${Buffer.from('HTTP/1.1 200').toString('hex')}`)

void t.test('bytes as they come', async (t) => {
  const plain = await startHttp({})
  const { socks, options } = await withDoor({
    hosts: ['plain.test'],
    rules: ruleSet(`id: plain, allow: 'http://plain.test:${plain.port}', ${HERE}`),
  })
  scenario(
    t,
    'one by one and all at once are the same, and what is behind is the tunnel’s',
    options,
    async (cx, t) => {
      cx.track(plain)
      const host = `plain.test:${plain.port}`
      const all = Buffer.concat([
        greeting(0),
        socksRequest('plain.test', plain.port),
        Buffer.from(request('GET', '/at-once', host)),
      ])
      t.match((await say(socks, all)).toString('hex'), GRANTED_THEN_200)
      const slow = net.connect({ port: socks, host: '127.0.0.1', noDelay: true })
      const answered = readBytes(slow, 40)
      for (const byte of all) {
        slow.write(Buffer.of(byte))
        await new Promise(setImmediate)
      }
      t.match((await answered).toString('hex'), GRANTED_THEN_200)
      slow.destroy()
      t.equal(plain.seen.length, 2)
    },
  )
})

void t.test('whose it is', async (t) => {
  const opaque = await startEcho()
  const rules = ruleSet(`id: opaque, allow: 'tcp://opaque.test:${opaque.port}', ${HERE}`)
  const given = { hosts: ['opaque.test'], rules }
  const { socks, options } = await withDoor({ ...given, expires: null })
  scenario(t, 'a task’s token is its password, and nobody else’s', options, async (cx, t) => {
    cx.track(opaque)
    const one = await makeTask(cx)
    const other = await makeTask(cx)
    const codeOf = async (user?: string, password?: string): Promise<number> => {
      const with_ = user === undefined ? {} : { user, password: password ?? '' }
      const before = cx.terminal().length
      const { socket, code } = await socksConnect(socks, 'opaque.test', opaque.port, with_)
      socket.destroy()
      await until(() => cx.terminal().length > before, 'it is on record')
      return code
    }
    t.equal(await codeOf(one.id, one.token), 0)
    t.equal(await codeOf('', one.token), 0, 'the name may be left out')
    t.equal(await codeOf(one.id, other.token), 2)
    t.equal(await codeOf(one.id, 'guess'), 2)
    t.equal(await codeOf(one.id, ''), 2)
    t.equal(await codeOf(), 2, 'nobody at all')
    t.strictSame(
      cx.terminal().map(({ event }) => event.reason),
      [
        'allowed',
        'allowed',
        'identity-unknown',
        'identity-unknown',
        'identity-unknown',
        'identity-missing',
      ],
    )
    t.ok(
      cx.terminal().every(({ destination }) => destination?.domain === 'opaque.test'),
      'and each says where it wanted to go',
    )
  })
})

void t.test('clients', async (t) => {
  const plain = await startHttp({})
  const secure = await startSecure(['secure.test'])
  const { socks, options } = await withDoor({
    hosts: ['plain.test', 'secure.test'],
    expires: null,
    rules: ruleSet(
      `id: plain, allow: 'http://plain.test:${plain.port}', ${HERE}`,
      `id: secure, allow: 'https://secure.test:${secure.port}', ${HERE}`,
    ),
  })
  scenario(t, 'R36: curl with names resolved here, as a task', options, async (cx, t) => {
    cx.track(plain)
    cx.track(secure)
    const task = await makeTask(cx)
    const ca = cx.file('task-ca.pem', task.caPem)
    const curl = (login_: string, ...words: string[]): ReturnType<Scenario['client']> =>
      cx.client(
        'curl',
        ['-sS', '--cacert', ca, '--proxy', `socks5h://${login_}127.0.0.1:${socks}`, ...words],
        { variables: {} },
      )
    const as = `${task.id}:${task.token}@`
    const over = await curl(as, `https://secure.test:${secure.port}/curl`)
    t.match(over.stdout, /"url":"\/curl"/, over.stderr)
    t.match((await curl(as, `http://plain.test:${plain.port}/curl`)).stdout, /"url":"\/curl"/)
    t.match(
      (await curl(as, `https://other.test:${secure.port}/`)).stderr,
      /complete SOCKS5 connection.*\(2\)/,
    )
    t.match(
      (await curl('', `https://secure.test:${secure.port}/`)).stderr,
      /complete SOCKS5 connection.*\(2\)/,
      'not without the token',
    )
    const old = await cx.client(
      'curl',
      ['-sS', '--socks4a', `127.0.0.1:${socks}`, `http://plain.test:${plain.port}/`],
      { variables: {} },
    )
    t.match(old.stderr, /SOCKS4/i)
    t.equal(old.status !== 0, true)
  })
})
