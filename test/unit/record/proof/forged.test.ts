// What somebody makes up who can write every file but has no private key: no verdict of `verify` says more than what a trusted
// key signed.

import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import t, { type Test } from 'tap'

import { DEFAULT_LIMITS } from '../../../../src/limits.ts'
import { anchorOf } from '../../../../src/record/proof/anchor.ts'
import { CHAIN_START, lineDigest, writeLine } from '../../../../src/record/journal/chain.ts'
import { CheckpointKeys } from '../../../../src/record/proof/checkpoint-keys.ts'
import { signCheckpoint, type CheckpointKey } from '../../../../src/record/proof/checkpoint.ts'
import { Checkpoints } from '../../../../src/record/proof/checkpoints.ts'
import { eventRecord } from '../../../../src/record/ecs.ts'
import { publicKeyOf, signAnnouncement } from '../../../../src/record/proof/key-announcement.ts'
import { readLines } from '../../../../src/record/read/read-lines.ts'
import { listSegments } from '../../../../src/record/journal/segments.ts'
import {
  verifyDirectory,
  verifyStream,
  verifyTaskOfStream,
  type VerifyOptions,
  type VerifyReport,
} from '../../../../src/record/proof/verify.ts'
import type { TaskReport } from '../../../../src/record/proof/verify-task.ts'
import { freshDir, journalLines, memoryLog, openJournal, TASK } from '../support.ts'

interface Made {
  readonly dir: string
  readonly key: CheckpointKey
  readonly lines: readonly string[]
  readonly write: (name: string, lines: readonly string[]) => string
}

/** A journal of one task that is sealed. */
async function make(t: Test): Promise<Made> {
  const root = freshDir(t)
  mkdirSync(join(root, 'state'))
  const now = (): number => Date.now()
  const journal = openJournal(join(root, 'journal'))
  const keys = new CheckpointKeys(join(root, 'state'), Date.now())
  const checkpoints = new Checkpoints({
    journal,
    keys,
    limits: DEFAULT_LIMITS,
    now,
    log: memoryLog(),
  })
  for (let count = 0; count < 6; count += 1)
    await journal.append(eventRecord('task-extended', { now: count, task: TASK }))
  await checkpoints.make()
  checkpoints.seal(TASK)
  await checkpoints.close()
  await journal.close()
  const write = (name: string, lines: readonly string[]): string => {
    writeFileSync(join(root, name), lines.map((line) => `${line}\n`).join(''))
    return join(root, name)
  }
  return { dir: journal.dir, key: keys.shown[0]!, lines: journalLines(journal.dir), write }
}

type Body = ReturnType<typeof JSON.parse>
type Place = { readonly seq: number; readonly hash: string }

/** Chains records anew, as whoever has all files can. */
function chained(records: readonly Body[], sign?: (body: Body, at: Place) => object): string[] {
  let [seq, prev] = [0, CHAIN_START]
  const tasks = new Map<string, Place>()
  return records.map((record) => {
    const { chain: _, ...own } = record.sallyport
    const id: string | undefined = own.task?.id
    const task = id === undefined ? undefined : (tasks.get(id) ?? { seq: 0, hash: CHAIN_START })
    const checkpoint =
      own.checkpoint && sign ? sign(own.checkpoint, task ?? { seq, hash: prev }) : own.checkpoint
    seq += 1
    const text = JSON.stringify({
      ...record,
      sallyport: { ...own, ...(checkpoint && { checkpoint }) },
    })
    const place = { seq, prev, ...(task && { task: { seq: task.seq + 1, prev: task.hash } }) }
    const bytes = Buffer.alloc(text.length * 3 + 512)
    const line = bytes.toString('utf8', 0, writeLine(bytes, 0, text, place))
    prev = lineDigest(line)
    if (id !== undefined) tasks.set(id, { seq: (task?.seq ?? 0) + 1, hash: prev })
    return line
  })
}

const stranger = (): { key: CheckpointKey; privateKey: KeyObject } => {
  const { privateKey } = generateKeyPairSync('ed25519')
  return { privateKey, key: publicKeyOf(privateKey) }
}

function signer({ privateKey, key }: ReturnType<typeof stranger>) {
  return (checkpoint: Body, { seq, hash }: Place): object => {
    const { journal, task, time, final } = checkpoint
    return signCheckpoint({ journal, task, seq, hash, time, final }, privateKey, key.kid)
  }
}

const bodies = (lines: readonly string[]): Body[] => lines.map((line) => JSON.parse(line))
const whats = ({ problems }: VerifyReport | TaskReport): string =>
  problems.map(({ what }) => what).join('\n')
const stream = (file: string, options: VerifyOptions): VerifyReport =>
  verifyStream(readLines(file), 'stream', options)
const taskStream = (file: string, options: VerifyOptions): TaskReport =>
  verifyTaskOfStream(readLines(file), 'stream', TASK.id, options)

void t.test('a journal without a checkpoint that a trusted key signed is not intact', async (t) => {
  const { dir, key, lines } = await make(t)
  const keys = [key]
  t.match(verifyDirectory(dir, { keys }), { ok: true, checkpoints: { untrusted: 0 } })
  const [segment] = listSegments(dir)
  const isStating = ({ event }: Body): boolean => /checkpoint|sealed/.test(event.action)
  const bare = chained(bodies(lines).filter((record) => !isStating(record)))
  writeFileSync(segment!.path, bare.map((line) => `${line}\n`).join(''))
  t.match(verifyDirectory(dir), { ok: true }, 'without a key nobody sees it')
  const report = verifyDirectory(dir, { keys })
  t.notOk(report.ok)
  t.match(whats(report), /no checkpoint here is signed by a key that a pinned key vouches for/)
})

