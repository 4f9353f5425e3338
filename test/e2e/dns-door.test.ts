// Proves the DNS door with real clients: who asks by a name that no rule could allow learns nothing and is on record, whatever
// else is asked is empty, and nothing that is asked leaves the sidecar.

import { doorTest, exchange, type Answer } from '../fixtures/dns-door.ts'
import { until } from '../fixtures/scenario.ts'

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
  await door.cx.client('curl', ['-s', '--http1.1', 'https://one.wild.test/'])
  t.equal(door.upstream.count('one.wild.test'), 2, 'a call that is allowed is')
})
