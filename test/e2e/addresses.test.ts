// R36: the name is decided before anybody is asked for its addresses, every answer is looked at, and what was looked at is
// what is dialed. A real DNS server on loopback; every refusal next to a name that passes.

import t from 'tap'

import { startDnsServer } from '../fixtures/dns.ts'
import { exchange, request, ruleSet, scenario, sleep, startSecure } from '../fixtures/scenario.ts'
import { startHttp } from '../fixtures/upstreams.ts'

// One name a range, each of which is refused unless a rule lists it.
const SPECIAL: Readonly<Record<string, string>> = {
  'loopback.test': '127.0.0.1',
  'loopback-else.test': '127.8.8.8',
  'this-host.test': '0.0.0.0',
  'private-a.test': '10.1.2.3',
  'private-b.test': '172.16.0.1',
  'private-c.test': '192.168.1.1',
  'shared.test': '100.64.0.1',
  'link-local.test': '169.254.1.1',
  'metadata.test': '169.254.169.254',
  'metadata-task.test': '169.254.170.2',
  'metadata-azure.test': '168.63.129.16',
  'metadata-alibaba.test': '100.100.100.200',
  'metadata-six.test': 'fd00:ec2::254',
  'benchmark.test': '198.18.0.1',
  'documentation.test': '203.0.113.1',
  'multicast.test': '224.0.0.1',
  'broadcast.test': '255.255.255.255',
  'loopback-six.test': '::1',
  'any-six.test': '::',
  'mapped.test': '::ffff:127.0.0.1',
  'compatible.test': '::127.0.0.1',
  'nat64.test': '64:ff9b::7f00:1',
  'nat64-local.test': '64:ff9b:1::a01:203',
  'six-to-four.test': '2002:7f00:1::',
  'teredo.test': '2001:0:4136:e378:8000:63bf:80ff:fffe',
  'unique-local.test': 'fc00::1',
  'link-local-six.test': 'fe80::1',
}

