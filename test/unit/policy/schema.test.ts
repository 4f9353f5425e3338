// The committed JSON Schema of rule files is the one that the grammar makes.

import { readFileSync, writeFileSync } from 'node:fs'

import t from 'tap'

import { KEYS, WHOLE_SCHEMA } from '../../../src/policy/grammar.ts'
import { NOT_SERVED } from '../../../src/policy/reserved.ts'
import { ruleSchemaText } from '../../../src/policy/schema.ts'

const FILE = new URL('../../../schema/rules.schema.json', import.meta.url)

void t.test(
  'schema/rules.schema.json is what the grammar says (UPDATE_SCHEMA=1 writes it)',
  (t) => {
    if (process.env['UPDATE_SCHEMA'] === '1') writeFileSync(FILE, ruleSchemaText())
    t.equal(readFileSync(FILE, 'utf8'), ruleSchemaText())
    t.end()
  },
)

void t.test('the whole grammar takes a rule set and refuses an unknown key in it', (t) => {
  const set = { ruleset: 'x', rules: [{ id: 'r', allow: 'https://a.test' }] }
  t.ok(WHOLE_SCHEMA.safeParse(set).success)
  t.notOk(WHOLE_SCHEMA.safeParse({ ...set, host: {} }).success)
  t.end()
})

void t.test('no key is both served and refused', (t) => {
  for (const section of ['file', 'allow', 'deny', 'limit', 'test'] as const)
    t.same(
      NOT_SERVED[section].filter((key) => KEYS[section].includes(key)),
      [],
    )
  t.end()
})
