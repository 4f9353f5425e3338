// Rule files that are no rule files: every problem at once, with its place and how to mend it.

import t from 'tap'

import { parseRuleSet } from '../../../src/policy/parse.ts'

const problems = (source: string): string[] =>
  parseRuleSet(source, 'rules/x.yaml').problems.map(
    ({ line, column, code, message, hint }) =>
      `${line}:${column} ${code}: ${message}${hint === undefined ? '' : ` (${hint})`}`,
  )

void t.test('R26: all problems of a file are found at once, each where it stands', (t) => {
  const source = `rulset: x
params: { repo: { pattern: '(' } }
rules:
  - id: a
    alow: https://api.github.com/
    methds: [GET]
    methods: [get]
  - id: a
    allow: [htps://x, api.github.com, 3, { scheme: https, cidr: 10.0.0.1/8, prt: 3 }]
    data: confidental
    when: 'x == 1'
    limit: { callsPerMinute: 3, bodyBytes: 3kb }
    query: { a: 1, b: ['x', '{reop}'] }
    headers: { Host: x }
  - id: c
    hold: https://x/y
    paths: ['/y', 'z', '/a/../b', '/**x', '/a%2Fb', '/a?b', '/a//b', '/{']
    ports: [1]
  - id: d
    deny: tcp://x
    credential: c
  - foo
  - description: 3
tests:
  - call: FOO
    at: 3
    expect: deny path-not-alowed
  - call: GET https://x/
    expect: allow b
`
  t.same(problems(source), [
    '1:1 missing-key: `ruleset` is missing',
    '1:1 unknown-key: unknown key `rulset` (did you mean `ruleset`?)',
    '2:28 wrong-value: not an RE2: missing closing ) (the whole value has to match)',
    '5:5 unknown-key: unknown key `alow` (did you mean `allow`?)',
    '5:11 wrong-value: is this the whole host or its root alone? (write https://api.github.com, or `paths: [/]` beside it)',
    '6:5 unknown-key: unknown key `methds` (did you mean `methods`?)',
    '7:15 wrong-value: `get` is no method (write GET)',
    '8:9 duplicate-id: `a` names two rules',
    '9:13 wrong-value: unknown scheme `htps` (did you mean `https`?)',
    '9:23 wrong-value: expected scheme://host[:port] (write https://api.github.com)',
    '9:39 wrong-type: expected scheme://host[:port], { scheme, cidr, port } or { group }, one or a list',
    '9:42 wrong-value: `10.0.0.1/8` is no range of addresses (write such as 10.1.2.0/24, without bits set behind the prefix)',
    '9:77 unknown-key: unknown key `prt` (did you mean `port`?)',
    '10:11 wrong-value: expected public, internal, confidential or restricted (did you mean `confidential`?)',
    '11:12 wrong-condition: unknown name `x` (there are task, call, destination and now)',
    '12:44 wrong-value: expected a size such as 512KiB or 64MiB',
    '13:17 wrong-type: expected a text or a list of texts: put numbers and words such as true in quotes',
    '13:29 unknown-param: `reop` is no parameter of this set (did you mean `repo`?)',
    '14:16 wrong-name: this field is not sent on as it comes, so no rule can look at it',
    '17:5 paths-twice: a destination of this rule has a path already (write all of them under `paths:`)',
    '17:19 wrong-value: a path begins with `/`',
    '17:24 wrong-value: no path has dot segments',
    '17:35 wrong-value: `**` stands for whole path segments only',
    '17:43 wrong-value: patterns are held against decoded paths (write the character itself instead of its escape)',
    '17:53 wrong-value: a path ends before `?` (write `query:` beside it)',
    '17:61 wrong-value: empty segments are read as if they were not there (write one `/`)',
    '17:70 wrong-value: braces enclose the name of a parameter',
    '18:5 misplaced-key: `ports` has no meaning on a hold (write the port in the destination)',
    '21:5 misplaced-key: `credential` has no meaning on a deny (take it out)',
    '22:5 wrong-type: expected a rule: a mapping',
    '23:5 no-verdict: a rule has a verdict (write `allow:`, `hold:` or `deny:`)',
    '23:5 missing-key: `id` is missing',
    '23:18 wrong-type: expected a text: put it in quotes',
    '25:11 wrong-value: expected METHOD URL, such as GET https://example.com/a, or CONNECT HOST:PORT',
    '26:9 wrong-type: expected a date such as 2027-06-30, or a time such as 2027-06-30T18:00:00Z',
    '27:13 wrong-value: unknown reason `path-not-alowed` (did you mean `path-not-allowed`?)',
    '29:13 unknown-rule: no rule has the id `b` (did you mean `a`?)',
  ])
  t.equal(parseRuleSet(source, 'x').ruleSet, undefined)
  t.end()
})

