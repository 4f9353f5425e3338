// Tasks that begin later: by the clock that cannot be turned back, over a restart, together with evidence and with owners
// who are disabled.

import t from 'tap'

import { ControlError } from '../../../src/tasks/control-error.ts'
import { adoptStatic } from '../../../src/tasks/adopt.ts'
import { buildStaticTask } from '../../../src/config/task.ts'
import { taskDefinitionSchema } from '../../../src/tasks/schema.ts'
import { ALICE, definition, openRoom, roomFor, type Room } from '../../fixtures/task-desk.ts'

const START = Date.parse('2026-01-01T00:00:00Z')
const HOUR_MS = 3_600_000
const later = (changes: Record<string, unknown> = {}): ReturnType<typeof definition> =>
  definition({ notBefore: '2026-01-01T02:00:00+01:00', expires: '30m', ...changes })

function pass(room: Room, ms: number): void {
  room.time.wall += ms
  room.time.monotonic += ms
}

function faultOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (error instanceof ControlError) return `${error.reason} ${error.field ?? ''}`
    throw error
  }
  return 'none'
}

void t.test(
  'R11: a task lets nothing out a millisecond before it begins, and does from then on',
  (t) => {
    const room = roomFor(t)
    const { id } = room.desk.create(later(), ALICE, undefined).task
    const entry = room.registry.entries.get(id)!
    t.match(room.desk.show(id), {
      state: 'pending',
      cause: 'not-before',
      createdAt: '2026-01-01T00:00:00.000Z',
      notBefore: '2026-01-01T01:00:00.000Z',
      expiresAt: '2026-01-01T01:30:00.000Z',
    })
    pass(room, HOUR_MS - 1)
    t.equal(entry.state, 'pending')
    pass(room, 1)
    t.equal(entry.state, 'active')
    t.match(room.events.at(-1), { action: 'task-activated', detail: { cause: 'begun' } })
    pass(room, HOUR_MS / 2 - 1)
    t.equal(entry.state, 'active', 'its life is counted from its beginning')
    pass(room, 1)
    t.equal(entry.state, 'revoking')
    t.end()
  },
)

void t.test(
  'a clock that is turned back takes no beginning back, and one that is set early begins nothing',
  (t) => {
    const room = roomFor(t)
    const early = room.registry.entries.get(room.desk.create(later(), ALICE, undefined).task.id)!
    room.time.wall -= HOUR_MS
    room.time.monotonic += HOUR_MS - 1
    t.equal(early.state, 'pending', 'time goes on where the wall clock was turned back')
    room.time.monotonic += 1
    t.equal(early.state, 'active')
    room.time.wall -= 24 * HOUR_MS
    t.equal(early.state, 'active')
    t.end()
  },
)

void t.test('what waits to begin goes on waiting after a restart', (t) => {
  const directory = t.testdir({})
  const time = { wall: START, monotonic: 0 }
  const first = openRoom({ directory, time })
  const { id } = first.desk.create(later(), ALICE, undefined).task
  first.close()
  time.wall += HOUR_MS - 1
  const second = openRoom({ directory, time })
  t.equal(second.registry.entries.get(id)?.state, 'pending')
  second.close()
  time.wall += 1
  const third = openRoom({ directory, time })
  t.teardown(() => third.close())
  t.equal(third.registry.entries.get(id)?.state, 'active')
  t.end()
})

void t.test('a task with evidence and a beginning waits for both', (t) => {
  const room = roomFor(t)
  const evidence = { image: 'sha256:1' }
  const { desk, registry } = room
  const unproven = desk.create(later({ require: evidence }), ALICE, undefined).task.id
  const proved = desk.create(later({ require: evidence }), ALICE, undefined).task.id
  t.match(desk.attest(proved, evidence, ALICE), { state: 'pending', cause: 'not-before' })
  t.match(room.events.at(-1), { action: 'task-attested', task: proved })
  pass(room, HOUR_MS)
  t.equal(registry.entries.get(unproven)?.state, 'pending')
  t.equal(registry.entries.get(proved)?.state, 'active')
  t.match(registry.entries.get(proved)?.task.evidence, /^sha256:/)
  t.match(desk.attest(unproven, evidence, ALICE), { state: 'active', cause: 'attested' })
  t.end()
})

