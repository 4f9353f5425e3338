// The boundary-core examination of the agents.net draft: raw CONNECT bytes, and for each the status, the reason, and the
// number of connections that reached the upstream. Its refusal of methods other than CONNECT does not apply here.

import net from 'node:net'
import { networkInterfaces } from 'node:os'

import t, { type Test } from 'tap'

import { startDnsServer } from '../fixtures/dns.ts'
import { Scenario, until, type ScenarioOptions } from '../fixtures/scenario.ts'
import { startEcho, type Upstream } from '../fixtures/upstreams.ts'

interface Case {
  readonly id: string
  readonly title: string
  readonly raw: string
  readonly status: number
  readonly reason?: string
  readonly dials: number
  /** Bytes behind the head that come back through the tunnel. */
  readonly echoed?: string
}

const AFTER = 'after-head'
const NESTED = 'CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\nSandbox-Id: admin\r\n\r\n'

const connect = (target: string, host = target, more = '', after = ''): string =>
  `CONNECT ${target} HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n${after}`

function coreCases(port: number): Case[] {
  const four = `127.0.0.1:${port}`
  const refused = (
    id: string,
    title: string,
    raw: string,
    status: number,
    reason: string,
  ): Case => ({
    id,
    title,
    raw,
    status,
    reason,
    dials: 0,
  })
  const passed = (id: string, title: string, raw: string, echoed?: string): Case => ({
    id,
    title,
    raw,
    status: 200,
    dials: 1,
    ...(echoed !== undefined && { echoed }),
  })
  return [
    passed(
      '01',
      'a listed literal is connected and bytes behind the head are relayed',
      connect(four, four, '', AFTER),
      AFTER,
    ),
    passed(
      '02',
      'HTTP/1.0 without Host is accepted',
      `CONNECT ${four} HTTP/1.0\r\n\r\n${AFTER}`,
      AFTER,
    ),
    passed(
      '03',
      'Content-Length on CONNECT is ignored',
      connect(four, four, 'Content-Length: 3\r\n', AFTER),
      AFTER,
    ),
    refused('04', 'HTTP/1.1 without Host', `CONNECT ${four} HTTP/1.1\r\n\r\n`, 400, 'missing-host'),
    refused(
      '05',
      'two Host fields',
      connect(four, four, `Host: ${four}\r\n`),
      400,
      'duplicate-host',
    ),
    refused(
      '06',
      'Host names another host',
      connect(four, `192.0.2.1:${port}`),
      400,
      'authority-mismatch',
    ),
    refused(
      '07',
      'Host names another port',
      connect(four, '127.0.0.1:443'),
      400,
      'authority-mismatch',
    ),
    refused(
      '08',
      'Host is another text of the same address',
      connect(four, `[::ffff:127.0.0.1]:${port}`),
      400,
      'authority-mismatch',
    ),
    refused('09', 'no port', connect('127.0.0.1'), 400, 'malformed-target'),
    refused('10', 'port zero', connect('127.0.0.1:0'), 400, 'malformed-port'),
    refused('11', 'port beyond 65535', connect('127.0.0.1:65536'), 400, 'malformed-port'),
    refused('12', 'a service name as port', connect('127.0.0.1:http'), 400, 'malformed-port'),
    refused('13', 'userinfo', connect(`user@${four}`, four), 400, 'malformed-target'),
    refused('14', 'a path', connect(`${four}/admin`, four), 400, 'malformed-target'),
    refused('15', 'a query', connect(`${four}?x=1`, four), 400, 'malformed-target'),
    refused('16', 'absolute form', connect(`http://${four}`, four), 400, 'malformed-target'),
    refused(
      '17',
      'an empty authority',
      `CONNECT  HTTP/1.1\r\nHost: ${four}\r\n\r\n`,
      400,
      'malformed-request-line',
    ),
    refused(
      '18',
      'IPv6 without brackets',
      connect(`::1:${port}`, `[::1]:${port}`),
      400,
      'malformed-target',
    ),
    refused('19', 'IPv6 without a port', connect('[::1]'), 400, 'malformed-target'),
    refused(
      '20',
      'HTTP/2.0',
      `CONNECT ${four} HTTP/2.0\r\nHost: ${four}\r\n\r\n`,
      505,
      'unsupported-version',
    ),
    refused('21', 'HTTP/0.9', `CONNECT ${four}\r\n\r\n`, 400, 'malformed-request-line'),
    refused(
      '22',
      'two spaces',
      `CONNECT ${four}  HTTP/1.1\r\nHost: ${four}\r\n\r\n`,
      400,
      'malformed-request-line',
    ),
    refused(
      '23',
      'a tab',
      `CONNECT\t${four} HTTP/1.1\r\nHost: ${four}\r\n\r\n`,
      400,
      'malformed-request-line',
    ),
    refused(
      '24',
      'a method in lower case',
      `connect ${four} HTTP/1.1\r\nHost: ${four}\r\n\r\n`,
      400,
      'malformed-request-line',
    ),
    refused(
      '26',
      'a space in a field name',
      connect(four, four, 'Bad Header: x\r\n'),
      400,
      'malformed-header',
    ),
    refused(
      '27',
      'a head that is too large',
      connect(four, four, `X-Pad: ${'a'.repeat(70_000)}\r\n`),
      431,
      'head-too-large',
    ),
    refused(
      '30',
      'an unlisted literal, with bytes behind the head',
      connect('192.0.2.1:443', '192.0.2.1:443', '', AFTER),
      403,
      'ip-not-on-allowlist',
    ),
    refused(
      '31',
      'a listed literal on another port',
      connect('127.0.0.1:1'),
      403,
      'port-not-allowed',
    ),
    passed(
      '34',
      'IPv4-mapped IPv6 is the listed IPv4 address',
      connect(`[::ffff:127.0.0.1]:${port}`, `[::ffff:127.0.0.1]:${port}`, '', AFTER),
      AFTER,
    ),
    refused('35', 'an address with a zone', connect(`[fe80::1%25eth0]:${port}`), 403, 'scoped-ip'),
    passed(
      '36',
      'an allowed name with a fixed answer',
      connect(`allowed.test:${port}`, `allowed.test:${port}`, '', AFTER),
      AFTER,
    ),
    refused(
      '37',
      'a name that no rule has',
      connect(`denied.test:${port}`),
      403,
      'not-on-allowlist',
    ),
    refused(
      '38',
      'an allowed name on another port',
      connect('allowed.test:1'),
      403,
      'port-not-allowed',
    ),
    passed(
      '41',
      'case and a trailing dot do not matter',
      connect(`ALLOWED.TEST.:${port}`, `allowed.test:${port}`, '', AFTER),
      AFTER,
    ),
    passed('46', 'a nested CONNECT is payload', connect(four, four, '', NESTED), NESTED),
    refused(
      '47',
      'a forged identity header changes nothing',
      connect(
        `denied.test:${port}`,
        `denied.test:${port}`,
        'Sandbox-Id: b\r\nProxy-Authorization: Basic Zm9v\r\n',
      ),
      403,
      'not-on-allowlist',
    ),
    passed(
      '60',
      'a literal rule also admits the address as an answer',
      connect(`localhost:${port}`, `localhost:${port}`, '', AFTER),
      AFTER,
    ),
  ]
}

