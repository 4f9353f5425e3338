// Proves that a held call goes through once, for the answer of somebody who may give it, and for nothing else: whatever clients,
// reviewers, time and the machine do.

import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import { EgressError } from '../../../src/errors.ts'
import type { Holds } from '../../../src/ledger/holds/holds.ts'
import type { AskedHold } from '../../../src/ledger/holds/open-hold.ts'
import { askedHold, heldTask, openHolds, waitingClient } from '../../fixtures/holds.ts'

const BOB = { name: 'bob', teams: [], via: 'control' } as const
const CAROL = { name: 'carol', teams: ['appsec'], via: 'control' } as const
const OTHER = `sha256:${'c'.repeat(64)}`

void t.test(
  'R75: an approval lets one waiting client through, and a reuse is held anew',
  async (t) => {
    const { holds, told } = openHolds(t.testdir())
    const first = holds.join(askedHold(), waitingClient('call-1'))
    t.match(holds.list(), [{ id: first.id, state: 'pending', waiting: 1 }])
    const approved = holds.answer(first.id, 'approve', BOB, 'looks right')
    t.match(approved, { state: 'used', by: 'bob', usedBy: 'call-1', reason: 'looks right' })
    t.match(await first.granted, { id: first.id, by: 'bob', via: 'control' })
    const again = holds.join(askedHold(), waitingClient('call-2'))
    t.not(again.id, first.id)
    t.match(holds.show(again.id), { state: 'pending' })
    t.strictSame(
      told.map(({ action }) => action),
      ['hold-opened', 'hold-approved', 'hold-used', 'hold-opened'],
    )
    holds.drain()
    t.equal(await reasonOf(again.granted), 'draining')
    holds.close()
  },
)

void t.test('R75: what is approved is one digest of one task under one judgement', async (t) => {
  const { holds } = openHolds(t.testdir())
  const id = left(holds, askedHold())
  holds.answer(id, 'approve', BOB, undefined)
  const others = [
    left(holds, askedHold({ digest: OTHER })),
    left(holds, askedHold({ task: heldTask('t_2') })),
  ]
  t.notOk(others.includes(id))
  t.match(holds.show(id), { state: 'approved' }, 'the approval is still there')
  const changed = left(holds, askedHold({ basis: 'other rules' }))
  t.not(changed, id)
  t.match(holds.show(id), { state: 'withdrawn', cause: 'changed' })
  holds.close()
})

void t.test('a client that times out and comes again gets its one call through once', async (t) => {
  const { holds } = openHolds(t.testdir())
  const first = waitingClient('call-1')
  const one = holds.join(askedHold(), first)
  first.leave()
  t.equal(await reasonOf(one.granted), 'client-gone')
  t.match(holds.show(one.id), { state: 'pending', waiting: 0 })
  const two = holds.join(askedHold(), waitingClient('call-2'))
  t.equal(two.id, one.id, 'the repeat joins')
  holds.answer(one.id, 'approve', BOB, undefined)
  t.match(await two.granted, { by: 'bob' })
  t.match(holds.show(one.id), { state: 'used', usedBy: 'call-2' })
  holds.close()
})

void t.test('an approval nobody waits for is used once, and lapses', async (t) => {
  const { holds, clock } = openHolds(t.testdir(), { grantTtlMs: 60_000 })
  const id = left(holds, askedHold())
  holds.answer(id, 'approve', BOB, undefined)
  clock.now += 59_000
  const used = holds.join(askedHold(), waitingClient('call-2'))
  t.equal(used.id, id)
  t.match(await used.granted, { id, by: 'bob' })
  const next = left(holds, askedHold())
  holds.answer(next, 'approve', BOB, undefined)
  clock.now += 60_000
  const late = left(holds, askedHold())
  t.not(late, next, 'asked anew')
  t.match(holds.show(next), { state: 'timed-out', cause: 'unused' })
  holds.close()
})

void t.test(
  'of many clients with one call the newest is let through, and exactly one',
  async (t) => {
    const { holds } = openHolds(t.testdir())
    const joined = ['1', '2', '3'].map((n) => holds.join(askedHold(), waitingClient(n)))
    t.equal(new Set(joined.map(({ id }) => id)).size, 1)
    holds.answer(joined[0]!.id, 'approve', BOB, undefined)
    const outcomes = await Promise.allSettled(joined.map(({ granted }) => granted))
    t.match(outcomes, [
      { status: 'rejected', reason: { reason: 'approval-pending' } },
      { status: 'rejected', reason: { reason: 'approval-pending' } },
      { status: 'fulfilled' },
    ])
    holds.close()
  },
)

