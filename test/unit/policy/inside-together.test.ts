// Rules that look inside calls, together: a child under its ancestors, and what holds for all such rules and all calls.

import { array, assert, constantFrom, property } from 'fast-check'
import t from 'tap'

import { decideTogether, type PolicyChain } from '../../../src/policy/conjunction.ts'
import { decide } from '../../../src/policy/decide.ts'
import { explainTogether } from '../../../src/policy/explain.ts'
import { comparePolicies } from '../../../src/policy/narrow.ts'
import type { Content } from '../../../src/policy/subject.ts'
import type { Policy } from '../../../src/policy/compile.ts'
import { MOMENT, item, policyOf } from './ask.ts'
import {
  alone,
  asked,
  callText,
  content,
  generatedPolicy,
  insideText,
  ruleText,
  ruleTexts,
  type RuleText,
} from './generate.ts'

const keyed = (keys: string, id = 'r'): string =>
  `- id: ${id}\n  allow: https://a.test\n  ${keys.replaceAll('; ', '\n  ')}`
const ALL = keyed('methods: [GET, POST]', 'all')

const summary = (yamls: readonly [string, ...string[]], read?: Content): string => {
  const [own, ...above] = yamls.map((yaml) => policyOf(yaml))
  const chain: PolicyChain = [own!, ...above]
  const question = asked({ call: 'POST https://a.test/', headers: [], content: read })
  if ('connect' in question) throw new Error('no call')
  const { verdict, reason, ancestor, inspectors, rule } = decideTogether(chain, question, MOMENT)
  if (verdict === 'allow') return ['allow', rule?.id, ...(inspectors ?? [])].join(' ')
  return ancestor === undefined ? reason : `${reason} by ancestor ${ancestor}`
}

void t.test('R69: what is inside a call is judged by a child and by every ancestor', (t) => {
  const some = keyed('tools: [a, b]')
  const fewer = keyed('tools: [a]')
  t.equal(summary([ALL, some]), 'allow all mcp', 'an ancestor has to see it')
  t.equal(summary([keyed('graphql: {}'), some]), 'allow r mcp graphql')
  t.equal(summary([ALL, ALL]), 'allow all')
  t.equal(summary([some, fewer], item('tools a')), 'allow r')
  t.equal(summary([some, fewer], item('tools b')), 'tool-not-allowed by ancestor 1')
  t.equal(summary([fewer, ALL, some], item('tools b')), 'tool-not-allowed')
  t.equal(summary([ALL, ALL, some], item('tools c')), 'tool-not-allowed by ancestor 2')
  t.equal(summary([ALL, some], {}), 'protocol-not-allowed by ancestor 1')
  t.equal(summary([ALL, some], { fault: 'malformed-body' }), 'malformed-body by ancestor 1')
  t.end()
})

void t.test('R69: whose credential it is may be a matter of what is inside', (t) => {
  const mcp = keyed('tools: [a]; credential: one', 'mcp')
  const graphql = keyed('graphql: {}; credential: two', 'graphql')
  const own = `${mcp}\n${graphql}`
  const parent = `${graphql}\n${mcp}`
  t.equal(summary([own, parent]), 'allow mcp mcp graphql', 'not known yet')
  t.equal(summary([own, parent], item('tools a')), 'allow mcp')
  const head = asked({ call: 'POST https://a.test/', headers: [] })
  if ('connect' in head) throw new Error('no call')
  const { obligations } = decideTogether([policyOf(own), policyOf(parent)], head, MOMENT)
  t.equal(obligations.credential, undefined, 'nor given')
  t.equal(summary([own, graphql], item('tools a')), 'protocol-not-allowed by ancestor 1')
  const other = keyed('tools: [a]; credential: three')
  t.equal(summary([own, other], item('tools a')), 'denied-by-rule by ancestor 1')
  t.end()
})

