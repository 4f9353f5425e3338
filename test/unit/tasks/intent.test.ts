// What a task declares: its digest, who is bound by it, and that only the desk's extension changes it, over restarts.

import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import {
  assert,
  dictionary,
  property,
  record,
  string,
  stringMatching,
  uniqueArray,
} from 'fast-check'
import t from 'tap'

import { buildStaticTask } from '../../../src/config/task.ts'
import { adoptStatic } from '../../../src/tasks/adopt.ts'
import { ControlError } from '../../../src/tasks/control-error.ts'
import { declarationOf } from '../../../src/tasks/intent.ts'
import { taskDefinitionSchema } from '../../../src/tasks/schema.ts'
import { ALICE, definition, openRoom, roomFor } from '../../fixtures/task-desk.ts'

const digestOf = (text: string): string =>
  `sha256:${createHash('sha256').update(text).digest('hex')}`
const BOB = { kind: 'principal', name: 'bob' } as const

void t.test(
  'R10: the digest covers all that is declared, and the text alone where that is all',
  (t) => {
    t.equal(declarationOf({ intent: 'Triage.' }).intentDigest, digestOf('Triage.'))
    t.strictSame(
      declarationOf({ intent: 'Triage.', capabilities: [], labels: {} }),
      { intent: 'Triage.', intentDigest: digestOf('Triage.') },
      'nothing is declared by an empty list',
    )
    const full = { intent: 'Triage.', capabilities: ['b', 'a'], labels: { z: '1', a: '2' } }
    t.equal(
      declarationOf(full).intentDigest,
      digestOf('{"capabilities":["b","a"],"intent":"Triage.","labels":{"a":"2","z":"1"}}'),
    )
    t.equal(
      declarationOf({ ...full, labels: { a: '2', z: '1' } }).intentDigest,
      declarationOf(full).intentDigest,
      'the order in a file does not count',
    )
    const word = stringMatching(/^[a-z]{1,4}$/)
    const declared = record({
      intent: string({ minLength: 1 }),
      capabilities: uniqueArray(word, { minLength: 1, maxLength: 3 }),
      labels: dictionary(word, word, { maxKeys: 3 }),
    })
    assert(
      property(declared, declared, (one, other) => {
        const isSame = declarationOf(one).intentDigest === declarationOf(other).intentDigest
        return isSame === (JSON.stringify(sorted(one)) === JSON.stringify(sorted(other)))
      }),
    )
    t.end()
  },
)

function sorted({ labels, ...rest }: { labels: Record<string, string> }): object {
  return { ...rest, labels: Object.entries(labels).toSorted(([a], [b]) => (a < b ? -1 : 1)) }
}

void t.test('R10: an extension changes the digest, names who approved it, and survives', (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'sallyport-intent-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const room = openRoom({ directory })
  const { task } = room.desk.create(
    definition({ capabilities: ['issues:read'], labels: { cost: '7' } }),
    ALICE,
    undefined,
  )
  const before = task.intentDigest
  t.match(task, { capabilities: ['issues:read'], labels: { cost: '7' } })
  room.desk.suspend(task.id, ALICE, undefined)
  t.equal(room.desk.resume(task.id, ALICE, undefined).intentDigest, before, 'nothing else does')
  t.equal(room.desk.extend(task.id, 60_000, ALICE).intentDigest, before)

  const reason = 'the release needs it'
  const extended = room.desk.extendIntent(
    task.id,
    { addCapabilities: ['issues:write'], labels: { stage: 'two' }, reason },
    BOB,
  )
  t.match(extended, {
    intent: 'test',
    capabilities: ['issues:read', 'issues:write'],
    labels: { cost: '7', stage: 'two' },
  })
  t.not(extended.intentDigest, before)
  t.match(room.events.at(-1), {
    action: 'task-intent-extended',
    task: task.id,
    detail: {
      actor: 'bob',
      reason,
      before,
      after: extended.intentDigest,
      capabilities: ['issues:write'],
      labels: { stage: 'two' },
    },
  })
  t.throws(
    () => room.desk.extendIntent(task.id, { addCapabilities: ['issues:read'], reason }, BOB),
    /declares this already/,
  )
  room.close()

  const again = openRoom({ directory })
  t.equal(again.desk.show(task.id)?.intentDigest, extended.intentDigest, 'after a restart')
  again.close()
  t.end()
})

