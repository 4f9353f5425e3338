// Proves that a message inside a call is on record before it may be passed on, and that none is lost in a flood.

import t from 'tap'

import { EgressError } from '../../../src/errors.ts'
import { DenialLimiter } from '../../../src/record/flood.ts'
import { MessageLimiter } from '../../../src/record/message-flood.ts'
import { Metrics } from '../../../src/record/metrics/metrics.ts'
import type { RecordBody } from '../../../src/record/body.ts'
import { NO_SECRETS, Redactor } from '../../../src/inspect/redactor.ts'
import { CallRecorder } from '../../../src/record/recorder.ts'
import { verifyDirectory } from '../../../src/record/proof/verify.ts'
import {
  freshDir,
  journalRecords,
  messageCall,
  messageOf,
  openJournal,
  TASK,
  until,
  openDetection,
} from './support.ts'

function openRecorder(dir: string, messageRecordsPerSecond = 50, recordsQueuedMax = 20_000) {
  const journal = openJournal(dir, { limits: { recordsQueuedMax } })
  const now = Date.now
  const denials = new DenialLimiter({ perSecond: 2, append: (one) => journal.append(one), now })
  const metrics = new Metrics({
    openCalls: () => 0,
    openTunnels: () => 0,
    tasks: () => ({
      byState: { pending: 0, active: 0, suspended: 0, revoking: 0 },
      observing: 0,
      orphaned: 0,
      unconfirmed: 0,
      endings: { counts: [], sum: 0 },
    }),
    journal: () => journal.stats,
    holds: () => ({ open: 0, actions: new Map() }),
    overrides: () => 4,
    secrets: () => ({ count: 3, oldestSeconds: 60 }),
    leases: () => [{ credential: 'api', leases: 2 }],
    revocations: () => ({ pending: 2, failures: 5 }),
    selfChecks: () => ({
      at: 5000,
      results: [
        { name: 'clock', outcome: 'pass' },
        { name: 'key-files', outcome: 'fail' },
      ],
      failing: ['key-files'],
    }),
    sinks: () => [],
  })
  const lost: unknown[] = []
  const append = (one: RecordBody): void => {
    journal.append(one).catch(() => undefined)
  }
  const { alerts, detector } = openDetection({ stateDir: dir, append, now })
  const recorder = new CallRecorder({
    redactor: new Redactor(NO_SECRETS),
    journal,
    denials,
    alerts,
    detector,
    metrics,
    now,
    limits: { messageRecordsPerSecond },
    onLost: (error) => lost.push(error),
  })
  const close = async (): Promise<void> => {
    denials.close()
    detector.close()
    alerts.close()
    await journal.close()
  }
  return { journal, recorder, metrics, lost, close }
}

void t.test('I4: a message is on record when it may be passed on', async (t) => {
  const dir = freshDir(t)
  const { recorder, metrics, close } = openRecorder(dir)
  const call = messageCall('CALL')
  call.trace = { traceId: 'a'.repeat(32), parentId: 'b'.repeat(16) }
  const fields = {
    gen_ai: { operation: { name: 'execute_tool' }, tool: { name: 'list_issues' } },
    mcp: { method: { name: 'tools/call' }, session: { id: 's1' } },
    jsonrpc: { request: { id: '7' } },
    content: { input: { digest: `sha256:${'d'.repeat(64)}`, bytes: 2 } },
  }
  await recorder.recordMessage(call, messageOf({ fields }))
  t.strictSame(
    journalRecords(dir).map(({ event: { action } }) => action),
    ['message-allowed'],
    'it was there before the promise was kept',
  )
  const own = { traceId: 'c'.repeat(32), parentId: 'd'.repeat(16) }
  const answer = { id: 'M2', direction: 'to-client', kind: 'response', trace: own } as const
  await recorder.recordMessage(call, messageOf(answer))
  const error = { error: { type: 'tool_error' }, rpc: { response: { status_code: '-32000' } } }
  await recorder.recordMessage(call, messageOf({ ...answer, fields: error }))
  const detail = { tool: 'drop_table' }
  await recorder.recordMessage(call, messageOf({ verdict: 'deny', detail }))
  await close()
  const [asked, answered, failed, denied] = journalRecords(dir)
  t.match(asked, {
    event: {
      action: 'message-allowed',
      category: ['web', 'api'],
      type: ['allowed', 'info'],
      outcome: 'unknown',
      reason: 'allowed',
    },
    rule: { id: 'rule', ruleset: 'set' },
    destination: { domain: 'mcp.test', port: 443 },
    url: { full: 'https://mcp.test/mcp' },
    gen_ai: { tool: { name: 'list_issues' } },
    mcp: { method: { name: 'tools/call' }, session: { id: 's1' } },
    jsonrpc: { request: { id: '7' } },
    trace: { id: 'a'.repeat(32) },
    span: { id: 'b'.repeat(16) },
    sallyport: {
      mode: 'enforce',
      call: { id: 'CALL', kind: 'intercepted' },
      message: { id: '01JMESSAGE0000000000000000', direction: 'to-server', kind: 'request' },
      task: { id: TASK.id },
      decision: { id: '01JDECISION000000000000000', verdict: 'allow', us: 8 },
      inspection: 'full',
      content: { input: { bytes: 2 } },
    },
  })
  t.notOk(asked?.http, 'the request is the call’s')
  t.match(answered, {
    event: { outcome: 'success' },
    trace: { id: 'c'.repeat(32) },
    span: { id: 'd'.repeat(16) },
    sallyport: { message: { id: 'M2', direction: 'to-client', kind: 'response' } },
  })
  t.match(failed, {
    event: { outcome: 'failure', reason: 'allowed' },
    error: { type: 'tool_error' },
  })
  t.match(denied, {
    event: { action: 'message-denied', type: ['denied'], outcome: 'failure' },
    sallyport: { decision: { verdict: 'deny', reason: 'tool-not-allowed' }, detail },
  })
  t.ok(verifyDirectory(dir).ok)
  const { text } = await metrics.render()
  t.match(text, 'sallyport_messages_total{verdict="allow",reason="allowed"} 3')
  t.match(text, 'sallyport_messages_total{verdict="deny",reason="tool-not-allowed"} 1')
})

