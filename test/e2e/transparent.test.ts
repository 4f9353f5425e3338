// Clients that know of no proxy, in a network whose every address leads to the sidecar: where they go is what they name, what
// they dialed is on record, and nothing is dialed for what is refused.

import t from 'tap'

import { inNetworks, SANDBOX_RANGE, SIDECAR_ADDRESS } from '../fixtures/networks.ts'
import {
  exchange,
  request,
  ruleSet,
  scenario,
  until,
  type ScenarioOptions,
} from '../fixtures/scenario.ts'

const NAMES = ['allowed.test', 'other.test']
const HERE = 'addresses: [203.0.113.0/24]'

const options: ScenarioOptions = {
  listen: `transparent: { http: '0.0.0.0:80', tls: '0.0.0.0:443' }`,
  sources: [SANDBOX_RANGE],
  limits: 'headTimeoutMs: 700',
  config: `upstream:
  ca: [upstream-ca.pem]
  hosts: { allowed.test: [203.0.113.10, 203.0.113.11], other.test: [203.0.113.20], private.test: [10.9.9.9] }
`,
  rules: ruleSet(
    `id: secure, allow: 'https://allowed.test', methods: [GET], ${HERE}`,
    `id: plain, allow: 'http://allowed.test', methods: [GET], ${HERE}`,
    `id: private, allow: 'https://private.test'`,
    `id: literal, allow: 'https://203.0.113.7'`,
    `id: literal-plain, allow: 'http://203.0.113.7'`,
    `id: passed, allow: 'tls://other.test', ${HERE}`,
    `id: opaque, allow: 'tcp://opaque.test:443', ${HERE}`,
  ),
}