void t.test('R75: time refuses: nobody answered, and a client is told to come back', async (t) => {
  const { holds, clock } = openHolds(t.testdir(), { holdWaitMs: 30, holdTtlMs: 60_000 })
  const { id, granted } = holds.join(askedHold(), waitingClient('call-1'))
  t.equal(await reasonOf(granted), 'approval-pending')
  t.match(holds.show(id), { state: 'pending', waiting: 0 })
  const waits = holds.join(askedHold(), waitingClient('call-2'))
  clock.now += 60_000
  t.match(holds.show(id), { state: 'timed-out', cause: 'no-answer' })
  t.equal(await reasonOf(waits.granted), 'approval-timeout')
  t.match(
    refusalOf(() => holds.answer(id, 'approve', BOB, undefined)),
    'conflict',
  )
  t.not(left(holds, askedHold()), id, 'a later repeat asks anew')
  holds.close()
})

void t.test('R75: two reviewers at once: the first answer counts', async (t) => {
  const { holds } = openHolds(t.testdir())
  const terms = { separate: false, reviewers: ['bob', 'team:appsec'] }
  const { id, granted } = holds.join(askedHold({ terms }), waitingClient('call-1'))
  holds.answer(id, 'deny', CAROL, 'no')
  t.equal(await reasonOf(granted), 'approval-denied')
  t.equal(
    refusalOf(() => holds.answer(id, 'approve', BOB, undefined)),
    'conflict: the hold is not pending any more: denied by carol',
  )
  holds.close()
})

void t.test('a refusal refuses the same call again for a while, and nothing else', async (t) => {
  const { holds, clock, told } = openHolds(t.testdir(), { grantTtlMs: 60_000 })
  const id = left(holds, askedHold())
  holds.answer(id, 'deny', BOB, undefined)
  const again = holds.join(askedHold(), waitingClient('call-2'))
  t.equal(await reasonOf(again.granted), 'approval-denied')
  t.equal(told.filter(({ action }) => action === 'hold-opened').length, 1, 'nobody is asked again')
  clock.now += 60_000
  t.not(left(holds, askedHold()), id)
  holds.close()
})

void t.test(
  'R75: named reviewers answer, and nobody who asked for the call where they are kept apart',
  (t) => {
    const { holds } = openHolds(t.testdir())
    const terms = {
      separate: true,
      reviewers: ['bob', 'ann-owner', 'Orchestrator.1', 'team:appsec'],
    }
    const id = left(holds, askedHold({ terms }))
    const refused = (name: string, teams: readonly string[] = []): void =>
      void t.match(
        refusalOf(() => holds.answer(id, 'approve', { name, teams, via: 'control' }, undefined)),
        'principal-not-allowed',
        name,
      )
    refused('dave')
    refused('ann-owner')
    refused('Orchestrator.1')
    refused('Bob')
    refused('pay-bot')
    refused('erin', ['payments'])
    t.notOk(holds.mayAnswer(id, { name: 'dave', teams: [] }))
    t.ok(holds.mayAnswer(id, CAROL), 'the rule names its team')
    t.match(holds.answer(id, 'approve', CAROL, undefined), { state: 'approved', by: 'carol' })
    const open = left(holds, askedHold({ digest: OTHER }))
    t.notOk(holds.mayAnswer(open, CAROL), 'it is limited to another team')
    t.match(
      holds.answer(open, 'approve', { name: 'Ann Owner', teams: [], via: 'control' }, undefined),
      { state: 'approved' },
      'where the rule does not keep them apart the owner may',
    )
    holds.close()
    t.end()
  },
)

void t.test('R75: kept apart is also who made or asked for a task above', (t) => {
  const { holds } = openHolds(t.testdir(), {}, undefined, {
    t_root: ['alice', 'Pat Principal'],
    t_2: ['orchestrator-1'],
  })
  const task = heldTask('t_2', { path: ['t_root', 't_2'] })
  const id = left(holds, askedHold({ task, terms: { separate: true } }))
  for (const name of ['alice', 'pat-principal', 'orchestrator-1'])
    t.match(
      refusalOf(() => holds.answer(id, 'approve', { ...BOB, name }, undefined)),
      'principal-not-allowed',
      name,
    )
  t.match(holds.answer(id, 'approve', BOB, undefined), { state: 'approved' })
  holds.close()
  t.end()
})

void t.test('what changed since is found out when it is approved', async (t) => {
  const { holds } = openHolds(t.testdir())
  const changed = (): never => {
    throw new EgressError('denied-by-rule')
  }
  const { id, granted } = holds.join(askedHold(), waitingClient('call-1', changed))
  t.match(holds.answer(id, 'approve', BOB, undefined), {
    state: 'withdrawn',
    cause: 'denied-by-rule',
  })
  t.equal(await reasonOf(granted), 'denied-by-rule')
  holds.close()
})

