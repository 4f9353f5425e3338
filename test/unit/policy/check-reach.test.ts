// What `check` says of rules that decide nothing: only where it is certain.

import { assert, property } from 'fast-check'
import t from 'tap'

import { checkTogether } from '../../../src/policy/check.ts'
import { findIdle } from '../../../src/policy/check-reach.ts'
import { compilePolicy } from '../../../src/policy/compile.ts'
import type { Rule, RuleSet } from '../../../src/policy/rule-set.ts'
import { ruleSet } from './ask.ts'
import {
  ADDRESSES,
  anyRuleTexts,
  alone,
  asked,
  callText,
  mayDial,
  moment,
  setOf,
  taskFacts,
} from './generate.ts'

const idle = (yaml: string): string[] =>
  findIdle([ruleSet(yaml)]).map(({ rule: { id }, finding }) => `${id} ${finding.code}`)

/** Two rules, `; ` between their keys. */
const two = (one: string, other: string): string[] =>
  idle(`- id: a\n  ${one}\n- id: b\n  ${other}`.replaceAll('; ', '\n  '))

void t.test('R43: an allow that is denied whole is pointed out, one that is not is not', (t) => {
  const dead = (allow: string, deny: string): boolean => {
    const found = two(`allow: ${allow}`, `deny: ${deny}`)
    t.same(
      found,
      two(`deny: ${deny}`, `allow: ${allow}`).map((each) => each.replace('b', 'a')),
    )
    return found.includes('a unreachable')
  }
  const host = 'https://a.test'
  t.ok(dead(host, host))
  t.ok(dead('https://a.test:8443', host), 'a deny is of every port')
  t.ok(dead('http://a.test', host), 'and of every scheme')
  t.ok(dead('tls://a.test', host))
  t.ok(dead(host, '"https://*.test"'))
  t.ok(dead('"https://*.a.test"', '"https://*.test"'))
  t.ok(dead('"https://*.test"', '"https://*"'))
  t.ok(dead('https://10.0.0.1', '{ cidr: 10.0.0.0/8 }'))
  t.ok(dead(`${host}; methods: [GET]`, `${host}; methods: [GET, PUT]`))
  t.ok(dead(`${host}; paths: [/a/b, /a/c/d]`, `${host}; paths: ["/a/**"]`))
  t.ok(dead(`${host}; query: { k: v, l: w }`, `${host}; query: { k: "v*" }`))
  t.ok(dead(`${host}; headers: { X-K: [v, vw] }`, `${host}; headers: { x-k: "v*" }`))
  t.ok(dead(`${host}; environment: dev`, `${host}; environment: [dev, prod]`))
  t.ok(dead(`${host}; tools: [a]`, host))

  t.notOk(dead(host, 'https://b.test'))
  t.notOk(dead(host, '"https://*.a.test"'), 'the apex is not below itself')
  t.notOk(dead(host, '{ cidr: 0.0.0.0/0 }'), 'a name is no address')
  t.notOk(dead('https://10.0.0.1', '"https://*"'), 'nor an address a name')
  t.notOk(dead(host, `${host}; ports: [8443]`))
  t.notOk(dead(host, `${host}; methods: [GET]`))
  t.notOk(dead(`${host}; methods: [GET, PUT]`, `${host}; methods: [GET]`))
  t.notOk(dead(host, `${host}; paths: ["/a/**"]`))
  t.notOk(dead(`${host}; paths: [/a, /b]`, `${host}; paths: [/a]`))
  t.notOk(dead(`${host}; paths: ["/a/**"]`, `${host}; paths: ["/a/*"]`))
  t.notOk(dead(`${host}; query: { k: "v*" }`, `${host}; query: { k: v }`))
  t.notOk(dead(host, `${host}; headers: { x-k: v }`))
  t.notOk(dead(host, `${host}; environment: dev`))
  t.notOk(dead(`${host}; tools: [a]`, `${host}; tools: [a]`), 'a session says more than its tools')
  t.notOk(dead(host, `${host}; observe: true`), 'what only watches takes nothing away')
  t.notOk(dead('tls://a.test', `${host}; paths: [/a]`), 'told as `deny-of-part`')
  t.end()
})

void t.test('several denies may leave nothing of an allow, or of one of its destinations', (t) => {
  const deny = (id: string, keys: string): string =>
    `- id: ${id}\n  deny: https://a.test\n  ${keys}`
  const allow = '- id: a\n  allow: [https://a.test, https://b.test]\n  methods: [GET, PUT]'
  const one = ruleSet(`${allow}\n${deny('d', 'methods: [GET]')}\n${deny('e', 'methods: [PUT]')}`)
  t.match(checkTogether([one]), [
    {
      code: 'unreachable',
      message: /no call to `https:\/\/a\.test`: rules `d`, `e` deny all of it/,
    },
  ])
  const paths = '- id: a\n  allow: https://a.test\n  paths: [/x, /y]'
  t.same(idle(`${paths}\n${deny('d', 'paths: [/x]')}\n${deny('e', 'paths: [/y]')}`), [
    'a unreachable',
  ])
  t.end()
})