void t.test('a seal of a key that nobody announces seals nothing', async (t) => {
  const { key, lines, write } = await make(t)
  const keys = [key]
  const isOfTask = ({ sallyport }: Body): boolean => sallyport.task?.id === TASK.id
  const genuine = lines.filter((line) => isOfTask(JSON.parse(line)))
  const task = write('task.ndjson', genuine)
  t.match(taskStream(task, { keys }), {
    ok: true,
    isSealed: true,
    checkpoints: { verified: 1, last: { final: true } },
  })
  t.match(
    taskStream(task, {}),
    { ok: true, isSealed: false, checkpoints: { unchecked: 1, last: undefined } },
    'without any key it is not said to be sealed',
  )
  const forged = chained(bodies(genuine).toSpliced(2, 1), signer(stranger()))
  const report = taskStream(write('forged.ndjson', forged), { keys })
  t.match(report, { ok: false, isSealed: false, checkpoints: { last: undefined } })
  t.match(whats(report), /signed by a key that no pinned key vouches for/)
  t.match(taskStream(write('forged.ndjson', forged), {}), { ok: true, isSealed: false })
})

void t.test('a part of a task that is made up behind its seal is not closed by it', async (t) => {
  const { key, lines, write } = await make(t)
  const genuine = lines.filter((line) => JSON.parse(line).sallyport.task?.id === TASK.id)
  const more = chained(bodies(genuine).slice(3), signer(stranger()))
  const report = taskStream(write('parts.ndjson', [...genuine, ...more]), { keys: [key] })
  t.match(report, { ok: false, isSealed: false })
  t.match(whats(report), /signed by a key that no pinned key vouches for/)
})

void t.test('checkpoints of an unannounced key do not pass in a part of a stream', async (t) => {
  const { key, lines, write } = await make(t)
  const forged = chained(bodies(lines).toSpliced(3, 1), signer(stranger())).slice(1)
  const report = stream(write('part.ndjson', forged), { keys: [key] })
  t.match(report, { ok: false, checkpoints: { last: undefined } })
  t.match(whats(report), /no pinned key vouches for/)
  t.match(
    stream(write('part.ndjson', lines.slice(1)), { keys: [key] }),
    { ok: true, checkpoints: { last: { final: false } } },
    'its genuine twin',
  )
})

void t.test("a task's genuine seal does not cover what was put before it", async (t) => {
  const { key, lines, write } = await make(t)
  const own = stranger()
  const records = bodies(lines)
  const at = records.findIndex(({ event }) => event.action === 'task-sealed')
  // Genuine up to the task's last record, then an announcement and a checkpoint of their own, then the seal as it was.
  const last = records.findLastIndex(({ event }) => event.action === 'task-extended')
  const now = Date.now()
  const journal: string = records[at].sallyport.checkpoint.journal
  const unsigned = { journal, key: own.key, from: new Date(now).toISOString() }
  const announced = eventRecord('checkpoint-key', {
    now,
    detail: { ...signAnnouncement(unsigned, own.privateKey, undefined) },
  })
  const checkpoint = records.find(({ event }) => event.action === 'checkpoint')
  const forged = chained(
    [...records.slice(0, last + 1), announced, checkpoint, records[at]],
    (body: Body, place) => (body.final === true ? body : signer(own)(body, place)),
  )
  t.strictSame(forged.slice(0, last + 1), lines.slice(0, last + 1), 'the first ones are genuine')
  const report = stream(write('between.ndjson', forged), { keys: [key] })
  t.match(report, { ok: false })
  t.match(whats(report), /no pinned key vouches for/)
})

void t.test(
  'an anchor that names no record, or that a stranger signed, proves nothing',
  async (t) => {
    const { dir, key, lines } = await make(t)
    const record = bodies(lines).find(({ event }) => event.action === 'checkpoint')
    const { checkpoint } = record.sallyport
    t.equal(anchorOf(JSON.stringify({ ...checkpoint, seq: 0 })), undefined)
    const genuine = anchorOf(JSON.stringify(checkpoint))!
    t.match(verifyDirectory(dir, { keys: [key], anchor: genuine }), { ok: true, anchored: true })
    const forged = anchorOf(JSON.stringify(signer(stranger())(checkpoint, checkpoint)))!
    const report = verifyDirectory(dir, { keys: [key], anchor: forged })
    t.match(report, { ok: false, anchored: false })
    t.match(whats(report), /the anchor itself is signed by a key that no pinned key vouches for/)
    t.ok(readFileSync(listSegments(dir)[0]!.path).length > 0)
  },
)

void t.test('a line that is longer than any record costs no more than its beginning', async (t) => {
  const { dir, key, lines } = await make(t)
  const keys = [key]
  const [segment] = listSegments(dir)
  const file = segment!.path
  const long = `{"a":"${'x'.repeat(1024 * 1024)}`.repeat(66)
  // It ends as the record does whose place it takes.
  const end = lines[3]!.slice(-400)
  writeFileSync(file, `${lines.with(3, `${long}${end}`).join('\n')}\n`)
  t.match(
    [...readLines(file)].map(({ bytes }) => bytes.length < 10_000),
    Array(lines.length).fill(true),
  )
  t.match(verifyDirectory(dir, { keys }), { ok: false, problems: [{ seq: 4, what: /edited/ }] })
  writeFileSync(file, `${lines.join('\n')}\n${long}`)
  t.match(verifyDirectory(dir, { keys }), { ok: true })
  t.match(verifyDirectory(dir, { keys }).torn, { bytes: Number })
})
