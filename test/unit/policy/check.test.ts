// What `check` says of well-formed rules, and the tests inside rule files.

import t from 'tap'

import { checkRuleSet, checkTogether } from '../../../src/policy/check.ts'
import { checkTests } from '../../../src/policy/rule-tests.ts'
import { readContent } from '../../../src/understand/read-content.ts'
import { ruleSet } from './ask.ts'

const findings = (yaml: string): string[] =>
  checkRuleSet(ruleSet(yaml)).map(
    ({ line, column, severity, code }) => `${line}:${column} ${severity} ${code}`,
  )

const codes = (yaml: string): string[] => checkRuleSet(ruleSet(yaml)).map(({ code }) => code)

void t.test('R43: rules that are wide are called so, narrow ones are not', (t) => {
  t.same(codes('- id: r\n  allow: https://a.test\n  methods: [GET]'), [])
  t.same(findings('- id: r\n  allow: https://a.test'), ['3:5 warning any-method'])
  const any = codes('- id: r\n  allow: "https://*"\n  methods: [GET]')
  t.same(any, ['any-host', 'resolves-names'])
  const below = codes('- id: r\n  allow: "https://*.a.test"')
  t.same(below, ['wide-wildcard', 'resolves-names', 'any-method'])
  t.same(codes('- id: r\n  allow: "https://*.a.test"\n  methods: [GET]'), ['resolves-names'])
  const onePath = codes('- id: r\n  allow: "https://*.a.test"\n  paths: [/x]')
  t.same(onePath, ['resolves-names', 'any-method'])
  t.same(codes('- id: r\n  allow: http://a.test\n  methods: [GET]'), ['plain-http'])
  t.same(codes('- id: r\n  allow: ws://a.test\n  methods: [GET]'), ['plain-http'])
  t.same(codes('- id: r\n  allow: tls://a.test'), [], 'methods cannot be asked of it')
  t.same(codes('- id: r\n  deny: "https://*"'), [], 'a deny cannot be too wide')
  t.end()
})

void t.test('R36: a rule by which an agent chooses names says that they are resolved', (t) => {
  const of = (keys: string): string | undefined =>
    checkRuleSet(
      ruleSet(
        `ruleset: x\nparams: { host: { pattern: '.+' } }\nrules:\n- { id: r, methods: [GET], ${keys} }`,
      ),
    )
      .filter(({ code }) => code === 'resolves-names')
      .map(({ severity, message }) => `${severity}: ${message}`)[0]
  const said = (text: string): string =>
    `warning: names that \`${text}\` covers are resolved upstream as a call asks for them, and each can carry data out: \`limits.newNamesPerMinute\` bounds how many new ones`
  t.equal(of('allow: "https://*.a.test"'), said('https://*.a.test'))
  t.equal(of('hold: "https://*.a.test"'), said('https://*.a.test'))
  t.equal(of('allow: "https://*"'), said('https://*'))
  t.equal(of('allow: https://a.test'), undefined)
  t.equal(of('allow: "https://{host}"'), undefined)
  t.equal(of('allow: { scheme: https, cidr: 10.0.0.0/8 }'), undefined)
  t.equal(of('deny: "https://*.a.test"'), undefined)
  t.end()
})

void t.test('R80: an observed rule is loud', (t) => {
  t.same(codes('- id: r\n  allow: https://a.test\n  methods: [GET]\n  observe: true'), ['observe'])
  t.same(codes('- id: r\n  deny: https://a.test\n  observe: true'), ['observe'])
  t.end()
})

void t.test('a deny that covers more or less than it seems to is pointed out', (t) => {
  t.same(codes('- id: r\n  deny: https://a.test:8443'), ['deny-every-port'])
  t.same(codes('- id: r\n  deny: tcp://a.test:22'), ['deny-every-port'])
  t.same(codes('- id: r\n  deny: https://a.test:8443\n  ports: [8443]'), [])
  t.same(codes('- id: r\n  deny: https://10.0.0.1'), ['deny-literal-only'])
  t.same(codes('- id: r\n  deny: { cidr: 10.0.0.1/32 }'), [])
  t.end()
})

void t.test('a pattern with a trailing slash needs its twin', (t) => {
  const paths = (list: string): string[] =>
    codes(`- id: r\n  allow: https://a.test\n  methods: [GET]\n  paths: ${list}`)
  t.same(paths('["/simple/*/"]'), ['trailing-slash'])
  t.same(paths('["/simple/*/", "/simple/*"]'), [])
  t.same(paths('["/simple/*/", "/simple/**"]'), [])
  t.same(paths('["/", "/a"]'), [])
  t.end()
})

