// Finds where a chain breaks and says what was done there. A break shows only that two neighbours disagree; which of
// them is wrong is told by the lines that follow. Pure; called by what verifies.

import { CHAIN_START, lineDigest, withPrev, type ChainScope } from '../journal/chain.ts'

/** One thing that is wrong. */
export interface ChainProblem {
  /** Name of the segment. */
  readonly file: string
  /** Line within it, from 1. */
  readonly line: number
  /** Sequence number of the first record concerned. */
  readonly seq: number
  /** One sentence without a full stop. */
  readonly what: string
}

/** A line of a journal as the chain sees it. */
export interface ChainLine {
  /** Name of its segment. */
  readonly file: string
  /** From 1. */
  readonly line: number
  /** -1 where the line does not end as a record does. */
  readonly seq: number
  readonly prev: string
  readonly hash: string
  readonly bytes: Buffer
  /** Whether it ends in a newline. */
  readonly isWhole: boolean
  /** For the first line of a segment: the sequence number in the segment's name. */
  readonly begins: number | undefined
}

const PROBLEMS_MAX = 100
/** Gaps to which a record may still turn out to belong. */
const GAPS_REMEMBERED = 1000
/** Lines looked at to find where a broken chain goes on. */
const WINDOW_LINES = 64

/** How a chain is followed. */
export interface FollowOptions {
  /** The number of the first record; undefined: whatever the first one says. */
  readonly from: number | undefined
  /** Which chain of its lines it is. */
  readonly scope: ChainScope
  /** Records may have been left out on purpose: what is missing is counted, and links are checked between neighbours. */
  readonly allowsGaps: boolean
}

/** What following a chain showed. */
export interface Followed {
  /** Every break, in order; at most 100. */
  readonly problems: readonly ChainProblem[]
  /** Places where records were left out, and how many in all; 0 unless that is allowed. */
  readonly gaps: { readonly count: number; readonly records: number }
}

/** Follows lines to their end, or to the hundredth break. */
export function followChain(lines: Iterable<ChainLine>, options: FollowOptions): Followed {
  return new ChainFollower(lines, options).follow()
}

type Problem = { -readonly [K in keyof ChainProblem]: ChainProblem[K] }

class ChainFollower {
  readonly #source: Iterator<ChainLine>
  readonly #ahead: ChainLine[] = []
  readonly #options: FollowOptions
  readonly #problems: Problem[] = []
  /** Sequence numbers that were skipped, and the problem that says so: they may turn up later. */
  readonly #missing: { from: number; to: number; problem: Problem }[] = []
  /** Genuine lines that stood too early, by sequence number. */
  readonly #displaced = new Map<number, ChainLine>()
  #last: ChainLine | undefined
  #gaps = 0
  #leftOut = 0
  #expected: number
  /** Undefined before the first line of a journal whose beginning retention took. */
  #hash: string | undefined

  constructor(lines: Iterable<ChainLine>, options: FollowOptions) {
    this.#source = lines[Symbol.iterator]()
    this.#options = options
    this.#expected = options.from ?? this.#firstSeq()
    this.#hash = this.#expected === 1 ? CHAIN_START : undefined
  }

  follow(): Followed {
    while (this.#problems.length < PROBLEMS_MAX) {
      this.#skipDisplaced()
      const line = this.#peek(0)
      if (line === undefined) break
      if (this.#fits(line)) this.#accept()
      else this.#explainBreak(line)
    }
    return { problems: this.#problems, gaps: { count: this.#gaps, records: this.#leftOut } }
  }

  #firstSeq(): number {
    for (let line = this.#peek(0); line !== undefined; line = this.#peek(0)) {
      if (line.seq > 0) return line.seq
      this.#report(line, line.seq, 'this line does not end as a record does: edited')
      this.#ahead.shift()
    }
    return 1
  }

  #peek(index: number): ChainLine | undefined {
    while (this.#ahead.length <= index) {
      const next = this.#source.next()
      if (next.done === true) return undefined
      this.#ahead.push(next.value)
    }
    return this.#ahead[index]
  }

