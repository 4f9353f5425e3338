// Proves which names a task is told of: those that some rule could allow, whatever else the rule asks for.

import t from 'tap'

import type { PolicyChain } from '../../../src/policy/conjunction.ts'
import { isNameWritten, mayAllowName } from '../../../src/policy/may-allow-name.ts'
import { MOMENT, policyOf } from './ask.ts'

const chain = (yaml: string, ...above: readonly string[]): PolicyChain => [
  policyOf(yaml, { environment: 'test' }),
  ...above.map((each) => policyOf(each)),
]
const may = (policies: PolicyChain, host: string): boolean =>
  mayAllowName(policies, host, MOMENT.now)

const RULES = `- { id: a, allow: 'https://a.test', methods: [GET], paths: [/x] }
- { id: b, allow: 'tcp://b.test:5432' }
- { id: below, allow: 'wss://*.wild.test' }
- { id: night, allow: 'http://night.test', between: { from: '03:00', to: '03:01', zone: UTC } }
- { id: when, allow: 'https://when.test', when: 'call.method == "PUT"' }
- { id: held, hold: 'https://held.test' }
- { id: seen, allow: 'https://seen.test', observe: true }
- { id: later, allow: 'https://later.test', expires: 2026-02-01 }
- { id: over, allow: 'https://over.test', expires: 2026-01-05 }
- { id: prod, allow: 'https://prod.test', environment: prod }
- { id: range, allow: { scheme: https, cidr: 10.0.0.0/8 } }
- { id: no, deny: 'https://no.test' }
- { id: part, deny: 'https://a.test', methods: [PUT] }`

void t.test('R36: a name is told of where a rule could allow a call to it', (t) => {
  const policies = chain(RULES)
  const names = ['a', 'b', 'x.wild', 'y.x.wild', 'night', 'when', 'held', 'seen', 'later']
  for (const name of names) t.ok(may(policies, `${name}.test`), name)
  for (const name of ['over', 'prod', 'no', 'wild', 'x.a', 'test.a'])
    t.notOk(may(policies, `${name}.test`), name)
  t.notOk(may(policies, '10.1.2.3'))
  t.ok(may(chain("- { id: all, allow: 'https://*' }"), 'any.test'))
  t.notOk(may(chain("- { id: none, deny: 'https://*' }"), 'any.test'))
  t.end()
})

void t.test('R36: every task above has to have such a rule, too', (t) => {
  const below = "- { id: w, allow: 'https://*.test' }"
  t.ok(may(chain(below, RULES), 'a.test'))
  t.notOk(may(chain(below, RULES), 'c.test'))
  t.notOk(may(chain(below, below, RULES), 'c.test'))
  t.notOk(may(chain(RULES, below), 'c.test'))
  t.end()
})

void t.test('a task that observes may ask for any name, unless one above it may not', (t) => {
  const observing = policyOf(RULES, { task: { observe: true } })
  t.ok(may([observing], 'any.test'))
  t.notOk(may([observing, policyOf(RULES)], 'any.test'))
  t.ok(may([observing, policyOf(RULES)], 'a.test'))
  t.ok(may([policyOf(RULES), observing], 'a.test'))
  t.end()
})

void t.test('what sets that bind every task hold, they do not allow', (t) => {
  const always = ["- { id: ask, hold: 'https://ask.test' }"]
  t.notOk(may([policyOf(RULES, { always })], 'ask.test'))
  t.ok(may([policyOf(RULES, { always })], 'held.test'))
  t.end()
})

void t.test('a name is written where every task of the chain has a rule that writes it', (t) => {
  const below = "- { id: w, allow: 'https://*.test' }\n- { id: n, deny: 'https://d.test' }"
  t.ok(isNameWritten(chain(RULES), 'a.test'))
  t.ok(isNameWritten(chain(RULES), 'held.test'))
  t.notOk(isNameWritten(chain(RULES), 'x.wild.test'))
  t.notOk(isNameWritten(chain(below), 'd.test'), 'a deny writes nothing')
  t.ok(isNameWritten(chain(`${below}\n- { id: a, allow: 'https://a.test' }`), 'a.test'))
  t.notOk(isNameWritten(chain(RULES, below), 'a.test'), 'whoever made the child chose it')
  t.ok(isNameWritten(chain(RULES, RULES), 'a.test'))
  t.end()
})
