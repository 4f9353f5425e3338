// Held calls from outside: real clients that wait for a person, through the real program, and a person who answers by the
// control API and the command line.

import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import { answerAs, askAs, holdsOf, reviewed, tokenOf, waitingHold } from '../fixtures/hold-desk.ts'
import { proxiedFetch } from '../fixtures/proxy-fetch.ts'
import { ruleSet, startSecure, until, type Scenario } from '../fixtures/scenario.ts'

const up = await startSecure(['pay.test'])
t.teardown(() => up.close())
const host = `pay.test:${up.port}`
const AT = `https://${host}`
const HELD = `id: pay, hold: '${AT}', methods: [POST], paths: ['/pay/**'], addresses: [127.0.0.0/8]`
const READ = `id: read, allow: '${AT}', methods: [GET], addresses: [127.0.0.0/8]`
const rules = (keys = ''): Record<string, string> => ruleSet(`${HELD}${keys}`, READ)
const options = { hosts: ['pay.test'], rules: rules() }

/** Sends one payment. */
function pay(cx: Scenario, amount: number, more: RequestInit = {}): Promise<Response> {
  const through = proxiedFetch(cx)
  return through
    .fetch(`${AT}/pay/7`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ amount }),
      ...more,
    })
    .finally(() => void through.close())
}

const paid = (amount: number): number =>
  up.seen.filter(({ body }) => body.toString() === JSON.stringify({ amount })).length

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

