// Proves that a replay under the same rules changes nothing that it can decide, and names what a record does not have where rules
// look at it: over conditions, classes, windows of time, holds and what tasks declare.

import * as fc from 'fast-check'
import t from 'tap'

import { decideConnectTogether, decideTogether } from '../../../src/policy/conjunction.ts'
import { compilePolicy, type Policy } from '../../../src/policy/compile.ts'
import type { Decision } from '../../../src/policy/decision.ts'
import type { TaskFacts } from '../../../src/policy/facts.ts'
import { parseRuleSet } from '../../../src/policy/parse.ts'
import { askAbout } from '../../../src/policy/written-call.ts'
import { decideAgain } from '../../../src/record/again/decide.ts'
import { ReplayCount } from '../../../src/record/again/replay.ts'
import type { RecordBody } from '../../../src/record/body.ts'
import { callRecord } from '../../../src/record/ecs.ts'
import { decisionFacts } from '../../../src/record/facts.ts'
import { declarationOf } from '../../../src/tasks/intent.ts'
import { DATA_CLASSES, type DataClass } from '../../../src/tasks/task.ts'
import { facts, TASK } from './support.ts'

const RULES = `ruleset: set
owner: appsec@example.com
rules:
  - { id: read, allow: https://api.test, methods: [GET], paths: ['/items/*'], data: confidential }
  - { id: send, allow: https://api.test, methods: [POST], paths: [/send], accepts: internal }
  - { id: asked, allow: https://api.test, methods: [PUT], query: { q: a } }
  - { id: office, allow: https://api.test, methods: [GET], paths: [/office], between: { days: [mon, tue, wed, thu, fri], from: '08:00', to: '18:00', zone: Europe/Berlin } }
  - { id: ended, allow: https://api.test, methods: [GET], paths: [/ended], expires: 2027-01-01 }
  - { id: traced, allow: https://api.test, methods: [POST], paths: [/log], headers: { x-trace: 'a*' } }
  - { id: headed, allow: https://api.test, methods: [POST], paths: [/head], when: '"x-a" in call.headers' }
  - { id: triage, allow: https://api.test, methods: [POST], paths: [/triage], when: 'task.labels.kind == "triage" && call.path != "/x"' }
  - { id: prod, hold: https://api.test, methods: [DELETE], when: 'task.owner.team == "test" || task.environment == "prod"' }
  - { id: tail, allow: 'tls://opaque.test' }
  - { id: never, deny: https://api.test, paths: ['/items/secret'], when: 'task.environment == "test"' }
`

function policyOf(task: TaskFacts): Policy {
  const { ruleSet, problems } = parseRuleSet(RULES, 's.yaml')
  if (ruleSet === undefined) throw new Error(JSON.stringify(problems))
  return compilePolicy({ sets: [ruleSet], always: [], params: {}, task }).policy!
}

const FACTS: TaskFacts = {
  intent: 'Triage.',
  labels: { kind: 'triage' },
  owner: { name: 'ann', team: 'test' },
  environment: 'test',
  ceiling: 'confidential',
  depth: 0,
}
const OTHER_FACTS: TaskFacts = { ...FACTS, labels: { kind: 'other' }, environment: 'dev' }
const policies = [policyOf(FACTS), policyOf(OTHER_FACTS)] as const
const digestOf = ({ intent = '', labels }: TaskFacts): string =>
  declarationOf({ intent, labels }).intentDigest

interface Call {
  readonly method: string
  readonly host: string
  readonly path: string
  readonly query: string | undefined
  readonly headers: readonly string[]
  readonly at: number
  readonly read: DataClass
  readonly who: 0 | 1
}

// Those of one process never go back in time.
function ulidAt(time: number): string {
  let text = ''
  for (let rest = time, at = 0; at < 10; at += 1, rest = Math.floor(rest / 32))
    text = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'[rest % 32]! + text
  return `${text}${'0'.repeat(16)}`
}

/** A call decided as it is live, and its record. */
function live({ method, host, path, query, headers, at, read, who }: Call): {
  readonly record: RecordBody
  readonly decision: Decision
} {
  const policy = policies[who]
  const isTunnel = method === 'CONNECT'
  const url = isTunnel
    ? `${host}:443`
    : `https://${host}${path}${query === undefined ? '' : `?${query}`}`
  const asked = askAbout(method, url, headers)
  const moment = { now: at, read }
  const decision =
    'connect' in asked
      ? decideConnectTogether([policy], asked.connect, moment)
      : decideTogether([policy], asked, moment)
  const told = decisionFacts(ulidAt(at), decision, 1)
  const isMasked = query?.includes('token=') === true
  const record = callRecord(
    facts({
      kind: isTunnel ? 'tunnel' : 'intercepted',
      task: { ...TASK, intentDigest: digestOf(who === 0 ? FACTS : OTHER_FACTS) },
      decision: read === 'public' ? told : { ...told, read },
      reason: decision.reason,
      target: {
        scheme: isTunnel ? 'tls' : 'https',
        endpoint: { host, kind: 'name', port: 443, literal: host },
        ...(!isTunnel && {
          path,
          query: isMasked ? query.replace(/token=.*/, 'token=[secret:parameter]') : query,
        }),
      },
      request: isTunnel ? undefined : { method, version: '1.1', bytes: 0 },
      inspected: undefined,
    }),
    decision.verdict === 'allow' ? 'call-ended' : 'call-denied',
    at + 3_600_000,
  )
  return { record, decision }
}

