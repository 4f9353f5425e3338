// Proves the routes of held calls: who sees and answers which, and what is refused. The holds are real, over a directory of the
// test.

import t, { type Test } from 'tap'

import { makeControlParts } from '../../fixtures/control.ts'
import { askedHold, openHolds, waitingClient, type HoldsFixture } from '../../fixtures/holds.ts'
import { startControl, type Control } from './support.ts'

const REFUSED = { status: 403, body: { reason: 'principal-not-allowed' } }

async function start(t: Test): Promise<HoldsFixture & { control: Control; id: string }> {
  const fixture = openHolds(t.testdir())
  t.teardown(() => fixture.holds.close())
  const { id, granted } = fixture.holds.join(askedHold(), waitingClient('call-1'))
  granted.catch(() => undefined)
  const control = await startControl(t, {
    parts: { ...makeControlParts().parts, holds: fixture.holds },
    principals: [
      { name: 'ann', roles: ['approver'] },
      { name: 'ben', roles: ['viewer'] },
      { name: 'cleo', roles: ['operator', 'orchestrator'] },
      { name: 'dora', roles: ['approver'], teams: ['platform'] },
    ],
  })
  return { ...fixture, control, id }
}

void t.test('R75: an approver answers, once; who reads, reads', async (t) => {
  const { control, id } = await start(t)
  const as = (name: string): { as: string } => ({ as: name })
  t.match(await control.ask('GET', '/v1/holds', undefined, as('ben')), {
    status: 200,
    body: { holds: [{ id, state: 'pending', waiting: 1, request: { path: '/invoices/7/pay' } }] },
  })
  t.match(await control.ask('GET', `/v1/holds/${id}`, undefined, as('cleo')), { body: { id } })
  for (const name of ['ben', 'cleo', 'dora'])
    t.match(await control.ask('POST', `/v1/holds/${id}/approve`, {}, as(name)), REFUSED, name)
  t.match(await control.ask('POST', `/v1/holds/${id}/approve`, { reason: 'ok' }, as('ann')), {
    status: 200,
    body: { state: 'used', by: 'ann', via: 'control', reason: 'ok' },
  })
  t.match(await control.ask('POST', `/v1/holds/${id}/deny`, {}, as('ann')), {
    status: 409,
    body: { reason: 'conflict', detail: /used by ann/ },
  })
})

void t.test('what is limited to a team sees its own, or what names it', async (t) => {
  const { control, id, holds } = await start(t)
  const as = { as: 'dora' }
  t.match(await control.ask('GET', '/v1/holds', undefined, as), { body: { holds: [] } })
  t.match(await control.ask('GET', `/v1/holds/${id}`, undefined, as), REFUSED)
  const terms = { separate: false, reviewers: ['team:platform'] }
  const named = holds.join(askedHold({ digest: 'sha256:d', terms }), waitingClient('call-2'))
  named.granted.catch(() => undefined)
  t.match(await control.ask('GET', '/v1/holds', undefined, as), {
    body: { holds: [{ id: named.id }] },
  })
  t.match(await control.ask('POST', `/v1/holds/${named.id}/deny`, {}, as), {
    body: { state: 'denied' },
  })
})

void t.test('lists are narrowed by task and state, and nonsense is refused', async (t) => {
  const { control, id } = await start(t)
  const ask = (route: string): ReturnType<Control['ask']> =>
    control.ask('GET', route, undefined, { as: 'ann' })
  t.match(await ask('/v1/holds?state=pending'), { body: { holds: [{ id }] } })
  t.match(await ask('/v1/holds?state=used'), { body: { holds: [] } })
  t.match(await ask(`/v1/holds?task=t_${'z'.repeat(26)}`), { body: { holds: [] } })
  t.match(await ask('/v1/holds?state=lost'), { status: 400, body: { field: '/state' } })
  t.match(await ask('/v1/holds/none'), { status: 404, body: { reason: 'not-found' } })
  t.match(await control.ask('POST', '/v1/holds/none/approve', {}, { as: 'ann' }), { status: 404 })
  t.match(await control.ask('POST', `/v1/holds/${id}/approve`, { who: 'me' }, { as: 'ann' }), {
    status: 400,
  })
})

void t.test('a signed answer that nobody signed proves nobody', async (t) => {
  const { control, id } = await start(t)
  const headers = { 'webhook-signature': 'v1,AAAA', 'webhook-id': 'a', 'webhook-timestamp': '1' }
  const body = { hold: id, answer: 'approve' }
  // The fixture knows no reviewer.
  t.match(await control.ask('POST', `/v1/holds/${id}/answer`, body, { as: 'nobody', headers }), {
    status: 404,
  })
  t.match(await control.ask('POST', `/v1/holds/${id}/answer`, body, { as: 'nobody' }), {
    status: 401,
  })
  t.match(await control.ask('POST', `/v1/holds/${id}/answer`, body, { as: 'ann' }), { status: 404 })
})

void t.test('a state that there is not is refused with those that there are', async (t) => {
  const { control } = await start(t)
  t.match(await control.ask('GET', '/v1/holds?state=open', undefined, { as: 'ann' }), {
    status: 400,
    body: { detail: /^expected pending, approved, denied, timed-out, used or withdrawn$/ },
  })
})
