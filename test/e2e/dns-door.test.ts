// Proves the DNS door with real clients: who asks by a name that no rule could allow learns nothing and is on record, whatever
// else is asked is empty, and nothing that is asked leaves the sidecar.

import dgram from 'node:dgram'
import net from 'node:net'

import t, { type Test } from 'tap'

import { startDnsServer, type DnsServer } from '../fixtures/dns.ts'
import {
  freePort,
  Scenario,
  until,
  type JournalRecord,
  type ScenarioOptions,
} from '../fixtures/scenario.ts'

const RULES = `ruleset: r
rules:
  - { id: named, allow: 'https://api.test' }
  - { id: below, allow: 'https://*.wild.test', methods: [GET] }
  - { id: at-night, allow: 'https://night.test', between: { days: [mon], from: '03:00', to: '03:01', zone: UTC } }
  - { id: asked, hold: 'https://held.test', methods: [POST] }
  - { id: over, allow: 'https://over.test', expires: 2020-01-01, ticket: T-1 }
  - { id: elsewhere, allow: 'https://elsewhere.test', environment: prod }
`

/** What dig printed of one answer. */
interface Answer {
  readonly status: string
  readonly answers: readonly string[]
  /** The extended error. */
  readonly error: string | undefined
}

class Door {
  readonly cx: Scenario
  readonly port: number
  readonly upstream: DnsServer

  constructor(cx: Scenario, port: number, upstream: DnsServer) {
    this.cx = cx
    this.port = port
    this.upstream = upstream
  }

  /** Asks with dig. @param questions each as dig takes it @param flags for all of them */
  async dig(questions: readonly string[], ...flags: readonly string[]): Promise<Answer[]> {
    const server = ['@127.0.0.1', '-p', String(this.port), '+tries=1', '+time=5', ...flags]
    const { stdout } = await this.cx.client('dig', [
      ...server,
      ...questions.flatMap((question) => question.split(' ')),
    ])
    const parts = stdout.split(/^;; Got answer:$/m).slice(1)
    if (parts.length !== questions.length) throw new Error(stdout)
    return parts.map(read)
  }

  refused(): readonly JournalRecord[] {
    return this.cx.records().filter(({ event }) => event.action === 'dns-denied')
  }
}

/** Runs a test with a started sidecar that has a DNS door, and a resolver that counts. */
function doorTest(
  title: string,
  options: ScenarioOptions,
  body: (door: Door, t: Test) => Promise<void>,
): void {
  void t.test(title, async (t) => {
    const [dns, proxy, health] = [await freePort(), await freePort(), await freePort()]
    const upstream = await startDnsServer({})
    const cx = new Scenario({
      rules: { r: RULES },
      ...options,
      config: `listen: { proxy: '127.0.0.1:${proxy}', health: '127.0.0.1:${health}', transparent: { dns: '127.0.0.1:${dns}' } }
upstream: { ca: [upstream-ca.pem], resolver: ['127.0.0.1:${upstream.port}'] }
${options.config ?? ''}`,
    })
    cx.proxyPort = proxy
    cx.healthPort = health
    cx.writeConfig()
    try {
      await cx.start()
      await body(new Door(cx, dns, upstream), t)
    } finally {
      await cx.finish(t)
      await upstream.close()
    }
  })
}

/** Status, addresses and flags of what dig printed. */
function read(printed: string): Answer {
  return {
    status: /status: (\w+)/.exec(printed)?.[1] ?? 'none',
    answers: printed
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith(';'))
      .map((line) => line.split(/\s+/).join(' ')),
    error: /EDE: (.*)/.exec(printed)?.[1],
  }
}

const ALLOWED = { status: 'NOERROR', answers: [/ A 198\.1[89]\./], error: undefined }
const EMPTY: Answer = { status: 'NOERROR', answers: [], error: undefined }