void t.test('R42: tls and tcp destinations that another rule has inspected are an error', (t) => {
  const overlap = (opaque: string, inspected: string): boolean =>
    codes(`- id: o\n  allow: ${opaque}\n- id: i\n  allow: ${inspected}\n  methods: [GET]`).includes(
      'opaque-overlap',
    )
  t.ok(overlap('tls://a.test', 'https://a.test'))
  t.ok(overlap('tls://a.test', 'wss://a.test'))
  t.ok(overlap('tls://a.test', '"https://*.test"'))
  t.ok(overlap('tls://a.test', '"https://*"'))
  t.ok(overlap('"tls://*.b.test"', '"https://*.test"'))
  t.ok(overlap('tcp://a.test:80', 'http://a.test'))
  t.ok(overlap('{ scheme: tls, cidr: 10.1.0.0/16 }', '{ scheme: https, cidr: 10.0.0.0/8 }'))
  t.ok(overlap('{ scheme: tls, cidr: 10.1.0.0/16 }', 'https://10.1.2.3'))
  t.ok(overlap('tls://a.test\n  environment: dev', 'https://a.test'))
  t.ok(
    overlap(
      'tls://a.test\n  environment: [dev, test]',
      'https://a.test\n  environment: [prod, test]',
    ),
  )
  t.notOk(
    overlap('tls://a.test\n  environment: dev', 'https://a.test\n  environment: prod'),
    'no task has both',
  )
  t.notOk(overlap('tls://a.test:8443', 'https://a.test'))
  t.notOk(overlap('tls://a.test', 'https://b.test'))
  t.notOk(overlap('tls://test', '"https://*.test"'))
  t.notOk(overlap('"tls://*.a.test"', '"https://*.b.test"'))
  t.notOk(overlap('tls://10.0.0.1', '"https://*"'))
  t.notOk(overlap('{ scheme: tls, cidr: 10.1.0.0/16 }', '{ scheme: https, cidr: 10.2.0.0/16 }'))
  t.notOk(overlap('{ scheme: tls, cidr: 10.1.0.0/16 }', 'https://10.2.0.1'))
  t.end()
})

void t.test('overlaps are found between the sets of a task too', (t) => {
  const one = ruleSet('- id: o\n  allow: tls://a.test', 'one')
  const other = ruleSet('- id: i\n  allow: https://a.test\n  methods: [GET]', 'other')
  t.same(checkRuleSet(one), [])
  t.same(checkRuleSet(other), [])
  t.match(checkTogether([one, other]), [
    {
      file: 'one.yaml',
      line: 3,
      column: 5,
      severity: 'error',
      code: 'opaque-overlap',
      message: /rule `i`/,
    },
  ])
  t.end()
})

void t.test('R19: two credentials on one call are an error where that can be seen', (t) => {
  const conflict = (one: string, other: string): boolean =>
    codes(
      `- id: a\n  credential: first\n  ${one}\n- id: b\n  credential: second\n  ${other}`.replaceAll(
        '; ',
        '\n  ',
      ),
    ).includes('credential-conflict')
  const host = 'allow: https://a.test'
  t.ok(conflict(host, host))
  t.ok(conflict(host, 'allow: wss://a.test'))
  t.ok(conflict(host, 'allow: "https://*.test"; methods: [PUT]'))
  t.ok(conflict(`${host}; paths: ["/a/**"]`, `${host}; paths: ["/*/b"]`))
  t.ok(conflict(`${host}; paths: ["/x-*"]`, `${host}; paths: ["/*-y"]`))
  t.ok(conflict(`${host}; paths: ["/**/z", "/q"]`, `${host}; paths: ["/a/b/z"]`))
  t.ok(conflict(`${host}; query: { a: "x*" }`, `${host}; query: { a: [y, xy] }`))
  t.notOk(conflict(host, 'allow: https://b.test'))
  t.notOk(conflict(host, 'allow: https://a.test:8443'))
  t.notOk(conflict('allow: https://a.test', 'allow: http://a.test:443'))
  t.notOk(conflict(`${host}; methods: [GET]`, `${host}; methods: [PUT]`))
  t.notOk(conflict(`${host}; paths: ["/a/**"]`, `${host}; paths: ["/b/**"]`))
  t.notOk(conflict(`${host}; paths: ["/a/*"]`, `${host}; paths: ["/a", "/a/"]`))
  t.notOk(conflict(`${host}; paths: ["/x-*"]`, `${host}; paths: ["/y*"]`))
  t.notOk(conflict(`${host}; query: { a: x }`, `${host}; query: { a: y }`))
  t.notOk(conflict(`${host}; headers: { a: x }`, `${host}; headers: { A: [y, z] }`))
  t.same(
    codes(
      `- id: a\n  credential: one\n  methods: [GET]\n  ${host}\n- id: b\n  credential: one\n  methods: [GET]\n  ${host}`,
    ),
    ['shadowed'],
  )
  t.end()
})

