// A hold takes back what another rule allows: it holds whatever an upstream may take for what it names, as a deny denies that, and
// lets pass only what it names in every reading.

import t from 'tap'

import type { Content } from '../../../src/policy/subject.ts'
import { decisionOn, item, policyOf, verdictInside, verdictOn } from './ask.ts'

const A = 'https://a.test'
const ALLOW = `- { id: a, allow: '${A}' }`

void t.test('R75: no other reading of a path, method or query gets around a hold', (t) => {
  const paths = policyOf([ALLOW, `- { id: h, hold: '${A}', paths: ['/pay/**'] }`])
  for (const path of ['/pay/5', '/pay%2F5', '//pay/5', '/pay;x/5', '/PAY/5', '/pay%252f5'])
    t.equal(verdictOn(paths, `POST ${A}${path}`), 'hold h', path)
  t.equal(verdictOn(paths, `POST ${A}/read/5`), 'allow a')
  const methods = policyOf([ALLOW, `- { id: h, hold: '${A}', methods: [POST] }`])
  t.equal(verdictOn(methods, `post ${A}/`), 'hold h')
  t.equal(verdictOn(methods, `GET ${A}/`), 'allow a')
  const query = policyOf([ALLOW, `- { id: h, hold: '${A}', query: { mode: live } }`])
  t.equal(verdictOn(query, `POST ${A}/?mode=live&mode=test`), 'hold h')
  t.equal(verdictOn(query, `POST ${A}/?mode=test`), 'allow a')
  const headers = policyOf([ALLOW, `- { id: h, hold: '${A}', headers: { x-mode: live } }`])
  t.equal(verdictOn(headers, `POST ${A}/`, ['X-Mode', 'live', 'x-mode', 'test']), 'hold h')
  t.equal(verdictOn(headers, `POST ${A}/`, ['X-Mode', 'test']), 'allow a')
  t.end()
})

void t.test('R75: what a hold names in some reading alone it does not let pass by itself', (t) => {
  const policy = policyOf(`- { id: h, hold: '${A}', paths: ['/pay/**'] }`)
  t.equal(verdictOn(policy, `POST ${A}/pay/5`), 'hold h')
  t.equal(verdictOn(policy, `POST ${A}/pay%2F5`), 'deny path-not-allowed')
  t.equal(verdictOn(policy, `POST ${A}/read`), 'deny path-not-allowed')
  t.end()
})

void t.test('R75: what else is in a call gets nothing around a hold', (t) => {
  const tools = policyOf([ALLOW, `- { id: h, hold: '${A}', tools: [pay] }`])
  t.equal(verdictInside(tools, item('tools pay')), 'hold h')
  t.equal(verdictInside(tools, item('tools PAY')), 'hold h')
  t.equal(verdictInside(tools, item('tools read')), 'allow a')
  t.equal(verdictInside(tools, { fault: 'malformed-body' }), 'deny malformed-body')
  const mutations = policyOf([
    ALLOW,
    `- { id: h, hold: '${A}', graphql: { operations: [mutation] } }`,
  ])
  const asking = (...types: ('query' | 'mutation')[]): Content => ({
    graphql: { operations: types.map((type) => ({ type, fields: [['x']], introspection: false })) },
  })
  t.equal(verdictInside(mutations, asking('mutation')), 'hold h')
  t.equal(verdictInside(mutations, asking('query', 'mutation')), 'hold h')
  t.equal(verdictInside(mutations, asking('query')), 'allow a')
  const push = policyOf([ALLOW, `- { id: h, hold: '${A}', git: { push: [refs/heads/main] } }`])
  const pushing = (...refs: string[]): Content => ({
    git: {
      repo: 'x/y',
      service: 'receive-pack',
      commands: refs.map((ref) => ({ ref, change: 'create' })),
    },
  })
  t.equal(verdictInside(push, pushing('refs/heads/main')), 'hold h')
  t.equal(verdictInside(push, pushing('refs/heads/x', 'refs/heads/main')), 'hold h')
  t.equal(verdictInside(push, pushing('refs/heads/x')), 'allow a')
  t.end()
})

void t.test('what binds every task binds it in every reading, and where nobody can tell', (t) => {
  const owed = (rule: string, call: string, headers: string[] = [], content?: Content): unknown => {
    const always = [`- { id: g, allow: '${A}', data: restricted, ${rule} }`]
    const { verdict, obligations } = decisionOn(policyOf(ALLOW, { always }), call, headers, content)
    t.equal(verdict, 'allow')
    return obligations.data
  }
  const paths = "paths: ['/records/**']"
  for (const path of ['/records/5', '/records%2F5', '/RECORDS/5', '//records;x/5'])
    t.equal(owed(paths, `GET ${A}${path}`), 'restricted', path)
  t.equal(owed(paths, `GET ${A}/other`), undefined)
  const when = `when: 'call.headers["x-kind"] == "record"'`
  t.equal(owed(when, `GET ${A}/`, ['X-Kind', 'record']), 'restricted')
  t.equal(owed(when, `GET ${A}/`, ['X-Kind', 'record', 'X-Kind', 'x']), 'restricted')
  t.equal(owed(when, `GET ${A}/`, ['X-Kind', 'other']), undefined)
  t.equal(owed('tools: [get]', `POST ${A}/`, [], item('tools get')), 'restricted')
  t.equal(owed('tools: [get]', `POST ${A}/`, [], { fault: 'malformed-body' }), 'restricted')
  t.equal(owed('tools: [get]', `POST ${A}/`, [], item('tools other')), undefined)
  t.end()
})

void t.test('R75: what is held by one reading owes what the hold asks for', (t) => {
  const hold = `- { id: h, hold: '${A}', paths: ['/pay/**'], data: restricted, limit: { bodyBytes: 1KiB } }`
  const { obligations } = decisionOn(policyOf([ALLOW, hold]), `POST ${A}/pay%2F5`)
  t.match(obligations, { data: 'restricted', bodyBytesMax: 1024 })
  t.end()
})