void t.test('R69: of records the fullest is owed, of packs the smallest, of pins all', (t) => {
  const owed = (read: Content, ...yamls: [string, ...string[]]): unknown => {
    const [own, ...above] = yamls.map((yaml) => policyOf(yaml))
    const question = asked({ call: 'POST https://a.test/', headers: [], content: read })
    if ('connect' in question) throw new Error('no call')
    return decideTogether([own!, ...above], question, MOMENT).obligations
  }
  const git = (keys: string): string => keyed(`git: { push: ["*"], ${keys} }`)
  const fetched: Content = { git: { repo: 'a', service: 'upload-pack', commands: [] } }
  t.match(owed(fetched, git('maxPackBytes: 9'), git('maxPackBytes: 5')), { maxPackBytes: 5 })
  t.match(owed(fetched, ALL, git('maxPackBytes: 5')), { maxPackBytes: 5 })
  t.match(owed({}, keyed('record: { prompts: off }'), keyed('record: { prompts: digest }')), {
    record: { prompts: 'digest' },
  })
  const pin = (digit: string, tool: string): string =>
    keyed(`tools: ["*"]; pin: { ${tool}: 'sha256:${digit.repeat(64)}' }`)
  t.match(owed(item('tools a'), pin('1', 'a'), pin('2', 'b'), pin('3', 'a')), {
    pins: new Map([
      ['a', `sha256:${'1'.repeat(64)}`],
      ['b', `sha256:${'2'.repeat(64)}`],
    ]),
  })
  t.end()
})

/** The axes on which a child is wider, then those that are not known, with a question mark. */
const compare = (child: string, parent: string): string => {
  const { widened, unproven } = comparePolicies(policyOf(child), policyOf(parent), MOMENT.now)
  return [...widened.map(({ axis }) => axis), ...unproven.map((axis) => `${axis}?`)].join(' ')
}