void t.test('R75: a restart keeps what is open, what was answered and what was used', async (t) => {
  const dir = t.testdir()
  const before = openHolds(dir)
  const open = left(before.holds, askedHold())
  const approved = left(before.holds, askedHold({ digest: OTHER }))
  before.holds.answer(approved, 'approve', BOB, undefined)
  const used = before.holds.join(askedHold({ digest: 'sha256:d' }), waitingClient('call-3'))
  before.holds.answer(used.id, 'approve', BOB, undefined)
  await used.granted
  // Killed: nothing is closed.
  const { holds, clock } = openHolds(dir)
  clock.now += 1000
  t.match(
    [open, approved, used.id].map((id) => holds.show(id)?.state),
    ['pending', 'approved', 'used'],
  )
  const joined = holds.join(askedHold(), waitingClient('call-4'))
  t.equal(joined.id, open)
  holds.answer(open, 'approve', BOB, undefined)
  t.match(await joined.granted, { id: open })
  const taken = holds.join(askedHold({ digest: OTHER }), waitingClient('call-5'))
  t.match(await taken.granted, { id: approved })
  t.not(left(holds, askedHold({ digest: 'sha256:d' })), used.id)
  holds.close()
})

void t.test('holds are bounded, a task and in all', (t) => {
  const { holds } = openHolds(t.testdir(), { holdsPerTaskMax: 2, holdsMax: 3 })
  const ask = (task: string, n: number): string =>
    left(holds, askedHold({ task: heldTask(task), digest: `sha256:${n}` }))
  ask('t_1', 1)
  ask('t_1', 2)
  t.match(
    refusalOf(() => ask('t_1', 3)),
    'quota-exceeded',
  )
  const third = ask('t_2', 1)
  t.match(
    refusalOf(() => ask('t_3', 1)),
    'quota-exceeded',
  )
  holds.answer(third, 'deny', BOB, undefined)
  t.ok(ask('t_3', 1), 'what is answered makes room')
  t.equal(holds.numbers.open, 3)
  holds.close()
  t.end()
})

void t.test('what is open of a task is withdrawn with it', async (t) => {
  const { holds } = openHolds(t.testdir())
  const { id, granted } = holds.join(askedHold(), waitingClient('call-1'))
  const kept = left(holds, askedHold({ task: heldTask('t_2') }))
  t.equal(
    holds.withdrawWhere((ids) => ids.includes('t_1'), new EgressError('task-ended')),
    1,
  )
  t.equal(await reasonOf(granted), 'task-ended')
  t.match([holds.show(id), holds.show(kept)], [{ state: 'withdrawn' }, { state: 'pending' }])
  holds.close()
})

void t.test('a file that is not what was written is an error, and a torn end is cut off', (t) => {
  const dir = t.testdir()
  const { holds } = openHolds(dir)
  const id = left(holds, askedHold())
  holds.close()
  const file = path.join(dir, 'holds.ndjson')
  const text = readFileSync(file, 'utf8')
  writeFileSync(file, `${text}{"id":"torn`)
  const again = openHolds(dir)
  t.match(again.holds.show(id), { state: 'pending' })
  again.holds.close()
  writeFileSync(file, `${text}{"id":"x"}\n`)
  t.throws(() => openHolds(dir), /line 2 is not what was written/)
  t.end()
})

void t.test('where the disk takes nothing, nothing is let through', async (t) => {
  const { holds, problems } = openHolds(t.testdir())
  const { id, granted } = holds.join(askedHold(), waitingClient('call-1'))
  granted.catch(() => undefined)
  holds.close()
  t.match(
    refusalOf(() => holds.answer(id, 'approve', BOB, undefined)),
    'audit-unavailable',
  )
  t.match(holds.show(id), { state: 'pending' })
  t.match(
    refusalOf(() => left(holds, askedHold({ digest: OTHER }))),
    'audit-unavailable',
  )
  t.ok(problems.length >= 2)
  holds.drain()
})

/** Joins for a client that has left already. */
function left(holds: Holds, asked: AskedHold): string {
  const { id, granted } = holds.join(asked, {
    ...waitingClient('left'),
    onGone: (leave) => leave(),
  })
  granted.catch(() => undefined)
  return id
}

async function reasonOf(granted: Promise<unknown>): Promise<string> {
  try {
    await granted
    return 'granted'
  } catch (error) {
    return error instanceof EgressError ? error.reason : String(error)
  }
}

function refusalOf(act: () => unknown): string {
  try {
    act()
    return 'done'
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