void t.test('a set that is in force beside another one can deny all of an allow', (t) => {
  const one = ruleSet('- id: a\n  allow: https://a.test\n  methods: [GET]', 'one')
  const other = ruleSet('- id: d\n  deny: "https://*.test"', 'other')
  t.same(checkTogether([one]), [])
  t.match(checkTogether([other, one]), [
    {
      file: 'one.yaml',
      severity: 'warning',
      code: 'unreachable',
      message: 'matches no call: rule `other/d` denies all that it is for',
    },
  ])
  t.end()
})

void t.test('an allow that an earlier one says already is pointed out', (t) => {
  const shadowed = (one: string, other: string): boolean =>
    two(`allow: ${one}`, `allow: ${other}`).includes('b shadowed')
  const host = 'https://a.test'
  t.ok(shadowed(host, host))
  t.ok(shadowed('"https://*.test"', `${host}; methods: [GET]`))
  t.ok(shadowed('wss://a.test', host))
  t.ok(shadowed(`${host}; paths: ["/a/**"]`, `${host}; paths: [/a/b, /a]`))
  t.ok(shadowed(`${host}; credential: c`, `${host}; credential: c; methods: [GET]`))
  t.ok(shadowed(`${host}; clientAuth: drop`, `${host}; methods: [GET]`))
  t.ok(shadowed(`${host}; tools: ["a*"]`, `${host}; tools: [ab]`))
  t.ok(shadowed(host, `${host}; observe: true`))
  t.ok(shadowed(`${host}; paths: ["/{p}/**"]`.replace('{p}', 'p'), `${host}; paths: [/p/x]`))

  t.notOk(shadowed(`${host}; methods: [GET]`, host), 'the later one is wider')
  t.notOk(shadowed(host, 'wss://a.test'), 'an upgrade is more')
  t.notOk(shadowed(host, 'https://a.test:8443'))
  t.notOk(shadowed(host, `${host}; credential: c`))
  t.notOk(shadowed(host, `${host}; limit: { bodyBytes: 10 }`), 'it makes the call owe more')
  t.notOk(shadowed(host, `${host}; data: internal`))
  t.notOk(shadowed(`${host}; observe: true`, host))
  t.notOk(shadowed(`${host}; tools: [a]`, host))
  t.notOk(shadowed(`${host}; tools: [a]`, `${host}; tools: [a, b]`))
  t.notOk(shadowed(`${host}; environment: dev`, host))
  t.notOk(shadowed(`${host}; paths: [/a, /b]`, `${host}; paths: [/a, /c]`))
  t.notOk(shadowed('{ scheme: https, cidr: 169.254.0.0/16 }', 'https://169.254.169.254'))
  t.same(
    findIdle([
      ruleSet(`- id: a\n  allow: ${host}`, 'x'),
      ruleSet(`- id: a\n  allow: ${host}`, 'y'),
    ]),
    [],
  )
  t.end()
})

void t.test('holds are denied whole, held already, and hold what an allow lets pass', (t) => {
  const host = 'https://a.test'
  t.same(two(`hold: ${host}`, 'deny: "https://*.test"'), ['a unreachable'])
  t.same(two(`hold: ${host}`, `hold: ${host}; methods: [PUT]`), ['b shadowed'])
  t.same(two(`allow: ${host}; methods: [PUT]`, `hold: ${host}`), ['a shadowed'])
  t.same(two(`hold: ${host}`, `allow: ${host}; methods: [PUT]`), ['b shadowed'])
  t.same(two(`hold: ${host}; separate: true`, `allow: ${host}`), ['b shadowed'])
  t.same(two(`allow: ${host}`, `hold: ${host}; methods: [PUT]`), [])
  t.same(two(`hold: ${host}`, `hold: ${host}; separate: true`), [], 'other people approve')
  t.same(two(`hold: ${host}`, `allow: ${host}; credential: c`), [])
  t.end()
})