doorTest(
  'R36: a name that a rule could allow has addresses that stand for it',
  {},
  async (door, t) => {
    const [first, again] = await door.dig(['api.test A', 'api.test A'])
    t.match(first, { status: 'NOERROR', error: undefined })
    t.match(first?.answers, [/^api\.test\. 5 IN A 198\.1[89]\.\d+\.\d+$/])
    t.strictSame(again, first)
    t.strictSame(await door.dig(['api.test A', 'api.test A'], '+tcp', '+keepopen'), [first, first])
    t.strictSame(await door.dig(['api.test A'], '+noedns', '+nocookie'), [first])
    const [mixed] = await door.dig(['aPi.TEST. AAAA'])
    t.match(
      mixed?.answers,
      [/^aPi\.TEST\. 5 IN AAAA 2001:2::[0-9a-f:]+$/],
      'the name as it was asked',
    )
    const names = ['a.wild.test', 'b.a.wild.test', 'night.test', 'held.test', 'sallyport.internal']
    t.match(
      await door.dig(names.map((name) => `${name} A`)),
      names.map(() => ALLOWED),
    )
    t.match(await door.dig(['localhost A', 'x.localhost AAAA']), [
      { answers: [/ A 127\.0\.0\.1$/] },
      { answers: [/ AAAA ::1$/] },
    ])
    t.strictSame(door.refused(), [])
  },
)

doorTest('R36: whatever else is asked of such a name has an empty answer', {}, async (door, t) => {
  const [first] = await door.dig(['api.test A'])
  const address = first?.answers[0]?.split(' ').at(-1) ?? ''
  const types = [
    'TXT',
    'MX',
    'SRV',
    'ANY',
    'NULL',
    'HTTPS',
    'SVCB',
    'NS',
    'SOA',
    'CNAME',
    'DS',
    'TYPE65280',
  ]
  t.strictSame(
    await door.dig(
      types.map((type) => `api.test ${type}`),
      '+notcp',
    ),
    types.map(() => EMPTY),
  )
  t.strictSame(await door.dig([`-x ${address}`, '-x 2001:2::1']), [EMPTY, EMPTY])
  t.strictSame(door.refused(), [])
})