void t.test('boundary-core: literals and names', async (t) => {
  const upstream = await startEcho()
  const cx = await started({
    rules: {
      core: `ruleset: core
owner: a@example.com
rules:
  - { id: lit4, allow: 'tcp://127.0.0.1:${upstream.port}' }
  - { id: lit6, allow: { scheme: tcp, cidr: '::1/128', port: ${upstream.port} } }
  - { id: named, allow: 'tcp://allowed.test:${upstream.port}', addresses: [127.0.0.1/32] }
  - { id: loop, allow: 'tcp://localhost:${upstream.port}' }
`,
    },
    config: `upstream: { hosts: { allowed.test: ['127.0.0.1'], localhost: ['127.0.0.1'] } }`,
  })
  cx.track(upstream)
  for (const one of coreCases(upstream.port)) await check(t, cx, upstream, one)
  await cx.finish(t)
})

const hasIpv6 = Object.values(networkInterfaces()).some((list) =>
  list?.some(({ address }) => address === '::1'),
)

void t.test(
  'boundary-core: IPv6 literals',
  { skip: !hasIpv6 && 'no IPv6 loopback here' },
  async (t) => {
    const upstream = await startEcho('::1')
    const { port } = upstream
    const cx = await started({
      rules: {
        six: `ruleset: six
owner: a@example.com
rules:
  - { id: six, allow: { scheme: tcp, cidr: '::1/128', port: ${port} } }
`,
      },
    })
    cx.track(upstream)
    const passed = (id: string, title: string, target: string): Case => ({
      id,
      title,
      raw: connect(target, target, '', AFTER),
      status: 200,
      dials: 1,
      echoed: AFTER,
    })
    const cases: Case[] = [
      passed('32', 'an IPv6 literal of a listed range', `[::1]:${port}`),
      passed('33', 'the same address written out', `[0:0:0:0:0:0:0:1]:${port}`),
      {
        id: '30',
        title: 'an unlisted IPv6 literal',
        raw: connect('[2001:db8::1]:443'),
        status: 403,
        reason: 'ip-not-on-allowlist',
        dials: 0,
      },
    ]
    for (const one of cases) await check(t, cx, upstream, one)
    await cx.finish(t)
  },
)

