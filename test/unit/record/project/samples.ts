// Records of every kind that the sidecar writes, and records that a stranger made: what the projections are tested on.

import * as fc from 'fast-check'

import type { RecordBody } from '../../../../src/record/body.ts'
import { dnsRecord } from '../../../../src/record/dns-record.ts'
import { callRecord, crashedCallRecord, eventRecord } from '../../../../src/record/ecs.ts'
import { messageRecord, repeatedMessagesRecord } from '../../../../src/record/message-record.ts'
import { recordText } from '../../../../src/record/text.ts'
import type { Task } from '../../../../src/tasks/task.ts'
import { facts, messageCall, messageOf, TASK } from '../support.ts'

export const ORIGIN = { version: '0.1.0', journal: 'j_01j00000000000000000000000' } as const

export const NOW: number = Date.UTC(2026, 0, 2, 3, 4, 5, 678)

const STAGE: Task = {
  ...TASK,
  id: 't_01j00000000000000000000001',
  path: ['t_01j00000000000000000000000', 't_01j00000000000000000000001'],
  principal: 'mia@example.com',
  delegation: [
    {
      task: TASK.id,
      agent: 'triage-bot',
      instance: 'triage-bot/7f3a',
      owner: 'payments on-call',
      intent: TASK.intentDigest,
    },
  ],
}

const TUNNEL = {
  scheme: 'tcp',
  endpoint: { host: 'db.example.com', kind: 'name', port: 5432, literal: 'db.example.com' },
} as const

/** A record as a reader of the journal gets it, with its place in the chain. */
function kept(record: RecordBody, index: number): RecordBody {
  const chain = { seq: index + 1, prev: 'e'.repeat(64), task: { seq: 1, prev: 'f'.repeat(64) } }
  const { sallyport } = record
  return JSON.parse(recordText({ ...record, sallyport: { ...sallyport, chain } }))
}