void t.test(
  'a message and its call tell the class and the regulations that rules name',
  async (t) => {
    const dir = freshDir(t)
    const { recorder, close } = openRecorder(dir)
    const obligations = {
      data: 'restricted',
      regulation: ['gdpr', 'hipaa'],
      clientAuth: 'drop',
      placeholderInBody: 'pass',
    } as const
    await recorder.recordMessage(messageCall('CALL'), messageOf({ obligations }))
    await recorder.recordMessage(messageCall('CALL'), messageOf())
    await close()
    const [named, silent] = journalRecords(dir)
    t.strictSame(named?.sallyport.decision?.data, 'restricted')
    t.strictSame(named?.sallyport.decision?.regulation, ['gdpr', 'hipaa'])
    t.notOk(silent?.sallyport.decision?.data, 'what nobody wrote is not told')
    t.notOk(silent?.sallyport.decision?.regulation)
  },
)

void t.test('I5: a message that cannot be recorded must not be passed on', async (t) => {
  const dir = freshDir(t)
  const { recorder, lost, close } = openRecorder(dir, 50, 1)
  const call = messageCall('CALL')
  const first = recorder.recordMessage(call, messageOf())
  await t.rejects(
    recorder.recordMessage(call, messageOf()),
    new EgressError('audit-unavailable', {}),
  )
  await recorder.recordMessage(call, messageOf({ verdict: 'deny' }))
  await first
  await close()
  t.equal(lost.length, 1, 'a refused one is told and owed')
  t.strictSame(
    journalRecords(dir).map(({ event: { action } }) => action),
    ['message-allowed', 'message-denied-repeated'],
  )
})

void t.test('I4: refused messages beyond the rate are counted exactly', async (t) => {
  const dir = freshDir(t)
  const { recorder, close } = openRecorder(dir)
  const call = messageCall('CALL')
  for (let message = 0; message < 10; message += 1)
    await recorder.recordMessage(call, messageOf({ verdict: 'deny' }))
  await close()
  t.equal(told(journalRecords(dir), 'message-denied', 'message-denied-repeated'), 10)
})

void t.test(
  'I7: messageRecordsPerSecond bounds the records of what a server sends by itself, and all of it is told',
  async (t) => {
    const dir = freshDir(t)
    const { recorder, close } = openRecorder(dir, 3)
    const call = messageCall('CALL')
    const other = messageCall('OTHER')
    const flood = { direction: 'to-client', kind: 'notification' } as const
    for (let message = 0; message < 20; message += 1)
      await recorder.recordMessage(call, messageOf(flood))
    await recorder.recordMessage(call, messageOf({ ...flood, kind: 'request' }))
    await recorder.recordMessage(other, messageOf(flood))
    for (let message = 0; message < 5; message += 1) {
      await recorder.recordMessage(call, messageOf({ ...flood, kind: 'response' }))
      await recorder.recordMessage(call, messageOf())
    }
    recorder.recordEnd(call)
    await close()
    const records = journalRecords(dir)
    t.equal(told(records, 'message-allowed', 'message-allowed-repeated'), 32)
    const isOwn = ({ sallyport }: RecordBody): boolean =>
      sallyport.message?.direction === 'to-client' && sallyport.message.kind !== 'response'
    t.ok(records.filter(isOwn).length < 20, 'not each has a record')
    const last = records.at(-2)
    t.match(last, {
      event: { action: 'message-allowed-repeated', outcome: 'unknown' },
      destination: { domain: 'mcp.test' },
      sallyport: { call: { id: 'CALL' }, task: { id: TASK.id }, detail: { kinds: { request: 1 } } },
    })
    t.equal(records.at(-1)?.event.action, 'call-denied', 'the call ends after it')
  },
)

void t.test('what is counted is told when its second is over, a second at a time', async (t) => {
  const clock = { now: 10_000 }
  const records: RecordBody[] = []
  const limiter = new MessageLimiter({
    perSecond: 1,
    append: (record) => records.push(record),
    now: () => clock.now,
  })
  const call = messageCall('CALL')
  const admit = (): boolean => limiter.admit(call, messageOf({ direction: 'to-client' }))
  t.strictSame([admit(), admit(), admit()], [true, false, false])
  clock.now += 1000
  t.strictSame([admit(), admit()], [true, false])
  t.match(records, [
    {
      sallyport: {
        detail: {
          count: 2,
          from: '1970-01-01T00:00:10.000Z',
          to: '1970-01-01T00:00:11.000Z',
        },
      },
    },
  ])
  clock.now += 1000
  await until(() => records.length === 2, 'the sweep tells the rest')
  t.match(records[1], { sallyport: { detail: { count: 1, kinds: { request: 1 } } } })
  limiter.endCall(call)
  t.equal(records.length, 2, 'nothing twice')
})

function told(records: readonly RecordBody[], one: string, many: string): number {
  let count = 0
  for (const { event, sallyport } of records) {
    if (event.action === one) count += 1
    if (event.action === many) count += Number(sallyport.detail?.['count'])
  }
  return count
}