doorTest('R36: any other name does not exist, and is on record', {}, async (door, t) => {
  const names = [
    'evil.test',
    'wild.test',
    'test',
    'over.test',
    'elsewhere.test',
    'api.test.evil.test',
  ]
  t.match(
    await door.dig(names.map((name) => `${name} A`)),
    names.map(() => ({
      status: 'NXDOMAIN',
      answers: [],
      error: /^15 \(Blocked\): \(sallyport: not-on-allowlist: /,
    })),
  )
  t.match(await door.dig(['evil.test TXT'], '+tcp'), [{ status: 'NXDOMAIN' }])
  t.match(await door.dig(['evil.test A'], '+noedns'), [{ status: 'NXDOMAIN', error: undefined }])
  t.match(await door.dig(['-x 192.0.2.1']), [{ status: 'NXDOMAIN' }])
  await until(() => door.refused().length === 9, 'all are on record')
  t.match(
    door.refused().map(({ dns }) => dns?.question?.name),
    [...names, 'evil.test', 'evil.test', '1.2.0.192.in-addr.arpa'],
  )
  t.match(door.refused()[0], {
    event: { reason: 'not-on-allowlist', outcome: 'failure', type: ['denied', 'protocol'] },
    dns: { question: { name: 'evil.test', type: 'A', class: 'IN' }, response_code: 'NXDOMAIN' },
    source: { ip: '127.0.0.1', port: Number },
    sallyport: { task: { id: /^t_/ }, detail: { transport: 'udp' } },
  })
  t.match(door.refused()[6], {
    dns: { question: { type: 'TXT' } },
    sallyport: { detail: { transport: 'tcp' } },
  })
})

doorTest('R36: what is no plain query is refused and on record', {}, async (door, t) => {
  t.match(await door.dig(['version.bind CH TXT']), [{ status: 'REFUSED' }])
  t.match(await door.dig(['api.test A'], '+edns=1', '+noednsnegotiation'), [{ status: 'BADVERS' }])
  t.match(await door.dig(['api.test A'], '+opcode=4'), [{ status: 'NOTIMP' }])
  t.match(await door.dig(['a\\.b.api.test A']), [{ status: 'NXDOMAIN' }])
  const pointer = Buffer.from('000101000001000000000000c00c00010001', 'hex')
  t.equal((await exchange(door.port, pointer))?.toString('hex'), '000181810000000000000000')
  const answer = Buffer.from('0001800000010000000000000000010001', 'hex')
  t.equal(await exchange(door.port, answer), undefined, 'an answer is not answered')
  await until(() => door.refused().length === 6, 'all are on record')
  t.match(
    door.refused().map(({ event, dns }) => [event.reason, dns?.response_code]),
    [
      ['protocol-not-allowed', 'REFUSED'],
      ['protocol-not-allowed', 'BADVERS'],
      ['protocol-not-allowed', 'NOTIMP'],
      ['malformed-target', 'NXDOMAIN'],
      ['malformed-header', 'FORMERR'],
      ['malformed-header', undefined],
    ],
  )
})

doorTest('R36: nothing that is asked of the door is asked of any resolver', {}, async (door, t) => {
  const types = ['A', 'AAAA', 'TXT', 'ANY', 'HTTPS', 'MX', 'NULL', 'NS']
  const names = ['secret.wild.test', 'secret.evil.test', 'api.test']
  const questions = types.flatMap((type) => names.map((name) => `${name} ${type}`))
  await door.dig(questions, '+notcp')
  await door.dig(questions.slice(0, 3), '+tcp')
  t.equal(door.upstream.asked(), 0)
  await door.cx.client('curl', ['-s', 'https://one.wild.test/'])
  t.equal(door.upstream.count('one.wild.test'), 2, 'a call that is allowed is')
})

doorTest(
  'a flood of refused queries is counted exactly',
  { config: 'journal: { denialsPerTaskPerSecond: 5 }' },
  async (door, t) => {
    const query = Buffer.from('000101000001000000000000046576696c047465737400001c0001', 'hex')
    const sent = 400
    let answered = 0
    const socket = dgram.createSocket('udp4')
    socket.on('message', () => (answered += 1))
    for (let at = 0; at < sent; at += 1) {
      socket.send(query, door.port, '127.0.0.1')
      if (at % 20 === 19) await until(() => answered > at - 20, 'answers come')
    }
    await until(() => answered === sent, 'all are answered')
    socket.close()
    const told = (): number =>
      door.refused().length +
      door.cx
        .records()
        .filter(({ event }) => event.action === 'dns-denied-repeated')
        .reduce((sum, { sallyport }) => sum + Number(sallyport.detail?.['count']), 0)
    await until(() => told() === sent, 'each is told')
    t.ok(door.refused().length < sent)
  },
)

doorTest('a client whose task is over is told nothing', { expires: '2s' }, async (door, t) => {
  const isOver = async (): Promise<boolean> =>
    (await door.dig(['api.test A']))[0]?.status === 'NXDOMAIN'
  await until(isOver, 'it is over')
  const [answer] = await door.dig(['localhost A'])
  t.match(answer, { status: 'NXDOMAIN', error: /^15 \(Blocked\): \(sallyport: task-ended: / })
  t.match(door.refused().at(-1), {
    event: { reason: 'task-ended' },
    sallyport: { task: { id: /^t_/ } },
  })
})

doorTest('a client that is not of the task is told nothing', { expires: null }, async (door, t) => {
  const [answer] = await door.dig(['api.test A'])
  t.match(answer, {
    status: 'NXDOMAIN',
    error: /^18 \(Prohibited\): \(sallyport: identity-missing: /,
  })
  t.match(door.refused(), [
    { event: { reason: 'identity-missing' }, sallyport: { task: undefined } },
  ])
})

doorTest(
  'several queries come over one connection, in pieces and half closed',
  {},
  async (door, t) => {
    const query = Buffer.from('0007010000010000000000000361706904746573740000010001', 'hex')
    const framed = Buffer.concat([Buffer.from([0, query.length]), query])
    const socket = net.connect({ port: door.port, host: '127.0.0.1', allowHalfOpen: true })
    let received = 0
    socket.on('data', (chunk: Buffer) => (received += chunk.length))
    socket.write(Buffer.concat([framed, framed.subarray(0, 5)]))
    const one = 2 + query.length + 16
    await until(() => received === one, 'one is answered')
    socket.end(Buffer.concat([framed.subarray(5), framed]))
    await new Promise((resolve) => socket.once('close', resolve))
    t.equal(received, 3 * one)
    const endless = net.connect(door.port, '127.0.0.1')
    endless.on('error', () => undefined)
    endless.write(Buffer.from([0xff, 0xff, ...query]))
    await new Promise((resolve) => endless.once('close', resolve))
    t.pass('one that announces too much is left')
  },
)

/** Sends one datagram; what comes back within a while. */
function exchange(port: number, bytes: Buffer): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const socket = dgram.createSocket('udp4')
    const finish = (answer: Buffer | undefined): void => {
      clearTimeout(timer)
      socket.close()
      resolve(answer)
    }
    const timer = setTimeout(() => finish(undefined), 300)
    socket.once('message', finish)
    socket.send(bytes, port, '127.0.0.1')
  })
}
