// Path patterns against every reading of a path.

import t from 'tap'

import { policyOf, verdictOn } from './ask.ts'

const ALLOWS: readonly (readonly [patterns: string, path: string, allowed: boolean])[] = [
  // literal
  ['[/]', '/', true],
  ['[/]', '/a', false],
  ['[/a]', '/a', true],
  ['[/a]', '/A', false],
  ['[/a]', '/a/b', false],
  ['[/a]', '/', false],
  // one non-empty segment, or part of one
  ['["/*"]', '/a', true],
  ['["/*"]', '/', false],
  ['["/*"]', '/a/b', false],
  ['["/a/*/c"]', '/a/b/c', true],
  ['["/a/*/c"]', '/a//c', false],
  ['["/a-*"]', '/a-b', true],
  ['["/a-*"]', '/b-a', false],
  ['["/*.tgz"]', '/x.tgz', true],
  ['["/*.tgz"]', '/x.tgz.exe', false],
  ['["/a*b*c"]', '/a1b2c', true],
  ['["/a*b*c"]', '/abc', true],
  ['["/a*b*c"]', '/acb', false],
  ['["/ab*ba"]', '/aba', false],
  // zero or more segments
  ['["/**"]', '/', true],
  ['["/**"]', '/a/b/c', true],
  ['["/a/**"]', '/a', true],
  ['["/a/**"]', '/a/b', true],
  ['["/a/**"]', '/a/', true],
  ['["/a/**"]', '/ab', false],
  ['["/a/**/z"]', '/a/z', true],
  ['["/a/**/z"]', '/a/b/c/z', true],
  ['["/a/**/z"]', '/a/b/c', false],
  ['["/**/x/**/y"]', '/x/x/q/y', true],
  ['["/**/x/**/y"]', '/x/y/x', false],
  // every reading: escapes
  ['[/a b]', '/a%20b', true],
  ['[/a]', '/%61', true],
  ['["/*"]', '/a%2Fb', false],
  ['["/*", "/*/*"]', '/a%2Fb', true],
  ['["/*/*"]', '/a%2fb', false],
  ['["/*"]', '/a%252fb', false],
  ['[/ü]', '/%C3%BC', true],
  // every reading: empty segments, parameters, trailing slashes
  ['[/a/b]', '/a//b', false],
  ['["/a/**/b"]', '/a//b', true],
  ['[/a]', '/a;v=1', false],
  ['["/a*"]', '/a;v=1', true],
  ['[/a]', '/a/', false],
  ['[/a/]', '/a/', false],
  ['[/a, /a/]', '/a/', true],
]

for (const [patterns, path, allowed] of ALLOWS)
  void t.test(`R35: ${patterns} ${allowed ? 'allows' : 'does not allow'} ${path}`, (t) => {
    const policy = policyOf(`- id: r\n  allow: https://a.test\n  paths: ${patterns}`)
    const verdict = allowed ? 'allow r' : 'deny path-not-allowed'
    t.equal(verdictOn(policy, `GET https://a.test${path}`), verdict)
    t.end()
  })

void t.test("R35: npm's scoped name is allowed by both its readings together", (t) => {
  const call = 'GET https://registry.test/@scope%2fname'
  const policy = (paths: string): string =>
    verdictOn(policyOf(`- id: r\n  allow: https://registry.test\n  paths: ${paths}`), call)
  t.equal(policy('["/@*/*", "/@*"]'), 'allow r')
  t.equal(policy('["/@*/*"]'), 'deny path-not-allowed')
  t.equal(policy('["/@*"]'), 'deny path-not-allowed')
  t.end()
})

void t.test('R35: two rules do not lend each other their patterns', (t) => {
  const policy = policyOf(`
- id: one
  allow: https://a.test
  paths: ["/@*/*"]
- id: other
  allow: https://a.test
  paths: ["/@*"]`)
  t.equal(verdictOn(policy, 'GET https://a.test/@scope%2fname'), 'deny path-not-allowed')
  t.equal(verdictOn(policy, 'GET https://a.test/@scope/name'), 'allow one')
  t.equal(verdictOn(policy, 'GET https://a.test/@scope'), 'allow other')
  t.end()
})

const SPELLINGS = [
  '/admin/users',
  '/%61dmin/users',
  '/ADMIN/users',
  '/Admin/Users',
  '/%41DMIN/users',
  '/admin//users',
  '//admin/users',
  '/admin%2Fusers',
  '/admin%2fusers',
  '/admin%252Fusers',
  '/%2561dmin/users',
  '/admin;x=1/users',
  '/admin/users;x=1',
  '/admin/users/',
  '/admin/users//',
]

for (const path of SPELLINGS)
  void t.test(`R35: a denied path stays denied when spelt ${path}`, (t) => {
    const policy = policyOf(`
- id: all
  allow: https://a.test
- id: d
  deny: https://a.test
  paths: [/admin/users]`)
    t.equal(verdictOn(policy, `GET https://a.test${path}`), 'deny denied-by-rule')
    t.equal(verdictOn(policy, 'GET https://a.test/users'), 'allow all')
    t.end()
  })

void t.test('R35: a path in the destination is shorthand for paths', (t) => {
  const policy = policyOf(`
- id: r
  allow: ["https://a.test/mcp", "https://a.test/x/*", https://b.test]
- id: d
  deny: https://b.test/secret/**`)
  t.equal(verdictOn(policy, 'POST https://a.test/mcp'), 'allow r')
  t.equal(verdictOn(policy, 'POST https://a.test/x/1'), 'allow r')
  t.equal(verdictOn(policy, 'POST https://a.test/y'), 'deny path-not-allowed')
  t.equal(verdictOn(policy, 'POST https://b.test/y'), 'allow r')
  t.equal(verdictOn(policy, 'POST https://b.test/SECRET'), 'deny denied-by-rule')
  t.end()
})

void t.test('patterns of one rule count together, whichever way they are written', (t) => {
  const policy = policyOf('- id: r\n  allow: ["https://a.test/@*", "https://a.test/@*/*"]')
  t.equal(verdictOn(policy, 'GET https://a.test/@scope%2Fname'), 'allow r')
  const open = policyOf('- id: r\n  allow: ["https://a.test/x", "https://a.test"]')
  t.equal(verdictOn(open, 'GET https://a.test/y'), 'allow r')
  t.end()
})
