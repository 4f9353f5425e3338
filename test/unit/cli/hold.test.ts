// Proves the verb `hold`: what it prints of held calls, safely, and how it answers.

import t, { type Test } from 'tap'

import { makeControlParts } from '../../fixtures/control.ts'
import { askedHold, openHolds, waitingClient } from '../../fixtures/holds.ts'
import { startControl } from '../control/support.ts'
import { run, type Ran } from './support.ts'

async function start(t: Test): Promise<{ id: string; hold: (...words: string[]) => Promise<Ran> }> {
  const { holds } = openHolds(t.testdir())
  t.teardown(() => holds.close())
  const asked = askedHold({
    terms: { separate: true, reviewers: ['administrator'] },
    describe: () => ({
      ...askedHold().describe(),
      query: 'a=1',
      headers: [['x-note', 'one\ntwo\u001b[2J']],
      body: {
        bytes: 9000,
        sha256: 'b'.repeat(64),
        type: 'text/plain',
        preview: 'long',
        truncated: true,
      },
      tools: [{ name: 'pay\u202e', arguments: { amount: 101 } }, { name: 'ping' }],
      unshown: { headers: 7, tools: 2 },
      credential: 'pay',
      data: 'internal',
    }),
  })
  const { id, granted } = holds.join(asked, waitingClient('call-1'))
  granted.catch(() => undefined)
  const parts = { ...makeControlParts().parts, holds }
  const control = await startControl(t, { unix: true, parts })
  return { id, hold: (...words) => run(['hold', ...words, '--control', control.address]) }
}

void t.test('held calls are listed, shown and answered', async (t) => {
  const { id, hold } = await start(t)
  t.match(await hold('list'), {
    code: 0,
    out: `${id} pending until 2027-03-01T10:15:00.000Z, 1 waiting POST https://pay.test:443/invoices/7/pay?a=1 by rule pay, pay-bot/1 for Ann Owner (payments): Pay the invoices of March\n`,
  })
  const { out } = await hold('show', id)
  for (const line of [
    /^state +pending, until/m,
    /^tool +pay\\u\{202e\} \{"amount":101\}$/m,
    /^tool +ping$/m,
    /^header +x-note: one\\ntwo\\u\{1b\}\[2J$/m,
    /^body +9000 bytes, text\/plain$/m,
    /^unshown +7 header fields, 2 tools$/m,
    /^preview +long …$/m,
    /^credential +pay$/m,
    /^reviewers +administrator$/m,
    /^separate +who owns the task/m,
  ])
    t.match(out, line)
  t.notMatch(out, /(?!\n)[\p{Cc}\p{Cf}]/u)
  t.match(await hold('deny', id, '--reason', 'no'), {
    code: 0,
    out: /state +denied, by administrator \(control\)/,
  })
  t.match(await hold('list'), { code: 0, out: /^$/ })
  t.match(await hold('list', '--all'), { code: 0, out: new RegExp(`^${id} denied`) })
  t.match(await hold('list', '--state', 'denied'), { code: 0, out: new RegExp(id) })
  t.match(await hold('list', '--state', 'open'), { code: 2, err: /pending, approved, denied/ })
  t.match(await hold('approve', id), { code: 1, err: /^conflict: / })
})

void t.test('--json prints what the API answers', async (t) => {
  const { id, hold } = await start(t)
  t.match(JSON.parse((await hold('list', '--json')).out), { holds: [{ id }] })
  t.match(JSON.parse((await hold('approve', id, '--json')).out), { id, state: 'used' })
})
