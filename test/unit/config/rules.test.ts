// Proves the reading of rule files and the swapping of rules while a sidecar runs.

import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import t from 'tap'

import { RuleWatch } from '../../../src/config/rule-watch.ts'
import { compileTaskPolicy, loadRuleSets, type LoadedRules } from '../../../src/config/rules.ts'
import { DEFAULT_LIMITS } from '../../../src/limits.ts'
import type { Problem } from '../../../src/policy/problem.ts'
import { BUILT_IN_PROFILES } from '../../../src/policy/profiles.ts'

const ruleSet = (name: string, host: string, expect = 'allow read'): string => `ruleset: ${name}
rules:
  - id: read
    allow: https://${host}
    methods: [GET]
tests:
  - call: GET https://${host}/x
    expect: ${expect}
`

void t.test('every *.yaml below the directory is one rule set, hidden names left out', (t) => {
  const dir = t.testdir({
    'a.yaml': ruleSet('a', 'a.test'),
    deep: { deeper: { 'b.yaml': ruleSet('b', 'b.test') } },
    '..data': { 'a.yaml': ruleSet('a', 'a.test') },
    'README.md': 'no rules',
    'c.yml': 'no rules either',
  })
  const { sets, problems } = loadRuleSets(dir)
  t.strictSame(problems, [])
  t.strictSame([...sets.keys()].sort(), ['a', 'b'])
  t.match(sets.get('a')?.version, /^sha256:[0-9a-f]{64}$/)
  t.end()
})

void t.test('a mounted map of symbolic links is read, and a loop of them ends', (t) => {
  const dir = t.testdir({ '..v1': { 'a.yaml': ruleSet('a', 'a.test') } })
  symlinkSync('..v1', path.join(dir, '..data'))
  symlinkSync('..data/a.yaml', path.join(dir, 'a.yaml'))
  symlinkSync('.', path.join(dir, 'loop'))
  const { sets, problems } = loadRuleSets(dir)
  t.strictSame(problems, [])
  t.strictSame([...sets.keys()], ['a'])
  t.end()
})

void t.test('a directory that is not there holds no sets', (t) => {
  t.equal(loadRuleSets('/absent').sets.size, 0)
  t.strictSame(loadRuleSets('/absent').problems, [])
  t.end()
})

void t.test('two files of one name, a file too large and a dangling link are problems', (t) => {
  const dir = t.testdir({
    'a.yaml': ruleSet('a', 'a.test'),
    'b.yaml': ruleSet('a', 'b.test'),
    'large.yaml': `# ${'x'.repeat(2000)}`,
  })
  symlinkSync('absent', path.join(dir, 'z.yaml'))
  const { problems } = loadRuleSets(dir, { ruleFileBytesMax: 1000, rulesPerSetMax: 10 })
  t.strictSame(
    problems.map(({ file, code }) => `${path.basename(file)} ${code}`),
    ['b.yaml duplicate', 'large.yaml file-unreadable', 'z.yaml file-unreadable'],
  )
  t.end()
})

void t.test('a task names sets that are there, and a pinned one is the very file', (t) => {
  const dir = t.testdir({ 'a.yaml': ruleSet('a', 'a.test') })
  const { sets } = loadRuleSets(dir)
  const policyOf = (rule: string): ReturnType<typeof compileTaskPolicy> =>
    compileTaskPolicy(sets, [], { rules: [rule], params: {}, environment: undefined })
  const version = sets.get('a')?.version ?? ''
  t.ok(policyOf('a').policy)
  t.ok(policyOf(`a@${version}`).policy)
  const other = policyOf(`a@sha256:${'0'.repeat(64)}`)
  t.equal(other.policy, undefined)
  t.match(other.problems, [{ code: 'pin-mismatch', hint: `it is ${version}` }])
  t.match(policyOf('A'), {
    policy: undefined,
    problems: [{ code: 'missing-rule-set', hint: 'did you mean `a`?' }],
  })
  t.end()
})

interface Watched {
  readonly watch: RuleWatch
  readonly loaded: LoadedRules[]
  readonly refused: (readonly Problem[])[]
}

function startWatch(
  t: Tap,
  dir: string,
  demands: { always?: string[]; rules?: string[] } = {},
): Watched {
  const loaded: LoadedRules[] = []
  const refused: (readonly Problem[])[] = []
  const watch = new RuleWatch({
    dir,
    limits: DEFAULT_LIMITS,
    always: demands.always ?? [],
    around: {
      profiles: BUILT_IN_PROFILES,
      sinks: [],
      journal: { sync: 'process' },
      staticCredentials: new Set(),
    },
    task: { rules: demands.rules ?? ['a'], params: {}, environment: undefined },
    onLoaded: (rules) => void loaded.push(rules),
    onRefused: (problems) => void refused.push(problems),
  })
  t.teardown(() => watch.close())
  return { watch, loaded, refused }
}

type Tap = Pick<typeof t, 'teardown'>

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition() && tries < 100; tries += 1) await sleep(50)
}

