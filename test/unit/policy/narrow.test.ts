// A child's rules held against its parent's: what is wider, what is not, and what is not known.

import { array, assert, constantFrom, oneof, property, tuple, type Arbitrary } from 'fast-check'
import t from 'tap'

import type { Policy } from '../../../src/policy/compile.ts'
import type { Obligations } from '../../../src/policy/decision.ts'
import { decideConnectTogether, decideTogether } from '../../../src/policy/conjunction.ts'
import { comparePolicies, type Widening } from '../../../src/policy/narrow.ts'
import type { Asked } from '../../../src/policy/written-call.ts'
import { MOMENT, policyOf } from './ask.ts'
import {
  ADDRESSES,
  alone,
  asked,
  callText,
  environment,
  generatedPolicy,
  mayDial,
  ruleText,
  ruleTexts,
  type RuleText,
} from './generate.ts'

/** What a rule says beside its destination; a destination alone is a rule for all of it. */
const written = (text: string): string =>
  text
    .split(' | ')
    .map((each, at) => {
      const [destination = '', ...keys] = each.split('; ')
      const verdict = /^(allow|deny): /.test(destination) ? '' : 'allow: '
      return [`- id: r${at}`, `  ${verdict}${destination}`, ...keys.map((key) => `  ${key}`)].join(
        '\n',
      )
    })
    .join('\n')

interface Sides {
  readonly always?: readonly string[]
  readonly environment?: string
}

const axesOf = (widened: readonly Widening[]): string[] => widened.map(({ axis }) => axis)

/** The axes on which a child is wider, then those that are not known, with a question mark. */
const compare = (child: string, parent: string, sides: Sides = {}): string => {
  const { widened, unproven } = comparePolicies(
    policyOf(written(child), sides),
    policyOf(written(parent), sides),
    MOMENT.now,
  )
  return [...axesOf(widened), ...unproven.map((axis) => `${axis}?`)].join(' ')
}

type Row = readonly [child: string, parent: string, found: string]

const A = 'https://a.test'