await inNetworks(t, import.meta.filename, NAMES, (networks) => {
  scenario(
    t,
    'R36: curl that resolves by itself, without any proxy variable',
    options,
    async (cx, t) => {
      const curl = (
        url: string,
        dialed: string,
        ...words: string[]
      ): ReturnType<typeof cx.client> => {
        const { hostname, port, protocol } = new URL(url)
        const at = port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port)
        const resolve = ['--resolve', `${hostname}:${at}:${dialed}`]
        const common = ['-sS', '--http1.1', '-m', '10', '--noproxy', '*', '--cacert', ca]
        return networks.client(cx, 'curl', ...common, ...resolve, ...words, url)
      }
      const ca = cx.file('sidecar-ca.pem', cx.caPem())
      const secure = await curl('https://allowed.test/curl', '203.0.113.11')
      t.match(secure.stdout, /"url":"\/curl".*"address":"203\.0\.113\.10"/, secure.stderr)
      t.match(await cx.record(({ url }) => url?.full === 'https://allowed.test/curl'), {
        event: { action: 'call-ended', reason: 'allowed' },
        source: { ip: '10.200.0.2' },
        destination: { ip: '203.0.113.10', port: 443 },
        sallyport: {
          call: { kind: 'intercepted', door: 'transparent' },
          dialed: { ip: '203.0.113.11', port: 443, match: 'resolved' },
        },
      })
      const plain = await curl('http://allowed.test/plain', '203.0.113.10')
      t.match(plain.stdout, /"url":"\/plain"/, plain.stderr)
      t.match(await cx.record(({ url }) => url?.path === '/plain'), {
        sallyport: {
          dialed: { ip: '203.0.113.10', port: 80, match: 'upstream' },
          call: { kind: 'intercepted' },
        },
      })
      await curl('http://allowed.test/elsewhere', '198.51.100.66')
      t.match(
        await cx.record(({ url }) => url?.path === '/elsewhere'),
        {
          event: { reason: 'allowed' },
          destination: { ip: '203.0.113.10' },
          sallyport: { dialed: { ip: '198.51.100.66', match: 'other' } },
        },
        'the client picks no address',
      )
      t.match(
        (await curl('https://denied.test/x', '203.0.113.10')).stdout,
        /not-on-allowlist/,
        'a refusal is read inside TLS',
      )
      t.match(
        (await curl('https://private.test/x', '203.0.113.10')).stdout,
        /resolved-address-denied/,
      )
      t.match(
        (await curl('https://203.0.113.7/literal', '203.0.113.7')).stdout,
        /"address":"203\.0\.113\.7"/,
      )
      t.match(
        (await curl('http://203.0.113.7/literal', '203.0.113.7')).stdout,
        /"address":"203\.0\.113\.7"/,
      )
      t.match(
        (await curl('https://203.0.113.8/literal', '203.0.113.8')).stdout,
        /ip-not-on-allowlist/,
      )
      t.match(
        (
          await curl(
            'https://other.test/passed',
            '203.0.113.20',
            '--cacert',
            `${cx.directory}/upstream-ca.pem`,
          )
        ).stdout,
        /"url":"\/passed"/,
        'tls passes uninspected',
      )
      t.match(
        (await curl('https://opaque.test/', '203.0.113.20')).stderr,
        /access denied/,
        'tcp is for tunnels',
      )
      const fast = await curl('http://allowed.test:8080/', '203.0.113.10')
      t.match(fast.stderr, /refused|Couldn't connect/, 'other ports lead nowhere')
      t.strictSame(
        new Set(networks.arrivals()),
        new Set([
          '203.0.113.10:443',
          '203.0.113.10:80',
          '203.0.113.7:443',
          '203.0.113.7:80',
          '203.0.113.20:443',
        ]),
        'nothing else was dialed',
      )
    },
  )

  scenario(
    t,
    'R41: what is neither TLS nor HTTP, and what says nothing',
    options,
    async (cx, t) => {
      const ends = async (
        port: number,
        bytes: string | Buffer,
        reason: string,
        detail?: object,
      ): Promise<void> => {
        const before = cx.terminal().length
        await exchange(await networks.dial('203.0.113.10', port), bytes, 5000)
        await until(
          () => cx.terminal().length > before,
          `${JSON.stringify(String(bytes))} is on record`,
        )
        t.match(cx.terminal().at(-1), {
          event: { action: 'call-denied', reason },
          destination: { ip: '203.0.113.10', port },
          sallyport: {
            call: { kind: 'tunnel', door: 'transparent' },
            task: {},
            dialed: { ip: '203.0.113.10', port },
            detail: detail ?? {},
          },
        })
        t.equal(cx.terminal().length, before + 1)
      }
      for (const port of [80, 443]) {
        await ends(port, 'SSH-2.0-OpenSSH_9.2\r\n', 'protocol-not-allowed', { begins: 'other' })
        await ends(port, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'protocol-not-allowed')
        await ends(port, Buffer.from([0, 1, 2, 3]), 'protocol-not-allowed')
        await ends(port, Buffer.from([5, 1, 0]), 'protocol-not-allowed')
        await ends(port, '', 'head-timeout')
        await ends(port, 'GE', 'head-timeout')
        await ends(port, Buffer.from([0x16, 3, 1, 2, 0, 1]), 'head-timeout')
      }
      const untouched = cx.terminal().length
      ;(await networks.dial('203.0.113.10', 443)).end()
      const ok = await exchange(
        await networks.dial('203.0.113.10', 80),
        request('GET', '/twin', 'allowed.test'),
      )
      t.match(ok, /^HTTP\/1\.1 200/, 'the allowed twin')
      await cx.record(({ url }) => url?.path === '/twin')
      t.equal(cx.terminal().length, untouched + 1, 'who connects and leaves has asked for nothing')
      t.strictSame(networks.arrivals(), ['203.0.113.10:80'])
    },
  )

  scenario(t, 'R37: requests in the clear go where their Host says', options, async (cx, t) => {
    const ask = async (head: string, address = '203.0.113.10'): Promise<string> =>
      exchange(await networks.dial(address, 80), head)
    const cases: [head: string, answer: RegExp][] = [
      [request('GET', '/', 'ALLOWED.test.'), /^HTTP\/1\.1 200/],
      [request('GET', '/', 'allowed.test:80'), /^HTTP\/1\.1 200/],
      [request('GET', 'http://allowed.test/absolute', 'allowed.test'), /^HTTP\/1\.1 200/],
      [request('GET', '/', 'allowed.test:8080'), /authority-mismatch/],
      [request('GET', 'http://other.test/', 'allowed.test'), /authority-mismatch/],
      [request('GET', 'https://allowed.test/', 'allowed.test'), /authority-mismatch/],
      [request('CONNECT', 'allowed.test:443', 'allowed.test:443'), /protocol-not-allowed/],
      ['GET / HTTP/1.1\r\nConnection: close\r\n\r\n', /missing-host/],
      [
        'GET / HTTP/1.1\r\nHost: allowed.test\r\nHost: other.test\r\nConnection: close\r\n\r\n',
        /duplicate-host/,
      ],
      [
        'GET / HTTP/1.1\r\nHost: allowed.test@other.test\r\nConnection: close\r\n\r\n',
        /malformed-target/,
      ],
      ['GET /old HTTP/1.0\r\n\r\n', /ip-not-on-allowlist/],
      ['GET http://allowed.test/ HTTP/1.0\r\n\r\n', /authority-mismatch/],
      [request('GET', '/../x', 'allowed.test'), /malformed-path/],
      [request('POST', '/', 'allowed.test', { body: 'x' }), /method-not-allowed/],
    ]
    for (const [head, answer] of cases)
      t.match(await ask(head), answer, head.split('\r\n', 1).join())
    t.match(
      await ask('GET /old HTTP/1.0\r\n\r\n', '203.0.113.7'),
      /200/,
      'an address that a rule lists needs no name',
    )
    await until(() => cx.terminal().length === cases.length + 1, 'one record each')
    t.match(
      await ask('GET / HTTP/1.0\r\n\r\n', SIDECAR_ADDRESS),
      /missing-host/,
      'the door itself is nowhere',
    )
    const kept = await ask(
      request('GET', '/one', 'allowed.test', { keep: true }) +
        request('GET', '/two', 'denied.test', { keep: true }) +
        request('GET', '/three', 'allowed.test'),
    )
    t.match(
      kept,
      /200[^]*403 Sallyport: not-on-allowlist[^]*200/,
      'each request of a connection by itself',
    )
    t.match(
      await ask(request('GET', '/', 'sallyport.internal')),
      /^HTTP\/1\.1 200/,
      'a task reads of itself',
    )
  })

  scenario(
    t,
    'who is no client of the task is nobody',
    { ...options, sources: ['10.99.0.0/16'] },
    async (cx, t) => {
      networks.arrivals()
      const answer = await exchange(
        await networks.dial('203.0.113.10', 80),
        request('GET', '/', 'allowed.test'),
      )
      t.match(answer, /unknown-client/)
      await exchange(await networks.dial('203.0.113.10', 443), 'SSH-2.0-x\r\n', 5000)
      await until(() => cx.terminal().length === 2, 'both are on record')
      t.strictSame(networks.arrivals(), [])
    },
  )
})
