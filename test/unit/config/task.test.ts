// Proves the id of a static task: it comes from its definition and nothing else.

import t from 'tap'

import type { TaskDefinition } from '../../../src/config/config.ts'
import { buildStaticTask } from '../../../src/config/task.ts'

const DEFINITION: TaskDefinition = {
  intent: 'Triage issues.',
  owner: { name: 'on-call', team: 'payments' },
  agent: { account: 'bot', instance: 'bot/1' },
  sandbox: { id: 'c0ffee' },
  rules: ['github'],
  params: { a: '1', b: '2' },
  environment: 'prod',
  ceiling: 'confidential',
  sources: [],
  lifetimeMs: 1_800_000,
}

void t.test('a task has an id, a path, a digest of its intent, a start and an end', (t) => {
  const task = buildStaticTask(DEFINITION, 1000)
  t.match(task.id, /^t_[0-9a-hjkmnp-tv-z]{26}$/)
  t.strictSame(task.path, [task.id])
  t.match(task.intentDigest, /^sha256:[0-9a-f]{64}$/)
  t.equal(task.startsAt, 1000)
  t.equal(task.expiresAt, 1_801_000)
  t.notOk('lifetimeMs' in task)
  t.end()
})

void t.test(
  'the same definition is the same task, whenever it starts and however it is ordered',
  (t) => {
    const { id } = buildStaticTask(DEFINITION, 1000)
    t.equal(buildStaticTask(DEFINITION, 2000).id, id)
    const { intent, owner, ...rest } = DEFINITION
    t.equal(buildStaticTask({ ...rest, owner, params: { b: '2', a: '1' }, intent }, 1000).id, id)
    t.end()
  },
)

void t.test('any change makes another task', (t) => {
  const { id } = buildStaticTask(DEFINITION, 1000)
  const changes: Partial<TaskDefinition>[] = [
    { intent: 'Other.' },
    { rules: ['github', 'npm'] },
    { params: { a: '1', b: '3' } },
    { lifetimeMs: 1 },
    { sandbox: { id: 'c0ffee', image: 'sha256:1' } },
  ]
  for (const change of changes)
    t.not(buildStaticTask({ ...DEFINITION, ...change }, 1000).id, id, JSON.stringify(change))
  t.end()
})
