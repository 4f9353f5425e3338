// Rules and calls by chance, of few hosts and paths, so that calls often meet rules: for what has to hold for all of them.

import {
  array,
  constant,
  constantFrom,
  oneof,
  option,
  record,
  subarray,
  tuple,
  type Arbitrary,
} from 'fast-check'

import { EgressError } from '../../../src/errors.ts'
import { checkAddresses } from '../../../src/net/classify.ts'
import type { Policy } from '../../../src/policy/compile.ts'
import {
  decideConnectTogether,
  decideTogether,
  type PolicyChain,
} from '../../../src/policy/conjunction.ts'
import { decide, decideConnect } from '../../../src/policy/decide.ts'
import type { AddressPolicy, ConnectDecision, Decision } from '../../../src/policy/decision.ts'
import type { Content, GitCommand } from '../../../src/policy/subject.ts'
import { askAbout, type Asked } from '../../../src/policy/written-call.ts'
import type { RuleSet } from '../../../src/policy/rule-set.ts'
import type { Moment, TaskFacts } from '../../../src/policy/facts.ts'
import type { DataClass } from '../../../src/tasks/task.ts'
import { MOMENT, policyOf, ruleSet } from './ask.ts'

/** A rule as it will be written; what is undefined is left out. */
export interface RuleText {
  readonly verdict: 'allow' | 'deny' | 'hold'
  readonly scheme: string
  readonly host: string
  readonly port: '' | ':8443'
  readonly methods: readonly string[] | undefined
  readonly paths: readonly string[] | undefined
  readonly query: string | undefined
  readonly headers: string | undefined
  readonly environment: string | undefined
  readonly credential: string | undefined
  readonly addresses: readonly string[] | undefined
  readonly bodyBytes: number | undefined
  readonly clientAuth: 'pass' | 'drop' | undefined
  readonly placeholderInBody: 'refuse' | undefined
  readonly data: string | undefined
  /** Keys that look inside, as an allow and as a deny may have them. */
  readonly inside: { readonly allow: string; readonly deny: string } | undefined
  readonly record: string | undefined
  readonly observe: boolean
  readonly between?: string | undefined
  readonly expires?: string | undefined
  readonly accepts?: string | undefined
  readonly separate?: boolean
  readonly when?: string | undefined
}

/** A call as it will be asked. */
export interface CallText {
  readonly call: string
  readonly headers: string[]
  /** What was read of it; undefined: the head alone is asked about. */
  readonly content?: Content | undefined
}

/** Mostly nothing, so that most rules say little. */
function rarely<Value>(value: Arbitrary<Value>): Arbitrary<Value | undefined> {
  return oneof(
    { weight: 5, arbitrary: constant(undefined) },
    { weight: 1, arbitrary: option(value, { nil: undefined }) },
  )
}

const segment = constantFrom('a', 'ab', '*', 'a*', '*b', '**')
const path = array(segment, { maxLength: 3 }).map((each) => `/${each.join('/')}`)
const range = constantFrom('10.0.0.0/8', '10.1.0.0/16', '127.0.0.1/32', '192.0.2.0/24')

const both = (keys: string): RuleText['inside'] => ({ allow: keys, deny: keys })

/** Keys that look inside calls. */
export const insideText: Arbitrary<NonNullable<RuleText['inside']>> = constantFrom(
  ...[
    both('tools: [a]'),
    both('tools: [a*, b]\n  resources: [r]'),
    both('tools: ["*"]\n  prompts: [p]'),
    { allow: `tools: [a*]\n  pin: { a: 'sha256:${'0'.repeat(64)}' }`, deny: 'prompts: [p]' },
    { allow: 'models: [m*]\n  maxTokens: 5', deny: 'models: [m1]' },
    { allow: 'models: [m1]\n  serverTools: false', deny: 'serverTools: true' },
    both('serverTools: [web]'),
    both('graphql: {}'),
    both('graphql: { operations: [query], fields: [a.b] }'),
    both('graphql: { fields: [a, "*.c"] }'),
    both('graphql: { introspection: true }'),
    both('git: { repos: [r/*] }'),
    both('git: { repos: [r/a], push: [refs/a] }'),
    { allow: 'git: { push: ["refs/*"], force: true, maxPackBytes: 5 }', deny: 'git: {}' },
    { allow: 'git: { push: ["refs/*"], maxPackBytes: 9 }', deny: 'git: { force: true }' },
  ].filter((each) => each !== undefined),
)

