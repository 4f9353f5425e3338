// Held calls from outside: clients that wait for a person, through the real program, and a person who answers by the control
// API.

import t from 'tap'

import { answerAs, askAs, holdsOf, reviewed, waitingHold } from '../fixtures/hold-desk.ts'
import { startPayments } from '../fixtures/payments.ts'
import { proxiedFetch } from '../fixtures/proxy-fetch.ts'
import { ruleSet } from '../fixtures/scenario.ts'

const payments = await startPayments()
t.teardown(() => payments.up.close())
const { up, rules, options, pay, paid, at: AT } = payments

reviewed(t, 'R77: a high-impact call waits for a person; others do not', options, async (cx, t) => {
  const through = proxiedFetch(cx)
  t.equal((await through.fetch(`${AT}/balance`)).status, 200, 'a read is not held')
  await through.close()
  const before = up.connections()
  const answer = pay(cx, 1)
  const hold = await waitingHold(cx)
  t.match(hold, {
    state: 'pending',
    task: { intent: 'e2e', owner: { name: 'Test Owner' } },
    rule: { id: 'pay', ruleset: 'set' },
    request: {
      method: 'POST',
      scheme: 'https',
      host: 'pay.test',
      path: '/pay/7',
      body: { bytes: 12, preview: '{"amount":1}' },
    },
  })
  t.equal(up.connections(), before, 'nothing is open upstream while it waits')
  t.equal(await cx.metric('sallyport_holds_open'), 1)
  t.match(await answerAs(cx, 'bob', hold.id, 'approve', 'in the plan'), {
    status: 200,
    body: { state: 'used', by: 'bob', reason: 'in the plan' },
  })
  t.equal((await answer).status, 200)
  t.equal(paid(1), 1)
  t.equal(await cx.metric('sallyport_holds_open'), 0)
  const ended = await cx.record(({ url }) => url?.path === '/pay/7')
  t.match(ended, {
    event: { action: 'call-ended', reason: 'allowed' },
    rule: { id: 'pay' },
    sallyport: {
      decision: { verdict: 'hold', reason: 'approval-pending' },
      hold: { id: hold.id, by: 'bob' },
    },
  })
  t.strictSame(
    cx
      .records()
      .filter(({ event }) => event.action.startsWith('hold-'))
      .map(({ event, sallyport }) => [event.action, sallyport.detail?.['actor']]),
    [
      ['hold-opened', undefined],
      ['hold-approved', 'bob'],
      ['hold-used', 'bob'],
    ],
  )
  t.match(cx.run('tail', '--verdict', 'hold').stdout, '/pay/7')
})

reviewed(
  t,
  "R75: approve X, send X': it is held by itself, and a reuse of X too",
  { ...options, limits: 'holdWaitMs: 300' },
  async (cx, t) => {
    t.equal((await pay(cx, 10)).status, 403)
    const [hold] = await holdsOf(cx)
    await answerAs(cx, 'bob', hold.id, 'approve')
    const other = await pay(cx, 11)
    t.equal(other.status, 403)
    t.match(await other.json(), {
      reason: 'approval-pending',
      retry: 'later',
      hold: /^[0-9A-Z]{26}$/,
    })
    t.match(other.headers.get('retry-after'), /^\d+$/)
    t.equal(paid(11), 0)
    const headers = { 'content-type': 'application/json', 'x-account': '2' }
    t.equal((await pay(cx, 10, { headers })).status, 403, 'another header is another call')
    t.equal((await pay(cx, 10)).status, 200, 'X goes through')
    const again = await pay(cx, 10)
    t.equal(again.status, 403, 'once')
    t.not(again.headers.get('sallyport-hold'), hold.id)
    t.equal(paid(10), 1)
  },
)

