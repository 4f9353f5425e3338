// Proves what a feed does with each thing that a receiver can say, and that damage to its own state repeats, never loses.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import t from 'tap'

import { listSegments } from '../../../../src/record/journal/segments.ts'
import { backOffMs } from '../../../../src/record/sinks/back-off.ts'
import { cursorPath, loadCursor, saveCursor } from '../../../../src/record/sinks/cursor.ts'
import type { Deliver } from '../../../../src/record/sinks/delivery.ts'
import { journalRecords, openJournal, until } from '../support.ts'
import { denied, ended, event, makeScene, namesOf } from './scripted.ts'

void t.test(
  'R54: only what is left of a delivery is tried again, and then the cursor moves',
  async (t) => {
    const { dir, journal, start } = makeScene(t)
    for (const id of ['A', 'B', 'C', 'D']) await journal.append(ended(id))
    const seen: string[][] = []
    const sink = start(async (records) => {
      seen.push(namesOf(records))
      if (seen.length === 1)
        return { outcome: 'later', left: records.filter((_, at) => at % 2 === 1) }
      t.equal(loadCursor(cursorPath(dir, 'siem')), undefined, 'the cursor has not moved yet')
      return { outcome: 'taken' }
    })
    await until(() => sink.stats.backlog === 0, 'all is there')
    t.strictSame(seen, [
      ['A', 'B', 'C', 'D'],
      ['B', 'D'],
    ])
    t.match(sink.stats, { sent: 4, failures: 1, refusedRecords: 0, backlogBytes: 0 })
    await sink.close()
    await journal.close()
  },
)

void t.test(
  'R54: a record that a receiver will never take is told once, exactly, and passed',
  async (t) => {
    const { dir, journal, start } = makeScene(t)
    for (let call = 0; call < 120; call += 1) await journal.append(ended(`C${call}`))
    const got: string[] = []
    // It takes nothing that is no call, the telling of what it refuses among it.
    const sink = start(async (records) => {
      const isCall = (name: string): boolean => /^C\d*[02468]$/.test(name)
      const refused = records.filter((record) => !isCall(namesOf([record])[0] ?? ''))
      got.push(...namesOf(records).filter(isCall))
      return {
        outcome: 'taken',
        refused: refused.map(({ id, seq }) => ({ id, seq, detail: 'x'.repeat(500) })),
      }
    })
    await until(() => sink.stats.refusedRecords === 61, 'the telling was refused too')
    await until(() => sink.stats.backlog === 0, 'it was passed')
    t.equal(got.length, 60)
    await sink.close()
    await journal.close()
    const told = journalRecords(join(dir, 'journal')).filter(
      (record) => record.event.action === 'sink-records-refused',
    )
    t.equal(told.length, 1, 'no telling of the refusal of a telling')
    t.match(told[0], {
      event: { kind: 'alert', outcome: 'failure' },
      sallyport: { detail: { sink: 'siem', count: 60 } },
    })
    const records = told[0]?.sallyport.detail?.['records']
    t.match(records, [{ seq: 2, detail: 'x'.repeat(200) }])
    t.equal(Array.isArray(records) && records.length, 60)
  },
)

void t.test(
  'what a receiver refuses without saying which is told by count and range',
  async (t) => {
    const { dir, journal, start } = makeScene(t)
    for (const id of ['A', 'B', 'C']) await journal.append(ended(id))
    let deliveries = 0
    const sink = start(async () => {
      deliveries += 1
      return { outcome: 'taken', refusedCount: 2, detail: 'two were wrong' }
    })
    await until(() => deliveries === 2 && sink.stats.backlog === 0, 'all is passed')
    await sink.close()
    await journal.close()
    const told = journalRecords(join(dir, 'journal')).slice(3)
    t.equal(told.length, 1)
    t.match(told[0], {
      event: { action: 'sink-records-refused' },
      sallyport: { detail: { count: 2, unnamed: 2, from: 1, to: 3, detail: 'two were wrong' } },
    })
  },
)

void t.test(
  'a batch that is too large is cut, a record that is too large by itself is passed and told',
  async (t) => {
    const { dir, journal, start } = makeScene(t)
    const long = denied('LONG')
    const sized = { ...long, user_agent: { original: 'u'.repeat(40_000) } }
    for (const record of [ended('A'), sized, ended('B')]) await journal.append(record)
    const got: string[] = []
    const deliver: Deliver = async (records) => {
      const bytes = records.reduce((sum, { line }) => sum + line.length, 0)
      if (bytes > 20_000) return { outcome: 'smaller' }
      got.push(...namesOf(records))
      return { outcome: 'taken' }
    }
    const sink = start(deliver)
    await until(() => got.includes('sink-records-refused'), 'it is told')
    t.strictSame(got, ['A', 'B', 'sink-records-refused'])
    await sink.close()
    await journal.close()
    t.match(journalRecords(join(dir, 'journal')).at(-1)?.sallyport.detail, {
      count: 1,
      records: [{ seq: 2, detail: 'too large' }],
    })
  },
)

