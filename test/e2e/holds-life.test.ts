// What becomes of held calls when something else happens: the sidecar dies or stops, rules change, tasks end, time goes by.

import { writeFileSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import { answerAs, askAs, holdsOf, reviewed, tokenOf, waitingHold } from '../fixtures/hold-desk.ts'
import { startPayments } from '../fixtures/payments.ts'
import { proxiedFetch } from '../fixtures/proxy-fetch.ts'
import { sleep } from '../fixtures/scenario.ts'
import { makeTask, type ApiAnswer } from '../fixtures/tasks.ts'

const payments = await startPayments()
t.teardown(() => payments.up.close())
const { rules, options, pay, paid, at: AT } = payments

reviewed(t, 'R75: time refuses', { ...options, limits: 'holdTtlMs: 400' }, async (cx, t) => {
  const answer = await pay(cx, 40)
  t.match(await answer.json(), { reason: 'approval-timeout' })
  t.match(await holdsOf(cx, 'timed-out'), [{ cause: 'no-answer' }])
  t.equal(paid(40), 0)
})

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
  'R75: what waits of a task ends with it, and of a suspended one nothing goes through',
  { hosts: ['pay.test'], rules: rules(), expires: null },
  async (cx, t) => {
    const olga = { authorization: `Bearer ${tokenOf('olga')}` }
    const task = await makeTask(cx, {}, undefined, olga)
    const change = (what: string): Promise<ApiAnswer> =>
      askAs(cx, 'olga', 'POST', `/v1/tasks/${task.id}/${what}`, {})
    const through = proxiedFetch(cx, task)
    const send = (): Promise<Response> =>
      through.fetch(`${AT}/pay/7`, { method: 'POST', body: '{"amount":110}' })
    const suspended = send()
    const { id } = await waitingHold(cx)
    await change('suspend')
    t.match(await (await suspended).json(), { reason: 'task-not-active' })
    t.match(await answerAs(cx, 'bob', id, 'approve'), { status: 409 }, 'it is withdrawn')
    t.match(await (await send()).json(), { reason: 'task-not-active' })
    await change('resume')
    const again = send()
    const anew = await waitingHold(cx)
    t.not(anew.id, id, 'resumed, it is asked for anew')
    t.match(await answerAs(cx, 'bob', anew.id, 'approve'), { status: 200 })
    t.equal((await again).status, 200)
    t.equal(paid(110), 1)
    // Its connection is ended with the task.
    const revoked = send().catch(() => undefined)
    const next = await waitingHold(cx)
    t.match((await change('revoke')).body.items, [
      {},
      { kind: 'holds', outcome: 'ended', count: 1 },
    ])
    await revoked
    await cx.record(
      ({ event, sallyport }) => event.reason === 'task-ended' && sallyport.hold?.id === next.id,
    )
    t.match(await answerAs(cx, 'bob', next.id, 'approve'), { status: 409 })
    t.equal(paid(110), 1)
    await through.close()
  },
)

reviewed(
  t,
  'a sidecar that stops sends waiting clients away, and idle ones wait on',
  { ...options, limits: 'idleTimeoutMs: 200', unchecked: true },
  async (cx, t) => {
    const answer = pay(cx, 120)
    const { id } = await waitingHold(cx)
    await sleep(1500)
    t.equal((await holdsOf(cx))[0]?.waiting, 1, 'waiting is not idling')
    const stopped = cx.stop()
    const drained = await answer
    t.equal(drained.status, 503)
    t.match(await drained.json(), { reason: 'draining', hold: id })
    t.equal(await stopped, 0)
    await cx.start()
    t.match(await holdsOf(cx), [{ id }])
  },
)
