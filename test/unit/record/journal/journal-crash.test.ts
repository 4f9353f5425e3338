import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import t from 'tap'

import { verifyDirectory } from '../../../../src/record/proof/verify.ts'
import { freshDir, journalRecords, openJournal } from '../support.ts'

/** What opening says while a process has the journal. */
const inUseBy = (pid = 0): object & Error =>
  Object.assign(new Error('audit-unavailable: calls cannot be recorded at the moment'), {
    name: 'EgressError',
    reason: 'audit-unavailable',
    detail: { heldBy: pid },
  })

const child = join(import.meta.dirname, 'crash.child.ts')

void t.test(
  'after kill -9 in the middle of appends the next start closes what was open and the chain verifies',
  async (t) => {
    const dir = freshDir(t)
    const promised = new Set<string>()
    const isInTheMiddle = (): boolean =>
      journalRecords(dir).some(({ event }) => event.reason === 'sidecar-crashed')
    for (let round = 0; round < 4 || (round < 40 && !isInTheMiddle()); round++) {
      const appender = spawn(process.execPath, [child, dir], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      let output = ''
      appender.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk))
      await once(appender.stdout, 'data')
      t.throws(() => openJournal(dir), inUseBy(appender.pid))
      await new Promise((resolve) => setTimeout(resolve, 50 + (round % 8) * 37))
      appender.kill('SIGKILL')
      await once(appender, 'close')
      for (const id of output.split('\n').slice(0, -1)) promised.add(`${String(round)} ${id}`)
      await openJournal(dir).close()
      t.match(verifyDirectory(dir), { ok: true, torn: undefined })
    }
    // Call ids repeat from round to round, so they are counted.
    const records = journalRecords(dir)
    const count = (action: string): Map<string, number> => {
      const byId = new Map<string, number>()
      for (const { event, sallyport } of records) {
        const id = sallyport.call?.id ?? ''
        if (event.action === action) byId.set(id, (byId.get(id) ?? 0) + 1)
      }
      return byId
    }
    t.same(count('call-started'), count('call-ended'), 'one terminal record a call')
    const wanted = new Map<string, number>()
    for (const entry of promised) {
      const id = entry.split(' ')[1] ?? ''
      wanted.set(id, (wanted.get(id) ?? 0) + 1)
    }
    for (const [id, times] of wanted) {
      if ((count('call-started').get(id) ?? 0) < times)
        t.fail(`the start of ${id} was promised and is gone`)
    }
    t.ok(promised.size > 20)
    t.ok(records.some(({ event }) => event.reason === 'sidecar-crashed'))
    t.ok(records.some(({ event }) => event.action === 'journal-recovered'))
  },
)

void t.test('a lock is respected only while its very holder lives', async (t) => {
  const dir = freshDir(t)
  const held = openJournal(dir)
  t.throws(() => openJournal(dir), inUseBy(process.pid))
  const lock = JSON.parse(readFileSync(join(dir, 'lock'), 'utf8'))
  await held.close()
  const take = async (holder: object, what: string): Promise<void> => {
    writeFileSync(join(dir, 'lock'), JSON.stringify(holder))
    const journal = openJournal(dir)
    t.equal(JSON.parse(readFileSync(join(dir, 'lock'), 'utf8')).pid, process.pid, what)
    await journal.close()
  }
  await take({ ...lock, startTime: '1' }, 'the process id was given to another program')
  await take({ ...lock, pid: 2 ** 22 + 1 }, 'no such process')
  await take({ ...lock, boot: 'another' }, 'the machine was started again')
  await t.resolves(openJournal(dir).close(), 'no lock')
})

void t.test('a holder in another container counts as dead once it has been silent', async (t) => {
  const dir = freshDir(t)
  const held = openJournal(dir)
  const lock = JSON.parse(readFileSync(join(dir, 'lock'), 'utf8'))
  await held.close()
  const path = join(dir, 'lock')
  writeFileSync(path, JSON.stringify({ ...lock, pids: 'pid:[1]' }))
  const { utimesSync } = await import('node:fs')
  const past = new Date(Date.now() - 10_000)
  utimesSync(path, past, past)
  await openJournal(dir).close()
  writeFileSync(path, JSON.stringify({ ...lock, pids: 'pid:[1]' }))
  const toucher = spawn('sh', ['-c', 'while :; do touch "$1"; sleep 0.2; done', 'sh', path])
  t.teardown(() => toucher.kill())
  await once(toucher, 'spawn')
  await new Promise((resolve) => setTimeout(resolve, 300))
  t.throws(() => openJournal(dir), inUseBy(process.pid))
})
