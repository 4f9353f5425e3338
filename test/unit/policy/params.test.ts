// A task's values in hosts, paths, query and header patterns, and what is no value for them.

import t from 'tap'

import { compilePolicy } from '../../../src/policy/compile.ts'
import { isAllowed, policyOf, ruleSet, verdictOn } from './ask.ts'

const FILE = `ruleset: scoped
params:
  repo: { pattern: '[\\w.-]+/[\\w.-]+' }
  registry: { pattern: '.+' }
  team: { pattern: '.*' }
rules:
  - id: issues
    allow: https://api.test
    paths: ['/repos/{repo}/issues', '/repos/{repo}/issues/**', '/archive/{repo}.zip']
  - id: mirror
    allow: https://{registry}:8443
  - id: search
    allow: https://search.test
    query: { team: '{team}', q: 'repo:{repo} *' }
    headers: { x-team: 'team={team}' }
`
const PARAMS = { repo: 'acme/widgets', registry: 'npm.corp.test', team: 'pay*' }

void t.test("R35: a parameter is the task's value and nothing else", (t) => {
  const policy = policyOf(FILE, { params: PARAMS })
  const allowed = (call: string, ...headers: string[]): boolean => isAllowed(policy, call, headers)
  t.ok(allowed('GET https://api.test/repos/acme/widgets/issues'))
  t.ok(allowed('GET https://api.test/repos/acme/widgets/issues/7'))
  t.ok(allowed('GET https://api.test/archive/acme/widgets.zip'))
  t.notOk(allowed('GET https://api.test/repos/acme/other/issues'))
  t.notOk(allowed('GET https://api.test/repos/acme/issues'))
  t.notOk(allowed('GET https://api.test/repos/acme%2Fwidgets/issues'), 'each reading has to match')
  t.notOk(allowed('GET https://api.test/repos/{repo}/issues'))
  t.ok(allowed('GET https://npm.corp.test:8443/x'))
  t.notOk(allowed('GET https://npm.corp.test.evil.test:8443/x'))
  t.ok(
    allowed(
      'GET https://search.test/?team=pay*&q=repo:acme/widgets%20is:open',
      'x-team',
      'team=pay*',
    ),
  )
  t.notOk(
    allowed('GET https://search.test/?team=payx&q=repo:acme/widgets%20', 'x-team', 'team=pay*'),
    'a star in a value is a star',
  )
  t.end()
})

const problemsWith = (params: Record<string, string>): string[] =>
  compilePolicy({
    sets: [ruleSet(FILE, 'scoped')],
    always: [],
    params,
    task: {},
  }).problems.map(({ file, line, column, message }) => `${file}:${line}:${column} ${message}`)

void t.test("values that do not fit are refused with the parameter's place, all at once", (t) => {
  t.same(problemsWith(PARAMS), [])
  t.same(problemsWith({}), [
    'scoped.yaml:3:3 the task has no value for `repo`',
    'scoped.yaml:4:3 the task has no value for `registry`',
    'scoped.yaml:5:3 the task has no value for `team`',
  ])
  t.same(problemsWith({ ...PARAMS, repoo: 'x', registry: '10.0.0.1', repo: 'acme' }), [
    'scoped.yaml:3:3 the value of `repo` does not match `[\\w.-]+/[\\w.-]+`',
    'scoped.yaml:4:3 the value of `registry` has to be one host name',
    'scoped.yaml:1:1 the task has a value for `repoo`, which no rule set in force declares',
  ])
  for (const registry of ['*.corp.test', 'a.test:80', 'a.test/x', 'a b', '[::1]', '127.1', ''])
    t.equal(problemsWith({ ...PARAMS, registry }).length, 1, registry)
  for (const repo of ['../x', 'x/..', './x', 'x/.'])
    t.match(problemsWith({ ...PARAMS, repo }), [/has a dot segment/], repo)
  t.match(problemsWith({ ...PARAMS, team: 'x'.repeat(1025) }), [/longer than 1024/])
  t.end()
})

void t.test('a whole match is meant: no value gets in by a part that fits', (t) => {
  for (const repo of ['acme/widgets/../..', 'acme/widgets\n', 'x acme/widgets', 'acme//widgets'])
    t.match(problemsWith({ ...PARAMS, repo }), [/does not match/], JSON.stringify(repo))
  t.end()
})

void t.test('values for paths have no empty segments, backslashes or control characters', (t) => {
  const file = `ruleset: p\nparams: { dir: { pattern: '(?s).*' } }\nrules:\n  - id: r\n    allow: https://a.test/{dir}/x\n`
  const faults = (dir: string): number =>
    compilePolicy({
      sets: [ruleSet(file, 'p')],
      always: [],
      params: { dir },
      task: {},
    }).problems.length
  for (const dir of ['', '/a', 'a/', 'a//b', '.', 'a/..', 'a\\b', 'a\0b', 'a\nb'])
    t.equal(faults(dir), 1, JSON.stringify(dir))
  for (const dir of ['a', 'a/b', 'a.b', '...', 'a b', 'ü', '100%', 'a*b'])
    t.equal(faults(dir), 0, dir)
  const policy = policyOf(file, { params: { dir: 'a*/100%' } })
  t.equal(verdictOn(policy, 'GET https://a.test/a*/100%25/x'), 'allow r')
  t.equal(verdictOn(policy, 'GET https://a.test/ab/100%25/x'), 'deny path-not-allowed')
  t.end()
})

void t.test('a set that is in force for every task and for this one is there once', (t) => {
  const set = ruleSet('- id: r\n  allow: https://a.test')
  const { policy } = compilePolicy({
    sets: [set],
    always: [set],
    params: {},
    task: {},
  })
  t.equal(policy?.ruleSets.length, 1)
  t.ok(policy && isAllowed(policy, 'GET https://a.test/'))
  t.end()
})
