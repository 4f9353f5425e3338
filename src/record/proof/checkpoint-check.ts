// Checks the checkpoints that are found among records: each names the record before it, and is signed by a key that is
// known. Where keys are pinned, the last one has to be signed by one of them or by one that they vouch for, and there has to be
// one; what is before that is covered by the chain. Only what is signed so is told as covering or closing anything. Pure.
// Called by what verifies.

import type { RecordChain } from '../body.ts'
import { isSignedBy, type Checkpoint } from './checkpoint.ts'
import type { KeyRing } from './key-ring.ts'
import { taskIdOf } from '../line.ts'
import type { Statement } from './statements.ts'
import type { ChainLine, ChainProblem } from './tampering.ts'

/** The last checkpoint of a chain. */
interface LastCheckpoint {
  /** Sequence number of the last record that it covers. */
  readonly seq: number
  readonly hash: string
  readonly time: string
  /** `kid` of its key. */
  readonly key: string
  /** Whether the task has ended. */
  readonly final: boolean
}

/** What was found. */
export interface CheckpointsFound {
  /** How many are signed as they must be. */
  readonly verified: number
  /** How many are signed by keys that no pinned key vouches for; a later one, that is, covers them. */
  readonly untrusted: number
  /** How many could not be checked, as their key is not known. */
  readonly unchecked: number
  /** The last one of the chain that is looked at that is signed as it must be. */
  readonly last: LastCheckpoint | undefined
}

interface Place {
  readonly file: string
  readonly line: number
  readonly seq: number
}

interface Waiting extends Place {
  readonly checkpoint: Checkpoint
  /** How many lines were seen before: numbers of records may begin again. */
  readonly at: number
}

/** What one key signed. */
interface Signed {
  count: number
  /** The last one, of any chain. */
  last: Waiting
  /** The last one of the chain that is looked at. */
  lastOwn: Waiting | undefined
  /** The last one that closes that chain. */
  lastFinal: Waiting | undefined
}

const PROBLEMS_MAX = 100

/** Sees the statements of one chain's records. */
export class CheckpointCheck {
  readonly #ring: KeyRing
  /** The task whose chain it is. */
  readonly #task: string | undefined
  readonly #problems: ChainProblem[] = []
  /** Signed by keys that have not been announced yet. */
  #waiting: Waiting[] = []
  readonly #signed: Map<string, Signed> = new Map()
  #seen = 0
  #partAt = 0
  #end: Place = { file: '', line: 0, seq: 0 }

  /** @param task the task whose own chain it is; undefined: the journal's */
  constructor(ring: KeyRing, task?: string) {
    this.#ring = ring
    this.#task = task
  }