/** Any rule. */
export const ruleText: Arbitrary<RuleText> = record({
  verdict: constantFrom('allow', 'allow', 'allow', 'allow', 'deny'),
  scheme: constantFrom('https', 'https', 'https', 'https', 'http', 'wss', 'tls', 'tcp'),
  host: constantFrom('a.test', 'b.a.test', '*.a.test', '*.test', '*', '192.0.2.1', '192.0.2.0/24'),
  port: constantFrom('', '', '', ':8443'),
  methods: option(subarray(['GET', 'PUT', 'DELETE'], { minLength: 1 }), { nil: undefined }),
  paths: option(array(path, { minLength: 1, maxLength: 3 }), { nil: undefined }),
  query: rarely(constantFrom("{ k: 'v' }", "{ k: 'v*' }", "{ k: ['v', 'w'] }")),
  headers: rarely(constantFrom("{ x-k: 'v' }", "{ x-k: 'v*' }")),
  environment: rarely(constantFrom('dev', 'prod', '[dev, prod]')),
  credential: rarely(constantFrom('first', 'second')),
  addresses: rarely(array(range, { minLength: 1, maxLength: 2 })),
  bodyBytes: rarely(constantFrom(10, 20)),
  clientAuth: rarely(constantFrom('pass' as const, 'drop' as const)),
  placeholderInBody: rarely(constant('refuse' as const)),
  data: rarely(constantFrom('internal', 'restricted')),
  inside: oneof(
    { weight: 3, arbitrary: constant(undefined) },
    { weight: 1, arbitrary: insideText },
  ),
  record: rarely(constantFrom('{ prompts: full }', '{ prompts: off, tools: digest }')),
  observe: constantFrom(...Array.from({ length: 9 }, () => false), true),
})

/** Any rule with every key, those among them that hold, and that count only at some times. */
export const anyRuleText: Arbitrary<RuleText> = tuple(
  ruleText,
  record({
    isHold: constantFrom(false, false, false, true),
    between: rarely(
      constantFrom(
        "{ from: '08:00', to: '18:00', zone: UTC }",
        "{ from: '18:00', to: '08:00', zone: Europe/Berlin }",
        "{ days: [sat, sun], from: '00:00', to: '24:00', zone: UTC }",
      ),
    ),
    expires: rarely(constantFrom('2020-01-01', '2040-01-01')),
    accepts: rarely(constantFrom('internal', 'restricted')),
    separate: constantFrom(false, true),
    when: rarely(
      constantFrom(
        'task.environment == "dev"',
        'call.method == "GET" || call.path == "/a"',
        'call.query.k == "v"',
        '"x-k" in call.headers',
        'call.tool.name == "a"',
        'destination.data == "internal"',
        'now < timestamp("2026-01-07T18:00:00Z")',
        'task.params.absent == "x"',
      ),
    ),
  }),
).map(([rule, { isHold, ...more }]): RuleText => {
  const verdict = isHold && rule.verdict === 'allow' ? 'hold' : rule.verdict
  return { ...rule, ...more, verdict, observe: verdict === 'hold' ? false : rule.observe }
})

/** Rules of one task, with every key. */
export const anyRuleTexts: Arbitrary<RuleText[]> = array(anyRuleText, {
  minLength: 1,
  maxLength: 6,
})

/** When calls are decided, and after what. */
export const moment: Arbitrary<Moment> = record({
  now: constantFrom(Date.UTC(2026, 0, 7, 12), Date.UTC(2026, 0, 7, 20), Date.UTC(2026, 0, 10, 12)),
  read: constantFrom<DataClass>('public', 'public', 'internal', 'confidential', 'restricted'),
})