void t.test(
  'R26: a changed file counts after two equal readings half a second apart',
  async (t) => {
    const dir = t.testdir({ 'a.yaml': ruleSet('a', 'a.test') })
    const { watch, loaded, refused } = startWatch(t, dir)
    t.equal(loaded.length, 1, 'the first rules are in force at once')
    const before = watch.inForce?.policy?.digest
    const changedAt = Date.now()
    writeFileSync(path.join(dir, 'a.yaml'), ruleSet('a', 'other.test'))
    await until(() => loaded.length > 1)
    t.ok(Date.now() - changedAt >= 450, 'not before the second reading')
    t.not(watch.inForce?.policy?.digest, before)
    t.strictSame(refused, [])
  },
)

void t.test('R26: broken rules are refused once and the last good ones stay', async (t) => {
  const dir = t.testdir({ 'a.yaml': ruleSet('a', 'a.test'), 'b.yaml': ruleSet('b', 'b.test') })
  const { watch, loaded, refused } = startWatch(t, dir)
  const before = watch.inForce
  const broken = {
    'no YAML': 'ruleset: [',
    'an unknown key': ruleSet('b', 'b.test').replace('methods', 'methds'),
    'a failing test': ruleSet('b', 'b.test', 'deny not-on-allowlist'),
    'a name that is taken': ruleSet('a', 'b.test'),
  }
  for (const [what, text] of Object.entries(broken)) {
    refused.length = 0
    writeFileSync(path.join(dir, 'b.yaml'), text)
    t.equal(watch.reload(), false, what)
    t.equal(watch.inForce, before, what)
    t.ok(watch.refusedProblems.some(({ severity }) => severity === 'error'))
    await sleep(1100)
    t.equal(refused.length, 1, `${what} is told once`)
  }
  writeFileSync(path.join(dir, 'b.yaml'), ruleSet('b', 'b.test'))
  t.equal(watch.reload(), true, 'taken back')
  t.strictSame(watch.refusedProblems, [])
  t.equal(loaded.length, 1, 'what is as before is no change')
})

void t.test('a file that is written while it is read is not taken half', async (t) => {
  const dir = t.testdir({ 'a.yaml': ruleSet('a', 'a.test') })
  const { loaded, refused } = startWatch(t, dir)
  const whole = ruleSet('a', 'slow.test')
  for (let length = 10; length < whole.length; length += 40) {
    writeFileSync(path.join(dir, 'a.yaml'), whole.slice(0, length))
    await sleep(200)
  }
  writeFileSync(path.join(dir, 'a.yaml'), whole)
  await until(() => loaded.length > 1)
  t.strictSame(refused, [], 'no state in between was judged')
  t.equal(loaded.length, 2)
})

void t.test('a set that is withdrawn leaves its task without a policy', (t) => {
  const dir = t.testdir({ 'a.yaml': ruleSet('a', 'a.test') })
  const { watch, loaded } = startWatch(t, dir)
  rmSync(path.join(dir, 'a.yaml'))
  t.equal(watch.reload(), true)
  t.equal(watch.inForce?.policy, undefined)
  t.equal(loaded.length, 2)
  writeFileSync(path.join(dir, 'a.yaml'), ruleSet('a', 'a.test'))
  t.equal(watch.reload(), true)
  t.ok(watch.inForce?.policy)
  t.end()
})

void t.test('a set that binds every task cannot be withdrawn', (t) => {
  const dir = t.testdir({
    'a.yaml': ruleSet('a', 'a.test'),
    'always.yaml': ruleSet('guard', 'g.test'),
  })
  const { watch } = startWatch(t, dir, { always: ['guard'] })
  const before = watch.inForce
  t.ok(before?.policy)
  renameSync(path.join(dir, 'always.yaml'), path.join(dir, 'always.off'))
  t.equal(watch.reload(), false)
  t.equal(watch.inForce, before)
  t.end()
})

void t.test('a mounted map that is swapped as a whole is seen', async (t) => {
  const dir = t.testdir({
    '..v1': { 'a.yaml': ruleSet('a', 'a.test') },
    '..v2': { 'a.yaml': ruleSet('a', 'b.test') },
  })
  symlinkSync('..v1', path.join(dir, '..data'))
  symlinkSync('..data/a.yaml', path.join(dir, 'a.yaml'))
  const { watch, loaded } = startWatch(t, dir)
  const before = watch.inForce?.sets.get('a')?.version
  symlinkSync('..v2', path.join(dir, '..next'))
  renameSync(path.join(dir, '..next'), path.join(dir, '..data'))
  await until(() => loaded.length > 1)
  t.not(watch.inForce?.sets.get('a')?.version, before)
})

void t.test('rules that were never sound leave nothing in force', (t) => {
  const dir = t.testdir({ 'a.yaml': 'ruleset: 1' })
  const { watch, loaded, refused } = startWatch(t, dir)
  t.equal(watch.inForce, undefined)
  t.equal(loaded.length, 0)
  t.equal(refused.length, 1)
  mkdirSync(path.join(dir, 'sub'))
  writeFileSync(path.join(dir, 'a.yaml'), ruleSet('a', 'a.test'))
  t.equal(watch.reload(), true)
  t.ok(watch.inForce?.policy)
  t.end()
})
