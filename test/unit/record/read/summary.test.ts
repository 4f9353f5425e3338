// Proves that a summary counts what is on record: each call once, floods exactly, names without bound in bounded memory.

import { array, assert, integer, nat, property, string, tuple } from 'fast-check'
import t from 'tap'

import type { Reason } from '../../../../src/errors.ts'
import type { RecordBody } from '../../../../src/record/body.ts'
import { callRecord, eventRecord } from '../../../../src/record/ecs.ts'
import { messageRecord } from '../../../../src/record/message-record.ts'
import { SummaryCounter, type Summary } from '../../../../src/record/read/summary.ts'
import { NAMES_MAX, Tally } from '../../../../src/record/read/tally.ts'
import { facts, messageCall, messageOf, TASK } from '../support.ts'

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5, 678)

function summaryOf(...records: readonly RecordBody[]): Summary {
  const counter = new SummaryCounter()
  for (const record of records) counter.add(record)
  return counter.summary()
}

const target = (host: string) => ({
  scheme: 'https',
  endpoint: { host, kind: 'name' as const, port: 443, literal: host },
  path: '/',
})

void t.test('each call counts once, by verdict, host, rule, credential and model', (t) => {
  const usage = {
    gen_ai: {
      operation: { name: 'chat' },
      request: { model: 'small' },
      usage: { input_tokens: 12, output_tokens: 3 },
    },
  }
  const summary = summaryOf(
    callRecord(facts({ id: 'A' }), 'call-started', NOW),
    callRecord(facts({ id: 'B' }), 'call-started', NOW + 1),
    callRecord(facts({ id: 'B' }), 'call-progress', NOW + 2),
    callRecord(facts({ id: 'A', inspected: usage }), 'call-ended', NOW + 3),
    callRecord(facts({ id: 'T', kind: 'tunnel', inspection: 'connect' }), 'call-ended', NOW + 3),
    callRecord(facts({ id: 'C', reason: 'dial-failed' }), 'call-ended', NOW + 4),
    callRecord(facts({ id: 'D', mode: 'observe' }), 'call-ended', NOW + 5),
    callRecord(
      facts({ id: 'E', reason: 'not-on-allowlist', target: target('evil.test') }),
      'call-denied',
      NOW + 6,
    ),
  )
  t.match(summary, {
    records: 8,
    firstSeen: '2026-01-02T03:04:05.678Z',
    lastSeen: '2026-01-02T03:04:05.684Z',
    calls: {
      total: 4,
      allowed: 3,
      denied: 1,
      failed: 1,
      observed: 1,
      inspectedTunnels: 1,
      open: 1,
      openCalls: [{ call: 'B', since: '2026-01-02T03:04:05.679Z' }],
      bytesOut: 4 * 412,
    },
    models: { rows: [{ name: 'small', counts: { calls: 1, inputTokens: 12, outputTokens: 3 } }] },
    actors: [{ id: TASK.id, owner: 'payments on-call' }],
  })
  t.strictSame(summary.hosts.rows, [
    {
      name: 'api.github.com:443',
      counts: { allowed: 3, calls: 3, bytesOut: 3 * 412, bytesIn: 3 * 9120 },
    },
    { name: 'evil.test:443', counts: { denied: 1, calls: 1, bytesOut: 412, bytesIn: 9120 } },
  ])
  t.strictSame(
    summary.reasons.rows.map(({ name, counts }) => [name, counts['calls']]),
    [
      ['allow allowed', 2],
      ['allow dial-failed', 1],
      ['deny not-on-allowlist', 1],
    ],
  )
  t.match(summary.credentials.rows, [{ name: 'github injected', counts: { calls: 4 } }])
  t.match(summary.rules.rows, [{ name: 'github-triage/read-issues', counts: { decided: 4 } }])
  t.end()
})