void t.test('resolved addresses', async (t) => {
  const plain = await startHttp({})
  const secure = await startSecure(['listed.test', 'rebound.test'])
  const dns = await startDnsServer({
    ...Object.fromEntries(Object.entries(SPECIAL).map(([name, address]) => [name, [[address]]])),
    'mixed.test': [['93.184.216.34', '10.0.0.1']],
    'listed.test': [['127.0.0.1']],
    'rebound.test': [['127.0.0.1'], ['169.254.169.254'], ['127.0.0.1', '10.0.0.1']],
    'denied.test': [['127.0.0.1']],
    'exact.test': [['169.254.169.254']],
    'ranged.test': [['169.254.169.254']],
    'barred.test': [['127.0.0.2']],
    'open.test': [['127.0.0.2']],
  })
  t.teardown(() => Promise.all([plain.close(), secure.close(), dns.close()]))
  const names = [...Object.keys(SPECIAL), 'mixed.test', 'open.test']
  const options = {
    config: `upstream: { ca: [upstream-ca.pem], resolver: ['127.0.0.1:${dns.port}'] }`,
    limits: 'connectTimeoutMs: 400, resolveTimeoutMs: 1000',
    rules: ruleSet(
      `id: names, allow: [${names.flatMap((name) => [`'http://${name}:${plain.port}'`, `'https://${name}:${secure.port}'`]).join(', ')}]`,
      `id: listed, allow: ['http://listed.test:${plain.port}', 'https://listed.test:${secure.port}'], addresses: [127.0.0.0/8]`,
      `id: rebound, allow: 'https://rebound.test:${secure.port}', addresses: [127.0.0.1/32]`,
      `id: exact, allow: 'http://exact.test:${plain.port}', addresses: [169.254.169.254/32]`,
      `id: ranged, allow: 'http://ranged.test:${plain.port}', addresses: [169.254.0.0/16]`,
      `id: barred, allow: 'http://barred.test:${plain.port}', addresses: [127.0.0.0/8]`,
      `id: no-two, deny: { scheme: http, cidr: 127.0.0.2/32, port: ${plain.port} }`,
    ),
  }
  const ask = (name: string): string =>
    request('GET', `http://${name}:${plain.port}/`, `${name}:${plain.port}`)

  scenario(
    t,
    'R36: a name that answers with a special-purpose address is refused unless a rule lists it',
    options,
    async (cx, t) => {
      const before = plain.connections()
      for (const [name, address] of Object.entries(SPECIAL)) {
        const answer = await cx.raw(ask(name))
        t.match(
          answer,
          /^HTTP\/1\.1 403 Sallyport: resolved-address-denied/,
          `${name} at ${address}`,
        )
        t.notMatch(
          answer,
          new RegExp(address.replaceAll('.', '\\.')),
          'the client is not told the address',
        )
      }
      t.match(
        await cx.raw(ask('mixed.test')),
        /^HTTP\/1\.1 403 Sallyport: resolved-address-denied/,
        'one answer refuses the name',
      )
      t.equal(plain.connections(), before, 'nothing was dialed')
      t.match(await cx.raw(ask('listed.test')), /^HTTP\/1\.1 200/)
      const secureHost = `loopback.test:${secure.port}`
      t.match(
        await exchange(await cx.secure(secureHost), request('GET', '/', secureHost)),
        /^HTTP\/1\.1 403 Sallyport: resolved-address-denied/,
        'inside a tunnel too',
      )
      const listed = `listed.test:${secure.port}`
      t.match(
        await exchange(await cx.secure(listed), request('GET', '/', listed)),
        /^HTTP\/1\.1 200/,
      )
      t.match(await cx.record(({ event }) => event.reason === 'allowed'), {
        destination: { domain: 'listed.test', ip: '127.0.0.1' },
      })
    },
  )

  scenario(
    t,
    'R36: metadata addresses need a rule that lists the very address',
    options,
    async (cx, t) => {
      t.match(
        await cx.raw(ask('ranged.test')),
        /^HTTP\/1\.1 403 Sallyport: resolved-address-denied/,
      )
      t.match(
        await cx.raw(ask('exact.test')),
        /^HTTP\/1\.1 50[24] Sallyport: (?:dial-failed|connect-timeout)/,
        'listed exactly, it is dialed; here nobody is there',
      )
    },
  )

  scenario(t, 'R36: a deny on a range binds what names resolve to', options, async (cx, t) => {
    const before = plain.connections()
    t.match(
      await cx.raw(ask('barred.test')),
      /^HTTP\/1\.1 403 Sallyport: (?:resolved-address-denied|denied-by-rule)/,
    )
    t.equal(plain.connections(), before)
    t.match(await cx.raw(ask('listed.test')), /^HTTP\/1\.1 200/)
  })

  scenario(
    t,
    'R36: a name that is rebound is looked at again before it is dialed again',
    options,
    async (cx, t) => {
      const host = `rebound.test:${secure.port}`
      const get = async (): Promise<string> => {
        const answer = await exchange(await cx.secure(host), request('GET', '/', host))
        // No kept upstream connection may stand in for a new one.
        secure.server.closeAllConnections()
        await new Promise((resolve) => setTimeout(resolve, 50))
        return answer
      }
      t.match(await get(), /^HTTP\/1\.1 200/)
      t.match(await get(), /^HTTP\/1\.1 403 Sallyport: resolved-address-denied/)
      t.match(await get(), /^HTTP\/1\.1 403 Sallyport: resolved-address-denied/)
      t.equal(dns.count('rebound.test', 'A'), 3, 'one question a connection')
    },
  )

  scenario(t, 'R36: nobody is asked about a name that no rule allows', options, async (cx, t) => {
    t.match(await cx.raw(ask('denied.test')), /^HTTP\/1\.1 403 Sallyport: not-on-allowlist/)
    t.match(
      await cx.raw(request('GET', `http://listed.test:1/`, 'listed.test:1')),
      /^HTTP\/1\.1 403 Sallyport: port-not-allowed/,
    )
    await t.rejects(cx.connect('denied.test:443'), /not-on-allowlist/)
    t.equal(dns.count('denied.test'), 0)
    const asked = dns.count('listed.test')
    t.match(await cx.raw(ask('listed.test')), /^HTTP\/1\.1 200/)
    t.ok(dns.count('listed.test') > asked, 'the server would have been asked')
  })

  scenario(
    t,
    'the sidecar’s own listeners are never dialed, by name or by address, whatever is listed',
    () => {
      const rules = (proxyPort: number, healthPort: number): Record<string, string> =>
        ruleSet(
          `id: self, allow: ['http://listed.test:${proxyPort}', 'http://listed.test:${healthPort}', 'http://listed.test:${plain.port}'], addresses: [127.0.0.0/8]`,
          `id: literal, allow: ['tcp://127.0.0.1:${proxyPort}', 'http://127.0.0.1:${healthPort}', 'http://[::ffff:127.0.0.1]:${plain.port}']`,
        )
      return {
        config: `upstream: { resolver: ['127.0.0.1:${dns.port}'] }`,
        rulesFor: rules,
      }
    },
    async (cx, t) => {
      const get = (name: string, port: number): Promise<string> =>
        cx.raw(request('GET', `http://${name}:${port}/healthz`, `${name}:${port}`))
      for (const port of [cx.proxyPort, cx.healthPort])
        t.match(await get('listed.test', port), /^HTTP\/1\.1 502 Sallyport: loop-detected/)
      t.match(await get('127.0.0.1', cx.healthPort), /^HTTP\/1\.1 502 Sallyport: loop-detected/)
      await t.rejects(cx.connect(`127.0.0.1:${cx.proxyPort}`), /502 Sallyport: loop-detected/)
      t.match(await get('listed.test', plain.port), /^HTTP\/1\.1 200/)
      t.match(await get('127.0.0.1', plain.port), /^HTTP\/1\.1 200/)
    },
  )

  scenario(t, 'an address in another notation is no address', options, async (cx, t) => {
    for (const host of [
      '127.1',
      '0x7f.0.0.1',
      '0x7f000001',
      '2130706433',
      '0177.0.0.1',
      '127.0.0.1.',
      '[::1%25lo]',
      '%31.2.3.4',
    ])
      t.match(
        await cx.raw(request('GET', `http://${host}:${plain.port}/`, `${host}:${plain.port}`)),
        /^HTTP\/1\.1 40[03] Sallyport: (?:malformed-target|scoped-ip|ip-not-on-allowlist)/,
        host,
      )
    t.match(await cx.raw(ask('listed.test.')), /^HTTP\/1\.1 200/, 'while a name may have its dot')
  })
})

