// Reviewers who are told by a signed webhook and answer in the same way, through the real program.

import { createHmac, randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

import t, { type Test } from 'tap'

import { answerAs, reviewed, waitingHold } from '../fixtures/hold-desk.ts'
import { proxiedFetch } from '../fixtures/proxy-fetch.ts'
import { ruleSet, startSecure, until, type Scenario } from '../fixtures/scenario.ts'
import { api, type ApiAnswer } from '../fixtures/tasks.ts'
import { startHttp, type Handler } from '../fixtures/upstreams.ts'

const SECRET = 'a secret of the on-call webhook'
const up = await startSecure(['pay.test'])
t.teardown(() => up.close())
const AT = `https://pay.test:${up.port}`

const macOf = (id: string, timestamp: string, body: string, secret = SECRET): string =>
  `v1,${createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`).digest('base64')}`

/** The fields of a signed message. */
function sign(
  body: string,
  more: { secret?: string; id?: string; at?: number } = {},
): Record<string, string> {
  const { secret = SECRET, id = randomUUID(), at = Date.now() } = more
  const timestamp = String(Math.floor(at / 1000))
  return {
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': macOf(id, timestamp, body, secret),
  }
}

const isSigned = ({ headers }: IncomingMessage, body: Buffer): boolean =>
  headers['webhook-signature'] ===
  macOf(String(headers['webhook-id']), String(headers['webhook-timestamp']), body.toString())

/** Runs a test with a receiver. */
function notified(
  title: string,
  handler: Handler,
  body: (cx: Scenario, t: Test, receiver: Awaited<ReturnType<typeof startHttp>>) => Promise<void>,
): void {
  void t.test(title, async (t) => {
    const receiver = await startHttp({ handler })
    t.teardown(() => receiver.close())
    reviewed(
      t,
      'with a sidecar',
      {
        hosts: ['pay.test'],
        rules: ruleSet(
          `id: pay, hold: '${AT}', methods: [POST], reviewers: [on-call, bob], addresses: [127.0.0.0/8]`,
        ),
        config: `reviewers:\n  on-call: { webhook: { url: 'http://127.0.0.1:${receiver.port}/holds', secret: { file: hook.secret } } }\n  other: { webhook: { url: 'http://127.0.0.1:${receiver.port}/other', secret: { env: OTHER } } }\n`,
        files: { 'hook.secret': `${SECRET}\n` },
        secrets: { OTHER: 'another secret of another hook' },
      },
      (cx, t) => body(cx, t, receiver),
    )
  })
}

async function pay(cx: Scenario, amount: number): Promise<Response> {
  const through = proxiedFetch(cx)
  try {
    const body = JSON.stringify({ amount })
    const response = await through.fetch(`${AT}/pay`, { method: 'POST', body })
    return new Response(await response.text(), { status: response.status })
  } finally {
    void through.close()
  }
}

function answerSigned(
  cx: Scenario,
  id: string,
  body: string,
  fields: Record<string, string>,
): Promise<ApiAnswer> {
  return api(cx, 'POST', `/v1/holds/${id}/answer`, JSON.parse(body), fields)
}

const told: { isSigned: boolean; url: string; body: string }[] = []
let attempts = 0

notified(
  'R75: a reviewer is told by a signed webhook, again where it fails, and answers by a signed request',
  (request, body) => {
    attempts += 1
    told.push({ isSigned: isSigned(request, body), url: request.url ?? '', body: body.toString() })
    return { status: attempts === 1 ? 503 : 204 }
  },
  async (cx, t) => {
    const answer = pay(cx, 1)
    const { id } = await waitingHold(cx)
    await until(() => attempts >= 2, 'it is told again')
    t.ok(
      told.every((each) => each.isSigned && each.url === '/holds'),
      'whom the rule does not name is not told',
    )
    t.match(JSON.parse(told[1]?.body ?? ''), {
      type: 'hold.opened',
      data: { id, request: { method: 'POST' } },
    })
    const body = JSON.stringify({ hold: id, answer: 'approve', reason: 'paged' })
    const unproved = { status: 401, body: { reason: 'principal-unknown' } }
    t.match(await answerSigned(cx, id, body, sign(body, { secret: 'x'.repeat(30) })), unproved)
    t.match(
      await answerSigned(cx, id, body, sign(body, { at: Date.now() - 400_000 })),
      unproved,
      'an old one',
    )
    t.match(await answerSigned(cx, id, body, sign(`${body} `)), unproved, 'of other bytes')
    t.match(
      await answerSigned(cx, id, body, sign(body, { secret: 'another secret of another hook' })),
      { status: 403, body: { reason: 'principal-not-allowed' } },
      'the rule names other reviewers',
    )
    const fields = sign(body)
    t.match(await answerSigned(cx, id, body, fields), {
      status: 200,
      body: { state: 'used', by: 'on-call', via: 'webhook' },
    })
    t.match(await answerSigned(cx, id, body, fields), unproved, 'a replay')
    t.match(await answerSigned(cx, id, body, sign(body)), { status: 409 })
    t.equal((await answer).status, 200)
    const approved = cx.records().find(({ event }) => event.action === 'hold-approved')
    t.match(approved?.sallyport.detail, { actor: 'on-call', via: 'webhook', reason: 'paged' })
    const next = pay(cx, 2)
    const other = await waitingHold(cx)
    t.match(
      await answerSigned(cx, other.id, body, sign(body)),
      { status: 409 },
      'it is about another hold',
    )
    await answerAs(cx, 'bob', other.id, 'deny')
    t.equal((await next).status, 403)
  },
)

notified(
  'R75: a receiver answers in its response, where that is signed',
  (request, body) => {
    const { data } = JSON.parse(body.toString())
    const isLarge = String(data.request.body.preview).includes('101')
    const answer = JSON.stringify({ hold: data.id, answer: isLarge ? 'deny' : 'approve' })
    const fields = request.url === '/holds' ? sign(answer) : {}
    return { status: 200, headers: Object.entries(fields).flat(), body: answer }
  },
  async (cx, t) => {
    t.equal((await pay(cx, 100)).status, 200)
    const denied = await pay(cx, 101)
    t.match(await denied.json(), { reason: 'approval-denied' })
  },
)
