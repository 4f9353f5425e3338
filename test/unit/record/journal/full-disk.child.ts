// Run by journal-disk.test.ts inside a mount namespace with a tiny file system: fills it, frees it, and prints what it saw.

import { rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { callRecord } from '../../../../src/record/ecs.ts'
import { listSegments } from '../../../../src/record/journal/segments.ts'
import { verifyDirectory } from '../../../../src/record/proof/verify.ts'
import { facts, journalRecords, memoryLog, openJournal } from '../support.ts'

const [root = '', sync = 'process'] = process.argv.slice(2)
const dir = join(root, 'journal')
const filler = join(root, 'filler')
writeFileSync(filler, Buffer.alloc(128 * 1024))
const log = memoryLog()
const journal = openJournal(dir, { sync: sync === 'disk' ? 'disk' : 'process', log })

const started: string[] = []
let reason = ''
for (let call = 0; reason === ''; call++) {
  // Batches of three, so that a short write can end in the middle of one.
  const ids = [0, 1, 2].map((index) => `C${String(call)}-${String(index)}`)
  const appended = ids.map((id) => journal.append(callRecord(facts({ id }), 'call-started', 0)))
  const settled = await Promise.allSettled(appended)
  for (const [index, { status }] of settled.entries()) {
    if (status === 'fulfilled') started.push(ids[index] ?? '')
  }
  const failed = settled.find((result) => result.status === 'rejected')
  reason = failed?.reason.reason ?? ''
}
const atFull = {
  seq: journal.stats.seq,
  available: journal.stats.available,
  bytes: statSync(listSegments(dir)[0]?.path ?? '').size === journal.stats.bytes,
  verified: verifyDirectory(dir).ok,
}
// Running calls end while the disk is full: refused now, owed, and written later.
const ends = started.map((id) => journal.append(callRecord(facts({ id }), 'call-ended', 0)))
const refusedEnds = (await Promise.allSettled(ends)).filter(({ status }) => status === 'rejected')
rmSync(filler)
for (let wait = 0; wait < 300 && !journal.stats.available; wait++) await sleep(10)
await journal.append(callRecord(facts({ id: 'AFTER' }), 'call-started', 0))
await journal.append(callRecord(facts({ id: 'AFTER' }), 'call-ended', 0))
await journal.close()
const records = journalRecords(dir)
const ofAction = (wanted: string) =>
  records.filter(({ event }) => event.action === wanted).map(({ sallyport }) => sallyport.call?.id)
console.log(
  JSON.stringify({
    reason,
    started: started.length,
    atFull,
    refusedEnds: refusedEnds.length,
    isEachStartOnRecord: started.every((id) => ofAction('call-started').includes(id)),
    starts: ofAction('call-started').length,
    ends: ofAction('call-ended').length,
    distinctEnds: new Set(ofAction('call-ended')).size,
    gap: records.find(({ event }) => event.action === 'journal-failed')?.sallyport.detail,
    verified: verifyDirectory(dir).ok,
    log: log.lines,
  }),
)
