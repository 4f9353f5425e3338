// A task's own chain: numbered and linked beside the journal's, over failures, segments, crashes and restarts.

import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'

import t, { type Test } from 'tap'

import { CHAIN_START, chainOf, lineDigest, withPrev } from '../../../../src/record/journal/chain.ts'
import { callRecord, eventRecord } from '../../../../src/record/ecs.ts'
import { taskIdOf } from '../../../../src/record/line.ts'
import { TaskHeads } from '../../../../src/record/journal/task-heads.ts'
import type { Task } from '../../../../src/tasks/task.ts'
import { facts, freshDir, journalLines, openJournal, TASK, until } from '../support.ts'

const taskOf = (id: string): Task => ({ ...TASK, id, path: [id] })
const ONE = taskOf('t_one')
const TWO = taskOf('t_two')

const ofCall = (task: Task, id: string, action: 'call-started' | 'call-ended' = 'call-started') =>
  callRecord(facts({ id, task }), action, Date.now())
const ofTask = (task: Task, action = 'task-extended') =>
  eventRecord(action, { task, now: Date.now() })
const ofNone = () => eventRecord('rules-loaded', { now: Date.now() })

/** Follows every task's chain through the lines, and tells how many records each has. */
function followTasks(t: Test, dir: string): Map<string, number> {
  const heads = new Map<string, { seq: number; hash: string }>()
  for (const line of journalLines(dir)) {
    const bytes = Buffer.from(line)
    const place = chainOf(bytes)?.task
    const task: string | undefined = JSON.parse(line).sallyport.task?.id
    t.equal(taskIdOf(line), task, 'the id is read off the line')
    if (task === undefined) {
      t.equal(place, undefined)
      continue
    }
    const { seq, hash } = heads.get(task) ?? { seq: 0, hash: CHAIN_START }
    t.strictSame(place, { seq: seq + 1, prev: hash })
    heads.set(task, { seq: seq + 1, hash: lineDigest(bytes) })
  }
  return new Map([...heads].map(([task, { seq }]) => [task, seq]))
}

void t.test("R56: a record of a task stands in the task's own chain, others do not", async (t) => {
  const dir = freshDir(t)
  const journal = openJournal(dir)
  await Promise.all([
    journal.append(ofTask(ONE, 'task-created')),
    journal.append(ofNone()),
    journal.append(ofTask(TWO, 'task-created')),
    journal.append(ofCall(ONE, 'A')),
    journal.append(ofCall(TWO, 'B')),
  ])
  await journal.append(ofCall(ONE, 'A', 'call-ended'))
  await journal.append(ofCall(TWO, 'B', 'call-ended'))
  await journal.close()
  t.strictSame(
    followTasks(t, dir),
    new Map([
      ['t_one', 3],
      ['t_two', 3],
    ]),
  )
  const [first = ''] = journalLines(dir)
  t.match(JSON.parse(first).sallyport.chain, { seq: 1, task: { seq: 1, prev: CHAIN_START } })
  t.match(first, /\}\}\}\}$/, 'it is the very last member')
})

void t.test('R56: the chains of tasks go on over restarts, segments and crashes', async (t) => {
  const dir = freshDir(t)
  for (let start = 0; start < 4; start++) {
    const journal = openJournal(dir, { segmentBytes: 5000 })
    for (let call = 0; call < 8; call++) {
      await journal.append(ofCall(call % 3 === 0 ? TWO : ONE, `C${String(start)}${String(call)}`))
      if (start % 2 === 0) await journal.append(ofNone())
    }
    if (start < 2) await journal.close()
    // What a process leaves that is killed: everything but its lock is as it was.
    else rmSync(join(dir, 'lock'))
  }
  await openJournal(dir).close()
  const counts = followTasks(t, dir)
  // Every call is closed by the next start.
  t.strictSame(
    counts,
    new Map([
      ['t_two', 24],
      ['t_one', 40],
    ]),
  )
  // Without the note all of the journal is read, and comes to the same.
  rmSync(join(dir, 'open-calls.json'))
  const journal = openJournal(dir)
  await journal.append(ofTask(ONE))
  await journal.close()
  t.strictSame(
    followTasks(t, dir),
    new Map([
      ['t_two', 24],
      ['t_one', 41],
    ]),
  )
})