const TABLES: Readonly<Record<string, readonly Row[]>> = {
  'the same rules': [
    [A, A, ''],
    [
      `${A}; methods: [GET]; paths: [/a/*/b, "/c/**"]`,
      `${A}; methods: [GET]; paths: [/a/*/b, "/c/**"]`,
      '',
    ],
    ['tls://a.test', 'tls://a.test', ''],
    ['tcp://a.test:22', 'tcp://a.test:22', ''],
    ['{ scheme: https, cidr: 10.0.0.0/8 }', '{ scheme: https, cidr: 10.0.0.0/8 }', ''],
  ],
  hosts: [
    [A, '"https://*.test"', ''],
    [A, '"https://*"', ''],
    ['"https://*.a.test"', '"https://*.test"', ''],
    ['"https://*.test"', '"https://*"', ''],
    ['https://10.0.0.1', '{ scheme: https, cidr: 10.0.0.0/8 }', ''],
    ['{ scheme: https, cidr: 10.1.0.0/16 }', '{ scheme: https, cidr: 10.0.0.0/8 }', ''],
    ['https://b.test', A, 'host'],
    ['"https://*.test"', A, 'host'],
    ['"https://*.test"', '"https://*.a.test"', 'host'],
    ['"https://*"', '"https://*.test"', 'host'],
    ['https://10.0.0.1', '"https://*"', 'host'],
    ['{ scheme: https, cidr: 10.0.0.0/8 }', '{ scheme: https, cidr: 10.0.0.0/16 }', 'host'],
    ['"https://*.a.test"', A, 'host'],
    [A, '"https://*.a.test"', 'host'],
    [`${A} | https://b.test`, A, 'host'],
  ],
  ports: [
    ['https://a.test:8443', 'https://a.test:8443', ''],
    ['https://a.test:8443', A, 'port'],
    [A, 'https://a.test:8443', 'port'],
  ],
  schemes: [
    [A, 'wss://a.test', ''],
    ['http://a.test', 'ws://a.test', ''],
    ['wss://a.test', 'wss://a.test', ''],
    ['wss://a.test', A, 'scheme'],
    ['http://a.test:443', A, 'scheme'],
    ['tls://a.test', A, 'scheme'],
    [A, 'tls://a.test', 'scheme'],
    ['tcp://a.test:443', 'tls://a.test', 'scheme'],
    ['tcp://a.test:443', 'tcp://a.test:443 | tls://a.test', 'scheme'],
    ['tls://a.test', `tls://a.test | "https://*"`, 'scheme'],
    ['tls://a.test', 'tcp://a.test:443', 'scheme?'],
    ['tls://b.test', 'tls://a.test', 'host'],
    ['tls://a.test:8443', 'tls://a.test', 'port'],
  ],
  methods: [
    [`${A}; methods: [GET]`, A, ''],
    [`${A}; methods: [GET]`, `${A}; methods: [GET, HEAD]`, ''],
    [`${A}; methods: [GET, PUT]`, `${A}; methods: [GET] | ${A}; methods: [PUT]`, ''],
    [`${A}; methods: [GET, PUT]`, `${A}; methods: [GET]`, 'methods'],
    [A, `${A}; methods: [GET, POST, DELETE]`, 'methods'],
  ],
  paths: [
    [`${A}/x`, A, ''],
    [`${A}/x/y`, `${A}; paths: ["/x/*"]`, ''],
    [`${A}; paths: ["/x/*"]`, `${A}; paths: ["/x/**"]`, ''],
    [`${A}; paths: ["/x/**"]`, `${A}; paths: ["/**"]`, ''],
    [A, `${A}; paths: ["/**"]`, ''],
    [`${A}; paths: ["/x/*/z/**"]`, `${A}; paths: ["/**/z/**"]`, ''],
    [`${A}; paths: ["/a-b-*"]`, `${A}; paths: ["/a-*"]`, ''],
    [`${A}; paths: ["/a-*-c"]`, `${A}; paths: ["/a-*"]`, ''],
    [`${A}; paths: ["/a-*"]`, `${A}; paths: ["/*"]`, ''],
    [`${A}; paths: [/x, /x/]`, `${A}; paths: [/x, /x/]`, ''],
    [`${A}; paths: [/x, /x/]`, `${A}; paths: [/x, "/x/*"]`, 'paths'],
    [`${A}; paths: ["/*"]`, `${A}; paths: ["/a-*"]`, 'paths'],
    [`${A}; paths: ["/a-*"]`, `${A}; paths: ["/a-b-*"]`, 'paths'],
    [`${A}; paths: ["/x/**"]`, `${A}; paths: ["/x/*"]`, 'paths'],
    [A, `${A}; paths: ["/x/**"]`, 'paths'],
    [`${A}; paths: [/x, /y]`, `${A}; paths: [/x]`, 'paths'],
    [`${A}; paths: ["/**"]`, `${A}; paths: ["/*", "/*/**", /]`, 'paths?'],
  ],
  'query and headers': [
    [`${A}; query: { a: b }`, A, ''],
    [`${A}; query: { a: b, c: d }`, `${A}; query: { a: b }`, ''],
    [`${A}; query: { a: b }`, `${A}; query: { a: [b, c] }`, ''],
    [`${A}; query: { a: bc }`, `${A}; query: { a: "b*" }`, ''],
    [A, `${A}; query: { a: b }`, 'query'],
    [`${A}; query: { a: [b, c] }`, `${A}; query: { a: b }`, 'query'],
    [`${A}; query: { a: "b*" }`, `${A}; query: { a: b }`, 'query'],
    [`${A}; headers: { x-a: b }`, `${A}; headers: { X-A: [b, c] }`, ''],
    [A, `${A}; headers: { x-a: b }`, 'headers'],
    [`${A}; headers: { x-a: [b, c] }`, `${A}; headers: { x-a: b }`, 'headers'],
  ],
  credentials: [
    [A, `${A}; credential: one`, ''],
    [`${A}; credential: one`, `${A}; credential: one`, ''],
    [`${A}; credential: two`, `${A}; credential: one`, 'credential'],
    [`${A}; credential: one`, A, 'credential'],
    [`${A}/x; credential: one`, `${A}; credential: one | ${A}/y; credential: two`, ''],
    [`${A}; credential: one`, `${A}/y; credential: two | ${A}; credential: one`, 'credential'],
  ],
  addresses: [
    [`${A}; addresses: [10.1.0.0/16]`, `${A}; addresses: [10.0.0.0/8]`, ''],
    [`${A}; addresses: [10.0.0.1]`, `${A}; addresses: [10.0.0.0/8]`, ''],
    [`${A}; addresses: [169.254.169.254]`, `${A}; addresses: [169.254.169.254]`, ''],
    [`${A}; addresses: [10.0.0.0/8]`, A, 'addresses'],
    [`${A}; addresses: [10.0.0.0/8]`, `${A}; addresses: [10.0.0.0/16]`, 'addresses'],
    [`${A}; addresses: ["fd00::/8"]`, `${A}; addresses: ["fd00::/16"]`, 'addresses'],
    [`${A}; addresses: [169.254.169.254]`, `${A}; addresses: [169.254.0.0/16]`, 'addresses'],
    ['https://169.254.169.254', '{ scheme: https, cidr: 169.254.0.0/16 }', 'addresses'],
    ['https://10.0.0.1; addresses: [10.0.0.0/8]', 'https://10.0.0.1', 'addresses?'],
    [A, `${A} | deny: { cidr: 93.184.0.0/16 }`, 'addresses'],
    [A, `${A} | deny: { cidr: 10.0.0.0/8 }`, 'addresses?'],
    [`${A} | deny: { cidr: 10.0.0.0/8 }`, `${A} | deny: { cidr: 10.1.0.0/16 }`, ''],
    ['tls://a.test; addresses: [10.0.0.0/8]', 'tls://a.test', 'addresses'],
  ],
  limits: [
    [`${A}; limit: { bodyBytes: 5 }`, A, ''],
    [`${A}; limit: { bodyBytes: 5 }`, `${A}; limit: { bodyBytes: 5 }`, ''],
    [`${A}/x`, `${A} | ${A}/y; limit: { bodyBytes: 5 }`, ''],
    [`${A}; limit: { bodyBytes: 6 }`, `${A}; limit: { bodyBytes: 5 }`, 'limit'],
    [A, `${A}; limit: { bodyBytes: 5 }`, 'limit'],
    [A, `${A} | ${A}/y; limit: { bodyBytes: 5 }`, 'limit'],
  ],
  'what clients send to authenticate': [
    [`${A}; clientAuth: pass`, `${A}; clientAuth: pass`, ''],
    [A, `${A}; clientAuth: pass`, ''],
    [`${A}; clientAuth: pass`, A, 'clientAuth'],
    [`${A}; clientAuth: pass`, `${A}; clientAuth: pass | ${A}/y; clientAuth: drop`, 'clientAuth'],
  ],
  denies: [
    [A, `${A} | deny: https://b.test`, ''],
    [A, `${A} | deny: https://a.test; ports: [8443]`, ''],
    [`${A}; methods: [GET]`, `${A} | deny: https://a.test; methods: [PUT]`, ''],
    [`${A}/x`, `${A} | deny: https://a.test/y`, ''],
    [`${A} | deny: https://a.test/y`, `${A} | deny: https://a.test/y`, ''],
    [A, `${A} | deny: https://a.test/y; observe: true`, ''],
    [A, `${A} | deny: https://a.test/y`, 'paths'],
    [`${A}/Y`, `${A} | deny: https://a.test/y`, 'paths'],
    [A, `${A} | deny: https://a.test; query: { force: "true" }`, 'paths'],
    [A, `${A} | deny: https://a.test; methods: [PURGE]`, 'paths'],
    ['"https://*.test"', '"https://*.test" | deny: https://b.test', 'paths'],
    [
      '"https://*.test" | deny: "https://*.b.test" | deny: https://b.test',
      '"https://*.test" | deny: "https://*.b.test"',
      '',
    ],
    [`${A} | deny: "https://*"`, `${A} | deny: https://a.test`, 'paths?'],
    [
      '{ scheme: https, cidr: 10.0.0.0/8 }',
      '{ scheme: https, cidr: 10.0.0.0/8 } | deny: https://10.0.0.1',
      'paths',
    ],
  ],
  'what is only observed': [
    [`${A}; observe: true`, A, ''],
    [A, `${A}; observe: true`, 'host?'],
    ['https://b.test; observe: true', A, 'host'],
  ],
}

