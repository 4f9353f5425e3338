// What time changes for open calls, by clocks that a test turns: which calls are cut, when, with what reason, and which go on.

import { setImmediate as nextTurn } from 'node:timers/promises'
import path from 'node:path'

import t, { type Test } from 'tap'

import { Call } from '../../../src/call.ts'
import { TimeChanges } from '../../../src/config/time-changes.ts'
import { TaskPolicies } from '../../../src/config/task-policies.ts'
import { judge } from '../../../src/judge.ts'
import { decideConnectTogether, type PolicyChain } from '../../../src/policy/conjunction.ts'
import { BUILT_IN_PROFILES } from '../../../src/policy/profiles.ts'
import { parseRuleSet } from '../../../src/policy/parse.ts'
import type { Moment } from '../../../src/policy/facts.ts'
import type { Content } from '../../../src/policy/subject.ts'
import { TaskClock } from '../../../src/tasks/clock.ts'
import { makeTask } from '../../../src/tasks/make-task.ts'
import type { Task } from '../../../src/tasks/task.ts'
import { parseAuthority } from '../../../src/wire/authority.ts'
import { readRequest } from '../../../src/wire/receive.ts'
import { definition } from '../../fixtures/task-desk.ts'

const MINUTE_MS = 60_000
const around = {
  profiles: BUILT_IN_PROFILES,
  sinks: [],
  journal: { sync: 'process' as const },
  staticCredentials: new Set<string>(),
}
const START = Date.parse('2027-03-28T00:58:00Z')
const RULES = `
  - { id: early, allow: https://window.test, between: { from: '00:00', to: '02:30', zone: Europe/Berlin } }
  - { id: over, allow: https://over.test, expires: 2027-03-28T01:00:00Z }
  - { id: stays, allow: https://stays.test, expires: 2027-03-28T01:00:00Z }
  - { id: stays-too, allow: https://stays.test }
  - { id: plain, allow: https://plain.test }
  - { id: denied, allow: https://denied.test }
  - { id: late, deny: https://denied.test, between: { from: '03:00', to: '04:00', zone: Europe/Berlin } }
  - { id: tool, allow: https://mcp.test, tools: [one, two] }
  - { id: no-two, deny: https://mcp.test, tools: [two], between: { from: '03:00', to: '04:00', zone: Europe/Berlin } }
  - { id: looking, allow: https://read.test }
  - { id: look, deny: https://read.test, tools: [two], between: { from: '03:00', to: '04:00', zone: Europe/Berlin } }
  - { id: raw, allow: 'tcp://raw.test:99', expires: 2027-03-28T01:00:00Z }
  - { id: opaque, allow: 'tcp://opaque.test:99', expires: 2027-03-28T01:00:00Z }
  - { id: resolved, allow: https://name.test }
  - { id: no-range, deny: [{ scheme: https, cidr: 192.0.2.0/24 }], between: { from: '03:00', to: '04:00', zone: Europe/Berlin } }
  - { id: held, hold: https://held.test, when: 'now >= timestamp("2027-03-28T01:00:00Z")' }
  - { id: held-not, allow: https://held.test }
`

interface Bench {
  readonly time: { wall: number; monotonic: number }
  readonly changes: TimeChanges
  /** An open call that was allowed as it is asked about. */
  readonly open: (url: string, content?: Content) => Call
  readonly tunnel: (authority: string) => Call
  /** A second passes, or more; what a sweep does. */
  readonly pass: (ms: number) => Promise<void>
  rules: string
  /** How often an address was asked about. */
  asked: number
}

function bench(t: Test): Bench {
  const time = { wall: START, monotonic: 0 }
  const clock = new TaskClock(
    path.join(t.testdir({}), 'state'),
    () => time.wall,
    () => time.monotonic,
  )
  const task: Task = makeTask(definition({ rules: ['set'] }), START, undefined)
  const load = (text: string): ConstructorParameters<typeof TaskPolicies>[0] => {
    const { ruleSet, problems } = parseRuleSet(`ruleset: set\nrules:${text}`, 'set.yaml')
    if (ruleSet === undefined) throw new Error(JSON.stringify(problems))
    const sets = new Map([['set', ruleSet]])
    const rules = { sets, texts: new Map(), policy: undefined, problems: [], digest: text }
    return { rules: () => rules, always: [], above: () => [], around, findPinned: () => undefined }
  }
  let loaded = { text: '', policies: new TaskPolicies(load(RULES)) }
  const made: Bench = {
    time,
    rules: RULES,
    asked: 0,
    changes: new TimeChanges(() => {
      if (loaded.text !== made.rules)
        loaded = { text: made.rules, policies: new TaskPolicies(load(made.rules)) }
      return {
        room: { clock, policies: loaded.policies },
        dialer: {
          wouldStayDialed: (_endpoint, { denied }, address) => {
            made.asked += 1
            return !denied.some(
              ({ text }) => text === '192.0.2.0/24' && address.startsWith('192.0.2.'),
            )
          },
        },
      }
    }),
    open: (url, content) => {
      const call = callOf(url, content)
      calls.push({ call, contents: content && [content] })
      return call
    },
    tunnel: (authority) => {
      const call: Call = new Call({ id: authority, kind: 'tunnel', startedAt: 0, client: {} })
      call.tunnel = parseAuthority(authority)
      call.identify({ task, policies: chain(), moment, standing: { task, state: 'active' } })
      const decision = decideConnectTogether(chain(), call.tunnel, moment())
      call.decide(decision, 'D', 0)
      call.tunnelMode = decision.mode
      call.clear()
      calls.push({ call, contents: undefined })
      return call
    },
    pass: async (ms) => {
      time.wall += ms
      time.monotonic += ms
      made.changes.look(calls.filter(({ call }) => call.decision?.revisitAt !== undefined))
      await nextTurn()
    },
  }
  const calls: { call: Call; contents: readonly Content[] | undefined }[] = []
  const moment = (): Moment => ({ now: clock.now(), read: 'public' })
  const chain = (): PolicyChain => {
    const policies = new TaskPolicies(load(RULES)).chainOf(task)
    if (policies === undefined) throw new Error('the rules compile')
    return policies
  }
  const callOf = (url: string, content: Content | undefined): Call => {
    const { host } = new URL(url)
    const call: Call = new Call({ id: url, kind: 'intercepted', startedAt: 0, client: {} })
    const head = {
      method: 'GET',
      target: '/',
      version: '1.1',
      headers: ['Host', host],
      upgrade: false,
    }
    const request = readRequest(head, { endpoint: parseAuthority(`${host}:443`), tls: true }, 10)
    call.receive(request)
    const policies = chain()
    call.identify({ task, policies, moment, standing: { task, state: 'active' } })
    call.decide(judge({ policies, moment }, request, content).decision, 'D', 0)
    call.clear()
    return call
  }
  return made
}

