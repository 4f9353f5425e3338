// The life of tasks as the registry and the desk give it: what is refused by name, who moves what, and what a crash leaves.

import { spawn } from 'node:child_process'
import { createPublicKey, verify } from 'node:crypto'
import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import { ControlError } from '../../../src/tasks/control-error.ts'
import { taskDefinitionSchema } from '../../../src/tasks/schema.ts'
import type { EndsWithTask } from '../../../src/tasks/ending.ts'
import { TRANSITIONS } from '../../../src/tasks/states.ts'
import { ALICE, definition, openRoom, roomFor } from '../../fixtures/task-desk.ts'

const MINUTE_MS = 60_000

function refusal(run: () => unknown): { reason: string; field: string | undefined } {
  try {
    run()
  } catch (error) {
    if (error instanceof ControlError) return { reason: error.reason, field: error.field }
    throw error
  }
  return { reason: 'none', field: undefined }
}

void t.test('R01: a task lacks nothing: each of its parts is asked for by name', (t) => {
  const whole = {
    intent: 'x',
    owner: { name: 'a', team: 'b' },
    agent: { account: 'a', instance: 'i' },
    sandbox: { id: 's' },
    rules: ['wide'],
    environment: 'dev',
    ceiling: 'public',
    expires: '1m',
  }
  t.ok(taskDefinitionSchema.safeParse(whole).success)
  for (const name of Object.keys(whole)) {
    const rest = Object.fromEntries(Object.entries(whole).filter(([key]) => key !== name))
    const result = taskDefinitionSchema.safeParse(rest)
    t.notOk(result.success, `without ${name}`)
    t.ok(
      result.error?.issues.every((issue) => issue.path[0] === name),
      `it is ${name} that is named`,
    )
  }
  const { desk } = roomFor(t)
  const { task } = desk.create(definition(), ALICE, undefined)
  t.match(desk.show(task.id), {
    state: 'active',
    agent: { account: 'bot' },
    owner: { name: 'ann', team: 'payments' },
    sandbox: { teardown: 'none' },
    identity: { token: true },
    credentials: [],
  })
  t.end()
})

void t.test('R02: an instance has one identity for its life', async (t) => {
  const { desk } = roomFor(t)
  const one = desk.create(definition(), ALICE, undefined)
  const two = desk.create(definition(), ALICE, undefined)
  t.not(one.task.id, two.task.id)
  t.not(one.token, two.token)
  await desk.revoke(one.task.id, ALICE, undefined)
  const again = definition({ agent: one.task.agent })
  t.match(
    refusal(() => desk.create(again, ALICE, undefined)),
    {
      reason: 'conflict',
      field: '/agent/instance',
    },
  )
})

void t.test('R12: a life is capped, and its renewal stands on what it stood on', (t) => {
  const { desk, registry, time } = roomFor(t, { limits: { taskLifetimeMs: 60 * MINUTE_MS } })
  t.match(
    refusal(() => desk.create(definition({ expires: '61m' }), ALICE, undefined)),
    {
      reason: 'definition-invalid',
      field: '/expires',
    },
  )
  const evidence = { image: 'sha256:1' }
  const { task } = desk.create(definition({ require: evidence }), ALICE, undefined)
  desk.attest(task.id, evidence, ALICE)
  t.match(
    refusal(() => desk.extend(task.id, 61 * MINUTE_MS, ALICE, evidence)),
    {
      reason: 'definition-invalid',
    },
  )
  t.match(
    refusal(() => desk.extend(task.id, 50 * MINUTE_MS, ALICE)),
    {
      reason: 'attestation-failed',
      field: '/image',
    },
  )
  const extended = desk.extend(task.id, 50 * MINUTE_MS, ALICE, evidence)
  t.equal(Date.parse(extended.expiresAt), time.wall + 50 * MINUTE_MS)
  time.monotonic += 31 * MINUTE_MS
  time.wall += 31 * MINUTE_MS
  t.equal(registry.entries.get(task.id)?.state, 'active', 'past its first end')
  t.end()
})

