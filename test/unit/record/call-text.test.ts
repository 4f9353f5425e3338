// The two records of a call or a tunnel that is let through are, byte for byte, what the general way makes of the call's facts.

import * as fc from 'fast-check'
import t from 'tap'

import { Call } from '../../../src/call.ts'
import { KnownSecrets } from '../../../src/credentials/known-secrets.ts'
import { Redactor } from '../../../src/inspect/redactor.ts'
import type { Moment } from '../../../src/policy/facts.ts'
import type { Policy } from '../../../src/policy/compile.ts'
import type { QueuedRecord } from '../../../src/record/journal/batch.ts'
import {
  endedRecord,
  isDecidedRequest,
  isDecidedTunnel,
  startedRecord,
  tunnelRecord,
} from '../../../src/record/call-text.ts'
import { callRecord } from '../../../src/record/ecs.ts'
import { factsOf, type CallAction } from '../../../src/record/facts.ts'
import { redactRecord } from '../../../src/record/redact-record.ts'
import { recordText } from '../../../src/record/text.ts'
import { TASK } from './support.ts'

const moment = (): Moment => ({ now: 0, read: 'public' })

const NOW = 1_700_000_000_000
// Not used by a record.
const policy: Policy = JSON.parse('{}')
const SECRET = 'c4n4ry"secret/value+0123'
const known = new KnownSecrets()
known.learn('one', SECRET)
known.learn('two', 'hunter2hunter2')
const redactor = new Redactor(known, { patterns: [], query: ['mine'] })
const hiding = fc.constantFrom(
  SECRET,
  `a${Buffer.from(SECRET).toString('base64')}`,
  Buffer.from(SECRET).toString('hex'),
  encodeURIComponent(encodeURIComponent(SECRET)),
  `ghp_${'a1B2'.repeat(9)}`,
  'AKIAIOSFODNN7EXAMPLE',
  'token=hunter2hunter2',
  'Bearer abcdefghijklmnop',
  'postgres://admin:s3cr3t@db.test/app',
)
const addresses = { allowed: [], denied: [] }

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  hiding,
  fc.constantFrom('"', '\\', '\u2028', '\ud800', '\udc00', '\0', 'é', 'x'.repeat(2000)),
)
const latin1 = fc.oneof(
  fc.tuple(fc.webPath(), hiding, fc.webPath()).map((parts) => parts.join('')),
  fc.webPath(),
  fc.uint8Array({ maxLength: 40 }).map((bytes) => `/${String.fromCharCode(...bytes)}`),
)
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(value, { nil: undefined })
const reason = fc.constantFrom('allowed' as const, 'client-gone' as const, 'dial-failed' as const)
const upstream = fc.constantFrom(
  undefined,
  { address: '2001:db8::1', port: 443, tlsVersion: 'TLSv1.3' },
  { address: '192.0.2.1', port: 80 },
  { address: '192.0.2.1', port: 443, tlsVersion: 'unknown "1"' },
)
const clientTls = fc.constantFrom(
  undefined,
  {},
  { serverName: 'a"b', version: 'TLSv1.3' },
  { version: '1.2' },
)
const credential = maybe(
  fc.record({ name: text, action: fc.constantFrom('injected' as const, 'dropped' as const) }),
)
const detail = maybe(fc.dictionary(text, fc.oneof(text, fc.integer())))

const start = fc.record({
  id: text,
  kind: fc.constantFrom('forward' as const, 'intercepted' as const, 'upgrade' as const),
  parent: maybe(text),
  client: fc.constantFrom(
    {},
    { address: '127.0.0.1', port: 1 },
    { address: '::1' },
    { address: '127.0.0.1', port: 1, door: 'socks' as const },
    { door: 'transparent' as const, dialed: { address: '2001:db8::7', port: 443 } },
  ),
  task: fc.constantFrom(TASK, { ...TASK, id: 'té"', owner: { name: '\u2028', team: '\\' } }),
  rule: maybe(fc.record({ id: text, ruleset: text, version: text })),
  wouldDeny: maybe(fc.constant('not-on-allowlist' as const)),
  data: maybe(fc.constantFrom('public' as const, 'restricted' as const)),
  regulation: maybe(fc.constantFrom(['gdpr'], ['gdpr', 'pci-dss'])),
  category: maybe(fc.constantFrom(['payments'], ['payments', 'source-code'])),
  read: maybe(fc.constantFrom('internal' as const, 'restricted' as const)),
  policyDigest: text,
  decisionId: text,
  decisionUs: fc.double({ noNaN: true }),
  method: text,
  version: text,
  userAgent: maybe(text),
  scheme: fc.constantFrom('http' as const, 'https' as const),
  upgrade: fc.boolean(),
  host: text,
  hostKind: fc.constantFrom('name' as const, 'ipv4' as const, 'ipv6' as const),
  port: fc.oneof(fc.constantFrom(80, 443), fc.integer({ min: 1, max: 65_535 })),
  path: fc.oneof(latin1, text),
  query: maybe(fc.oneof(fc.webQueryParameters(), latin1, text, fc.constant('a=1&mine=x&code=y'))),
  trace: maybe(fc.record({ traceId: text, parentId: text })),
})
const progress = fc.record({
  reason,
  upstream,
  clientTls,
  credential,
  detail,
  dialedMatch: fc.constantFrom(undefined, 'upstream' as const, 'other' as const),
  bytesOut: fc.nat(),
  bytesIn: fc.nat(),
  response: maybe(fc.record({ status: fc.nat(), mimeType: maybe(text) })),
})

