// A task that is a stage of another: its rules and those of its ancestors together.

import { array, assert, property, tuple } from 'fast-check'
import t from 'tap'

import {
  decideConnectTogether,
  decideTogether,
  type PolicyChain,
} from '../../../src/policy/conjunction.ts'
import type { ConnectDecision, Decision, Obligations } from '../../../src/policy/decision.ts'
import { CONTENT_MODES } from '../../../src/policy/subject.ts'
import { DATA_CLASSES } from '../../../src/tasks/task.ts'
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
  ruleTexts,
} from './generate.ts'

const together = (chain: PolicyChain, question: Asked): Decision | ConnectDecision =>
  'connect' in question
    ? decideConnectTogether(chain, question.connect, MOMENT)
    : decideTogether(chain, question, MOMENT)

const on = (yamls: readonly [string, ...string[]], call: string): Decision | ConnectDecision => {
  const [own, ...above] = yamls.map((yaml) => policyOf(yaml))
  return together([own!, ...above], asked({ call, headers: [] }))
}

const summary = (yamls: readonly [string, ...string[]], call: string): string => {
  const { verdict, reason, rule, ancestor } = on(yamls, call)
  const who = ancestor === undefined ? '' : ` by ancestor ${ancestor}`
  return verdict === 'allow' ? `allow ${rule?.id}` : `${reason}${who} ${rule?.id ?? ''}`.trim()
}

const ALL = '- id: all\n  allow: "https://*"'
const API = '- id: api\n  allow: https://a.test\n  methods: [GET]\n  paths: [/x]'
const DENY = `${ALL}\n- id: no\n  deny: https://a.test\n  paths: [/x]`

void t.test('R69: a child does what it and every ancestor may', (t) => {
  const url = 'GET https://a.test/x'
  t.equal(summary([API], url), 'allow api')
  t.equal(summary([API, ALL, ALL], url), 'allow api')
  t.equal(summary([ALL, API], url), 'allow all', "the child's own rule is named")
  t.equal(summary([ALL, API], 'GET https://a.test/y'), 'path-not-allowed by ancestor 1')
  t.equal(summary([ALL, ALL, API], 'PUT https://a.test/x'), 'method-not-allowed by ancestor 2')
  t.equal(summary([ALL, DENY], url), 'denied-by-rule by ancestor 1 no')
  t.equal(summary([API, DENY], 'GET https://b.test/'), 'not-on-allowlist', 'its own refusal')
  t.equal(summary([ALL, API, DENY], 'PUT https://a.test/x'), 'method-not-allowed by ancestor 1')
  t.end()
})

void t.test('R69: the digest is of all policies in their order, and of the own one alone', (t) => {
  const own = policyOf(ALL)
  const parent = policyOf(API)
  const question = asked({ call: 'GET https://a.test/x', headers: [] })
  const digest = (chain: PolicyChain): string => together(chain, question).policy
  t.equal(digest([own]), own.digest)
  const chain: PolicyChain = [own, parent]
  t.match(digest(chain), /^sha256:[0-9a-f]{64}$/)
  t.equal(digest(chain), digest([own, parent]))
  t.not(digest(chain), digest([parent, own]))
  t.not(digest(chain), own.digest)
  t.equal(
    digest([own, parent]),
    together(chain, asked({ call: 'PUT http://b/', headers: [] })).policy,
  )
  t.end()
})

void t.test('R69: what is owed is the strictest of all', (t) => {
  const with_ = (text: string): string => `- id: r\n  allow: https://a.test\n  ${text}`
  const owed = (...yamls: [string, ...string[]]): unknown =>
    on(yamls, 'GET https://a.test/').obligations
  t.same(
    owed(
      with_('limit: { bodyBytes: 30 }\n  data: internal\n  clientAuth: pass'),
      with_('limit: { bodyBytes: 20 }\n  clientAuth: pass'),
      with_('data: restricted\n  placeholderInBody: refuse\n  clientAuth: pass'),
    ),
    { bodyBytesMax: 20, data: 'restricted', clientAuth: 'pass', placeholderInBody: 'refuse' },
  )
  t.match(owed(with_('clientAuth: pass'), with_('methods: [GET]')), { clientAuth: 'drop' })
  t.end()
})

void t.test('R69: a credential is given where every ancestor would give it too', (t) => {
  const named = (name: string): string => `- id: r\n  allow: https://a.test\n  credential: ${name}`
  const url = 'GET https://a.test/'
  t.equal(on([named('one'), named('one')], url).obligations.credential, 'one')
  t.equal(summary([named('one'), named('two')], url), 'denied-by-rule by ancestor 1')
  t.equal(summary([named('one'), named('one'), ALL], url), 'denied-by-rule by ancestor 2')
  t.equal(on([ALL, named('one')], url).obligations.credential, undefined, 'none is less')
  t.equal(on([ALL, named('one')], url).verdict, 'allow')
  t.end()
})

