// Proves the bulk API's sink against a receiver that keeps to its letter: each record once, each one's fate read from an
// answer that is not trusted.

import t, { type Test } from 'tap'

import { bulkPath, elasticDeliver, startElasticSink } from '../../../../src/record/sinks/elastic.ts'
import type { Deliver } from '../../../../src/record/sinks/delivery.ts'
import { ElasticReceiver } from '../../../fixtures/elastic-receiver.ts'
import { isObject, type ReceiverAnswer } from '../../../fixtures/receiver.ts'
import { idsOf, limits, never, reaching, recordsOf, started, survive } from './receivers.ts'

const INDEX = 'logs-sallyport-default'
const KEY = 'a2V5OnNlY3JldA=='
const headers = { authorization: `ApiKey ${KEY}` }
const path = bulkPath(new URL('http://siem.test'), INDEX)

const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])

async function make(t: Test): Promise<{ receiver: ElasticReceiver; deliver: Deliver }> {
  const receiver = await started(t, new ElasticReceiver(INDEX, KEY))
  return { receiver, deliver: elasticDeliver({ ...reaching(t, receiver), headers, path }) }
}

void t.test(
  'R54: each record is a document of its own id, as it stands in the journal',
  async (t) => {
    const { receiver, deliver } = await make(t)
    const records = await recordsOf(t, 3)
    t.strictSame(await deliver(records, never), { outcome: 'taken' })
    t.strictSame(
      [...receiver.documents],
      records.map(({ id, line }) => [id, JSON.parse(line.toString())]),
    )
    t.match(receiver.requests[0]?.headers, {
      'content-type': 'application/x-ndjson',
      'content-encoding': 'gzip',
      accept: 'application/json',
    })
  },
)

void t.test('what is sent again is there once', async (t) => {
  const { receiver, deliver } = await make(t)
  const records = await recordsOf(t, 4)
  receiver.faults.push({ reset: 'after' })
  await t.rejects(deliver(records, never))
  t.equal(receiver.documents.size, 4)
  t.strictSame(await deliver(records, never), { outcome: 'taken' })
  t.equal(receiver.documents.size, 4)
  t.equal(receiver.conflicts, 4)
})

void t.test('of a batch that is taken in part the rest is left, in order', async (t) => {
  const { receiver, deliver } = await make(t)
  const records = await recordsOf(t, 5)
  const [a, b, c, d, e] = records
  const busy = new Map([
    [b?.id, 429],
    [d?.id, 503],
  ])
  receiver.refuse = (_document, id) => {
    const status = busy.get(id)
    return status === undefined ? undefined : { status, type: 'es_rejected_execution_exception' }
  }
  t.match(await deliver(records, never), { outcome: 'later', left: [b, d] })
  t.strictSame(receiver.ids, [a?.id, c?.id, e?.id])
  busy.clear()
  t.strictSame(await deliver([b!, d!], never), { outcome: 'taken' })
})

