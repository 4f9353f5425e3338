// `check` and a start say yes to the same rule files: whatever is written, one has an error exactly where the other refuses.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import {
  array,
  assert,
  constantFrom,
  integer,
  oneof,
  property,
  tuple,
  type Arbitrary,
} from 'fast-check'
import t from 'tap'

import { checkRuleFiles } from '../../../src/config/check-installation.ts'
import { judgeRules, type RuleDemands } from '../../../src/config/rules.ts'
import { DEFAULT_LIMITS } from '../../../src/limits.ts'
import { BUILT_IN_PROFILES } from '../../../src/policy/profiles.ts'
import { anyRuleTexts, writeRules } from '../policy/generate.ts'

const DEMANDS: RuleDemands = {
  limits: DEFAULT_LIMITS,
  always: [],
  task: undefined,
  // What is around the files is a matter of the configuration.
  around: {
    profiles: BUILT_IN_PROFILES,
    sinks: [{ name: 's', onBacklogFull: 'deny' }],
    journal: { sync: 'disk' },
    staticCredentials: new Set(),
  },
}
const root = path.join(import.meta.dirname, '../../..')
// Both read the bodies of tests by the same reader, which is loaded as a program of its own loads it.
const hasNoBodies = (text: string): boolean => !/\bbody:/.test(text)
const shipped = readdirSync(path.join(root, 'rules'))
  .filter((name) => name.endsWith('.yaml'))
  .map((name) => readFileSync(path.join(root, 'rules', name), 'utf8'))
  .filter(hasNoBodies)
const documented = ['rules', 'conditions', 'limits', 'holds', 'classes'].flatMap((page) => {
  try {
    const text = readFileSync(path.join(root, 'docs', `${page}.md`), 'utf8')
    return [...text.matchAll(/^```yaml\n(.*?)^```$/gms)]
      .map(([, yaml = '']) => yaml)
      .filter(hasNoBodies)
  } catch {
    return []
  }
})
const TESTED = `tests:
  - { call: 'GET https://a.test/a', expect: allow r0 }
  - { call: 'PUT https://b.a.test/a/b', task: { environment: dev }, expect: deny method-not-allowed }
`
const generated = tuple(anyRuleTexts, constantFrom('', '', TESTED)).map(
  ([rules, tests]) => `ruleset: x\nrules:\n${writeRules(rules).replaceAll(/^/gm, '  ')}\n${tests}`,
)

// What a hand, or a merge, leaves in such a file.
const WORDS = [
  'allow',
  'deny',
  'hold',
  'allwo',
  'https://a.test',
  '"https://*"',
  'tls://a.test',
  'https://{p}',
  '[GET]',
  '[]',
  '{}',
  'null',
  '3',
  '"/a/**"',
  '/a//b',
  'when: "true"',
  'when: task.',
  'between: {}',
  'expires: 2020-01-01',
  'expires: soon',
  'credential: other',
  'limit: { bodyBytes: 1KiB }',
  'limit: { calls: 0 }',
  'tools: [a]',
  'observe: true',
  'data: secret',
  '- id: r',
  '  ',
  '\t',
  ':',
  '[',
  "'",
  '&a *a',
  '<<: 1',
]
type Edit = (text: string) => string
const edit: Arbitrary<Edit> = oneof(
  tuple(integer({ min: 0, max: 400 }), integer({ min: 1, max: 3 })).map(
    ([at, count]): Edit =>
      (text) => {
        const lines = text.split('\n')
        lines.splice(at % lines.length, count)
        return lines.join('\n')
      },
  ),
  tuple(integer({ min: 0, max: 400 }), integer({ min: 0, max: 400 })).map(
    ([from, to]): Edit =>
      (text) => {
        const lines = text.split('\n')
        lines.splice(to % lines.length, 0, lines[from % lines.length] ?? '')
        return lines.join('\n')
      },
  ),
  tuple(integer({ min: 0, max: 4000 }), constantFrom(...WORDS)).map(
    ([at, word]): Edit =>
      (text) => {
        const tokens = text.split(/(?<=\s)|(?=\s)/)
        tokens[at % tokens.length] = word
        return tokens.join('')
      },
  ),
)

void t.test('R26: check accepts exactly what load accepts', (t) => {
  const dir = t.testdir({})
  const file = path.join(dir, 'x.yaml')
  const counts = { accepted: 0, refused: 0 }
  const isAcceptedByBoth = (text: string): boolean => {
    writeFileSync(file, text)
    const isChecked = !checkRuleFiles([file], Date.now()).problems.some(
      ({ severity }) => severity === 'error',
    )
    const { rules } = judgeRules({ files: [{ file, text }], digest: text }, DEMANDS, new Set())
    counts[isChecked ? 'accepted' : 'refused'] += 1
    return isChecked === (rules !== undefined)
  }
  for (const text of [...shipped, ...documented]) t.ok(isAcceptedByBoth(text))
  const text = oneof(constantFrom(...shipped, ...documented), generated)
  assert(
    property(text, array(edit, { maxLength: 3 }), (base, edits) =>
      isAcceptedByBoth(edits.reduce((written, change) => change(written), base)),
    ),
    { numRuns: 400 },
  )
  t.ok(counts.accepted > 40 && counts.refused > 40, JSON.stringify(counts))
  t.end()
})

void t.test('what only check looks for in one file is refused by load too', (t) => {
  const dir = t.testdir({})
  const judge = (rules: string): string[] => {
    const file = path.join(dir, 'x.yaml')
    const text = `ruleset: x\nrules:\n${rules}`
    const { problems } = judgeRules({ files: [{ file, text }], digest: text }, DEMANDS, new Set())
    return problems.map(({ code }) => code)
  }
  t.same(judge(`  - { id: a, allow: 'https://*' }\n`), ['allows-anything'])
  t.same(judge(`  - { id: a, allow: 'https://a.test' }\n`), [], 'a warning refuses nothing')
  t.same(judge(`  - { id: a, allow: 'https://a.test' }\n  - { id: b, allow: 'tls://a.test' }\n`), [
    'opaque-overlap',
  ])
  t.end()
})
