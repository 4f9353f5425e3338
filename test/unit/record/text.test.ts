// The fast text of a record is that of the whole, byte for byte, whatever stands in it, and harmless where it is shown.

import { isDeepStrictEqual } from 'node:util'

import * as fc from 'fast-check'
import t from 'tap'

import type { InspectedFields } from '../../../src/inspect/fields.ts'
import type { CallFacts } from '../../../src/record/facts.ts'
import { callRecord, eventRecord } from '../../../src/record/ecs.ts'
import { dnsRecord } from '../../../src/record/dns-record.ts'
import type { RecordBody } from '../../../src/record/body.ts'
import { recordText } from '../../../src/record/text.ts'
import { jsonText } from '../../../src/wire/json-text.ts'
import { parseJson } from '../../../src/wire/parse-json.ts'

function isHarmlessTextOf(record: RecordBody): boolean {
  const text = recordText(record)
  return text === jsonText(record) && isDeepStrictEqual(parseJson(text), written(record))
}

// What JSON has no word for is left out.
const written = (record: RecordBody): unknown => parseJson(JSON.stringify(record))

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('"', '\\', '\u2028', '\ud800', '\0', 'é', '<!--', '\u202e', '\u{e0001}', '\x9b'),
)
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(value, { nil: undefined })
const endpoint = fc.record({
  host: text,
  kind: fc.constantFrom('name' as const, 'ipv4' as const, 'ipv6' as const),
  port: fc.integer({ min: 1, max: 65_535 }),
  literal: text,
})
const task = fc.record({
  id: text,
  path: fc.array(text),
  intent: text,
  intentDigest: text,
  owner: fc.record({ name: text, team: text }),
  agent: fc.record({ account: text, instance: text }),
  sandbox: fc.record({ id: text }),
  rules: fc.array(text),
  params: fc.constant({}),
  environment: text,
  ceiling: fc.constant('public' as const),
  sources: fc.constant([]),
  startsAt: fc.integer(),
  expiresAt: fc.integer(),
})
const json = fc.record({ messages: fc.array(fc.record({ role: text, content: text })) })
// What is not there is left out, as recognisers do.
function withoutUndefined(fields: object): InspectedFields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}
const facts: fc.Arbitrary<CallFacts> = fc.record({
  id: text,
  kind: fc.constantFrom(
    'forward' as const,
    'intercepted' as const,
    'upgrade' as const,
    'tunnel' as const,
  ),
  parent: maybe(text),
  mode: fc.constantFrom('enforce' as const, 'observe' as const),
  startedAt: fc.nat(),
  durationNs: fc.nat(),
  client: fc.constantFrom({}, { address: '127.0.0.1', port: 1 }),
  task: maybe(task),
  decision: maybe(
    fc.record({
      id: fc.constant('01J'),
      verdict: fc.constantFrom('allow' as const, 'deny' as const),
      reason: fc.constant('allowed' as const),
      rule: maybe(fc.record({ id: text, ruleset: text, version: text })),
      policy: text,
      us: fc.nat(),
      wouldDeny: maybe(fc.constant('not-on-allowlist' as const)),
    }),
  ),
  reason: fc.constantFrom('allowed' as const, 'client-gone' as const),
  target: maybe(fc.record({ scheme: text, endpoint, path: maybe(text), query: maybe(text) })),
  request: maybe(
    fc.record({ method: text, version: text, bytes: fc.nat(), userAgent: maybe(text) }),
  ),
  response: maybe(fc.record({ status: fc.nat(), bytes: fc.nat(), mimeType: maybe(text) })),
  upstream: fc.constantFrom(undefined, { address: '::1', port: 443, tlsVersion: '1.3' }),
  clientTls: fc.constantFrom(undefined, { serverName: 'a"b', version: '1.3' }),
  credential: maybe(
    fc.record({ name: text, action: fc.constantFrom('injected' as const, 'dropped' as const) }),
  ),
  inspection: fc.constantFrom('full' as const, 'connect' as const, 'none' as const),
  detail: maybe(fc.dictionary(text, fc.oneof(text, fc.integer()))),
  headers: maybe(fc.dictionary(text, text)),
  message: maybe(
    fc.record({
      id: text,
      direction: fc.constantFrom('to-server' as const, 'to-client' as const),
      kind: fc.constantFrom('request' as const, 'response' as const),
    }),
  ),
  inspected: maybe(
    fc.record({
      gen_ai: maybe(fc.record({ operation: fc.record({ name: text }), output: json })),
      mcp: maybe(fc.record({ method: fc.record({ name: text }) })),
      jsonrpc: maybe(fc.record({ request: fc.record({ id: text }) })),
      rpc: maybe(fc.record({ response: fc.record({ status_code: text }) })),
      error: maybe(fc.record({ type: text })),
      content: maybe(fc.record({ tool_calls: fc.array(text), unread: text })),
    }),
  ).map((fields) => fields && withoutUndefined(fields)),
  trace: maybe(fc.record({ traceId: text, parentId: text })),
})

void t.test('a call’s record', async (t) => {
  fc.assert(
    fc.property(
      facts,
      fc.constantFrom('call-started' as const, 'call-ended' as const, 'call-denied' as const),
      (one, action) => {
        const record = callRecord(one, action, 1_700_000_000_000)
        return isHarmlessTextOf(record)
      },
    ),
    { numRuns: 500 },
  )
  t.pass('500 records')
})

void t.test('a refused query’s record', (t) => {
  const client = { address: '10.1.2.3', port: 40_000 }
  fc.assert(
    fc.property(maybe(text), maybe(text), text, (name, responseCode, fault) => {
      const question = name === undefined ? undefined : { name, type: 'A', class: 'IN' }
      const refused = { client, task: undefined, question, responseCode, detail: { fault } }
      const query = { ...refused, reason: 'malformed-header', transport: 'udp' } as const
      return isHarmlessTextOf(dnsRecord(query, 1_700_000_000_000))
    }),
  )
  t.pass('100 records')
  t.end()
})

void t.test('an event’s record', async (t) => {
  fc.assert(
    fc.property(
      text,
      maybe(text),
      maybe(task),
      fc.dictionary(text, text),
      (action, message, of, detail) => {
        const record = eventRecord(action, {
          now: 1_700_000_000_000,
          detail,
          ...(message !== undefined && { message }),
          ...(of && { task: of }),
        })
        return isHarmlessTextOf(record)
      },
    ),
    { numRuns: 300 },
  )
  t.pass('300 records')
})