for (const [name, rows] of Object.entries(TABLES))
  void t.test(`R69: ${name} of a child are held against those of its parent`, (t) => {
    for (const [child, parent, found] of rows)
      t.equal(compare(child, parent), found, `${child} under ${parent}`)
    t.end()
  })

void t.test('R69: environments of a child are held against those of its parent', (t) => {
  const dev = { environment: 'dev' }
  t.equal(compare(`${A}; environment: dev`, `${A}; environment: [dev, prod]`, dev), '')
  t.equal(compare(A, `${A}; environment: dev`, dev), '')
  t.equal(compare(A, `${A}; environment: prod`, dev), 'environment')
  t.equal(compare(`${A}; environment: prod`, `${A}; environment: prod`, dev), '', 'never matches')
  t.equal(compare(A, `${A} | deny: https://a.test; environment: prod`, dev), '')
  t.equal(compare(A, `${A} | deny: https://a.test; environment: dev`, dev), 'paths')
  t.end()
})

void t.test('R69: sets that bind every task bind both', (t) => {
  const always = [
    '- id: d\n  deny: https://a.test/y\n- id: g\n  allow: "https://*"\n  limit: { bodyBytes: 5 }',
  ]
  t.equal(compare(A, A, { always }), '')
  t.equal(compare(`${A}; clientAuth: pass`, `${A}; clientAuth: pass`, { always }), '')
  const guarded = policyOf(written(A), { always })
  const { widened } = comparePolicies(policyOf(written(A)), guarded, MOMENT.now)
  t.same(axesOf(widened).sort(), ['limit', 'paths'])
  t.same(comparePolicies(guarded, policyOf(written(A)), MOMENT.now), { widened: [], unproven: [] })
  t.end()
})

