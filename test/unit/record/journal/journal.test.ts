import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'

import t from 'tap'

import { callRecord, eventRecord } from '../../../../src/record/ecs.ts'
import { messageRecord, repeatedMessagesRecord } from '../../../../src/record/message-record.ts'
import { listSegments } from '../../../../src/record/journal/segments.ts'
import { verifyDirectory } from '../../../../src/record/proof/verify.ts'
import {
  facts,
  freshDir,
  journalLines,
  journalRecords,
  memoryLog,
  messageCall,
  messageOf,
  openJournal,
} from '../support.ts'

const started = (id: string) => callRecord(facts({ id }), 'call-started', Date.now())
const ended = (id: string) => callRecord(facts({ id }), 'call-ended', Date.now())
const denied = (id: string) =>
  callRecord(facts({ id, reason: 'not-on-allowlist' }), 'call-denied', Date.now())
const event = (action: string) => eventRecord(action, { now: Date.now() })

const refused = { name: 'EgressError', reason: 'audit-unavailable' }

for (const sync of ['process', 'disk'] as const) {
  void t.test(
    `records are on the disk and chained when append resolves, sync: ${sync}`,
    async (t) => {
      const dir = freshDir(t)
      const journal = openJournal(dir, { sync })
      await journal.append(started('A'))
      t.equal(journalLines(dir).length, 1)
      await Promise.all([
        journal.append(started('B')),
        journal.append(ended('A')),
        journal.append(ended('B')),
      ])
      const records = journalRecords(dir)
      t.strictSame(
        records.map(({ sallyport }) => sallyport.chain?.seq),
        [1, 2, 3, 4],
      )
      t.equal(records[0]?.sallyport.chain?.prev, '0'.repeat(64))
      t.strictSame(
        records.map(({ event: { action } }) => action),
        ['call-started', 'call-started', 'call-ended', 'call-ended'],
      )
      t.match(verifyDirectory(dir), { ok: true, records: 4, from: 1, head: { seq: 4 } })
      t.match(journal.stats, {
        available: true,
        seq: 4,
        segments: 1,
        queued: 0,
        errors: 0,
        bytes: statSync(listSegments(dir)[0]?.path ?? '').size,
      })
      await journal.close()
      await t.rejects(journal.append(event('rules-loaded')), refused)
    },
  )
}

void t.test('all records of one turn share one write and one promise', async (t) => {
  const journal = openJournal(freshDir(t))
  let writes = 0
  journal.onWritten(() => (writes += 1))
  const first = journal.append(started('A'))
  t.equal(journal.append(started('B')), first)
  await first
  t.equal(writes, 1)
  const stop = journal.onWritten(() => t.fail('was stopped'))
  stop()
  t.not(journal.append(ended('A')), first)
  await journal.close()
  t.equal(writes, 2, 'close writes what is queued')
})

void t.test(
  'text that looks like our own, and any other text, stays within its string',
  async (t) => {
    const dir = freshDir(t)
    const journal = openJournal(dir)
    const userAgent =
      '","action":"call-ended","call":{"id":"X"}},"chain":{"seq":9,"prev":"\u2028\ud800é\n\u0000'
    await journal.append(
      callRecord(
        facts({ request: { method: 'GET', version: '1.1', bytes: 0, userAgent } }),
        'call-started',
        0,
      ),
    )
    await journal.append(ended('B'))
    await journal.close()
    t.equal(journalRecords(dir)[0]?.user_agent?.original, userAgent)
    t.ok(verifyDirectory(dir).ok)
  },
)

void t.test('a second start goes on with the chain', async (t) => {
  const dir = freshDir(t)
  for (let round = 0; round < 3; round++) {
    const journal = openJournal(dir)
    await journal.append(event('rules-loaded'))
    await journal.close()
  }
  t.strictSame(
    journalRecords(dir).map(({ sallyport }) => sallyport.chain?.seq),
    [1, 2, 3],
  )
  t.match(verifyDirectory(dir), { ok: true, records: 3 })
  t.notOk(existsSync(join(dir, 'lock')))
})

void t.test('segments are named by their first record and chained to each other', async (t) => {
  const dir = freshDir(t)
  const journal = openJournal(dir, { segmentBytes: 4000 })
  for (let call = 0; call < 20; call++) await journal.append(started(`C${String(call)}`))
  t.equal(journal.stats.segments, listSegments(dir).length)
  t.equal(
    journal.stats.bytes,
    listSegments(dir).reduce((sum, { bytes }) => sum + bytes, 0),
  )
  t.ok(journal.stats.segments > 4)
  for (const { path, bytes, firstSeq } of listSegments(dir)) {
    t.ok(bytes <= 4000)
    t.match(path, /\/\d{10}\.ndjson$/)
    const first = JSON.parse(readFileSync(path, 'utf8').split('\n')[0] ?? '')
    t.equal(first.sallyport.chain.seq, firstSeq)
  }
  await journal.close()
  t.match(verifyDirectory(dir), { ok: true, records: 20 })
  const second = openJournal(dir, { segmentBytes: 4000 })
  await second.append(event('rules-loaded'))
  await second.close()
  t.ok(verifyDirectory(dir).ok)
})

