// Proves that no more is granted than a limit says, whatever comes in between: other tasks below, clocks, crashes, a full disk.

import { copyFileSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import * as fc from 'fast-check'
import t from 'tap'

import { EgressError } from '../../../src/errors.ts'
import type { Asked } from '../../../src/ledger/quotas.ts'
import type { Quota } from '../../../src/policy/decision.ts'
import type { CallLimits, TaskLimits } from '../../../src/tasks/task.ts'
import { askFor, openQuotas, SteppedClock, type Held } from './quota-support.ts'

const FILE = 'quotas.ndjson'
const MINUTE_MS = 60_000

/** What a call is refused with; undefined: it was let go. */
function refusalOf(take: () => unknown): EgressError | undefined {
  try {
    take()
    return undefined
  } catch (error) {
    if (error instanceof EgressError) return error
    throw error
  }
}

/** How many of so many calls are granted. */
function grant({ quotas }: Held, asked: Asked, count: number): number {
  let granted = 0
  for (let at = 0; at < count; at += 1)
    if (refusalOf(() => quotas.take(asked)?.close(true)) === undefined) granted += 1
  return granted
}

function quota(limits: Quota['limits'], id = 'one', ancestor?: number): Quota {
  return {
    rule: { ruleset: 'set', id, version: 'sha256:0' },
    limits,
    ...(ancestor !== undefined && { ancestor }),
  }
}

void t.test('what counts against no limit takes nothing', (t) => {
  const held = openQuotas(t.testdir(), new SteppedClock())
  t.equal(held.quotas.take(askFor(undefined)), undefined)
  held.quotas.close()
  t.end()
})

void t.test('R33: a minute has as many calls as it may, and the next has its own', (t) => {
  const clock = new SteppedClock()
  const held = openQuotas(t.testdir(), clock)
  const asked = askFor({ callsPerMinute: 3 })
  t.equal(grant(held, asked, 5), 3)
  const refusal = refusalOf(() => held.quotas.take(asked))
  t.match(refusal, { reason: 'quota-exceeded', detail: { limit: 'callsPerMinute', of: 'task' } })
  t.notOk('refusedFor' in (refusal?.detail ?? {}))
  const { wait } = refusal ?? {}
  if (typeof wait !== 'number') throw new Error('expected seconds')
  clock.pass(wait * 1000 - 1000)
  t.equal(grant(held, asked, 1), 0, 'just before')
  clock.pass(1000)
  t.equal(grant(held, asked, 5), 3, 'after as long as it was told to wait')
  t.strictSame(held.refused.slice(0, 2), ['callsPerMinute', 'callsPerMinute'])
  held.quotas.close()
  t.end()
})

void t.test('R33: hours and days are counted as minutes are', (t) => {
  for (const [limits, windowMs] of [
    [{ callsPerHour: 2 }, 60 * MINUTE_MS],
    [{ callsPerDay: 2 }, 24 * 60 * MINUTE_MS],
  ] as const) {
    const clock = new SteppedClock()
    const held = openQuotas(t.testdir(), clock)
    t.equal(grant(held, askFor(limits), 3), 2)
    clock.pass(windowMs - 1000)
    t.equal(grant(held, askFor(limits), 3), 0)
    clock.pass(windowMs / 2)
    t.equal(grant(held, askFor(limits), 3), 2)
    held.quotas.close()
  }
  t.end()
})

void t.test('R33: calls in all come back never, and it says so', (t) => {
  const clock = new SteppedClock()
  const held = openQuotas(t.testdir(), clock)
  const asked = askFor({ calls: 2 })
  t.equal(grant(held, asked, 4), 2)
  clock.pass(400 * 24 * 60 * MINUTE_MS)
  t.match(
    refusalOf(() => held.quotas.take(asked)),
    { wait: 'never', detail: { limit: 'calls' } },
  )
  held.quotas.close()
  t.end()
})

void t.test('R33: as many are under way as may be; each is over once', (t) => {
  const held = openQuotas(t.testdir(), new SteppedClock())
  const asked = askFor({ concurrentCalls: 2 })
  const first = held.quotas.take(asked)
  const second = held.quotas.take(asked)
  t.match(
    refusalOf(() => held.quotas.take(asked)),
    { wait: 1, detail: { limit: 'concurrentCalls' } },
  )
  first?.close(true)
  first?.close(true)
  const third = held.quotas.take(asked)
  t.ok(third)
  t.ok(
    refusalOf(() => held.quotas.take(asked)),
    'twice over is once',
  )
  second?.close(false)
  third?.close(true)
  t.equal(grant(held, asked, 3), 3)
  held.quotas.close()
  t.end()
})

void t.test('what is refused, and what did not leave, takes nothing of any limit', (t) => {
  const held = openQuotas(t.testdir(), new SteppedClock())
  const limits = { calls: 5, callsPerMinute: 5, callsPerHour: 2, bytesOut: 1000 }
  t.equal(grant(held, askFor(limits), 5), 2)
  t.strictSame(
    held.quotas.useOf('t_1', limits).map(({ name, used }) => [name, used]),
    [
      ['callsPerMinute', 2],
      ['callsPerHour', 2],
      ['calls', 2],
      ['bytesOut', 0],
    ],
  )
  const other = openQuotas(t.testdir(), new SteppedClock())
  const head = { method: 'GET', path: { raw: '/' }, query: undefined, headers: ['Host', 'a'] }
  other.quotas.take(askFor(limits, { head }))?.close(false)
  t.ok(
    other.quotas.useOf('t_1', limits).every(({ used }) => used === 0),
    'given back',
  )
  other.quotas.take(askFor(limits, { head }))?.close(true)
  t.match(other.quotas.useOf('t_1', limits).at(-1), { name: 'bytesOut', used: 13, max: 1000 })
  held.quotas.close()
  other.quotas.close()
  t.end()
})

void t.test('R33: bytes are taken before they leave, no more than there are', (t) => {
  const held = openQuotas(t.testdir(), new SteppedClock())
  const limits = { bytesOut: 100, bytesIn: 50 }
  const charge = held.quotas.take(askFor(limits))
  t.ok(charge?.countsOut)
  t.ok(charge?.countsIn)
  charge?.takeOut(60)
  t.match(
    refusalOf(() => charge?.takeOut(41)),
    { wait: 'never', detail: { limit: 'bytesOut' } },
  )
  charge?.takeOut(40)
  t.ok(refusalOf(() => charge?.takeOut(1)))
  charge?.checkIn(50)
  t.ok(refusalOf(() => charge?.checkIn(51)))
  charge?.takeIn(50)
  t.match(
    refusalOf(() => charge?.takeIn(1)),
    { detail: { limit: 'bytesIn' } },
  )
  charge?.close(true)
  t.match(
    refusalOf(() => held.quotas.take(askFor(limits))),
    { detail: { limit: 'bytesIn' } },
    'nothing may come back any more',
  )
  held.quotas.close()
  t.end()
})

void t.test('a body that is known to be too long is refused before it begins', (t) => {
  const held = openQuotas(t.testdir(), new SteppedClock())
  const limits = { bytesOut: 100 }
  t.ok(refusalOf(() => held.quotas.take(askFor(limits, { bodyBytes: 101 }))))
  const charge = held.quotas.take(askFor(limits, { bodyBytes: 100 }))
  t.match(held.quotas.useOf('t_1', limits), [{ used: 0 }])
  charge?.takeOut(100)
  t.match(held.quotas.useOf('t_1', limits), [{ used: 100 }])
  held.quotas.close()
  t.end()
})

void t.test("R33: a rule's limit is its own, of each task that uses it", (t) => {
  const held = openQuotas(t.testdir(), new SteppedClock())
  const asked = askFor(undefined, { quotas: [quota({ calls: 2 }), quota({ calls: 9 }, 'two')] })
  t.equal(grant(held, asked, 3), 2)
  t.match(
    refusalOf(() => held.quotas.take(asked)),
    { detail: { limit: 'calls', of: 'rule', rule: 'set/one' } },
  )
  t.equal(grant(held, { ...asked, quotas: [quota({ calls: 9 }, 'two')] }, 20), 7, 'and took two')
  t.equal(grant(held, { ...asked, task: { id: 't_2', path: ['t_2'] } }, 3), 2)
  held.quotas.close()
  t.end()
})

void t.test('R33: by tool, each has its own; their number has an end', (t) => {
  const clock = new SteppedClock()
  const held = openQuotas(t.testdir(), clock, {}, { limits: { quotaCountersPerTaskMax: 3 } })
  const quotas = [quota({ callsPerMinute: 2, perTool: true })]
  const call = (tool: string): Asked => askFor(undefined, { quotas, units: [{ quotas, tool }] })
  t.equal(grant(held, call('a'), 3), 2)
  t.equal(grant(held, call('b'), 3), 2)
  t.equal(grant(held, call('c'), 3), 2)
  t.match(
    refusalOf(() => held.quotas.take(call('d'))),
    { reason: 'quota-exceeded', detail: { limit: 'counters' } },
  )
  clock.pass(2 * MINUTE_MS)
  t.equal(grant(held, call('d'), 3), 2, 'counters that count nothing make room')
  held.quotas.close()
  t.end()
})

void t.test('R33: room is not made of what the call itself counts against', (t) => {
  const clock = new SteppedClock()
  const held = openQuotas(t.testdir(), clock, {}, { limits: { quotaCountersPerTaskMax: 3 } })
  const quotas = [quota({ callsPerMinute: 1, perTool: true })]
  const call = (...tools: string[]): Asked =>
    askFor(undefined, { quotas, units: tools.map((tool) => ({ quotas, tool })) })
  for (const tool of ['a', 'b', 'c']) t.equal(grant(held, call(tool), 2), 1)
  clock.pass(2 * MINUTE_MS)
  t.equal(grant(held, call('a', 'd'), 2), 1)
  t.equal(grant(held, call('a'), 2), 0, 'its call of just now counts')
  held.quotas.close()
  t.end()
})

void t.test("R33: a task's tools are counted together by pattern", (t) => {
  const held = openQuotas(t.testdir(), new SteppedClock())
  const limits: TaskLimits = { tools: { 'delete_*': { calls: 2 }, delete_all: { calls: 1 } } }
  const call = (...tools: string[]): Asked =>
    askFor(limits, { units: tools.map((tool) => ({ quotas: undefined, tool })) })
  t.equal(grant(held, call('delete_all'), 2), 1)
  t.equal(grant(held, call('delete_one'), 2), 1)
  t.equal(grant(held, call('read'), 50), 50)
  t.match(
    refusalOf(() => held.quotas.take(call('delete_two'))),
    { detail: { limit: 'calls', of: 'tool' } },
  )
  t.strictSame(held.quotas.useOf('t_1', limits), [
    { name: 'calls', tool: 'delete_*', max: 2, used: 2 },
    { name: 'calls', tool: 'delete_all', max: 1, used: 1 },
  ])
  held.quotas.close()
  t.end()
})

void t.test('R33: a batch takes as many as it has messages, or none', (t) => {
  const held = openQuotas(t.testdir(), new SteppedClock())
  const quotas = [quota({ calls: 5 }), quota({ calls: 5 })]
  const batch = (count: number): Asked =>
    askFor({ calls: 100 }, { quotas, units: Array.from({ length: count }, () => ({ quotas })) })
  t.equal(grant(held, batch(3), 1), 1)
  t.equal(grant(held, batch(3), 1), 0)
  t.equal(grant(held, batch(2), 1), 1)
  t.match(held.quotas.useOf('t_1', { calls: 100 }), [{ used: 5 }])
  t.match(
    refusalOf(() => held.quotas.take(askFor({ callsPerMinute: 2 }, { units: batch(3).units }))),
    { wait: 'never' },
    'more than a minute ever has',
  )
  held.quotas.close()
  t.end()
})

void t.test('R33, R69: all below a task together do no more than it may', (t) => {
  const parent: TaskLimits = { calls: 5 }
  const held = openQuotas(t.testdir(), new SteppedClock(), { t_1: parent })
  const child = (id: string): Asked => askFor(undefined, { task: { id, path: ['t_1', id] } })
  t.equal(grant(held, child('t_2'), 3), 3)
  t.equal(grant(held, child('t_3'), 3), 2)
  t.match(
    refusalOf(() => held.quotas.take(child('t_3'))),
    { detail: { limit: 'calls', of: 'task', refusedFor: 't_1' } },
  )
  t.equal(grant(held, askFor(parent), 1), 0)
  const inherited = (id: string): Asked => ({
    ...child(id),
    task: { id, path: ['t_9', id] },
    quotas: [quota({ calls: 2 }), quota({ calls: 3 }, 'one', 1)],
  })
  t.equal(grant(held, inherited('t_4'), 5), 2)
  t.equal(grant(held, inherited('t_5'), 5), 1)
  held.quotas.close()
  t.end()
})

void t.test('a task that has ended gets nothing more, and begins anew where it is renewed', (t) => {
  const dir = t.testdir()
  const clock = new SteppedClock()
  const held = openQuotas(dir, clock)
  const asked = askFor({ calls: 2, bytesOut: 100 })
  const charge = held.quotas.take(asked)
  t.equal(held.quotas.forget('t_1'), 1)
  t.equal(held.quotas.forget('t_1'), 0)
  t.match(
    refusalOf(() => charge?.takeOut(1)),
    { reason: 'task-ended' },
  )
  held.quotas.close()
  const again = openQuotas(dir, clock)
  t.equal(grant(again, asked, 3), 2)
  again.quotas.close()
  t.end()
})

void t.test('R33: no step of the wall clock refills anything', (t) => {
  const clock = new SteppedClock()
  const held = openQuotas(t.testdir(), clock)
  const asked = askFor({ callsPerMinute: 2 })
  t.equal(grant(held, asked, 3), 2)
  clock.wall += 10 * MINUTE_MS
  t.equal(grant(held, asked, 3), 0)
  clock.wall -= 100 * MINUTE_MS
  clock.elapsed += 62_000
  t.equal(grant(held, asked, 3), 2)
  held.quotas.close()
  t.end()
})

void t.test('a restart keeps exactly what was used, and ends what was under way', (t) => {
  const dir = t.testdir()
  const clock = new SteppedClock()
  const limits = { calls: 1000, callsPerMinute: 500, bytesOut: 10_000_000, concurrentCalls: 1 }
  const first = openQuotas(dir, clock)
  first.quotas.take(askFor(limits))?.takeOut(1234)
  first.quotas.close()
  const second = openQuotas(dir, clock)
  t.strictSame(
    second.quotas.useOf('t_1', limits).map(({ name, used }) => [name, used]),
    [
      ['callsPerMinute', 1],
      ['concurrentCalls', 0],
      ['calls', 1],
      ['bytesOut', 1234],
    ],
  )
  t.equal(grant(second, askFor(limits), 1), 1)
  second.quotas.close()
  t.end()
})

void t.test('a crash gives nothing back, and takes no more than a step', (t) => {
  const dir = t.testdir()
  const clock = new SteppedClock()
  const limits = { calls: 6400, callsPerMinute: 3200, bytesOut: 6_400_000 }
  const first = openQuotas(dir, clock)
  for (let at = 0; at < 150; at += 1) first.quotas.take(askFor(limits))?.takeOut(1000)
  const second = openQuotas(dir, clock)
  const [minute, calls, bytes] = second.quotas.useOf('t_1', limits).map(({ used }) => used)
  t.ok(minute! >= 150 && minute! <= 250, `${minute}`)
  t.ok(calls! >= 150 && calls! <= 250, `${calls}`)
  t.ok(bytes! >= 150_000 && bytes! <= 250_000, `${bytes}`)
  second.quotas.close()
  first.quotas.close()
  t.end()
})

void t.test('few calls wait for a write', (t) => {
  const dir = t.testdir()
  const held = openQuotas(dir, new SteppedClock())
  const asked = askFor({ calls: 10_000, callsPerMinute: 10_000, bytesOut: 2 ** 30 })
  for (let at = 0; at < 10_000; at += 1) held.quotas.take(asked)?.takeOut(50_000)
  const lines = readFileSync(path.join(dir, FILE), 'utf8').split('\n').length
  t.ok(lines < 200, `${lines} lines`)
  held.quotas.close()
  t.end()
})

void t.test('what cannot be written down is refused, and taken from nothing', (t) => {
  const dir = t.testdir()
  const held = openQuotas(dir, new SteppedClock())
  const asked = askFor({ calls: 3 })
  t.equal(grant(held, asked, 1), 1)
  held.quotas.close()
  t.match(
    refusalOf(() => held.quotas.take(asked)),
    { reason: 'audit-unavailable', detail: { part: 'quotas' } },
  )
  t.equal(held.problems.length, 1)
  t.match(held.quotas.useOf('t_1', { calls: 3 }), [{ used: 1 }])
  t.end()
})

void t.test('a file that is not what was written is not believed', (t) => {
  for (const line of [
    '{"id":"t_1 task","totals":{"calls":-5}}',
    '{"id":"t_1"}',
    '[]',
    '{"id":"t_1 task","windows":{"callsPerMinute":{"buckets":[1],"ahead":1}}}',
  ]) {
    const dir = t.testdir()
    writeFileSync(path.join(dir, FILE), `${line}\n`)
    t.throws(() => openQuotas(dir, new SteppedClock()), /line 1 is not what was written/)
  }
  t.end()
})

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('call' as const),
      count: fc.integer({ min: 1, max: 4 }),
      bytes: fc.nat({ max: 40 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.nat({ max: 45_000 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('crash' as const), torn: fc.nat({ max: 400 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('stop' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('step' as const),
      ms: fc.integer({ min: -100_000, max: 100_000 }),
    }),
  },
)

void t.test(
  'R33: under no interleaving of calls, clocks and crashes is more granted than the limit',
  (t) => {
    const limitsOf: fc.Arbitrary<CallLimits> = fc.record({
      callsPerMinute: fc.integer({ min: 1, max: 200 }),
      calls: fc.integer({ min: 1, max: 300 }),
      bytesOut: fc.integer({ min: 1, max: 2000 }),
    })
    let refused = 0
    let granted = 0
    fc.assert(
      fc.property(
        limitsOf,
        limitsOf,
        fc.array(step, { minLength: 20, maxLength: 80 }),
        (limits, above, steps) => {
          let dir = t.testdir()
          const clock = new SteppedClock()
          let held = openQuotas(dir, clock, { t_0: above })
          const calls: { at: number; count: number; bytes: number }[] = []
          for (const one of steps) {
            if (one.kind === 'pass') clock.pass(one.ms)
            if (one.kind === 'step') clock.wall += Math.max(0, one.ms)
            if (one.kind === 'stop' || one.kind === 'crash') {
              if (one.kind === 'crash') dir = tear(dir, held, limits, one.torn)
              else held.quotas.close()
              // By the tasks' clock, which never goes back: what the wall clock jumped while it ran is not part of this promise.
              clock.wall = 1_800_000_000_000 + clock.elapsed
              held = openQuotas(dir, clock, { t_0: above })
              // Its time goes on from the first that it is asked.
              held.quotas.useOf('t_1', limits)
            }
            if (one.kind !== 'call') continue
            const asked = askFor(limits, {
              task: { id: 't_1', path: ['t_0', 't_1'], limits },
              units: Array.from({ length: one.count }, () => ({ quotas: undefined })),
            })
            const refusal = refusalOf(() => {
              const charge = held.quotas.take(asked)
              calls.push({ at: clock.elapsed, count: one.count, bytes: 0 })
              charge?.takeOut(one.bytes)
              calls.at(-1)!.bytes = one.bytes
            })
            if (refusal) refused += 1
            else granted += 1
            const minute = calls.filter(({ at }) => at > clock.elapsed - MINUTE_MS)
            const sum = (of: typeof calls, what: 'count' | 'bytes'): number =>
              of.reduce((total, call) => total + call[what], 0)
            for (const most of [limits, above]) {
              if (sum(minute, 'count') > most.callsPerMinute!) return false
              if (sum(calls, 'count') > most.calls!) return false
              if (sum(calls, 'bytes') > most.bytesOut!) return false
            }
          }
          return true
        },
      ),
      { numRuns: 200 },
    )
    t.ok(refused > 100 && granted > 300, `${granted} granted, ${refused} refused`)
    t.end()
  },
)

// The process dies within a write: what it was for has not been granted.
function tear(dir: string, held: Held, limits: CallLimits, torn: number): string {
  const file = path.join(dir, FILE)
  const before = readFileSync(file).length
  const task = { id: 't_1', path: ['t_0', 't_1'], limits }
  refusalOf(() => held.quotas.take(askFor(limits, { task }))?.takeOut(20))
  const after = readFileSync(file).length
  const left = path.join(dir, 'left')
  mkdirSync(left)
  copyFileSync(file, path.join(left, FILE))
  truncateSync(path.join(left, FILE), Math.max(before, after - torn))
  held.quotas.close()
  return left
}