void t.test('what does not always count is no reason for another rule not to be there', (t) => {
  const host = 'https://a.test'
  const window = "between: { from: '08:00', to: '18:00', zone: UTC }"
  for (const timed of [window, 'expires: 2040-01-01']) {
    t.same(two(`allow: ${host}`, `deny: ${host}; ${timed}`), [], timed)
    t.same(two(`allow: ${host}; ${timed}`, `allow: ${host}`), [], timed)
    t.same(two(`deny: ${host}; ${timed}`, `deny: ${host}`), ['a shadowed'], timed)
    t.same(two(`allow: ${host}; ${timed}`, `deny: ${host}`), ['a unreachable'], timed)
    t.same(two(`allow: ${host}`, `allow: ${host}; ${timed}`), ['b shadowed'], timed)
  }
  t.same(two(`hold: ${host}`, `hold: ${host}; ${window}`), [], 'outside its window it denies')
  t.end()
})

void t.test(
  'a deny that another one says already is pointed out, of two equal ones the later',
  (t) => {
    const host = 'https://a.test'
    t.same(two(`deny: ${host}`, `deny: ${host}; methods: [PUT]`), ['b shadowed'])
    t.same(two(`deny: ${host}; paths: [/a/b]`, `deny: ${host}; paths: ["/a/*"]`), ['a shadowed'])
    t.same(two(`deny: ${host}`, `deny: ${host}`), ['b shadowed'])
    t.same(two(`deny: ${host}; ports: [80, 81]`, `deny: ${host}; ports: [80]`), ['b shadowed'])
    t.same(two(`deny: ${host}; tools: [a]`, `deny: ${host}; tools: [a]`), ['b shadowed'])
    t.same(two(`deny: ${host}; methods: [GET]`, `deny: ${host}; methods: [PUT]`), [])
    t.same(two(`deny: ${host}; observe: true`, `deny: ${host}; methods: [GET]`), [])
    t.end()
  },
)

void t.test("what a task's values decide is not said", (t) => {
  const file = (rules: string): string[] =>
    idle(`ruleset: x\nparams: { p: { pattern: '.*' }, q: { pattern: '.*' } }\nrules:\n${rules}`)
  const rule = (id: string, text: string): string => `  - { id: ${id}, ${text} }\n`
  const denied = (allow: string, deny: string): boolean =>
    file(rule('a', `allow: ${allow}`) + rule('d', `deny: ${deny}`)).includes('a unreachable')
  t.ok(denied('"https://{p}"', '"https://{p}"'))
  t.ok(denied('"https://{p}"', '"https://*"'))
  t.ok(denied('https://b.test, paths: ["/x/{p}"]', 'https://b.test, paths: ["/x/{p}"]'))
  t.ok(denied('https://b.test, paths: ["/x/{p}"]', 'https://b.test, paths: ["/x/**"]'))
  t.ok(denied('https://b.test, query: { k: "{p}" }', 'https://b.test, query: { k: "*" }'))
  t.notOk(denied('"https://{p}"', '"https://{q}"'))
  t.notOk(denied('"https://{p}"', '"https://*.test"'))
  t.notOk(denied('https://b.test, paths: ["/x/{p}"]', 'https://b.test, paths: ["/x/*"]'))
  t.notOk(denied('https://b.test, paths: ["/x/y"]', 'https://b.test, paths: ["/x/{p}"]'))
  t.notOk(denied('https://b.test, query: { k: v }', 'https://b.test, query: { k: "{p}" }'))
  t.end()
})

const without = (set: RuleSet, dead: ReadonlySet<Rule>): RuleSet => ({
  ...set,
  rules: set.rules.filter((rule) => !dead.has(rule)),
})

void t.test(
  'R43: rules that are said to decide nothing can go without changing any answer',
  (t) => {
    let found = 0
    assert(
      property(anyRuleTexts, callText, taskFacts, moment, (rules, call, task, when) => {
        const set = setOf(rules)
        const told = findIdle([set])
        found += told.length
        if (told.length === 0) return true
        const dead = new Set(
          told.filter(({ finding }) => !/no call to/.test(finding.message)).map(({ rule }) => rule),
        )
        const question = asked(call)
        const answers = [set, without(set, dead)].map((each) => {
          const { policy } = compilePolicy({
            sets: [each],
            always: [],
            params: {},
            task,
          })
          if (policy === undefined) throw new Error('no policy')
          const decision = alone(policy, question, when)
          // Nothing is sent by opening a tunnel that is looked into: each call inside is judged by itself.
          const { verdict, obligations, wouldDeny, addresses } = decision
          if (verdict === 'allow' && 'mode' in decision && decision.mode === 'inspect')
            return 'a tunnel'
          const dialed = ADDRESSES.filter((address) => mayDial(question, addresses, address))
          return JSON.stringify({
            verdict,
            obligations,
            wouldDeny: wouldDeny !== undefined,
            dialed,
          })
        })
        if (answers[0] === 'a tunnel') return true
        return answers[0] === answers[1]
      }),
      { numRuns: 3000 },
    )
    t.ok(found > 50, `${found} found`)
    t.end()
  },
)
