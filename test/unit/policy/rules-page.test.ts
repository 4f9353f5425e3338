// The examples of docs/rules.md and of README.md are rule sets that are sound and pass their own tests.

import { readFileSync } from 'node:fs'

import t from 'tap'

import { checkRuleSet } from '../../../src/policy/check.ts'
import { checkTests } from '../../../src/policy/rule-tests.ts'
import { readContent } from '../../../src/understand/read-content.ts'
import { KEYS } from '../../../src/policy/grammar.ts'
import { ruleSet } from './ask.ts'

const read = (name: string): string =>
  readFileSync(new URL(`../../../${name}`, import.meta.url), 'utf8')
const page = read('docs/rules.md')
// Others are pieces of a configuration.
const pages = [page, read('README.md'), read('docs/classes.md')].join('\n')
const examples = [...pages.matchAll(/^```yaml\n(.*?)^```$/gms)]
  .map(([, text = '']) => text)
  .filter((text) => !/^(?:sinks|profiles):/m.test(text))

void t.test('the examples are sound and do what they say', (t) => {
  t.ok(examples.length >= 3)
  for (const example of examples) {
    const set = ruleSet(example)
    t.same(
      checkRuleSet(set)
        // No wildcard is without it.
        .filter(({ code }) => code !== 'resolves-names')
        .map(({ code, message }) => `${code}: ${message}`),
      [],
      set.name,
    )
    t.ok(set.tests.length > 0)
    for (const { passed, name, got } of checkTests(set, readContent))
      t.ok(passed, `${set.name} ${name}: ${got}`)
  }
  t.end()
})

void t.test('every key of a rule is on the page', (t) => {
  for (const key of [...KEYS.allow, ...KEYS.deny, ...KEYS.graphql, ...KEYS.git, ...KEYS.record])
    if (!['id', 'description', 'owner'].includes(key))
      t.match(page, new RegExp(`\\b${key}\\b`), key)
  t.end()
})
