// Proves the sink for Splunk's HTTP Event Collector against one that keeps to its documented codes: events as it reads them,
// taken only once acknowledged, and of a batch with a bad event only that one given up.

import t, { type Test } from 'tap'

import type { Deliver } from '../../../../src/record/sinks/delivery.ts'
import {
  channelOf,
  collectorPaths,
  splunkDeliver,
  startSplunkSink,
} from '../../../../src/record/sinks/splunk.ts'
import { SplunkReceiver, type CollectorOptions } from '../../../fixtures/splunk-receiver.ts'
import { idsOf, limits, never, reaching, recordsOf, started, survive } from './receivers.ts'

const TOKEN = '7f1c0c2e-8d0a-4a8e-9c11-0e6a5a1e2b3c'
const paths = collectorPaths(new URL('http://siem.test'))
const channel = channelOf('j_1', 'siem')
const sink = { paths, token: TOKEN, channel, limits } as const

async function make(
  t: Test,
  more: Partial<CollectorOptions & { index: string; waitMs: number }> = {},
): Promise<{ receiver: SplunkReceiver; deliver: Deliver }> {
  const { acknowledges = true, index, waitMs = limits.sinkAcknowledgeTimeoutMs } = more
  const options = { token: TOKEN, acknowledges, ...more }
  const receiver = await started(t, new SplunkReceiver(options))
  const reached = reaching(t, receiver)
  return {
    receiver,
    deliver: splunkDeliver({
      ...reached,
      ...sink,
      limits: { ...limits, sinkAcknowledgeTimeoutMs: waitMs },
      acknowledge: acknowledges,
      index,
    }),
  }
}

