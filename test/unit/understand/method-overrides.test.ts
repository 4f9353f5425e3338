// A field that asks for another method than the request line: the call is both to the rules, whichever the upstream heeds.

import t from 'tap'

import { judge, type Verdict } from '../../../src/judge.ts'
import { askAbout } from '../../../src/policy/written-call.ts'
import type { Content } from '../../../src/policy/subject.ts'
import type { CanonicalRequest } from '../../../src/wire/receive.ts'
import { MOMENT, policyOf } from '../policy/ask.ts'

const A = 'https://a.test'

function ask(rules: string | readonly string[], content?: Content): Verdict['decision'] {
  const asked = askAbout('POST', `${A}/`, ['X-HTTP-Method-Override', 'delete'])
  if ('connect' in asked) throw new Error('no call')
  const request: CanonicalRequest = {
    ...asked,
    version: 'HTTP/1.1',
    framing: { kind: 'none' },
    expectsContinue: false,
  }
  const policies = [policyOf(rules)] as const
  return judge({ policies, moment: () => MOMENT }, request, content).decision
}

void t.test('what rules say of the other method is owed too', (t) => {
  const post = `- { id: p, allow: '${A}', methods: [POST], credential: admin, accepts: restricted }`
  const remove = `- { id: d, allow: '${A}', methods: [DELETE], data: restricted, limit: { calls: 1 } }`
  const { verdict, obligations } = ask([post, remove])
  t.equal(verdict, 'allow')
  t.match(obligations, { data: 'restricted', quotas: [{ rule: { id: 'd' } }] })
  t.equal(obligations.credential, undefined, 'the other rule gives none')
  t.equal(obligations.accepts, undefined)
  const same = `- { id: p, allow: '${A}', methods: [POST, DELETE], credential: admin }`
  t.equal(ask(same).obligations.credential, 'admin')
  t.end()
})

void t.test('what rules look at of the other method is read', (t) => {
  const post = `- { id: p, allow: '${A}', methods: [POST] }`
  const when = `when: 'call.body.json.force == true'`
  const remove = `- { id: d, allow: '${A}', methods: [DELETE], ${when} }`
  t.same(ask([post, remove]).inspectors, ['body'])
  t.equal(ask([post, remove], { fault: 'method-not-allowed' }).verdict, 'deny')
  const any = `- { id: a, allow: '${A}' }`
  const deny = `- { id: d, deny: '${A}', methods: [DELETE], ${when} }`
  t.same(ask([any, deny]).inspectors, ['body'])
  t.equal(ask([any, deny], { fault: 'method-not-allowed' }).verdict, 'deny')
  t.equal(ask(any).inspectors, undefined)
  t.end()
})

void t.test('who may let the other method pass has to be asked too', (t) => {
  const post = `- { id: p, hold: '${A}', methods: [POST], reviewers: [ann, bob] }`
  const remove = `- { id: d, hold: '${A}', methods: [DELETE], reviewers: [bob], separate: true }`
  t.same(ask([post, remove]).hold, { separate: true, reviewers: ['bob'] })
  const free = `- { id: d, allow: '${A}', methods: [DELETE] }`
  t.same(ask([post, free]).hold, { separate: false, reviewers: ['ann', 'bob'] })
  t.end()
})

void t.test('when the answer for the other method may change is known', (t) => {
  const post = `- { id: p, allow: '${A}', methods: [POST] }`
  const remove = `- { id: d, allow: '${A}', methods: [DELETE], expires: 2027-06-30 }`
  t.equal(ask([post, remove]).revisitAt, Date.UTC(2027, 5, 30))
  t.end()
})
