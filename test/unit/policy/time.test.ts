// Rules that time limits: windows, expiry, and both together; in the tests of rule files by `at`; and what is told of rules
// that are over or soon will be.

import t from 'tap'

import { checkTests } from '../../../src/policy/rule-tests.ts'
import { checkExpiry } from '../../../src/policy/check-expiry.ts'
import { decide } from '../../../src/policy/decide.ts'
import { parseRuleSet } from '../../../src/policy/parse.ts'
import { askAbout } from '../../../src/policy/written-call.ts'
import { readContent } from '../../../src/understand/read-content.ts'
import { policyOf, ruleSet } from './ask.ts'

const DAY_MS = 86_400_000
const EXPIRING =
  '- { id: exception, allow: https://a.test, expires: EXPIRES, ticket: SEC-1, owner: ann }'

/** The verdict on a call at a time, and when time may change it. */
function verdictAt(yaml: string, time: string): { verdict: string; revisitAt: string | undefined } {
  const asked = askAbout('GET', 'https://a.test/', [])
  if ('connect' in asked) throw new Error('no call')
  const { verdict, reason, rule, revisitAt } = decide(policyOf(yaml), asked, {
    now: Date.parse(time),
    read: 'public',
  })
  return {
    verdict: verdict === 'deny' ? `deny ${reason}` : `${verdict} ${rule?.id}`,
    revisitAt: revisitAt === undefined ? undefined : new Date(revisitAt).toISOString(),
  }
}

void t.test('a rule that has expired is as if it were not there, whatever its verdict', (t) => {
  const at = (yaml: string, time: string): string => verdictAt(yaml, time).verdict
  for (const [written, last, first] of [
    ['2028-02-29', '2028-02-28T23:59:59.999Z', '2028-02-29T00:00:00Z'],
    ['2027-06-30T18:00:00+02:00', '2027-06-30T15:59:59.999Z', '2027-06-30T16:00:00Z'],
    ['2016-12-31T23:59:60Z', '2016-12-31T23:59:59.999Z', '2017-01-01T00:00:00Z'],
  ] as const) {
    const rule = EXPIRING.replace('EXPIRES', written)
    t.equal(at(rule, last), 'allow exception', written)
    t.equal(at(rule, first), 'deny not-on-allowlist', written)
    const deny = `- { id: all, allow: https://a.test }\n${rule.replace('allow', 'deny')}`
    t.equal(at(deny, last), 'deny denied-by-rule')
    t.equal(at(deny, first), 'allow all')
    const hold = `- { id: all, allow: https://a.test }\n${rule.replace('allow', 'hold')}`
    t.equal(at(hold, last), 'hold exception')
    t.equal(at(hold, first), 'allow all')
  }
  const quoted = EXPIRING.replace('EXPIRES', "'2027-06-30'")
  t.equal(at(quoted, '2027-06-29T23:59:59Z'), 'allow exception')
  for (const wrong of ['2027-02-29', '2027-06-30T18:00:00', '30.6.2027', 'soon'])
    t.match(
      parseRuleSet(`ruleset: x\nrules:\n  ${EXPIRING.replace('EXPIRES', wrong)}\n`, 'x').problems,
      [{ message: /^expected a date/ }],
      wrong,
    )
  t.end()
})

void t.test(
  'a decision says when time may change it: at the next end of any rule of the host',
  (t) => {
    const yaml = `
- id: window
  allow: https://a.test
  between: { days: [sun], from: '01:00', to: '02:30', zone: Europe/Berlin }
- id: other
  deny: https://a.test
  paths: [/x]
  expires: 2027-03-28T00:45:00Z
- id: elsewhere
  allow: https://b.test
  expires: 2027-03-28T00:15:00Z`
    t.strictSame(verdictAt(yaml, '2027-03-28T00:30:00Z'), {
      verdict: 'allow window',
      revisitAt: '2027-03-28T00:45:00.000Z',
    })
    // The end at 02:30 does not come: from 02:00 on it is 03:00.
    t.strictSame(verdictAt(yaml, '2027-03-28T00:45:00Z'), {
      verdict: 'allow window',
      revisitAt: '2027-03-28T01:00:00.000Z',
    })
    t.match(verdictAt(yaml, '2027-03-28T01:00:00Z'), { verdict: 'deny outside-time-window' })
    const plain = '- { id: plain, allow: https://a.test }'
    t.equal(verdictAt(plain, '2027-03-28T00:30:00Z').revisitAt, undefined)
    t.end()
  },
)