void t.test('resolvers', async (t) => {
  const plain = await startHttp({})
  const dns = await startDnsServer({
    'kept.test': [{ addresses: ['127.0.0.1'], ttlSeconds: 60 }],
    'brief.test': [['127.0.0.1']],
    'silent.test': [{ silent: true }],
    'late-six.test': [{ addresses: ['127.0.0.1'], only: 'A' }],
    'broken.test': [{ responseCode: 2 }],
    'empty.test': [[]],
  })
  t.teardown(() => Promise.all([plain.close(), dns.close()]))
  const names = ['kept', 'brief', 'silent', 'late-six', 'broken', 'empty', 'unknown']
  const options = {
    config: `upstream: { resolver: ['127.0.0.1:${dns.port}'] }`,
    limits: 'resolveTimeoutMs: 500, connectTimeoutMs: 400',
    rules: ruleSet(
      `id: names, allow: [${names.map((name) => `'http://${name}.test:${plain.port}'`).join(', ')}], addresses: [127.0.0.0/8]`,
      `id: range, allow: { scheme: http, cidr: 169.254.0.0/16, port: ${plain.port} }`,
      `id: exact, allow: 'http://169.254.170.2:${plain.port}'`,
      `id: loopback, allow: { scheme: http, cidr: 127.0.0.1/32, port: ${plain.port} }`,
    ),
  }
  const ask = (host: string): string =>
    request('GET', `http://${host}:${plain.port}/`, `${host}:${plain.port}`)

  scenario(
    t,
    'an answer is asked for once a family while its time to live lasts, however many need it',
    options,
    async (cx, t) => {
      const answers = await Promise.all([1, 2, 3, 4].map(() => cx.raw(ask('kept.test'))))
      for (const answer of answers) t.match(answer, /^HTTP\/1\.1 200/)
      plain.server.closeAllConnections()
      t.match(await cx.raw(ask('kept.test')), /^HTTP\/1\.1 200/)
      t.equal(dns.count('kept.test', 'A'), 1)
      t.equal(dns.count('kept.test', 'AAAA'), 1)
      t.match(await cx.raw(ask('brief.test')), /^HTTP\/1\.1 200/)
      plain.server.closeAllConnections()
      await sleep(50)
      t.match(await cx.raw(ask('brief.test')), /^HTTP\/1\.1 200/)
      t.equal(dns.count('brief.test', 'A'), 2, 'one without a life is asked for again')
    },
  )

  scenario(
    t,
    'a resolver that never answers, fails or knows nothing comes to resolve-failed, in time',
    options,
    async (cx, t) => {
      const before = plain.connections()
      for (const name of ['silent.test', 'broken.test', 'empty.test', 'unknown.test']) {
        const startedAt = performance.now()
        const answer = await cx.raw(ask(name), 5000)
        t.match(answer, /^HTTP\/1\.1 502 Sallyport: resolve-failed/, name)
        t.ok(performance.now() - startedAt < 3000, `${name}: in time`)
        await cx.record(
          ({ event, destination }) =>
            event.reason === 'resolve-failed' && destination?.domain === name,
        )
      }
      t.equal(plain.connections(), before, 'nothing was dialed')
      t.match(await cx.raw(ask('late-six.test'), 3000), /^HTTP\/1\.1 200/, 'one family is enough')
    },
  )

  scenario(
    t,
    'R36: a metadata address as a literal needs a rule with the very address, a range is not enough',
    options,
    async (cx, t) => {
      t.match(
        await cx.raw(ask('169.254.169.254')),
        /^HTTP\/1\.1 403 Sallyport: (?:resolved-address-denied|ip-not-on-allowlist)/,
      )
      t.match(
        await cx.raw(ask('[::ffff:169.254.169.254]')),
        /^HTTP\/1\.1 403 Sallyport: (?:resolved-address-denied|ip-not-on-allowlist)/,
        'nor mapped',
      )
      t.match(
        await cx.raw(ask('169.254.170.2'), 4000),
        /^HTTP\/1\.1 50[24] Sallyport: (?:dial-failed|connect-timeout)/,
        'listed exactly, it is dialed; here nobody is there',
      )
      t.match(await cx.raw(ask('127.0.0.1')), /^HTTP\/1\.1 200/)
    },
  )
})