void t.test('R69: what a child may do inside calls is held against what its parent may', (t) => {
  const rows: readonly (readonly [child: string, parent: string, found: string])[] = [
    ['tools: [a]', 'tools: [a]', ''],
    ['tools: [a]', 'tools: ["*"]; prompts: [p]', ''],
    ['tools: ["ab*"]', 'tools: ["a*"]', ''],
    ['tools: [a]', 'clientAuth: drop', ''],
    ['tools: [a, b]', 'tools: [a]', 'inside'],
    ['tools: ["a*"]', 'tools: ["ab*"]', 'inside'],
    ['prompts: [a]', 'tools: [a]', 'inside'],
    ['tools: [a]', 'models: [a]', 'inside'],
    ['clientAuth: drop', 'tools: ["*"]', 'inside'],
    ['clientAuth: drop', 'graphql: {}', 'inside'],
    ['clientAuth: drop', 'git: { push: ["*"], force: true }', 'inside'],
    ['resources: ["x/../y"]', 'resources: ["*"]', 'inside'],
    ['resources: ["x/../y"]', 'resources: ["*", "x/../y"]', ''],
    [
      `tools: [a]; pin: { a: 'sha256:${'1'.repeat(64)}' }`,
      `tools: [a]; pin: { a: 'sha256:${'1'.repeat(64)}' }`,
      '',
    ],
    ['tools: [a]', `tools: [a]; pin: { a: 'sha256:${'1'.repeat(64)}' }`, 'inside?'],
    ['tools: [b]', `tools: ["*"]; pin: { a: 'sha256:${'1'.repeat(64)}' }`, ''],
    ['models: [a]; maxTokens: 5', 'models: [a, b]; maxTokens: 6', ''],
    ['models: [a]; serverTools: false', 'serverTools: [web]', ''],
    ['models: [a]; serverTools: [web]', 'serverTools: true', ''],
    ['models: [b]', 'models: [a]', 'inside'],
    ['maxTokens: 6', 'maxTokens: 5', 'inside'],
    ['models: [a]', 'models: [a]; maxTokens: 5', 'inside'],
    ['models: [a]', 'models: [a]; serverTools: false', 'inside'],
    ['serverTools: [web, run]', 'serverTools: [web]', 'inside'],
    ['graphql: { operations: [query] }', 'graphql: {}', ''],
    ['graphql: { fields: [a.b.c] }', 'graphql: { fields: [a.b] }', ''],
    ['graphql: { fields: [a.b.c] }', 'graphql: { fields: ["a.*"] }', ''],
    ['graphql: { fields: [a.b] }', 'graphql: { fields: [a.b.c] }', 'inside'],
    ['graphql: { fields: ["a.*"] }', 'graphql: { fields: [a.b] }', 'inside'],
    ['graphql: {}', 'graphql: { operations: [query] }', 'inside'],
    ['graphql: {}', 'graphql: { fields: [a] }', 'inside'],
    ['graphql: { introspection: true }', 'graphql: {}', 'inside'],
    ['git: { repos: [a/b] }', 'git: { repos: ["a/*"], push: [refs/x], maxPackBytes: 5 }', ''],
    ['git: { push: [refs/x/y] }', 'git: { push: ["refs/x/*"] }', ''],
    ['git: {}', 'git: { repos: [a] }', 'inside'],
    ['git: { push: [refs/x] }', 'git: {}', 'inside'],
    ['git: { push: [refs/x] }', 'git: { push: [refs/y] }', 'inside'],
    ['git: { push: [refs/x], force: true }', 'git: { push: [refs/x] }', 'inside'],
    ['git: { push: [a], maxPackBytes: 5 }', 'git: { push: [a], maxPackBytes: 9 }', ''],
    ['git: { push: [a], maxPackBytes: 9 }', 'git: { push: [a], maxPackBytes: 5 }', 'limit'],
    ['git: { push: [a] }', 'git: { push: [a], maxPackBytes: 5 }', 'limit'],
  ]
  for (const [child, parent, found] of rows)
    t.equal(compare(keyed(child), keyed(parent)), found, `${child} under ${parent}`)
  const denied = `${ALL}\n- id: d\n  deny: https://a.test\n  tools: [b]`
  t.equal(compare(denied, denied), '')
  t.equal(compare(ALL, denied), 'inside')
  t.equal(compare(keyed('tools: [a]; methods: [POST]'), denied), 'paths?', 'it could not be shown')
  const upgrade = '- id: w\n  allow: wss://a.test'
  t.equal(compare(upgrade, `${upgrade}\n  tools: ["*"]`), 'inside')
  t.equal(compare(`${upgrade}\n  tools: [a]`, `${upgrade}\n  tools: ["*"]`), '')
  const limit = `${ALL}\n${keyed('git: {}; limit: { bodyBytes: 5 }')}`
  t.equal(
    compare(`${ALL}\n${keyed('tools: [a]; methods: [POST]', 'm')}`, limit),
    'limit limit?',
    'by git content',
  )
  t.end()
})

const isAllowed = (policy: Policy, read: Content): boolean => {
  const question = asked({ call: 'POST https://a.test/', headers: [], content: read })
  return alone(policy, question).verdict === 'allow'
}

void t.test('what looks inside never allows more than a rule that does not', (t) => {
  assert(
    property(insideText, content, ({ allow }, read) => {
      const plain = keyed('clientAuth: drop')
      return !isAllowed(policyOf(keyed(allow)), read) || isAllowed(policyOf(plain), read)
    }),
  )
  assert(
    property(array(insideText, { maxLength: 3 }), insideText, content, (some, more, read) => {
      const rules = [ALL, ...some.map(({ allow }, at) => keyed(allow, `r${at}`))].join('\n')
      const deny = `- id: d\n  deny: https://a.test\n  ${more.deny}`
      return !isAllowed(policyOf(`${rules}\n${deny}`), read) || isAllowed(policyOf(rules), read)
    }),
  )
  t.end()
})