/** The kernel refuses to let this process's files grow beyond this. */
function limitFileBytes(bytes: number | 'unlimited'): boolean {
  const limit = `--fsize=${String(bytes)}:`
  return spawnSync('prlimit', ['--pid', String(process.pid), limit]).status === 0
}

// Node ignores this signal; the test runner does not, unless somebody else listens.
process.on('SIGXFSZ', () => undefined)

void t.test(
  'R56: a batch that fails leaves no mark in a chain',
  { skip: !limitFileBytes('unlimited') && 'no prlimit here' },
  async (t) => {
    const dir = freshDir(t)
    const journal = openJournal(dir)
    await journal.append(ofTask(ONE, 'task-created'))
    limitFileBytes(journal.stats.bytes + 900)
    const batch = [
      journal.append(ofCall(ONE, 'X')),
      journal.append(ofTask(TWO)),
      journal.append(ofNone()),
    ]
    t.match(
      await Promise.allSettled(batch),
      batch.map(() => ({ status: 'rejected' })),
    )
    await t.rejects(journal.append(ofCall(TWO, 'Y')))
    limitFileBytes('unlimited')
    await until(() => journal.stats.available, 'the journal can write again')
    await journal.append(ofTask(ONE))
    await journal.close()
    // The two starts were refused; what was owed is there.
    t.strictSame(
      followTasks(t, dir),
      new Map([
        ['t_one', 2],
        ['t_two', 1],
      ]),
    )
  },
)

void t.test(
  'I7: of sealed tasks those sealed first are forgotten, live ones and renewed ones stay',
  (t) => {
    const heads = new TaskHeads({ live: 3, sealed: 2 }, [])
    const add = (task: string, action = 'x'): number => {
      const { seq } = heads.next(task)
      heads.advance(`hash of ${task}`, action)
      heads.commit()
      return seq
    }
    for (const task of ['a', 'b', 'c', 'd']) {
      t.equal(add(task), 1)
      t.equal(add(task, 'task-sealed'), 2)
    }
    t.strictSame(
      [...heads].map(({ task, isSealed }) => [task, isSealed]),
      [
        ['c', true],
        ['d', true],
      ],
    )
    t.equal(add('c'), 3, 'what comes behind a seal goes on')
    t.equal(add('a'), 1, 'what was forgotten begins anew')
    t.equal(add('d', 'task-renewed'), 3)
    for (const task of ['e', 'f']) add(task, 'task-sealed')
    t.equal(add('d'), 4)
    t.strictSame(
      [...heads].map(({ task }) => task),
      ['e', 'f', 'a', 'd'],
    )
    heads.next('g')
    heads.advance('hash', 'x')
    heads.rollBack()
    t.equal(heads.next('g').seq, 1)
    t.equal(heads.next('d').seq, 5)
    heads.rollBack()
    for (const task of ['g', 'h']) add(task)
    t.strictSame(
      [...heads].map(({ task }) => task),
      ['e', 'f', 'd', 'g', 'h'],
    )
    t.end()
  },
)

void t.test('the place of a line is changed in one chain at a time', (t) => {
  const zeros = CHAIN_START
  const ones = '1'.repeat(64)
  const twos = '2'.repeat(64)
  const alone = Buffer.from(
    `{"sallyport":{"chain":{"seq":7,"prev":"${zeros}"}}}`.replace(
      '{"chain"',
      '{"schema":1,"chain"',
    ),
  )
  const both = Buffer.from(
    alone.toString().replace('"}}}', `","task":{"seq":3,"prev":"${ones}"}}}}`),
  )
  t.strictSame(chainOf(alone), { seq: 7, prev: zeros })
  t.strictSame(chainOf(withPrev(alone, twos, 'journal')), { seq: 7, prev: twos })
  t.strictSame(chainOf(withPrev(alone, twos, 'task')), { seq: 7, prev: zeros })
  const task = { seq: 3, prev: ones }
  t.strictSame(chainOf(both), { seq: 7, prev: zeros, task })
  t.strictSame(chainOf(withPrev(both, twos, 'journal')), { seq: 7, prev: twos, task })
  t.strictSame(chainOf(withPrev(both, twos, 'task')), {
    seq: 7,
    prev: zeros,
    task: { seq: 3, prev: twos },
  })
  t.equal(chainOf(Buffer.from('{}')), undefined)
  t.end()
})