reviewed(
  t,
  'R75: of two reviewers at once the first counts, and the other is told',
  options,
  async (cx, t) => {
    const answer = pay(cx, 20)
    const { id } = await waitingHold(cx)
    const both = await Promise.all([
      answerAs(cx, 'bob', id, 'approve'),
      answerAs(cx, 'test-owner', id, 'deny'),
    ])
    t.equal(both.filter(({ status }) => status === 200).length, 1)
    t.equal(both.filter(({ status }) => status === 409).length, 1)
    const approved = both[0].status === 200
    t.equal((await answer).status, approved ? 200 : 403)
    t.equal(paid(20), approved ? 1 : 0)
  },
)

reviewed(t, 'R75: a refusal is final for a while', options, async (cx, t) => {
  const answer = pay(cx, 30)
  const { id } = await waitingHold(cx)
  await answerAs(cx, 'bob', id, 'deny', 'not without an invoice')
  t.match(await (await answer).json(), { reason: 'approval-denied', hold: id })
  t.match(await (await pay(cx, 30)).json(), { reason: 'approval-denied', hold: id })
  t.equal(paid(30), 0)
  t.equal((await holdsOf(cx)).length, 0)
})

reviewed(
  t,
  'R75: who owns the task, or is no approver, does not answer',
  {
    ...options,
    rules: rules(`, separate: true, reviewers: [bob, test-owner, 'team:appsec']`),
  },
  async (cx, t) => {
    const answer = pay(cx, 50)
    const { id } = await waitingHold(cx)
    const refused = { status: 403, body: { reason: 'principal-not-allowed' } }
    t.match(await answerAs(cx, 'olga', id, 'approve'), refused, 'an operator is no approver')
    t.match(await answerAs(cx, 'test-owner', id, 'approve'), refused, 'the owner, named or not')
    t.match(await askAs(cx, 'carol', 'GET', '/v1/holds'), { body: { holds: [{ id }] } })
    t.match(await answerAs(cx, 'carol', id, 'approve'), { status: 200, body: { by: 'carol' } })
    t.equal((await answer).status, 200)
  },
)

reviewed(
  t,
  'R75: what a rule looks at inside counts too: a condition on arguments, an amount above which a person decides',
  {
    hosts: ['pay.test'],
    rules: ruleSet(
      `id: large, hold: '${AT}', methods: [POST], when: 'call.body.json.amount > 100', addresses: [127.0.0.0/8]`,
      `id: small, allow: '${AT}', methods: [POST], when: 'call.body.json.amount <= 100', addresses: [127.0.0.0/8]`,
    ),
  },
  async (cx, t) => {
    t.equal((await pay(cx, 100)).status, 200, 'R77: 100 goes through')
    const answer = pay(cx, 101)
    const hold = await waitingHold(cx)
    t.match(hold, { rule: { id: 'large' } }, 'R77: 101 waits')
    await answerAs(cx, 'bob', hold.id, 'approve')
    t.equal((await answer).status, 200)
    t.equal(paid(101), 1)
  },
)

reviewed(
  t,
  'R75: no other way to write a held call lets it pass by a wider rule, nor by its body',
  {
    hosts: ['pay.test'],
    rules: ruleSet(
      `id: any, allow: '${AT}', addresses: [127.0.0.0/8]`,
      `id: pay, hold: '${AT}', methods: [POST], paths: ['/pay/**'], addresses: [127.0.0.0/8]`,
    ),
  },
  async (cx, t) => {
    const through = proxiedFetch(cx)
    t.equal((await through.fetch(`${AT}/PAY/7`)).status, 200, 'a read is not held')
    const { length } = up.seen
    for (const path of ['/pay%2F7', '/PAY/7', '//pay/7', '/pay;x=1/7']) {
      const answer = through.fetch(`${AT}${path}`, { method: 'POST', body: path })
      const { id } = await waitingHold(cx)
      await answerAs(cx, 'bob', id, 'deny')
      t.equal((await answer).status, 403, path)
    }
    t.equal(up.seen.length, length)
    await through.close()
  },
)