void t.test('a task ends at the earlier of both clocks', async (t) => {
  const { desk, registry, time } = roomFor(t)
  const byWall = desk.create(definition(), ALICE, undefined).task.id
  time.wall += 31 * MINUTE_MS
  t.equal(registry.entries.get(byWall)?.state, 'revoking', 'by the wall clock')
  const byMonotonic = desk.create(definition(), ALICE, undefined).task.id
  time.wall -= 2000
  time.monotonic += 31 * MINUTE_MS
  t.equal(
    registry.entries.get(byMonotonic)?.state,
    'revoking',
    'by the other, though the wall went back',
  )
  await registry.end([...registry.entries.values()], 'revoked', ALICE)
  t.equal(registry.entries.get(byMonotonic)?.state, 'ended')
})

void t.test(
  'a clock that was turned back gives no time back, however often one starts',
  async (t) => {
    const directory = t.testdir({})
    const time = { wall: Date.parse('2026-01-01T00:00:00Z'), monotonic: 0 }
    const first = openRoom({ directory, time })
    const { id } = first.desk.create(definition({ expires: '30m' }), ALICE, undefined).task
    first.close()
    time.wall -= 60 * MINUTE_MS
    for (let start = 1; start <= 3; start += 1) {
      time.monotonic = 0
      const room = openRoom({ directory, time })
      t.equal(room.registry.entries.get(id)?.state, 'active', `start ${start}`)
      time.monotonic += 9 * MINUTE_MS
      time.wall += 9 * MINUTE_MS
      t.equal(room.registry.entries.get(id)?.state, 'active')
      room.clock.keep()
      room.close()
    }
    time.monotonic = 0
    const { registry } = roomFor(t, { directory, time })
    time.monotonic += 4 * MINUTE_MS
    t.equal(registry.entries.get(id)?.state, 'revoking', 'after half an hour all in all')
  },
)

void t.test('a clock that is behind makes no new task', (t) => {
  const directory = t.testdir({})
  const room = openRoom({ directory })
  room.desk.create(definition(), ALICE, undefined)
  room.time.wall += 5 * MINUTE_MS
  room.clock.now()
  room.clock.keep()
  room.close()
  const later = roomFor(t, { directory, time: { wall: room.time.wall - MINUTE_MS, monotonic: 0 } })
  t.match(
    refusal(() => later.desk.create(definition(), ALICE, undefined)),
    { reason: 'conflict' },
  )
  later.time.wall += MINUTE_MS
  t.match(
    refusal(() => later.desk.create(definition(), ALICE, undefined)),
    { reason: 'none' },
  )
  t.end()
})

void t.test(
  'R15: a sandbox serves one task at a time unless all say that it is shared',
  async (t) => {
    const { desk } = roomFor(t)
    const sandbox = { id: 'one' }
    const { task } = desk.create(definition({ sandbox }), ALICE, undefined)
    t.match(
      refusal(() => desk.create(definition({ sandbox }), ALICE, undefined)),
      {
        reason: 'conflict',
        field: '/sandbox/id',
      },
    )
    t.match(
      refusal(() =>
        desk.create(definition({ sandbox: { ...sandbox, shared: true } }), ALICE, undefined),
      ),
      { reason: 'conflict' },
      'the first has not agreed',
    )
    await desk.revoke(task.id, ALICE, undefined)
    const shared = { id: 'one', shared: true }
    desk.create(definition({ sandbox: shared }), ALICE, undefined)
    t.match(
      refusal(() => desk.create(definition({ sandbox: shared }), ALICE, undefined)),
      {
        reason: 'none',
      },
    )
  },
)