void t.test('ranges that are denied for a time count for what names resolve to', (t) => {
  const yaml = `
- { id: plain, allow: https://a.test }
- { id: range, deny: [{ scheme: https, cidr: 192.0.2.0/24 }], expires: 2027-06-30 }`
  t.match(verdictAt(yaml, '2027-06-29T00:00:00Z'), { revisitAt: '2027-06-30T00:00:00.000Z' })
  t.match(verdictAt(yaml, '2027-06-30T00:00:00Z'), { revisitAt: undefined })
  t.end()
})

void t.test('the tests of a rule file say when they ask', (t) => {
  const set = ruleSet(`ruleset: timed
rules:
  - id: office
    allow: https://a.test
    between: { days: [mon, tue, wed, thu, fri], from: '02:30', to: '18:00', zone: Europe/Berlin }
    expires: 2027-03-30T12:00:00+02:00
tests:
  - { call: GET https://a.test/, at: '2027-03-26T08:00:00+01:00', expect: allow office }
  - { call: GET https://a.test/, at: 2027-03-26T17:00:00Z, expect: deny outside-time-window }
  - { call: GET https://a.test/, at: 2027-03-28T01:30:00Z, expect: deny outside-time-window }
  - { call: GET https://a.test/, at: 2027-03-29T00:29:59Z, expect: deny outside-time-window }
  - { call: GET https://a.test/, at: 2027-03-29T00:30:00Z, expect: allow office }
  - { call: GET https://a.test/, at: 2027-03-30T09:59:59Z, expect: allow office }
  - { call: GET https://a.test/, at: 2027-03-30T10:00:00Z, expect: deny not-on-allowlist }
`)
  t.strictSame(
    checkTests(set, readContent).filter(({ passed }) => !passed),
    [],
  )
  t.end()
})

void t.test('a file whose rule has expired passes the tests that it passed before', (t) => {
  const set = ruleSet(`ruleset: over
rules:
  - { id: exception, allow: https://a.test, expires: 2020-01-01 }
tests:
  - { call: GET https://a.test/, expect: allow exception }
`)
  t.match(checkTests(set, readContent), [{ passed: true }])
  t.end()
})

void t.test('what is over, and what will be within two weeks, is told with whom to ask', (t) => {
  const now = Date.parse('2027-06-16T00:00:00Z')
  const set = ruleSet(`ruleset: x
owner: appsec
rules:
  - { id: over, allow: https://a.test, expires: 2027-06-16, ticket: SEC-1, owner: ann }
  - { id: today, deny: https://a.test, expires: 2027-06-16T12:00:00Z }
  - { id: tomorrow, allow: https://a.test, expires: 2027-06-17, ticket: SEC-2 }
  - { id: soon, hold: https://a.test, expires: 2027-06-30 }
  - { id: later, allow: https://a.test, expires: 2027-06-30T00:00:00.001Z }
  - { id: never, allow: https://a.test }
`)
  t.strictSame(
    checkExpiry(set, now).map(({ line, code, severity, message }) => [
      line,
      code,
      severity,
      message,
    ]),
    [
      [
        4,
        'rule-expired',
        'warning',
        'rule `over` expired at 2027-06-16T00:00:00.000Z, and is as if it were not there (ticket SEC-1, owner ann)',
      ],
      [
        5,
        'rule-expires',
        'warning',
        'rule `today` expires at 2027-06-16T12:00:00.000Z, in less than a day (owner appsec)',
      ],
      [
        6,
        'rule-expires',
        'warning',
        'rule `tomorrow` expires at 2027-06-17T00:00:00.000Z, in a day (ticket SEC-2, owner appsec)',
      ],
      [
        7,
        'rule-expires',
        'warning',
        'rule `soon` expires at 2027-06-30T00:00:00.000Z, in 14 days (owner appsec)',
      ],
    ],
  )
  t.strictSame(checkExpiry(set, now - 20 * DAY_MS), [])
  t.end()
})
