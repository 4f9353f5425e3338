// Run and killed by journal-crash.test.ts: appends records as fast as it can and prints the id of each call whose start
// was said to be on the disk.

import { writeSync } from 'node:fs'

import { callRecord } from '../../../../src/record/ecs.ts'
import { facts, openJournal } from '../support.ts'

const [dir = ''] = process.argv.slice(2)
const journal = openJournal(dir, { segmentBytes: 64 * 1024 })

async function runCalls(name: string): Promise<void> {
  for (let call = 0; ; call++) {
    const id = `${name}${String(call)}`
    await journal.append(callRecord(facts({ id }), 'call-started', Date.now()))
    writeSync(1, `${id}\n`)
    await journal.append(callRecord(facts({ id }), 'call-ended', Date.now()))
  }
}

await Promise.all(['A', 'B', 'C', 'D', 'E'].map((name) => runCalls(name)))
