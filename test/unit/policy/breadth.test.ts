// How wide a rule is, and what `check` says of it.

import t from 'tap'

import { breadthOf, breadthOfSet } from '../../../src/policy/breadth.ts'
import { checkRuleSet } from '../../../src/policy/check.ts'
import { ruleSet } from './ask.ts'

const rule = (keys: string): ReturnType<typeof ruleSet>['rules'][number] =>
  ruleSet(
    `ruleset: x\nparams: { p: { pattern: a } }\nrules:\n  - id: r\n    ${keys.replaceAll('; ', '\n    ')}\n`,
  ).rules[0]!

const score = (keys: string): number => breadthOf(rule(keys)).score

const codes = (keys: string): string[] =>
  checkRuleSet(ruleSet(`- id: r\n  ${keys.replaceAll('; ', '\n  ')}`)).map(
    ({ severity, code }) => `${severity} ${code}`,
  )

void t.test('R43: breadth is the sum of what a rule leaves open', (t) => {
  const narrow = 'allow: https://a.test; methods: [GET]; paths: [/a]; environment: prod'
  t.equal(score(narrow), 0)
  t.equal(score(narrow.replace('GET', 'POST')), 5)
  t.equal(score(narrow.replace('methods: [GET]; ', '')), 15)
  t.equal(score(narrow.replace('[/a]', '[/a, /*/b]')), 5)
  t.equal(score(narrow.replace('[/a]', '["/a/**"]')), 10)
  t.equal(score(narrow.replace('[/a]', '["/**"]')), 20)
  t.equal(score(narrow.replace('paths: [/a]; ', '')), 20)
  t.equal(score(narrow.replace('; environment: prod', '')), 10, 'whatever the task is')
  t.equal(score(narrow.replace('[/a]; environment: prod', '["/{p}"]')), 0)
  t.equal(score(narrow.replace('https://a.test', '"https://*.a.test"')), 20)
  t.equal(score(narrow.replace('https://a.test', '"https://*.test"')), 30)
  t.equal(score(narrow.replace('https://a.test', '"https://*"')), 40)
  t.equal(score(narrow.replace('https://a.test', '{ scheme: https, cidr: 10.0.0.0/8 }')), 30)
  t.equal(score(`${narrow}; addresses: [10.1.2.0/24]`), 5)
  t.equal(score(`${narrow}; addresses: [10.0.0.0/8]`), 10)
  t.equal(score(`${narrow.replace('environment: prod', '')}when: task.depth == 0`), 0)
  t.equal(score(narrow.replace('allow', 'hold')), 0)
  t.equal(score('allow: tls://a.test; environment: prod'), 40)
  t.equal(score('allow: "tcp://*:443"; addresses: [10.0.0.0/8]'), 100, 'anything anywhere')
  t.equal(score('deny: "https://*"'), 0)
  t.equal(score('allow: [https://a.test, "https://*.a.test"]'), 65, 'of its widest destination')
  t.end()
})

void t.test('what is looked for inside calls is narrower than any path', (t) => {
  const inside = (keys: string): number =>
    score(`allow: https://a.test; methods: [GET]; environment: prod; ${keys}`)
  t.equal(inside('tools: [get_issue]'), 0)
  t.equal(inside('tools: [get_*]'), 5)
  t.equal(inside('tools: ["*"]'), 10)
  t.equal(inside('models: [small]'), 0)
  t.equal(inside('serverTools: false'), 10)
  t.equal(inside('graphql: { fields: [a.b] }'), 5)
  t.equal(inside('git: { repos: [a/b] }'), 0)
  t.equal(inside('paths: [/mcp]; tools: ["*"]'), 0, 'the narrower of the two counts')
  t.end()
})

void t.test('a set is as wide as its widest rule', (t) => {
  const set = ruleSet(
    '- id: a\n  allow: https://a.test\n- id: b\n  allow: "https://*"\n- id: c\n  deny: "https://*"',
  )
  t.match(breadthOfSet(set), {
    score: 85,
    rules: [
      { id: 'a', score: 45, parts: [{ what: 'method', points: 15 }] },
      { id: 'b', score: 85 },
    ],
  })
  t.equal(breadthOfSet(set).rules.length, 2)
  t.equal(breadthOfSet(ruleSet('ruleset: x\nrules: []')).score, 0)
  t.end()
})

void t.test('R43: from sixty on a rule is called wide, if by nothing more exact', (t) => {
  t.same(codes('allow: "https://*.a.test"'), [
    'warning wide-wildcard',
    'warning resolves-names',
    'warning any-method',
  ])
  t.same(codes('allow: { scheme: https, cidr: 10.0.0.0/8 }'), [
    'warning wide-rule',
    'warning any-method',
  ])
  t.same(codes('allow: { scheme: https, cidr: 10.0.0.0/24 }; methods: [GET]'), [])
  t.same(codes('allow: "tls://*.test"; addresses: [10.0.0.0/8]'), [
    'warning wide-wildcard',
    'warning resolves-names',
  ])
  t.end()
})

void t.test('R34: a role alone permits nothing: an allow asks for a destination or a task', (t) => {
  const isRefused = (keys: string): boolean => codes(keys).includes('error allows-anything')
  t.ok(isRefused('allow: "https://*"'))
  t.ok(isRefused('allow: ["https://a.test", "http://*"]'))
  t.ok(isRefused('allow: "https://*"; paths: ["/**"]'), 'any path by another name')
  t.ok(isRefused('allow: "tls://*"'))
  t.ok(isRefused('allow: "tcp://*:22"'), 'a port is no destination')
  t.ok(isRefused('allow: { scheme: https, cidr: 0.0.0.0/0 }'))
  t.ok(isRefused('allow: "https://*"; credential: c'))
  t.ok(isRefused('allow: "https://*"; when: "true"'), 'a condition on nothing')
  t.ok(isRefused(`allow: "https://*"; when: '"task.a" != "call.b"'`), 'nor on texts')
  t.ok(isRefused(`allow: "https://*"; when: now > timestamp("2026-01-01T00:00:00Z")`))
  t.ok(isRefused(`allow: "https://*"; between: { from: '08:00', to: '18:00', zone: UTC }`))

  t.notOk(isRefused('allow: "https://*"; methods: [GET]'))
  t.notOk(isRefused('allow: "https://*"; paths: ["/v1/**"]'))
  t.notOk(isRefused('allow: "https://*"; query: { k: v }'))
  t.notOk(isRefused('allow: "https://*"; tools: [a]'))
  t.notOk(isRefused('allow: "https://*"; environment: dev'))
  t.notOk(isRefused(`allow: "https://*"; when: 'task.environment == "dev"'`))
  t.notOk(isRefused(`allow: "https://*"; when: 'call.host == "a.test"'`))
  t.notOk(isRefused('hold: "https://*"'), 'a person is asked')
  t.notOk(isRefused('allow: "https://*.a.test"'))
  t.notOk(isRefused('allow: https://a.test'))
  t.notOk(isRefused('allow: "https://*"; observe: true'), 'watching is how a list begins')
  t.notOk(isRefused('deny: "https://*"'))
  const tied = rule('allow: "https://*"; headers: { x-task: "{p}" }')
  t.notOk(
    checkRuleSet({ ...ruleSet('ruleset: x\nrules: []'), rules: [tied] }).some(
      ({ severity }) => severity === 'error',
    ),
  )
  t.end()
})
