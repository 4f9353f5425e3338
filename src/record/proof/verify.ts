// Checks the records of a journal: a directory, or what somebody got of it as a stream. Names what was edited, dropped,
// reordered, inserted or cut off, checks the checkpoints among them, and against an anchor that nothing before it is gone.
// Reads only. Called by the command line.

import { basename } from 'node:path'

import { AnchorCheck, type Anchor } from './anchor.ts'
import type { RecordChain } from '../body.ts'
import { CHAIN_START, chainOf, lineDigest } from '../journal/chain.ts'
import { CheckpointCheck, type CheckpointsFound } from './checkpoint-check.ts'
import type { CheckpointKey } from './checkpoint.ts'
import { KeyRing } from './key-ring.ts'
import { taskIdOf } from '../line.ts'
import { readLines, type ReadLine } from '../read/read-lines.ts'
import { Repeats } from './repeats.ts'
import type { DeletedSegments } from '../journal/retention.ts'
import { listSegments, type SegmentFile } from '../journal/segments.ts'
import { statementOf } from './statements.ts'
import { followChain, type ChainLine, type ChainProblem, type Followed } from './tampering.ts'
import { verifyTaskLines, type TaskLine, type TaskReport } from './verify-task.ts'

/** What records are checked against. */
export interface VerifyOptions {
  /** Keys that are trusted; none: those that the records announce. */
  readonly keys?: readonly CheckpointKey[]
  readonly anchor?: Anchor
}

/** What was found. */
export interface VerifyReport {
  readonly ok: boolean
  /** Lines read, repeats left out. */
  readonly records: number
  /** First sequence number; above 1 where retention deleted older segments, or a stream begins later. */
  readonly from: number
  /** The last record: what a checkpoint or a sink must agree with. */
  readonly head: { readonly seq: number; readonly hash: string } | undefined
  /** The end of the last file that is no whole line: being written, or torn by a crash and moved aside at the next start. */
  readonly torn: { readonly file: string; readonly bytes: number } | undefined
  /** Records that a stream leaves out; none of a directory. */
  readonly gaps: Followed['gaps']
  /** How often a stream has a record again. */
  readonly repeats: number
  /** Whether the anchor was found, and all before it is there: what is behind it may have had a longer end. */
  readonly anchored: boolean
  readonly checkpoints: CheckpointsFound
  /** In the order of the journal; none where `ok`. At most 100 of the chain. */
  readonly problems: readonly ChainProblem[]
}

/** Checks every segment of a journal directory, in order. */
export function verifyDirectory(dir: string, options: VerifyOptions = {}): VerifyReport {
  const segments = listSegments(dir)
  const from = segments[0]?.firstSeq ?? 1
  const observer = new Observer(options)
  const followed = followChain(observer.observe(segmentLines(segments), false), {
    from,
    scope: 'journal',
    allowsGaps: false,
  })
  // The records that announced the keys may have gone with the beginning.
  return observer.report(from, followed, { isComplete: true, mustKnow: from === 1 })
}

/** Checks lines as a sink got them: some may be there again, and some may have been left out. */
export function verifyStream(
  lines: Iterable<ReadLine>,
  name: string,
  options: VerifyOptions = {},
): VerifyReport {
  const observer = new Observer(options)
  const followed = followChain(observer.observe(streamLines(lines, name), true), {
    from: undefined,
    scope: 'journal',
    allowsGaps: true,
  })
  const isComplete = followed.gaps.count === 0 && observer.from === 1
  return observer.report(observer.from, followed, { isComplete, mustKnow: isComplete })
}

/** Checks one task's records in a journal directory. */
export function verifyTaskOfDirectory(
  dir: string,
  task: string,
  options: VerifyOptions = {},
): TaskReport {
  const segments = listSegments(dir)
  const ring = new KeyRing(options.keys)
  return verifyTaskLines(linesOfTask(segmentLines(segments), task, ring), {
    ...options,
    task,
    ring,
    mayBeginLate: (segments[0]?.firstSeq ?? 1) > 1,
    refusesRepeats: true,
  })
}

/** Checks one task's records in lines as a sink got them: all of the task must be there, of others may. */
export function verifyTaskOfStream(
  lines: Iterable<ReadLine>,
  name: string,
  task: string,
  options: VerifyOptions = {},
): TaskReport {
  const ring = new KeyRing(options.keys)
  const taskLines = linesOfTask(streamLines(lines, name), task, ring)
  return verifyTaskLines(taskLines, { ...options, task, ring })
}

/** What is of the task, and what is no record at all; the keys that other records announce go into the ring. */
function* linesOfTask(
  lines: Iterable<PlacedLine>,
  task: string,
  ring: KeyRing,
): Generator<TaskLine> {
  for (const line of lines) {
    if (line.isTorn) continue
    const statement = statementOf(line.bytes)
    if (statement?.kind === 'key') ring.add(statement.announcement)
    if (taskIdOf(line.bytes.toString()) === task || chainOf(line.bytes) === undefined) yield line
  }
}

/** A line that was read, and where. */
interface PlacedLine extends ReadLine {
  readonly file: string
  readonly line: number
  /** See ChainLine. */
  readonly begins: number | undefined
  /** Whether it is what a process may be writing at this moment. */
  readonly isTorn: boolean
}

