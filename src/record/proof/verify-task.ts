// Checks the records of one task by themselves: their own numbers and links, the checkpoints and the seal among them. Needs
// nothing else of the journal, so a third party can do it with the public key alone. Pure. Called by the command line and by
// what checks evidence.

import { AnchorCheck, type Anchor } from './anchor.ts'
import type { RecordChain } from '../body.ts'
import { CHAIN_START, chainOf, lineDigest } from '../journal/chain.ts'
import { CheckpointCheck, type CheckpointsFound } from './checkpoint-check.ts'
import type { CheckpointKey } from './checkpoint.ts'
import { KeyRing } from './key-ring.ts'
import { taskIdOf } from '../line.ts'
import { Repeats } from './repeats.ts'
import { statementOf, type Statement } from './statements.ts'
import { followChain, type ChainLine, type ChainProblem } from './tampering.ts'

/** A line of a task, and where it was found. */
export interface TaskLine {
  /** Without its newline. */
  readonly bytes: Buffer
  /** Name of the file; empty where there is none. */
  readonly file: string
  /** Line within it, from 1. */
  readonly line: number
}

/** What a task's records are checked against. */
export interface TaskVerification {
  readonly task: string
  /** Keys that are trusted; none: those that `ring` has been told of. */
  readonly keys?: readonly CheckpointKey[]
  /** In place of `keys`: with the keys that other records announced. */
  readonly ring?: KeyRing
  /** A record that must be there, with all before it. */
  readonly anchor?: Anchor
  /** Whether the first number may be above 1, as retention took what was before. */
  readonly mayBeginLate?: boolean
  /** Whether a line that is there again is a problem; in what a sink got it is not. */
  readonly refusesRepeats?: boolean
}

/** What was found of a task. */
export interface TaskReport {
  readonly ok: boolean
  readonly task: string
  /** Records that were read, repeats left out. */
  readonly records: number
  /** How often a record was there again, as a sink may get it. */
  readonly repeats: number
  /** The number of its first record. */
  readonly from: number
  /** Its last record. */
  readonly head: { readonly seq: number; readonly hash: string } | undefined
  /** Whether its part is closed: nothing can have been behind its seal but what says so itself. */
  readonly isSealed: boolean
  /** Whether the anchor was found. */
  readonly anchored: boolean
  readonly checkpoints: CheckpointsFound
  /** In order; none where `ok`. */
  readonly problems: readonly ChainProblem[]
}

interface Seen extends ChainLine {
  readonly chain: RecordChain | undefined
  readonly statement: Statement | undefined
}

/**
 * Checks the lines of one task, in their order.
 * A task whose head the sidecar had forgotten begins again at 1: only behind a seal.
 */
export function verifyTaskLines(
  lines: Iterable<TaskLine>,
  verification: TaskVerification,
): TaskReport {
  return new TaskFollower(lines, verification).follow()
}

class TaskFollower {
  readonly #verification: TaskVerification
  readonly #source: Iterator<TaskLine>
  readonly #repeats = new Repeats()
  readonly #check: CheckpointCheck
  readonly #problems: ChainProblem[] = []
  readonly #anchorCheck: AnchorCheck | undefined
  readonly #ring: KeyRing
  /** The first line of the next part. */
  #ahead: Seen | undefined
  #records = 0
  #from = 1
  #last: Seen | undefined
  /** Whether something says that it closes the part that was read, whoever signed it. */
  #saysSealed = false

  constructor(lines: Iterable<TaskLine>, verification: TaskVerification) {
    const { task, keys, ring = new KeyRing(keys), anchor } = verification
    this.#ring = ring
    this.#anchorCheck = anchor && new AnchorCheck(anchor)
    this.#source = lines[Symbol.iterator]()
    this.#verification = verification
    this.#check = new CheckpointCheck(ring, task)
  }

  follow(): TaskReport {
    const { task, mayBeginLate } = this.#verification
    this.#ahead = this.#next()
    this.#from = Math.max(1, this.#ahead?.seq ?? 1)
    const how = { scope: 'task', allowsGaps: false } as const
    for (let from = mayBeginLate === true ? this.#from : 1; this.#ahead !== undefined; from = 1) {
      this.#anchorCheck?.beginAgain()
      this.#check.beginAgain()
      const { problems } = followChain(this.#part(this.#ahead), { ...how, from })
      this.#problems.push(...problems)
      if (problems.length > 0) break
      if (this.#ahead !== undefined && !this.#saysSealed) this.#reportUnsealed()
    }
    const { problems: wrong, isSealed, ...checkpoints } = this.#check.finish(false)
    this.#addFurther([...(this.#anchorCheck?.finish(true, this.#ring) ?? []), ...wrong])
    const last = this.#last
    const ok = this.#problems.length === 0
    return {
      ok,
      task,
      records: this.#records,
      repeats: this.#repeats.count,
      from: this.#from,
      head: last && { seq: last.seq, hash: last.hash },
      isSealed,
      anchored: ok && this.#anchorCheck?.isFound === true,
      checkpoints,
      problems: this.#problems,
    }
  }

  /** What is wrong with a record of which something is known already says no more. */
  #addFurther(problems: readonly ChainProblem[]): void {
    const named = new Set(this.#problems.map(({ seq }) => seq))
    this.#problems.push(...problems.filter(({ seq }) => !named.has(seq)))
  }

  /** Gives lines until the numbers begin again. */
  *#part(first: Seen): Generator<Seen> {
    this.#saysSealed = false
    this.#ahead = undefined
    for (let line: Seen | undefined = first; line !== undefined; line = this.#next()) {
      if (line !== first && line.seq === 1 && line.prev === CHAIN_START) {
        this.#ahead = line
        return
      }
      this.#see(line)
      yield line
    }
  }

  #see(line: Seen): void {
    const { statement, chain } = line
    this.#records += 1
    this.#last = line
    this.#check.see(statement, line, chain)
    this.#anchorCheck?.see(line)
    if (statement?.kind === 'checkpoint' && statement.checkpoint.final === true)
      this.#saysSealed = true
  }

  #next(): Seen | undefined {
    const { task, refusesRepeats } = this.#verification
    for (;;) {
      const next = this.#source.next()
      if (next.done === true) return undefined
      const line = seenOf(next.value, task)
      if (!this.#repeats.isRepeat(line.hash)) return line
      if (refusesRepeats === true) this.#report(line, 'this record is there before: inserted')
    }
  }

  #reportUnsealed(): void {
    const last = this.#last
    if (last !== undefined)
      this.#report(
        last,
        "behind this record the task's begin again, and it closes nothing: dropped",
      )
  }

  #report({ file, line, seq }: Seen, what: string): void {
    this.#problems.push({ file, line, seq, what })
  }
}

function seenOf({ bytes, file, line }: TaskLine, task: string): Seen {
  const chain = chainOf(bytes)
  // A line of another task, or of none, has no place here.
  const place = taskIdOf(bytes.toString()) === task ? chain?.task : undefined
  return {
    file,
    line,
    seq: place?.seq ?? -1,
    prev: place?.prev ?? '',
    hash: lineDigest(bytes),
    bytes,
    isWhole: true,
    begins: undefined,
    chain,
    statement: statementOf(bytes),
  }
}
