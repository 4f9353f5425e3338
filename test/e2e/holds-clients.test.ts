// Held calls as real clients meet them, and what a reviewer sees of one: curl, Python, the command line; bounds.

import { readFileSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import { answerAs, holdsOf, reviewed, tokenOf, waitingHold } from '../fixtures/hold-desk.ts'
import { startPayments } from '../fixtures/payments.ts'
import { until } from '../fixtures/scenario.ts'

const payments = await startPayments()
t.teardown(() => payments.up.close())
const { up, options, pay, paid, at: AT } = payments

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