void t.test('R16: the states of a task are told by its events alone', async (t) => {
  const { desk, events, registry } = roomFor(t)
  const require = { selectors: { 'k8s:ns': 'agents' } }
  const { task } = desk.create(definition({ require }), ALICE, undefined)
  t.match(
    refusal(() => desk.attest(task.id, { selectors: { 'k8s:ns': 'other' } }, ALICE)),
    {
      reason: 'attestation-failed',
      field: '/selectors/k8s:ns',
    },
  )
  t.equal(registry.entries.get(task.id)?.state, 'pending')
  desk.attest(task.id, require, ALICE)
  desk.suspend(task.id, ALICE, 'look')
  desk.resume(task.id, ALICE, undefined)
  await desk.revoke(task.id, ALICE, 'done')
  const moves = events.filter(({ detail }) => 'to' in detail)
  t.strictSame(
    moves.map(({ action, detail: { from, to, cause } }) => [action, from, to, cause]),
    [
      ['task-created', undefined, 'pending', 'evidence-required'],
      ['task-activated', 'pending', 'active', 'attested'],
      ['task-suspended', 'active', 'suspended', 'suspended'],
      ['task-resumed', 'suspended', 'active', 'resumed'],
      ['task-revoked', 'active', 'revoking', 'revoked'],
      ['task-ended', 'revoking', 'ended', 'revoked'],
    ],
  )
  t.ok(moves.every(({ detail }) => detail['actor'] === 'alice'))
  t.equal(events.filter(({ action }) => action === 'attestation-failed').length, 1)
})

void t.test('nothing leads back from the end but an operator who renews the static task', (t) => {
  const back = TRANSITIONS.filter(({ from }) => from === 'revoking' || from === 'ended')
  t.strictSame(
    back.map(({ from, to, causes }) => [from, to, ...causes]),
    [
      ['revoking', 'ended', 'torn-down'],
      ['ended', 'active', 'renewed'],
      ['ended', 'pending', 'not-before'],
    ],
  )
  t.end()
})

void t.test('a definition under a key makes one task', (t) => {
  const { desk, registry } = roomFor(t)
  const written = definition()
  const first = desk.create(written, ALICE, 'key-1')
  const second = desk.create(written, ALICE, 'key-1')
  t.equal(second.task.id, first.task.id)
  t.notOk(second.created)
  t.not(second.token, first.token, 'the lost answer is given anew')
  t.equal(registry.byToken(first.token!), undefined, 'and the lost token is worth nothing')
  registry.update(registry.entries.get(first.task.id)!, { isTokenUsed: true })
  t.equal(
    desk.create(written, ALICE, 'key-1').token,
    undefined,
    'a token that is used is not replaced',
  )
  t.match(
    refusal(() => desk.create(definition(), ALICE, 'key-1')),
    { reason: 'conflict' },
  )
  const other = { kind: 'principal', name: 'bob' } as const
  t.ok(desk.create(definition(), other, 'key-1').created, 'keys are each principal’s own')
  t.end()
})

void t.test('R48: children are capped in number, in depth and in time', async (t) => {
  const { desk, time } = roomFor(t, {
    limits: { childrenPerTaskMax: 10, taskDepthMax: 3, childrenPerMinute: 12 },
  })
  const root = desk.create(definition(), ALICE, undefined).task.id
  const child = (parent: string, more = {}): string =>
    desk.create(definition({ parent, expires: '5m', ...more }), ALICE, undefined).task.id
  const children = Array.from({ length: 10 }, () => child(root))
  t.match(
    refusal(() => child(root)),
    { reason: 'quota-exceeded', field: '/parent' },
    'the eleventh',
  )
  await desk.revoke(children[0]!, ALICE, undefined)
  child(root)
  await desk.revoke(children[1]!, ALICE, undefined)
  child(root)
  await desk.revoke(children[2]!, ALICE, undefined)
  t.match(
    refusal(() => child(root)),
    { reason: 'quota-exceeded' },
    'too many within a minute',
  )
  time.wall += MINUTE_MS
  time.monotonic += MINUTE_MS
  child(root)
  const grandchild = child(children[3]!, { expires: '2m' })
  t.match(
    refusal(() => child(grandchild, { expires: '1m' })),
    { reason: 'delegation-widening' },
    'too deep',
  )
  const shallow = desk.create(definition({ depth: 0 }), ALICE, undefined).task.id
  t.match(
    refusal(() => child(shallow)),
    { reason: 'delegation-widening' },
    'it may have none',
  )
})