void t.test('R69: what is wider is told with the rule and a call that shows it', (t) => {
  const { widened } = comparePolicies(
    policyOf(written(`${A} | "https://*.b.test"; methods: [GET]; paths: ["/x-*"]`)),
    policyOf(written(`${A} | deny: https://a.test/y`)),
    MOMENT.now,
  )
  t.match(widened, [
    {
      axis: 'paths',
      rule: { id: 'r0', ruleset: 'set0' },
      detail: "GET https://a.test:443/y: the parent's rules answer denied-by-rule by set0/r1",
    },
    {
      axis: 'host',
      rule: { id: 'r1' },
      detail:
        "GET https://w1tness.b.test:443/x-w1tness: the parent's rules answer not-on-allowlist",
    },
  ])
  t.end()
})

/** Whether the parent may all that a decision lets its child do. */
function mayToo(question: Asked, child: Policy, parent: Policy): boolean {
  const own = alone(child, question)
  if (own.verdict === 'deny') return true
  const theirs = alone(parent, question)
  const together =
    'connect' in question
      ? decideConnectTogether([child, parent], question.connect, MOMENT)
      : decideTogether([child, parent], question, MOMENT)
  const { obligations: mine } = own
  const { obligations: others } = theirs
  return (
    theirs.verdict === 'allow' &&
    together.verdict === 'allow' &&
    (mine.credential === undefined || mine.credential === others.credential) &&
    (mine.bodyBytesMax ?? Infinity) <= (others.bodyBytesMax ?? Infinity) &&
    (mine.clientAuth === 'drop' || others.clientAuth === 'pass') &&
    keepsInside(question, mine, others) &&
    ADDRESSES.every(
      (address) =>
        !mayDial(question, own.addresses, address) || mayDial(question, theirs.addresses, address),
    )
  )
}

// Packs are bounded where there is one, definitions are pinned of the tool that is called.
function keepsInside(question: Asked, mine: Obligations, others: Obligations): boolean {
  const { mcp, git } = 'connect' in question ? {} : (question.content ?? {})
  if (git?.service === 'receive-pack')
    return (mine.maxPackBytes ?? Infinity) <= (others.maxPackBytes ?? Infinity)
  if (mcp?.list !== 'tools') return true
  const pinned = others.pins?.get(mcp.name ?? '')
  return pinned === undefined || mine.pins?.get(mcp.name ?? '') === pinned
}