type Start = typeof start extends fc.Arbitrary<infer T> ? T : never
type Progress = typeof progress extends fc.Arbitrary<infer T> ? T : never

function arrived(from: Start, kind: Call['arrival']['kind']): Call {
  const { id, parent, client } = from
  return new Call({ id, kind, startedAt: NOW, client, ...(parent !== undefined && { parent }) })
}

function tunnelOf(from: Start, mode: NonNullable<Call['tunnelMode']>): Call {
  const { host, hostKind: kind, port } = from
  const call: Call = arrived(from, 'tunnel')
  call.tunnel = { host, kind, port, literal: host }
  call.tunnelMode = mode
  judge(call, from)
  return call
}

function callOf(from: Start): Call {
  const { kind, host, port } = from
  const call: Call = arrived(from, kind)
  call.receive({
    method: from.method,
    version: from.version,
    headers: from.userAgent === undefined ? [] : ['Host', host, 'User-Agent', from.userAgent],
    scheme: from.scheme,
    endpoint: { host, kind: from.hostKind, port, literal: host },
    path: { raw: from.path, readings: [] },
    query: from.query,
    framing: { kind: 'none' },
    upgrade: from.upgrade,
    expectsContinue: false,
  })
  judge(call, from)
  return call
}

function judge(call: Call, from: Start): void {
  const { task, rule, wouldDeny } = from
  if (from.trace !== undefined) call.trace = from.trace
  call.identify({ task, policies: [policy], standing: { task, state: 'active' }, moment })
  const decision = {
    verdict: 'allow',
    reason: 'allowed',
    policy: from.policyDigest,
    obligations: {
      ...(from.data && { data: from.data }),
      ...(from.regulation && { regulation: from.regulation }),
      ...(from.category && { category: from.category }),
      clientAuth: 'drop',
      placeholderInBody: 'pass',
    },
    addresses,
    ...(rule && { rule }),
    ...(wouldDeny && { wouldDeny }),
  } as const
  call.decide(decision, from.decisionId, from.decisionUs)
  if (from.read !== undefined) call.read = from.read
}

function moveOn(call: Call, to: Progress): void {
  Object.assign(call, to)
}

/** What differs from one making to the next: the event's id, and the time gone by. */
function steady(record: string): string {
  return record
    .replace(/"event":\{"id":"[0-9A-Z]{26}"/, '"event":{"id":""')
    .replace(/,"duration":\d+\}/, ',"duration":0}')
}

function isAsEver(record: QueuedRecord, call: Call, action: CallAction, now: number): boolean {
  const expected = recordText(redactRecord(callRecord(factsOf(call), action, now), redactor))
  return (
    steady(record.text) === steady(expected) &&
    record.action === action &&
    record.callId === call.id
  )
}

void t.test('the start and the end of a call', async (t) => {
  fc.assert(
    fc.property(start, progress, progress, fc.nat(), (from, before, after, laterMs) => {
      const call = callOf(from)
      moveOn(call, before)
      if (!isDecidedRequest(call)) return false
      const started = startedRecord(call, NOW, redactor)
      if (!isAsEver(started, call, 'call-started', NOW) || !started.parts) return false
      moveOn(call, after)
      const begun = { text: started.text, parts: started.parts }
      const ended = endedRecord(call, begun, redactor, NOW + laterMs)
      return isAsEver(ended, call, 'call-ended', NOW + laterMs)
    }),
    { numRuns: 1000 },
  )
  t.pass('1000 calls')
})

const tunnelMode = fc.constantFrom('inspect' as const, 'tls' as const, 'tcp' as const)

void t.test('the start and the end of a tunnel', async (t) => {
  fc.assert(
    fc.property(
      start,
      tunnelMode,
      progress,
      progress,
      fc.nat(),
      (from, mode, before, after, laterMs) => {
        const call: Call = tunnelOf(from, mode)
        moveOn(call, { ...before, response: undefined })
        if (!isDecidedTunnel(call)) return false
        const started = tunnelRecord(call, 'call-started', NOW, redactor)
        if (!isAsEver(started, call, 'call-started', NOW)) return false
        call.clear()
        moveOn(call, { ...after, response: undefined })
        const ended = tunnelRecord(call, 'call-ended', NOW + laterMs, redactor)
        return isAsEver(ended, call, 'call-ended', NOW + laterMs)
      },
    ),
    { numRuns: 1000 },
  )
  t.pass('1000 tunnels')
})

void t.test('a call that is no decided request goes the general way', async (t) => {
  const arrival = { id: 'C', kind: 'forward', startedAt: NOW, client: {} } as const
  t.notOk(isDecidedRequest(new Call(arrival)))
  const tunnel: Call = new Call({ ...arrival, kind: 'tunnel' })
  tunnel.tunnel = { host: 'a.test', kind: 'name', port: 443, literal: 'a.test' }
  tunnel.identify({
    task: TASK,
    policies: [policy],
    standing: { task: TASK, state: 'active' },
    moment,
  })
  t.notOk(isDecidedRequest(tunnel))
  t.notOk(isDecidedTunnel(tunnel), 'nobody has decided it')
  const [from] = fc.sample(start, 1)
  if (from === undefined) return
  const call = callOf(from)
  t.ok(isDecidedRequest(call))
  t.notOk(isDecidedTunnel(call))
  call.inspected = { mcp: { method: { name: 'tools/list' } } }
  t.notOk(isDecidedRequest(call), 'more was read of it than its head')
})