void t.test('R69: a child that would be wider is refused by the name of the axis', (t) => {
  const { desk } = roomFor(t)
  const parent = desk.create(definition({ expires: '10m' }), ALICE, undefined).task.id
  const attempt = (
    changes: Record<string, unknown>,
  ): { reason: string; field: string | undefined } =>
    refusal(() =>
      desk.create(
        definition({ parent, expires: '5m', rules: ['narrow'], ...changes }),
        ALICE,
        undefined,
      ),
    )
  t.match(attempt({}), { reason: 'none' }, 'a narrower one is made')
  t.match(attempt({ expires: '11m' }), { reason: 'delegation-widening', field: '/expires' })
  t.match(attempt({ environment: 'prod' }), {
    reason: 'delegation-widening',
    field: '/environment',
  })
  t.match(attempt({ ceiling: 'restricted' }), { reason: 'delegation-widening', field: '/ceiling' })
  t.match(attempt({ rules: ['other'] }), { reason: 'delegation-widening', field: '/rules' })
  t.end()
})

void t.test(
  'R71: the end of a parent ends all below, that of a child leaves the parent',
  async (t) => {
    const { desk, registry } = roomFor(t)
    const make = (changes = {}): string =>
      desk.create(definition(changes), ALICE, undefined).task.id
    const root = make()
    const child = make({ parent: root, expires: '10m' })
    const sibling = make({ parent: root, expires: '10m' })
    const grandchild = make({ parent: child, expires: '5m' })
    const state = (id: string): string | undefined => registry.entries.get(id)?.state
    await desk.revoke(sibling, ALICE, undefined)
    t.strictSame([root, child, sibling].map(state), ['active', 'active', 'ended'])
    const receipt = await desk.revoke(root, ALICE, undefined)
    t.strictSame([root, child, grandchild].map(state), ['ended', 'ended', 'ended'])
    t.ok(
      receipt.items.some(
        ({ kind, name, outcome }) => kind === 'child' && name === child && outcome === 'ended',
      ),
    )
    t.equal(desk.show(grandchild)?.cause, 'parent-ended')
    t.match(
      refusal(() => make({ parent: root })),
      { reason: 'task-ended' },
    )
  },
)

void t.test('a child does not go on where its parent is suspended', (t) => {
  const { desk, registry } = roomFor(t)
  const root = desk.create(definition(), ALICE, undefined).task.id
  const child = desk.create(definition({ parent: root, expires: '5m' }), ALICE, undefined).task.id
  const entry = registry.entries.get(child)!
  t.equal(registry.weakest(entry)?.state, 'active')
  desk.suspend(root, ALICE, undefined)
  t.equal(registry.weakest(entry)?.state, 'suspended')
  t.end()
})

void t.test('a heartbeat that is missing suspends, and ends what stays silent', async (t) => {
  const { desk, registry, time } = roomFor(t)
  const heartbeat = { within: '10s', endAfter: '60s' }
  const id = desk.create(definition({ heartbeat }), ALICE, undefined).task.id
  const entry = registry.entries.get(id)!
  const pass = async (ms: number): Promise<void> => {
    time.monotonic += ms
    time.wall += ms
    await new Promise((resolve) => setTimeout(resolve, 300))
  }
  await pass(9000)
  t.equal(entry.state, 'active')
  await pass(2000)
  t.equal(entry.state, 'suspended')
  desk.heartbeat(id, ALICE)
  t.equal(entry.state, 'active', 'a heartbeat resumes what only its loss suspended')
  desk.suspend(id, ALICE, undefined)
  desk.heartbeat(id, ALICE)
  t.equal(entry.state, 'suspended', 'and nothing else')
  await pass(61_000)
  await entry.ending
  t.equal(entry.kept.cause, 'heartbeat-lost')
  t.equal(entry.state, 'ended')
})

