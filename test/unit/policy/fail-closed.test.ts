// What is missing, unknown or cannot be evaluated never lets a call pass.

import t from 'tap'

import { compilePolicy } from '../../../src/policy/compile.ts'
import type { TaskFacts } from '../../../src/policy/facts.ts'
import type { Content } from '../../../src/policy/subject.ts'
import { alone, asked } from './generate.ts'
import { policyOf, ruleSet } from './ask.ts'

const CALL = { call: 'GET https://a.test/a', headers: [] }
const on = (rules: string, task: TaskFacts = {}, content?: Content): string => {
  const { verdict, reason } = alone(policyOf(rules, { task }), asked({ ...CALL, content }))
  return `${verdict} ${reason}`
}
const rule = (verdict: string, more: string): string =>
  `- id: r\n  ${verdict}: https://a.test\n  ${more}`
const open = '- id: open\n  allow: https://a.test\n'

void t.test('R29: a condition that cannot be evaluated denies, whatever its rule says', (t) => {
  const absent = `when: 'task.params.limit == "1"'`
  t.equal(on(rule('allow', absent)), 'deny condition-error')
  t.equal(on(rule('hold', absent)), 'deny condition-error')
  t.equal(on(`${open}${rule('hold', absent)}`), 'deny condition-error', 'though another allows')
  t.equal(on(`${open}${rule('deny', absent)}`), 'deny condition-error')
  t.equal(
    on(`${open}${rule('deny', `when: 'task.environment == "dev"'`)}`, { environment: 'prod' }),
    'allow allowed',
  )
  t.equal(
    on(rule('allow', `when: 'task.environment == "dev"'`), { environment: 'dev' }),
    'allow allowed',
  )
  t.end()
})

void t.test('R29: what is not known of a task, or of what is inside a call, denies', (t) => {
  t.equal(on(rule('allow', 'environment: dev')), 'deny environment-mismatch')
  t.equal(on(rule('allow', 'environment: dev'), { environment: 'dev' }), 'allow allowed')
  t.equal(on(`${open}${rule('deny', 'environment: dev')}`), 'deny denied-by-rule')
  t.equal(on(rule('hold', 'environment: dev')), 'hold approval-pending')
  t.equal(on(rule('allow', 'tools: [a]'), {}, { fault: 'malformed-body' }), 'deny malformed-body')
  t.equal(
    on(`${open}${rule('deny', 'tools: [a]')}`, {}, { fault: 'body-too-large' }),
    'deny body-too-large',
  )
  t.equal(on(rule('allow', 'tools: [a]'), {}, {}), 'deny protocol-not-allowed')
  t.equal(on('- id: other\n  allow: https://b.test'), 'deny not-on-allowlist')
  t.end()
})

void t.test('R29: without a value for each parameter there are no rules at all', (t) => {
  const set = ruleSet(
    "ruleset: x\nparams: { p: { pattern: '[a-z]+' } }\nrules:\n  - { id: r, allow: 'https://{p}' }",
  )
  const compile = (params: Record<string, string>): boolean =>
    compilePolicy({ sets: [set], always: [], params, task: {} }).policy !== undefined
  t.notOk(compile({}))
  t.notOk(compile({ p: 'A B' }))
  t.notOk(compile({ p: 'a', q: 'a' }))
  t.ok(compile({ p: 'a' }))
  t.end()
})