void t.test(
  'a receiver for which even a usual record is too large is set up wrongly: nothing is lost',
  async (t) => {
    const { journal, start } = makeScene(t)
    await journal.append(ended('A'))
    const sink = start(async () => ({ outcome: 'smaller' }))
    await until(() => sink.stats.refusals === 1, 'it is a refusal')
    t.match(sink.stats, { backlog: 1, refusedRecords: 0 })
    await sink.close()
    await journal.close()
  },
)

void t.test("a receiver's wish is heeded within bounds, and attempts grow rarer", (t) => {
  const later = { outcome: 'later' } as const
  for (let attempt = 0; attempt < 40; attempt += 1) {
    const waitMs = backOffMs(later, attempt)
    const ceiling = Math.min(30_000, 200 * 2 ** attempt)
    t.ok(waitMs >= ceiling / 2 && waitMs <= ceiling)
  }
  t.equal(backOffMs({ ...later, afterMs: 60_000 }, 0), 60_000)
  t.equal(backOffMs({ ...later, afterMs: 1e12 }, 0), 300_000, 'no sink is silenced for good')
  t.ok(backOffMs({ ...later, afterMs: -5 }, 0) >= 100)
  t.equal(backOffMs({ outcome: 'refused' }, 0), 30_000)
  t.end()
})

void t.test(
  'R54: a cursor that a disk has changed anywhere is not believed: rather twice than never',
  async (t) => {
    const { dir, journal, start } = makeScene(t)
    for (const id of ['A', 'B', 'C']) await journal.append(ended(id))
    const path = cursorPath(dir, 'siem')
    const place = { firstSeq: 1, offset: 0, seq: 0 }
    saveCursor(path, place)
    const sound = readFileSync(path)
    t.strictSame(loadCursor(path), place)
    for (let at = 0; at < sound.length; at += 1) {
      const changed = Buffer.from(sound)
      changed[at] = changed[at] === 0x31 ? 0x32 : 0x31
      writeFileSync(path, changed)
      t.equal(loadCursor(path), undefined, `byte ${at}`)
      writeFileSync(path, sound.subarray(0, at))
      t.equal(loadCursor(path), undefined, `cut at ${at}`)
    }
    writeFileSync(path, sound.toString().replace('"seq":0', '"seq":3'))
    const got: string[] = []
    const sink = start(async (records) => {
      got.push(...namesOf(records))
      return { outcome: 'taken' }
    })
    await until(() => sink.stats.backlog === 0, 'all is there')
    t.strictSame(got, ['A', 'B', 'C'])
    await sink.close()
    await journal.close()
  },
)

void t.test('R54: batches are bounded by records and by bytes', async (t) => {
  const { journal, start } = makeScene(t)
  const sized = { ...ended('A'), user_agent: { original: 'u'.repeat(9000) } }
  for (let call = 0; call < 60; call += 1) await journal.append(sized)
  const sizes: { count: number; bytes: number }[] = []
  const sink = start(
    async (records) => {
      const bytes = records.reduce((sum, { line }) => sum + line.length + 1, 0)
      sizes.push({ count: records.length, bytes })
      return { outcome: 'taken' }
    },
    { limits: { sinkBatchMax: 7, sinkBatchBytesMax: 50_000 } },
  )
  await until(() => sink.stats.sent === 60, 'all is there')
  t.ok(sizes.every(({ count, bytes }) => count <= 7 && bytes <= 50_000))
  t.ok(sizes.some(({ count }) => count > 1))
  t.equal(
    sink.stats.sentBytes,
    sizes.reduce((sum, { bytes }) => sum + bytes, 0),
  )
  await sink.close()
  await journal.close()
})

void t.test(
  'R54: a receiver that never answers delays neither the journal nor another sink',
  async (t) => {
    const { dir, journal, start } = makeScene(t)
    const dead = start(
      (_records, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new Error('closed')))
        }),
    )
    const got: string[] = []
    const other = start(
      async (records) => {
        got.push(...namesOf(records))
        return { outcome: 'taken' }
      },
      { name: 'other', stateDir: dir },
    )
    for (let call = 0; call < 300; call += 1) await journal.append(ended(`C${call}`))
    await until(() => got.length === 300, 'the other has all')
    t.match(dead.stats, { sent: 0, backlog: 300 })
    await journal.append(event('checkpoint'))
    await until(() => got.length === 301, 'and goes on')
    await Promise.all([dead.close(50), other.close()])
    await journal.close()
  },
)