void t.test(
  'what nobody asks about begins all the same, unless its owner is disabled',
  async (t) => {
    const room = roomFor(t)
    const { desk, registry, switches } = room
    const one = registry.entries.get(desk.create(later(), ALICE, undefined).task.id)!
    const barred = registry.entries.get(
      desk.create(later({ owner: { name: 'bob', team: 'x' } }), ALICE, undefined).task.id,
    )!
    switches.disable('bob', ALICE)
    pass(room, HOUR_MS)
    while (one.kept.state === 'pending') await new Promise((resolve) => setTimeout(resolve, 20))
    t.equal(one.kept.state, 'active')
    t.equal(barred.state, 'pending')
    switches.enable('bob', ALICE)
    t.equal(barred.state, 'active')
  },
)

void t.test('a heart that beats late is counted from the beginning on', (t) => {
  const room = roomFor(t)
  const heartbeat = { within: '1m', endAfter: '2m' }
  const { id } = room.desk.create(later({ heartbeat }), ALICE, undefined).task
  pass(room, HOUR_MS)
  t.match(room.desk.show(id), { state: 'active', heartbeatDueAt: '2026-01-01T01:01:00.000Z' })
  t.end()
})

void t.test(
  'a beginning has bounds: it is a moment, not too far ahead, and one that is over is none',
  (t) => {
    const { desk } = roomFor(t)
    const written = (notBefore: string): Record<string, unknown> => ({ notBefore })
    for (const wrong of ['10m', '2026-01-01', '2026-01-01T01:00:00'])
      t.notOk(taskDefinitionSchema.safeParse({ ...written(wrong) }).success, wrong)
    t.throws(() => definition(written('in 10m')), /expected a time with its offset/)
    t.equal(
      faultOf(() => desk.create(definition(written('2026-01-02T00:00:01Z')), ALICE, undefined)),
      'definition-invalid /notBefore',
    )
    const past = desk.create(definition(written('2025-12-31T00:00:00Z')), ALICE, undefined).task
    t.equal(past.state, 'active')
    t.equal(past.notBefore, undefined)
    t.equal(past.expiresAt, '2026-01-01T00:30:00.000Z', 'its life is counted from now')
    t.end()
  },
)

void t.test(
  'a stage begins with its parent at the earliest, and another end is counted from the beginning',
  (t) => {
    const room = roomFor(t)
    const { desk } = room
    const parent = desk.create(later(), ALICE, undefined).task.id
    const child = (): string =>
      desk.create(definition({ parent, expires: '10m' }), ALICE, undefined).task.state
    t.equal(faultOf(child), 'task-not-active /parent')
    t.equal(desk.extend(parent, HOUR_MS, ALICE).expiresAt, '2026-01-01T02:00:00.000Z')
    pass(room, HOUR_MS)
    t.equal(child(), 'active')
    const late = definition({ parent, expires: '10m', notBefore: '2026-01-01T01:55:00Z' })
    t.equal(
      faultOf(() => desk.create(late, ALICE, undefined)),
      'delegation-widening /expires',
    )
    t.end()
  },
)

void t.test(
  "the configuration's task begins later too, and again where it is renewed",
  async (t) => {
    const room = roomFor(t)
    const { registry, clock, desk } = room
    const { task } = desk.create(definition(), ALICE, undefined)
    const { intent, owner, agent, environment, rules, params } = task
    const defined = { intent, owner, agent, environment, rules, params, sandbox: { id: 'own' } }
    const own = { ...defined, ceiling: 'public' as const, sources: [], lifetimeMs: HOUR_MS }
    const make = (): ReturnType<typeof buildStaticTask> =>
      buildStaticTask({ ...own, notBefore: START + HOUR_MS }, clock.now())
    const entry = adoptStatic(registry, clock, make(), false)
    t.equal(entry.state, 'pending')
    t.not(entry.id, buildStaticTask(own, START).id, 'another beginning is another task')
    t.equal(
      adoptStatic(registry, clock, make(), true).state,
      'pending',
      'a renewal lets nothing out',
    )
    await desk.revoke(entry.id, ALICE, undefined)
    t.equal(adoptStatic(registry, clock, make(), false).state, 'ended')
    t.equal(adoptStatic(registry, clock, make(), true).state, 'pending')
    pass(room, HOUR_MS)
    t.equal(entry.state, 'active')
    t.equal(entry.task.expiresAt, START + 2 * HOUR_MS)
    pass(room, HOUR_MS / 2)
    t.equal(adoptStatic(registry, clock, make(), false).state, 'active')
    t.equal(entry.task.expiresAt, START + 2 * HOUR_MS, 'a restart gives it no more life')
  },
)
