// What the tests of receivers share: a real client to a real receiver on loopback, records of a real journal, and the way
// of a sink through everything that may go wrong between them.

import { join } from 'node:path'

import type { Test } from 'tap'

import { DEFAULT_LIMITS, type Limits } from '../../../../src/limits.ts'
import { HttpPoster } from '../../../../src/net/http-client.ts'
import { issueOperatorPermit } from '../../../../src/net/issue-operator.ts'
import { callRecord } from '../../../../src/record/ecs.ts'
import type { Journal } from '../../../../src/record/journal/journal.ts'
import { eventIdOf } from '../../../../src/record/line.ts'
import type { Delivery, SinkRecord } from '../../../../src/record/sinks/delivery.ts'
import type { FeedOptions, SinkFeed } from '../../../../src/record/sinks/feed.ts'
import type { ReceiverOptions, ReceiverPost } from '../../../../src/record/sinks/receiver.ts'
import { normalizeHost } from '../../../../src/wire/authority.ts'
import type { Fault, HttpReceiver } from '../../../fixtures/receiver.ts'
import { makeDialer } from '../../net/support.ts'
import { facts, freshDir, journalLines, memoryLog, openJournal, until } from '../support.ts'

export const limits: Limits = {
  ...DEFAULT_LIMITS,
  sinkTimeoutMs: 1500,
  sinkAcknowledgeTimeoutMs: 600,
}

/** Starts a receiver that ends with the test. */
export async function started<R extends HttpReceiver>(t: Test, receiver: R): Promise<R> {
  await receiver.start()
  t.teardown(() => receiver.stop())
  return receiver
}

/** The operator's client, as a sink gets it. */
function postTo(t: Test, port: number): ReceiverPost {
  const permit = issueOperatorPermit({
    purpose: 'sinks.siem',
    endpoint: { ...normalizeHost('siem.test'), port },
    tls: false,
  })
  const dialer = makeDialer({ hosts: { 'siem.test': ['127.0.0.1'] }, allow: [] })
  const poster = new HttpPoster(dialer, permit, '/', limits)
  t.teardown(() => poster.close())
  return (body, headers, signal, keep) => poster.post(body, headers, signal, keep)
}

/** How a receiver is reached in these tests. */
export function reaching(t: Test, { port }: HttpReceiver): Omit<ReceiverOptions, 'headers'> {
  return { post: postTo(t, port), compress: 'gzip', limits, now: Date.now }
}

/** Records as a feed hands them out. */
export async function recordsOf(t: Test, count: number): Promise<SinkRecord[]> {
  const journal = openJournal(join(freshDir(t), 'journal'))
  await fill(journal, count)
  const lines = journalLines(journal.dir)
  await journal.close()
  return lines.map((line, at) => ({
    line: Buffer.from(line),
    seq: at + 1,
    id: eventIdOf(line) ?? '',
  }))
}

let calls = 0

async function fill(journal: Journal, count: number): Promise<void> {
  for (let at = 0; at < count; at += 1) {
    calls += 1
    const call = facts({
      id: `C${calls}`,
      trace: { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', parentId: '00f067aa0ba902b7' },
    })
    await journal.append(callRecord(call, 'call-ended', Date.now()))
  }
}

export const never: AbortSignal = new AbortController().signal

/** The ids of what a delivery says is refused, or left. */
export function idsOf(
  delivery: Delivery,
  which: 'refused' | 'left',
): readonly string[] | undefined {
  let found: readonly { readonly id: string }[] | undefined
  if (which === 'refused' && 'refused' in delivery) found = delivery.refused
  if (which === 'left' && 'left' in delivery) found = delivery.left
  return found?.map(({ id }) => id)
}

/** What goes wrong on the way, each with what the receiver has by then. */
const FAULTS: Readonly<Record<string, Fault>> = {
  'it is overloaded and says when to come again': { status: 503, headers: { 'retry-after': '0' } },
  'it wants less': { status: 429 },
  'the connection ends before the batch is taken': { reset: 'before' },
  'the connection ends after the batch is taken': { reset: 'after' },
  'the answer breaks off': { cut: true },
  'it never answers': { silent: true },
  'it is slow': { delayMs: 200 },
}

/** A receiver and what it has by now. */
export interface Survivor {
  readonly receiver: HttpReceiver
  /** Ids of records, in the order of their coming. */
  readonly ids: () => readonly string[]
  readonly start: (feed: FeedOptions) => SinkFeed
  /** Takes the receiver down. */
  readonly down?: () => Promise<void>
}

/**
 * Takes a sink through every fault, a restart of its receiver and one of itself: nothing may be missing at the end.
 * @returns how often records were there twice
 */
export async function survive(t: Test, survivor: Survivor): Promise<number> {
  const { receiver, ids, start } = survivor
  const dir = freshDir(t)
  const journal = openJournal(join(dir, 'journal'))
  const feed: FeedOptions = {
    name: 'siem',
    journal,
    stateDir: dir,
    limits,
    log: memoryLog(),
    now: Date.now,
  }
  let sink = start(feed)
  const written = (): string[] => journalLines(journal.dir).map((line) => eventIdOf(line) ?? '')
  const arrive = (what: string): Promise<void> =>
    until(() => {
      const there = new Set(ids())
      return written().every((id) => there.has(id))
    }, what)
  await fill(journal, 3)
  await arrive('the first are there')
  for (const [what, fault] of Object.entries(FAULTS)) {
    receiver.faults.push(fault)
    await fill(journal, 5)
    await arrive(`all are there although ${what}`)
    receiver.faults.length = 0
  }
  await (survivor.down ?? (() => receiver.stop()))()
  await fill(journal, 5)
  await until(() => sink.stats.failures > 0, 'it is missed')
  await receiver.start()
  await arrive('all are there after its restart')
  receiver.fault = { reset: 'after' }
  await fill(journal, 5)
  await until(() => receiver.requests.length > 0, 'something is sent')
  await sink.close(100)
  receiver.fault = undefined
  sink = start(feed)
  await fill(journal, 5)
  await arrive('all are there after the restart of the sink')
  await until(() => sink.stats.backlog === 0, 'the cursor is at the end')
  await sink.close()
  await journal.close()
  const first = [...new Set(ids())]
  t.strictSame(first, written(), 'none is missing, each first came in its order')
  return ids().length - first.length
}
