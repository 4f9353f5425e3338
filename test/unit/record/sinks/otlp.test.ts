// Proves the OTLP sink against a receiver that reads by the protocol's letter: what it is sent, what its answers come to, and
// that no answer loses a record in silence.

import t, { type Test } from 'tap'

import type { Deliver } from '../../../../src/record/sinks/delivery.ts'
import { logsPath, otlpDeliver, startOtlpSink } from '../../../../src/record/sinks/otlp.ts'
import { OtlpReceiver } from '../../../fixtures/otlp-receiver.ts'
import { idsOf, limits, never, reaching, recordsOf, started, survive } from './receivers.ts'

const headers = { authorization: 'Bearer a-secret-token' }
const origin = { version: '0.1.0', journal: 'j_1' }
const path = logsPath(new URL('http://siem.test'))

async function make(t: Test): Promise<{ receiver: OtlpReceiver; deliver: Deliver }> {
  const receiver = await started(t, new OtlpReceiver(headers.authorization))
  return { receiver, deliver: otlpDeliver({ ...reaching(t, receiver), headers, path, origin }) }
}

void t.test('R54 R57: records arrive as log records that a strict reader takes', async (t) => {
  const { receiver, deliver } = await make(t)
  const records = await recordsOf(t, 3)
  t.strictSame(await deliver(records, never), { outcome: 'taken' })
  t.strictSame(
    receiver.ids,
    records.map(({ id }) => id),
  )
  const [log] = receiver.logs
  const time = BigInt(Date.parse(JSON.parse(String(records[0]?.line))['@timestamp'])) * 1_000_000n
  t.match(log?.record, {
    timeUnixNano: String(time),
    severityNumber: 9,
    severityText: 'INFO',
    eventName: 'sallyport.call-ended',
    traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
    spanId: '00f067aa0ba902b7',
  })
  t.equal(log?.attributes.get('http.response.status_code'), 200n)
  t.strictSame(Object.fromEntries(log?.resource ?? []), {
    'service.name': 'sallyport',
    'service.version': '0.1.0',
    'service.instance.id': 'j_1',
  })
  t.match(receiver.requests[0], {
    path: '/v1/logs',
    headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
  })
})

void t.test(
  'records that a receiver leaves out are counted, in its words, and not sent again',
  async (t) => {
    const { receiver, deliver } = await make(t)
    const records = await recordsOf(t, 4)
    receiver.reject = ({ id }) => id === records[1]?.id || id === records[2]?.id
    t.strictSame(await deliver(records, never), {
      outcome: 'taken',
      refusedCount: 2,
      detail: 'an attribute is not allowed',
    })
    t.equal(receiver.requests.length, 1)
    t.equal(receiver.logs.length, 2)
  },
)

void t.test('a count that cannot be right counts as all', async (t) => {
  const { receiver, deliver } = await make(t)
  const records = await recordsOf(t, 3)
  const told = async (rejectedLogRecords: unknown): Promise<unknown> => {
    const errorMessage = 'Bearer a-secret-token \u001b[2J'
    receiver.faults.push({
      answer: () => ({
        status: 200,
        body: { partialSuccess: { rejectedLogRecords, errorMessage } },
      }),
    })
    return deliver(records, never)
  }
  const detail = '[redacted] \\u{1b}[2J'
  for (const nonsense of ['-1', 4, '2.5', 'NaN', {}, '1e400'])
    t.strictSame(await told(nonsense), { outcome: 'taken', refusedCount: 3, detail })
  for (const right of ['3', 3]) t.match(await told(right), { refusedCount: 3 })
  for (const none of ['0', 0, null, undefined])
    t.strictSame(await told(none), { outcome: 'taken' }, 'a warning is no refusal')
})

void t.test('of a batch that cannot be read only what is wrong in it is given up', async (t) => {
  const { receiver, deliver } = await make(t)
  const records = await recordsOf(t, 21)
  const bad = new Set([records[0]?.id, records[13]?.id])
  receiver.choke = ({ id }) => bad.has(id)
  const delivery = await deliver(records, never)
  t.equal(delivery.outcome, 'taken')
  t.strictSame(new Set(idsOf(delivery, 'refused')), bad)
  t.strictSame(
    receiver.ids,
    records.map(({ id }) => id).filter((id) => !bad.has(id)),
    'in order, none twice',
  )
  receiver.choke = () => true
  const detail = 'status 400 cannot be read'
  t.strictSame(await deliver(records, never), { outcome: 'refused', detail }, 'all: it is not them')
  t.strictSame(await deliver(records.slice(0, 1), never), { outcome: 'refused', detail })
})