// Rules of a child: mostly its parent's, as they are, narrower or a little other.
const changed = (rule: RuleText): Arbitrary<RuleText> =>
  ruleText.chain((other) =>
    constantFrom<Partial<RuleText>>(
      { scheme: other.scheme },
      { host: other.host },
      { port: other.port },
      { verdict: other.verdict },
      { methods: other.methods, paths: other.paths },
      { query: other.query, headers: other.headers },
      { environment: other.environment, observe: other.observe },
      { credential: other.credential, addresses: other.addresses },
      { bodyBytes: other.bodyBytes, clientAuth: other.clientAuth },
      { inside: other.inside },
    ).map((part) => ({ ...rule, ...part })),
  )
const TOOLS = { allow: 'tools: [a]', deny: 'tools: [a]' }
const PUSHES = { allow: 'git: { repos: [r/a], push: [refs/a] }', deny: 'git: {}' }
const narrower = (rule: RuleText): Arbitrary<RuleText> =>
  constantFrom<Partial<RuleText>>(
    { methods: ['GET'] },
    { paths: ['/a'] },
    { paths: ['/a/*'] },
    { bodyBytes: 5 },
    { query: "{ k: 'v' }" },
    ...(rule.inside === undefined ? [{ inside: TOOLS }, { inside: PUSHES }] : []),
    { credential: undefined, clientAuth: undefined, addresses: undefined },
    rule.host.startsWith('*') ? { host: 'b.a.test' } : {},
  ).map((part) => (rule.verdict === 'allow' ? { ...rule, ...part } : rule))
const family = ruleTexts.chain((parent) =>
  tuple(
    constantFrom(parent),
    array(
      constantFrom(...parent).chain((rule) =>
        oneof(
          { weight: 4, arbitrary: constantFrom(rule) },
          { weight: 4, arbitrary: narrower(rule) },
          { weight: 1, arbitrary: changed(rule) },
        ),
      ),
      { minLength: 1, maxLength: 5 },
    ),
    environment,
  ),
)

void t.test('R69: no proven child exceeds its parent', (t) => {
  const seen = { proven: 0, widened: 0, unproven: 0, allowed: 0 }
  assert(
    property(
      family,
      array(callText, { minLength: 20, maxLength: 60 }),
      ([above, below, of], calls) => {
        const parent = generatedPolicy(above, of)
        const child = generatedPolicy(below, of)
        const { widened, unproven } = comparePolicies(child, parent, MOMENT.now)
        if (widened.length > 0) seen.widened += 1
        if (unproven.length > 0) seen.unproven += 1
        if (widened.length > 0 || unproven.length > 0) return true
        seen.proven += 1
        return calls.every((call) => {
          const question = asked(call)
          if (alone(child, question).verdict === 'allow') seen.allowed += 1
          return mayToo(question, child, parent)
        })
      },
    ),
    { numRuns: 2500 },
  )
  t.comment(JSON.stringify(seen))
  t.ok(seen.proven > 100, 'some are proven')
  t.ok(seen.widened > 100, 'some are wider')
  t.ok(seen.unproven > 10, 'of some nobody knows')
  t.ok(seen.allowed > 100, 'and the proven do something')
  t.end()
})

void t.test('what is too much to compare in one go stays unproven', (t) => {
  const many = (rule: (at: number) => string): Policy =>
    policyOf(Array.from({ length: 1000 }, (_, at) => `- id: r${at}\n  ${rule(at)}`).join('\n'))
  const parent = many((at) => `allow: ${A}\n  methods: [GET]\n  paths: [/p${at}]`)
  t.strictSame(comparePolicies(parent, parent, MOMENT.now), { widened: [], unproven: ['paths'] })
  const { widened } = comparePolicies(
    many((at) => `allow: ${A}\n  methods: [GET, PUT]\n  paths: [/p${at}]`),
    parent,
    MOMENT.now,
  )
  t.ok(widened.length > 0, 'a child that is wider is refused all the same')
  t.ok(widened.length <= 32)
  t.end()
})