void t.test('R69: what an ancestor only observes stays observed', (t) => {
  const seen = '- id: seen\n  allow: "https://*"\n  observe: true'
  const watch = `${ALL}\n- id: watch\n  deny: https://a.test\n  observe: true`
  t.equal(on([ALL, ALL], 'GET https://a.test/').wouldDeny, undefined)
  t.equal(on([ALL, seen], 'GET https://a.test/').wouldDeny, 'not-on-allowlist')
  t.equal(on([ALL, ALL, watch], 'GET https://a.test/').wouldDeny, 'denied-by-rule')
  t.equal(on([seen, watch], 'GET https://a.test/').wouldDeny, 'not-on-allowlist', 'the first')
  t.end()
})

void t.test('R69: a tunnel opens in a way that all of them would open it', (t) => {
  const tunnel = (...schemes: readonly string[]): string => {
    const [own = '', ...above] = schemes.map((each) => `- id: r\n  allow: ${each}://a.test:443`)
    const decision = on([own, ...above], 'CONNECT a.test:443')
    if (!('mode' in decision)) throw new Error('no tunnel')
    const { verdict, mode, reason, ancestor } = decision
    return verdict === 'allow' ? mode : `${reason} ${ancestor}`
  }
  t.equal(tunnel('https', 'https'), 'inspect')
  t.equal(tunnel('https', 'wss'), 'inspect')
  t.equal(tunnel('tls', 'tls'), 'tls')
  t.equal(tunnel('tcp', 'tcp'), 'tcp')
  t.equal(tunnel('tls', 'tcp'), 'tls')
  t.equal(tunnel('tcp', 'tls'), 'tls', 'the stricter of the two')
  t.equal(tunnel('tcp', 'tcp', 'tls'), 'tls')
  t.equal(tunnel('tls', 'https'), 'protocol-not-allowed 1', 'nobody could judge what is inside')
  t.equal(tunnel('tcp', 'https'), 'protocol-not-allowed 1')
  t.equal(tunnel('https', 'tls'), 'protocol-not-allowed 1')
  t.equal(tunnel('https', 'https', 'tcp'), 'protocol-not-allowed 2')
  t.equal(
    summary([ALL, '- id: r\n  allow: https://b.test'], 'CONNECT a.test:443'),
    'not-on-allowlist by ancestor 1',
  )
  const both = `- id: r\n  allow: [https://a.test, tls://a.test]`
  t.match(on([both, ALL], 'CONNECT a.test:443'), { verdict: 'allow', mode: 'inspect' })
  t.end()
})

void t.test('R69: a call that is allowed to a child is allowed to every ancestor', (t) => {
  let allowed = 0
  let refused = 0
  const task = tuple(ruleTexts, environment).map((each) => generatedPolicy(...each))
  assert(
    property(
      tuple(task, array(task, { minLength: 1, maxLength: 2 })),
      array(callText, { minLength: 5, maxLength: 20 }),
      ([own, above], calls) => {
        for (const call of calls) {
          const question = asked(call)
          const decision = together([own, ...above], question)
          const each = [own, ...above].map((policy) => alone(policy, question))
          if (decision.verdict === 'deny') {
            refused += each[0]?.verdict === 'allow' ? 1 : 0
            continue
          }
          allowed += 1
          if (!each.every((one) => isWithin(question, decision, one))) return false
        }
        return true
      },
    ),
    { numRuns: 3000 },
  )
  t.ok(allowed > 100, `${allowed} calls were allowed`)
  t.ok(refused > 100, `${refused} calls were refused by an ancestor alone`)
  t.end()
})

function classOf({ data }: Obligations): number {
  return data === undefined ? -1 : DATA_CLASSES.indexOf(data)
}

// Whether a decision gives nothing that another one would not give, and owes all that it would owe.
function isWithin(question: Asked, given: Decision, other: Decision | ConnectDecision): boolean {
  const { obligations: mine } = given
  const { obligations: theirs } = other
  const isInspected = !('mode' in other) || other.mode === 'inspect'
  return (
    other.verdict === 'allow' &&
    !('mode' in given && (given.mode === 'inspect') !== isInspected) &&
    (mine.credential === undefined || mine.credential === theirs.credential) &&
    (theirs.bodyBytesMax === undefined || (mine.bodyBytesMax ?? Infinity) <= theirs.bodyBytesMax) &&
    classOf(mine) >= classOf(theirs) &&
    (theirs.regulation ?? []).every((name) => mine.regulation?.includes(name)) &&
    (mine.clientAuth === 'drop' || theirs.clientAuth === 'pass') &&
    (mine.placeholderInBody === 'refuse' || theirs.placeholderInBody === 'pass') &&
    (mine.maxPackBytes ?? Infinity) <= (theirs.maxPackBytes ?? Infinity) &&
    (['prompts', 'tools'] as const).every((what) => {
      const kept = theirs.record?.[what]
      const keeps = mine.record?.[what]
      if (kept === undefined) return true
      return keeps !== undefined && CONTENT_MODES.indexOf(keeps) >= CONTENT_MODES.indexOf(kept)
    }) &&
    [...(theirs.pins ?? [])].every(([tool, digest]) => mine.pins?.get(tool) === digest) &&
    (other.inspectors ?? []).every((kind) => given.inspectors?.includes(kind)) &&
    (given.wouldDeny !== undefined || other.wouldDeny === undefined) &&
    ADDRESSES.every(
      (address) =>
        !mayDial(question, given.addresses, address) || mayDial(question, other.addresses, address),
    )
  )
}
