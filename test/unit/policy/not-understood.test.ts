// Conditions on what is inside a call that could not be understood, and of upgrades, into which nobody looks.

import t from 'tap'

import { decisionOn, item, policyOf, verdictInside } from './ask.ts'
import { askAbout } from '../../../src/policy/written-call.ts'
import { decide } from '../../../src/policy/decide.ts'
import { MOMENT } from './ask.ts'

const A = 'https://a.test'
const ALLOW = `- { id: a, allow: '${A}' }`
const FAULT = { fault: 'malformed-body' } as const

void t.test('what could not be understood gets around no condition on what is inside', (t) => {
  const when = `when: 'has(call.tool) && call.tool.name == "pay"'`
  const denied = policyOf([ALLOW, `- { id: d, deny: '${A}', ${when} }`])
  t.equal(verdictInside(denied, item('tools pay')), 'deny denied-by-rule')
  t.equal(verdictInside(denied, item('tools read')), 'allow a')
  t.equal(verdictInside(denied, FAULT), 'deny malformed-body')
  const held = policyOf([ALLOW, `- { id: h, hold: '${A}', ${when} }`])
  t.equal(verdictInside(held, item('tools pay')), 'hold h')
  t.equal(verdictInside(held, item('tools read')), 'allow a')
  t.equal(verdictInside(held, FAULT), 'deny malformed-body')
  const allowed = policyOf(`- { id: a, allow: '${A}', when: '!has(call.tool)' }`)
  t.equal(verdictInside(allowed, {}), 'allow a')
  t.match(verdictInside(allowed, FAULT), /^deny/)
  t.end()
})

void t.test(
  'a body that was read as JSON is that, whatever another recogniser makes of it',
  (t) => {
    const policy = policyOf(`- { id: a, allow: '${A}', when: 'call.body.json.amount <= 100' }`)
    t.equal(verdictInside(policy, { ...FAULT, body: { json: { amount: 100 } } }), 'allow a')
    t.equal(
      verdictInside(policy, { ...FAULT, body: { json: { amount: 101 } } }),
      'deny operation-not-allowed',
    )
    t.end()
  },
)

void t.test(
  'an upgrade has nothing inside: conditions that look there are asked with that',
  (t) => {
    const verdictOf = (rules: string | readonly string[]): string => {
      const asked = askAbout('GET', 'https://a.test/', [])
      if ('connect' in asked) throw new Error('no call')
      const { verdict, reason, rule, inspectors } = decide(
        policyOf(rules),
        { ...asked, upgrade: true },
        MOMENT,
      )
      t.notOk(inspectors, 'there is nothing to read')
      return verdict === 'deny' ? `deny ${reason}` : `${verdict} ${rule?.id}`
    }
    const when = `when: 'call.body.json.amount <= 100'`
    t.equal(verdictOf("- { id: a, allow: 'wss://a.test' }"), 'allow a')
    t.equal(verdictOf(`- { id: a, allow: 'wss://a.test', ${when} }`), 'deny condition-error')
    t.equal(
      verdictOf([
        "- { id: a, allow: 'wss://a.test' }",
        `- { id: d, deny: 'wss://a.test', ${when} }`,
      ]),
      'deny condition-error',
    )
    t.equal(
      verdictOf([
        "- { id: a, allow: 'wss://a.test' }",
        `- { id: h, hold: 'wss://a.test', ${when} }`,
      ]),
      'deny condition-error',
    )
    t.equal(verdictOf("- { id: a, allow: 'wss://a.test', when: '!has(call.body)' }"), 'allow a')
    t.end()
  },
)

void t.test('what a deny will look at is read although its time has not come', (t) => {
  const between = "between: { days: [thu], from: '08:00', to: '18:00', zone: UTC }"
  const policy = policyOf([
    ALLOW,
    `- { id: d, deny: '${A}', ${between}, when: 'call.body.json.amount > 100' }`,
  ])
  t.same(decisionOn(policy, `POST ${A}/`).inspectors, ['body'])
  t.equal(verdictInside(policy, { body: { json: { amount: 101 } } }), 'allow a')
  t.end()
})