/** The task that calls. */
export const taskFacts: Arbitrary<TaskFacts> = record({
  environment: constantFrom('dev', 'prod'),
  ceiling: constantFrom<DataClass | undefined>(undefined, undefined, 'internal', 'public'),
})

/** Rules of one task. */
export const ruleTexts: Arbitrary<RuleText[]> = array(ruleText, { minLength: 1, maxLength: 6 })

/** The environment of a task. */
export const environment: Arbitrary<string> = constantFrom('dev', 'prod')

/** A policy from rules by chance. */
export function generatedPolicy(rules: readonly RuleText[], of: string | TaskFacts): Policy {
  const task = typeof of === 'string' ? { environment: of } : of
  return policyOf(writeRules(rules), { task })
}

/** A rule set from rules by chance. */
export function setOf(rules: readonly RuleText[]): RuleSet {
  return ruleSet(writeRules(rules))
}

/** Rules as a file has them. */
export function writeRules(rules: readonly RuleText[]): string {
  return rules.map(writeRule).join('\n')
}

function writeRule(rule: RuleText, at: number): string {
  const { verdict, scheme, host, observe } = rule
  const isOpaque = scheme === 'tls' || scheme === 'tcp'
  const port = scheme === 'tcp' && rule.port === '' ? ':443' : rule.port
  const destination = host.includes('/')
    ? `{ scheme: ${scheme}, cidr: ${host}${port === '' ? '' : `, port: ${port.slice(1)}`} }`
    : `"${scheme}://${host}${port}"`
  const lines = [`- id: r${at}`, `  ${verdict}: ${destination}`]
  const add = (key: string, value: string | number | boolean | undefined): void => {
    if (value !== undefined) lines.push(`  ${key}: ${String(value)}`)
  }
  const isAllow = verdict !== 'deny'
  add('environment', rule.environment)
  if (observe) add('observe', true)
  if (isAllow) add('addresses', rule.addresses && `[${rule.addresses.join(', ')}]`)
  if (isAllow && !observe) add('data', rule.data)
  if (!isAllow && rule.port !== '') add('ports', `[${rule.port.slice(1)}]`)
  add('between', rule.between)
  add('when', rule.when && `'${rule.when}'`)
  add('expires', rule.expires)
  if (isAllow && !observe) add('accepts', rule.accepts)
  if (verdict === 'hold' && rule.separate) add('separate', true)
  if (isAllow && isOpaque) return lines.join('\n')
  add('methods', rule.methods && JSON.stringify(rule.methods))
  add('paths', rule.paths && JSON.stringify(rule.paths))
  add('query', rule.query)
  add('headers', rule.headers)
  if (rule.inside) lines.push(`  ${isAllow ? rule.inside.allow : rule.inside.deny}`)
  if (!isAllow) return lines.join('\n')
  add('record', rule.record)
  add('credential', rule.credential)
  add('limit', rule.bodyBytes && `{ bodyBytes: ${rule.bodyBytes} }`)
  add('clientAuth', rule.clientAuth)
  add('placeholderInBody', rule.placeholderInBody)
  return lines.join('\n')
}

const authority = tuple(
  constantFrom('a.test', 'b.a.test', 'c.b.a.test', 'other.test', 'x.y', '192.0.2.1', '192.0.2.9'),
  constantFrom('', '', '', ':8443'),
).map((each) => each.join(''))
const rawPath = array(constantFrom('a', 'ab', 'b', 'c', 'a%2Fb', 'a;p', 'A', ''), {
  maxLength: 3,
}).map((each) => `/${each.join('/')}`)

