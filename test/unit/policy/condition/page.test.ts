// docs/conditions.md: its examples are rule sets that do what they say, its table is the environment, its bounds are those there
// are, and it names every function.

import { readFileSync } from 'node:fs'

import t from 'tap'

import { checkRuleSet, checkTests } from '../../../../src/policy/check.ts'
import * as bounds from '../../../../src/policy/condition/bounds.ts'
import { ENVIRONMENT, hasMembers, type Node } from '../../../../src/policy/condition/environment.ts'
import { FUNCTIONS, METHODS, PATTERNED } from '../../../../src/policy/condition/functions.ts'
import { LOOPS } from '../../../../src/policy/condition/loops.ts'
import { TIME_METHODS } from '../../../../src/policy/condition/times.ts'
// Loaded before it is required: the test runner's own loader cannot.
import '../../../../src/inspect/graphql/read.ts'
import { readContent } from '../../../../src/understand/read-content.ts'
import { ruleSet } from '../ask.ts'

const page = readFileSync(new URL('../../../../docs/conditions.md', import.meta.url), 'utf8')

void t.test('the examples are sound and do what they say', (t) => {
  const examples = [...page.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, text = '']) => text)
  t.equal(examples.length, 2)
  for (const example of examples) {
    const set = ruleSet(example)
    t.same(
      checkRuleSet(set).filter(({ severity }) => severity === 'error'),
      [],
    )
    for (const { passed, name, expected, got } of checkTests(set, readContent))
      t.ok(passed, `${set.name} ${name}: expected ${expected}, got ${got}`)
  }
  t.end()
})

/** Every name that has a value. */
function namesOf(node: Node, path: string): string[] {
  if (!hasMembers(node)) return [path]
  return Object.entries(node.members).flatMap(([name, each]) => namesOf(each, `${path}.${name}`))
}

void t.test('the table is the environment', (t) => {
  const section = /^## What it sees$(.*?)^## /ms.exec(page)?.[1] ?? ''
  const documented = section.split('\n').flatMap((row) => {
    const cell = /^\| (`.*?`) +\|/.exec(row)?.[1]
    const [first = '', ...others] = cell?.match(/`[^`]+`/g) ?? []
    const name = first.slice(1, -1)
    const parent = name.slice(0, name.lastIndexOf('.'))
    const full = others
      .map((each) => each.slice(1, -1))
      .map((each) => (each.startsWith('.') ? parent + each : each))
    return name === '' ? [] : [name, ...full]
  })
  const known = Object.entries(ENVIRONMENT).flatMap(([name, node]) => namesOf(node, name))
  t.same(documented.toSorted(), known.toSorted())
  t.end()
})

void t.test('every function is on the page', (t) => {
  for (const name of [FUNCTIONS, METHODS, PATTERNED, LOOPS].flatMap((each) => Object.keys(each)))
    t.match(page, new RegExp(`\\b${name}\\(`), name)
  for (const name of TIME_METHODS) t.match(page, name)
  t.end()
})

void t.test('the bounds are those there are', (t) => {
  const section = /^## What it costs$(.*?)^## /ms.exec(page)?.[1] ?? ''
  const numbers = [...section.matchAll(/^\|.*\| +([\d,]+) +\|$/gm)].map(([, number = '']) =>
    Number(number.replaceAll(',', '')),
  )
  const {
    TEXT_MAX,
    NODES_MAX,
    DEPTH_MAX,
    PATTERN_MAX,
    ITEMS_MAX,
    BUILT_MAX,
    READINGS_MAX,
    STEPS_MAX,
  } = bounds
  t.same(numbers, [
    TEXT_MAX,
    NODES_MAX,
    DEPTH_MAX,
    PATTERN_MAX,
    ITEMS_MAX,
    BUILT_MAX,
    READINGS_MAX,
    STEPS_MAX,
  ])
  t.end()
})