void t.test('boundary-core: names alone do not open loopback', async (t) => {
  const upstream = await startEcho()
  const cx = await started({
    rules: {
      names: `ruleset: names
owner: a@example.com
rules:
  - { id: any, allow: 'tcp://*:${upstream.port}', environment: test }
`,
    },
    config: `upstream: { resolver: ['127.0.0.1:1'], hosts: { localhost: ['127.0.0.1', '::1'], bound.test: ['93.184.216.34', '127.0.0.1'] } }
limits: { resolveTimeoutMs: 500 }`,
  })
  cx.track(upstream)
  const { port } = upstream
  const cases: Case[] = [
    {
      id: '39',
      title: 'a name that resolves to loopback',
      raw: connect(`localhost:${port}`),
      status: 403,
      reason: 'resolved-address-denied',
      dials: 0,
    },
    {
      id: '42',
      title: 'the wildcard never matches a literal',
      raw: connect(`192.0.2.1:${port}`),
      status: 403,
      reason: 'ip-not-on-allowlist',
      dials: 0,
    },
    {
      id: '44',
      title: 'a name that does not resolve',
      raw: connect(`nxdomain.invalid:${port}`),
      status: 502,
      reason: 'resolve-failed',
      dials: 0,
    },
    {
      id: '57',
      title: 'one special-purpose answer refuses the whole name',
      raw: connect(`bound.test:${port}`),
      status: 403,
      reason: 'resolved-address-denied',
      dials: 0,
    },
  ]
  for (const one of cases) await check(t, cx, upstream, one)
  await cx.finish(t)
})

