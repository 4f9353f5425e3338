// Whether the lines of a bundle are what was written: each task's own chain, or the journal's for a period, and the signed
// checkpoints that cover them. Pure. Called by `verify-bundle.ts`, and by `write-bundle.ts` to say what is missing.

import type { RecordBody } from '../body.ts'
import { checkpointIn } from '../proof/statements.ts'
import { CHAIN_START, chainOf, lineDigest } from '../journal/chain.ts'
import { isSignedBy, type Checkpoint, type CheckpointKey } from '../proof/checkpoint.ts'

/** How one chain of a bundle stands. */
export interface ChainState {
  /** The task, or `journal`. */
  readonly of: string
  readonly from: number
  readonly to: number
  /** Records at the end that no checkpoint covers. */
  readonly uncovered: number
  /** The last checkpoint that covers it; undefined where none does. */
  readonly coveredBy: Checkpoint | undefined
  readonly isSealed: boolean
}

interface Chain {
  readonly of: string
  readonly from: number
  seq: number
  hash: string
  coveredSeq: number
  coveredBy: Checkpoint | undefined
  isSealed: boolean
  /** The same, whoever signed it. */
  saysSealed: boolean
}

const CHAINS_MAX = 100_000

/** Follows the chains of a bundle's lines. */
export class ChainFollower {
  readonly #byTask: boolean
  readonly #chains: Map<string, Chain> = new Map()
  readonly #keyOf: (kid: string) => CheckpointKey | undefined
  #lastSeq = 0

  /**
   * @param byTask whether each task's own chain is followed, or the journal's
   * @param keyOf the key of an id, where it is trusted
   */
  constructor(byTask: boolean, keyOf: (kid: string) => CheckpointKey | undefined) {
    this.#byTask = byTask
    this.#keyOf = keyOf
  }

  /** Takes the next line. @returns what is wrong with it; undefined where nothing is */
  follow(line: Buffer, { sallyport }: RecordBody): string | undefined {
    const place = chainOf(line)
    if (place === undefined) return 'its end is not that of a record'
    const { seq, prev } = this.#byTask ? (place.task ?? { seq: 0, prev: '' }) : place
    const of = this.#byTask ? (sallyport.task?.id ?? '') : 'journal'
    if (seq === 0) return 'it is in no chain of a task'
    if (place.seq <= this.#lastSeq) return `record ${String(place.seq)} is out of order`
    this.#lastSeq = place.seq
    const hash = lineDigest(line)
    const chain = this.#chains.get(of)
    if (chain === undefined) return this.#begin(of, seq, prev, hash)
    // Of a task whose seal is long past the sidecar forgets how far it was.
    if (seq === 1 && prev === CHAIN_START && chain.saysSealed) return this.#beginAgain(chain, hash)
    const expected = chain.seq + 1
    if (seq > expected)
      return this.#resume(
        chain,
        seq,
        hash,
        `records ${String(expected)} to ${String(seq - 1)} of ${of} are gone`,
      )
    if (seq < expected) return `record ${String(seq)} of ${of} is there twice`
    const isFollowing = prev === chain.hash
    const problem = isFollowing ? this.#cover(chain, sallyport.checkpoint) : undefined
    chain.seq = seq
    chain.hash = hash
    return isFollowing
      ? problem
      : `record ${String(seq - 1)} of ${of} is not the one that was written`
  }

  /** How the chains stand after the last line. */
  states(): ChainState[] {
    return [...this.#chains.values()].map(({ of, from, seq, coveredSeq, coveredBy, isSealed }) => ({
      of,
      from,
      to: seq,
      uncovered: seq - Math.max(coveredSeq, from - 1),
      coveredBy,
      isSealed,
    }))
  }

  #begin(of: string, seq: number, prev: string, hash: string): string | undefined {
    if (this.#chains.size >= CHAINS_MAX) return 'there are too many tasks'
    const chain = {
      of,
      from: seq,
      seq,
      hash,
      coveredSeq: 0,
      coveredBy: undefined,
      isSealed: false,
      saysSealed: false,
    }
    this.#chains.set(of, chain)
    return seq === 1 && prev !== CHAIN_START
      ? `the beginning of ${of} is not its beginning`
      : undefined
  }

  #beginAgain(chain: Chain, hash: string): undefined {
    Object.assign(chain, { seq: 1, hash, coveredSeq: 0, isSealed: false, saysSealed: false })
  }

  #resume(chain: Chain, seq: number, hash: string, problem: string): string {
    chain.seq = seq
    chain.hash = hash
    return problem
  }

  // A checkpoint states the record before its own.
  #cover(chain: Chain, stated: unknown): string | undefined {
    if (stated === undefined) return undefined
    const checkpoint = checkpointIn(stated)
    if (checkpoint === undefined) return 'what it states is no checkpoint'
    const isOfThis = this.#byTask ? checkpoint.task === chain.of : checkpoint.task === undefined
    if (!isOfThis) return this.#byTask ? 'a checkpoint is of another task' : undefined
    if (checkpoint.seq !== chain.seq || checkpoint.hash !== chain.hash)
      return `the checkpoint of record ${String(checkpoint.seq)} of ${chain.of} states another record`
    chain.saysSealed ||= checkpoint.final === true
    const key = this.#keyOf(checkpoint.key)
    if (key === undefined) return undefined
    if (!isSignedBy(checkpoint, key))
      return `the signature of the checkpoint of record ${String(checkpoint.seq)} of ${chain.of} does not hold`
    chain.coveredSeq = checkpoint.seq
    chain.coveredBy = checkpoint
    if (checkpoint.final === true) chain.isSealed = true
    return undefined
  }
}
