// Checkpoints as they are made: when, of what, signed by which key, and how keys follow each other.

import { execFileSync } from 'node:child_process'
import { createPublicKey } from 'node:crypto'
import { readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import t from 'tap'

import { DEFAULT_LIMITS } from '../../../../src/limits.ts'
import type { RecordBody } from '../../../../src/record/body.ts'
import { lineDigest } from '../../../../src/record/journal/chain.ts'
import { CheckpointKeys } from '../../../../src/record/proof/checkpoint-keys.ts'
import { Checkpoints } from '../../../../src/record/proof/checkpoints.ts'
import {
  checkpointText,
  isSignedBy,
  type Checkpoint,
} from '../../../../src/record/proof/checkpoint.ts'
import { eventRecord } from '../../../../src/record/ecs.ts'
import type { JournalOptions } from '../../../../src/record/journal/journal.ts'
import { isGenuine, type KeyAnnouncement } from '../../../../src/record/proof/key-announcement.ts'
import { listSegments } from '../../../../src/record/journal/segments.ts'
import { verifyDirectory } from '../../../../src/record/proof/verify.ts'
import {
  freshDir,
  journalLines,
  journalRecords,
  memoryLog,
  openJournal,
  TASK,
  until,
} from '../support.ts'

const note = (message = '') => eventRecord('rules-loaded', { now: Date.now(), message })
const ofTask = () => eventRecord('task-extended', { task: TASK, now: Date.now() })

function open(
  root: string,
  limits: Partial<typeof DEFAULT_LIMITS> = {},
  more: Partial<Omit<JournalOptions, 'limits'>> = {},
) {
  const now = more.now ?? Date.now
  const journal = openJournal(join(root, 'journal'), more)
  const keys = new CheckpointKeys(join(root, 'state'), now())
  const log = memoryLog()
  const all = { ...DEFAULT_LIMITS, checkpointMs: 3_600_000, ...limits }
  const checkpoints = new Checkpoints({ journal, keys, limits: all, now, log })
  const close = async (): Promise<void> => {
    await checkpoints.close()
    await journal.close()
  }
  return { journal, keys, checkpoints, log, close }
}

const journalOf = (root: string) => journalRecords(join(root, 'journal'))
const actions = (root: string) => journalOf(root).map(({ event: { action } }) => action)
const checkpointOf = (record: RecordBody | undefined): Checkpoint => {
  const checkpoint = record?.sallyport.checkpoint
  if (checkpoint === undefined) throw new Error('no checkpoint')
  return checkpoint
}
const announcementsOf = (root: string): KeyAnnouncement[] =>
  journalOf(root)
    .filter(({ event: { action } }) => action === 'checkpoint-key')
    .map(({ sallyport: { detail } }) => JSON.parse(JSON.stringify(detail)))

void t.test('R56: a checkpoint names the record before it and is signed', async (t) => {
  const root = freshDir(t)
  const { journal, checkpoints, keys, close } = open(root)
  await journal.append(note())
  const made = await checkpoints.make()
  const lines = journalLines(join(root, 'journal'))
  t.strictSame(actions(root), ['checkpoint-key', 'rules-loaded', 'checkpoint'])
  t.match(made, { journal: keys.journal, seq: 2, hash: lineDigest(lines[1] ?? '') })
  t.strictSame(checkpointOf(journalOf(root)[2]), made)
  const [key] = keys.shown
  t.ok(key && isSignedBy(made, key))
  t.notOk(key && isSignedBy({ ...made, seq: 3 }, key))
  t.notOk(key && isSignedBy({ ...made, signature: 'x' }, key))
  t.strictSame(checkpoints.view.checkpoints, [made])
  await close()
  t.equal(actions(root).at(-1), 'checkpoint', 'an orderly end is covered')
  t.ok(verifyDirectory(join(root, 'journal')).ok)
})

void t.test(
  'R56: a checkpoint made in one write with other records names its neighbour',
  async (t) => {
    const root = freshDir(t)
    const { journal, checkpoints, close } = open(root)
    const [made] = await Promise.all([
      checkpoints.make(),
      journal.append(note()),
      checkpoints.make(),
    ])
    const lines = journalLines(join(root, 'journal'))
    t.match(made, { seq: 1, hash: lineDigest(lines[0] ?? '') })
    t.match(checkpointOf(journalOf(root)[3]), { seq: 3, hash: lineDigest(lines[2] ?? '') })
    await close()
  },
)

void t.test("R56: a task's checkpoint and its seal name the task's own chain", async (t) => {
  const root = freshDir(t)
  const { journal, checkpoints, keys, close } = open(root)
  await journal.append(ofTask())
  await journal.append(note())
  const made = await checkpoints.makeOf(TASK)
  const lines = journalLines(join(root, 'journal'))
  t.match(made, { task: TASK.id, seq: 1, hash: lineDigest(lines[1] ?? '') })
  await journal.append(note())
  checkpoints.seal(TASK)
  await journal.append(note())
  const sealed = journalOf(root).find(({ event: { action } }) => action === 'task-sealed')
  t.match(sealed?.sallyport, {
    task: { id: TASK.id },
    checkpoint: { task: TASK.id, seq: 2, hash: lineDigest(lines[3] ?? ''), final: true },
    chain: { task: { seq: 3 } },
  })
  const [key] = keys.shown
  t.ok(key && isSignedBy(checkpointOf(sealed), key))
  await close()
})

void t.test('R56: checkpointRecords: so many records are followed by a checkpoint', async (t) => {
  const root = freshDir(t)
  const { journal, close } = open(root, { checkpointRecords: 5 })
  for (let count = 0; count < 4; count++) await journal.append(note())
  await until(() => actions(root).at(-1) === 'checkpoint', 'there is a checkpoint')
  t.equal(actions(root).length, 6)
  await close()
})

void t.test(
  'R56: checkpointMs: what is new is followed by a checkpoint, nothing new by none',
  async (t) => {
    const root = freshDir(t)
    const { journal, checkpoints, close } = open(root, { checkpointMs: 20 })
    await until(() => actions(root).at(-1) === 'checkpoint', 'there is a checkpoint')
    const { seq } = journal.stats
    await new Promise((resolve) => setTimeout(resolve, 100))
    t.equal(journal.stats.seq, seq, 'an idle journal stays as it is')
    await journal.append(note())
    await until(() => checkpoints.view.checkpoints.length === 2, 'there is another')
    await close()
  },
)

void t.test(
  'R56: a segment that begins is followed by a checkpoint, one alone in it by none',
  async (t) => {
    const root = freshDir(t)
    const { journal, checkpoints, close } = open(root, {}, { segmentBytes: 3000 })
    for (let count = 0; count < 8; count++) await journal.append(note('x'.repeat(600)))
    await until(() => checkpoints.view.checkpoints.length > 0, 'there is a checkpoint')
    await close()
    const small = freshDir(t)
    const tiny = open(small, {}, { segmentBytes: 100 })
    for (let count = 0; count < 2; count++) await tiny.journal.append(note())
    await until(() => tiny.checkpoints.view.checkpoints.length > 0, 'there is a checkpoint')
    await new Promise((resolve) => setTimeout(resolve, 50))
    t.ok(tiny.journal.stats.seq <= 4, 'no checkpoint calls for another')
    await tiny.close()
  },
)

void t.test(
  'R56: checkpointKeyLifetimeMs: keys follow each other, each vouched for by the one before',
  async (t) => {
    const root = freshDir(t)
    let now = Date.parse('2026-01-01T00:00:00Z')
    const first = open(root, { checkpointKeyLifetimeMs: 1000 }, { now: () => now })
    await first.checkpoints.make()
    await first.close()
    now += 999
    const second = open(root, { checkpointKeyLifetimeMs: 1000 }, { now: () => now })
    t.equal(second.keys.shown.length, 1, 'not yet')
    t.equal(second.keys.journal, first.keys.journal)
    await second.close()
    now += 1
    const third = open(
      root,
      { checkpointKeyLifetimeMs: 1000, checkpointMs: 10 },
      { now: () => now },
    )
    await third.checkpoints.make()
    t.equal(third.keys.shown.length, 2)
    now += 1000
    await until(() => third.keys.shown.length === 3, 'a running sidecar takes a new key')
    await third.close()
    const announcements = announcementsOf(root)
    t.equal(announcements.length, 4)
    const [one, again, two, three] = announcements
    t.strictSame(again, one, 'said at every start, in the same words')
    for (const announcement of announcements) t.ok(isGenuine(announcement))
    t.strictSame(two?.previous, one?.key)
    t.strictSame(three?.previous, two?.key)
    if (two === undefined) return
    t.notOk(isGenuine({ ...two, from: three?.from ?? '' }))
    t.notOk(isGenuine({ ...two, previousSignature: two.signature }))
    t.notOk(isGenuine({ ...two, previousSignature: undefined }))
    t.notOk(isGenuine({ ...two, key: { ...two.key, kid: 'x' } }))
    const { shown } = third.keys
    t.match(shown, [
      { kid: three?.key.kid, until: undefined },
      { kid: two.key.kid, until: three?.from },
      { kid: one?.key.kid, until: two.from },
    ])
    for (const record of journalOf(root).filter(({ sallyport }) => sallyport.checkpoint))
      t.ok(shown.some((key) => isSignedBy(checkpointOf(record), key)))
  },
)

void t.test(
  'the file of keys is for its owner alone, and one that is not whole stops the start',
  (t) => {
    const dir = freshDir(t)
    const keys = new CheckpointKeys(dir, Date.now())
    const file = join(dir, 'checkpoint-keys.json')
    t.equal(statSync(file).mode & 0o777, 0o600)
    t.equal(new CheckpointKeys(dir, Date.now()).journal, keys.journal)
    const kept = JSON.parse(readFileSync(file, 'utf8'))
    new CheckpointKeys(dir, Date.now()).rotate(Date.now())
    const rotated = readFileSync(file, 'utf8')
    t.equal(rotated.match(/PRIVATE KEY/g)?.length, 2, 'one private key, its beginning and its end')
    for (const broken of [
      '{',
      JSON.stringify({ ...kept, privateKey: '' }),
      JSON.stringify({ ...kept, keys: [] }),
      JSON.stringify({ ...kept, privateKey: JSON.parse(rotated).privateKey }),
    ]) {
      writeFileSync(file, broken)
      t.throws(() => new CheckpointKeys(dir, Date.now()), /holds no keys of checkpoints/)
    }
    t.end()
  },
)

void t.test('R56: openssl alone checks a checkpoint', async (t) => {
  const root = freshDir(t)
  const { checkpoints, close } = open(root)
  const made = await checkpoints.make()
  await close()
  const [announcement] = announcementsOf(root)
  const { kty = '', crv = '', x = '' } = announcement?.key ?? {}
  const key = createPublicKey({ key: { kty, crv, x }, format: 'jwk' })
  const file = (name: string, content: string | Buffer): string => {
    writeFileSync(join(root, name), content)
    return join(root, name)
  }
  const pem = file('key.pem', key.export({ type: 'spki', format: 'pem' }))
  const signature = file('signature', Buffer.from(made.signature, 'base64url'))
  const check = (text: string): string => {
    const words = ['pkeyutl', '-verify', '-pubin', '-inkey', pem, '-rawin']
    const files = ['-in', file('text', text), '-sigfile', signature]
    return execFileSync('openssl', [...words, ...files], { encoding: 'utf8', stdio: 'pipe' })
  }
  t.match(check(checkpointText(made)), /Verified Successfully/)
  t.throws(() => check(checkpointText({ ...made, seq: made.seq + 1 })))
})

void t.test('R56: when segments go a record says which, and the keys are said again', async (t) => {
  const root = freshDir(t)
  const dir = join(root, 'journal')
  const first = open(root, {}, { segmentBytes: 2000 })
  for (let count = 0; count < 12; count++) await first.journal.append(note('x'.repeat(300)))
  await first.close()
  const segments = listSegments(dir)
  const [one, two, three] = segments
  const lines = journalLines(dir)
  if (one === undefined || two === undefined || three === undefined) throw new Error('too few')
  const past = new Date(Date.now() - 90_000)
  for (const { path } of [one, two]) utimesSync(path, past, past)
  const second = open(root, {}, { segmentBytes: 2000, retainMs: 60_000 })
  await second.journal.deleteExpired()
  await second.journal.append(note())
  await second.close()
  const told = journalOf(root).find(
    ({ event: { action } }) => action === 'journal-segments-deleted',
  )
  t.strictSame(told?.sallyport.detail, {
    segments: 2,
    from: 1,
    to: three.firstSeq - 1,
    hash: lineDigest(lines[three.firstSeq - 2] ?? ''),
  })
  const { seq = 0 } = told?.sallyport.chain ?? {}
  const later = journalOf(root).filter(({ sallyport }) => (sallyport.chain?.seq ?? 0) > seq)
  t.ok(later.some(({ event: { action } }) => action === 'checkpoint-key'))
  t.ok(verifyDirectory(dir).ok)
})
