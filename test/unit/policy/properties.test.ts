// Properties that hold for all rules and calls: what no table of examples can show.

import {
  array,
  assert,
  constantFrom,
  integer,
  oneof,
  option,
  property,
  record,
  string,
  subarray,
  tuple,
  type Arbitrary,
} from 'fast-check'
import t from 'tap'

import { decide, decideConnect } from '../../../src/policy/decide.ts'
import { explain } from '../../../src/policy/explain.ts'
import { parseRuleSet } from '../../../src/policy/parse.ts'
import { matchGlob } from '../../../src/policy/template.ts'
import { askAbout } from '../../../src/policy/written-call.ts'
import { MOMENT, connectTo, decisionOn, isAllowed, policyOf, verdictOn } from './ask.ts'

const hostPattern = constantFrom(
  'a.test',
  'b.a.test',
  '*.a.test',
  '*.test',
  '*',
  '192.0.2.1',
  'x.y',
)
const scheme = constantFrom('https', 'http', 'wss', 'ws', 'tls')
const segment = constantFrom('a', 'B', 'ab', '*', 'a*', '*b', '**', 'x y')
const pathPattern = array(segment, { maxLength: 4 }).map((each) => `/${each.join('/')}`)
const methods = subarray(['GET', 'PUT', 'DELETE'], { minLength: 1 })

interface Written {
  readonly verdict: 'allow' | 'deny'
  readonly destination: string
  readonly inspected: boolean
  readonly methods: readonly string[] | undefined
  readonly paths: readonly string[] | undefined
  readonly observe: boolean
}

const rule: Arbitrary<Written> = record({
  verdict: constantFrom('allow' as const, 'allow' as const, 'deny' as const),
  scheme,
  host: hostPattern,
  port: constantFrom('', ':8443'),
  range: constantFrom(undefined, undefined, undefined, '192.0.2.0/24', '0.0.0.0/0'),
  methods: option(methods, { nil: undefined }),
  paths: option(array(pathPattern, { minLength: 1, maxLength: 3 }), { nil: undefined }),
  observe: constantFrom(false, false, false, true),
}).map((each) => ({
  verdict: each.verdict,
  destination:
    each.range === undefined
      ? `"${each.scheme}://${each.host}${each.port}"`
      : `{ scheme: ${each.scheme}, cidr: ${each.range} }`,
  inspected: each.scheme !== 'tls',
  methods: each.methods,
  paths: each.paths,
  observe: each.observe,
}))

const write = (rules: readonly Written[]): string =>
  rules
    .map(({ verdict, destination, inspected, methods: some, paths, observe }, at) =>
      [
        `- id: r${at}`,
        `  ${verdict}: ${destination}`,
        ...(some && inspected ? [`  methods: ${JSON.stringify(some)}`] : []),
        ...(paths && inspected ? [`  paths: ${JSON.stringify(paths)}`] : []),
        ...(observe ? ['  observe: true'] : []),
      ].join('\n'),
    )
    .join('\n')

const host = constantFrom(
  'a.test',
  'b.a.test',
  'c.b.a.test',
  'x.y',
  'test',
  '192.0.2.1',
  '198.51.100.1',
)
const authority = tuple(host, constantFrom('', ':8443', ':80')).map((each) => each.join(''))
const rawSegment = constantFrom('a', 'B', 'b', 'ab', 'x%20y', 'a%2Fb', 'a;p', '', '%61', 'a%252fb')
const path = array(rawSegment, { maxLength: 4 }).map((each) => `/${each.join('/')}`)
const call = tuple(
  constantFrom('GET', 'PUT', 'POST', 'DELETE'),
  constantFrom('https', 'http', 'wss'),
  authority,
  path,
).map(([method, ofScheme, at, on]) => `${method} ${ofScheme}://${at}${on}`)
const rules = array(rule, { minLength: 1, maxLength: 8 })
const EMPTY = 'ruleset: x\nrules: []'

const ask = (text: string): ReturnType<typeof askAbout> => {
  const [method = '', target = ''] = text.split(' ')
  return askAbout(method, target, [])
}

