// Floods of every kind against a real journal: the output is bounded and what it says sums to exactly what was sent, also
// where the journal has no room for a while.

import t from 'tap'

import type { RecordBody } from '../../../src/record/body.ts'
import { callRecord } from '../../../src/record/ecs.ts'
import { DenialLimiter } from '../../../src/record/flood.ts'
import type { Journal } from '../../../src/record/journal/journal.ts'
import { messageRecord } from '../../../src/record/message-record.ts'
import { verifyDirectory } from '../../../src/record/proof/verify.ts'
import {
  facts,
  freshDir,
  journalRecords,
  messageCall,
  messageOf,
  openDetection,
  openJournal,
  TASK,
} from './support.ts'

const MILLION = 1_000_000
const PIECE = 10_000

const denial = (): RecordBody =>
  callRecord(facts({ reason: 'not-on-allowlist' }), 'call-denied', Date.now())

const appendTo =
  (journal: Journal) =>
  (record: RecordBody): Promise<void> => {
    const written = journal.append(record)
    written.catch(() => undefined)
    return written
  }

/** What the records of an action and its counts sum to. */
function sumOf(records: readonly RecordBody[], action: string): number {
  return records.reduce((sum, { event, sallyport }) => {
    if (event.action === action) return sum + 1
    return event.action === `${action}-repeated` ? sum + Number(sallyport.detail?.['count']) : sum
  }, 0)
}

void t.test(
  'R59: a million identical refusals leave few records and the exact number',
  async (t) => {
    const dir = freshDir(t)
    const journal = openJournal(dir)
    const append = appendTo(journal)
    const now = Date.now
    const limiter = new DenialLimiter({ perSecond: 50, append, now })
    const { detector, close } = openDetection({ stateDir: dir, append, now })
    for (let sent = 0; sent < MILLION; sent += 1) {
      const isRecorded = limiter.admit(TASK, 'not-on-allowlist', now())
      if (isRecorded) void append(denial())
      detector.noteDenial(TASK, 'not-on-allowlist', `${sent}`, isRecorded)
      if (sent % PIECE === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    limiter.close()
    close()
    await journal.close()
    const records = journalRecords(dir)
    t.equal(sumOf(records, 'call-denied'), MILLION)
    t.ok(records.length < 5000, `${records.length} records`)
    const storm = records.find(({ event }) => event.action === 'denial-storm-ended')
    t.equal(storm?.sallyport.detection?.count, MILLION, 'the storm says the same')
    t.equal(records.filter(({ event }) => event.action === 'denial-storm').length, 1)
    t.equal(verifyDirectory(dir).ok, true)
  },
)

void t.test(
  'R59: what a journal without room cannot take is counted by kind, exactly',
  async (t) => {
    const dir = freshDir(t)
    const journal = openJournal(dir, { limits: { recordsQueuedMax: 10 } })
    const append = appendTo(journal)
    const { alerts, close } = openDetection({
      stateDir: dir,
      append,
      now: Date.now,
      limits: { alertsPerTask: 1000, alertFoldMs: 3_600_000 },
    })
    const call = messageCall('CALL')
    const COUNT = 3000
    for (let sent = 0; sent < COUNT; sent += 1) {
      void append(denial())
      void append(messageRecord(call, messageOf({ verdict: 'deny' }), Date.now()))
      alerts.raise({ name: 'credential-echoed', task: TASK, calls: ['CALL'], count: 1 })
      if (sent % 100 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    close()
    await journal.close()
    const records = journalRecords(dir)
    t.equal(sumOf(records, 'call-denied'), COUNT)
    t.equal(sumOf(records, 'message-denied'), COUNT)
    const lost = records
      .filter(({ event }) => event.action === 'alerts-repeated')
      .reduce((sum, { sallyport }) => {
        const names: unknown = sallyport.detail?.['names']
        const count: unknown =
          typeof names === 'object' && names !== null && Reflect.get(names, 'credential-echoed')
        return sum + Number(count)
      }, 0)
    t.equal(sumOf(records, 'credential-echoed') + lost, COUNT)
    t.ok(lost > 0, 'some had no room')
    t.ok(records.length < COUNT, `${records.length} records`)
  },
)
