// Proves that a tree of tasks never forgets the highest class that any of its tasks has read, that whatever is open to a
// destination below it is cut, and that only a reset takes the mark back.

import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import * as fc from 'fast-check'
import t from 'tap'

import { Call, type Decided } from '../../../src/call.ts'
import { EgressError, type Reason } from '../../../src/errors.ts'
import { FlowMarks, type FlowChange } from '../../../src/ledger/flow-marks.ts'
import { DEFAULT_LIMITS } from '../../../src/limits.ts'
import { OpenCalls } from '../../../src/listen/open-calls.ts'
import type { Policy } from '../../../src/policy/compile.ts'
import type { Obligations } from '../../../src/policy/decision.ts'
import { isAbove } from '../../../src/policy/facts.ts'
import { DATA_CLASSES, type DataClass, type Task } from '../../../src/tasks/task.ts'
import { TASK } from '../record/support.ts'

const FILE = 'flow-marks.ndjson'
const ROOT: Task = { ...TASK, id: 't_root', path: ['t_root'] }
const CHILD: Task = { ...TASK, id: 't_child', path: ['t_root', 't_child'] }
const OTHER: Task = { ...TASK, id: 't_other', path: ['t_other'] }

function openMarks(dir: string) {
  const calls = new OpenCalls({
    limits: DEFAULT_LIMITS,
    now: Date.now,
    onProgress: () => undefined,
    onTimed: () => undefined,
  })
  const raised: FlowChange[] = []
  const marks = new FlowMarks({
    dir,
    cut: (matches, reason) => calls.cutWhere(matches, reason),
    onRaised: (_call, change) => raised.push(change),
  })
  let count = 0
  const open = (
    task: Task,
    terms: Partial<Pick<Obligations, 'data' | 'accepts'>> = {},
    tunnelMode?: Call['tunnelMode'],
  ): Call & Decided => {
    count += 1
    const call: Call = new Call({ id: `C${count}`, kind: 'forward', startedAt: 0, client: {} })
    calls.add(call)
    if (tunnelMode) call.tunnelMode = tunnelMode
    call.identify({
      task,
      policies: [NO_POLICY],
      standing: { task, state: 'active' },
      moment: () => ({ now: 0, read: 'public' }),
    })
    call.decide(
      {
        verdict: 'allow',
        reason: 'allowed',
        obligations: { clientAuth: 'drop', placeholderInBody: 'pass', ...terms },
        addresses: { allowed: [], denied: [] },
        policy: 'sha256:0',
      },
      'D',
      0,
    )
    return call
  }
  const close = (): void => {
    calls.close()
    marks.close()
  }
  return { marks, calls, raised, open, close }
}

const NO_POLICY: Policy = JSON.parse('{}')

/** Whether something is refused, and for nothing else. */
function isRefused(act: () => unknown, reason: Reason = 'flow-violation'): boolean {
  try {
    act()
    return false
  } catch (error) {
    if (error instanceof EgressError && error.reason === reason) return true
    throw error
  }
}

void t.test('R32: what a tree has read is no more than what its calls may be sent to', (t) => {
  const { marks, open, raised, close } = openMarks(t.testdir())
  t.equal(marks.read(ROOT), 'public')
  const upload = open(ROOT)
  t.doesNotThrow(() => marks.checkSend(upload), 'the reverse order passes')
  marks.letGo(upload)
  marks.noteRead(open(ROOT, { data: 'restricted' }))
  t.equal(marks.read(ROOT), 'restricted')
  t.equal(marks.read(CHILD), 'restricted', 'its children too')
  t.equal(marks.read(OTHER), 'public', 'another tree did not read it')
  t.ok(isRefused(() => marks.checkSend(open(ROOT))))
  t.ok(isRefused(() => marks.checkSend(open(CHILD, { accepts: 'confidential' }))))
  t.doesNotThrow(() => marks.checkSend(open(CHILD, { accepts: 'restricted' })))
  t.doesNotThrow(() => marks.checkSend(open(OTHER)))
  marks.noteRead(open(ROOT, { data: 'confidential', accepts: 'restricted' }))
  marks.noteRead(open(ROOT, { accepts: 'restricted' }))
  t.equal(marks.read(ROOT), 'restricted', 'it never goes down by reading')
  t.match(raised, [{ root: 't_root', before: 'public', after: 'restricted' }], 'told once')
  close()
  t.end()
})

void t.test('what a child reads its parent has read', (t) => {
  const { marks, open, close } = openMarks(t.testdir())
  marks.noteRead(open(CHILD, { data: 'internal' }))
  t.ok(isRefused(() => marks.checkSend(open(ROOT))))
  close()
  t.end()
})

void t.test('a higher mark cuts what is open to a destination below it, in the whole tree', (t) => {
  const { marks, open, raised, close } = openMarks(t.testdir())
  const [own, childs] = [open(ROOT), open(CHILD, { accepts: 'confidential' })]
  const [other, wide] = [open(OTHER), open(CHILD, { accepts: 'restricted' })]
  const inspected = open(ROOT, {}, 'inspect')
  const source = open(ROOT, { data: 'restricted' })
  marks.noteRead(source)
  t.equal(own.cutReason, 'flow-violation')
  t.equal(childs.cutReason, 'flow-violation')
  t.equal(other.cutReason, undefined, 'another tree goes on')
  t.equal(wide.cutReason, undefined, 'so does what accepts it')
  t.equal(inspected.cutReason, undefined, 'and a tunnel whose calls are judged one by one')
  t.equal(source.cutReason, undefined, 'and the call by which it came')
  t.match(raised, [{ cut: 2 }])
  close()
  t.end()
})

