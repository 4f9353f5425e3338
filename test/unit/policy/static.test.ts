// Proves that a rule which refuses static credentials binds all that are in force with it.

import t from 'tap'

import { refuseStatic } from '../../../src/config/regulated.ts'
import { decideTogether } from '../../../src/policy/conjunction.ts'
import type { Decision, Question } from '../../../src/policy/decision.ts'
import { MOMENT, policyOf } from './ask.ts'
import { asked } from './generate.ts'

const on = (...yamls: readonly string[]): Decision => {
  const [own, ...above] = yamls.map((yaml) => policyOf(yaml))
  const question = asked({ call: 'GET https://a.test/x', headers: [] })
  if ('connect' in question) throw new Error('a call')
  const call: Question = question
  return decideTogether([own!, ...above], call, MOMENT)
}

const KEY = '- id: key\n  allow: https://a.test\n  credential: key'
const NONE = '- id: none\n  allow: https://a.test\n  static: false'
const LAW = '- id: law\n  allow: https://a.test\n  regulation: gdpr'

void t.test('`static: false` of one rule is of the call', (t) => {
  t.equal(on(KEY).obligations.static, undefined)
  t.equal(on(`${KEY}\n  static: false`).obligations.static, false)
  t.equal(on(`${KEY}\n${NONE}`).obligations.static, false, 'of another that matches')
  t.equal(on(`${KEY}\n${LAW}`).obligations.static, false, 'where the data is regulated')
  t.equal(on(KEY, `${KEY}\n  static: false`).obligations.static, false, "of the parent's")
  t.end()
})

void t.test('what explain says is what a call gets', (t) => {
  const around = { staticCredentials: new Set(['key']) }
  t.match(refuseStatic(on(`${KEY}\n  static: false`), around), {
    verdict: 'deny',
    reason: 'credential-unavailable',
  })
  t.match(refuseStatic(on(KEY), around), { verdict: 'allow' })
  t.match(refuseStatic(on(NONE), around), { verdict: 'allow' }, 'it needs none')
  const minted = { staticCredentials: new Set<string>() }
  t.match(refuseStatic(on(`${KEY}\n  static: false`), minted), { verdict: 'allow' })
  t.end()
})
