// Limits of rules: what a rule file may say of them, and what a call owes where several rules or several tasks have some.

import t from 'tap'

import { decideTogether } from '../../../src/policy/conjunction.ts'
import { compilePolicy, type Policy } from '../../../src/policy/compile.ts'
import { parseRuleSet } from '../../../src/policy/parse.ts'
import { readRequest } from '../../../src/wire/receive.ts'

const MOMENT = { now: 1_800_000_000_000, read: 'public' } as const

function rulesOf(...rules: readonly string[]): string {
  return `ruleset: set\nowner: a@example.com\nrules:\n${rules.map((rule) => `  - { ${rule} }\n`).join('')}`
}

function codesOf(rule: string): string[] {
  return parseRuleSet(rulesOf(rule), 'set.yaml').problems.map(({ code }) => code)
}

function policyOf(...rules: readonly string[]): Policy {
  const { ruleSet, problems } = parseRuleSet(rulesOf(...rules), 'set.yaml')
  if (ruleSet === undefined) throw new Error(problems.map(({ message }) => message).join('; '))
  const { policy } = compilePolicy({ sets: [ruleSet], always: [], params: {}, task: {} })
  if (policy === undefined) throw new Error('it compiles')
  return policy
}

const question = readRequest(
  {
    method: 'GET',
    target: 'https://a.test/x',
    version: '1.1',
    headers: ['Host', 'a.test'],
    upgrade: false,
  },
  undefined,
  100,
)

void t.test('R33: every limit that is written is one of the rule', (t) => {
  t.strictSame(
    codesOf(
      "id: a, allow: 'https://a.test', limit: { bodyBytes: 1KiB, callsPerMinute: 1, callsPerHour: 2, callsPerDay: 3, concurrentCalls: 4, calls: 5, bytesOut: 1MiB, bytesIn: 2MiB }",
    ),
    [],
  )
  for (const limit of ['calls: 0', 'calls: 1.5', 'calls: many', 'bytesOut: 1kb', 'callsPerWeek: 1'])
    t.not(codesOf(`id: a, allow: 'https://a.test', limit: { ${limit} }`).length, 0, limit)
  t.end()
})

void t.test('a count by tool wants a rule that looks at tools', (t) => {
  const limit = 'limit: { calls: 1, perTool: true }'
  t.strictSame(codesOf(`id: a, allow: 'https://a.test', ${limit}`), ['per-tool-unseen'])
  t.strictSame(codesOf(`id: a, allow: 'https://a.test', tools: [get], ${limit}`), [])
  t.end()
})

void t.test(
  'R33: a call owes the limits of all rules that allow it, and of the tasks above',
  (t) => {
    const own = policyOf(
      "id: a, allow: 'https://a.test', limit: { calls: 1 }",
      "id: b, allow: 'https://a.test', paths: [/x], limit: { callsPerMinute: 2 }",
      "id: c, allow: 'https://a.test', paths: [/y], limit: { calls: 3 }",
      "id: d, allow: 'https://a.test'",
    )
    const above = policyOf("id: e, allow: 'https://a.test', limit: { bytesOut: 4 }")
    const owed = (policies: readonly [Policy, ...Policy[]]): unknown =>
      decideTogether(policies, question, MOMENT).obligations.quotas?.map(
        ({ rule, limits, ancestor }) => [rule.id, limits, ancestor],
      )
    t.strictSame(owed([own]), [
      ['a', { calls: 1 }, undefined],
      ['b', { callsPerMinute: 2 }, undefined],
    ])
    t.strictSame(owed([own, above, own]), [
      ['a', { calls: 1 }, undefined],
      ['b', { callsPerMinute: 2 }, undefined],
      ['e', { bytesOut: 4 }, 1],
      ['a', { calls: 1 }, 2],
      ['b', { callsPerMinute: 2 }, 2],
    ])
    const free = policyOf("id: a, allow: 'https://a.test'")
    t.equal(owed([free]), undefined)
    t.end()
  },
)
