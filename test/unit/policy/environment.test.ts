// Rules for tasks of one environment.

import t from 'tap'

import { checkTests } from '../../../src/policy/rule-tests.ts'
import { readContent } from '../../../src/understand/read-content.ts'
import { parseRuleSet } from '../../../src/policy/parse.ts'
import type { Policy } from '../../../src/policy/compile.ts'
import { connectTo, decisionOn, policyOf, ruleSet, verdictOn } from './ask.ts'

const RULES = `
- id: both
  allow: https://both.test
  environment: [dev, prod]
- id: prod
  allow: https://prod.test
  paths: [/x]
  environment: prod
- id: pinned
  allow: tls://pinned.test
  environment: prod
- id: open
  allow: [https://open.test, tls://opaque.test]
- id: no-writes
  deny: ["https://open.test", "https://opaque.test"]
  methods: [PUT]
  environment: prod`

const as = (environment?: string): Policy =>
  policyOf(RULES, environment === undefined ? {} : { environment })

void t.test('R28: a dev task does not reach a destination of prod, a prod task does', (t) => {
  const url = 'GET https://prod.test/x'
  t.equal(verdictOn(as('dev'), url), 'deny environment-mismatch')
  t.equal(verdictOn(as('prod'), url), 'allow prod')
  t.equal(verdictOn(as('PROD'), url), 'deny environment-mismatch', 'labels have case')
  t.equal(verdictOn(as(), url), 'deny environment-mismatch', 'nor where nobody knows')
  t.equal(verdictOn(as('dev'), 'GET https://prod.test/y'), 'deny path-not-allowed')
  for (const label of ['dev', 'prod'])
    t.equal(verdictOn(as(label), 'GET https://both.test/'), 'allow both')
  t.equal(verdictOn(as('test'), 'GET https://both.test/'), 'deny environment-mismatch')
  t.equal(verdictOn(as('test'), 'GET https://open.test/'), 'allow open', 'without the key: any')
  t.end()
})

void t.test('R28: a deny for an environment denies the tasks of that environment', (t) => {
  const url = 'PUT https://open.test/'
  t.equal(verdictOn(as('prod'), url), 'deny denied-by-rule')
  t.equal(verdictOn(as('dev'), url), 'allow open')
  t.equal(verdictOn(as(), url), 'deny denied-by-rule', 'and those of which nobody knows')
  const ranges = `- id: r\n  allow: https://a.test\n- id: d\n  deny: { cidr: 10.0.0.0/8 }\n  environment: prod`
  const denied = (environment: string): string[] =>
    decisionOn(policyOf(ranges, { environment }), 'GET https://a.test/').addresses.denied.map(
      ({ text }) => text,
    )
  t.same(denied('prod'), ['10.0.0.0/8'])
  t.same(denied('dev'), [])
  t.end()
})

void t.test('R28: a tunnel opens for tasks of the environment only', (t) => {
  const at = (authority: string, environment?: string): string => {
    const { verdict, reason, mode } = connectTo(as(environment), authority)
    return verdict === 'allow' ? mode : reason
  }
  t.equal(at('prod.test:443', 'prod'), 'inspect')
  t.equal(at('prod.test:443', 'dev'), 'environment-mismatch')
  t.equal(at('prod.test:443'), 'environment-mismatch')
  t.equal(at('pinned.test:443', 'prod'), 'tls')
  t.equal(at('pinned.test:443', 'dev'), 'environment-mismatch')
  t.equal(at('opaque.test:443', 'prod'), 'denied-by-rule', 'the deny of a part denies all of it')
  t.equal(at('opaque.test:443', 'dev'), 'tls')
  const either = `- id: seen\n  allow: https://a.test\n  environment: dev\n- id: passed\n  allow: tls://a.test\n  environment: prod`
  const mode = (environment: string): string =>
    connectTo(policyOf(either, { environment }), 'a.test:443').mode
  t.equal(mode('dev'), 'inspect')
  t.equal(mode('prod'), 'tls', 'a rule of another environment has nothing inspected')
  t.end()
})

void t.test('R28: what binds every task binds also where the environment is not known', (t) => {
  const bound = (environment?: string): number | undefined =>
    decisionOn(
      policyOf('- id: r\n  allow: https://a.test', {
        always: [
          '- id: small\n  allow: "https://*"\n  limit: { bodyBytes: 5 }\n  environment: prod',
        ],
        ...(environment !== undefined && { environment }),
      }),
      'GET https://a.test/',
    ).obligations.bodyBytesMax
  t.equal(bound('prod'), 5)
  t.equal(bound(), 5)
  t.equal(bound('dev'), undefined)
  t.end()
})

void t.test('R28: an observed allow would deny by environment', (t) => {
  const policy = policyOf(
    '- id: seen\n  allow: "https://*"\n  observe: true\n- id: r\n  allow: https://a.test\n  environment: prod',
    { environment: 'dev' },
  )
  t.match(decisionOn(policy, 'GET https://a.test/'), {
    verdict: 'allow',
    rule: { id: 'seen' },
    wouldDeny: 'environment-mismatch',
  })
  t.end()
})

const file = (rule: string, tests = ''): string =>
  `ruleset: x\nrules:\n  - id: r\n    allow: https://a.test\n    ${rule}\n${tests}`
const problems = (source: string): string[] =>
  parseRuleSet(source, 'x').problems.map(
    ({ line, column, code, message }) => `${line}:${column} ${code}: ${message}`,
  )

void t.test('an environment is a label or a list of one to sixteen', (t) => {
  t.same(problems(file('environment: prod')), [])
  t.same(problems(file('environment: [dev, "1"]')), [])
  const many = (count: number): string => file(`environment: [${'a, '.repeat(count)}]`)
  t.same(problems(many(16)), [])
  t.match(problems(many(17)), [/^5:18 wrong-value: expected at most 16 environments/])
  t.match(problems(file('environment: []')), [/^5:18 wrong-value: expected at least one/])
  t.match(problems(file('environment: 1')), [/^5:18 wrong-type: expected an environment or a list/])
  t.match(problems(file('environment: [1]')), [/^5:19 wrong-type: expected an environment/])
  t.match(problems(file('environment: ""')), [/^5:18 wrong-value: expected an environment/])
  t.match(problems(file('enviroment: prod')), [/^5:5 unknown-key/])
  t.end()
})

void t.test('the tests of a rule file say the task that asks, as far as it matters', (t) => {
  const call = 'call: GET https://a.test/'
  const set = ruleSet(
    file(
      'environment: prod',
      `tests:
  - { ${call}, task: { environment: prod }, expect: allow r }
  - { ${call}, task: { environment: dev }, expect: deny environment-mismatch }
  - { ${call}, expect: deny environment-mismatch }
  - { ${call}, task: { environment: dev }, expect: allow r }
`,
    ),
  )
  t.same(
    checkTests(set, readContent).map(({ passed }) => passed),
    [true, true, true, false],
  )
  const withTask = (task: string): string[] =>
    problems(file('methods: [GET]', `tests:\n  - { ${call}, expect: allow r, task: ${task} }\n`))
  t.match(withTask('{ environment: dev, expires: x }'), [/not-served: `expires` is not served/])
  t.match(withTask('{ owner: { nam: x } }'), [/unknown-key: unknown key `nam`/])
  t.match(withTask('{ environment: dev, enviroment: x }'), [/unknown-key: unknown key/])
  t.same(withTask('{ labels: { a: b }, owner: { team: t }, depth: 1, ceiling: internal }'), [])
  t.match(withTask('dev'), [/wrong-type: expected a mapping/])
  t.end()
})
