// What holds of every decision, whatever the rules, the task, the time and the call: more that forbids never lets more pass, a
// task below another never more than that one, the explanation is the decision, and deciding changes nothing.

import { array, assert, constantFrom, property, tuple, type Arbitrary } from 'fast-check'
import t from 'tap'

import type { Policy } from '../../../src/policy/compile.ts'
import type { Decision } from '../../../src/policy/decision.ts'
import { explain, explainTogether } from '../../../src/policy/explain.ts'
import type { Asked } from '../../../src/policy/written-call.ts'
import { policyOf } from './ask.ts'
import {
  alone,
  anyRuleText,
  anyRuleTexts,
  asked,
  callText,
  generatedPolicy,
  moment,
  taskFacts,
  together,
  writeRules,
  type CallText,
  type RuleText,
} from './generate.ts'

const RANKS = ['deny', 'hold', 'allow'] as const
const RUNS = { numRuns: 500 }

const rank = ({ verdict }: Decision): number => RANKS.indexOf(verdict)
const policies = tuple(anyRuleTexts, taskFacts).map((each) => generatedPolicy(...each))

/** Whether it is a tunnel that is looked into: nothing is sent by opening it, each call inside is judged by itself. */
const isOpened = (decision: object): boolean => 'mode' in decision && decision.mode === 'inspect'

/** By its head alone a call that rules look into is not decided yet. */
const isDecided = ({ inspectors }: Decision): boolean => inspectors === undefined

const isNoMore = (after: Decision, before: Decision): boolean =>
  !isDecided(after) || rank(after) <= rank(before)

void t.test('R27: another deny, wherever it stands, never lets more pass', (t) => {
  assert(
    property(
      anyRuleTexts,
      anyRuleText,
      taskFacts,
      callText,
      moment,
      (rules, one, task, call, when) => {
        const question = asked(call)
        const deny: RuleText = { ...one, verdict: 'deny' }
        const before = alone(generatedPolicy(rules, task), question, when)
        return [
          [...rules, deny],
          [deny, ...rules],
        ].every((more) => isNoMore(alone(generatedPolicy(more, task), question, when), before))
      },
    ),
    RUNS,
  )
  t.end()
})

void t.test('another hold lets nothing pass that no person was asked about', (t) => {
  assert(
    property(
      anyRuleTexts,
      anyRuleText,
      taskFacts,
      callText,
      moment,
      (rules, one, task, call, when) => {
        const question = asked(call)
        // Messages of a session itself pass with any rule for their server.
        if ('content' in question && question.content?.mcp?.kind === 'session') return true
        const hold: RuleText = { ...one, verdict: 'hold', observe: false }
        const before = alone(generatedPolicy(rules, task), question, when)
        const after = alone(generatedPolicy([...rules, hold], task), question, when)
        return (
          isOpened(after) ||
          !isDecided(after) ||
          after.verdict !== 'allow' ||
          before.verdict === 'allow'
        )
      },
    ),
    RUNS,
  )
  t.end()
})

void t.test('a set that binds every task never lets more pass, with whatever it says', (t) => {
  assert(
    property(
      anyRuleTexts,
      anyRuleTexts,
      taskFacts,
      callText,
      moment,
      (rules, always, task, call, when) => {
        const question = asked(call)
        const [own, bound] = [[], [writeRules(always)]].map((sets) =>
          alone(policyOf(writeRules(rules), { task, always: sets }), question, when),
        )
        if (!own || !bound) return false
        return isOpened(bound) || isNoMore(bound, own)
      },
    ),
    RUNS,
  )
  t.end()
})

void t.test('R69: a task never gets more than any of those above it', (t) => {
  assert(
    property(policies, policies, policies, callText, moment, (own, parent, root, call, when) => {
      const question = asked(call)
      const all = together([own, parent, root], question, when)
      if (isOpened(all) || !isDecided(all)) return true
      return [own, parent, root].every((policy) => rank(all) <= rank(alone(policy, question, when)))
    }),
    RUNS,
  )
  t.end()
})

void t.test('R69: another task above never lets more pass', (t) => {
  assert(
    property(policies, policies, policies, callText, moment, (own, parent, root, call, when) => {
      const question = asked(call)
      const before = together([own, parent], question, when)
      const after = together([own, parent, root], question, when)
      return isNoMore(after, before)
    }),
    RUNS,
  )
  t.end()
})

void t.test('R53: the explanation is the decision, and its trace comes to the same', (t) => {
  assert(
    property(policies, callText, moment, (policy, call, when) => {
      const question = asked(call)
      const { decision, trace } = explain(policy, question, when)
      t.same(decision, alone(policy, question, when))
      const matched = trace.filter((step) => step.matched)
      const cited = trace.find(
        ({ rule }) => rule.id === decision.rule?.id && rule.ruleset === decision.rule.ruleset,
      )
      // What was cited for a class, or holds outside its window, matched or not; any other matched.
      if (decision.verdict !== 'deny') return cited?.matched === true
      if (decision.reason === 'denied-by-rule')
        return cited?.matched === true && cited.verdict === 'deny'
      const isClass = ['classification-ceiling', 'flow-violation'].includes(decision.reason)
      const isHeld = ['outside-time-window', 'condition-error'].includes(decision.reason)
      if (isClass || isHeld) return true
      // Nothing lets it pass.
      return (
        isFaulty(question) ||
        matched.every(
          ({ verdict, rule }) =>
            isWeak(policy, verdict, rule.id) || (verdict === 'hold' && isReadInManyWays(question)),
        )
      )
    }),
    RUNS,
  )
  t.end()
})