  #fits(line: ChainLine): boolean {
    return line.seq === this.#expected && (this.#hash === undefined || line.prev === this.#hash)
  }

  #links(line: ChainLine, next: ChainLine | undefined): boolean {
    if (next === undefined) return line.seq > 0
    if (next.seq === line.seq + 1) return next.prev === line.hash
    return this.#options.allowsGaps && line.seq > 0 && next.seq > line.seq
  }

  #accept(): void {
    const line = this.#ahead.shift()
    if (line === undefined) return
    if (!line.isWhole) this.#report(line, line.seq, 'the newline behind this record is missing')
    if (line.begins !== undefined && line.begins !== line.seq) {
      this.#report(
        line,
        line.seq,
        `the segment is named for record ${String(line.begins)}: renamed`,
      )
    }
    this.#goOnBehind(line)
  }

  #goOnBehind(line: ChainLine): void {
    this.#last = line
    this.#expected = line.seq + 1
    this.#hash = line.hash
  }

  /** A record that was reported as standing too early is not missing at its own place. */
  #skipDisplaced(): void {
    for (
      let line = this.#displaced.get(this.#expected);
      line !== undefined && line.prev === this.#hash;
      line = this.#displaced.get(this.#expected)
    ) {
      this.#displaced.delete(line.seq)
      this.#goOnBehind(line)
    }
  }

  #explainBreak(line: ChainLine): void {
    const { again, goesOn } = this.#findResumption()
    if (goesOn && again > 0) this.#explainForeign(this.#ahead.splice(0, again))
    else if (again === 0) this.#explainNeighbours(line)
    else if (again > 0) this.#explainEdited(this.#ahead.splice(0, again))
    else this.#explainRuin(line)
  }

  /** The nearest line that goes on where the chain broke, else the nearest one that agrees with the line behind it. */
  #findResumption(): { again: number; goesOn: boolean } {
    let again = -1
    for (let index = 0; index < WINDOW_LINES; index++) {
      const line = this.#peek(index)
      if (line === undefined) break
      if (this.#fits(line)) return { again: index, goesOn: true }
      if (again < 0 && this.#links(line, this.#peek(index + 1))) again = index
      // A tampered line at the place of the expected one is told from an inserted one by what follows at once.
      if (again === 0 || (again === 1 && this.#peek(1)?.seq === this.#expected + 1)) break
    }
    return { again, goesOn: false }
  }

  /** Lines stand between two that agree: strangers, or records from elsewhere in the journal. */
  #explainForeign(foreign: readonly ChainLine[]): void {
    for (const line of foreign) {
      const at = this.#missing.find(({ from, to }) => line.seq >= from && line.seq <= to)
      if (at !== undefined) this.#explainReturn(at.problem, line)
      else if (line.seq > this.#expected && this.#isWanted(line)) {
        this.#displaced.set(line.seq, line)
        this.#report(line, line.seq, 'this record stands before its place: reordered')
      } else this.#report(line, line.seq, 'this line is not part of the chain: inserted')
    }
  }

  #isWanted(line: ChainLine): boolean {
    for (let index = 0; index < WINDOW_LINES; index++) {
      const other = this.#peek(index)
      if (other === undefined) return false
      if (other.seq === line.seq + 1) return other.prev === line.hash
    }
    return false
  }

  #explainReturn(problem: Problem, line: ChainLine): void {
    if (!this.#problems.includes(problem)) this.#problems.push(problem)
    problem.what = `record ${String(line.seq)} stands at ${line.file}:${String(line.line)} instead of here: reordered`
  }

  /** The line agrees with what follows, but not with what came before. */
  #explainNeighbours(line: ChainLine): void {
    const last = this.#last
    const expected = this.#expected
    if (line.seq > expected) {
      this.#explainGap(line)
    } else if (line.seq === expected) {
      if (last === undefined) this.#report(line, line.seq, 'the chain does not begin here: edited')
      else this.#report(last, last.seq, 'this record was edited: the next one names another hash')
    } else {
      const at = this.#missing.find(({ from, to }) => line.seq >= from && line.seq <= to)
      if (at !== undefined) this.#explainReturn(at.problem, line)
      else if (last?.seq === line.seq && last.prev === line.prev && this.#peek(1) !== undefined) {
        // Two records claim one place; the line behind them agrees with the second.
        this.#report(last, last.seq, 'this line is not part of the chain: inserted')
        this.#ahead.shift()
        this.#goOnBehind(line)
        return
      } else this.#report(line, line.seq, 'this line repeats a sequence number: inserted')
      this.#ahead.shift()
      return
    }
    this.#ahead.shift()
    this.#goOnBehind(line)
  }

  #explainGap(line: ChainLine): void {
    const from = this.#expected
    const to = line.seq - 1
    const records =
      from === to ? `record ${String(from)} is` : `records ${String(from)} to ${String(to)} are`
    const how =
      line.begins === undefined
        ? 'missing here: dropped'
        : 'missing here: the segment was cut off, or a segment is missing'
    const place = this.#last ?? line
    const problem = { file: place.file, line: place.line, seq: from, what: `${records} ${how}` }
    if (this.#options.allowsGaps) {
      this.#gaps += 1
      this.#leftOut += to - from + 1
    } else this.#problems.push(problem)
    this.#missing.push({ from, to, problem })
    if (this.#missing.length > GAPS_REMEMBERED) this.#missing.shift()
  }

  /** Lines that agree neither with what came before nor with what follows. */
  #explainEdited(edited: readonly ChainLine[]): void {
    const first = edited[0]
    const next = this.#peek(0)
    if (first === undefined || next === undefined) return
    const expected = this.#expected
    const last = this.#last
    if (first.seq === expected && last !== undefined && this.#isBehindEdited(first, next)) {
      this.#report(last, last.seq, 'this record or the next one, or both, were edited')
    } else if (this.#options.allowsGaps && first.seq > next.seq) {
      this.#report(first, next.seq, 'this record stands before its place: reordered')
    } else if (!first.isWhole) {
      this.#report(first, expected, 'this record and what followed it in its segment are cut off')
    } else if (next.seq > expected + edited.length) {
      this.#report(
        first,
        expected,
        `from here to record ${String(next.seq - 1)}: edited and dropped`,
      )
    } else {
      this.#report(first, expected, 'this record was edited')
    }
    this.#ahead.shift()
    this.#goOnBehind(next)
  }

  /** Whether more is wrong with a line than the hash that it names of the one before. */
  #isBehindEdited(line: ChainLine, next: ChainLine): boolean {
    if (this.#hash === undefined || line.prev === this.#hash) return false
    return lineDigest(withPrev(line.bytes, this.#hash, this.#options.scope)) !== next.prev
  }

  #explainRuin(line: ChainLine): void {
    this.#report(line, this.#expected, 'from here on nothing fits together: edited')
    this.#ahead.splice(0, WINDOW_LINES)
    const next = this.#peek(0)
    this.#last = undefined
    this.#hash = undefined
    this.#expected = next?.seq ?? this.#expected
  }

  #report(line: ChainLine, seq: number, what: string): Problem {
    const problem = { file: line.file, line: line.line, seq, what }
    this.#problems.push(problem)
    return problem
  }
}