const askedItem = tuple(
  constantFrom('tools', 'tools', 'resources', 'prompts'),
  constantFrom('a', 'ab', 'b', 'B', 'c', 'r', 'p'),
).map(([list, name]): Content => ({ mcp: { kind: 'item', method: list, list, name } }))
const askedModel = record({
  operation: constant('chat'),
  model: constantFrom('m1', 'm2', 'n', undefined),
  hasOutput: constantFrom(true, false),
  maxTokens: constantFrom(undefined, 5, 6),
  serverTools: constantFrom([], [], ['web'], ['web', 'run']),
}).map((model): Content => ({ model }))
const operation = record({
  type: constantFrom('query', 'query', 'mutation'),
  fields: constantFrom<string[][]>([['a']], [['a'], ['a', 'b']], [['a'], ['a', 'c']], [['x']], []),
  introspection: constantFrom(false, false, true),
})
const askedGraphql = array(operation, { maxLength: 2 }).map((operations): Content => ({
  graphql: { operations },
}))
const command: Arbitrary<GitCommand> = record({
  ref: constantFrom('refs/a', 'refs/b', 'x'),
  change: constantFrom('create', 'update', 'delete'),
  update: constantFrom('fast-forward', 'unproven'),
})
const askedGit = record({
  repo: constantFrom('r/a', 'r/b', 's'),
  service: constantFrom('upload-pack', 'receive-pack'),
  commands: array(command, { maxLength: 2 }),
}).map((each): Content => ({
  git: { ...each, commands: each.service === 'receive-pack' ? each.commands : [] },
}))

/** Anything that may be read of a call. */
export const content: Arbitrary<Content> = oneof(
  { weight: 4, arbitrary: askedItem },
  { weight: 2, arbitrary: askedModel },
  { weight: 2, arbitrary: askedGraphql },
  { weight: 2, arbitrary: askedGit },
  {
    weight: 2,
    arbitrary: constantFrom<Content>(
      {},
      { mcp: { kind: 'session', method: 'ping' } },
      { mcp: { kind: 'other', method: 'sampling/createMessage' } },
      { fault: 'malformed-body' },
    ),
  },
)

const httpCall = record({
  method: constantFrom('GET', 'PUT', 'DELETE', 'POST'),
  scheme: constantFrom('https', 'https', 'https', 'http', 'wss', 'ws'),
  authority,
  path: rawPath,
  query: constantFrom('', '', '?k=v', '?k=w', '?k=vv&k=v'),
  headers: constantFrom<string[]>([], [], ['x-k', 'v'], ['x-k', 'vv']),
  content: option(content, { nil: undefined, freq: 2 }),
}).map((each): CallText => ({
  call: `${each.method} ${each.scheme}://${each.authority}${each.path}${each.query}`,
  headers: each.headers,
  content: each.content,
}))
const tunnel = authority.map((at): CallText => ({
  call: `CONNECT ${at.includes(':') ? at : `${at}:443`}`,
  headers: [],
}))

/** Any call. */
export const callText: Arbitrary<CallText> = oneof(
  { weight: 4, arbitrary: httpCall },
  { weight: 1, arbitrary: tunnel },
)

/** Addresses of every kind that the rules by chance list. */
export const ADDRESSES: readonly string[] = [
  '93.184.216.34',
  '10.0.0.1',
  '10.1.0.1',
  '127.0.0.1',
  '192.0.2.1',
]

/** The question that a call asks. */
export function asked({ call, headers, content: read }: CallText): Asked {
  const [method = '', target = ''] = call.split(' ')
  return { ...askAbout(method, target, headers), ...(read && { content: read }) }
}

/** The decision by one policy. */
export function alone(
  policy: Policy,
  question: Asked,
  when: Moment = MOMENT,
): Decision | ConnectDecision {
  return 'connect' in question
    ? decideConnect(policy, question.connect, when)
    : decide(policy, question, when)
}

/** The decision by a task's policy and those of the tasks above it. */
export function together(
  policies: PolicyChain,
  question: Asked,
  when: Moment = MOMENT,
): Decision | ConnectDecision {
  return 'connect' in question
    ? decideConnectTogether(policies, question.connect, when)
    : decideTogether(policies, question, when)
}

/** Whether an address may be dialed for a call that was decided. */
export function mayDial(question: Asked, policy: AddressPolicy, address: string): boolean {
  const endpoint = 'connect' in question ? question.connect : question.endpoint
  try {
    checkAddresses({ endpoint, policy, own: [], allowed: [] }, [address])
    return true
  } catch (error) {
    if (error instanceof EgressError) return false
    throw error
  }
}