void t.test(
  'a record that does not fit the mapping is refused alone, in words that are safe',
  async (t) => {
    const { receiver, deliver } = await make(t)
    const records = await recordsOf(t, 3)
    const bad = records[1]
    receiver.refuse = (_document, id) =>
      id === bad?.id
        ? {
            status: 400,
            type: 'document_parsing_exception',
            reason: `\u{202e}${KEY} \u001b[31m${'x'.repeat(3000)}`,
          }
        : undefined
    const delivery = await deliver(records, never)
    t.match(delivery, { outcome: 'taken', refused: [{ id: bad?.id, seq: 2 }] })
    const detail = delivery.outcome === 'taken' ? (delivery.refused?.[0]?.detail ?? '') : ''
    t.match(detail, /^document_parsing_exception: \\u\{202e\}\[redacted\] \\u\{1b\}\[31mx+$/)
    t.ok(detail.length <= 200)
    t.strictSame(
      (await deliver(records.slice(1, 2), never)).outcome,
      'taken',
      'also where it comes alone: it is the document',
    )
  },
)

void t.test('where everything is refused for another reason, nothing is given up', async (t) => {
  const { receiver, deliver } = await make(t)
  const records = await recordsOf(t, 3)
  for (const [status, type] of [
    [403, 'security_exception'],
    [403, 'cluster_block_exception'],
    [404, 'index_not_found_exception'],
    [400, 'illegal_argument_exception'],
  ] as const) {
    receiver.refuse = () => ({ status, type })
    t.strictSame(await deliver(records, never), { outcome: 'refused', detail: `${type}: ` }, type)
  }
  receiver.refuse = (_document, id) =>
    id === records[0]?.id
      ? { status: 400, type: 'illegal_argument_exception', reason: 'immense term' }
      : undefined
  t.match(
    await deliver(records, never),
    { outcome: 'taken', refused: [{ id: records[0]?.id }] },
    'the twin: others were taken',
  )
  receiver.refuse = (_document, id) =>
    id === records[0]?.id ? { status: 429, type: 'busy' } : { status: 403, type: 'security' }
  t.match(await deliver(await recordsOf(t, 2), never), { outcome: 'refused' })
})

void t.test('what it has is asked for whether it takes anything, and is there once', async (t) => {
  const { receiver, deliver } = await make(t)
  const [first, ...records] = await recordsOf(t, 3)
  const ids = records.map(({ id }) => id)
  const refusal = { status: 400, type: 'illegal_argument_exception', reason: 'immense term' }
  receiver.refuse = (_document, id) => (ids.includes(id) ? refusal : undefined)
  t.match(await deliver(records, never), { outcome: 'refused' }, 'nothing is known of it yet')
  t.strictSame(await deliver([first!], never), { outcome: 'taken' })
  t.strictSame(idsOf(await deliver(records, never), 'refused'), ids)
  t.equal(receiver.documents.size, 1)
  receiver.refuse = () => ({ status: 403, type: 'security_exception' })
  t.match(await deliver(records, never), { outcome: 'refused' }, 'the key has lost its right')
})

void t.test('statuses of the whole answer', async (t) => {
  const { receiver, deliver } = await make(t)
  const records = await recordsOf(t, 2)
  const meaning = {
    301: 'refused',
    400: 'refused',
    401: 'refused',
    403: 'refused',
    404: 'refused',
    408: 'later',
    413: 'smaller',
    429: 'later',
    500: 'later',
    502: 'later',
    503: 'later',
  }
  for (const [status, outcome] of Object.entries(meaning)) {
    receiver.faults.push({ status: Number(status) })
    t.equal((await deliver(records, never)).outcome, outcome, status)
  }
  receiver.faults.push({ status: 503, headers: { 'retry-after': '7' } })
  t.match(await deliver(records, never), { outcome: 'later', afterMs: 7000 })
  t.equal(receiver.documents.size, 0)
})

void t.test('an answer that cannot be right takes nothing and refuses nothing', async (t) => {
  const { receiver, deliver } = await make(t)
  const records = await recordsOf(t, 3)
  const itemsOf = (answer: ReceiverAnswer): unknown[] =>
    listOf(isObject(answer.body) && answer.body['items'])
  const wrong: Record<string, (answer: ReceiverAnswer) => unknown> = {
    nothing: () => '',
    'no JSON': () => '<html>ok</html>',
    null: () => null,
    'no items': () => ({ errors: false }),
    'items that are no list': () => ({ errors: false, items: { length: 3 } }),
    'too few': (answer) => ({ errors: false, items: itemsOf(answer).slice(1) }),
    'too many': (answer) => ({ errors: false, items: [...itemsOf(answer), itemsOf(answer)[0]] }),
    'another order': (answer) => ({ errors: false, items: itemsOf(answer).toReversed() }),
    'another action': () => ({
      items: records.map(({ id: _id }) => ({ index: { _id, status: 201 } })),
    }),
    'statuses that are none': () => ({
      errors: false,
      items: records.map(({ id: _id }) => ({ create: { _id, status: '201' } })),
    }),
    deep: () => '['.repeat(50_000),
  }
  for (const [what, body] of Object.entries(wrong)) {
    receiver.faults.push({ answer: (answer) => ({ status: 200, body: body(answer) }) })
    const delivery = await deliver(records, never)
    t.equal(delivery.outcome, 'later', what)
    t.notOk('refused' in delivery, what)
  }
  receiver.faults.push({ cut: true })
  await t.rejects(deliver(records, never), 'an answer that breaks off')
  const long = { status: 200, body: 'x'.repeat(1_000_000) }
  receiver.faults.push({ answer: () => long }, { answer: () => long })
  t.strictSame(await deliver(records, never), { outcome: 'smaller' })
  t.equal((await deliver(records.slice(0, 1), never)).outcome, 'later')
  t.strictSame(await deliver(records, never), { outcome: 'taken' }, 'the twin')
})

void t.test('a wrong key is refused, and what it says of it is not repeated', async (t) => {
  const { receiver } = await make(t)
  const wrong = { authorization: 'ApiKey d3Jvbmc6a2V5' }
  const deliver = elasticDeliver({ ...reaching(t, receiver), headers: wrong, path })
  receiver.fault = {
    status: 401,
    body: { error: { type: 'security_exception', reason: 'key [d3Jvbmc6a2V5] is (wrong:key)' } },
  }
  t.strictSame(await deliver(await recordsOf(t, 1), never), {
    outcome: 'refused',
    detail: 'status 401 security_exception: key [[redacted]] is ([redacted])',
  })
})

void t.test('where the bulk API is', (t) => {
  const at = (url: string): string => bulkPath(new URL(url), INDEX).replace(/filter_path=.*/, 'f')
  t.equal(at('https://es:9200'), `/${INDEX}/_bulk?f`)
  t.equal(at('https://es:9200/'), `/${INDEX}/_bulk?f`)
  t.equal(at('https://gate/es/'), `/es/${INDEX}/_bulk?f`)
  t.equal(at('https://es/other/_bulk?pipeline=p'), '/other/_bulk?pipeline=p&f')
  t.equal(bulkPath(new URL('https://es/?filter_path=took'), 'a'), '/a/_bulk?filter_path=took')
  t.end()
})

void t.test('R54: nothing is lost and nothing is there twice, whatever happens', async (t) => {
  const receiver = await started(t, new ElasticReceiver(INDEX, KEY))
  const twice = await survive(t, {
    receiver,
    ids: () => receiver.ids,
    start: (feed) => startElasticSink({ ...feed, ...reaching(t, receiver), limits, headers, path }),
  })
  t.equal(twice, 0)
  t.ok(receiver.conflicts > 0, 'and there were attempts to')
})