void t.test('another allow never turns an allow into a denial', (t) => {
  assert(
    property(rules, rule, call, (some, another, asked) => {
      const before = isAllowed(policyOf(write(some)), asked)
      const after = isAllowed(policyOf(write([...some, { ...another, verdict: 'allow' }])), asked)
      return !before || after
    }),
  )
  t.end()
})

void t.test('another deny never turns a denial into an allow', (t) => {
  assert(
    property(rules, rule, call, (some, another, asked) => {
      const before = isAllowed(policyOf(write(some)), asked)
      const after = isAllowed(policyOf(write([...some, { ...another, verdict: 'deny' }])), asked)
      return before || !after
    }),
  )
  t.end()
})

void t.test('the order of rules changes no verdict', (t) => {
  assert(
    property(rules, call, (some, asked) => {
      const one = decisionOn(policyOf(write(some)), asked)
      const other = decisionOn(policyOf(write(some.toReversed())), asked)
      return one.verdict === other.verdict && one.reason === other.reason
    }),
  )
  t.end()
})

void t.test('the index finds what looking at every rule finds', (t) => {
  assert(
    property(rules, array(call, { minLength: 1, maxLength: 5 }), (some, calls) => {
      const policy = policyOf(write(some))
      return calls.every((text) => {
        const asked = ask(text)
        if ('connect' in asked) return false
        const { decision, trace } = explain(policy, asked, MOMENT)
        const matched = trace.filter((step) => step.matched)
        const enforced = matched.filter(({ rule: { id } }) => !some[Number(id.slice(1))]?.observe)
        const denied = enforced.find(({ verdict }) => verdict === 'deny')
        const allowed =
          enforced.find(({ verdict }) => verdict === 'allow') ??
          matched.find(({ verdict }) => verdict === 'allow')
        const expected = denied ?? allowed
        return (
          decision.rule?.id === expected?.rule.id &&
          decision.verdict === (denied || !allowed ? 'deny' : 'allow')
        )
      })
    }),
    { numRuns: 400 },
  )
  t.end()
})

void t.test('an allowed HTTPS call is in a tunnel that may open and is looked into', (t) => {
  assert(
    property(rules, call, (some, text) => {
      const policy = policyOf(write(some))
      const asked = ask(text)
      if ('connect' in asked || decide(policy, asked, MOMENT).verdict === 'deny') return true
      const tunnel = decideConnect(policy, asked.endpoint, MOMENT)
      return tunnel.verdict === 'allow' && tunnel.mode === 'inspect'
    }),
    { numRuns: 400 },
  )
  t.end()
})

void t.test('a set that binds every task never makes a call more than it was', (t) => {
  assert(
    property(rules, rules, call, (some, always, asked) => {
      const before = isAllowed(policyOf(write(some)), asked)
      return before || !isAllowed(policyOf(write(some), { always: [write(always)] }), asked)
    }),
  )
  assert(
    property(rules, call, (always, asked) => {
      return !isAllowed(policyOf(EMPTY, { always: [write(always)] }), asked)
    }),
  )
  t.end()
})

// Spells a path in another way that some upstream reads as the same.
const respelt = (clean: string): Arbitrary<string> =>
  array(integer({ min: 0, max: 7 }), { minLength: clean.length, maxLength: clean.length })
    .map((choices) =>
      Array.from(clean)
        .map((letter, at) => {
          const hex = letter.charCodeAt(0).toString(16).padStart(2, '0')
          const choice = choices[at]
          if (choice === 1) return at === 0 ? letter : `%${hex}`
          if (choice === 2) return at === 0 ? letter : `%${hex.toUpperCase()}`
          if (choice === 3) return letter === '/' ? '//' : letter.toUpperCase()
          if (choice === 4) return letter === '/' && at > 0 ? ';p=1/' : letter
          return letter
        })
        .join(''),
    )
    .chain((text) => constantFrom(text, `${text}/`, `${text};x`, `${text}//`))

void t.test('R35: however a denied path is spelt, it stays denied', (t) => {
  const policy = policyOf(
    '- id: all\n  allow: https://a.test\n- id: d\n  deny: https://a.test\n  paths: [/admin/users/list]',
  )
  assert(
    property(respelt('/admin/users/list'), (spelt) => {
      const verdict = verdictOn(policy, `GET https://a.test${spelt}`)
      return verdict === 'deny denied-by-rule' || verdict === 'deny malformed-path'
    }),
    { numRuns: 1000 },
  )
  t.end()
})