void t.test('R26: a file without problems is a rule set with the version of its bytes', (t) => {
  const source = `ruleset: one
owner: appsec@example.com
description: d
for: { teams: [payments] }
params: { repo: { pattern: 'a', description: b } }
rules:
  - id: r
    description: d
    owner: o
    allow: https://a.test
    paths: ['/{repo}']
    limit: { bodyBytes: 64KiB }
    addresses: [10.0.0.0/8]
`
  const { ruleSet, problems: found } = parseRuleSet(source, 'rules/one.yaml')
  t.same(found, [])
  t.match(ruleSet, {
    name: 'one',
    file: 'rules/one.yaml',
    version: /^sha256:[0-9a-f]{64}$/,
    owner: 'appsec@example.com',
    for: { teams: ['payments'] },
    rules: [{ id: 'r', verdict: 'allow', bodyBytesMax: 65_536, place: { line: 7, column: 5 } }],
  })
  t.not(parseRuleSet(`${source} `, 'x').ruleSet?.version, ruleSet?.version)
  t.end()
})

void t.test('`static: false` stands where something is let through, and `true` nowhere', (t) => {
  const read = (verdict: string, value: string, url = 'https://a.test'): string[] =>
    problems(`ruleset: x\nrules:\n  - id: r\n    ${verdict}: ${url}\n    static: ${value}\n`)
  t.same(read('allow', 'false'), [])
  t.same(read('hold', 'false'), [])
  t.match(read('allow', 'true'), [/^5:13 .*expected false/])
  t.match(read('deny', 'false'), [/^5:5 /], 'nothing is added to what is denied')
  t.match(read('allow', 'false', 'tls://a.test'), [/^5:5 opaque-key/])
  t.end()
})

const YAML: readonly (readonly [title: string, source: string, problem: RegExp])[] = [
  ['aliases', 'ruleset: &a x\nowner: *a\nrules: []\n', /^2:8 yaml-alias: aliases are not read/],
  ['merge keys', 'ruleset: x\nrules:\n  - <<: {}\n', /^3:5 yaml-merge/],
  ['repeated keys', 'ruleset: x\nruleset: y\nrules: []\n', /^2:1 duplicate-key/],
  ['broken syntax', 'ruleset: [x\nrules: []\n', /^\d+:\d+ yaml-syntax/],
  ['unknown tags', 'ruleset: !x y\nrules: []\n', /^1:10 yaml-syntax/],
  ['two documents', 'ruleset: x\nrules: []\n---\nruleset: y\n', /yaml-syntax/],
  ['tabs', 'ruleset: x\nrules:\n\t- id: x\n', /yaml-syntax/],
  ['a list', '- a\n', /^1:1 wrong-type: expected a rule set/],
  ['nothing', '', /^1:1 wrong-type: expected a rule set/],
  ['a key that objects have', 'ruleset: x\nrules: []\n__proto__: {}\n', /^3:1 unknown-key/],
  ['a deep nest', `ruleset: ${'['.repeat(50_000)}`, /yaml-syntax/],
]

for (const [title, source, problem] of YAML)
  void t.test(`a rule file with ${title} is refused`, (t) => {
    t.match(problems(source)[0], problem)
    t.equal(parseRuleSet(source, 'x').ruleSet, undefined)
    t.end()
  })

void t.test('I7: a rule file is bounded in bytes and rules', (t) => {
  const source =
    'ruleset: x\nrules:\n  - { id: a, deny: https://a }\n  - { id: b, deny: https://b }\n'
  const bounded = (ruleFileBytesMax: number, rulesPerSetMax: number): string[] =>
    parseRuleSet(source, 'x', { ruleFileBytesMax, rulesPerSetMax }).problems.map(({ code }) => code)
  t.same(bounded(1000, 2), [])
  t.same(bounded(1000, 1), ['too-many-rules'])
  t.same(bounded(20, 2), ['file-too-large'])
  t.end()
})

const inRule = (text: string): string[] =>
  problems(`ruleset: x\nrules:\n  - id: r\n    ${text.replaceAll('\n', '\n    ')}\n`)

void t.test('a rule has exactly one verdict', (t) => {
  t.match(inRule('allow: https://a.test\ndeny: https://b.test'), [/^5:5 several-verdicts/])
  t.match(inRule('methods: [GET]'), [/^3:5 no-verdict/])
  t.match(inRule('Deny: https://a.test\nports: [443]'), [/^4:5 unknown-key.*did you mean `deny`/])
  t.match(inRule('allow: []'), [/^4:12 wrong-value: expected at least one/])
  t.match(inRule('allow: null'), [/^4:12 wrong-type/])
  t.end()
})

