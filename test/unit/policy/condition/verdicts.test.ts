// What a condition does to a rule's verdict: true, false and error, of allows, denies and holds, by the head alone and with what
// is inside.

import * as fc from 'fast-check'
import t from 'tap'

import { readContent } from '../../../../src/understand/read-content.ts'
import { checkTests } from '../../../../src/policy/check.ts'
import type { Content } from '../../../../src/policy/subject.ts'
import { decisionOn, policyOf, ruleSet } from '../ask.ts'

/** The verdict on `GET https://a.test/` and its reason. */
function verdictOf(rules: string, content?: Content, call = 'GET https://a.test/'): string {
  const { verdict, reason, rule } = decisionOn(policyOf(rules), call, [], content)
  return `${verdict} ${reason} ${rule?.id ?? '-'}`
}

const ALL = '- { id: all, allow: https://a.test }\n'
const rule = (verdict: string, when: string, more = ''): string =>
  `- { id: it, ${verdict}: https://a.test, when: '${when}'${more} }`

const TRUE = 'call.port == 443'
const FALSE = 'call.port == 80'
const ERROR = 'task.intent == "x"'

void t.test('true, false and error mean what they do for each verdict', (t) => {
  t.equal(verdictOf(rule('allow', TRUE)), 'allow allowed it')
  t.equal(verdictOf(rule('allow', FALSE)), 'deny operation-not-allowed -')
  t.equal(verdictOf(rule('allow', ERROR)), 'deny condition-error -')
  t.equal(verdictOf(ALL + rule('allow', ERROR)), 'allow allowed all')
  t.equal(verdictOf(ALL + rule('deny', TRUE)), 'deny denied-by-rule it')
  t.equal(verdictOf(ALL + rule('deny', FALSE)), 'allow allowed all')
  t.equal(verdictOf(ALL + rule('deny', ERROR)), 'deny condition-error it')
  t.equal(verdictOf(ALL + rule('hold', TRUE)), 'hold approval-pending it')
  t.equal(verdictOf(ALL + rule('hold', FALSE)), 'allow allowed all')
  t.equal(verdictOf(ALL + rule('hold', ERROR)), 'deny condition-error it')
  t.end()
})

void t.test('a condition is asked of rules alone whose other keys matched', (t) => {
  t.equal(verdictOf(ALL + rule('deny', ERROR, ', methods: [POST]')), 'allow allowed all')
  t.equal(verdictOf(ALL + rule('deny', ERROR, ', paths: [/x]')), 'allow allowed all')
  t.equal(verdictOf(ALL + rule('deny', ERROR, ', methods: [GET]')), 'deny condition-error it')
  t.end()
})

void t.test('what a condition reads inside is not asked by the head alone', (t) => {
  const reads = 'call.body.json.amount > 100'
  const body = (amount: unknown): Content => ({ body: { json: { amount } } })
  const POST = 'POST https://a.test/'
  const over = ALL + rule('deny', reads)
  t.match(decisionOn(policyOf(over), POST), { verdict: 'allow', inspectors: ['body'] })
  t.equal(verdictOf(over, body(101), POST), 'deny denied-by-rule it')
  t.equal(verdictOf(over, body(100), POST), 'allow allowed all')
  t.equal(verdictOf(over, body('x'), POST), 'deny condition-error it')
  t.equal(verdictOf(over, {}, POST), 'deny condition-error it')
  const held = ALL + rule('hold', reads)
  t.match(decisionOn(policyOf(held), POST).inspectors, ['body'])
  t.equal(verdictOf(held, body(101), POST), 'hold approval-pending it')
  t.equal(verdictOf(held, body(100), POST), 'allow allowed all')
  const within = rule('allow', '!(call.body.json.amount > 100)')
  t.match(decisionOn(policyOf(within), POST), { verdict: 'allow', inspectors: ['body'] })
  t.equal(verdictOf(within, body(101), POST), 'deny operation-not-allowed -')
  t.equal(verdictOf(within, body(100), POST), 'allow allowed it')
  t.equal(verdictOf(within, {}, POST), 'deny condition-error -')
  t.equal(decisionOn(policyOf(ALL + rule('deny', FALSE)), POST).inspectors, undefined)
  t.end()
})