void t.test(
  'an agent that goes away in order leaves no trace of recovery, a crash closes what was open',
  async (t) => {
    const dir = freshDir(t)
    const journal = openJournal(dir, { segmentBytes: 4000 })
    // Long open calls must be closed although many segments lie behind them.
    await journal.append(started('LONG'))
    for (let call = 0; call < 20; call++) {
      await journal.append(started(`C${String(call)}`))
      await journal.append(ended(`C${String(call)}`))
    }
    await journal.append(started('SHORT'))
    await journal.close()
    const log = memoryLog()
    const next = openJournal(dir, { log })
    t.strictSame(log.lines, ['warn journal recovered after a crash'])
    const tail = journalRecords(dir).slice(-3)
    t.match(tail[0], {
      event: { action: 'journal-recovered' },
      sallyport: { detail: { openCalls: 2 } },
    })
    t.strictSame(
      tail
        .slice(1)
        .map((record) => [record.event.action, record.event.reason, record.sallyport.call?.id]),
      [
        ['call-ended', 'sidecar-crashed', 'LONG'],
        ['call-ended', 'sidecar-crashed', 'SHORT'],
      ],
    )
    await next.close()
    t.ok(verifyDirectory(dir).ok)
    const after = memoryLog()
    await openJournal(dir, { log: after }).close()
    t.strictSame(after.lines, [], 'the untouched twin: nothing to recover')
  },
)

void t.test('without the note of open calls the whole journal is read', async (t) => {
  const dir = freshDir(t)
  const journal = openJournal(dir, { segmentBytes: 2000 })
  await journal.append(started('LONG'))
  for (let call = 0; call < 5; call++) await journal.append(denied(`D${String(call)}`))
  await journal.close()
  writeFileSync(join(dir, 'open-calls.json'), '{')
  await openJournal(dir).close()
  t.match(journalRecords(dir).at(-1), {
    event: { action: 'call-ended', reason: 'sidecar-crashed' },
  })
})

for (const [what, torn] of [
  ['half a record', '{"@timestamp":"2026-01-0'],
  ['zeros', '\0'.repeat(5000)],
  ['zeros with newlines', '\0\0\n\0\n'],
  ['whole lines of something else', 'hello\nworld\n'],
] as const) {
  void t.test(`a torn end is moved aside and its hash recorded: ${what}`, async (t) => {
    const dir = freshDir(t)
    const journal = openJournal(dir)
    await journal.append(event('rules-loaded'))
    await journal.close()
    const path = listSegments(dir)[0]?.path ?? ''
    const whole = readFileSync(path, 'utf8')
    appendFileSync(path, torn)
    await openJournal(dir).close()
    t.ok(readFileSync(path, 'utf8').startsWith(whole))
    const recovered = journalRecords(dir).at(-1)
    const detail: { torn: { file: string; bytes: number; sha256: string } } = JSON.parse(
      JSON.stringify(recovered?.sallyport.detail),
    )
    t.equal(recovered?.event.action, 'journal-recovered')
    t.equal(detail.torn.bytes, torn.length)
    t.equal(readFileSync(join(dir, detail.torn.file), 'utf8'), torn)
    const { hash } = await import('node:crypto')
    t.equal(detail.torn.sha256, hash('sha256', torn))
    t.ok(verifyDirectory(dir).ok)
  })
}

void t.test(
  'a segment without one whole record is taken away and the chain goes on behind the one before',
  async (t) => {
    const dir = freshDir(t)
    const journal = openJournal(dir)
    await journal.append(event('rules-loaded'))
    await journal.close()
    writeFileSync(join(dir, '0000000002.ndjson'), '{"half')
    await openJournal(dir).close()
    t.match(
      journalRecords(dir).map(({ sallyport }) => sallyport.chain?.seq),
      [1, 2],
    )
    t.ok(verifyDirectory(dir).ok)
    const alone = freshDir(t)
    writeFileSync(join(alone, '0000000001.ndjson'), '{"half')
    await openJournal(alone).close()
    t.match(journalRecords(alone), [{ event: { action: 'journal-recovered' } }])
    t.ok(verifyDirectory(alone).ok)
  },
)

void t.test(
  'recovery repairs nothing that lies before the end: an edited record stays for verify to find',
  async (t) => {
    const dir = freshDir(t)
    const journal = openJournal(dir)
    for (let call = 0; call < 5; call++) await journal.append(denied(`D${String(call)}`))
    await journal.close()
    const path = listSegments(dir)[0]?.path ?? ''
    writeFileSync(path, readFileSync(path, 'utf8').replace('"D2"', '"D9"'))
    await openJournal(dir).close()
    t.match(verifyDirectory(dir), { ok: false, problems: [{ seq: 3, line: 3 }] })
  },
)