void t.test(
  'boundary-core: a resolved-address exception opens names and not literals',
  async (t) => {
    const upstream = await startEcho()
    const dns = await startDnsServer({
      'a.suffix.test': [['127.0.0.1']],
      'a.b.suffix.test': [['127.0.0.1']],
      'suffix.test': [['127.0.0.1']],
      'mixed.suffix.test': [['127.0.0.1', '169.254.169.254', '10.0.0.1']],
      'rebind.suffix.test': [['127.0.0.1'], ['169.254.169.254']],
      'xn--bcher-kva.suffix.test': [['127.0.0.1']],
    })
    const cx = await started({
      rules: {
        suffix: `ruleset: suffix
owner: a@example.com
rules:
  - { id: sfx, allow: 'tcp://*.suffix.test:${upstream.port}' }
  - { id: loop, allow: 'tcp://localhost:${upstream.port}' }
`,
      },
      config: `upstream: { resolver: ['127.0.0.1:${dns.port}'], hosts: { localhost: ['127.0.0.1'] }, allowAddresses: [127.0.0.0/8, '::1/128'] }`,
    })
    cx.track(upstream)
    const { port } = upstream
    const to = (name: string): string => connect(`${name}:${port}`, `${name}:${port}`, '', AFTER)
    const cases: Case[] = [
      {
        id: '40',
        title: 'a name that resolves to a listed address',
        raw: to('localhost'),
        status: 200,
        dials: 1,
        echoed: AFTER,
      },
      {
        id: '45',
        title: 'the exception does not open the literal',
        raw: to('127.0.0.1'),
        status: 403,
        reason: 'ip-not-on-allowlist',
        dials: 0,
      },
      {
        id: '54',
        title: 'a wildcard matches a subdomain',
        raw: to('a.suffix.test'),
        status: 200,
        dials: 1,
        echoed: AFTER,
      },
      {
        id: '55',
        title: 'a wildcard does not match the apex',
        raw: to('suffix.test'),
        status: 403,
        reason: 'not-on-allowlist',
        dials: 0,
      },
      {
        id: '56',
        title: 'a wildcard matches at any depth',
        raw: to('a.b.suffix.test'),
        status: 200,
        dials: 1,
        echoed: AFTER,
      },
      {
        id: '57',
        title: 'mixed answers are refused whole',
        raw: to('mixed.suffix.test'),
        status: 403,
        reason: 'resolved-address-denied',
        dials: 0,
      },
      {
        id: '58',
        title: 'a second answer is never asked for',
        raw: to('rebind.suffix.test'),
        status: 200,
        dials: 1,
        echoed: AFTER,
      },
      {
        id: '59',
        title: 'an internationalised name',
        raw: to('xn--bcher-kva.suffix.test'),
        status: 200,
        dials: 1,
        echoed: AFTER,
      },
    ]
    for (const one of cases) await check(t, cx, upstream, one)
    t.equal(dns.count('rebind.suffix.test', 'A'), 1, 'one query a family for the rebinding name')
    t.equal(dns.count('suffix.test'), 0, 'a refused name is not asked for')
    await dns.close()
    await cx.finish(t)
  },
)

void t.test(
  'boundary-core 48: a connection beyond the budget is refused before its head is read',
  async (t) => {
    const cx = await started({ expires: null, limits: 'connectionsMax: 1' })
    const held = net.connect(cx.proxyPort, '127.0.0.1')
    await new Promise((resolve) => held.once('connect', resolve))
    await until(async () => {
      const answer = await cx.raw('', 500)
      return answer.startsWith('HTTP/1.1 503') && answer.includes('reason=busy')
    }, 'busy is answered')
    held.destroy()
    t.match(await cx.record(({ event }) => event.reason === 'busy'), {
      event: { action: 'call-denied' },
    })
    await cx.finish(t)
  },
)

async function started(options: ScenarioOptions): Promise<Scenario> {
  const cx = new Scenario(options)
  await cx.start()
  return cx
}

async function check(t: Test, cx: Scenario, upstream: Upstream, one: Case): Promise<void> {
  const before = upstream.connections()
  const records = cx.terminal().length
  const answer = await cx.raw(one.raw, one.status === 200 ? 300 : 3000)
  const [head = '', ...rest] = answer.split('\r\n\r\n')
  const body = rest.join('\r\n\r\n')
  const name = `${one.id}: ${one.title}`
  t.equal(Number(head.split(' ')[1]), one.status, `${name}: status (${head.split('\r\n')[0]})`)
  const fields = [...head.matchAll(/^proxy-status: (.*)$/gim)].map(([, value]) => value!)
  if (one.status === 200) {
    t.strictSame(fields, [], `${name}: no Proxy-Status`)
    if (one.echoed !== undefined) t.equal(body, one.echoed, `${name}: relayed`)
  } else {
    t.equal(fields.length, 1, `${name}: one Proxy-Status`)
    t.match(fields[0] ?? '', new RegExp(`^sallyport; error=[a-z_]+; reason=${one.reason}$`), name)
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1])
    t.equal(Buffer.byteLength(body, 'latin1'), length, `${name}: nothing behind the declared body`)
  }
  t.equal(upstream.connections() - before, one.dials, `${name}: dials`)
  await until(() => cx.terminal().length > records, `${name} is on record`)
  const record = cx.terminal().at(-1)!
  t.equal(record.event.reason, one.reason ?? 'allowed', `${name}: reason on record`)
}
