// Keys that look inside calls, in rule files: how they are read and refused, tested, checked and explained.

import t from 'tap'

import { EgressError } from '../../../src/errors.ts'
import { checkRuleSet, checkTogether } from '../../../src/policy/check.ts'
import { explain } from '../../../src/policy/explain.ts'
import { parseRuleSet } from '../../../src/policy/parse.ts'
import { checkTests, type ReadBody } from '../../../src/policy/rule-tests.ts'
import type { Content } from '../../../src/policy/subject.ts'
import { readContent } from '../../../src/understand/read-content.ts'
import { askAbout } from '../../../src/policy/written-call.ts'
import { MOMENT, item, policyOf, ruleSet } from './ask.ts'

const problems = (rule: string): string[] =>
  parseRuleSet(`ruleset: x\nrules:\n  - { id: r, ${rule} }\n`, 'x').problems.map(
    ({ code, message, hint }) => `${code}: ${message}${hint === undefined ? '' : ` (${hint})`}`,
  )
const A = 'allow: https://a.test'
const D = 'deny: https://a.test'

void t.test(
  'R38: what is written of the inside of calls is read or refused with a way out',
  (t) => {
    const rows: readonly (readonly [rule: string, problem: RegExp | undefined])[] = [
      [`${A}, tools: [list_*], resources: ['file:///*'], prompts: [a]`, undefined],
      [`${D}, tools: [a]`, undefined],
      [
        `${A}, tools: []`,
        /^wrong-value: expected at least one: leave the key out where none is meant/,
      ],
      [`${A}, tools: a`, /^wrong-type: expected a list of tools/],
      [`${A}, tools: ['a**']`, /^wrong-value: `\*\*` stands for whole path segments only/],
      [`${A}, tools: ['{x}']`, /^unknown-param: `x` is no parameter of this set/],
      [`${A}, git: { repos: ['{x}'] }`, /^unknown-param: `x` is no parameter of this set/],
      [`${A}, tools: [a], pin: { a: 'sha256:${'0a'.repeat(32)}' }`, undefined],
      [
        `${A}, tools: [a], pin: { a: 'sha256:00' }`,
        /^wrong-value: expected sha256: and 64 hex digits/,
      ],
      [`${A}, tools: [a], pin: { a: 5 }`, /^wrong-type: expected sha256: and 64 hex digits/],
      [`${A}, pin: { a: 'sha256:${'0a'.repeat(32)}' }`, /^pin-without-tools: .*write `tools:`/],
      [`${D}, tools: [a], pin: {}`, /^misplaced-key: `pin` has no meaning on a deny/],
      [`${A}, models: [gpt-*], maxTokens: 5, serverTools: false`, undefined],
      [`${A}, maxTokens: 0`, /^wrong-value: expected at least 1/],
      [`${A}, maxTokens: 1.5`, /^wrong-type: expected a number of tokens/],
      [`${A}, maxTokens: '5'`, /^wrong-type: expected a number of tokens/],
      [`${D}, maxTokens: 5`, /^misplaced-key: `maxTokens` has no meaning on a deny/],
      [`${A}, serverTools: web`, /^wrong-type: expected true, false or a list of names/],
      [`${D}, serverTools: true`, undefined],
      [`${D}, serverTools: [web_*]`, undefined],
      [`${D}, serverTools: false`, /expected true: leave the key out, false denies nothing/],
      [
        `${A}, graphql: { operations: [query], fields: [a.b, '*.c_1'], introspection: true }`,
        undefined,
      ],
      [`${A}, graphql: { operations: [qery] }`, /^wrong-value: .*\(did you mean `query`\?\)/],
      [`${A}, graphql: { fields: ['a..b'] }`, /^wrong-value: expected names of the schema/],
      [`${A}, graphql: { fields: ['a*'] }`, /^wrong-value: expected names of the schema/],
      [`${A}, graphql: { feilds: [a] }`, /^unknown-key: .*\(did you mean `fields`\?\)/],
      [`${D}, graphql: { introspection: false }`, /false denies nothing/],
      [
        `${A}, git: { repos: [a/b], push: [refs/heads/*], force: true, maxPackBytes: 1MiB }`,
        undefined,
      ],
      [`${A}, git: { maxPackBytes: lots }`, /^wrong-value: expected a size/],
      [`${A}, git: { pushh: [a] }`, /^unknown-key: .*\(did you mean `push`\?\)/],
      [`${D}, git: { maxPackBytes: 5 }`, /^unknown-key: unknown key `maxPackBytes`/],
      [`${D}, git: { force: false }`, /false denies nothing/],
      [`${A}, record: { prompts: redacted, tools: full }`, undefined],
      [`${A}, record: { prompts: none }`, /^wrong-value: expected off, digest, redacted or full/],
      [`${A}, record: { promts: off }`, /^unknown-key: .*\(did you mean `prompts`\?\)/],
      [`${D}, record: {}`, /^misplaced-key: `record` has no meaning on a deny/],
      [`${A}, tools: [a], models: [b]`, /^mixed-inspection: `models` is for model APIs.*two rules/],
      [`${A}, graphql: {}, git: {}`, /^mixed-inspection: `git` is for git, and `graphql`/],
      ['allow: tls://a.test, tools: [a]', /^opaque-key: `tools` has no meaning for tls:\/\//],
      ['allow: tcp://a.test:1, git: {}', /^opaque-key: `git` has no meaning for tcp:\/\//],
      ['allow: tls://a.test, record: {}', /^opaque-key: `record` has no meaning for tls:\/\//],
      [`${A}, tools: [a], observe: true`, undefined],
    ]
    for (const [rule, problem] of rows)
      if (problem === undefined) t.same(problems(rule), [], rule)
      else t.match(problems(rule).join('\n'), problem, rule)
    t.end()
  },
)

const TESTED = `ruleset: x
rules:
  - { id: mcp, allow: https://a.test/mcp, tools: [list_*], resources: ['file:///w/*'], prompts: [p] }
  - { id: all, allow: https://a.test/all }
tests:
  - { call: POST https://a.test/mcp, tool: list_issues, args: { team: PAY }, expect: allow mcp }
  - { call: POST https://a.test/mcp, tool: delete, expect: deny tool-not-allowed }
  - { call: POST https://a.test/mcp, resource: 'file:///w/a', expect: allow mcp }
  - { call: POST https://a.test/mcp, resource: 'file:///x', expect: deny source-not-allowed }
  - { call: POST https://a.test/mcp, prompt: p, expect: allow mcp }
  - { call: POST https://a.test/mcp, prompt: q, expect: deny source-not-allowed }
  - { call: POST https://a.test/mcp, expect: allow mcp }
  - { call: POST https://a.test/all, tool: delete, expect: allow all }
  - { call: POST https://b.test/mcp, tool: list_a, expect: deny not-on-allowlist }
`

void t.test('R38: the tests of a rule file name a tool, a resource or a prompt', (t) => {
  for (const { passed, name, expected, got } of checkTests(ruleSet(TESTED), readContent))
    t.ok(passed, `${name}: expected ${expected}, got ${got}`)
  const tested = (keys: string): string[] =>
    parseRuleSet(
      `ruleset: x\nrules: [{ id: r, deny: https://a.test }]\ntests:\n  - { ${keys}, expect: allow r }\n`,
      'x',
    ).problems.map(({ code }) => code)
  t.same(tested('call: GET https://a.test, tool: a'), [])
  t.same(tested('call: GET https://a.test, tool: a, prompt: b'), ['several-contents'])
  t.same(tested('call: GET https://a.test, tool: a, body: b'), ['several-contents'])
  t.same(tested('call: GET https://a.test, resource: a, args: {}'), ['several-contents'])
  t.same(tested('call: CONNECT a.test:443, tool: a'), ['nothing-inside'])
  t.same(tested('call: GET wss://a.test, body: a'), ['nothing-inside'])
  t.same(tested("call: GET https://a.test, tool: ''"), ['wrong-value'])
  t.same(tested('call: GET https://a.test, at: now'), ['wrong-value'])
  t.end()
})

void t.test('the body of a test is read by who reads live ones, where a rule asks', (t) => {
  const set = ruleSet(`ruleset: x
rules:
  - { id: mcp, allow: https://a.test/mcp, tools: [list_*] }
  - { id: all, allow: https://a.test/all }
tests:
  - { call: POST https://a.test/mcp, body: list_a, expect: allow mcp }
  - { call: POST https://a.test/mcp, body: b, expect: deny tool-not-allowed }
  - { call: POST https://a.test/mcp, body: '', expect: deny malformed-body }
  - { call: POST https://a.test/mcp, body: '!', expect: deny mcp-header-mismatch }
  - { call: POST https://a.test/all, body: '!', expect: allow all }
`)
  const readBody: ReadBody = (question, bytes, inspectors): Content => {
    t.equal(question.method, 'POST')
    t.same(inspectors, ['mcp'])
    const name = new TextDecoder().decode(bytes)
    if (name === '!') throw new EgressError('mcp-header-mismatch', {})
    return name === '' ? { fault: 'malformed-body' } : item(`tools ${name}`)
  }
  for (const { passed, name, got } of checkTests(set, readBody)) t.ok(passed, `${name}: ${got}`)
  t.end()
})

const codes = (yaml: string): string[] => checkRuleSet(ruleSet(yaml)).map(({ code }) => code)
const rule = (destination: string, keys: string, id = 'r'): string =>
  `- id: ${id}\n  allow: ${destination}\n  ${keys.replaceAll('; ', '\n  ')}`

void t.test('R38: a rule that lets MCP through without naming tools is called so', (t) => {
  const posts = 'methods: [POST, GET]'
  const of = (destination: string, keys = posts): string[] => codes(rule(destination, keys))
  t.same(of('https://mcp.linear.test'), ['mcp-unlimited'])
  t.same(of('"https://*.mcp.test"'), ['resolves-names', 'mcp-unlimited'])
  t.same(of('https://a.test/mcp'), ['mcp-unlimited'])
  t.same(of('https://a.test/v1/sse'), ['mcp-unlimited'])
  t.same(of('https://a.test', `paths: [/x, /sse/messages]; ${posts}`), ['mcp-unlimited'])
  t.same(of('https://a.test/mcp', `${posts}; tools: [a]`), [])
  t.same(of('https://a.test/mcp', 'methods: [GET]'), [], 'messages are posted')
  t.same(of('https://a.test/v1/messages'), [], 'a model API')
  t.same(of('https://mcpx.test/mcps'), [])
  t.same(codes('- id: r\n  allow: tls://mcp.a.test'), [], 'nobody looks inside')
  const mcp = rule('https://a.test/x', `${posts}; tools: [a]`, 'mcp')
  t.same(codes(`${mcp}\n${rule('https://a.test', posts)}`), ['mcp-unlimited'])
  t.same(codes(`${mcp}\n${rule('"https://*.test/x"', posts)}`), ['resolves-names', 'mcp-unlimited'])
  t.same(codes(`${mcp}\n${rule('https://a.test', 'methods: [GET]')}`), [])
  t.same(codes(`${mcp}\n${rule('https://a.test/y', posts)}`), [])
  t.same(codes(`${mcp}\n${rule('https://b.test', posts)}`), [])
  t.same(codes(`${mcp}\n${rule('https://a.test:8443', posts)}`), [])
  const git = rule('https://a.test', `${posts}; git: {}`, 'git')
  t.same(codes(`${git}\n${rule('https://a.test', 'methods: [GET]')}`), ['unlimited-overlap'])
  t.match(checkTogether([ruleSet(mcp, 'one'), ruleSet(rule('https://a.test', posts), 'other')]), [
    { file: 'other.yaml', message: 'allows every tool where rule `mcp` allows some' },
  ])
  t.end()
})

void t.test('rules that look inside and leave much open, or miss, are pointed out', (t) => {
  const of = (keys: string): string[] => codes(rule('https://a.test', `methods: [POST]; ${keys}`))
  t.same(of('tools: ["*"]'), ['any-tool'])
  t.same(of('tools: ["a*"]'), [])
  t.same(of('models: [a]'), ['server-tools-open'])
  t.same(of('maxTokens: 5'), ['server-tools-open'])
  t.same(of('models: [a]; serverTools: false'), [])
  t.same(of('models: [a]; serverTools: true'), [], 'it says so')
  t.same(codes(rule('https://a.test', 'methods: [POST, PUT]; tools: [a]')), ['mcp-method'])
  t.same(codes(rule('https://a.test', 'methods: [POST, GET, DELETE]; tools: [a]')), [])
  const pin = (digit: string, id: string, path = '/x'): string =>
    rule(
      `https://a.test${path}`,
      `methods: [POST]; tools: [a]; pin: { a: 'sha256:${digit.repeat(64)}' }`,
      id,
    )
  t.same(codes(`${pin('1', 'one')}\n${pin('2', 'two')}`), ['pin-conflict'])
  t.same(codes(`${pin('1', 'one')}\n${pin('1', 'two')}`), ['shadowed'])
  t.same(codes(`${pin('1', 'one')}\n${pin('2', 'two', '/y')}`), [])
  const named = (keys: string, credential: string): string =>
    rule('https://a.test', `methods: [POST]; ${keys}; credential: ${credential}`, credential)
  t.same(codes(`${named('tools: [a]', 'one')}\n${named('tools: [b]', 'two')}`), [
    'credential-conflict',
  ])
  t.same(codes(`${named('tools: [a]', 'one')}\n${named('graphql: {}', 'two')}`), [])
  const partial = '- id: d\n  deny: https://a.test\n  tools: [a]\n- id: t\n  allow: tls://a.test'
  t.same(codes(partial), ['deny-of-part'])
  t.end()
})

void t.test('R26: the trace names the key that a call does not meet', (t) => {
  const keys = [
    'tools: [a]',
    'resources: [a]',
    'prompts: [a]',
    'models: [a]',
    'maxTokens: 5',
    'serverTools: false',
    'graphql: { operations: [query] }',
    'git: { repos: [a] }',
  ]
  const policy = policyOf(
    [
      ...keys.map((key, at) => rule('https://a.test', key, `r${at}`)),
      '- { id: d0, deny: https://a.test, tools: [x] }',
      '- { id: d1, deny: https://a.test, serverTools: [x] }',
      '- { id: d2, deny: https://a.test, graphql: { operations: [mutation] } }',
      '- { id: d3, deny: https://a.test, git: { repos: [x] } }',
    ].join('\n'),
  )
  const asked = askAbout('POST', 'https://a.test/', [])
  const failed = (content?: Content): (string | undefined)[] =>
    explain(policy, { ...asked, ...(content && { content }) }, MOMENT).trace.map(
      ({ failedAt }) => failedAt,
    )
  const model = {
    operation: 'chat',
    model: 'b',
    hasOutput: true,
    maxTokens: 6,
    serverTools: ['web'],
  }
  const at = (content: Content, ...places: number[]): (string | undefined)[] => {
    const all = failed(content)
    return places.map((place) => all[place])
  }
  t.same(at(item('tools b'), 0, 1, 2, 3, 8, 9), [
    'tools',
    'tools',
    'tools',
    'inside',
    'tools',
    'inside',
  ])
  t.same(at(item('resources b'), 1, 8), ['resources', 'resources'])
  t.same(at(item('prompts a'), 2, 0), [undefined, 'prompts'])
  t.same(at({ model }, 3, 4, 5, 9, 0), [
    'models',
    'maxTokens',
    'serverTools',
    'serverTools',
    'inside',
  ])
  const operations = [{ type: 'subscription' as const, fields: [], introspection: false }]
  t.same(at({ graphql: { operations } }, 6, 10), ['graphql', 'graphql'])
  t.same(at({ git: { repo: 'b', service: 'upload-pack', commands: [] } }, 7, 11), ['git', 'git'])
  t.same(failed().slice(0, 9), [...keys.map(() => undefined), 'inside'], 'nothing is read yet')
  t.same(at({ fault: 'malformed-body' }, 0, 8), ['inside', undefined])
  t.end()
})
