// A task that observes: what nothing allows passes and says for what it would be refused; everything else is as ever.

import t from 'tap'

import { comparePolicies } from '../../../src/policy/narrow.ts'
import { decideConnectTogether, decideTogether } from '../../../src/policy/conjunction.ts'
import type { Decision } from '../../../src/policy/decision.ts'
import { askAbout } from '../../../src/policy/written-call.ts'
import { connectTo, decisionOn, MOMENT, policyOf } from './ask.ts'

const RULES = `
- id: r
  allow: https://a.test
  methods: [GET]
  paths: [/x]
  credential: key
- id: no
  deny: https://b.test
- id: ask
  hold: https://h.test
`
const observing = policyOf(RULES, { task: { observe: true } })
const enforcing = policyOf(RULES)

const summary = ({ verdict, reason, rule, wouldDeny, obligations }: Decision): string =>
  [verdict, rule?.id ?? '-', wouldDeny ?? reason, obligations.credential ?? '-'].join(' ')

void t.test('R80: what nothing allows passes without a rule and without its credential', (t) => {
  const on = (call: string): string => summary(decisionOn(observing, call))
  t.equal(on('GET https://a.test/x'), 'allow r allowed key', 'what is allowed is as ever')
  t.equal(on('GET https://a.test/y'), 'allow - path-not-allowed -')
  t.equal(on('POST https://a.test/x'), 'allow - method-not-allowed -')
  t.equal(on('GET https://c.test/'), 'allow - not-on-allowlist -')
  t.equal(on('GET https://192.0.2.1/'), 'allow - ip-not-on-allowlist -')
  t.equal(on('GET wss://a.test/x'), 'allow - protocol-not-allowed -')
  t.equal(summary(decisionOn(enforcing, 'GET https://c.test/')), 'deny - not-on-allowlist -')
  t.end()
})

void t.test('R80: denies, holds and what cannot be read are as without it', (t) => {
  for (const call of ['GET https://b.test/', 'GET https://h.test/'])
    t.strictSame(decisionOn(observing, call), decisionOn(enforcing, call), call)
  const content = { fault: 'malformed-body' } as const
  const inside = policyOf('- id: q\n  allow: https://a.test/mcp\n  tools: [t]', {
    task: { observe: true },
  })
  t.match(decisionOn(inside, 'POST https://a.test/mcp', [], content), {
    verdict: 'deny',
    reason: 'malformed-body',
  })
  t.match(decisionOn(inside, 'POST https://a.test/mcp', [], {}), {
    verdict: 'allow',
    wouldDeny: 'protocol-not-allowed',
  })
  t.end()
})

void t.test('R80: sets that bind every task still deny, hold, and limit', (t) => {
  const policy = policyOf('- id: r\n  allow: https://a.test', {
    task: { observe: true },
    always: [
      `- id: never\n  deny: https://n.test\n- id: person\n  hold: https://p.test\n- id: small\n  allow: https://s.test\n  limit: { bodyBytes: 5 }`,
    ],
  })
  t.match(decisionOn(policy, 'GET https://n.test/'), { verdict: 'deny', reason: 'denied-by-rule' })
  t.match(decisionOn(policy, 'GET https://p.test/'), {
    verdict: 'hold',
    wouldDeny: 'not-on-allowlist',
  })
  t.match(decisionOn(policy, 'GET https://s.test/'), {
    verdict: 'allow',
    obligations: { bodyBytesMax: 5 },
  })
  t.end()
})

void t.test('R80: ceilings, flow and addresses are as without it', (t) => {
  const policy = policyOf(
    '- id: r\n  allow: https://a.test\n  data: internal\n- id: range\n  deny: { scheme: https, cidr: 10.0.0.0/8 }',
    { task: { observe: true, ceiling: 'public' } },
  )
  t.match(decisionOn(policy, 'GET https://a.test/'), {
    verdict: 'deny',
    reason: 'classification-ceiling',
  })
  const asked = askAbout('GET', 'https://c.test/', [])
  if ('connect' in asked) throw new Error('no call')
  t.match(decideTogether([policy], asked, { ...MOMENT, read: 'internal' }), {
    verdict: 'deny',
    reason: 'flow-violation',
  })
  t.match(decisionOn(policy, 'GET https://c.test/'), {
    verdict: 'allow',
    addresses: { allowed: [], denied: [{ text: '10.0.0.0/8' }] },
  })
  t.end()
})

void t.test('R80: a tunnel that nothing allows is looked into', (t) => {
  t.match(connectTo(observing, 'c.test:443'), {
    verdict: 'allow',
    mode: 'inspect',
    wouldDeny: 'not-on-allowlist',
  })
  t.match(connectTo(observing, 'b.test:443'), { verdict: 'deny' })
  t.end()
})

void t.test('R80: a child that observes is bound by a parent that enforces', (t) => {
  const asked = (call: string): Decision => {
    const [method = '', url = ''] = call.split(' ')
    const question = askAbout(method, url, [])
    if ('connect' in question)
      return decideConnectTogether([observing, enforcing], question.connect, MOMENT)
    return decideTogether([observing, enforcing], question, MOMENT)
  }
  t.match(asked('GET https://c.test/'), { verdict: 'deny', ancestor: 1 })
  t.match(asked('CONNECT c.test:443'), { verdict: 'deny', ancestor: 1 })
  t.match(asked('GET https://a.test/x'), { verdict: 'allow', obligations: { credential: 'key' } })
  t.end()
})

void t.test("R80: what a parent only observes passes without the child's credential", (t) => {
  const child = policyOf('- id: c\n  allow: https://c.test\n  credential: key')
  const question = askAbout('GET', 'https://c.test/', [])
  if ('connect' in question) throw new Error('no call')
  const decision = decideTogether([child, observing], question, MOMENT)
  t.match(decision, { verdict: 'allow', rule: { id: 'c' }, wouldDeny: 'not-on-allowlist' })
  t.equal(decision.obligations.credential, undefined)
  t.match(
    comparePolicies(child, observing, MOMENT.now).widened,
    [{ axis: /./ }],
    'rules are compared, not what passes for observing',
  )
  t.end()
})
