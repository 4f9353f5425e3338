import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import t from 'tap'

import { callRecord } from '../../../../src/record/ecs.ts'
import { listSegments } from '../../../../src/record/journal/segments.ts'
import { verifyDirectory } from '../../../../src/record/proof/verify.ts'
import { facts, freshDir, journalRecords, memoryLog, openJournal, until } from '../support.ts'

const refused = { name: 'EgressError', reason: 'audit-unavailable' }
const started = (id: string) => callRecord(facts({ id }), 'call-started', 0)
const ended = (id: string) => callRecord(facts({ id }), 'call-ended', 0)

/** The kernel refuses to let this process's files grow beyond this: like a disk that is full, short write first. */
function limitFileBytes(bytes: number | 'unlimited'): boolean {
  const limit = `--fsize=${String(bytes)}:`
  return spawnSync('prlimit', ['--pid', String(process.pid), limit]).status === 0
}

// Node ignores this signal; the test runner does not, unless somebody else listens.
process.on('SIGXFSZ', () => undefined)

const canLimit = limitFileBytes('unlimited')
const unshare = process.getuid?.() === 0 ? ['-m'] : ['-Urm']
const canMount =
  spawnSync('unshare', [...unshare, 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0

for (const sync of ['process', 'disk'] as const) {
  void t.test(
    `a full disk refuses calls, ends what runs, and takes records again, sync: ${sync}`,
    { skip: !canMount && 'no mount namespaces here' },
    async (t) => {
      const root = freshDir(t)
      const child = join(import.meta.dirname, 'full-disk.child.ts')
      const script = 'mount -t tmpfs -o size=256k tmpfs "$1" && exec "$2" "$3" "$1" "$4"'
      const { stdout, stderr } = spawnSync(
        'unshare',
        [...unshare, 'sh', '-c', script, 'sh', root, process.execPath, child, sync],
        { encoding: 'utf8' },
      )
      t.equal(stderr, '')
      const seen = JSON.parse(stdout)
      t.match(seen, {
        reason: 'audit-unavailable',
        atFull: { available: false, bytes: true, verified: true, seq: seen.started },
        refusedEnds: seen.started,
        isEachStartOnRecord: true,
        starts: seen.started + 1,
        ends: seen.started + 1,
        distinctEnds: seen.started + 1,
        gap: { code: 'ENOSPC' },
        verified: true,
        log: [
          'error journal cannot be written: calls are refused',
          'info journal takes records again',
        ],
      })
      t.ok(seen.started > 10)
    },
  )

  void t.test(
    `a short write is cut back to the last whole batch, sync: ${sync}`,
    { skip: !canLimit && 'no prlimit here' },
    async (t) => {
      const dir = freshDir(t)
      const log = memoryLog()
      const journal = openJournal(dir, { sync, log })
      await Promise.all([journal.append(started('A')), journal.append(started('B'))])
      const { size } = statSync(listSegments(dir)[0]?.path ?? '')
      limitFileBytes(size + 700)
      const batch = [journal.append(started('C')), journal.append(ended('A'))]
      const [first, second] = await Promise.allSettled(batch)
      t.match(first, { status: 'rejected', reason: { reason: 'audit-unavailable' } })
      t.match(second, { status: 'rejected', reason: { reason: 'audit-unavailable' } })
      t.match(journal.stats, { available: false, seq: 2, errors: 1, bytes: size })
      t.equal(statSync(listSegments(dir)[0]?.path ?? '').size, size)
      await t.rejects(journal.append(started('D')), refused, 'and again')
      limitFileBytes('unlimited')
      await journal.append(started('E'))
      t.ok(journal.stats.available)
      await journal.append(ended('B'))
      await journal.append(ended('E'))
      await journal.close()
      t.strictSame(
        journalRecords(dir).map(({ event, sallyport }) => [event.action, sallyport.call?.id]),
        [
          ['call-started', 'A'],
          ['call-started', 'B'],
          ['call-ended', 'A'],
          ['journal-failed', undefined],
          ['call-started', 'E'],
          ['call-ended', 'B'],
          ['call-ended', 'E'],
        ],
        'refused starts are not there, the end that was owed is',
      )
      t.ok(verifyDirectory(dir).ok)
    },
  )
}

void t.test(
  'an idle journal finds out by itself that it can write again',
  { skip: !canLimit && 'no prlimit here' },
  async (t) => {
    const journal = openJournal(freshDir(t))
    await journal.append(ended('A'))
    limitFileBytes(journal.stats.bytes)
    await t.rejects(journal.append(started('B')), refused)
    limitFileBytes('unlimited')
    await until(() => journal.stats.available, 'the journal is available')
    await journal.close()
  },
)

void t.test(
  'a segment that cannot be made refuses the batch and nothing else',
  { skip: !canLimit && 'no prlimit here' },
  async (t) => {
    const dir = freshDir(t)
    const journal = openJournal(dir, { segmentBytes: 2000 })
    await journal.append(started('A'))
    limitFileBytes(0)
    await t.rejects(journal.append(started('B')), refused)
    limitFileBytes('unlimited')
    t.match(journal.stats, { seq: 1 })
    await journal.append(ended('A'))
    await journal.close()
    t.ok(verifyDirectory(dir).ok)
  },
)

void t.test('a directory that cannot be used is said so, the untouched twin opens', async (t) => {
  const dir = freshDir(t)
  writeFileSync(join(dir, 'file'), '')
  t.throws(() => openJournal(join(dir, 'file')), refused)
  mkdirSync(join(dir, 'journal'))
  if (process.getuid?.() !== 0) {
    chmodSync(join(dir, 'journal'), 0o500)
    t.throws(() => openJournal(join(dir, 'journal')), refused)
    chmodSync(join(dir, 'journal'), 0o700)
  }
  await openJournal(join(dir, 'journal')).close()
})
