import { spawn, spawnSync } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { join } from 'node:path'

import t from 'tap'

import { callRecord, eventRecord } from '../../../src/record/ecs.ts'
import type { Journal } from '../../../src/record/journal/journal.ts'
import { listSegments } from '../../../src/record/journal/segments.ts'
import { cursorPath, loadCursor, saveCursor } from '../../../src/record/sinks/cursor.ts'
import type { FeedOptions } from '../../../src/record/sinks/feed.ts'
import { deliveryOf, startHttpSink } from '../../../src/record/sinks/http.ts'
import type { ReceiverPost } from '../../../src/record/sinks/receiver.ts'
import { startStdoutSink } from '../../../src/record/sinks/stdout.ts'
import { jsonText } from '../../../src/wire/json-text.ts'
import { facts, freshDir, journalRecords, memoryLog, openJournal, TASK, until } from './support.ts'

/** A receiver of NDJSON whose answers can be told. */
async function startReceiver(t: { teardown: (fn: () => void) => void }): Promise<{
  url: string
  status: number
  answers: boolean
  /** Lines in a batch that are too many. */
  linesMax: number
  batches: number[]
  ids: string[]
  headers: Record<string, unknown>[]
  times: number[]
}> {
  const receiver = {
    url: '',
    status: 200,
    answers: true,
    linesMax: Infinity,
    batches: [] as number[],
    ids: [] as string[],
    headers: [] as Record<string, unknown>[],
    times: [] as number[],
  }
  const server = createServer((incoming, answer) => {
    let body = ''
    incoming.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
    incoming.on('end', () => {
      receiver.headers.push(incoming.headers)
      receiver.times.push(Date.now())
      const lines = body.split('\n').slice(0, -1)
      receiver.batches.push(lines.length)
      const isTooLarge = lines.length > receiver.linesMax
      if (receiver.status === 200 && receiver.answers && !isTooLarge) {
        for (const line of lines) receiver.ids.push(JSON.parse(line).sallyport.call?.id)
      }
      const status = isTooLarge ? 413 : receiver.status
      if (receiver.answers) answer.writeHead(status).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  receiver.url = `http://127.0.0.1:${String(address.port)}/in`
  return receiver
}

const postTo =
  (url: string): ReceiverPost =>
  (body, headers, signal) =>
    new Promise((resolve, reject) => {
      const outgoing = request(url, { method: 'POST', headers, signal }, (response) => {
        response.resume()
        resolve({ status: response.statusCode ?? 0, body: Buffer.alloc(0) })
      })
      outgoing.on('error', reject)
      outgoing.end(body)
    })

const denied = (id: string) =>
  callRecord(facts({ id, reason: 'not-on-allowlist' }), 'call-denied', Date.now())
const limits = { sinkBatchMax: 500, sinkTimeoutMs: 500 }

function feedOptions(
  journal: Journal,
  stateDir: string,
  more: Partial<FeedOptions> = {},
): FeedOptions {
  return { name: 'siem', journal, stateDir, limits, log: memoryLog(), now: Date.now, ...more }
}

void t.test(
  'R54: terminal records reach the HTTP sink within a second, once, in order',
  async (t) => {
    const dir = freshDir(t)
    const receiver = await startReceiver(t)
    const journal = openJournal(join(dir, 'journal'), { segmentBytes: 20_000 })
    const sink = startHttpSink({
      ...feedOptions(journal, dir),
      limits,
      headers: { authorization: 'Bearer operator' },
      post: postTo(receiver.url),
    })
    const sent: string[] = []
    const wanted: string[] = []
    for (let call = 0; call < 200; call++) {
      const id = `C${String(call)}`
      await journal.append(callRecord(facts({ id }), 'call-started', Date.now()))
      await journal.append(callRecord(facts({ id }), 'call-progress', Date.now()))
      await journal.append(callRecord(facts({ id }), 'call-ended', Date.now()))
      sent.push(id)
    }
    wanted.push(...sent)
    await until(() => receiver.ids.length === wanted.length, 'all are there')
    const asked = Date.now()
    await journal.append(denied('LAST'))
    await until(() => receiver.ids.at(-1) === 'LAST', 'the last is there')
    t.ok((receiver.times.at(-1) ?? 0) - asked < 1000)
    t.strictSame(receiver.ids, [...wanted, 'LAST'])
    t.match(receiver.headers[0], {
      'content-type': 'application/x-ndjson',
      authorization: 'Bearer operator',
    })
    await until(() => sink.stats.backlog === 0, 'the cursor is moved')
    t.match(sink.stats, {
      name: 'siem',
      backlog: 0,
      lagMs: 0,
      sent: 201,
      failures: 0,
      refusals: 0,
    })
    await sink.close()
    t.match(loadCursor(cursorPath(dir, 'siem')), { seq: 601 })
    await journal.close()
  },
)

void t.test('a sink that asks for all gets all, and a filter restricts', async (t) => {
  const dir = freshDir(t)
  const journal = openJournal(join(dir, 'journal'))
  await journal.append(callRecord(facts({ id: 'A' }), 'call-started', 0))
  await journal.append(callRecord(facts({ id: 'A' }), 'call-ended', 0))
  await journal.append(denied('B'))
  await journal.append(
    callRecord(
      facts({ id: 'C', task: { ...TASK, id: 't_c', path: [TASK.id, 't_c'] } }),
      'call-ended',
      0,
    ),
  )
  await journal.append(eventRecord('rules-loaded', { now: 0 }))
  const got = async (more: Partial<FeedOptions>): Promise<number> => {
    const receiver = await startReceiver(t)
    const options = feedOptions(journal, freshDir(t), more)
    const sink = startHttpSink({ ...options, limits, headers: {}, post: postTo(receiver.url) })
    await until(() => sink.stats.backlog === 0, 'all is read')
    await sink.close()
    return receiver.ids.length
  }
  t.equal(await got({ all: true }), 5)
  t.equal(await got({}), 4)
  t.equal(await got({ filter: { verdict: 'deny' } }), 1)
  t.equal(await got({ filter: { verdict: 'allow' } }), 2)
  t.equal(await got({ filter: { reason: ['not-on-allowlist'] } }), 1)
  t.equal(await got({ filter: { task: ['t_c'] } }), 1)
  t.equal(await got({ filter: { task: [TASK.id] } }), 3, 'children are of the task')
  t.equal(await got({ filter: { task: ['t_other'] } }), 0)
  await journal.close()
})

void t.test(
  'an outage loses nothing: retried with back-off, resumed behind the cursor after a restart',
  async (t) => {
    const dir = freshDir(t)
    const receiver = await startReceiver(t)
    receiver.status = 503
    const journal = openJournal(join(dir, 'journal'))
    const log = memoryLog()
    const options = {
      ...feedOptions(journal, dir, { log }),
      limits,
      headers: {},
      post: postTo(receiver.url),
    }
    const sink = startHttpSink(options)
    await journal.append(denied('A'))
    await until(() => sink.stats.failures >= 2, 'it has failed twice')
    t.match(sink.stats, { backlog: 1, sent: 0, refusals: 0 })
    t.ok(sink.stats.lagMs >= 100)
    t.strictSame(log.lines, ['warn sink does not take records; trying on'], 'said once')
    const before = Date.now()
    await sink.close()
    t.ok(Date.now() - before < 1000, 'a dead sink does not hold up the end')
    receiver.status = 200
    await journal.append(denied('B'))
    const next = startHttpSink(options)
    await until(() => receiver.ids.length === 2, 'both are there')
    t.strictSame(receiver.ids, ['A', 'B'])
    await next.close()
    await journal.append(denied('C'))
    const third = startHttpSink(options)
    await third.close()
    t.strictSame(receiver.ids, ['A', 'B', 'C'], 'closing delivers what is there')
    await journal.close()
  },
)

void t.test(
  'a sink that does not answer is given up after its time-out and tried again',
  async (t) => {
    const dir = freshDir(t)
    const receiver = await startReceiver(t)
    receiver.answers = false
    const journal = openJournal(join(dir, 'journal'))
    const sink = startHttpSink({
      ...feedOptions(journal, dir),
      limits: { ...limits, sinkTimeoutMs: 100 },
      headers: {},
      post: postTo(receiver.url),
    })
    await journal.append(denied('A'))
    await until(() => sink.stats.failures >= 1, 'it has failed')
    for (let call = 0; call < 50; call++) await journal.append(denied('B'))
    t.strictSame(receiver.ids, [], 'a sink that says nothing does not hold up the journal')
    receiver.answers = true
    await until(() => receiver.ids.length >= 51, 'all are there')
    await sink.close()
    await journal.close()
  },
)

void t.test('what a sink refuses is counted and kept, not skipped', async (t) => {
  const dir = freshDir(t)
  const receiver = await startReceiver(t)
  receiver.status = 400
  const journal = openJournal(join(dir, 'journal'))
  const log = memoryLog()
  const sink = startHttpSink({
    ...feedOptions(journal, dir, { log }),
    limits,
    headers: {},
    post: postTo(receiver.url),
  })
  await journal.append(denied('A'))
  await until(() => sink.stats.refusals === 1, 'it was refused')
  await new Promise((resolve) => setTimeout(resolve, 500))
  t.match(sink.stats, { backlog: 1, sent: 0, refusals: 1, failures: 0 }, 'retried slowly')
  t.strictSame(log.lines, ['error sink refuses records; trying on slowly'])
  await sink.close()
  t.equal(loadCursor(cursorPath(dir, 'siem')), undefined)
  await journal.close()
})

void t.test(
  'a batch that is too large is sent in smaller ones; none is larger than the bound',
  async (t) => {
    const dir = freshDir(t)
    const receiver = await startReceiver(t)
    const journal = openJournal(join(dir, 'journal'))
    for (let call = 0; call < 40; call++) await journal.append(denied(`C${String(call)}`))
    receiver.linesMax = 8
    const sink = startHttpSink({
      ...feedOptions(journal, dir),
      limits: { ...limits, sinkBatchMax: 32 },
      headers: {},
      post: postTo(receiver.url),
    })
    await until(() => receiver.ids.length === 40, 'all are there')
    t.strictSame(receiver.batches.slice(0, 3), [32, 16, 8])
    t.ok(receiver.batches.every((size) => size <= 32))
    t.equal(new Set(receiver.ids).size, 40)
    await sink.close()
    await journal.close()
  },
)

void t.test('statuses and what they mean', (t) => {
  const meaning = {
    200: 'taken',
    204: 'taken',
    301: 'refused',
    400: 'refused',
    401: 'refused',
    408: 'later',
    413: 'smaller',
    429: 'later',
    500: 'later',
    503: 'later',
    100: 'later',
  }
  for (const [status, delivery] of Object.entries(meaning))
    t.equal(deliveryOf({ status: Number(status), afterMs: undefined }).outcome, delivery, status)
  t.end()
})

void t.test(
  'a cursor that cannot be read, or belongs to another journal, begins at what is there',
  async (t) => {
    const dir = freshDir(t)
    const path = cursorPath(dir, 'siem')
    t.equal(loadCursor(path), undefined)
    saveCursor(path, { seq: 3, firstSeq: 1, offset: 10 })
    t.strictSame(loadCursor(path), { seq: 3, firstSeq: 1, offset: 10 })
    t.notOk(existsSync(`${path}.new`))
    for (const bad of [
      '',
      '{}',
      'null',
      '{"seq":-1,"firstSeq":1,"offset":0}',
      '{"seq":1.5,"firstSeq":1,"offset":0}',
    ]) {
      writeFileSync(path, bad)
      t.equal(loadCursor(path), undefined, bad)
    }
    const journal = openJournal(join(dir, 'journal'))
    await journal.append(denied('A'))
    saveCursor(path, { seq: 300, firstSeq: 1, offset: 10_000_000 })
    const receiver = await startReceiver(t)
    const sink = startHttpSink({
      ...feedOptions(journal, dir),
      limits,
      headers: {},
      post: postTo(receiver.url),
    })
    await until(() => receiver.ids.length === 1, 'it is there')
    await sink.close()
    await journal.close()
  },
)

void t.test(
  'retention waits for a sink, and a segment taken away by force is said to be missing',
  async (t) => {
    const dir = freshDir(t)
    let now = Date.now()
    const journal = openJournal(join(dir, 'journal'), {
      segmentBytes: 4000,
      retainMs: 1000,
      now: () => now,
    })
    const receiver = await startReceiver(t)
    receiver.status = 503
    const log = memoryLog()
    const sink = startHttpSink({
      ...feedOptions(journal, dir, { log }),
      limits,
      headers: {},
      post: postTo(receiver.url),
    })
    for (let call = 0; call < 12; call++) await journal.append(denied(`C${String(call)}`))
    now += 60_000
    const before = listSegments(journal.dir).length
    await journal.deleteExpired()
    t.equal(listSegments(journal.dir).length, before)
    await sink.close()
    rmSync(listSegments(journal.dir)[0]?.path ?? '')
    receiver.status = 200
    saveCursor(cursorPath(dir, 'siem'), { seq: 0, firstSeq: 1, offset: 0 })
    const next = startHttpSink({
      ...feedOptions(journal, dir, { log }),
      limits,
      headers: {},
      post: postTo(receiver.url),
    })
    await until(() => next.stats.backlog === 0, 'it has read on')
    t.ok(log.lines.includes('warn sink cursor does not fit the journal'))
    const { seq } = journal.head
    await journal.deleteExpired()
    // What was in use is there, and where the record of it went, if there was no room in the first.
    t.ok(listSegments(journal.dir).length <= 2)
    t.ok(listSegments(journal.dir).every(({ firstSeq }) => firstSeq > seq - 5))
    await next.close()
    await journal.close()
  },
)

void t.test('the stdout sink writes lines to its descriptor', async (t) => {
  const dir = freshDir(t)
  const journal = openJournal(join(dir, 'journal'))
  const fd = openSync(join(dir, 'out'), 'w')
  t.teardown(() => closeSync(fd))
  const sink = startStdoutSink({ ...feedOptions(journal, dir), name: 'stdout', fd })
  await journal.append(callRecord(facts({ id: 'A' }), 'call-started', 0))
  await journal.append(denied('é\u2028'))
  await until(() => sink.stats.sent === 1, 'it is written')
  void journal.append(denied('B'))
  await sink.close()
  const lines = readFileSync(join(dir, 'out'), 'utf8').split('\n')
  t.strictSame(
    lines.slice(0, -1).map((line) => JSON.parse(line).sallyport.call.id),
    ['é\u2028', 'B'],
  )
  t.equal(lines[0], jsonText(journalRecords(journal.dir)[1]))
  await journal.close()
})

void t.test(
  'a reader of stdout that stalls delays neither the journal nor the end, and one that is gone is no crash',
  async (t) => {
    const dir = freshDir(t)
    const fifo = join(dir, 'fifo')
    t.equal(spawnSync('mkfifo', [fifo]).status, 0)
    const reader = spawn('sh', ['-c', 'exec sleep 60 <"$1"', 'sh', fifo])
    t.teardown(() => reader.kill('SIGKILL'))
    const fd = openSync(fifo, 'w')
    t.teardown(() => closeSync(fd))
    const journal = openJournal(join(dir, 'journal'))
    const sink = startStdoutSink({ ...feedOptions(journal, dir), name: 'stdout', fd })
    for (let call = 0; call < 300; call++) await journal.append(denied(`C${String(call)}`))
    await new Promise((resolve) => setTimeout(resolve, 300))
    await journal.append(denied('X'))
    t.ok(sink.stats.backlog > 0, 'it is written while the reader stalls')
    reader.kill('SIGKILL')
    await until(() => sink.stats.failures > 0, 'the reader is gone')
    await sink.close(300)
    await journal.close()
  },
)

void t.test(
  'a segment that a sink had read to its end may be deleted: nothing is sent twice after a restart',
  async (t) => {
    const dir = freshDir(t)
    let now = Date.now()
    const journal = openJournal(join(dir, 'journal'), {
      segmentBytes: 4000,
      retainMs: 1000,
      now: () => now,
    })
    const receiver = await startReceiver(t)
    const log = memoryLog()
    const options = {
      ...feedOptions(journal, dir, { log }),
      limits,
      headers: {},
      post: postTo(receiver.url),
    }
    const sink = startHttpSink(options)
    while (journal.stats.segments < 3) await journal.append(denied('A'))
    await sink.close()
    const sent = receiver.ids.length
    // The cursor stands at the end of the last segment but one.
    const { firstSeq } = journal.head
    const before = listSegments(journal.dir).find((segment) => segment.firstSeq < firstSeq)
    saveCursor(cursorPath(dir, 'siem'), {
      seq: firstSeq - 1,
      firstSeq: before?.firstSeq ?? 0,
      offset: before?.bytes ?? 0,
    })
    journal.passed('siem', firstSeq - 1)
    now += 60_000
    await journal.deleteExpired()
    t.equal(journal.stats.segments, 1)
    const next = startHttpSink(options)
    await next.close()
    t.equal(receiver.ids.length, sent + journal.head.seq - firstSeq + 1)
    t.strictSame(log.lines, [])
    await journal.close()
  },
)