void t.test('where data came from does not get what comes from elsewhere', (t) => {
  const { marks, open, close } = openMarks(t.testdir())
  const socket = open(ROOT, { data: 'restricted' })
  marks.noteRead(socket)
  const less = open(ROOT, { data: 'confidential', accepts: 'restricted' })
  marks.noteRead(less)
  t.equal(socket.cutReason, 'flow-violation', 'also where the mark is not raised by it')
  const again = openMarks(t.testdir())
  const closed = again.open(ROOT, { data: 'restricted' })
  again.marks.noteRead(closed)
  again.marks.letGo(closed)
  again.marks.noteRead(again.open(ROOT, { data: 'restricted', accepts: 'restricted' }))
  t.equal(closed.cutReason, undefined, 'one that is over is not looked for')
  again.close()
  close()
  t.end()
})

void t.test('a reset takes the mark back and cuts what is being read', (t) => {
  const dir = t.testdir()
  const { marks, calls, open, close } = openMarks(dir)
  const stream = open(CHILD, { data: 'restricted' })
  marks.noteRead(stream)
  const [plain, other] = [open(ROOT, { accepts: 'restricted' }), open(OTHER, { data: 'internal' })]
  t.match(marks.reset('t_root'), { before: 'restricted', after: 'public', cut: 1 })
  t.equal(stream.cutReason, 'flow-violation')
  t.equal(plain.cutReason, undefined)
  t.equal(other.cutReason, undefined)
  t.doesNotThrow(() => marks.checkSend(open(ROOT)))
  calls.delete(stream)
  t.match(marks.reset('t_root'), { before: 'public', cut: 0 }, 'nothing is left to reset')
  close()
  const again = openMarks(dir)
  t.equal(again.marks.read(ROOT), 'public', 'after a restart as well')
  again.close()
  t.end()
})

void t.test('what cannot be written is not delivered, and what is damaged stops the start', (t) => {
  const dir = t.testdir()
  const { marks, open, close } = openMarks(dir)
  marks.noteRead(open(ROOT, { data: 'internal' }))
  close()
  const upload = open(ROOT, { accepts: 'internal' })
  const read = (): void => marks.noteRead(open(ROOT, { data: 'restricted' }))
  t.ok(isRefused(read, 'audit-unavailable'))
  t.equal(upload.cutReason, undefined)
  t.throws(() => marks.reset('t_root'))
  t.equal(marks.read(ROOT), 'internal', 'a reset that is not on the disk is none')
  const file = path.join(dir, FILE)
  appendFileSync(file, '{"id":"t_root","re')
  const torn = openMarks(dir)
  t.equal(torn.marks.read(ROOT), 'internal', 'a line that was half written is cut off')
  torn.close()
  for (const line of ['{"id":"t_root","read":"secret"}', '{"id":7,"read":"public"}', 'null', 'x']) {
    writeFileSync(file, `${line}\n`)
    t.throws(() => openMarks(dir), /line 1 is not what was written/)
  }
  rmSync(file)
  t.end()
})

void t.test('a tree is forgotten with its root task', (t) => {
  const dir = t.testdir()
  const { marks, open, close } = openMarks(dir)
  marks.noteRead(open(ROOT, { data: 'restricted' }))
  marks.noteRead(open(OTHER, { data: 'restricted' }))
  marks.forget('t_other')
  t.equal(marks.size, 1)
  close()
  const again = openMarks(dir)
  again.marks.forgetUnless((root) => root === 't_root')
  t.equal(again.marks.read(OTHER), 'public')
  t.equal(again.marks.read(ROOT), 'restricted')
  again.close()
  t.ok(readFileSync(path.join(dir, FILE), 'utf8').endsWith('\n'))
  t.end()
})

void t.test('whatever happens in whatever order, the mark is the highest that was read', (t) => {
  const tasks = [ROOT, CHILD, OTHER]
  const data = fc.constantFrom(...DATA_CLASSES)
  const task = fc.nat({ max: tasks.length - 1 })
  const kinds = ['read', 'read', 'send', 'send', 'reset', 'restart'] as const
  const step = fc.record({ kind: fc.constantFrom(...kinds), task, data })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const dir = t.testdir()
      let opened = openMarks(dir)
      const model = new Map<string, DataClass>()
      const markOf = ({ path: [root = ''] }: Task): DataClass => model.get(root) ?? 'public'
      for (const one of steps) {
        if (one.kind === 'reset') {
          opened.marks.reset('t_root')
          model.delete('t_root')
        } else if (one.kind === 'restart') {
          opened.close()
          opened = openMarks(dir)
        } else {
          const by = tasks[one.task] ?? ROOT
          if (one.kind === 'read') {
            opened.marks.noteRead(opened.open(by, { data: one.data, accepts: 'restricted' }))
            if (isAbove(one.data, markOf(by))) model.set(by.path[0] ?? '', one.data)
          } else {
            const sent = opened.open(by, { accepts: one.data })
            const isDenied = isRefused(() => opened.marks.checkSend(sent))
            if (isDenied !== isAbove(markOf(by), one.data)) return false
          }
        }
        if (tasks.some((each) => opened.marks.read(each) !== markOf(each))) return false
      }
      opened.close()
      return true
    }),
    { numRuns: 60 },
  )
  t.end()
})