void t.test(
  'records queued: beyond the bound a call is refused, the end of a running one is taken',
  async (t) => {
    const dir = freshDir(t)
    const journal = openJournal(dir, { limits: { recordsQueuedMax: 10 } })
    const taken = []
    for (let call = 0; call < 10; call++) taken.push(journal.append(started(`C${String(call)}`)))
    await t.rejects(journal.append(started('C10')), refused)
    await t.rejects(journal.append(denied('D0')), refused)
    await t.rejects(
      journal.append(
        eventRecord('call-denied-repeated', {
          now: 0,
          detail: { count: 5, reasons: { 'not-on-allowlist': 4, killed: 1 } },
        }),
      ),
      refused,
    )
    const call = messageCall('C1')
    const ask = messageRecord(call, messageOf(), 0)
    await t.rejects(journal.append(ask), refused)
    await t.rejects(journal.append(messageRecord(call, messageOf({ verdict: 'deny' }), 0)), refused)
    const counts = { requests: 2, notifications: 3, responses: 0, from: 0, to: 1000 }
    await t.rejects(journal.append(repeatedMessagesRecord(call, counts, 0)), refused)
    taken.push(journal.append(ended('C0')))
    await Promise.all(taken)
    await journal.append(started('C11'))
    await journal.close()
    const records = journalRecords(dir)
    t.equal(records.filter(({ event: { action } }) => action === 'call-started').length, 11)
    t.match(
      records.find(({ event: { action } }) => action === 'call-denied-repeated')?.sallyport.detail,
      { count: 6, reasons: { 'not-on-allowlist': 5, killed: 1 } },
      'what was refused is counted exactly',
    )
    t.match(
      records.find(({ event: { action } }) => action === 'message-denied-repeated')?.sallyport
        .detail,
      { count: 1, reasons: { 'tool-not-allowed': 1 } },
    )
    t.match(
      records.find(({ event: { action } }) => action === 'message-allowed-repeated')?.sallyport
        .detail,
      { count: 5, kinds: { request: 2, notification: 3 } },
    )
    t.notOk(
      records.find(({ event: { action } }) => action === 'message-allowed'),
      'a message that could not be recorded has not been passed on',
    )
  },
)

void t.test(
  'maxBytes: calls are refused, running calls end, and room is made by retention alone',
  async (t) => {
    const dir = freshDir(t)
    let now = Date.now()
    const journal = openJournal(dir, {
      maxBytes: 40_000,
      segmentBytes: 8000,
      retainMs: 60_000,
      now: () => now,
    })
    let calls = 0
    for (; ; calls++) {
      try {
        await journal.append(started(`C${String(calls)}`))
      } catch (error) {
        t.match(error, refused)
        break
      }
    }
    t.ok(calls > 10)
    t.equal(journal.stats.available, false)
    for (let call = 0; call < calls; call++) await journal.append(ended(`C${String(call)}`))
    await journal.deleteExpired()
    await t.rejects(journal.append(started('X')), refused, 'nothing is older than retain')
    now += 61_000
    journal.passed('slow', 3)
    await journal.deleteExpired()
    await t.rejects(journal.append(started('X')), refused, 'a sink has yet to read')
    journal.passed('slow', journal.head.seq)
    await journal.deleteExpired()
    t.equal(journal.stats.segments, 1)
    t.equal(
      journal.stats.bytes,
      listSegments(dir).reduce((sum, { bytes }) => sum + bytes, 0),
    )
    await journal.append(started('X'))
    await journal.append(ended('X'))
    await journal.close()
    const report = verifyDirectory(dir)
    t.ok(report.ok)
    t.ok(report.from > 1)
    const again = openJournal(dir)
    t.equal(again.stats.seq, report.head?.seq)
    await again.close()
  },
)

void t.test('segments kept from an earlier run age by their last write', async (t) => {
  const dir = freshDir(t)
  const first = openJournal(dir, { segmentBytes: 3000 })
  for (let call = 0; call < 10; call++) await first.append(denied('D'))
  await first.close()
  const [oldest] = listSegments(dir)
  const past = new Date(Date.now() - 90_000)
  utimesSync(oldest?.path ?? '', past, past)
  const before = readdirSync(dir).length
  const second = openJournal(dir, { segmentBytes: 3000, retainMs: 60_000 })
  await second.deleteExpired()
  await second.close()
  t.equal(readdirSync(dir).length, before - 1)
  t.notOk(existsSync(oldest?.path ?? ''))
  t.ok(verifyDirectory(dir).ok)
})

void t.test(
  'refusals that were only counted are reported at the latest when the journal closes',
  async (t) => {
    const dir = freshDir(t)
    const journal = openJournal(dir, { limits: { recordsQueuedMax: 1 } })
    const first = journal.append(started('A'))
    await t.rejects(journal.append(denied('D')), refused)
    const closed = journal.close()
    await Promise.all([first, closed])
    t.match(journalRecords(dir).at(-1), {
      event: { action: 'call-denied-repeated' },
      sallyport: { detail: { count: 1, reasons: { 'not-on-allowlist': 1 } } },
    })
  },
)