  /** Sees what a line states. @param line with its place in the chain that is looked at */
  see(statement: Statement | undefined, line: ChainLine, chain: RecordChain | undefined): void {
    this.#seen += 1
    this.#end = { file: line.file, line: line.line, seq: line.seq }
    if (statement === undefined) return
    if (statement.kind === 'malformed') this.#report(line, 'what this record states is not whole')
    else if (statement.kind === 'key') {
      if (!this.#ring.add(statement.announcement))
        this.#report(line, 'the signatures of the key that this record announces do not hold')
    } else if (statement.kind === 'checkpoint')
      this.#seeCheckpoint(statement.checkpoint, line, chain)
  }

  /** Tells that the numbers of the chain begin again: what closed it before closes nothing of what comes. */
  beginAgain(): void {
    this.#partAt = this.#seen
  }

  /** Says what came of it. @param mustKnow whether every key is announced among the records */
  finish(mustKnow: boolean): CheckpointsFound & {
    /** Whether the chain is closed. */
    readonly isSealed: boolean
    readonly problems: readonly ChainProblem[]
  } {
    const unknown = this.#checkWaiting()
    if (mustKnow)
      for (const one of unknown) this.#report(one, 'no record announces the key of this checkpoint')
    if (this.#ring.isPinned) this.#checkTrust(mustKnow ? [] : unknown)
    const trusted = [...this.#signed].flatMap(([kid, signed]) =>
      this.#ring.isTrusted(kid) ? [signed] : [],
    )
    const all = sumOf([...this.#signed.values()])
    const verified = sumOf(trusted)
    const last = latest(trusted.map(({ lastOwn }) => lastOwn))
    const final = latest(trusted.map(({ lastFinal }) => lastFinal))
    return {
      verified,
      untrusted: all - verified,
      unchecked: unknown.length,
      last: last && shownLast(last.checkpoint),
      isSealed: final !== undefined && final.at > this.#partAt,
      problems: this.#problems,
    }
  }

  /** Those whose keys were announced behind them. @returns those whose keys are not known at all */
  #checkWaiting(): Waiting[] {
    const unknown: Waiting[] = []
    for (const one of this.#waiting)
      if (this.#ring.get(one.checkpoint.key) === undefined) unknown.push(one)
      else this.#checkSignature(one)
    this.#waiting = []
    return unknown
  }

  #seeCheckpoint(checkpoint: Checkpoint, line: ChainLine, chain: RecordChain | undefined): void {
    const { task, seq, hash, key } = checkpoint
    const place = task === undefined ? chain : chain?.task
    const isOwn = task === undefined || task === taskIdOf(line.bytes.toString())
    if (!isOwn || place?.seq !== seq + 1 || place.prev !== hash) {
      this.#report(line, 'this checkpoint does not name the record before it')
      return
    }
    const waiting = {
      checkpoint,
      file: line.file,
      line: line.line,
      seq: line.seq,
      at: this.#seen,
    }
    if (this.#ring.get(key) === undefined) this.#waiting.push(waiting)
    else this.#checkSignature(waiting)
  }

  #checkSignature(one: Waiting): void {
    const { checkpoint } = one
    const key = this.#ring.get(checkpoint.key)
    if (key === undefined || !isSignedBy(checkpoint, key)) {
      this.#report(one, 'the signature of this checkpoint does not hold')
      return
    }
    const signed = this.#signed.get(key.kid) ?? {
      count: 0,
      last: one,
      lastOwn: undefined,
      lastFinal: undefined,
    }
    signed.count += 1
    signed.last = later(signed.last, one)
    if (checkpoint.task === this.#task) {
      signed.lastOwn = later(signed.lastOwn, one)
      if (checkpoint.final === true) signed.lastFinal = later(signed.lastFinal, one)
    }
    this.#signed.set(key.kid, signed)
  }

  #checkTrust(unknown: readonly Waiting[]): void {
    const isTrusted = (kid: string): boolean => this.#ring.isTrusted(kid)
    const signed = [...this.#signed]
    const own = signed.map(([kid, { lastOwn }]) => (isTrusted(kid) ? lastOwn : undefined))
    // One of another chain says nothing of what was put between its record and itself.
    const trusted = latest(own)
    const others = signed.flatMap(([kid, { last }]) => (isTrusted(kid) ? [] : [last]))
    const behind = [...others, ...unknown].filter(({ at }) => at > (trusted?.at ?? 0))
    for (const one of behind)
      this.#report(one, 'this checkpoint is signed by a key that no pinned key vouches for')
    if (trusted === undefined && behind.length === 0)
      this.#report(this.#end, 'no checkpoint here is signed by a key that a pinned key vouches for')
  }

  #report({ file, line, seq }: Place, what: string): void {
    if (this.#problems.length < PROBLEMS_MAX) this.#problems.push({ file, line, seq, what })
  }
}

function sumOf(signed: readonly Signed[]): number {
  return signed.reduce((sum, { count }) => sum + count, 0)
}

function later(one: Waiting | undefined, other: Waiting): Waiting {
  return one === undefined || one.at < other.at ? other : one
}

function latest(places: readonly (Waiting | undefined)[]): Waiting | undefined {
  return places.reduce((one, other) => (other === undefined ? one : later(one, other)), undefined)
}

function shownLast({ seq, hash, time, key, final }: Checkpoint): LastCheckpoint {
  return { seq, hash, time, key, final: final === true }
}
