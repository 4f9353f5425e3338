// Appends calls to a journal as fast as it takes them and prints what one costs. A process of its own, started by `record.ts`:
// `record-filler.ts DIR CALLS process|disk`.

import { DEFAULT_LIMITS } from '../../src/limits.ts'
import { callRecord } from '../../src/record/ecs.ts'
import { Journal } from '../../src/record/journal/journal.ts'
import { facts } from '../unit/record/support.ts'

const [dir = '', calls = '0', sync = 'process'] = process.argv.slice(2)
const AT_ONCE = 64
const log = { info: () => undefined, warn: () => undefined, error: () => undefined }

const journal = Journal.open({
  dir,
  sync: sync === 'disk' ? 'disk' : 'process',
  segmentBytes: 64 * 2 ** 20,
  retainMs: 1e12,
  maxBytes: 64 * 2 ** 30,
  limits: DEFAULT_LIMITS,
  now: Date.now,
  log,
})
const before = process.cpuUsage()
for (let call = 0; call < Number(calls); call += AT_ONCE) {
  const ids = Array.from({ length: AT_ONCE }, (_, at) => `C${String(call + at)}`)
  const append = (action: 'call-started' | 'call-ended') =>
    Promise.all(ids.map((id) => journal.append(callRecord(facts({ id }), action, Date.now()))))
  await append('call-started')
  await append('call-ended')
}
const { user, system } = process.cpuUsage(before)
const { bytes } = journal.stats
await journal.close()
process.stdout.write(JSON.stringify({ perCallUs: (user + system) / Number(calls), bytes }))
