// Proves what happens at the end of a sink's backlog: calls wait, or an exact gap; never silence, never for regulated data.

import { writeFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import t from 'tap'

import type { RecordBody } from '../../../../src/record/body.ts'
import { lineDigest } from '../../../../src/record/journal/chain.ts'
import { listSegments } from '../../../../src/record/journal/segments.ts'
import { backlogBytesMax, type BacklogOptions } from '../../../../src/record/sinks/backlog.ts'
import { cursorPath, loadCursor, saveCursor } from '../../../../src/record/sinks/cursor.ts'
import type { Deliver } from '../../../../src/record/sinks/delivery.ts'
import { SinkGate } from '../../../../src/record/sinks/gate.ts'
import { journalRecords, until } from '../support.ts'
import { denied, ended, event, makeScene, namesOf, regulated } from './scripted.ts'

const HUGE = 4 * 1024 ** 3

function backlogOf(
  gate: SinkGate,
  bytesMax: number,
  onFull: BacklogOptions['onFull'],
  journal: BacklogOptions['journal'] = { maxBytes: HUGE, retainMs: 0 },
): { backlog: BacklogOptions } {
  return { backlog: { bytesMax, onFull, gate, journal } }
}

/** A receiver that is away until it is told to be there. */
function makeReceiver(): {
  isThere: boolean
  readonly got: string[]
  readonly seqs: number[]
  readonly deliver: Deliver
} {
  const receiver = {
    isThere: false,
    got: [] as string[],
    seqs: [] as number[],
    deliver: (async (records) => {
      if (!receiver.isThere) return { outcome: 'later' }
      receiver.got.push(...namesOf(records))
      receiver.seqs.push(...records.map(({ seq }) => seq))
      return { outcome: 'taken' }
    }) as Deliver,
  }
  return receiver
}

const gapsOf = (records: readonly RecordBody[]): RecordBody[] =>
  records.filter(({ event: { action } }) => action === 'sink-gap')

void t.test(
  'R54: a sink at its bound holds new calls until it has drained below nine tenths',
  async (t) => {
    const { journal, start } = makeScene(t)
    const gate = new SinkGate()
    const receiver = makeReceiver()
    const sink = start(receiver.deliver, backlogOf(gate, 20_000, 'deny'))
    t.ok(gate.isOpen)
    let calls = 0
    while (gate.isOpen) await journal.append(ended(`C${(calls += 1)}`))
    t.ok(sink.stats.backlogBytes >= 20_000)
    t.match(sink.stats, { isFull: true, isDenying: true, gaps: 0 })
    t.strictSame(gate.heldBy(false), ['siem'])
    await journal.append(ended(`C${(calls += 1)}`))
    receiver.isThere = true
    await until(() => gate.isOpen, 'it is open again')
    await until(() => sink.stats.backlog === 0, 'all is there')
    t.strictSame(
      receiver.got,
      Array.from({ length: calls }, (_, at) => `C${at + 1}`),
      'nothing is lost',
    )
    t.match(sink.stats, { isFull: false, isDenying: false, skippedRecords: 0 })
    await sink.close()
    await journal.close()
  },
)

void t.test(
  'R54: a sink that was full is full after a restart too, and lets go once it ends',
  async (t) => {
    const { journal, start } = makeScene(t)
    for (let call = 0; call < 30; call += 1) await journal.append(ended(`C${call}`))
    const gate = new SinkGate()
    const sink = start(makeReceiver().deliver, backlogOf(gate, 20_000, 'deny'))
    t.strictSame(gate.heldBy(false), ['siem'], 'from the start on')
    await sink.close()
    t.ok(gate.isOpen)
    await journal.close()
  },
)

void t.test(
  'R54: a sink that may skip tells each gap in one record, by action, exactly',
  async (t) => {
    const { dir, journal, start } = makeScene(t)
    const gate = new SinkGate()
    const receiver = makeReceiver()
    const sink = start(receiver.deliver, backlogOf(gate, 40_000, 'drop-with-gap-record'))
    for (let call = 0; call < 200; call += 1) {
      await journal.append(call % 4 === 0 ? denied(`C${call}`) : ended(`C${call}`))
      if (call % 50 === 0) await until(() => sink.stats.backlogBytes < 40_000, 'it has skipped')
    }
    await until(() => sink.stats.gaps > 0 && !sink.stats.isFull, 'it has skipped')
    t.ok(gate.isOpen, 'usual calls go on')
    receiver.isThere = true
    await until(() => sink.stats.backlog === 0, 'the rest is there')
    await sink.close()
    await journal.close()
    const records = journalRecords(join(dir, 'journal'))
    const seqsGot = new Set(receiver.seqs)
    const told = gapsOf(records).filter(({ sallyport }) => seqsGot.has(sallyport.chain?.seq ?? 0))
    const gaps = told
      .map(({ sallyport }) => sallyport.detail ?? {})
      .toSorted((one, other) => Number(one['from']) - Number(other['from']))
    t.equal(gaps[0]?.['from'], 1, 'from the first on')
    gaps.forEach((gap, at) => {
      t.equal(gap['sink'], 'siem')
      if (at > 0) t.ok(Number(gap['from']) > Number(gaps[at - 1]?.['to']))
      const lost = records.filter(
        ({ sallyport, event: { action } }) =>
          action !== 'sink-gap' &&
          Number(sallyport.chain?.seq) >= Number(gap['from']) &&
          Number(sallyport.chain?.seq) <= Number(gap['to']),
      )
      const lostBy = (action: string): number =>
        lost.filter((record) => record.event.action === action).length
      t.equal(gap['count'], lost.length)
      t.strictSame(gap['actions'], {
        'call-denied': lostBy('call-denied'),
        'call-ended': lostBy('call-ended'),
      })
    })
    const counted = gaps.reduce((sum, { count }) => sum + Number(count), 0)
    const calls = receiver.got.filter((name) => name.startsWith('C'))
    t.equal(counted + calls.length, 200, 'every call was either delivered or told as lost')
    t.match(told[0]?.event, { kind: 'alert', outcome: 'failure', reason: 'audit-unavailable' })
  },
)

void t.test('R54: what a filter would have kept away is in no count', async (t) => {
  const { dir, journal, start } = makeScene(t)
  const receiver = makeReceiver()
  for (let call = 0; call < 16; call += 1)
    await journal.append(call % 8 === 0 ? denied(`C${call}`) : ended(`C${call}`))
  const sink = start(receiver.deliver, {
    ...backlogOf(new SinkGate(), 20_000, 'drop-with-gap-record'),
    filter: { verdict: 'deny' },
  })
  await until(() => sink.stats.gaps === 1, 'it has skipped')
  await sink.close()
  await journal.close()
  const gap = gapsOf(journalRecords(join(dir, 'journal')))[0]
  t.match(gap?.sallyport.detail, { from: 1, count: 2, actions: { 'call-denied': 2 } })
})

void t.test(
  'R54: a record of regulated data is never skipped, and calls for such data wait',
  async (t) => {
    const { dir, journal, start } = makeScene(t)
    const gate = new SinkGate()
    const receiver = makeReceiver()
    const sink = start(receiver.deliver, backlogOf(gate, 20_000, 'drop-with-gap-record'))
    await journal.append(ended('A'))
    await journal.append(ended('B'))
    await journal.append(regulated('SECRET'))
    for (let call = 0; call < 40; call += 1) await journal.append(ended(`C${call}`))
    await until(() => sink.stats.gaps === 1, 'it has skipped what it may')
    t.strictSame(gate.heldBy(true), ['siem'], 'calls for regulated data wait')
    t.strictSame(gate.heldBy(false), [], 'others do not')
    t.match(sink.stats, { isFull: true, isDenying: false, skippedRecords: 2 })
    receiver.isThere = true
    await until(() => sink.stats.backlog === 0, 'the rest is there')
    t.ok(gate.isOpen)
    t.equal(receiver.got[0], 'SECRET')
    t.equal(receiver.got.length, 42)
    await sink.close()
    await journal.close()
    const gap = gapsOf(journalRecords(join(dir, 'journal')))[0]
    t.match(gap?.sallyport.detail, { from: 1, to: 2, count: 2 })
  },
)

void t.test('what a sink got of a batch before the rest is skipped is in no count', async (t) => {
  const { dir, journal, start } = makeScene(t)
  const got: string[] = []
  let isFirst = true
  const sink = start(
    async (records) => {
      if (!isFirst) return { outcome: 'later', afterMs: 60_000 }
      isFirst = false
      got.push(...namesOf(records.slice(0, 2)))
      return { outcome: 'later', left: records.slice(2), afterMs: 60_000 }
    },
    backlogOf(new SinkGate(), 20_000, 'drop-with-gap-record'),
  )
  for (let call = 0; call < 6; call += 1) await journal.append(ended(`C${call}`))
  await until(() => got.length === 2, 'two are taken')
  for (let call = 6; call < 30; call += 1) await journal.append(ended(`C${call}`))
  await until(() => sink.stats.gaps > 0, 'it skips although it waits for its receiver')
  await sink.close()
  await journal.close()
  const { from, to, count } =
    gapsOf(journalRecords(join(dir, 'journal')))[0]?.sallyport.detail ?? {}
  t.equal(from, 1)
  t.equal(count, Number(to) - 2)
})

void t.test(
  'R54: a crash between the skip and its record is made good by the next start, with one id',
  async (t) => {
    const { dir, journal, start } = makeScene(t)
    for (const id of ['A', 'B', 'C']) await journal.append(ended(id))
    const [segment] = listSegments(join(dir, 'journal'))
    const lines = readFileSync(segment?.path ?? '', 'utf8').split('\n')
    const gap = {
      id: '01J00000000000000000000000',
      from: 1,
      to: 2,
      count: 2,
      actions: { 'call-ended': 2 },
    }
    const offset = (lines[0]?.length ?? 0) + (lines[1]?.length ?? 0) + 2
    const hash = lineDigest(lines[1] ?? '')
    saveCursor(cursorPath(dir, 'siem'), { seq: 2, firstSeq: 1, offset, hash, gaps: [gap] })
    const receiver = makeReceiver()
    receiver.isThere = true
    const sink = start(receiver.deliver)
    await until(() => receiver.got.length === 2, 'all is there')
    t.strictSame(receiver.got, ['C', 'sink-gap'])
    t.equal(loadCursor(cursorPath(dir, 'siem'))?.gaps, undefined)
    await sink.close()
    await journal.close()
    const told = gapsOf(journalRecords(join(dir, 'journal')))
    t.match(told, [{ event: { id: gap.id }, sallyport: { detail: { from: 1, to: 2, count: 2 } } }])
  },
)

void t.test('R54: dead sinks that may skip do not make one another skip for ever', async (t) => {
  for (const count of [1, 20]) {
    const { journal, start } = makeScene(t)
    const bytesMax = backlogBytesMax(1024, HUGE, count)
    const backlog = backlogOf(new SinkGate(), bytesMax, 'drop-with-gap-record')
    const sinks = Array.from({ length: count }, (_, at) =>
      start(makeReceiver().deliver, { ...backlog, name: `siem-${at}` }),
    )
    while (journal.head.written < bytesMax * 2) await journal.append(ended('A'))
    await until(() => sinks.every(({ stats }) => stats.gaps > 0 && !stats.isFull), 'they skipped')
    const { seq } = journal.head
    await new Promise((resolve) => setTimeout(resolve, 250))
    t.ok(journal.head.seq <= seq + count, 'but for gaps that were about to be told no more came')
    t.ok(sinks.every(({ stats }) => stats.backlogBytes < bytesMax))
    await Promise.all(sinks.map((sink) => sink.close()))
    await journal.close()
  }
})

void t.test('R54: a sink that may skip does not make the journal full', async (t) => {
  const maxBytes = 200_000
  const journalOptions = { segmentBytes: 10_000, maxBytes, retainMs: 0 }
  const { dir, journal, start } = makeScene(t, journalOptions)
  const sink = start(
    makeReceiver().deliver,
    backlogOf(new SinkGate(), HUGE, 'drop-with-gap-record', { maxBytes, retainMs: 0 }),
  )
  for (let call = 0; call < 400; call += 1) {
    await journal.append(ended(`C${call}`))
    if (call % 20 === 0) await until(() => journal.stats.bytes < maxBytes * 0.8, 'there is room')
  }
  await until(() => journal.stats.available, 'calls can be recorded')
  t.ok(sink.stats.gaps > 0)
  await sink.close()
  await journal.close()
  t.ok(gapsOf(journalRecords(join(dir, 'journal'))).length > 0)
})

void t.test(
  'a sink that must not skip keeps its segments, and another that has passed them is no help',
  async (t) => {
    const { dir, journal, start } = makeScene(t, { segmentBytes: 5000, retainMs: -60_000 })
    const passed = makeReceiver()
    passed.isThere = true
    const sink = start(makeReceiver().deliver)
    const other = start(passed.deliver, { name: 'other' })
    for (let call = 0; call < 20; call += 1) await journal.append(ended(`C${call}`))
    await until(() => other.stats.backlog === 0, 'the other has all')
    await journal.deleteExpired()
    t.equal(listSegments(join(dir, 'journal'))[0]?.firstSeq, 1)
    await Promise.all([sink.close(), other.close()])
    await journal.close()
  },
)

void t.test('a sink that is configured no more holds no segment', async (t) => {
  const { dir, journal, start } = makeScene(t, { segmentBytes: 5000, retainMs: -60_000 })
  writeFileSync(join(dir, 'unused'), '')
  saveCursor(cursorPath(dir, 'removed'), { seq: 0, firstSeq: 1, offset: 0 })
  const receiver = makeReceiver()
  receiver.isThere = true
  const sink = start(receiver.deliver)
  for (let call = 0; call < 60; call += 1) await journal.append(event('rules-loaded'))
  await until(() => sink.stats.backlog === 0, 'all is there')
  await journal.deleteExpired()
  t.not(listSegments(join(dir, 'journal'))[0]?.firstSeq, 1)
  await sink.close()
  await journal.close()
})
