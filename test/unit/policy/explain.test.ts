// The trace that explains a decision.

import t from 'tap'

import { explain } from '../../../src/policy/explain.ts'
import { askAbout } from '../../../src/policy/written-call.ts'
import { MOMENT, decisionOn, policyOf } from './ask.ts'

const policy = policyOf(
  [
    `- id: exact
  allow: https://a.test
  methods: [GET]
  paths: [/x]
- id: port
  allow: [https://a.test:8443, https://c.test]
- id: scheme
  allow: http://a.test:443
- id: query
  allow: https://a.test
  query: { k: v }
- id: headers
  allow: https://a.test
  headers: { k: v }
- id: elsewhere
  allow: https://a.test
  environment: prod
- id: part
  deny: https://a.test
  paths: [/secret]
- id: pinned
  allow: tls://a.test`,
  ],
  {
    environment: 'dev',
    always: ['- id: guard\n  allow: "https://*"\n- id: lan\n  deny: { cidr: 10.0.0.0/8 }'],
  },
)

const trace = (method: string, target: string): string[] =>
  explain(policy, askAbout(method, target, []), MOMENT).trace.map(
    ({ rule, verdict, matched, failedAt, at }) =>
      `${at} ${verdict} ${rule.ruleset}/${rule.id} ${matched ? 'matched' : failedAt}`,
  )

void t.test(
  'R26: every rule in force is traced in order, to the dimension at which it failed',
  (t) => {
    t.same(trace('GET', 'https://a.test/x'), [
      'always0.yaml:3:5 allow always0/guard always-allow',
      'always0.yaml:5:5 deny always0/lan host',
      'set0.yaml:3:5 allow set0/exact matched',
      'set0.yaml:7:5 allow set0/port port',
      'set0.yaml:9:5 allow set0/scheme scheme',
      'set0.yaml:11:5 allow set0/query query',
      'set0.yaml:14:5 allow set0/headers headers',
      'set0.yaml:17:5 allow set0/elsewhere environment',
      'set0.yaml:20:5 deny set0/part path',
      'set0.yaml:23:5 allow set0/pinned scheme',
    ])
    t.match(trace('POST', 'https://a.test/secret'), [
      /guard always-allow/,
      /lan host/,
      /exact method/,
      /port port/,
      /scheme scheme/,
      /query query/,
      /headers headers/,
      /elsewhere environment/,
      /part matched/,
      /pinned scheme/,
    ])
    t.match(trace('GET', 'https://10.1.1.1/'), [/guard host/, /lan matched/, /exact host/])
    t.match(trace('CONNECT', 'a.test:443'), [
      /guard always-allow/,
      /lan host/,
      /exact matched/,
      /port port/,
      /scheme matched/,
      /query matched/,
      /headers matched/,
      /elsewhere environment/,
      /part path/,
      /pinned scheme/,
    ])
    t.end()
  },
)

void t.test('R53: the decision that is explained is the one that live traffic gets', (t) => {
  for (const call of [
    'GET https://a.test/x',
    'POST https://a.test/secret',
    'GET https://zzz.test/',
    'CONNECT a.test:443',
    'CONNECT b.test:443',
  ]) {
    const [method = '', target = ''] = call.split(' ')
    const { decision } = explain(policy, askAbout(method, target, []), MOMENT)
    t.same(decision, decisionOn(policy, call), call)
  }
  t.end()
})
