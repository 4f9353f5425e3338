// Proves what a rule with a profile has to be, each demand with the rule that meets it.

import t from 'tap'

import { parseRuleSet } from '../../../src/policy/parse.ts'
import {
  BUILT_IN_PROFILES,
  checkProfiledRules,
  checkSurroundings,
  lifetimeBoundOf,
  type Profiles,
  type Surroundings,
} from '../../../src/policy/profiles.ts'
import type { RuleSet } from '../../../src/policy/rule-set.ts'

const GOOD = {
  id: 'read',
  allow: 'https://crm.test',
  methods: ['GET', 'HEAD'],
  profile: 'regulated',
  data: 'confidential',
  regulation: 'gdpr',
}

function setOf(...rules: readonly object[]): RuleSet {
  const text = JSON.stringify({ ruleset: 'set', owner: 'a@example.com', rules })
  const { ruleSet, problems } = parseRuleSet(text, 'set.yaml')
  if (ruleSet === undefined) throw new Error(JSON.stringify(problems))
  return ruleSet
}

const bare: Surroundings = {
  profiles: BUILT_IN_PROFILES,
  sinks: [],
  journal: { sync: 'process' },
  staticCredentials: new Set(['crm']),
}

const codesOf = (rule: object, profiles: Profiles = BUILT_IN_PROFILES): string[] =>
  checkProfiledRules(setOf(rule), profiles).map(({ code }) => code)

void t.test('R74: a regulated rule is sound by itself, or each fault of it is told', (t) => {
  t.strictSame(codesOf(GOOD), [])
  const { methods: _methods, ...anyMethod } = GOOD
  const { data: _data, ...classless } = GOOD
  const { regulation: _regulation, ...nameless } = GOOD
  const { allow: _allow, ...held } = { ...GOOD, hold: 'https://crm.test' }
  for (const [what, rule, codes] of [
    [
      'no tunnel',
      { ...classless, methods: undefined, allow: 'tls://crm.test' },
      ['profile-opaque'],
    ],
    ['writes', { ...GOOD, methods: ['GET', 'POST'] }, ['profile-write']],
    ['any method', anyMethod, ['profile-write']],
    ['held writes', { ...held, methods: ['POST', 'DELETE'] }, []],
    ['any method, held', { ...held, methods: undefined }, []],
    ['preflight', { ...GOOD, methods: ['OPTIONS'] }, []],
    ['no class', classless, ['profile-class']],
    ['a low class', { ...GOOD, data: 'internal' }, ['profile-class']],
    ['a higher class', { ...GOOD, data: 'restricted' }, []],
    ['neither category nor regulation', nameless, ['profile-category']],
    ['a category', { ...nameless, category: 'patients' }, []],
    ['an unknown profile', { ...GOOD, profile: 'regulatd' }, ['profile-unknown']],
    [
      'no payments',
      { ...GOOD, profile: 'payments' },
      ['profile-class', 'profile-category', 'profile-category'],
    ],
    [
      'payments',
      {
        ...GOOD,
        profile: 'payments',
        data: 'restricted',
        category: 'payments',
        regulation: ['pci-dss', 'gdpr'],
      },
      [],
    ],
    ['git to read', { ...GOOD, methods: ['GET', 'POST'], git: { repos: ['a/b'] } }, []],
    [
      'git to push',
      { ...GOOD, methods: ['POST'], git: { repos: ['a/b'], push: ['refs/heads/x'] } },
      ['profile-write'],
    ],
    ['queries', { ...GOOD, methods: ['POST'], graphql: { operations: ['query'] } }, []],
    [
      'mutations',
      { ...GOOD, methods: ['POST'], graphql: { operations: ['query', 'mutation'] } },
      ['profile-write'],
    ],
    ['any operation', { ...GOOD, methods: ['POST'], graphql: {} }, ['profile-write']],
  ] as const) {
    const written: object = JSON.parse(JSON.stringify(rule))
    const found = codesOf(written).filter(
      (code) => what !== 'no tunnel' || code === 'profile-opaque',
    )
    t.strictSame(found, [...codes], what)
  }
  t.end()
})

void t.test(
  'a static credential is refused where the data is regulated or the rule says so',
  (t) => {
    const around: Surroundings = {
      ...bare,
      sinks: [{ name: 's', onBacklogFull: 'deny' }],
      journal: { sync: 'disk' },
    }
    const codesFor = (rule: object): string[] =>
      checkSurroundings(setOf(rule), around).map(({ code }) => code)
    t.strictSame(codesFor({ ...GOOD, credential: 'crm' }), ['profile-credential'])
    t.strictSame(codesFor({ ...GOOD, credential: 'minted' }), [], 'one that is minted is not')
    const plain = { id: 'read', allow: 'https://crm.test', credential: 'crm' }
    t.strictSame(codesFor(plain), [])
    t.strictSame(codesFor({ ...plain, static: false }), ['static-credential'])
    t.strictSame(codesFor({ ...plain, static: false, credential: 'minted' }), [])
    t.strictSame(codesFor({ ...plain, regulation: 'gdpr' }), ['static-credential'])
    const [problem] = checkSurroundings(setOf({ ...plain, static: false }), around)
    t.match(problem, { file: 'set.yaml', line: 1, severity: 'error' })
    t.end()
  },
)

void t.test('a rule without a profile is asked for none of it', (t) => {
  const set = setOf({ id: 'any', allow: 'tcp://any.test:1', data: 'restricted' })
  t.strictSame(checkProfiledRules(set, BUILT_IN_PROFILES), [])
  t.strictSame(checkSurroundings(set, bare), [])
  t.equal(lifetimeBoundOf([set], BUILT_IN_PROFILES), undefined)
  t.end()
})

void t.test('R74: sinks that drop records, or none, and a quick journal are refused', (t) => {
  const deny = { name: 'soc', onBacklogFull: 'deny' }
  const drop = { name: 'cheap', onBacklogFull: 'drop-with-gap-record' }
  const disk = { sync: 'disk' } as const
  for (const [around, codes] of [
    [{}, ['profile-sinks', 'profile-sync']],
    [{ sinks: [deny], journal: disk }, []],
    [{ sinks: [deny] }, ['profile-sync']],
    [{ journal: disk }, ['profile-sinks']],
    [{ sinks: [deny, drop], journal: disk }, ['profile-sinks']],
  ] as const)
    t.strictSame(
      checkSurroundings(setOf(GOOD), { ...bare, ...around }).map(({ code }) => code),
      [...codes],
    )
  const [problem] = checkSurroundings(setOf(GOOD), { ...bare, sinks: [drop], journal: disk })
  t.match(problem, {
    file: 'set.yaml',
    line: 1,
    severity: 'error',
    message:
      'rule `read` is regulated (`profile: regulated`), and the sink `cheap` drops records once it is far behind',
    hint: 'write `onBacklogFull: deny` for every sink',
  })
  t.end()
})

void t.test('R74: tasks live as long as the strictest of their profiles lets them', (t) => {
  const profiles = new Map(BUILT_IN_PROFILES)
  profiles.set('short', {
    ...BUILT_IN_PROFILES.get('regulated')!,
    name: 'short',
    lifetimeMs: 60_000,
  })
  const [hour, minute] = [setOf(GOOD), setOf({ ...GOOD, profile: 'short' })]
  t.match(lifetimeBoundOf([hour], profiles), { lifetimeMs: 3_600_000, profile: 'regulated' })
  t.match(lifetimeBoundOf([hour, minute], profiles), { lifetimeMs: 60_000, profile: 'short' })
  t.end()
})
