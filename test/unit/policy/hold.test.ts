// Where a person decides: any deny denies, then any hold holds, then an allow is needed; and the classes of what comes back and
// of what was read, which hold and allow alike have to meet.

import t from 'tap'

import { decideTogether } from '../../../src/policy/conjunction.ts'
import { decide, decideConnect } from '../../../src/policy/decide.ts'
import type { Decision } from '../../../src/policy/decision.ts'
import type { Moment } from '../../../src/policy/facts.ts'
import { SESSION_SUBJECT } from '../../../src/inspect/mcp/messages.ts'
import { askAbout } from '../../../src/policy/written-call.ts'
import { connectTo, decisionOn, item, MOMENT, policyOf, verdictInside, verdictOn } from './ask.ts'

const A = 'https://a.test'

function at(
  policy: ReturnType<typeof policyOf>,
  moment: Partial<Moment>,
  call = `GET ${A}/`,
): Decision {
  const [method = '', target = ''] = call.split(' ')
  const asked = askAbout(method, target, [])
  if ('connect' in asked) throw new Error('no call')
  return decide(policy, asked, { ...MOMENT, ...moment })
}

void t.test('R75: a hold holds whatever allows, and a deny denies whatever holds', (t) => {
  const hold = `- { id: h, hold: '${A}' }`
  const allow = `- { id: a, allow: '${A}' }`
  const deny = `- { id: d, deny: '${A}', methods: [DELETE] }`
  t.equal(verdictOn(policyOf(hold), `GET ${A}/`), 'hold h')
  t.equal(verdictOn(policyOf([allow, hold]), `GET ${A}/`), 'hold h')
  t.equal(verdictOn(policyOf([allow, hold, deny]), `DELETE ${A}/`), 'deny denied-by-rule')
  t.equal(verdictOn(policyOf([allow, hold, deny]), `GET ${A}/`), 'hold h')
  t.equal(verdictOn(policyOf(hold), 'GET https://b.test/'), 'deny not-on-allowlist')
  const { reason, hold: terms } = decisionOn(policyOf(hold), `GET ${A}/`)
  t.equal(reason, 'approval-pending')
  t.same(terms, { separate: false })
  t.end()
})

void t.test('R75: the holds of a set that binds every task open nothing', (t) => {
  const always = [`- { id: h, hold: '${A}' }`]
  t.equal(verdictOn(policyOf(`- { id: a, allow: '${A}' }`, { always }), `GET ${A}/`), 'hold h')
  t.equal(
    verdictOn(policyOf("- { id: a, allow: 'https://b.test' }", { always }), `GET ${A}/`),
    'deny not-on-allowlist',
  )
  t.end()
})

void t.test('of several holds whoever all of them name may approve', (t) => {
  const one = `- { id: h, hold: '${A}', reviewers: [ann, bob] }`
  const two = `- { id: i, hold: '${A}', reviewers: [bob, 'team:x'], separate: true }`
  t.same(decisionOn(policyOf([one, two]), `GET ${A}/`).hold, { separate: true, reviewers: ['bob'] })
  const asked = askAbout('GET', `${A}/`, [])
  if ('connect' in asked) throw new Error('no call')
  t.same(decideTogether([policyOf(one), policyOf(two)], asked, MOMENT).hold, {
    separate: true,
    reviewers: ['bob'],
  })
  t.end()
})

void t.test('R75: the messages of a session are not held by rules that name tools', (t) => {
  const policy = policyOf(`- { id: h, hold: '${A}', tools: [pay_*] }`)
  t.equal(verdictInside(policy, item('tools pay_out')), 'hold h')
  t.equal(verdictInside(policy, item('tools read')), 'deny tool-not-allowed')
  t.equal(verdictInside(policy, { mcp: SESSION_SUBJECT }), 'allow h')
  t.end()
})

void t.test(
  'R75: a tunnel that is looked into is held call by call, another one by itself',
  (t) => {
    const inspected = connectTo(policyOf(`- { id: h, hold: '${A}' }`), 'a.test:443')
    t.match(inspected, { verdict: 'allow', mode: 'inspect', reason: 'allowed' })
    t.notOk(inspected.hold)
    t.match(connectTo(policyOf("- { id: h, hold: 'tls://a.test' }"), 'a.test:443'), {
      verdict: 'hold',
      mode: 'tls',
    })
    t.end()
  },
)