const call = fc.record<Call>({
  method: fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'CONNECT'),
  host: fc.constantFrom('api.test', 'api.test', 'opaque.test', 'evil.test'),
  path: fc.constantFrom(
    '/items/1',
    '/items/secret',
    '/send',
    '/office',
    '/ended',
    '/log',
    '/head',
    '/triage',
    '/other',
  ),
  query: fc.constantFrom(undefined, 'q=a', 'q=b', 'q=a&token=abc', 'token=%zz'),
  headers: fc.constantFrom([], ['X-Trace', 'abc'], ['x-a', '1']),
  at: fc.integer({ min: Date.UTC(2026, 11, 20), max: Date.UTC(2027, 0, 10) }),
  read: fc.constantFrom(...DATA_CLASSES),
  who: fc.constantFrom(0, 1),
})

void t.test('R26: a replay under the same rules changes nothing that it can decide', (t) => {
  const count = new ReplayCount()
  const seen = { told: 0, all: 0 }
  fc.assert(
    fc.property(fc.array(call, { minLength: 1, maxLength: 20 }), (calls) => {
      for (const each of calls) {
        const { record, decision } = live(each)
        const again = decideAgain(
          { record, messages: [], around: undefined },
          [policies[each.who]],
          'without-trace',
        )
        seen.all += 1
        if (again.outcome === undefined) {
          if (again.missing.length === 0) return false
          count.add(record, again)
          continue
        }
        seen.told += 1
        count.add(record, again)
        if (again.outcome.verdict !== decision.verdict || again.outcome.reason !== decision.reason)
          return false
      }
      return true
    }),
    { numRuns: 300 },
  )
  const { changed, otherwise, same } = count.report()
  t.strictSame([changed, otherwise, same], [0, 0, seen.told])
  t.ok(seen.told > seen.all / 2, `${seen.told} of ${seen.all} are told`)
  t.end()
})

void t.test('what a record does not have is named where rules look at it, and only there', (t) => {
  const base: Call = {
    method: 'POST',
    host: 'api.test',
    path: '/head',
    query: undefined,
    headers: ['x-a', '1'],
    at: Date.UTC(2030, 0, 1),
    read: 'public',
    who: 0,
  }
  const again = (
    changes: Partial<Call>,
    edit: (record: RecordBody) => RecordBody = (one) => one,
  ): unknown => {
    const { record } = live({ ...base, ...changes })
    return decideAgain({ record: edit(record), messages: [], around: undefined }, [policies[0]])
  }
  t.match(again({}), { outcome: undefined, missing: ['the headers that set/headed looks at'] })
  const withHeader = (record: RecordBody): RecordBody => ({
    ...record,
    sallyport: { ...record.sallyport, headers: { 'x-a': '1' } },
  })
  t.match(again({}, withHeader), { outcome: { verdict: 'allow' }, missing: [] }, 'a recorded one')
  t.match(again({ path: '/triage' }), { outcome: { verdict: 'allow' }, missing: [] })
  const otherDigest = (record: RecordBody): RecordBody => ({
    ...record,
    sallyport: { ...record.sallyport, task: { ...record.sallyport.task!, intent: 'sha256:0' } },
  })
  t.match(again({ path: '/triage' }, otherDigest), { missing: ['what its task declared'] })
  t.match(again({ path: '/send' }, otherDigest), { outcome: { verdict: 'allow' }, missing: [] })
  t.match(again({ path: '/send', read: 'confidential', at: Date.UTC(2030, 0, 2) }), {
    outcome: { verdict: 'deny', reason: 'flow-violation' },
  })
  t.match(again({ method: 'PUT', query: 'q=a&token=abc' }), {
    missing: ['what is masked in its URL'],
  })
  // Monday the 7th, 08:00 in Berlin.
  const opening = Date.UTC(2030, 0, 7, 7)
  const office = { method: 'GET', path: '/office' }
  t.match(again({ ...office, at: opening + 300 }), { missing: ['its exact time'] })
  t.match(again({ ...office, at: opening + 5000 }), { outcome: { verdict: 'allow' } })
  t.end()
})
