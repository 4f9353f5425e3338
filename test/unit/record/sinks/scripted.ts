// A sink whose receiver is a function, for the tests of what a feed does with each outcome.

import { join } from 'node:path'

import { callRecord, eventRecord } from '../../../../src/record/ecs.ts'
import type { RecordBody } from '../../../../src/record/body.ts'
import type { Journal } from '../../../../src/record/journal/journal.ts'
import type { Deliver, SinkRecord } from '../../../../src/record/sinks/delivery.ts'
import { SinkFeed, type FeedOptions } from '../../../../src/record/sinks/feed.ts'
import { facts, freshDir, memoryLog, openJournal } from '../support.ts'

/** Where a test's journal and cursors are. */
export interface Scene {
  readonly dir: string
  readonly journal: Journal
  readonly log: ReturnType<typeof memoryLog>
  /** Starts a feed that delivers by a function. */
  readonly start: (deliver: Deliver, more?: Partial<FeedOptions>) => SinkFeed
}

export function makeScene(
  t: { teardown: (fn: () => void) => void },
  more: Parameters<typeof openJournal>[1] = {},
): Scene {
  const dir = freshDir(t)
  const journal = openJournal(join(dir, 'journal'), more)
  const log = memoryLog()
  const feeds: SinkFeed[] = []
  t.teardown(async () => {
    await Promise.all(feeds.map((feed) => feed.close(0)))
    await journal.close()
  })
  const limits = { sinkBatchMax: 500, sinkBatchBytesMax: 1024 * 1024 }
  return {
    dir,
    journal,
    log,
    start: (deliver, own = {}) => {
      const options = { name: 'siem', journal, stateDir: dir, limits, log, now: Date.now, ...own }
      const feed = new SinkFeed(options, deliver)
      feeds.push(feed)
      return feed
    },
  }
}

/** Calls of the records, or their actions where they are of none. */
export function namesOf(records: readonly SinkRecord[]): string[] {
  return records.map(({ line }) => {
    const { event, sallyport }: RecordBody = JSON.parse(line.toString())
    return sallyport.call?.id ?? event.action
  })
}

export const ended = (id: string): RecordBody => callRecord(facts({ id }), 'call-ended', Date.now())

export const denied = (id: string): RecordBody =>
  callRecord(facts({ id, reason: 'not-on-allowlist' }), 'call-denied', Date.now())

/** The end of a call whose data is regulated. */
export function regulated(id: string): RecordBody {
  const record = ended(id)
  const { decision } = record.sallyport
  if (decision === undefined) throw new Error('the record has a decision')
  return {
    ...record,
    sallyport: { ...record.sallyport, decision: { ...decision, data: 'restricted' } },
  }
}

export const event = (action: string): RecordBody => eventRecord(action, { now: Date.now() })
