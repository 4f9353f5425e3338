// Patterns on query parameters and header fields.

import t from 'tap'

import { readQuery } from '../../../src/policy/query.ts'
import { policyOf, verdictOn } from './ask.ts'

void t.test('an allow on a query parameter needs it, and every value of it to match', (t) => {
  const policy = policyOf(`
- id: r
  allow: https://a.test
  query: { state: [open, 'clos*'], per_page: '*' }`)
  const asked = (query: string): string => verdictOn(policy, `GET https://a.test/${query}`)
  t.equal(asked('?state=open&per_page=5'), 'allow r')
  t.equal(asked('?per_page=&state=closed'), 'allow r')
  t.equal(asked('?state=%6Fpen&per_page=1&other=x'), 'allow r')
  t.equal(asked('?state=open&state=closed&per_page=1'), 'allow r')
  t.equal(asked('?state=open&state=all&per_page=1'), 'deny path-not-allowed')
  t.equal(asked('?state=all&per_page=1'), 'deny path-not-allowed')
  t.equal(asked('?state=OPEN&per_page=1'), 'deny path-not-allowed')
  t.equal(asked('?state=open'), 'deny path-not-allowed')
  t.equal(asked(''), 'deny path-not-allowed')
  t.equal(asked('?state=open&per_page=1;state=all'), 'deny path-not-allowed', '; may separate')
  t.equal(asked('?state=open&per_page=1&st%61te=all'), 'deny path-not-allowed')
  t.equal(asked('?state=open&per_page=1&%2573tate=all'), 'deny path-not-allowed')
  t.equal(asked('?state=open&per_page=%zz'), 'deny path-not-allowed')
  t.end()
})

void t.test('a deny on a query parameter holds for any value in any reading', (t) => {
  const policy = policyOf(`
- id: r
  allow: https://a.test
- id: d
  deny: https://a.test
  query: { force: 'true', to: 'a b' }`)
  const asked = (query: string): string => verdictOn(policy, `GET https://a.test/${query}`)
  for (const query of [
    '?force=true&to=a+b',
    '?to=a%20b&force=false&force=true',
    '?FORCE=True&to=A+B',
    '?f%6Frce=tru%65&to=a%20b',
    '?x=1;force=true;to=a+b',
    '?%2566orce=true&to=a%2520b',
    '?force=%ff',
  ])
    t.equal(asked(query), 'deny denied-by-rule', query)
  for (const query of ['', '?force=true', '?force=false&to=a+b', '?to=a+b'])
    t.equal(asked(query), 'allow r', query)
  t.end()
})

void t.test('a query has as many readings as there are ways to read it', (t) => {
  const plain = (query: string | undefined): unknown => readQuery(query)
  t.same(plain(undefined), [[]])
  t.same(plain('a=1&b'), [
    [
      ['a', '1'],
      ['b', ''],
    ],
  ])
  t.same(plain('a=1&&a=2'), [
    [
      ['a', '1'],
      ['a', '2'],
    ],
  ])
  t.same(plain('a=x+y'), [[['a', 'x y']], [['a', 'x+y']]])
  t.same(plain('a=1;b=2'), [
    [['a', '1;b=2']],
    [
      ['a', '1'],
      ['b', '2'],
    ],
  ])
  t.same(plain('a=%2541'), [[['a', '%41']], [['a', 'A']]])
  t.same(plain('a=100%25'), [[['a', '100%']]])
  t.same(plain('a=%'), ['unreadable'])
  t.same(plain('a=\xc3\xbc'), [[['a', 'ü']]])
  t.same(plain('a=\xfc'), ['unreadable'])
  t.end()
})

void t.test('an allow on a header field needs it, and every value of it to match', (t) => {
  const policy = policyOf(`
- id: r
  allow: https://a.test
  headers: { X-Env: [dev, 'test-*'], accept: '*json' }`)
  const asked = (...headers: string[]): string => verdictOn(policy, 'GET https://a.test/', headers)
  t.equal(asked('x-env', 'dev', 'Accept', 'application/json'), 'allow r')
  t.equal(asked('X-ENV', ' test-1 ', 'accept', 'text/json'), 'allow r')
  t.equal(asked('x-env', 'dev', 'x-env', 'test-2', 'accept', 'json'), 'allow r')
  t.equal(asked('x-env', 'dev', 'x-env', 'prod', 'accept', 'json'), 'deny path-not-allowed')
  t.equal(asked('x-env', 'dev'), 'deny path-not-allowed')
  t.equal(asked('accept', 'json'), 'deny path-not-allowed')
  t.equal(asked('x-env', 'dev, prod', 'accept', 'json'), 'deny path-not-allowed')
  t.end()
})

void t.test(
  'a deny on a header field holds for any value or member of a list, without case',
  (t) => {
    const policy = policyOf(`
- id: r
  allow: https://a.test
- id: d
  deny: https://a.test
  headers: { x-role: admin* }`)
    const asked = (...headers: string[]): string =>
      verdictOn(policy, 'GET https://a.test/', headers)
    t.equal(asked('X-Role', 'admin'), 'deny denied-by-rule')
    t.equal(asked('x-role', 'user', 'x-role', 'ADMINS'), 'deny denied-by-rule')
    t.equal(asked('x-role', 'user, Admin'), 'deny denied-by-rule')
    t.equal(asked('x-role', 'user'), 'allow r')
    t.equal(asked(), 'allow r')
    t.end()
  },
)
