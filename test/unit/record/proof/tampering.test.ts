// A small anchored journal, tampered with in every way at every place: nothing goes unseen. The same of one task alone.

import {
  closeSync,
  cpSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { basename, join } from 'node:path'

import t from 'tap'

import { DEFAULT_LIMITS } from '../../../../src/limits.ts'
import { anchorOf, type Anchor } from '../../../../src/record/proof/anchor.ts'
import { chainOf, lineDigest } from '../../../../src/record/journal/chain.ts'
import { CheckpointKeys } from '../../../../src/record/proof/checkpoint-keys.ts'
import { Checkpoints } from '../../../../src/record/proof/checkpoints.ts'
import { callRecord, eventRecord } from '../../../../src/record/ecs.ts'
import type { ReadLine } from '../../../../src/record/read/read-lines.ts'
import { listSegments } from '../../../../src/record/journal/segments.ts'
import { verifyTaskLines } from '../../../../src/record/proof/verify-task.ts'
import {
  verifyDirectory,
  verifyStream,
  verifyTaskOfStream,
} from '../../../../src/record/proof/verify.ts'
import type { Task } from '../../../../src/tasks/task.ts'
import { facts, freshDir, memoryLog, openJournal, TASK } from '../support.ts'

const taskOf = (id: string): Task => ({ ...TASK, id, path: [id] })
const ONE = taskOf('t_one')
const TWO = taskOf('t_two')

/** A dozen records of two tasks and none, sealed and signed. Short ones, as each byte of them is tampered with. */
async function makeJournal(root: string): Promise<{ keys: CheckpointKeys; file: string }> {
  const journal = openJournal(join(root, 'journal'))
  const keys = new CheckpointKeys(join(root, 'state'), Date.now())
  const limits = { ...DEFAULT_LIMITS, checkpointMs: 3_600_000 }
  const checkpoints = new Checkpoints({ journal, keys, limits, now: Date.now, log: memoryLog() })
  const add = (action: string, task?: Task): Promise<void> =>
    journal.append(eventRecord(action, { now: Date.now(), ...(task && { task }) }))
  await add('task-created', ONE)
  await add('task-created', TWO)
  await add('rules-loaded')
  await journal.append(callRecord(facts({ id: 'C', task: ONE }), 'call-denied', Date.now()))
  await checkpoints.make()
  await add('task-extended', TWO)
  await add('task-ended', ONE)
  checkpoints.seal(ONE)
  await add('task-extended', TWO)
  await checkpoints.makeOf(TWO)
  await checkpoints.close()
  await journal.close()
  return { keys, file: listSegments(join(root, 'journal'))[0]?.path ?? '' }
}

function anchored(text: string): Anchor {
  const anchor = anchorOf(text)
  if (anchor === undefined) throw new Error('no anchor')
  return anchor
}

function readLinesOf(bytes: Buffer): ReadLine[] {
  const lines: ReadLine[] = []
  for (let start = 0; start < bytes.length;) {
    const end = bytes.indexOf(0x0a, start)
    const isWhole = end >= 0
    lines.push({ bytes: bytes.subarray(start, isWhole ? end : undefined), isWhole })
    start = isWhole ? end + 1 : bytes.length
  }
  return lines
}

/** All tamperings of a text of lines, with the line (from 0) that is the first to differ. */
function* tamperings(whole: Buffer): Generator<{ what: string; at: number; bytes: Buffer }> {
  const lines = whole.toString().split('\n').slice(0, -1)
  const lineAt = (offset: number): number =>
    whole.subarray(0, offset).toString().split('\n').length - 1
  for (let offset = 0; offset < whole.length; offset++) {
    // Another bit at each place: eight bytes on, all bits had their turn.
    const flip = 1 << (offset % 8)
    const bytes = Buffer.from(whole)
    bytes[offset]! ^= flip
    yield { what: `byte ${String(offset)} ^ ${String(flip)}`, at: lineAt(offset), bytes }
    yield { what: `cut at ${String(offset)}`, at: lineAt(offset), bytes: whole.subarray(0, offset) }
  }
  const linesOf = (some: readonly string[]): Buffer =>
    Buffer.from(some.map((line) => `${line}\n`).join(''))
  for (let at = 0; at < lines.length; at++) {
    yield { what: `line ${String(at)} dropped`, at, bytes: linesOf(lines.toSpliced(at, 1)) }
    for (let other = at + 1; other < lines.length; other++) {
      const swapped = lines.with(at, lines[other]!).with(other, lines[at]!)
      yield { what: `${String(at)} and ${String(other)} swapped`, at, bytes: linesOf(swapped) }
    }
  }
}

void t.test('R56: any tampering with an anchored journal is found', async (t) => {
  const root = freshDir(t)
  const { keys, file } = await makeJournal(root)
  const whole = readFileSync(file)
  const lines = whole.toString().split('\n').slice(0, -1)
  const last = lines.at(-1) ?? ''
  t.equal(lines.length, 12)
  const anchor = anchored(last)
  const options = { anchor, keys: [keys.announcements[0]!.key] }
  t.match(verifyDirectory(join(root, 'journal'), options), {
    ok: true,
    anchored: true,
    checkpoints: { verified: 4, unchecked: 0, last: { seq: 11, final: false } },
  })
  const dir = join(root, 'tampered')
  mkdirSync(dir)
  const fd = openSync(join(dir, basename(file)), 'w')
  t.teardown(() => closeSync(fd))
  const unseen: string[] = []
  const misnamed: string[] = []
  let count = 0
  for (const { what, at, bytes } of tamperings(whole)) {
    count += 1
    // Making a file anew takes longer than looking at it.
    writeSync(fd, bytes, 0, bytes.length, 0)
    ftruncateSync(fd, bytes.length)
    const { ok, anchored: isAnchored, problems } = verifyDirectory(dir, options)
    if (ok || isAnchored) unseen.push(what)
    const seq = Math.min(...problems.map((problem) => problem.seq).filter((one) => one > 0))
    // A record, or the one before or behind it where the links between them are what was changed.
    if (Math.abs(seq - (at + 1)) > 1)
      misnamed.push(`${what} of record ${String(at + 1)}: ${JSON.stringify(problems)}`)
  }
  t.ok(count > 15_000, `${String(count)} tamperings`)
  t.strictSame(unseen, [])
  t.strictSame(misnamed.slice(0, 5), [])
})

void t.test(
  'R56: without the record that brings it a checkpoint anchors what it names',
  async (t) => {
    const root = freshDir(t)
    const { file } = await makeJournal(root)
    const whole = readFileSync(file)
    const lines = whole.toString().split('\n').slice(0, -1)
    const last: { sallyport: { checkpoint: object } } = JSON.parse(lines.at(-1) ?? '')
    const inline = `11:${lineDigest(lines[10] ?? '')}`
    const forms = [
      inline,
      inline.replace(':', ':sha256:'),
      JSON.stringify(last.sallyport.checkpoint),
      JSON.stringify({ checkpoint: last.sallyport.checkpoint }, undefined, 2),
      `${lines.at(-1) ?? ''}\n`,
    ]
    const dir = join(root, 'cut')
    cpSync(join(root, 'journal'), dir, { recursive: true })
    const path = join(dir, basename(file))
    for (const form of forms) {
      const anchor = anchored(form)
      writeFileSync(path, whole)
      t.match(verifyDirectory(dir, { anchor }), { ok: true, anchored: true })
      for (const kept of [10, 5, 0]) {
        writeFileSync(
          path,
          lines
            .slice(0, kept)
            .map((line) => `${line}\n`)
            .join(''),
        )
        t.match(verifyDirectory(dir, { anchor }), {
          ok: false,
          anchored: false,
          problems: [{ seq: kept + 1, what: /truncated: record(s)? .* gone/ }],
        })
      }
    }
    writeFileSync(
      path,
      lines
        .slice(0, 10)
        .map((line) => `${line}\n`)
        .join(''),
    )
    t.match(verifyDirectory(dir), { ok: true, anchored: false }, 'without an anchor nobody sees it')
    writeFileSync(path, whole)
    t.match(verifyDirectory(dir, { anchor: anchored(`11:${'0'.repeat(64)}`) }), {
      problems: [{ seq: 11, what: /the chain up to it was rewritten/ }],
    })
    t.match(verifyDirectory(dir, { anchor: anchored(`13:${'0'.repeat(64)}`) }), {
      problems: [{ seq: 13, what: /truncated: record 13 is gone/ }],
    })
    const checkpoint = { ...last.sallyport.checkpoint, time: '2020-01-01T00:00:00.000Z' }
    t.match(verifyDirectory(dir, { anchor: anchored(JSON.stringify(checkpoint)) }), {
      problems: [{ what: /the signature of the anchor itself/ }],
    })
    for (const none of ['', '{}', '11', '11:ab', '{"seq":1}', 'null', '[]'])
      t.equal(anchorOf(none), undefined)
  },
)

void t.test('R56: any tampering with the records of one task alone is found', async (t) => {
  const root = freshDir(t)
  const { keys, file } = await makeJournal(root)
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1)
  const ofTask = lines.filter((line) => line.includes('"task":{"id":"t_one"'))
  t.equal(ofTask.length, 4)
  const whole = Buffer.from(ofTask.map((line) => `${line}\n`).join(''))
  const options = { anchor: anchored(ofTask.at(-1) ?? ''), keys: [keys.announcements[0]!.key] }
  t.match(verifyTaskOfStream(readLinesOf(whole), 'one', ONE.id, options), {
    ok: true,
    anchored: true,
    isSealed: true,
    records: 4,
    head: { seq: 4 },
    checkpoints: { verified: 1, unchecked: 0, last: { seq: 3, final: true } },
  })
  const unseen: string[] = []
  const misnamed: string[] = []
  for (const { what, at, bytes } of tamperings(whole)) {
    const {
      ok,
      anchored: isAnchored,
      problems,
    } = verifyTaskOfStream(readLinesOf(bytes), 'one', ONE.id, options)
    if (ok || isAnchored) unseen.push(what)
    const seq = Math.min(...problems.map((problem) => problem.seq).filter((one) => one > 0))
    if (Math.abs(seq - (at + 1)) > 1)
      misnamed.push(`${what} of record ${String(at + 1)}: ${JSON.stringify(problems)}`)
  }
  t.strictSame(unseen, [])
  t.strictSame(misnamed.slice(0, 5), [])
})