void t.test('a setback is told in words, never with the records that are left', async (t) => {
  const { journal, start } = makeScene(t)
  const told: string[] = []
  const tell = (detail: object, message: string): void => {
    told.push(`${message} ${JSON.stringify(detail)}`)
  }
  let failures = 1
  await journal.append(ended('A'))
  const sink = start(
    (records) =>
      Promise.resolve(
        failures-- > 0
          ? { outcome: 'later', left: records, detail: 'busy', afterMs: 10 }
          : { outcome: 'taken' },
      ),
    { log: { info: tell, warn: tell, error: tell } },
  )
  await until(() => sink.stats.sent > 0, 'it is taken')
  t.strictSame(told, [
    'sink does not take records; trying on {"sink":"siem","backlog":1,"afterMs":10,"detail":"busy"}',
  ])
})

void t.test(
  'R54: while its cursor cannot be written a sink neither moves nor repeats, and then counts right',
  async (t) => {
    const { dir, journal, start } = makeScene(t)
    const got: string[] = []
    const sink = start(async (records) => {
      got.push(...namesOf(records))
      return { outcome: 'taken' }
    })
    const beside = `${cursorPath(dir, 'siem')}.new`
    mkdirSync(beside, { recursive: true })
    for (const id of ['A', 'B', 'C']) await journal.append(ended(id))
    await until(() => sink.stats.failures >= 2, 'it was tried again')
    t.match(sink.stats, { sent: 3, backlog: 3, backlogBytes: journal.stats.bytes })
    rmSync(beside, { recursive: true })
    await until(() => sink.stats.backlog === 0, 'the cursor is written')
    t.strictSame(got, ['A', 'B', 'C'], 'nothing came twice')
    t.equal(sink.stats.backlogBytes, 0)
    t.match(loadCursor(cursorPath(dir, 'siem')), { seq: 3, offset: journal.stats.bytes })
    await sink.close()
    await journal.close()
  },
)

void t.test(
  'R54: records that took the place of those that a dead machine lost are delivered, whole',
  async (t) => {
    for (const lost of [1, 2, 3]) {
      const { dir, journal, start } = makeScene(t)
      const got: string[] = []
      const deliver: Deliver = async (records) => {
        got.push(...namesOf(records))
        return { outcome: 'taken' }
      }
      for (const id of ['A', 'B', 'C']) await journal.append(ended(id))
      const sink = start(deliver)
      await until(() => sink.stats.backlog === 0, 'all is there')
      await sink.close()
      await journal.close()
      const path = listSegments(journal.dir)[0]?.path ?? ''
      const kept = readFileSync(path, 'utf8')
        .split('\n')
        .slice(0, 3 - lost)
      writeFileSync(path, kept.map((line) => `${line}\n`).join(''))
      got.length = 0
      const next = openJournal(join(dir, 'journal'))
      for (const id of ['D', 'E', 'FFFFF', 'G']) await next.append(denied(id))
      const again = start(deliver, { journal: next })
      await until(() => again.stats.backlog === 0, 'all is there')
      const all = journalRecords(join(dir, 'journal'))
      t.equal(all.length, 7 - lost)
      t.equal(got.length, all.length, 'all that the journal has, and nothing else')
      t.strictSame(got.slice(-4), ['D', 'E', 'FFFFF', 'G'])
      await again.close()
      await next.close()
    }
  },
)

void t.test(
  'R54: a line that the disk has damaged is told, and stops nothing that is behind it',
  async (t) => {
    const { journal, start } = makeScene(t)
    for (const id of ['A', 'B', 'C']) await journal.append(ended(id))
    const path = listSegments(journal.dir)[0]?.path ?? ''
    const bytes = readFileSync(path)
    bytes.fill(0, bytes.indexOf(0x0a) + 1, bytes.indexOf(0x0a) + 100)
    writeFileSync(path, bytes)
    const got: string[] = []
    const deliver: Deliver = async (records) => {
      got.push(...namesOf(records))
      return { outcome: 'taken' }
    }
    const sinks = [start(deliver), start(deliver, { name: 'some', filter: { kind: 'event' } })]
    await until(() => sinks.every(({ stats }) => stats.refusedRecords === 1), 'it is told')
    await until(() => sinks.every(({ stats }) => stats.backlog === 0), 'all is there')
    const whole = got.filter((name) => name === 'A' || name === 'C')
    t.strictSame(whole.toSorted(), ['A', 'A', 'C', 'C'])
    await Promise.all(sinks.map((sink) => sink.close()))
    await journal.close()
    const told = readFileSync(path, 'utf8').split('\n').slice(3, -1)
    t.match(
      told.map((line) => JSON.parse(line).sallyport.detail),
      ['siem', 'some'].map(() => ({ count: 1, records: [{ detail: 'damaged in the journal' }] })),
    )
  },
)