void t.test(
  'R63: what was ending goes on ending after a crash, and nothing ended comes back',
  async (t) => {
    const directory = t.testdir({})
    let release: () => void = () => undefined
    const held = new Promise<void>((resolve) => (release = resolve))
    const at = '2026-01-01T00:00:00.000Z'
    const participants: EndsWithTask[] = [
      {
        kind: 'calls',
        end: async () => [{ kind: 'calls', name: 'open calls', outcome: 'ended', count: 3, at }],
      },
      { kind: 'pool', end: () => held.then(() => []) },
    ]
    const room = openRoom({ directory, participants })
    const { task, token = '' } = room.desk.create(definition(), ALICE, undefined)
    const { task: over } = room.desk.create(definition(), ALICE, undefined)
    void room.desk.revoke(task.id, ALICE, 'stop')
    await new Promise((resolve) => setTimeout(resolve, 50))
    room.close()
    const lines = readFileSync(path.join(directory, 'state/tasks.ndjson'), 'utf8')
    t.notOk(lines.includes(token), 'only the hash of a token is kept')
    // A torn end, as a process leaves it that dies while it writes.
    appendFileSync(path.join(directory, 'state/tasks.ndjson'), '{"id":"t_')

    const again = openRoom({ directory, participants: [{ kind: 'pool', end: async () => [] }] })
    t.equal(again.registry.entries.get(task.id)?.state, 'revoking', 'still no byte leaves')
    t.equal(again.registry.byToken(token)?.id, task.id)
    t.equal(again.registry.entries.get(over.id)?.state, 'active')
    again.registry.resumeEndings()
    const receipt = await again.registry.entries.get(task.id)?.ending
    t.match(receipt, { reason: 'stop', cause: 'revoked', actor: 'alice', complete: true })
    t.ok(
      receipt?.items.some(({ kind, count }) => kind === 'calls' && count === 3),
      'what was done counts',
    )
    release()
    again.close()
    const last = openRoom({ directory })
    t.equal(last.registry.entries.get(task.id)?.state, 'ended')
    t.strictSame((await last.desk.revoke(task.id, ALICE, undefined)).signature, receipt?.signature)
    last.close()
  },
)

void t.test('a state file that was tampered with stops the start', (t) => {
  const directory = t.testdir({})
  const room = openRoom({ directory })
  room.desk.create(definition(), ALICE, undefined)
  room.close()
  const file = path.join(directory, 'state/tasks.ndjson')
  writeFileSync(file, readFileSync(file, 'utf8').replace('"active"', '"alive"'))
  t.throws(() => openRoom({ directory }), /line 1 is not what was written/)
  t.end()
})

void t.test('nobody names a process that is not the sandbox it makes', (t) => {
  const { desk } = roomFor(t)
  const child = spawn('sleep', ['60'])
  t.teardown(() => child.kill())
  const { pid } = child
  const make = (sandbox: object): unknown => desk.create(definition({ sandbox }), ALICE, undefined)
  t.match(
    refusal(() => make({ id: 'box', pid, shared: true })),
    { reason: 'none' },
  )
  t.match(
    refusal(() => make({ id: 'box', pid, shared: true })),
    { reason: 'none' },
    'the same sandbox',
  )
  t.strictSame(
    refusal(() => make({ id: 'other', pid })),
    { reason: 'conflict', field: '/sandbox/pid' },
  )
  for (const own of [1, process.pid, process.ppid])
    t.strictSame(
      refusal(() => make({ id: 'other', pid: own })),
      { reason: 'definition-invalid', field: '/sandbox/pid' },
    )
  t.end()
})

void t.test('an end that cannot be written down leaves another sign', async (t) => {
  const { desk, registry, events } = roomFor(t)
  const [first, second] = [1, 2].map(() => desk.create(definition(), ALICE, undefined).task.id)
  await desk.revoke(first!, ALICE, undefined)
  // Whatever is appended from here on fails, as on a full disk.
  registry.close()
  await desk.revoke(second!, ALICE, undefined)
  t.equal(registry.entries.get(second!)?.state, 'ended')
  t.strictSame(
    events.filter(({ action }) => action === 'unsaved-end').map(({ task }) => task),
    [second],
  )
})