void t.test(
  'R35: however a path is spelt, an allow holds only if every reading is allowed',
  (t) => {
    const policy = policyOf('- id: r\n  allow: https://a.test\n  paths: [/pub/*]')
    const below = constantFrom('/pub', '/%70ub', '//pub', '/pub;v').chain((first) =>
      path.map((rest) => first + rest),
    )
    assert(
      property(below, (raw) => {
        const question = ask(`GET https://a.test${raw}`)
        if ('connect' in question) return false
        const holds = question.path.readings.every(
          (reading) => reading.length === 2 && reading[0] === 'pub' && reading[1] !== '',
        )
        return holds === (decide(policy, question, MOMENT).verdict === 'allow')
      }),
    )
    t.end()
  },
)

void t.test('a glob matches what the regular expression of the same meaning matches', (t) => {
  const letters = string({ unit: constantFrom('a', 'b', '/'), maxLength: 8 })
  assert(
    property(array(letters, { minLength: 1, maxLength: 4 }), letters, (pieces, text) => {
      const glob = pieces.length === 1 ? pieces[0]! : pieces
      return matchGlob(glob, text) === new RegExp(`^${pieces.join('[^]*')}$`).test(text)
    }),
    { numRuns: 2000 },
  )
  t.end()
})

void t.test('path patterns match what the regular expression of the same meaning matches', (t) => {
  const plain = constantFrom('a', 'b', 'ab', 'ba')
  const pattern = array(constantFrom('a', 'b', '*', '**', 'a*', '*b'), {
    minLength: 1,
    maxLength: 5,
  })
  const translate: Record<string, string> = {
    '*': '/[^/]+',
    '**': '(?:/[^/]+)*',
    'a*': '/a[^/]*',
    '*b': '/[^/]*b',
  }
  assert(
    property(pattern, array(plain, { minLength: 1, maxLength: 6 }), (segments, on) => {
      const policy = policyOf(
        `- id: r\n  allow: https://a.test\n  paths: ["/${segments.join('/')}"]`,
      )
      const expected = new RegExp(
        `^${segments.map((each) => translate[each] ?? `/${each}`).join('')}$`,
      )
      return (
        isAllowed(policy, `GET https://a.test/${on.join('/')}`) ===
        expected.test(`/${on.join('/')}`)
      )
    }),
    { numRuns: 500 },
  )
  t.end()
})

void t.test('no text makes the reader of rule files throw', (t) => {
  const lines = constantFrom(
    'ruleset: x',
    'rules:',
    '  - id: r',
    '    allow: https://a.test',
    '    deny: 3',
    '    paths: {}',
    '    query: []',
    'tests: [{}]',
    'params: x',
    '  - null',
    'for: {teams: 1}',
    '? [a]: b',
    '- x',
    'rules: [[]]',
    'rules: [{allow: [null, {}, [x]]}]',
    'params: {a: null, 3: {}}',
    '    limit: 3',
  )
  assert(
    property(
      oneof(
        array(lines).map((each) => each.join('\n')),
        string(),
      ),
      (source) => {
        const { ruleSet, problems } = parseRuleSet(source, 'x')
        return (
          (ruleSet === undefined) === problems.length > 0 && problems.every(({ line }) => line > 0)
        )
      },
    ),
    { numRuns: 2000 },
  )
  t.end()
})

void t.test('of hundreds of rules a decision looks at those of its host', (t) => {
  const many = Array.from(
    { length: 500 },
    (_, at) => `- id: r${at}\n  allow: https://h${at % 100}.test\n  paths: ["/a${at}/*"]`,
  )
  const policy = policyOf(many.join('\n'))
  const question = ask('GET https://h7.test/a107/x')
  if ('connect' in question) throw new Error('no call')
  t.equal(policy.inside.index.rulesFor(question.endpoint).allows.length, 5)
  t.equal(decide(policy, question, MOMENT).verdict, 'allow')
  t.equal(connectTo(policy, 'h7.test:443').mode, 'inspect')
  t.end()
})