class Observer {
  readonly #ring: KeyRing
  readonly #check: CheckpointCheck
  readonly #anchor: Anchor | undefined
  readonly #anchorCheck: AnchorCheck | undefined
  readonly #repeats = new Repeats()
  readonly #deleted: Pick<DeletedSegments, 'from' | 'to' | 'hash'>[] = []
  readonly #tasks: Map<string, { seq: number; hash: string }> = new Map()
  /** What the own chains of tasks show beyond the journal's. */
  readonly #taskProblems: ChainProblem[] = []
  #records = 0
  #first: ChainLine | undefined
  #head: VerifyReport['head']
  #torn: VerifyReport['torn']

  constructor({ keys, anchor }: VerifyOptions) {
    this.#ring = new KeyRing(keys)
    this.#check = new CheckpointCheck(this.#ring)
    this.#anchor = anchor
    this.#anchorCheck = anchor && new AnchorCheck(anchor)
  }

  /** The number of the first record that is one. */
  get from(): number {
    return this.#first?.seq ?? 1
  }

  *observe(lines: Iterable<PlacedLine>, mayRepeat: boolean): Generator<ChainLine> {
    for (const { bytes, file, line, begins, isWhole, isTorn } of lines) {
      if (isTorn) {
        this.#torn = { file, bytes: bytes.length }
        return
      }
      const hash = lineDigest(bytes)
      if (mayRepeat && this.#repeats.isRepeat(hash)) continue
      const chain = chainOf(bytes)
      const { seq = -1, prev = '' } = chain ?? {}
      const seen: ChainLine = { file, line, seq, prev, hash, bytes, isWhole, begins }
      this.#see(seen, chain)
      yield seen
    }
  }

  /** Puts together what was found, once all lines have gone by. */
  report(
    from: number,
    { problems: broken, gaps }: Followed,
    { isComplete, mustKnow }: { readonly isComplete: boolean; readonly mustKnow: boolean },
  ): VerifyReport {
    const { problems: wrong, isSealed: _, ...checkpoints } = this.#check.finish(mustKnow)
    const further = [
      ...(broken.length === 0 && !mustKnow && isComplete ? this.#findMissingBeginning(from) : []),
      ...(this.#anchorCheck?.finish(isComplete, this.#ring) ?? []),
      ...wrong,
      ...(broken.length === 0 && isComplete ? this.#taskProblems : []),
    ]
    // What is wrong with a record of which something is known already says no more.
    const named = new Set(broken.map(({ seq }) => seq))
    const problems = [...broken, ...further.filter(({ seq }) => !named.has(seq))]
    const ok = problems.length === 0
    return {
      ok,
      records: this.#records,
      from,
      head: this.#head,
      torn: this.#torn,
      gaps,
      repeats: this.#repeats.count,
      anchored: ok && this.#anchorCheck?.isFound === true && gaps.count === 0,
      checkpoints,
      problems,
    }
  }

  /** Whoever takes away the beginning of a journal cannot have its records say so. */
  #findMissingBeginning(from: number): ChainProblem[] {
    const first = this.#first
    const isTold = this.#deleted.some(
      (deleted) =>
        deleted.from < from &&
        (deleted.to > from - 1 || (deleted.to === from - 1 && deleted.hash === first?.prev)),
    )
    if (isTold || first === undefined) return []
    const records = from === 2 ? 'record 1 is' : `records 1 to ${String(from - 1)} are`
    const what = `${records} missing, and no record says that retention took them`
    return [{ file: first.file, line: first.line, seq: 1, what }]
  }

  #see(line: ChainLine, chain: RecordChain | undefined): void {
    this.#records += 1
    this.#head = { seq: line.seq, hash: line.hash }
    if (line.seq > 0) this.#first ??= line
    const statement = statementOf(line.bytes)
    this.#check.see(statement, line, chain)
    if (statement?.kind === 'deleted') this.#deleted.push(statement.deleted)
    const wanted = this.#anchor?.task
    if (wanted === undefined) this.#anchorCheck?.see(line)
    if (chain?.task !== undefined) this.#seeTask(line, chain.task, wanted)
  }

  #seeTask(
    line: ChainLine,
    place: NonNullable<RecordChain['task']>,
    wanted: string | undefined,
  ): void {
    const task = taskIdOf(line.bytes.toString()) ?? ''
    const before = this.#tasks.get(task)
    const isFirst = place.seq === 1 && place.prev === CHAIN_START
    const fits =
      before === undefined
        ? this.from > 1
        : place.seq === before.seq + 1 && place.prev === before.hash
    if (!isFirst && !fits) {
      const { file, line: at, seq } = line
      const what = "this record does not follow the one before it in its task's own chain"
      this.#taskProblems.push({ file, line: at, seq, what })
    }
    this.#tasks.set(task, { seq: place.seq, hash: line.hash })
    if (task !== wanted) return
    if (isFirst) this.#anchorCheck?.beginAgain()
    this.#anchorCheck?.see({ ...line, ...place })
  }
}

function* segmentLines(segments: readonly SegmentFile[]): Generator<PlacedLine> {
  for (const segment of segments) {
    const file = basename(segment.path)
    let line = 0
    for (const read of readLines(segment.path)) {
      line += 1
      const begins = line === 1 ? segment.firstSeq : undefined
      yield { ...read, file, line, begins, isTorn: !read.isWhole && segment === segments.at(-1) }
    }
  }
}

function* streamLines(lines: Iterable<ReadLine>, file: string): Generator<PlacedLine> {
  let line = 0
  for (const read of lines) {
    line += 1
    yield { ...read, file, line, begins: undefined, isTorn: !read.isWhole }
  }
}