void t.test('a receipt stands by itself: whoever has the key can check it', async (t) => {
  const { desk, signer } = roomFor(t)
  const id = desk.create(definition(), ALICE, undefined).task.id
  const { signature, ...receipt } = await desk.revoke(id, ALICE, undefined)
  const { kid, ...jwk } = signer.publicKey
  t.equal(signature.key, kid)
  const key = createPublicKey({ key: jwk, format: 'jwk' })
  const check = (text: string): boolean =>
    verify(null, Buffer.from(text), key, Buffer.from(signature.value, 'base64url'))
  t.ok(check(JSON.stringify(receipt)))
  t.notOk(check(JSON.stringify({ ...receipt, complete: !receipt.complete })))
})

void t.test(
  'R67: a hook that lies or fails leaves an alarm, a blocked sandbox, and is asked again',
  async (t) => {
    let confirms = false
    const hook = {
      run: async (): Promise<void> => {
        if (!confirms) throw new Error('no such container')
      },
    }
    const { desk, registry, time } = roomFor(t, {
      hooks: new Map([['stop', hook]]),
      limits: { teardownRetryMs: 1000 },
    })
    const sandbox = { id: 'box', hooks: { end: 'stop' } }
    t.match(
      refusal(() =>
        desk.create(
          definition({ sandbox: { id: 'x', hooks: { end: 'other' } } }),
          ALICE,
          undefined,
        ),
      ),
      { reason: 'definition-invalid', field: '/sandbox/hooks/end' },
    )
    const id = desk.create(definition({ sandbox }), ALICE, undefined).task.id
    const receipt = await desk.revoke(id, ALICE, undefined)
    t.notOk(receipt.complete)
    t.match(
      receipt.items.find(({ kind }) => kind === 'sandbox'),
      {
        outcome: 'unconfirmed',
        detail: /no such container/,
      },
    )
    t.match(
      refusal(() => desk.create(definition({ sandbox: { id: 'box' } }), ALICE, undefined)),
      {
        reason: 'conflict',
        field: '/sandbox/id',
      },
    )
    t.equal(registry.entries.get(id)?.state, 'ended', 'its identity is blocked all the same')
    confirms = true
    for (let tries = 0; tries < 40 && registry.entries.unconfirmed.size > 0; tries += 1) {
      time.monotonic += 2000
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    t.equal(desk.show(id)?.sandbox.teardown, 'confirmed')
    t.ok(desk.show(id)?.receipt?.complete)
    t.match(
      refusal(() => desk.create(definition({ sandbox: { id: 'box' } }), ALICE, undefined)),
      { reason: 'none' },
    )
  },
)

void t.test('R06: an owner who leaves has no active task and gets no new one', (t) => {
  const { desk, switches, registry } = roomFor(t)
  const id = desk.create(definition(), ALICE, undefined).task.id
  const other = desk.create(definition({ owner: { name: 'bob', team: 'x' } }), ALICE, undefined)
    .task.id
  const evidence = { image: 'sha256:1' }
  const pending = desk.create(definition({ require: evidence }), ALICE, undefined).task.id
  t.strictSame(switches.disable('ann', ALICE), { suspended: [id] })
  t.match(
    refusal(() => desk.attest(pending, evidence, ALICE)),
    { reason: 'conflict' },
    'nor one that was not active yet',
  )
  t.equal(registry.entries.get(id)?.state, 'suspended')
  t.equal(registry.entries.get(other)?.state, 'active')
  t.match(
    refusal(() => desk.create(definition(), ALICE, undefined)),
    { field: '/owner/name' },
  )
  t.match(
    refusal(() => desk.resume(id, ALICE, undefined)),
    { reason: 'conflict' },
  )
  switches.enable('ann', ALICE)
  t.equal(desk.resume(id, ALICE, undefined).state, 'active')
  t.equal(desk.attest(pending, evidence, ALICE).state, 'active')
  t.end()
})

void t.test('the kill switch waits for no disk', async (t) => {
  const directory = t.testdir({ state: { 'switches.json.new': {} } })
  const { desk, switches, registry, problems } = roomFor(t, { directory })
  const id = desk.create(definition(), ALICE, undefined).task.id
  t.strictSame((await switches.kill('all', '', ALICE, undefined)).ended, [id])
  t.equal(registry.entries.get(id)?.state, 'ended')
  t.strictSame(switches.disable('ann', ALICE), { suspended: [] })
  t.ok(problems.length >= 2, 'and it is told')
  rmSync(path.join(directory, 'state/switches.json.new'), { recursive: true })
  switches.saveUnsaved()
  const kept = JSON.parse(readFileSync(path.join(directory, 'state/switches.json'), 'utf8'))
  t.match(kept, { kills: [{ scope: 'all' }], disabledOwners: ['ann'] })
})

void t.test(
  'the kill switch is thrown for a host in any spelling, and for nothing else',
  async (t) => {
    const { switches } = roomFor(t)
    const spellings = {
      'API.Host.test.': 'api.host.test',
      'bücher.test': 'xn--bcher-kva.test',
      '[::1]': '::1',
      '::ffff:10.0.0.1': '10.0.0.1',
    }
    for (const [written, host] of Object.entries(spellings)) {
      const { kill } = await switches.kill('host', written, ALICE, undefined)
      t.equal(kill.value, host)
      t.throws(() => switches.checkCall(host, undefined), /killed/)
      switches.lift(kill.id, ALICE)
    }
    for (const written of ['https://a.test', 'a.test:443', 'a.test/x', '*.a.test', ' '])
      await t.rejects(switches.kill('host', written, ALICE, undefined), /definition-invalid/)
    t.strictSame(switches.list(), [])
  },
)

void t.test('the kill switch is thrown for a tool everywhere, or at one server', async (t) => {
  const directory = t.testdir()
  const { switches } = roomFor(t, { directory })
  const killed = (host: string, name: string): boolean => {
    const is = switches.isToolKilled(host, name)
    if (is) t.throws(() => switches.checkTool(host, name), /killed/)
    else switches.checkTool(host, name)
    return is
  }
  t.notOk(killed('a.test', 'wire_money'))
  const everywhere = await switches.kill('tool', 'wire_money', ALICE, undefined)
  t.match(everywhere, { ended: [], cut: 0, kill: { scope: 'tool', value: 'wire_money' } })
  t.ok(killed('a.test', 'wire_money'))
  t.ok(killed('b.test', 'wire_money'))
  t.notOk(killed('a.test', 'Wire_money'), 'another name is another tool')
  t.notOk(killed('a.test', 'wire_money2'))
  switches.lift(everywhere.kill.id, ALICE)
  t.notOk(killed('a.test', 'wire_money'))
  await switches.kill('tool', 'A.Test./delete', ALICE, undefined)
  t.ok(killed('a.test', 'delete'))
  t.notOk(killed('b.test', 'delete'))
  await switches.kill('tool', 'files/read', ALICE, undefined)
  t.ok(killed('b.test', 'files/read'), 'a name with a slash is a name')
  t.ok(killed('files', 'read'), 'and could be meant as a server')
  await switches.kill('tool', '[::1]/x', ALICE, undefined)
  t.ok(killed('::1', 'x'))
  for (const written of ['delete_*', 'a.test/*', 'a.test/', ' x'])
    await t.rejects(switches.kill('tool', written, ALICE, undefined), /definition-invalid/)
  const kept = JSON.parse(readFileSync(path.join(directory, 'state/switches.json'), 'utf8'))
  t.equal(kept.kills.length, 3)
  switches.checkCall('a.test', undefined)
})

void t.test('a task that is refused too often ends', async (t) => {
  const { desk, registry, watch } = roomFor(t, { limits: { taskDenialsPerMinute: 3 } })
  const entry = registry.entries.get(desk.create(definition(), ALICE, undefined).task.id)!
  const refused = { reason: 'not-on-allowlist', messages: 0 } as const
  for (let call = 0; call < 3; call += 1) watch.count(entry, refused)
  t.equal(entry.state, 'active')
  watch.count(entry, undefined)
  watch.count(entry, refused)
  await entry.ending
  t.equal(entry.kept.cause, 'denials')
})
