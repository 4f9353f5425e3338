// Checks the checkpoints that are found among records: each names the record before it, and is signed by a key that is
// known. Where keys are pinned, the last one has to be signed by one of them or by one that they vouch for; what is before
// that is covered by the chain. Pure. Called by what verifies.

import type { RecordChain } from './body.ts'
import { isSignedBy, type Checkpoint } from './checkpoint.ts'
import type { KeyRing } from './key-ring.ts'
import { taskIdOf } from './line.ts'
import type { Statement } from './statements.ts'
import type { ChainLine, ChainProblem } from './tampering.ts'

/** The last checkpoint of a chain. */
export interface LastCheckpoint {
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
  /** How many could not be checked, as their key is not known. */
  readonly unchecked: number
  /** The last one of the chain that is looked at. */
  readonly last: LastCheckpoint | undefined
}

interface Place {
  readonly file: string
  readonly line: number
  readonly seq: number
}

interface Waiting extends Place {
  readonly checkpoint: Checkpoint
}

/** Sees the statements of one chain's records. */
export class CheckpointCheck {
  readonly #ring: KeyRing
  /** The task whose chain it is. */
  readonly #task: string | undefined
  readonly #problems: ChainProblem[] = []
  /** Signed by keys that have not been announced yet. */
  #waiting: Waiting[] = []
  /** By key, the place of the last checkpoint that it signed. */
  readonly #signed: Map<string, Place> = new Map()
  #verified = 0
  #last: LastCheckpoint | undefined

  /** @param task the task whose own chain it is; undefined: the journal's */
  constructor(ring: KeyRing, task?: string) {
    this.#ring = ring
    this.#task = task
  }

  /** Sees what a line states. @param line with its place in the chain that is looked at */
  see(statement: Statement | undefined, line: ChainLine, chain: RecordChain | undefined): void {
    if (statement === undefined) return
    if (statement.kind === 'malformed') this.#report(line, 'what this record states is not whole')
    else if (statement.kind === 'key') {
      if (!this.#ring.add(statement.announcement))
        this.#report(line, 'the signatures of the key that this record announces do not hold')
    } else if (statement.kind === 'checkpoint')
      this.#seeCheckpoint(statement.checkpoint, line, chain)
  }

  /** Says what came of it. @param mustKnow whether every key is announced among the records */
  finish(mustKnow: boolean): CheckpointsFound & { readonly problems: readonly ChainProblem[] } {
    const waiting = this.#waiting
    this.#waiting = []
    let unchecked = 0
    for (const one of waiting) {
      if (this.#ring.get(one.checkpoint.key) !== undefined) this.#checkSignature(one)
      else if (mustKnow) this.#report(one, 'no record announces the key of this checkpoint')
      else unchecked += 1
    }
    if (this.#ring.isPinned) this.#checkTrust()
    return { verified: this.#verified, unchecked, last: this.#last, problems: this.#problems }
  }

  #seeCheckpoint(checkpoint: Checkpoint, line: ChainLine, chain: RecordChain | undefined): void {
    const { task, seq, hash, time, key } = checkpoint
    const place = task === undefined ? chain : chain?.task
    const isOwn = task === undefined || task === taskIdOf(line.bytes.toString())
    if (!isOwn || place?.seq !== seq + 1 || place.prev !== hash) {
      this.#report(line, 'this checkpoint does not name the record before it')
      return
    }
    if (task === this.#task) this.#last = { seq, hash, time, key, final: checkpoint.final === true }
    const waiting = { checkpoint, file: line.file, line: line.line, seq: line.seq }
    if (this.#ring.get(key) === undefined) this.#waiting.push(waiting)
    else this.#checkSignature(waiting)
  }

  #checkSignature({ checkpoint, ...place }: Waiting): void {
    const key = this.#ring.get(checkpoint.key)
    if (key === undefined || !isSignedBy(checkpoint, key)) {
      this.#report(place, 'the signature of this checkpoint does not hold')
      return
    }
    this.#verified += 1
    const before = this.#signed.get(key.kid)
    if (before === undefined || before.seq < place.seq) this.#signed.set(key.kid, place)
  }

  #checkTrust(): void {
    let trusted = 0
    for (const [kid, { seq }] of this.#signed)
      if (this.#ring.isTrusted(kid)) trusted = Math.max(trusted, seq)
    for (const [kid, place] of this.#signed) {
      if (this.#ring.isTrusted(kid) || place.seq < trusted) continue
      this.#report(place, 'this checkpoint is signed by a key that no pinned key vouches for')
    }
  }

  #report({ file, line, seq }: Place, what: string): void {
    this.#problems.push({ file, line, seq, what })
  }
}