function calls(): RecordBody[] {
  const started = callRecord(facts(), 'call-started', NOW)
  return [
    started,
    callRecord(facts(), 'call-progress', NOW),
    callRecord(facts(), 'call-ended', NOW),
    callRecord(facts({ task: STAGE, credential: undefined }), 'call-ended', NOW),
    callRecord(facts({ reason: 'client-gone', response: undefined }), 'call-ended', NOW),
    callRecord(facts({ reason: 'dial-failed', upstream: undefined }), 'call-ended', NOW),
    callRecord(facts({ reason: 'resolve-failed', upstream: undefined }), 'call-ended', NOW),
    callRecord(
      facts({ reason: 'resolved-address-denied', upstream: undefined }),
      'call-ended',
      NOW,
    ),
    callRecord(
      facts({
        kind: 'tunnel',
        inspection: 'none',
        parent: undefined,
        target: TUNNEL,
        request: undefined,
        response: { status: 200, bytes: 17 },
      }),
      'call-ended',
      NOW,
    ),
    callRecord(
      facts({ kind: 'tunnel', inspection: 'connect', request: undefined }),
      'call-ended',
      NOW,
    ),
    callRecord(
      facts({
        reason: 'not-on-allowlist',
        decision: {
          id: '01JDECISION000000000000000',
          verdict: 'deny',
          reason: 'not-on-allowlist',
          policy: `sha256:${'c'.repeat(64)}`,
          us: 12,
        },
        upstream: undefined,
        response: undefined,
        credential: undefined,
      }),
      'call-denied',
      NOW,
    ),
    callRecord(
      facts({
        reason: 'identity-missing',
        task: undefined,
        decision: undefined,
        upstream: undefined,
        response: undefined,
        credential: undefined,
      }),
      'call-denied',
      NOW,
    ),
    callRecord(
      facts({
        reason: 'malformed-request-line',
        task: undefined,
        decision: undefined,
        target: undefined,
        request: undefined,
        response: undefined,
        upstream: undefined,
        credential: undefined,
        clientTls: undefined,
        client: {},
      }),
      'call-denied',
      NOW,
    ),
    callRecord(
      facts({
        request: { method: 'PROPFIND', version: '1.1', bytes: 0 },
        mode: 'observe',
        trace: { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', parentId: '00f067aa0ba902b7' },
        inspected: {
          gen_ai: {
            operation: { name: 'chat' },
            provider: { name: 'openai' },
            request: { model: 'gpt-4o', max_tokens: 1024, stream: true },
            response: { id: 'chatcmpl-7', model: 'gpt-4o-2024-08-06', finish_reasons: ['stop'] },
            usage: { input_tokens: 812, output_tokens: 96 },
            input: { messages: [{ role: 'user', content: 'hello' }] },
          },
          content: { input: { digest: `sha256:${'d'.repeat(64)}`, bytes: 5 }, tool_calls: ['a'] },
        },
      }),
      'call-ended',
      NOW,
    ),
    crashedCallRecord(started, NOW),
  ]
}

function messages(): RecordBody[] {
  const call = messageCall('01JCALL0000000000000000000')
  const request = { gen_ai: { operation: { name: 'execute_tool' }, tool: { name: 'get_issue' } } }
  const fields = {
    ...request,
    mcp: { method: { name: 'tools/call' }, protocol: { version: '2025-11-25' } },
    jsonrpc: { request: { id: '7' } },
  }
  const failed = { ...fields, error: { type: 'tool_error' } }
  const detail = { tool: 'get_issue' }
  return [
    messageRecord(call, messageOf({ fields }), NOW),
    messageRecord(call, messageOf({ fields, verdict: 'deny', detail }), NOW),
    messageRecord(call, messageOf({ kind: 'response', direction: 'to-client', fields }), NOW),
    messageRecord(
      call,
      messageOf({ kind: 'response', direction: 'to-client', fields: failed }),
      NOW,
    ),
    repeatedMessagesRecord(
      call,
      { requests: 1, notifications: 2, responses: 0, from: NOW, to: NOW + 5 },
      NOW,
    ),
  ]
}

function queries(): RecordBody[] {
  const client = { address: '10.1.2.3', port: 40_000 }
  const question = { name: 'evil.example.com', type: 'TXT', class: 'IN' }
  const refused = { client, task: TASK, question, transport: 'udp', detail: {} } as const
  return [
    dnsRecord({ ...refused, reason: 'not-on-allowlist', responseCode: 'NXDOMAIN' }, NOW),
    dnsRecord(
      {
        ...refused,
        client: {},
        task: undefined,
        question: { ...question, name: '\\000.a', type: 'TYPE65280' },
        reason: 'malformed-header',
        responseCode: undefined,
        transport: 'tcp',
        detail: { fault: 'pointer' },
      },
      NOW,
    ),
    dnsRecord({ ...refused, question: undefined, reason: 'killed', responseCode: 'FORMERR' }, NOW),
  ]
}

function events(): RecordBody[] {
  const task = TASK
  const endpoint = TUNNEL.endpoint
  const detail = { actor: 'ci', cause: 'asked-for', from: 'active', to: 'revoking' }
  const lifetime = [
    'task-created',
    'task-renewed',
    'task-activated',
    'task-suspended',
    'task-resumed',
    'task-extended',
    'task-widened',
    'task-revoked',
    'task-ended',
    'task-receipt',
    'task-sealed',
    'teardown-unconfirmed',
  ]
  const reason = 'placeholder-misused'
  const changed = 'tool-definition-changed'
  return [
    ...lifetime.map((action) => eventRecord(action, { now: NOW, task, detail })),
    ...['identity-shared', 'attestation-failed'].map((action) =>
      eventRecord(action, { now: NOW, task, reason: 'identity-shared', detail }),
    ),
    ...['kill-switch-thrown', 'kill-switch-lifted', 'owner-disabled', 'owner-enabled'].map(
      (action) =>
        eventRecord(action, { now: NOW, detail: { actor: 'ci', owner: 'mia', host: 'a' } }),
    ),
    ...[
      'rules-loaded',
      'rules-refused',
      'rules-reload-asked',
      'control-changed',
      'control-refused',
      'journal-recovered',
      'journal-failed',
      'checkpoint',
      'sink-gap',
      'sink-records-refused',
      'journal-segments-deleted',
      'checkpoint-key',
      'denial-storm-ended',
      'alerts-repeated',
      'override-made',
      'override-reviewed',
      'self-check',
      'credential-leased',
      'credential-refreshed',
      'credential-unavailable',
      'credential-revoked',
      'an-action-of-tomorrow',
    ].map((action) => eventRecord(action, { now: NOW, detail: { principal: 'ci', count: 3 } })),
    eventRecord('placeholder-misused', {
      now: NOW,
      task,
      kind: 'alert',
      reason,
      outcome: 'failure',
      detail: { call: '01JCALL0000000000000000000', credential: 'github', place: 'query' },
    }),
    eventRecord(changed, {
      now: NOW,
      task,
      kind: 'alert',
      reason: changed,
      outcome: 'failure',
      callId: '01JCALL0000000000000000000',
      endpoint,
      detail: { tool: 'get_issue', server: 'mcp.test', digest: 'sha256:1', change: 'changed' },
    }),
    ...[
      'call-denied-repeated',
      'message-denied-repeated',
      'dns-denied-repeated',
      `${changed}-repeated`,
    ].map((action) =>
      eventRecord(action, {
        now: NOW,
        task,
        detail: { count: 7, reasons: { 'not-on-allowlist': 7 }, from: 'a', to: 'b' },
      }),
    ),
  ]
}

function detections(): RecordBody[] {
  const found = [
    ['denial-storm', 'low'],
    ['first-seen-destination', 'medium'],
    ['credential-echoed', 'high'],
    ['bytes-out-spike-repeated', 'high'],
  ] as const
  return found.map(([name, severity]) => {
    const record = eventRecord(name, { now: NOW, task: TASK, kind: 'alert' })
    return {
      ...record,
      threat: {
        framework: 'MITRE ATLAS',
        technique: {
          id: ['AML.T0086', 'AML.T0034.002'],
          name: ['Exfiltration via AI Agent Tool Invocation', 'Agentic Resource Consumption'],
        },
      },
      sallyport: {
        ...record.sallyport,
        detection: {
          name,
          severity,
          asi: ['ASI02'],
          calls: ['01JCALL0000000000000000000'],
          count: 40,
        },
      },
    }
  })
}

/** One record at least of each kind. */
export const SAMPLES: readonly RecordBody[] = [
  ...calls(),
  ...messages(),
  ...queries(),
  ...events(),
  ...detections(),
].map(kept)

/** A sample by its action, and its reason where that is given. @throws when there is none */
export function sample(action: string, reason?: string): RecordBody {
  const found = SAMPLES.find(
    ({ event }) => event.action === action && (reason === undefined || event.reason === reason),
  )
  if (found === undefined) throw new Error(`no sample of ${action} ${reason ?? ''}`)
  return found
}

/** Text that breaks naive writers. */
export const hostileText: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 24 }),
  fc.constantFrom(
    '',
    '\u0000',
    '\uD800',
    '\u202Eevil',
    '\u001b[31m',
    '\r\n{"a":1}',
    '__proto__',
    'constructor',
    '</script>',
  ),
)