void t.test('R10: a child declares no more than its parent, where that declares anything', (t) => {
  const room = roomFor(t)
  const make = (changes: Record<string, unknown>): string =>
    room.desk.create(
      definition({ sandbox: { id: 'one', shared: true }, ...changes }),
      ALICE,
      undefined,
    ).task.id
  const parent = make({ capabilities: ['read', 'write'] })
  const child = make({ parent, capabilities: ['read'] })
  t.throws(() => make({ parent, capabilities: ['read', 'admin'] }), /axis capabilities/)
  make({ parent, labels: { any: 'thing' } })
  const free = make({})
  make({ parent: free, capabilities: ['admin'] })

  room.desk.extendIntent(child, { addCapabilities: ['write'], reason: 'r' }, BOB)
  t.throws(
    () => room.desk.extendIntent(child, { addCapabilities: ['admin'], reason: 'r' }, BOB),
    /axis capabilities/,
    'an approver neither: the parent is extended first',
  )
  room.desk.extendIntent(parent, { addCapabilities: ['admin'], reason: 'r' }, BOB)
  room.desk.extendIntent(child, { addCapabilities: ['admin'], reason: 'r' }, BOB)
  t.end()
})

void t.test(
  'R80: below a task that enforces nobody observes, below one that observes may be either',
  (t) => {
    const room = roomFor(t)
    const make = (changes: Record<string, unknown>): string =>
      room.desk.create(
        definition({ sandbox: { id: 'one', shared: true }, ...changes }),
        ALICE,
        undefined,
      ).task.id
    const enforcing = make({})
    const observing = make({ observe: true })
    t.throws(() => make({ parent: enforcing, observe: true }), /axis observe/)
    t.equal(room.desk.show(make({ parent: observing, observe: true }))?.observe, true)
    t.equal(room.desk.show(make({ parent: observing }))?.observe, undefined)
    t.end()
  },
)

void t.test('capabilities and labels are bounded, and are words', (t) => {
  const isTaken = (changes: Record<string, unknown>): boolean =>
    taskDefinitionSchema.safeParse({
      intent: 'i',
      owner: { name: 'ann', team: 'payments' },
      agent: { account: 'bot', instance: 'bot/1' },
      sandbox: { id: 'box' },
      rules: ['set'],
      environment: 'dev',
      ceiling: 'internal',
      expires: '30m',
      ...changes,
    }).success
  const many = (count: number): string[] => Array.from({ length: count }, (_, at) => `c${at}`)
  t.ok(isTaken({ capabilities: many(64) }))
  t.notOk(isTaken({ capabilities: many(65) }))
  t.notOk(isTaken({ capabilities: ['a', 'a'] }))
  t.notOk(isTaken({ capabilities: ['two words'] }))
  t.notOk(isTaken({ capabilities: ['x'.repeat(129)] }))
  const labels = (count: number): object =>
    Object.fromEntries(many(count).map((name) => [name, '']))
  t.ok(isTaken({ labels: labels(64) }))
  t.notOk(isTaken({ labels: labels(65) }))
  t.notOk(isTaken({ labels: { name: 'x'.repeat(257) } }))
  t.notOk(isTaken({ labels: { 'no name': 'x' } }))
  t.end()
})

void t.test(
  'R10: what was extended of the static task stays so over restarts, until it is renewed',
  (t) => {
    const directory = mkdtempSync(path.join(tmpdir(), 'sallyport-intent-'))
    t.teardown(() => rmSync(directory, { recursive: true, force: true }))
    const task = buildStaticTask(
      {
        intent: 'Triage.',
        owner: { name: 'ann', team: 'payments' },
        agent: { account: 'bot', instance: 'bot/1' },
        sandbox: { id: 'box' },
        rules: ['wide'],
        params: {},
        environment: 'dev',
        ceiling: 'internal',
        sources: [],
        lifetimeMs: 3_600_000,
      },
      Date.now(),
    )
    const digestAfter = (renew: boolean, change?: string): string => {
      const room = openRoom({ directory })
      const { id } = adoptStatic(room.registry, room.clock, task, renew)
      if (change !== undefined) room.desk.extendIntent(id, { intent: change, reason: 'r' }, BOB)
      const { intentDigest } = room.desk.show(id)!
      room.close()
      return intentDigest
    }
    t.equal(digestAfter(false), digestOf('Triage.'))
    t.equal(digestAfter(false, 'Triage and label.'), digestOf('Triage and label.'))
    t.equal(digestAfter(false), digestOf('Triage and label.'))
    t.equal(digestAfter(true), digestOf('Triage.'))
    t.end()
  },
)

void t.test('a declaration grows to its bounds and no further', (t) => {
  const room = roomFor(t)
  const { task } = room.desk.create(definition(), ALICE, undefined)
  const words = (from: number): string[] => Array.from({ length: 60 }, (_, at) => `c${from + at}`)
  room.desk.extendIntent(task.id, { addCapabilities: words(0), reason: 'r' }, BOB)
  t.throws(
    () => room.desk.extendIntent(task.id, { addCapabilities: words(60), reason: 'r' }, BOB),
    ControlError,
  )
  t.end()
})