void t.test('messages count by method and tool, an answer that failed with its tool', (t) => {
  const call = messageCall('M')
  const tool = {
    mcp: { method: { name: 'tools/call' } },
    gen_ai: { operation: { name: 'execute_tool' }, tool: { name: 'list_issues' } },
  }
  const answer = { kind: 'response', direction: 'to-client' } as const
  const summary = summaryOf(
    messageRecord(call, messageOf({ fields: tool }), NOW),
    messageRecord(
      call,
      messageOf({ fields: { ...tool, error: { type: 'tool_error' } }, ...answer }),
      NOW,
    ),
    messageRecord(call, messageOf({ fields: tool, verdict: 'deny' }), NOW),
  )
  t.match(summary.messages, { total: 3, allowed: 2, denied: 1 })
  t.strictSame(summary.tools.rows, [
    {
      name: 'mcp.test:443 list_issues',
      counts: { allowed: 1, calls: 2, failed: 1, denied: 1 },
    },
  ])
  t.match(
    summary.methods.rows.map(({ name }) => name),
    ['tools/call', 'tools/call (answer)'],
  )
  t.equal(summary.calls.total, 0)
  t.end()
})

void t.test('what a flood folded is added exactly, alerts and other events are told', (t) => {
  const reasons: Partial<Record<Reason, number>> = {
    'not-on-allowlist': 40,
    'method-not-allowed': 2,
  }
  const summary = summaryOf(
    eventRecord('call-denied-repeated', { now: NOW, task: TASK, detail: { count: 42, reasons } }),
    eventRecord('message-denied-repeated', {
      now: NOW,
      task: TASK,
      detail: { count: 5, reasons: { 'tool-not-allowed': 5 } },
    }),
    eventRecord('message-allowed-repeated', {
      now: NOW,
      task: TASK,
      detail: { count: 7, kinds: { notification: 7 } },
    }),
    eventRecord('placeholder-misused', { now: NOW, task: TASK }),
    eventRecord('tool-definition-changed-repeated', { now: NOW, detail: { count: 3 } }),
    eventRecord('rules-loaded', { now: NOW }),
    {
      ...eventRecord('detection', { now: NOW, kind: 'alert' }),
      sallyport: {
        ...eventRecord('detection', { now: NOW }).sallyport,
        detection: { name: 'denial-storm', severity: 'high', asi: [], calls: [], count: 9 },
      },
    },
  )
  t.match(summary.calls, { total: 42, denied: 42, folded: 42 })
  t.match(summary.messages, { total: 12, allowed: 7, denied: 5, folded: 12 })
  t.match(summary.tasks.rows, [{ name: TASK.id, counts: { denied: 42, calls: 42 } }])
  t.strictSame(
    Object.fromEntries(summary.alerts.rows.map(({ name, counts }) => [name, counts['times']])),
    { 'tool-definition-changed': 3, 'denial-storm': 1, 'placeholder-misused': 1 },
  )
  t.match(summary.events.rows, [{ name: 'rules-loaded', counts: { times: 1 } }])
  t.end()
})

void t.test('of names without end so many are kept apart, and nothing is lost in the sum', (t) => {
  assert(
    property(
      array(tuple(string({ maxLength: 3 }), nat(1000))),
      integer({ min: 1, max: 5 }),
      (added, namesMax) => {
        const tally = new Tally(namesMax)
        for (const [name, times] of added) tally.add(name, { times })
        const { rows, others } = tally.table('times')
        const kept = rows.reduce((sum, { counts }) => sum + (counts['times'] ?? 0), 0)
        const all = added.reduce((sum, [, times]) => sum + times, 0)
        return rows.length <= namesMax && kept + (others?.['times'] ?? 0) === all
      },
    ),
  )
  const counter = new SummaryCounter()
  for (let host = 0; host < NAMES_MAX + 50; host += 1)
    counter.add(
      callRecord(facts({ id: `C${host}`, target: target(`h${host}.test`) }), 'call-ended', NOW),
    )
  const { hosts } = counter.summary()
  t.equal(hosts.rows.length, NAMES_MAX)
  t.match(hosts.others, { calls: 50, allowed: 50 })
  t.end()
})