reviewed(t, 'R75: time refuses', { ...options, limits: 'holdTtlMs: 400' }, async (cx, t) => {
  const answer = await pay(cx, 40)
  t.match(await answer.json(), { reason: 'approval-timeout' })
  t.match(await holdsOf(cx, 'timed-out'), [{ cause: 'no-answer' }])
  t.equal(paid(40), 0)
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
  'R75: a kill of the sidecar while a call is held keeps the hold open',
  { ...options, unchecked: true },
  async (cx, t) => {
    const broken = pay(cx, 60).then(
      () => 'answered',
      () => 'broken off',
    )
    const { id } = await waitingHold(cx)
    await cx.stop('SIGKILL')
    t.equal(await broken, 'broken off')
    await cx.start()
    t.match(await holdsOf(cx), [{ id, waiting: 0 }])
    const answer = pay(cx, 60)
    t.equal((await waitingHold(cx)).id, id, 'the repeat joins')
    await answerAs(cx, 'bob', id, 'approve')
    t.equal((await answer).status, 200)
    t.equal(paid(60), 1)
    await cx.stop('SIGKILL')
    await cx.start()
    t.match(await holdsOf(cx, 'used'), [{ id }])
  },
)

reviewed(t, 'rules that change while a call is held refuse it', options, async (cx, t) => {
  const answer = pay(cx, 70)
  const { id } = await waitingHold(cx)
  writeFileSync(path.join(cx.directory, 'rules/set.yaml'), rules(', data: internal')['set'] ?? '')
  t.match(await askAs(cx, 'olga', 'POST', '/v1/rules/reload'), { body: { inForce: true } })
  t.match(await answerAs(cx, 'bob', id, 'approve'), { body: { state: 'withdrawn' } })
  t.match(await (await answer).json(), { reason: 'approval-denied' })
  t.equal(paid(70), 0)
  const anew = pay(cx, 70)
  const next = await waitingHold(cx)
  t.not(next.id, id)
  await answerAs(cx, 'bob', next.id, 'approve')
  t.equal((await anew).status, 200, 'as the rules are now it is asked anew')
})

reviewed(
  t,
  'a body that is too large to be held is 413, and one that is not goes through',
  {
    ...options,
    limits: 'holdBodyBytes: 1KiB',
  },
  async (cx, t) => {
    const large = await pay(cx, 0, { body: 'x'.repeat(1025) })
    t.equal(large.status, 413)
    t.match(await large.json(), { reason: 'body-too-large' })
    t.equal((await holdsOf(cx)).length, 0, 'nobody is asked')
    const body = 'x'.repeat(1024)
    const answer = pay(cx, 0, { body })
    await answerAs(cx, 'bob', (await waitingHold(cx)).id, 'approve')
    t.equal((await answer).status, 200)
    t.equal(up.seen.at(-1)?.body.toString(), body)
  },
)

reviewed(
  t,
  'held calls of one task are bounded',
  { ...options, limits: 'holdsPerTaskMax: 2, holdWaitMs: 200' },
  async (cx, t) => {
    for (const amount of [80, 81]) t.equal((await pay(cx, amount)).status, 403)
    const third = await pay(cx, 82)
    t.equal(third.status, 429)
    t.match(await third.json(), { reason: 'quota-exceeded' })
  },
)

reviewed(
  t,
  'curl asks for leave to send, waits, and a client that leaves is seen',
  options,
  async (cx, t) => {
    const send = [
      '-sS',
      '-w',
      '%{http_code}',
      '-H',
      'Expect: 100-continue',
      '-d',
      '{"amount":90}',
      `${AT}/pay/9`,
    ]
    const gone = await cx.client('curl', ['-m', '1', ...send])
    t.equal(gone.status, 28, 'the client gave up')
    await until(async () => (await holdsOf(cx))[0]?.waiting === 0, 'that is seen')
    const answer = cx.client('curl', send)
    const { id } = await waitingHold(cx)
    const approved = cx.run('hold', 'approve', id, '--reason', 'ok', '--json')
    t.equal(approved.status, 1, 'the command line proves who it is')
    const verb = (...words: string[]): Promise<{ status: number | null; stdout: string }> =>
      cx.client(
        process.execPath,
        [
          path.join(import.meta.dirname, '../../bin/sallyport.js'),
          ...words,
          '--config',
          cx.configFile,
        ],
        {
          env: { SALLYPORT_CONTROL_TOKEN: tokenOf('bob') },
        },
      )
    t.match(await verb('hold', 'list'), {
      status: 0,
      stdout: new RegExp(`^${id} pending until .* POST ${AT}/pay/9 by rule pay`),
    })
    t.match(await verb('hold', 'show', id), { status: 0, stdout: /preview +\{"amount":90\}/ })
    t.match(await verb('hold', 'approve', id, '--reason', 'ok'), {
      status: 0,
      stdout: /state +used, by bob \(control\)/,
    })
    t.match(await answer, { status: 0, stdout: /200$/ })
    t.equal(paid(90), 1)
    t.match(await cx.record(({ event }) => event.reason === 'client-gone'), {
      event: { action: 'call-denied' },
      sallyport: { hold: { id } },
    })
  },
)

reviewed(
  t,
  'a Python client that gives up and comes again gets its one call through once',
  options,
  async (cx, t) => {
    const program = `
import json, socket, sys, time, urllib.request, urllib.error
for attempt in range(30):
    request = urllib.request.Request('${AT}/pay/p', data=json.dumps({'amount': 100}).encode(), headers={'Content-Type': 'application/json'})
    try:
        with urllib.request.urlopen(request, timeout=0.7) as answer:
            print(attempt, answer.status)
            sys.exit(0)
    except (TimeoutError, urllib.error.URLError) as error:
        time.sleep(0.05)
sys.exit(1)
`
    const answer = cx.client('python3', ['-c', program])
    await until(
      () => cx.terminal().filter(({ event }) => event.reason === 'client-gone').length >= 2,
      'it gave up twice',
    )
    const { id } = await waitingHold(cx)
    await answerAs(cx, 'bob', id, 'approve')
    const { status, stdout } = await answer
    t.equal(status, 0)
    t.match(stdout, /^[2-9]\d* 200/)
    t.equal(paid(100), 0, 'its JSON has a space')
    t.equal(up.seen.filter(({ url }) => url === '/pay/p').length, 1)
  },
)

reviewed(
  t,
  'what a reviewer sees has no secrets, and no controls for the terminal',
  options,
  async (cx, t) => {
    const secret = `ghp_${'a1B2c3D4e5F6'.repeat(3)}`
    cx.guard('token', secret)
    const answer = pay(cx, 0, {
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${secret}`,
        'x-note': secret,
      },
      body: JSON.stringify({
        note: '\u001b[2Jcleared \u202e',
        key: secret,
        password: 'hunter2hunter2',
      }),
    })
    const hold = await waitingHold(cx)
    const shown = JSON.stringify(hold)
    t.notMatch(shown, secret)
    t.notMatch(shown, 'hunter2')
    const { stdout } = await cx.client(
      process.execPath,
      [
        path.join(import.meta.dirname, '../../bin/sallyport.js'),
        'hold',
        'show',
        hold.id,
        '--config',
        cx.configFile,
      ],
      { env: { SALLYPORT_CONTROL_TOKEN: tokenOf('bob') } },
    )
    t.match(stdout, /preview .*cleared/)
    t.notMatch(stdout, /(?!\n)[\p{Cc}\p{Cf}]/u)
    t.notMatch(readFileSync(path.join(cx.directory, 'state/holds.ndjson'), 'utf8'), secret)
    await answerAs(cx, 'bob', hold.id, 'deny')
    await answer
  },
)