void t.test('a task alone, by the public key only, with and without its seal', async (t) => {
  const root = freshDir(t)
  const { keys, file } = await makeJournal(root)
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1)
  const of = (task: Task): { bytes: Buffer; file: string; line: number }[] =>
    lines
      .filter((line) => line.includes(`"task":{"id":"${task.id}"`))
      .map((line, at) => ({ bytes: Buffer.from(line), file: '', line: at + 1 }))
  const trusted = [keys.announcements[0]!.key]
  const other = new CheckpointKeys(join(root, 'other'), Date.now())
  t.match(verifyTaskLines(of(ONE), { task: ONE.id, keys: trusted }), {
    ok: true,
    isSealed: true,
    anchored: false,
    repeats: 0,
    checkpoints: { verified: 1, unchecked: 0 },
  })
  t.match(verifyTaskLines([...of(ONE), ...of(ONE)], { task: ONE.id }), {
    ok: true,
    records: 4,
    repeats: 4,
    checkpoints: { verified: 0, unchecked: 1 },
  })
  t.match(verifyTaskLines([...of(ONE), ...of(ONE)], { task: ONE.id, refusesRepeats: true }), {
    ok: false,
  })
  t.match(verifyTaskLines(of(TWO), { task: TWO.id, keys: trusted }), {
    ok: true,
    isSealed: false,
    checkpoints: { verified: 1, last: { final: false } },
  })
  t.match(
    verifyTaskLines(of(ONE), { task: TWO.id, keys: trusted }).ok,
    false,
    'records of another task',
  )
  t.match(verifyTaskLines(of(ONE).slice(1), { task: ONE.id }), {
    problems: [{ seq: 1, what: /record 1 is missing/ }],
  })
  t.match(verifyTaskLines(of(ONE), { task: ONE.id, keys: [other.announcements[0]!.key] }), {
    ok: false,
    isSealed: false,
    checkpoints: { verified: 0, unchecked: 1, last: undefined },
  })
  t.match(verifyTaskLines([], { task: ONE.id }), { ok: true, records: 0, head: undefined })
})