// A deny that only watches refuses nothing.
function isWeak(policy: Policy, verdict: string, id: string): boolean {
  const rule = policy.inside.rules.find(({ ref }) => ref.id === id)
  return verdict === 'deny' && rule?.observe === true
}

// A hold counts for what any reading names, and lets pass what every one does: of another it refuses.
function isReadInManyWays(question: Asked): boolean {
  return (
    !('connect' in question) &&
    (question.path.readings.length > 1 ||
      question.query !== undefined ||
      /[a-z]/.test(question.method))
  )
}

function isFaulty(question: Asked): boolean {
  return 'content' in question && question.content?.fault !== undefined
}

void t.test('R53: the explanation of a task below others is its decision too', (t) => {
  assert(
    property(policies, policies, callText, moment, (own, parent, call, when) => {
      const question = asked(call)
      const { decision, trace } = explainTogether([own, parent], question, when)
      t.same(decision, together([own, parent], question, when))
      const cited = trace.find(
        ({ rule, ancestor }) => rule.id === decision.rule?.id && ancestor === decision.ancestor,
      )
      return decision.verdict !== 'allow' || cited?.matched === true
    }),
    RUNS,
  )
  t.end()
})

function freeze<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  Object.freeze(value)
  for (const each of Object.values(value)) freeze(each)
  return value
}

void t.test('deciding is the same every time and changes nothing that it is given', (t) => {
  assert(
    property(policies, policies, callText, moment, (own, parent, call, when) => {
      const question = freeze(asked(call))
      freeze([own, parent])
      const first = together([own, parent], question, freeze(when))
      t.same(together([own, parent], asked(call), { ...when }), first)
      t.same(alone(own, question, when), alone(own, asked(call), when))
      return true
    }),
    { numRuns: 500 },
  )
  t.end()
})

/** Ways to write a call that some client, proxy or server takes for the same. */
const respelt = (call: CallText): Arbitrary<CallText> => {
  const [method = '', target = ''] = call.call.split(' ')
  const [, scheme = '', authority = '', rest = ''] = /^(\w+:\/\/)?([^/]*)(.*)$/.exec(target) ?? []
  const named = !/^[\d.:]+$/.test(authority)
  const [host = '', port = ''] = authority.split(':')
  const usual = scheme === 'http://' || scheme === 'ws://' ? '80' : '443'
  const hosts = named ? [host, host.toUpperCase(), `${host}.`, `${host.toUpperCase()}.`] : [host]
  const ports = port === '' ? ['', `:${usual}`] : [`:${port}`]
  const [path = '', ...query] = rest.split('?')
  const tail = query.length > 0 ? `?${query.join('?')}` : ''
  const paths = scheme === '' ? [rest] : [rest, escapeLetters(path) + tail, rest.replace('/', '//')]
  return tuple(constantFrom(...hosts), constantFrom(...ports), constantFrom(...paths)).map(
    ([name, at, on]) => ({ ...call, call: `${method} ${scheme}${name}${at}${on}` }),
  )
}

function escapeLetters(path: string): string {
  return path.replaceAll(/(?<!%\w?)[a-z]/g, (letter) => `%${letter.charCodeAt(0).toString(16)}`)
}

void t.test('R31: no other spelling of a call lets pass what a deny refuses', (t) => {
  const spelt = callText.chain((call) => tuple(constantFrom(call), respelt(call)))
  assert(
    property(policies, spelt, moment, (policy, [call, other], when) => {
      const before = alone(policy, asked(call), when)
      if (before.reason !== 'denied-by-rule') return true
      return alone(policy, asked(other), when).verdict === 'deny'
    }),
    { numRuns: 2000 },
  )
  t.end()
})

void t.test('R31: names are one name however they are spelt, and addresses are no names', (t) => {
  const policy = policyOf(
    '- id: all\n  allow: ["https://*", "https://*:8443", { scheme: https, cidr: 0.0.0.0/0 }, { scheme: https, cidr: "::/0" }]\n- id: no\n  deny: ["https://bücher.test", { cidr: 127.0.0.0/8 }]',
  )
  const spellings = array(
    constantFrom(
      'bücher.test',
      'BÜCHER.test',
      'xn--bcher-kva.test',
      'XN--BCHER-KVA.TEST',
      'bu\u0308cher.test',
      'bücher.test.',
      'ｂücher.test',
      'bücher。test',
      '127.0.0.1',
      '127.0.0.2',
      '127.1',
      '0177.0.0.1',
      '0x7f000001',
      '2130706433',
      '[::ffff:127.0.0.1]',
      '[::ffff:7f00:1]',
    ),
    { minLength: 1, maxLength: 1 },
  )
  assert(
    property(spellings, constantFrom('', ':443', ':8443'), (hosts, port) => {
      try {
        return (
          alone(policy, asked({ call: `GET https://${hosts.join('')}${port}/`, headers: [] }))
            .reason === 'denied-by-rule'
        )
      } catch {
        // What is no host at all is refused before any rule is asked.
        return true
      }
    }),
  )
  t.equal(alone(policy, asked({ call: 'GET https://books.test/', headers: [] })).verdict, 'allow')
  t.end()
})