void t.test('R73: what is above the ceiling of the task is denied, what is at it is not', (t) => {
  const rules = `- { id: a, allow: '${A}', data: restricted }`
  t.match(at(policyOf(rules, { task: { ceiling: 'confidential' } }), {}), {
    verdict: 'deny',
    reason: 'classification-ceiling',
    rule: { id: 'a' },
  })
  t.match(at(policyOf(rules, { task: { ceiling: 'restricted' } }), {}), { verdict: 'allow' })
  t.end()
})

void t.test('R32: what was read goes only where it is accepted', (t) => {
  const rules = `- { id: a, allow: '${A}', accepts: confidential }`
  t.equal(at(policyOf(rules), { read: 'confidential' }).verdict, 'allow')
  t.equal(at(policyOf(rules), { read: 'restricted' }).reason, 'flow-violation')
  const plain = policyOf(`- { id: a, allow: '${A}' }`)
  t.equal(at(plain, { read: 'internal' }).reason, 'flow-violation')
  t.equal(at(plain, { read: 'public' }).verdict, 'allow')
  const both = policyOf([rules, `- { id: b, allow: '${A}' }`])
  t.equal(at(both, { read: 'internal' }).reason, 'flow-violation', 'the lowest counts')
  t.end()
})

void t.test('an expired rule is as if it were not there', (t) => {
  const now = Date.UTC(2027, 5, 30)
  const allow = policyOf(`- { id: a, allow: '${A}', expires: 2027-06-30 }`)
  t.equal(at(allow, { now: now - 1 }).verdict, 'allow')
  t.equal(at(allow, { now }).reason, 'not-on-allowlist')
  t.equal(at(allow, { now: now - 1 }).revisitAt, now)
  t.equal(at(allow, { now }).revisitAt, undefined)
  const deny = policyOf([
    `- { id: a, allow: '${A}' }`,
    `- { id: d, deny: '${A}', expires: '2027-06-30T00:00:00+00:00' }`,
  ])
  t.equal(at(deny, { now: now - 1 }).reason, 'denied-by-rule')
  t.equal(at(deny, { now }).verdict, 'allow')
  t.end()
})

void t.test('R11: outside its window an allow does not match and a hold denies', (t) => {
  const window = "between: { days: [wed], from: '08:00', to: '18:00', zone: UTC }"
  const inside = Date.UTC(2026, 0, 7, 12)
  const outside = Date.UTC(2026, 0, 7, 18)
  const allow = policyOf(`- { id: a, allow: '${A}', ${window} }`)
  t.equal(at(allow, { now: inside }).verdict, 'allow')
  t.equal(at(allow, { now: outside }).reason, 'outside-time-window')
  const held = policyOf([`- { id: a, allow: '${A}' }`, `- { id: h, hold: '${A}', ${window} }`])
  t.equal(at(held, { now: inside }).verdict, 'hold')
  t.match(at(held, { now: outside }), { verdict: 'deny', reason: 'outside-time-window' })
  t.equal(at(held, { now: inside }).revisitAt, outside)
  t.end()
})

void t.test(
  'a tunnel that some rule has looked into is passed through at no other time either',
  (t) => {
    const window = "between: { from: '08:00', to: '18:00', zone: UTC }"
    const policy = policyOf([
      `- { id: seen, allow: '${A}', ${window} }`,
      "- { id: unseen, allow: 'tls://a.test' }",
    ])
    const asked = askAbout('CONNECT', 'a.test:443', [])
    if (!('connect' in asked)) throw new Error('no CONNECT')
    const on = (hour: number): Decision =>
      decideConnect(policy, asked.connect, { ...MOMENT, now: Date.UTC(2026, 0, 7, hour) })
    t.match(on(12), { verdict: 'allow', mode: 'inspect' })
    t.match(on(20), { verdict: 'deny', reason: 'outside-time-window', mode: 'inspect' })
    const alone = policyOf("- { id: unseen, allow: 'tls://a.test' }")
    t.match(decideConnect(alone, asked.connect, MOMENT), { verdict: 'allow', mode: 'tls' })
    t.end()
  },
)