void t.test('a key beside others of its kind never allows more', (t) => {
  const kinds = [
    ['models: [m*]', 'maxTokens: 5', 'serverTools: [web]'],
    ['operations: [query]', 'fields: [a.b]'],
  ]
  assert(
    property(constantFrom(...kinds.entries()), content, ([at, keys], read) => {
      const join = (some: readonly string[]): string =>
        at === 0 ? some.join('; ') : `graphql: { ${some.join(', ')} }`
      const all = isAllowed(policyOf(keyed(join(keys))), read)
      return !all || keys.every((key) => isAllowed(policyOf(keyed(join([key]))), read))
    }),
  )
  t.end()
})

void t.test('a denial by the head alone is final, whatever is inside', (t) => {
  let denied = 0
  assert(
    property(ruleTexts, callText, content, (rules, call, read) => {
      const policy = generatedPolicy(rules, 'dev')
      const head = asked({ call: call.call, headers: call.headers })
      if ('connect' in head || decide(policy, head, MOMENT).verdict === 'allow') return true
      denied += 1
      return decide(policy, { ...head, content: read }, MOMENT).verdict === 'deny'
    }),
    { numRuns: 500 },
  )
  t.ok(denied > 100)
  t.end()
})

// Allows most calls by their heads.
const wide = (rule: RuleText): RuleText => ({
  ...rule,
  verdict: 'allow',
  scheme: 'wss',
  host: '*.test',
  port: '',
  observe: false,
  methods: undefined,
  paths: undefined,
  query: undefined,
  headers: undefined,
  environment: undefined,
  inside: undefined,
})

void t.test('what no rule asks to read changes nothing', (t) => {
  let unread = 0
  assert(
    property(ruleTexts, ruleText, callText, content, (rules, one, call, read) => {
      const policy = generatedPolicy([wide(one), ...rules], 'dev')
      const head = asked({ call: call.call, headers: call.headers })
      if ('connect' in head) return true
      const decision = decide(policy, head, MOMENT)
      if (decision.verdict === 'deny' || decision.inspectors) return true
      unread += 1
      const { verdict, rule, obligations } = decide(policy, { ...head, content: read }, MOMENT)
      return (
        verdict === 'allow' &&
        rule?.id === decision.rule?.id &&
        JSON.stringify(obligations) === JSON.stringify(decision.obligations)
      )
    }),
    { numRuns: 500 },
  )
  t.ok(unread > 50, `${unread} calls`)
  const read: Content = { mcp: { kind: 'session', method: 'ping' } }
  const dataOf = (...keys: readonly string[]): unknown => {
    const policy = policyOf(keys.map((each, at) => keyed(each, `r${at}`)).join('\n'))
    const question = asked({ call: 'POST https://a.test/', headers: [], content: read })
    return 'connect' in question ? undefined : decide(policy, question, MOMENT).obligations.data
  }
  t.equal(dataOf('methods: [POST]', 'data: internal'), 'internal')
  t.equal(dataOf('tools: [a]', 'data: internal'), undefined, 'the lowest class of the session')
  t.end()
})

void t.test('R53: the decision that is explained is the one that live traffic gets', (t) => {
  assert(
    property(ruleTexts, ruleTexts, callText, (own, above, call) => {
      const chain: PolicyChain = [generatedPolicy(own, 'dev'), generatedPolicy(above, 'dev')]
      const question = asked(call)
      if ('connect' in question) return true
      const { decision, trace } = explainTogether(chain, question, MOMENT)
      const live = decideTogether(chain, question, MOMENT)
      const matched = trace.some(
        (step) => step.matched && step.verdict === 'allow' && step.ancestor === undefined,
      )
      return (
        decision.verdict === live.verdict &&
        decision.reason === live.reason &&
        decision.rule?.id === live.rule?.id &&
        (live.verdict === 'deny' || matched)
      )
    }),
    { numRuns: 500 },
  )
  t.end()
})