void t.test('R42: what an uninspected connection does not show cannot be asked of it', (t) => {
  for (const key of [
    'methods: [GET]',
    'paths: [/a]',
    'query: { a: b }',
    'headers: { a: b }',
    'credential: c',
    'clientAuth: pass',
    'placeholderInBody: refuse',
  ]) {
    t.match(inRule(`allow: tls://a.test\n${key}`), [/^5:5 opaque-key/], key)
    t.match(inRule(`allow: [https://b.test, tcp://a.test:1]\n${key}`), [/^5:5 opaque-key/], key)
    t.match(inRule(`hold: tls://a.test\n${key}`), [/^5:5 opaque-key/], key)
    t.same(inRule(`allow: https://a.test\n${key}`), [], key)
  }
  t.match(inRule('allow: tls://a.test\nlimit: { bodyBytes: 1 }'), [/^5:14 opaque-key/])
  t.same(inRule('allow: tls://a.test\nlimit: { bytesOut: 1MiB, calls: 3 }'), [])
  t.same(inRule('allow: tls://a.test\naddresses: [10.0.0.0/8]\ndata: internal'), [])
  t.match(inRule('allow: tls://a.test/x'), [/^4:12 wrong-value: nothing of a tls connection/])
  t.end()
})

void t.test('R80: observing is refused where data is guarded', (t) => {
  t.match(inRule('allow: https://a.test\nobserve: true\ndata: confidential'), [
    /^5:5 observe-guarded/,
  ])
  t.match(inRule('allow: https://a.test\nobserve: true\ndata: restricted'), [
    /^5:5 observe-guarded/,
  ])
  t.match(inRule('allow: https://a.test\nobserve: true\nregulation: gdpr'), [
    /^5:5 observe-guarded: `observe` is refused for regulated data/,
  ])
  t.same(inRule('allow: https://a.test\nobserve: true\ndata: internal'), [])
  t.same(inRule('allow: https://a.test\nregulation: gdpr'), [], 'its twin')
  t.same(inRule('deny: https://a.test\nobserve: true'), [])
  t.end()
})

void t.test('`regulation` is a short list of short names in lower case', (t) => {
  const read = (regulation: string): string[] =>
    inRule(`allow: https://a.test\nregulation: ${regulation}`)
  for (const good of ['gdpr', '[gdpr, hipaa, pci-dss]', '[eu-ai-act]']) t.same(read(good), [], good)
  for (const bad of ['GDPR', '1.5', '[]', "''", '[a b]', '"a,b"', `[${'a, '.repeat(17)}]`, '{}'])
    t.match(read(bad), [/^5:\d+ wrong-(?:value|type): expected/], bad)
  t.match(inRule('deny: https://a.test\nregulation: gdpr'), [/^5:5 /], 'nothing comes back')
  t.end()
})

const DESTINATIONS: readonly (readonly [written: string, problem: RegExp | undefined])[] = [
  ['https://a.test', undefined],
  ['https://[2001:db8::1]:8443', undefined],
  ['{ scheme: tcp, cidr: 10.0.0.0/8, port: 22 }', undefined],
  ['{ scheme: tls, cidr: 10.0.0.7 }', undefined],
  ['tcp://a.test', /a tcp destination names its port/],
  ['{ scheme: tcp, cidr: 10.0.0.0/8 }', /a tcp range names its port/],
  ['{ cidr: 10.0.0.0/8 }', /a range names its scheme/],
  ['{ scheme: ftp, cidr: 10.0.0.0/8 }', /unknown scheme `ftp`/],
  ['{ scheme: https, cidr: 10.0.0.0/8, port: 0 }', /expected a port/],
  ['HTTPS://a.test', /unknown scheme `HTTPS` \(did you mean `https`\?\)/],
  ['https://a.test:0', /a port is a number/],
  ['https://a.test:65536', /a port is a number/],
  ['https://a.test:', /a port is a number/],
  ['https://', /`` is no host/],
  ['https://127.1', /`127.1` is no host/],
  ['https://2001:db8::1', /expected one host \(write IPv6 addresses in brackets\)/],
  ['https://[fe80::1%25eth0]', /is no host/],
  ['https://u@a.test', /has no user/],
  ['https://a.test?x=1', /has no query \(write `query:` beside it\)/],
  ['https://a.test#x', /has no fragment/],
  ['https://a.test/', /the whole host or its root alone/],
  ['https://10.0.0.0/8', /a range is no URL \(write \{ scheme: https, cidr: 10.0.0.0\/8 \}\)/],
  ['https://a.*.test', /a `\*` in a host stands for its first labels/],
  ['https://*a.test', /a `\*` in a host stands for its first labels/],
  ['https://*.10.0.0.1', /nothing is below an address/],
]