void t.test(
  'a stream may repeat, may begin late and may leave out; what it has is checked',
  async (t) => {
    const root = freshDir(t)
    const { file } = await makeJournal(root)
    const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1)
    const verify = (some: readonly string[], anchor?: Anchor) =>
      verifyStream(readLinesOf(Buffer.from(some.map((line) => `${line}\n`).join(''))), 's', {
        ...(anchor && { anchor }),
      })
    t.match(verify(lines), {
      ok: true,
      records: 12,
      from: 1,
      gaps: { count: 0 },
      repeats: 0,
      checkpoints: { verified: 4 },
    })
    t.match(verify([...lines.slice(0, 7), ...lines.slice(3)]), {
      ok: true,
      records: 12,
      repeats: 4,
    })
    t.match(verify(lines.slice(4)), { ok: true, from: 5, checkpoints: { unchecked: 4 } })
    const filtered = lines.filter((_, at) => ![2, 3, 6].includes(at))
    t.match(verify(filtered), { ok: true, records: 9, gaps: { count: 2, records: 3 } })
    t.match(verify(filtered, anchored(lines.at(-1) ?? '')), { ok: true, anchored: false })
    t.match(verify(lines, anchored(lines.at(-1) ?? '')), { ok: true, anchored: true })
    t.match(verify(filtered.slice(0, -2), anchored(lines.at(-1) ?? '')), {
      problems: [{ seq: 11, what: /truncated/ }],
    })
    t.match(
      verify(
        lines.filter((_, at) => at !== 10),
        anchored(lines.at(-1) ?? ''),
      ).ok,
      true,
      'the one behind names its hash',
    )
    // Every second one only: no two neighbours, and still each has to come in its turn.
    const sparse = lines.filter((_, at) => at % 2 === 0)
    t.match(verify(sparse), { ok: true, records: 6, gaps: { count: 5, records: 5 } })
    const swapped = sparse.with(2, sparse[3]!).with(3, sparse[2]!)
    t.match(verify(swapped), { ok: false, problems: [{ seq: 5, what: /reordered/ }] })
    for (const [at, line] of lines.slice(0, -1).entries()) {
      const edited = lines.with(at, line.replace('"schema":1', '"schema":2'))
      t.match(
        verify(edited).problems[0],
        { seq: at + 1, what: /edited/ },
        `record ${String(at + 1)}`,
      )
    }
    t.match(verify(lines.toSpliced(5, 0, 'hello')), { ok: false })
    t.match(verify(['hello', ...lines]), { ok: false })
    t.match(verify([]), { ok: true, records: 0, from: 1 })
    t.equal(chainOf(Buffer.from(lines[11] ?? ''))?.seq, 12)
  },
)