void t.test(
  "a tool is shown by its name, and called with what its rule's condition allows",
  (t) => {
    const tool = (args: unknown, more: object = {}): Content => ({
      mcp: { kind: 'item', method: '', list: 'tools', name: 'pay', arguments: args, ...more },
    })
    const pay = rule('allow', 'call.tool.arguments.amount <= 100', ', tools: [pay]')
    t.equal(verdictOf(pay, tool(undefined, { isShown: true })), 'allow allowed it')
    t.equal(verdictOf(pay, tool({ amount: 100 })), 'allow allowed it')
    t.equal(verdictOf(pay, tool({ amount: 101 })), 'deny operation-not-allowed -')
    t.equal(verdictOf(pay, tool(undefined)), 'deny condition-error -')
    t.equal(verdictOf(pay, { mcp: { kind: 'session', method: 'ping' } }), 'allow allowed it')
    const denied = ALL + rule('deny', 'call.tool.arguments.amount > 100', ", tools: ['*']")
    t.equal(verdictOf(denied, tool(undefined, { isShown: true })), 'allow allowed all')
    t.equal(verdictOf(denied, tool({ amount: 101 })), 'deny denied-by-rule it')
    t.equal(verdictOf(denied, { mcp: { kind: 'session', method: 'ping' } }), 'allow allowed all')
    t.end()
  },
)

void t.test('of a tunnel that nobody sees into a condition knows host and port', (t) => {
  const tunnel = (when: string): string => {
    const policy = policyOf(`- { id: it, allow: 'tcp://a.test:22', when: '${when}' }`)
    const { verdict, reason } = decisionOn(policy, 'CONNECT a.test:22')
    return `${verdict} ${reason}`
  }
  t.equal(tunnel('call.port == 22 && call.host == "a.test"'), 'allow allowed')
  t.equal(tunnel('call.port == 23'), 'deny operation-not-allowed')
  for (const when of [
    'call.method == "GET"',
    'call.path == "/"',
    '"a" in call.query',
    '"a" in call.headers',
  ])
    t.equal(tunnel(when), 'deny condition-error', when)
  t.end()
})

void t.test(
  'a deny that cannot be evaluated denies, and an allow that cannot does not match, whatever it is',
  (t) => {
    const erring = fc.constantFrom(
      'task.intent == "x"',
      'call.query.a == "1"',
      'call.headers["x"] != "1"',
      'call.segments[7] == "x"',
      'call.port / 0 == 1',
      'int("x") == 1',
      'destination.data != "public"',
      '!(task.depth > 1)',
    )
    const around = fc.constantFrom(
      '%',
      '!(%)',
      '% && true',
      'false || %',
      '% || false',
      '(% ? true : false)',
    )
    fc.assert(
      fc.property(erring, around, (text, shape) => {
        const when = shape.replace('%', text)
        if (verdictOf(ALL + rule('deny', when)) !== 'deny condition-error it') throw new Error(when)
        if (verdictOf(rule('allow', when)) !== 'deny condition-error -') throw new Error(when)
        if (verdictOf(ALL + rule('allow', when)) !== 'allow allowed all') throw new Error(when)
      }),
    )
    t.end()
  },
)

void t.test('R27: the tests of a rule file ask conditions as live calls do', (t) => {
  const file = `ruleset: pay
rules:
  - id: pay
    allow: https://a.test/pay
    methods: [POST]
    when: call.body.json.amount <= 100 && task.environment == "prod"
tests:
  - call: POST https://a.test/pay
    task: { environment: prod }
    headers: { Content-Type: application/json }
    body: '{"amount": 100}'
    expect: allow pay
  - call: POST https://a.test/pay
    task: { environment: prod }
    headers: { Content-Type: application/json }
    body: '{"amount": 101}'
    expect: deny operation-not-allowed
  - call: POST https://a.test/pay
    task: { environment: prod }
    body: '{"amount": 100}'
    expect: deny condition-error
`
  for (const { passed, name, got } of checkTests(ruleSet(file), readContent))
    t.ok(passed, `${name}: ${got}`)
  t.end()
})