for (const [written, problem] of DESTINATIONS)
  void t.test(`as a destination ${written} is ${problem ? 'refused' : 'read'}`, (t) => {
    const found = inRule(`allow: ${written.startsWith('{') ? written : `'${written}'`}`)
    if (problem) t.match(found, [problem])
    else t.same(found, [])
    t.equal(found.length, problem ? 1 : 0)
    t.end()
  })

void t.test('a parameter is the whole host or none of it', (t) => {
  const source = (host: string): string =>
    `ruleset: x\nparams: { a: { pattern: a } }\nrules:\n  - { id: r, allow: 'https://${host}' }\n`
  t.same(problems(source('{a}')), [])
  t.same(problems(source('{a}:8443')), [])
  t.match(problems(source('x-{a}.test')), [/^4:21 wrong-value: a parameter is the whole host/])
  t.match(problems(source('*.{a}')), [/a parameter is the whole host/])
  t.match(problems(source('{b}')), [/^4:21 unknown-param: `b` is no parameter/])
  t.end()
})

void t.test('a deny needs neither port nor scheme where an allow does', (t) => {
  t.same(
    inRule('deny: [tcp://a.test, { cidr: 10.0.0.0/8 }, { scheme: tcp, cidr: 10.0.0.0/8 }]'),
    [],
  )
  t.same(inRule('deny: https://a.test\nports: [443, 8443]'), [])
  t.end()
})

void t.test('what a test may expect is one of the reasons that rules give', (t) => {
  const expecting = (text: string): string[] =>
    problems(
      `ruleset: x\nrules: [{ id: r, deny: https://a }]\ntests:\n  - { call: GET https://a/, expect: ${text} }\n`,
    )
  t.same(expecting('deny denied-by-rule'), [])
  t.same(expecting('deny malformed-path'), [])
  t.same(expecting('allow r'), [])
  t.match(expecting('deny dial-failed'), [
    /^4:37 wrong-value: `dial-failed` is not decided by rules/,
  ])
  t.same(expecting('hold r'), [])
  t.match(expecting('hold s'), [/unknown-rule/])
  t.match(expecting('refuse'), [/expected `allow RULE-ID`, `hold RULE-ID` or `deny REASON`/])
  t.end()
})

const written = (rule: string, more = ''): string[] =>
  problems(`ruleset: x\n${more}rules:\n  - id: a\n    methods: [GET]\n    ${rule}\n`)
const HOST = 'allow: https://a.test/a'

void t.test('R26: what is wrong with a key comes with what to write instead', (t) => {
  for (const [rule, expected] of [
    [`${HOST}\n    limit: 3`, '6:12 wrong-type: expected a mapping such as { callsPerMinute: 10 }'],
    [
      `${HOST}\n    limit: { calls: 0 }`,
      '6:21 wrong-value: expected a whole number of calls, at least 1',
    ],
    [
      `${HOST}\n    limit: { perSecond: 1 }`,
      '6:14 unknown-key: unknown key `perSecond` (there are bodyBytes, callsPerMinute, callsPerHour, callsPerDay, concurrentCalls, calls, bytesOut, bytesIn, perTool)',
    ],
    [
      `${HOST}\n    nonsense: 1`,
      '6:5 unknown-key: unknown key `nonsense` (take it out: docs/rules.md has the keys that there are)',
    ],
    [
      `${HOST}\n    separate: true`,
      '6:5 misplaced-key: `separate` has no meaning on an allow (take it out, or write `hold:` in place of `allow:`)',
    ],
    [
      'deny: https://a.test\n    data: internal',
      '6:5 misplaced-key: `data` has no meaning on a deny (take it out)',
    ],
    [
      `${HOST}\n    when: ''`,
      '6:11 wrong-value: expected a condition in CEL such as task.environment == "prod"',
    ],
    [
      `${HOST}\n    when: task.depth = 1`,
      '6:22 wrong-condition: unexpected character: = (equal is ==)',
    ],
    [
      `${HOST}\n    when: now > "2027"`,
      '6:11 wrong-condition: no such overload: google.protobuf.Timestamp > string (write timestamp("2027-06-30T18:00:00Z"))',
    ],
  ] as const)
    t.same(written(rule), [expected])
  t.same(written(HOST, 'hosts: { a: { group: b, cidr: 10.0.0.0/8, scheme: https } }\n'), [
    '2:15 misplaced-key: `group` has no meaning in a group (write the destinations of the other one)',
  ])
  t.same(written(`${HOST}\n    when: task.depth == 1\n    limit: { calls: 1 }`), [])
  t.end()
})