const tool = (name: string): Content => ({
  mcp: { kind: 'item', method: 'tools/call', list: 'tools', name },
})

void t.test(
  'R11: each is cut with the reason that the rules give by then, what they allow goes on',
  async (t) => {
    const { open, tunnel, pass } = bench(t)
    const window = open('https://window.test')
    const over = open('https://over.test')
    const denied = open('https://denied.test')
    const two = open('https://mcp.test', tool('two'))
    const raw = tunnel('raw.test:99')
    const held = open('https://held.test')
    const going = [
      open('https://stays.test'),
      open('https://plain.test'),
      open('https://mcp.test', tool('one')),
    ]
    const cut = [window, over, denied, two, raw, held]
    await pass(2 * MINUTE_MS - 1)
    t.ok(
      [...cut, ...going].every(({ cutReason }) => cutReason === undefined),
      'a millisecond before',
    )
    // In Berlin it is 03:00 now and was never 02:30.
    await pass(1)
    t.strictSame(
      cut.map(({ cutReason }) => cutReason),
      [
        'outside-time-window',
        'not-on-allowlist',
        'denied-by-rule',
        'denied-by-rule',
        'not-on-allowlist',
        'approval-pending',
      ],
    )
    t.ok(going.every(({ cutReason }) => cutReason === undefined))
  },
)

void t.test('what was not read is not allowed where rules begin to look inside', async (t) => {
  const { open, pass } = bench(t)
  const unread = open('https://read.test')
  await pass(2 * MINUTE_MS)
  t.equal(unread.cutReason, 'outside-time-window')
})

void t.test('a tunnel that would be looked into by now is cut', async (t) => {
  const made = bench(t)
  const opaque = made.tunnel('opaque.test:99')
  t.equal(opaque.tunnelMode, 'tcp')
  made.rules += "  - { id: inspected, allow: 'https://opaque.test:99' }\n"
  await made.pass(2 * MINUTE_MS)
  t.equal(opaque.cutReason, 'protocol-not-allowed')
})

void t.test(
  'a connection to an address that is denied from now on is cut, one to another is not',
  async (t) => {
    const { open, pass } = bench(t)
    const [near, far] = [open('https://name.test'), open('https://name.test')]
    near.upstream = { address: '192.0.2.7', port: 443 }
    far.upstream = { address: '198.51.100.7', port: 443 }
    await pass(2 * MINUTE_MS)
    t.equal(near.cutReason, 'resolved-address-denied')
    t.equal(far.cutReason, undefined)
  },
)

void t.test(
  'a wall clock that is turned back holds no cut up, and one set forward cuts at once',
  async (t) => {
    const back = bench(t)
    const over = back.open('https://over.test')
    back.time.wall -= 60 * MINUTE_MS
    await back.pass(0)
    // By the monotonic clock the time has come all the same.
    back.time.monotonic += 2 * MINUTE_MS - 1
    await back.pass(0)
    t.equal(over.cutReason, undefined)
    back.time.monotonic += 1
    await back.pass(0)
    t.equal(over.cutReason, 'not-on-allowlist')
    const forward = bench(t)
    const [again, stays] = [forward.open('https://over.test'), forward.open('https://stays.test')]
    forward.time.wall += 24 * 60 * MINUTE_MS
    await forward.pass(0)
    t.equal(again.cutReason, 'not-on-allowlist')
    t.equal(stays.cutReason, undefined)
  },
)

void t.test(
  'rules are asked as they are by then, and each call only when its time has come',
  async (t) => {
    const made = bench(t)
    const over = made.open('https://over.test')
    over.upstream = { address: '198.51.100.7', port: 443 }
    await made.pass(MINUTE_MS)
    t.equal(made.asked, 0)
    made.rules = RULES.replace(
      'over.test, expires: 2027-03-28T01',
      'over.test, expires: 2027-03-28T02',
    )
    await made.pass(MINUTE_MS)
    t.equal(over.cutReason, undefined, 'it was extended meanwhile')
    t.equal(made.asked, 1)
    await made.pass(30 * MINUTE_MS)
    t.equal(made.asked, 1, 'not again before the new end')
    await made.pass(30 * MINUTE_MS)
    t.equal(over.cutReason, 'not-on-allowlist')
  },
)