void t.test('statuses and what they mean', async (t) => {
  const { receiver, deliver } = await make(t)
  const records = await recordsOf(t, 2)
  const meaning = {
    200: 'taken',
    202: 'taken',
    302: 'refused',
    401: 'refused',
    404: 'refused',
    408: 'refused',
    413: 'smaller',
    415: 'refused',
    429: 'later',
    500: 'refused',
    501: 'refused',
    502: 'later',
    503: 'later',
    504: 'later',
  }
  for (const [status, outcome] of Object.entries(meaning)) {
    receiver.faults.push({ status: Number(status) })
    t.equal((await deliver(records, never)).outcome, outcome, status)
  }
  receiver.faults.push({ status: 429, headers: { 'retry-after': '5' } })
  t.match(await deliver(records, never), { outcome: 'later', afterMs: 5000 })
})

void t.test('a page of another server is no receipt', async (t) => {
  const { receiver, deliver } = await make(t)
  const records = await recordsOf(t, 1)
  for (const body of [
    '<!doctype html>',
    'OK',
    '[]',
    '"ok"',
    'null',
    `{"a":"${'x'.repeat(70_000)}"}`,
  ]) {
    receiver.faults.push({ status: 200, body })
    t.match(
      await deliver(records, never),
      { outcome: 'refused', detail: /not one of OTLP/ },
      body.slice(0, 20),
    )
  }
  receiver.faults.push({ cut: true })
  await t.rejects(deliver(records, never))
  t.strictSame(await deliver(records, never), { outcome: 'taken' }, 'the twin')
})

void t.test('the receiver bites: what is not OTLP in JSON it does not take', async (t) => {
  const { receiver } = await make(t)
  const log = {
    timeUnixNano: '1',
    observedTimeUnixNano: '1',
    severityNumber: 9,
    traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
    spanId: '00f067aa0ba902b7',
    attributes: [{ key: 'a', value: { intValue: '1' } }],
  }
  const ask = async (record: object, more: Record<string, string> = {}): Promise<number> => {
    const body = JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords: [record] }] }] })
    const sent = { 'content-type': 'application/json', ...headers, ...more }
    return (await fetch(`${receiver.url}/v1/logs`, { method: 'POST', headers: sent, body })).status
  }
  t.equal(await ask(log), 200)
  t.equal(await ask(log, { 'content-type': 'text/plain' }), 415)
  t.equal(await ask(log, { authorization: 'Bearer other' }), 401)
  t.equal(await ask(log, { 'content-encoding': 'gzip' }), 400)
  for (const wrong of [
    { timeUnixNano: 1 },
    { timeUnixNano: '18446744073709551616' },
    { observedTimeUnixNano: undefined },
    { severityNumber: 'SEVERITY_NUMBER_INFO' },
    { severityNumber: 25 },
    { traceId: '4bf92f3577b34da6' },
    { spanId: '00f067aa0ba902b7ff' },
    { time_unix_nano: '1' },
    { attributes: [{ key: 'a', value: { intValue: 1 } }] },
    { attributes: [{ key: 'a', value: 'text' }] },
    { attributes: [{ key: 'a', value: {} }] },
    { attributes: [log.attributes[0], log.attributes[0]] },
    { attributes: { a: 1 } },
    { body: 'text' },
  ])
    t.equal(await ask({ ...log, ...wrong }), 400, JSON.stringify(wrong))
})

void t.test('where logs are taken', (t) => {
  t.equal(logsPath(new URL('https://collector:4318')), '/v1/logs')
  t.equal(logsPath(new URL('https://collector:4318/')), '/v1/logs')
  t.equal(logsPath(new URL('https://gate/otlp/v1/logs?a=b')), '/otlp/v1/logs?a=b')
  t.end()
})

void t.test('R54: nothing is lost, whatever happens', async (t) => {
  const receiver = await started(t, new OtlpReceiver(headers.authorization))
  const reached = reaching(t, receiver)
  const twice = await survive(t, {
    receiver,
    ids: () => receiver.ids,
    start: (feed) => startOtlpSink({ ...feed, ...reached, limits, headers, path, origin }),
  })
  t.comment(`${twice} records are there twice, told by their ids`)
})
