// An anchor: a checkpoint, or a place in a chain, that somebody kept elsewhere. What is before it must be there, and must be
// what it was. Reads anchors as people keep them, and follows a chain past the places that one names. Pure. Called by what
// verifies.

import { chainOf, lineDigest } from '../journal/chain.ts'
import { isSignedBy, type Checkpoint } from './checkpoint.ts'
import type { KeyRing } from './key-ring.ts'
import { checkpointIn, memberOf, parsed } from './statements.ts'
import type { ChainLine, ChainProblem } from './tampering.ts'

/** A record that must be there. */
export interface AnchorPoint {
  readonly seq: number
  /** Lower-case hex SHA-256 of its line. */
  readonly hash: string
}

/** What must be there. */
export interface Anchor {
  /** The task in whose own chain the points are; absent: in the journal's. */
  readonly task: string | undefined
  /** In the order of the chain, at least one: the record that a checkpoint names, and where it is known its own. */
  readonly points: readonly AnchorPoint[]
  /** The checkpoint that it is; absent: a bare place. */
  readonly checkpoint: Checkpoint | undefined
}

const INLINE = /^([1-9]\d{0,15}):(?:sha256:)?([0-9a-f]{64})$/

/**
 * Reads an anchor: `SEQ:HASH`, the line of a record with a checkpoint, the checkpoint itself, or what holds it as its member
 * `checkpoint`. Undefined where it is none.
 * @param task the task whose chain a bare place is in
 */
export function anchorOf(text: string, task?: string): Anchor | undefined {
  const trimmed = text.trim()
  const [, seq, hash] = INLINE.exec(trimmed) ?? []
  if (seq !== undefined && hash !== undefined)
    return { task, points: [{ seq: Number(seq), hash }], checkpoint: undefined }
  const value = parsed(trimmed)
  const ofRecord = checkpointIn(memberOf(memberOf(value, 'sallyport'), 'checkpoint'))
  const checkpoint = ofRecord ?? checkpointIn(value) ?? checkpointIn(memberOf(value, 'checkpoint'))
  if (checkpoint === undefined) return undefined
  const named = { seq: checkpoint.seq, hash: checkpoint.hash }
  const own = ofRecord === undefined ? undefined : ownPoint(Buffer.from(trimmed), checkpoint.task)
  const points = (own === undefined ? [named] : [named, own]).filter((point) => point.seq > 0)
  // One that names no record proves nothing.
  return points.length === 0 ? undefined : { task: checkpoint.task, points, checkpoint }
}

/** Where the record that brings the checkpoint stands itself. */
function ownPoint(line: Buffer, task: string | undefined): AnchorPoint | undefined {
  const chain = chainOf(line)
  const place = task === undefined ? chain : chain?.task
  return place && { seq: place.seq, hash: lineDigest(line) }
}

/** Looks for an anchor's points in a chain as its lines go by. */
export class AnchorCheck {
  readonly #anchor: Anchor
  readonly #found: Set<AnchorPoint> = new Set()
  #problems: ChainProblem[] = []
  #first: ChainLine | undefined
  #last: ChainLine | undefined
  #isPast = false

  constructor(anchor: Anchor) {
    this.#anchor = anchor
  }

  /** Tells that the numbers of the chain begin again at 1. */
  beginAgain(): void {
    this.#isPast ||= this.isFound
    if (this.#isPast) return
    this.#found.clear()
    this.#problems = []
    this.#last = undefined
  }

  /** Sees the next line of the chain. @param line with its place in that chain */
  see(line: ChainLine): void {
    if (line.seq <= 0 || this.#isPast) return
    this.#first ??= line
    if (this.#last === undefined || line.seq > this.#last.seq) this.#last = line
    for (const point of this.#anchor.points) {
      if (point.seq === line.seq) this.#compare(point, line.hash, line)
      // Of a record that is not here the one behind it names the hash.
      else if (point.seq === line.seq - 1 && !this.#found.has(point))
        this.#compare(point, line.prev, line)
    }
  }

  /** Whether every point was found as it must be. */
  get isFound(): boolean {
    const { points } = this.#anchor
    return points.every((point) => this.#found.has(point)) && this.#problems.length === 0
  }

  /**
   * What speaks against the anchor, or against the records.
   * @param isComplete whether nothing was left out on purpose
   * @param ring keys that its own signature is checked with, where it has one and they are known
   */
  finish(isComplete: boolean, ring: KeyRing): ChainProblem[] {
    const { points, checkpoint } = this.#anchor
    const last = this.#last
    const end = points.at(-1)?.seq ?? 0
    const reached = last?.seq ?? 0
    const wrong = checkpoint && findWrongSignature(checkpoint, ring)
    if (wrong !== undefined)
      this.#problems.push({ file: '', line: 0, seq: checkpoint?.seq ?? end, what: wrong })
    if (reached < end && !this.#isPast) {
      const gone = { from: reached + 1, to: end }
      this.#problems.push({
        file: last?.file ?? '',
        line: last?.line ?? 0,
        seq: gone.from,
        what: `truncated: ${recordsOf(gone.from, gone.to)} gone`,
      })
    } else if (isComplete && !this.isFound && this.#problems.length === 0) {
      const point = points.find((one) => !this.#found.has(one))
      const first = this.#first
      this.#problems.push({
        file: first?.file ?? '',
        line: first?.line ?? 0,
        seq: point?.seq ?? end,
        what: `the record that the anchor names is not here: the first is ${String(first?.seq ?? 0)}`,
      })
    }
    return this.#problems
  }

  #compare(point: AnchorPoint, hash: string, { file, line }: ChainLine): void {
    if (hash === point.hash) this.#found.add(point)
    else if (!this.#problems.some(({ seq }) => seq === point.seq)) {
      const what = 'this is not the record that the anchor names: the chain up to it was rewritten'
      this.#problems.push({ file, line, seq: point.seq, what })
    }
  }
}

function findWrongSignature(checkpoint: Checkpoint, ring: KeyRing): string | undefined {
  const key = ring.get(checkpoint.key)
  if (key !== undefined && !isSignedBy(checkpoint, key))
    return 'the signature of the anchor itself does not hold'
  if (ring.isPinned && !ring.isTrusted(checkpoint.key))
    return 'the anchor itself is signed by a key that no pinned key vouches for'
  return undefined
}

function recordsOf(from: number, to: number): string {
  return from === to ? `record ${String(from)} is` : `records ${String(from)} to ${String(to)} are`
}
