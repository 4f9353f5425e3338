// Groups of destinations that rule files share: used in all of them, part of what a set's version covers, and read again from
// what is kept of a set alone.

import { rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import t from 'tap'

import { digestOf } from '../../../src/config/kept-rules.ts'
import { RuleWatch } from '../../../src/config/rule-watch.ts'
import { compileTaskPolicy, loadRuleSets, type LoadedRules } from '../../../src/config/rules.ts'
import { RulesThenReader } from '../../../src/config/rules-then.ts'
import { DEFAULT_LIMITS } from '../../../src/limits.ts'
import { decideTogether } from '../../../src/policy/conjunction.ts'
import { joinText, splitText } from '../../../src/policy/groups.ts'
import type { Policy } from '../../../src/policy/compile.ts'
import { parseRuleSet } from '../../../src/policy/parse.ts'
import type { Problem } from '../../../src/policy/problem.ts'
import { BUILT_IN_PROFILES } from '../../../src/policy/profiles.ts'
import { askAbout, type Asked } from '../../../src/policy/written-call.ts'

const HOSTS = `ruleset: destinations
hosts:
  artefacts: [https://a.test, 'https://*.b.test']
  offices: { scheme: https, cidr: 10.1.2.0/24 }
rules: []
`
const USER = `ruleset: user
rules:
  - { id: fetch, allow: { group: artefacts }, methods: [GET] }
  - { id: more, allow: [https://c.test, { group: artefacts }], paths: [/more] }
  - { id: never, deny: [{ group: offices }] }
tests:
  - { call: GET https://a.test/, expect: allow fetch }
  - { call: GET https://x.b.test/, expect: allow fetch }
  - { call: GET https://b.test/, expect: deny not-on-allowlist }
  - { call: POST https://c.test/more, expect: allow more }
  - { call: GET https://10.1.2.3/, expect: deny denied-by-rule }
  - { call: GET https://10.1.3.3/, expect: deny ip-not-on-allowlist }
`
const OTHER = `ruleset: other
rules:
  - { id: one, allow: https://one.test }
`
const limits = DEFAULT_LIMITS
const told = (problems: readonly Problem[]): string[] =>
  problems.map(
    ({ file, line, column, code, message, hint }) =>
      `${path.basename(file)}:${line}:${column} ${code}: ${message}${hint === undefined ? '' : ` (${hint})`}`,
  )

function verdictOn(policy: Policy, url: string): string {
  const asked: Asked = askAbout('GET', url, [])
  if ('connect' in asked) throw new Error('no call')
  return decideTogether([policy], asked, { now: 0, read: 'public' }).verdict
}

void t.test('a group that one file defines is used in all of them', (t) => {
  const dir = t.testdir({ 'user.yaml': USER, deep: { 'hosts.yaml': HOSTS }, 'other.yaml': OTHER })
  const { sets, problems } = loadRuleSets(dir)
  t.strictSame(told(problems), [])
  t.strictSame(
    sets.get('user')?.rules.map(({ destinations }) => destinations.map(({ text }) => text)),
    [
      ['https://a.test', 'https://*.b.test'],
      ['https://c.test', 'https://a.test', 'https://*.b.test'],
      ['https://10.1.2.0/24'],
    ],
  )
  const own = USER.replace(
    'rules:',
    'hosts: { artefacts: https://a.test, offices: https://o.test }\nrules:',
  )
  t.strictSame(told(parseRuleSet(own, 'own.yaml').problems), [], 'its own as well')
  t.equal(parseRuleSet(own, 'own.yaml').ruleSet?.version, digestOf(own))
  t.end()
})

void t.test(
  'the version of a set covers the groups of other files that it uses, and no others',
  (t) => {
    const dir = t.testdir({ 'user.yaml': USER, 'hosts.yaml': HOSTS, 'other.yaml': OTHER })
    const versions = (): (string | undefined)[] => {
      const { sets } = loadRuleSets(dir)
      return ['user', 'other'].map((name) => sets.get(name)?.version)
    }
    const [user, other] = versions()
    t.not(user, digestOf(USER))
    t.equal(other, digestOf(OTHER))
    const write = (text: string): void => writeFileSync(path.join(dir, 'hosts.yaml'), text)
    write(
      HOSTS.replace('rules:', 'description: other words\nrules:').replace(
        'hosts:',
        'hosts:\n  unused: https://u.test',
      ),
    )
    t.strictSame(versions(), [user, other], 'not what else is in their file')
    write(HOSTS.replace('a.test', 'aa.test'))
    t.not(versions()[0], user)
    t.equal(versions()[1], other)
    write(HOSTS)
    t.strictSame(versions(), [user, other])
    t.end()
  },
)

void t.test('what is kept of a set by its version is enough to decide again', (t) => {
  const dir = t.testdir({ 'user.yaml': USER, 'hosts.yaml': HOSTS })
  const { sets, texts } = loadRuleSets(dir)
  const version = sets.get('user')?.version ?? ''
  const text = texts.get(version) ?? ''
  t.equal(digestOf(text), version)
  t.ok(text.startsWith(USER))
  rmSync(dir, { recursive: true })
  const reader = new RulesThenReader((asked) => texts.get(asked), limits)
  const task = { rules: ['user'], params: {}, environment: undefined }
  const { policies, missing } = reader.compile([`user@${version}`], [], [task])
  t.strictSame(missing, [])
  const [policy] = policies ?? []
  if (policy === undefined) throw new Error('it compiles')
  t.equal(policy.ruleSets[0]?.version, version, 'and has the same version')
  t.equal(verdictOn(policy, 'https://x.b.test/'), 'allow')
  t.equal(verdictOn(policy, 'https://b.test/'), 'deny')
  t.equal(parseRuleSet(text, 'x').ruleSet?.rules[0]?.place.line, 3, 'rules stand where they stood')
  t.end()
})

void t.test('a pinned set is the one with the groups that it had', (t) => {
  const dir = t.testdir({ 'user.yaml': USER, 'hosts.yaml': HOSTS })
  const policyOf = (reference: string): Policy | undefined =>
    compileTaskPolicy(loadRuleSets(dir).sets, [], {
      rules: [reference],
      params: {},
      environment: undefined,
    }).policy
  const pinned = `user@${loadRuleSets(dir).sets.get('user')?.version}`
  t.ok(policyOf(pinned))
  writeFileSync(path.join(dir, 'hosts.yaml'), HOSTS.replace('a.test', 'evil.test'))
  t.equal(policyOf(pinned), undefined)
  t.end()
})

void t.test(
  'a change of the group alone is a change of the sets that use it, tests and all',
  async (t) => {
    const dir = t.testdir({ 'user.yaml': USER, 'hosts.yaml': HOSTS, 'other.yaml': OTHER })
    const loaded: LoadedRules[] = []
    const refused: (readonly Problem[])[] = []
    const watch = new RuleWatch({
      dir,
      limits,
      always: [],
      around: {
        profiles: BUILT_IN_PROFILES,
        sinks: [],
        journal: { sync: 'process' },
        staticCredentials: new Set(),
      },
      task: { rules: ['user'], params: {}, environment: undefined },
      onLoaded: (rules) => loaded.push(rules),
      onRefused: (problems) => refused.push(problems),
    })
    t.teardown(() => watch.close())
    const first = loaded[0]?.sets.get('user')?.version ?? ''
    writeFileSync(path.join(dir, 'hosts.yaml'), HOSTS.replace('a.test', 'aa.test'))
    t.notOk(watch.reload(), 'its tests do not pass any more')
    t.match(told(refused[0] ?? []), [/^user\.yaml:\d+:\d+ test-failed/])
    t.equal(watch.inForce?.sets.get('user')?.version, first)
    writeFileSync(
      path.join(dir, 'hosts.yaml'),
      HOSTS.replace('[https://a.test', '[https://a.test, https://d.test'),
    )
    await sleep(10)
    t.ok(watch.reload())
    const second = watch.inForce?.sets.get('user')?.version ?? ''
    t.not(second, first)
    t.ok(watch.inForce?.texts.get(second)?.includes('https://d.test'), 'which is what is kept')
    t.not(watch.inForce?.policy?.digest, loaded[0]?.policy?.digest)
  },
)

void t.test('what is wrong with groups is told where it stands', (t) => {
  const dir = t.testdir({
    'a.yaml': HOSTS,
    'b.yaml': HOSTS.replace('destinations', 'again').replace('offices', 'others'),
  })
  t.strictSame(
    told(loadRuleSets(dir).problems).map((each) => each.replace(/ at \S*\//, ' at ')),
    [
      'b.yaml:3:3 duplicate: the group `artefacts` is defined at a.yaml:3:3 too (groups are shared by all files: give one of them another name)',
    ],
  )
  const faults = (text: string): string[] => told(parseRuleSet(text, 'x.yaml').problems)
  const withGroup = (written: string): string[] =>
    faults(`ruleset: x\nhosts: { g: ${written} }\nrules: []\n`)
  t.match(withGroup('a.test'), [
    'x.yaml:2:13 wrong-value: expected scheme://host[:port] (write https://a.test)',
  ])
  t.match(withGroup('https://a.test/path'), [/a group names no paths/])
  t.match(withGroup("'https://{host}'"), [/a group has no parameters/])
  t.match(withGroup('{ group: other }'), [/`cidr` is missing/, /`group` has no meaning in a group/])
  t.match(withGroup('tcp://a.test'), [/a tcp destination names its port/])
  t.match(withGroup('[]'), [/expected at least one/])
  const withRule = (rule: string): string[] =>
    faults(
      `ruleset: x\nhosts: { artefacts: https://a.test, raw: 'tcp://a.test:1' }\nrules:\n  - { id: r, ${rule} }\n`,
    )
  t.match(withRule('allow: { group: artefact }'), [
    'x.yaml:4:14 unknown-group: there is no group `artefact` (did you mean `artefacts`?)',
  ])
  t.match(withRule('allow: [https://b.test, { group: nothing }]'), [
    'x.yaml:4:47 unknown-group: there is no group `nothing` (define it under `hosts:` of any rule file)',
  ])
  t.match(withRule('allow: group:artefacts'), [/expected scheme:\/\/host/])
  t.match(withRule('allow: { group: artefacts, port: 1 }'), [/a group stands alone/])
  t.match(withRule('allow: { port: 1 }'), [/expected `cidr` or `group`/])
  t.match(withRule('allow: { grup: artefacts }'), [
    /expected `cidr` or `group`/,
    /unknown key `grup` \(did you mean `group`\?\)/,
  ])
  t.match(withRule('allow: { group: raw }, methods: [GET]'), [/`methods` has no meaning for tcp:/])
  t.strictSame(withRule('deny: { group: raw }'), [])
  t.end()
})

void t.test(
  'a file that is named alone uses the groups of those beside it, and of none below',
  (t) => {
    const dir = t.testdir({ 'user.yaml': USER, 'hosts.yaml': HOSTS, 'broken.yaml': 'ruleset: [' })
    const { sets, problems } = loadRuleSets(path.join(dir, 'user.yaml'))
    t.strictSame(told(problems), [])
    t.strictSame([...sets.keys()], ['user'], 'which are not loaded with it')
    t.equal(sets.get('user')?.version, loadRuleSets(dir).sets.get('user')?.version)
    const lost = t.testdir({ 'user.yaml': USER, below: { 'hosts.yaml': HOSTS } })
    t.match(told(loadRuleSets(path.join(lost, 'user.yaml')).problems), [
      /unknown-group/,
      /unknown-group/,
      /unknown-group/,
    ])
    t.end()
  },
)

void t.test('a text and the groups behind it are told apart, whatever is written', (t) => {
  const { sets, texts } = loadRuleSets(t.testdir({ 'u.yaml': USER.trimEnd(), 'h.yaml': HOSTS }))
  const text = texts.get(sets.get('user')?.version ?? '') ?? ''
  t.match(
    text,
    /expect: deny ip-not-on-allowlist }\n--- # groups of other files\nhosts:\n {2}artefacts: \[/,
  )
  t.equal(splitText(text).own, USER)
  t.equal(joinText('x', []), 'x')
  const limited = { ...limits, ruleFileBytesMax: Buffer.byteLength(USER) }
  t.strictSame(told(parseRuleSet(text, 'x', limited).problems), [], 'each has the bound of a file')
  t.end()
})