void t.test(
  'R54: each record is an event with its time, its index and what tells it apart',
  async (t) => {
    const { receiver, deliver } = await make(t, {
      acknowledges: false,
      indexes: ['agents'],
      index: 'agents',
    })
    const records = await recordsOf(t, 2)
    t.strictSame(await deliver(records, never), { outcome: 'taken' })
    t.strictSame(
      receiver.indexed,
      records.map(({ line, id, seq }) => {
        const event = JSON.parse(line.toString())
        return {
          source: 'sallyport',
          sourcetype: 'sallyport:record',
          index: 'agents',
          time: Date.parse(event['@timestamp']) / 1000,
          event,
          fields: { event_id: id, event_action: 'call-ended', chain_seq: String(seq) },
        }
      }),
    )
    t.match(receiver.requests[0]?.body, /"time":\d{10}\.\d{3},"event":\{/)
    t.match(receiver.requests[0]?.headers, {
      authorization: `Splunk ${TOKEN}`,
      'x-splunk-request-channel': channel,
      'content-encoding': 'gzip',
    })
  },
)

void t.test('a batch counts as taken once it is acknowledged, and not before', async (t) => {
  const { receiver, deliver } = await make(t, { waitMs: 10_000 })
  receiver.pollsUntilIndexed = 3
  let isTaken = false
  const records = await recordsOf(t, 3)
  const delivery = deliver(records, never).then((done) => {
    isTaken = true
    return done
  })
  while (receiver.polls < 4) {
    t.notOk(isTaken)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  t.strictSame(await delivery, { outcome: 'taken' })
  t.strictSame(
    receiver.ids,
    records.map(({ id }) => id),
  )
  const before = receiver.polls
  await deliver(await recordsOf(t, 1), never)
  t.equal(receiver.polls - before, 4, 'whether there are acknowledgements is asked once')
})

void t.test(
  'I7: sinkAcknowledgeTimeoutMs ends the wait, and the batch is sent again',
  async (t) => {
    const { receiver, deliver } = await make(t)
    const records = await recordsOf(t, 2)
    receiver.pollsUntilIndexed = Infinity
    t.match(await deliver(records, never), {
      outcome: 'later',
      detail: 'the batch was not acknowledged in time',
    })
    t.equal(receiver.indexed.length, 0)
    receiver.pollsUntilIndexed = 0
    t.strictSame(await deliver(records, never), { outcome: 'taken' })
    t.equal(receiver.indexed.length, 2)
  },
)

void t.test('what a collector had not indexed when it died is sent again', async (t) => {
  const { receiver, deliver } = await make(t)
  const records = await recordsOf(t, 2)
  receiver.pollsUntilIndexed = Infinity
  const delivery = deliver(records, never)
  while (receiver.polls < 3) await new Promise((resolve) => setTimeout(resolve, 10))
  await receiver.die()
  receiver.pollsUntilIndexed = 0
  await receiver.start()
  t.match(await delivery, { outcome: 'later' }, 'its id is unknown now')
  t.equal(receiver.indexed.length, 0)
  t.strictSame(await deliver(records, never), { outcome: 'taken' })
  t.equal(receiver.indexed.length, 2)
})

void t.test('the end of a sink ends its wait', async (t) => {
  const { receiver, deliver } = await make(t)
  receiver.pollsUntilIndexed = Infinity
  const closed = new AbortController()
  const delivery = deliver(await recordsOf(t, 1), closed.signal)
  while (receiver.polls < 2) await new Promise((resolve) => setTimeout(resolve, 10))
  closed.abort()
  await t.rejects(delivery, { name: 'AbortError' })
})

void t.test(
  'a token without acknowledgements gets nothing from a sink that relies on them',
  async (t) => {
    const { receiver } = await make(t, { acknowledges: false })
    const reached = reaching(t, receiver)
    const records = await recordsOf(t, 1)
    const relying = splunkDeliver({ ...reached, ...sink, acknowledge: true })
    t.strictSame(await relying(records, never), {
      outcome: 'refused',
      detail: 'acknowledgements: status 400 ACK is disabled',
    })
    t.equal(receiver.indexed.length, 0, 'or it would get it again and again')
    const other = splunkDeliver({ ...reached, ...sink, acknowledge: false })
    t.strictSame(await other(records, never), { outcome: 'taken' })
    receiver.faults.push({ status: 200, body: { acks: { 0: false } } })
    t.match(await relying(records, never), { outcome: 'refused', detail: /no acknowledgement/ })
  },
)

const BAD = [
  [6, 'Invalid data format'],
  [12, 'Event field is required'],
  [13, 'Event field cannot be blank'],
  [15, 'Error in handling indexed fields'],
] as const

void t.test('of a batch with bad events only those are given up', async (t) => {
  const lies: Record<string, (at: number) => number | undefined> = {
    'it says which': (at) => at,
    'it does not say which': () => undefined,
    'it names the next one': (at) => at + 1,
    'it names one that is not there': () => 1_000_000,
    'it names none': () => -1.5,
  }
  for (const [what, numberOf] of Object.entries(lies))
    for (const acknowledges of what === 'it says which' ? [true, false] : [false]) {
      const { receiver, deliver } = await make(t, { acknowledges })
      const records = await recordsOf(t, 17)
      const bad = new Set([records[4]?.id, records[11]?.id, records[16]?.id])
      receiver.numberOf = numberOf
      receiver.refuse = ({ fields }) => (bad.has(fields['event_id']) ? BAD[0] : undefined)
      const delivery = await deliver(records, never)
      t.equal(delivery.outcome, 'taken', what)
      t.strictSame(new Set(idsOf(delivery, 'refused')), bad, what)
      const there = new Set(receiver.ids)
      t.ok(
        records.every(({ id }) => there.has(id) !== bad.has(id)),
        what,
      )
    }
})

void t.test('where every event is bad, it is not the events', async (t) => {
  for (const bad of BAD) {
    const { receiver, deliver } = await make(t)
    receiver.refuse = () => bad
    const expected = { outcome: 'refused', detail: `status 400 code ${bad[0]} ${bad[1]}` }
    t.strictSame(await deliver(await recordsOf(t, 1), never), expected)
    t.strictSame(await deliver(await recordsOf(t, 5), never), expected)
  }
})

void t.test('codes and what they mean', async (t) => {
  const { receiver, deliver } = await make(t)
  const records = await recordsOf(t, 2)
  await deliver(records, never)
  const meaning: readonly (readonly [number, number | undefined, string])[] = [
    [200, 9, 'refused'],
    [200, undefined, 'refused'],
    [302, undefined, 'refused'],
    [400, 5, 'refused'],
    [400, 7, 'refused'],
    [400, 10, 'refused'],
    [400, 11, 'refused'],
    [400, 14, 'refused'],
    [400, 16, 'refused'],
    [401, 2, 'refused'],
    [401, 3, 'refused'],
    [403, 1, 'refused'],
    [403, 4, 'refused'],
    [404, 404, 'refused'],
    [413, undefined, 'smaller'],
    [429, 26, 'later'],
    [500, 8, 'later'],
    [503, 9, 'later'],
    [503, 23, 'later'],
  ]
  for (const [status, code, outcome] of meaning) {
    receiver.faults.push({ status, body: code === undefined ? 'x' : { code, text: 'words' } })
    t.equal((await deliver(records, never)).outcome, outcome, `${status} ${code}`)
  }
  receiver.faults.push({ status: 503, headers: { 'retry-after': '3' }, body: { code: 9 } })
  t.match(await deliver(records, never), { outcome: 'later', afterMs: 3000 })
})

void t.test(
  'an answer about the acknowledgement that cannot be right acknowledges nothing',
  async (t) => {
    const { receiver, deliver } = await make(t)
    await deliver(await recordsOf(t, 1), never)
    const records = await recordsOf(t, 1)
    for (const body of [
      '',
      '{}',
      '[]',
      { acks: { 1: 'true' } },
      { acks: [true, true] },
      { acks: { 2: true } },
    ]) {
      const before = receiver.indexed.length
      receiver.pollsUntilIndexed = Infinity
      receiver.faults.push(
        undefined,
        { status: 200, body },
        { status: 403, body: { text: 'Invalid token' } },
      )
      t.match(await deliver(records, never), {
        outcome: 'refused',
        detail: 'acknowledgements: status 403 Invalid token',
      })
      t.equal(receiver.indexed.length, before)
      // It is asked again whether there are any.
      receiver.pollsUntilIndexed = 0
      await deliver(await recordsOf(t, 1), never)
    }
  },
)

void t.test('the collector bites: what it should not take it does not', async (t) => {
  const { receiver } = await make(t, { indexes: ['agents'] })
  const good = { event: { a: 1 }, fields: {}, index: 'agents' }
  const ask = async (
    body: unknown,
    more: Record<string, string> = {},
    path = '/services/collector/event',
  ): Promise<unknown> => {
    const headers = {
      authorization: `Splunk ${TOKEN}`,
      'x-splunk-request-channel': channel,
      ...more,
    }
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    const answer = await fetch(`${receiver.url}${path}`, { method: 'POST', headers, body: text })
    return JSON.parse(await answer.text()).code
  }
  t.equal(await ask(good), 0)
  t.equal(await ask(good, { authorization: TOKEN }), 3)
  t.equal(await ask(good, { authorization: `Splunk ${channel}` }), 4)
  t.equal(await ask(good, { 'x-splunk-request-channel': 'mine' }), 11)
  t.equal(await ask(''), 5)
  t.equal(await ask('{'), 6)
  t.equal(await ask('[]'), 6)
  t.equal(await ask({ ...good, index: 'main' }), 7)
  t.equal(await ask({ index: 'agents', fields: {} }), 12)
  t.equal(await ask({ ...good, event: '' }), 13)
  t.equal(await ask({ ...good, fields: { a: { b: 1 } } }), 15)
  t.equal(await ask({ ...good, time: 'now' }), 15)
  t.equal(await ask({ acks: 1 }, {}, '/services/collector/ack'), 6)
})

void t.test('where the collector is, and who asks it', (t) => {
  const at = (url: string): string[] => Object.values(collectorPaths(new URL(url)))
  const usual = ['/services/collector/event', '/services/collector/ack']
  t.strictSame(at('https://splunk:8088'), usual)
  t.strictSame(at('https://splunk:8088/'), usual)
  t.strictSame(at('https://splunk:8088/services/collector'), usual)
  t.strictSame(at('https://splunk:8088/services/collector/event/'), usual)
  t.strictSame(at('https://s/services/collector/event/1.0?a=b'), [
    '/services/collector/event/1.0?a=b',
    '/services/collector/ack?a=b',
  ])
  t.match(channel, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  t.equal(channelOf('j_1', 'siem'), channel)
  t.not(channelOf('j_1', 'other'), channel)
  t.not(channelOf('j_2', 'siem'), channel)
  t.end()
})

void t.test(
  'R54: nothing is lost, whatever happens, with acknowledgements and without',
  async (t) => {
    for (const acknowledges of [true, false]) {
      const receiver = await started(t, new SplunkReceiver({ token: TOKEN, acknowledges }))
      receiver.pollsUntilIndexed = 1
      const reached = reaching(t, receiver)
      const twice = await survive(t, {
        receiver,
        ids: () => receiver.ids,
        start: (feed) =>
          startSplunkSink({ ...feed, ...reached, ...sink, acknowledge: acknowledges }),
        down: () => receiver.die(),
      })
      t.comment(`${twice} records are there twice, told by their ids`)
      t.equal(receiver.channels.size, 1, 'on one channel, over a restart too')
    }
  },
)