const hostileValue: fc.Arbitrary<unknown> = fc.oneof(
  hostileText,
  fc.double(),
  fc.boolean(),
  fc.constant(null),
  fc.array(hostileText, { maxLength: 3 }),
  fc.dictionary(hostileText, hostileText, { maxKeys: 3 }),
)

/** A sample in which strangers chose some members, others are gone, and others are of another type. */
export const hostileRecord: fc.Arbitrary<RecordBody> = fc
  .tuple(
    fc.constantFrom(...SAMPLES),
    fc.array(
      fc.tuple(fc.nat(), fc.constantFrom('text', 'drop', 'value'), hostileText, hostileValue),
      {
        minLength: 1,
        maxLength: 8,
      },
    ),
  )
  .map(([record, changes]) => {
    const copy: Record<string, unknown> = JSON.parse(JSON.stringify(record))
    for (const [at, how, text, value] of changes) change(copy, at, how, text, value)
    return JSON.parse(JSON.stringify(copy))
  })

interface Place {
  readonly holder: object
  readonly name: string
}

function change(copy: object, at: number, how: string, text: string, value: unknown): void {
  const places = [...placesOf(copy)]
  const place = places[at % Math.max(1, places.length)]
  if (place === undefined) return
  const { holder, name } = place
  const found: unknown = Reflect.get(holder, name)
  if (how === 'drop') Reflect.deleteProperty(holder, name)
  else if (how === 'value') Reflect.set(holder, name, value)
  else if (typeof found === 'string') Reflect.set(holder, name, text)
}

function* placesOf(value: unknown): Generator<Place> {
  if (typeof value !== 'object' || value === null) return
  for (const name of Object.keys(value)) {
    yield { holder: value, name }
    yield* placesOf(Reflect.get(value, name))
  }
}
