import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import t from 'tap'

import { Overrides } from '../../../src/tasks/overrides.ts'
import type { Task } from '../../../src/tasks/task.ts'

const TASK: Task = {
  id: 't_one',
  path: ['t_one'],
  intent: 'Triage',
  intentDigest: 'sha256:0',
  owner: { name: 'on-call', team: 'payments' },
  agent: { account: 'bot', instance: 'bot/1' },
  sandbox: { id: 'box' },
  rules: [],
  params: {},
  environment: 'test',
  ceiling: 'internal',
  sources: [],
  startsAt: 0,
  expiresAt: 1,
}

void t.test('R82: an override waits for somebody else, over restarts, and few are many', (t) => {
  const stateDir = mkdtempSync(path.join(tmpdir(), 'sallyport-overrides-'))
  t.teardown(() => rmSync(stateDir, { recursive: true, force: true }))
  const reviewed: unknown[] = []
  const open = (): Overrides =>
    new Overrides({
      stateDir,
      onReviewed: (detail) => reviewed.push(detail),
      onProblem: (error) => {
        throw error
      },
      now: Date.now,
    })
  const first = open()
  first.noteEvent('task-created', TASK, 'ann')
  t.equal(first.unreviewed, 0, 'it is none')
  first.noteEvent('task-extended', TASK, 'ann')
  first.noteEvent('task-extended', TASK, 'bob')
  first.noteEvent('task-widened', TASK, undefined)
  first.noteObserved(['set@1', 'set@2'])
  first.noteObserved(['set@2'])
  t.equal(first.unreviewed, 3)
  t.match(first.list(), [
    { kind: 'task-extended', about: 't_one', by: ['ann', 'bob'], count: 2, team: 'payments' },
    { kind: 'task-widened', by: [], count: 1 },
    { kind: 'observe', about: 'set@2' },
  ])
  first.close()

  const second = open()
  const [extended, widened, observing] = second.list()
  for (const name of ['ann', 'bob'])
    t.throws(() => second.review(extended!.id, { kind: 'principal', name }), /does not review/)
  for (const one of [extended, widened, observing])
    second.review(one!.id, { kind: 'principal', name: 'eve' })
  t.equal(second.unreviewed, 0)
  t.equal(reviewed.length, 3)
  t.throws(() => second.review('o_none', { kind: 'principal', name: 'eve' }), /no override/)
  second.close()

  const third = open()
  third.noteObserved(['set@2'])
  t.equal(third.unreviewed, 0, 'what was reviewed stays so as long as it is in force')
  third.noteObserved([])
  third.noteObserved(['set@2'])
  t.equal(third.unreviewed, 1, 'and is news when it comes back')
  for (let made = 0; made < 10_010; made += 1)
    third.noteEvent('task-extended', { ...TASK, id: `t_${made}` }, 'ann')
  t.equal(third.unreviewed, 10_011, 'none is left out of the number')
  t.equal(third.list().length, 10_000)
  third.close()
  t.end()
})