void t.test('a deny of a part is pointed out where all of the host is denied by it', (t) => {
  const deny = '- id: d\n  deny: https://a.test\n  paths: [/x]'
  t.same(codes(`- id: o\n  allow: tls://a.test\n${deny}`), ['deny-of-part'])
  t.same(codes(`- id: o\n  allow: tls://a.test\n${deny}\n  ports: [80]`), [])
  t.same(codes(`- id: o\n  allow: https://a.test\n  methods: [GET]\n${deny}`), [])
  t.end()
})

void t.test('a parameter that no rule uses is pointed out', (t) => {
  const file = (rule: string): string[] =>
    findings(
      `ruleset: x\nparams:\n  a: { pattern: a }\nrules:\n  - id: r\n    methods: [GET]\n    ${rule}\n`,
    )
  t.same(file('allow: https://b.test'), ['3:3 warning unused-param'])
  for (const rule of [
    'allow: https://{a}',
    'allow: https://b.test/{a}',
    'allow: https://b.test\n    paths: ["/x-{a}"]',
    'allow: https://b.test\n    query: { q: "{a}" }',
    'allow: https://b.test\n    headers: { q: "{a}" }',
    'allow: https://b.test\n    when: task.params.a == "x"',
    `allow: https://b.test\n    when: 'task.params["a"] == "x"'`,
    `allow: https://b.test\n    when: '"a" in task.params'`,
  ])
    t.same(file(rule), [], rule)
  t.end()
})

void t.test('R26: the tests of a rule file run through the code that decides live traffic', (t) => {
  const set = ruleSet(`ruleset: x
params: { repo: { pattern: '[a-z]+/[a-z]+' } }
rules:
  - id: read
    allow: https://api.test
    methods: [GET]
    paths: ['/repos/{repo}/**']
  - id: socket
    allow: wss://api.test:8443
    headers: { x-env: dev }
  - id: pinned
    allow: tls://pinned.test
tests:
  - { call: GET https://api.test/repos/a/b/c, params: { repo: a/b }, expect: allow read }
  - { call: GET https://api.test/repos/a/x/c, params: { repo: a/b }, expect: deny path-not-allowed }
  - { call: GET https://api.test/repos/a/x/c, params: { repo: a/b }, expect: allow read }
  - { call: 'GET wss://api.test:8443/', params: { repo: a/b }, headers: { X-Env: [dev, dev] }, expect: allow socket }
  - { call: 'GET wss://api.test:8443/', params: { repo: a/b }, headers: { X-Env: prod }, expect: deny path-not-allowed }
  - { call: 'CONNECT pinned.test:443', params: { repo: a/b }, expect: allow pinned }
  - { call: 'GET https://api.test/../x', params: { repo: a/b }, expect: deny malformed-path }
  - { call: GET https://api.test/repos/a/b/c, expect: allow read }
`)
  t.same(
    checkTests(set, readContent).map(({ passed, expected, got, line }) => [
      line,
      passed,
      expected,
      got,
    ]),
    [
      [14, true, 'allow read', 'allow read'],
      [15, true, 'deny path-not-allowed', 'deny path-not-allowed'],
      [16, false, 'allow read', 'deny path-not-allowed'],
      [17, true, 'allow socket', 'allow socket'],
      [18, true, 'deny path-not-allowed', 'deny path-not-allowed'],
      [19, true, 'allow pinned', 'allow pinned'],
      [20, true, 'deny malformed-path', 'deny malformed-path'],
      [21, false, 'allow read', 'error the task has no value for `repo`'],
    ],
  )
  t.end()
})

void t.test('a condition on what nobody sees of a tunnel is pointed out, but on a deny', (t) => {
  const tunnel = (verdict: string, when: string): string[] =>
    codes(`- { id: a, ${verdict}: 'tls://a.test', when: '${when}' }`)
  for (const when of ['call.path == "/a"', '"x-a" in call.headers', 'has(call.tool)'])
    for (const verdict of ['allow', 'hold'])
      t.same(tunnel(verdict, when), ['opaque-condition'], `${verdict} ${when}`)
  t.same(tunnel('allow', 'call.host == "a.test" && task.depth == 0'), [])
  t.same(tunnel('deny', 'call.path == "/a"'), [])
  t.end()
})
