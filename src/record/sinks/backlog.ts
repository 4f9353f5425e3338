// How far one sink is behind in bytes of the journal, and what follows where that is too far: new calls wait, or the sink
// skips. Reads directory entries only when the journal is nearly full. Called by `feed.ts`.

import type { JournalPlace } from '../read/reader.ts'
import { reserveBytes } from '../journal/retention.ts'
import { listSegments } from '../journal/segments.ts'
import type { JournalHead } from '../journal/writer.ts'
import type { SinkGate } from './gate.ts'

/** What bounds a sink's backlog. */
export interface BacklogOptions {
  /** Bytes of the journal behind the cursor, at the most. */
  readonly bytesMax: number
  readonly onFull: 'deny' | 'drop-with-gap-record'
  readonly gate: SinkGate
  /** Of the journal, for the sink that skips before the journal is full because of it. */
  readonly journal: { readonly maxBytes: number; readonly retainMs: number }
}

/** What a backlog sees of the journal. */
interface MeasuredJournal {
  readonly dir: string
  readonly head: JournalHead
  readonly stats: { readonly bytes: number }
}

/** Of what the journal may hold: beyond that it would refuse calls before the sink has its say. */
const JOURNAL_SHARE_MAX = 0.75
/** For each sink that may skip: several times what it makes the journal longer by when it tells a gap. */
const SKIPPING_BYTES_MIN = 8192
/** Calls are refused until so much of the bound is reached from above. */
const DRAINED = 0.9
/** What is left of the bound after a skip. */
const KEPT = 0.5
/** How full the journal may be before a sink that holds its oldest segment back skips. */
const JOURNAL_FULL = 0.9

/**
 * How far a sink may be behind, bytes. Every sink gets the record of every gap: bounds that were small for the number of
 * sinks that may skip would let these make one another skip for ever.
 * @param wanted as it is configured
 * @param skipping how many sinks of the sidecar may skip
 */
export function backlogBytesMax(wanted: number, journalBytesMax: number, skipping: number): number {
  return Math.max(
    Math.min(wanted, journalBytesMax * JOURNAL_SHARE_MAX),
    skipping * SKIPPING_BYTES_MIN,
  )
}

/** The bytes behind one sink's cursor. */
export class Backlog {
  readonly #name: string
  readonly #options: BacklogOptions | undefined
  readonly #journal: MeasuredJournal
  readonly #now: () => number
  /** Where the sink is, on the scale of the journal's written bytes. */
  #readAt = 0
  #isFull = false

  constructor(
    name: string,
    options: BacklogOptions | undefined,
    journal: MeasuredJournal,
    now: () => number,
  ) {
    this.#name = name
    this.#options = options
    this.#journal = journal
    this.#now = now
  }

  /** Bytes of the journal behind the cursor. */
  get bytes(): number {
    return Math.max(0, this.#journal.head.written - this.#readAt)
  }

  /** The bound. */
  get bytesMax(): number {
    return this.#options?.bytesMax ?? Infinity
  }

  /** Whether the bound was reached, and the sink is not back below it yet. */
  get isFull(): boolean {
    return this.#isFull
  }

  /** Whether new calls are refused because of it. */
  get isDenying(): boolean {
    return this.#isFull && this.#options?.onFull === 'deny'
  }

  /** Measures anew from a place. */
  measure({ firstSeq, offset }: JournalPlace): void {
    const { dir, head } = this.#journal
    let bytes = -offset
    for (const segment of listSegments(dir)) {
      if (segment.firstSeq < firstSeq) continue
      bytes += segment.firstSeq === head.firstSeq ? head.bytes : segment.bytes
    }
    this.#readAt = head.written - Math.max(0, bytes)
    this.check()
  }

  /** Notes that the cursor moved on by some bytes. */
  advance(bytes: number): void {
    this.#readAt += bytes
    this.check()
  }

  /** Holds new calls back, or lets them go, as the backlog stands now; quick, because the journal waits for it. */
  check(): void {
    if (this.#options === undefined) return
    const { bytesMax, onFull, gate } = this.#options
    const wasFull = this.#isFull
    this.#isFull = this.bytes >= (wasFull ? bytesMax * DRAINED : bytesMax)
    if (wasFull === this.#isFull) return
    const hold = onFull === 'deny' ? 'all' : 'regulated'
    gate.hold(this.#name, this.#isFull ? hold : undefined)
  }

  /** Holds nothing back any more: its sink ends. */
  end(): void {
    this.#options?.gate.hold(this.#name, undefined)
  }

  /** How many bytes a sink that may skip has to skip now; 0 for none. */
  bytesToSkip(place: JournalPlace): number {
    const options = this.#options
    if (options?.onFull !== 'drop-with-gap-record') return 0
    if (this.bytes >= options.bytesMax) return this.bytes - options.bytesMax * KEPT
    return this.#bytesHeldBack(place, options)
  }

  /** What is left of the segment that the journal would delete but for this sink. */
  #bytesHeldBack(
    { firstSeq, offset }: JournalPlace,
    { gate, journal: { maxBytes, retainMs } }: BacklogOptions,
  ): number {
    const { stats, dir } = this.#journal
    if (stats.bytes < (maxBytes - reserveBytes(maxBytes)) * JOURNAL_FULL) return 0
    const segments = listSegments(dir)
    // The one that the cursor stands at the end of may be gone.
    const at = segments.findIndex(
      (segment) =>
        segment.firstSeq > firstSeq || (segment.firstSeq === firstSeq && segment.bytes > offset),
    )
    const segment = segments[at]
    const next = segments[at + 1]
    if (segment === undefined || next === undefined) return 0
    const isKept = segment.writtenAt >= this.#now() - retainMs
    const isHeldByOthers = gate.slowestBut(this.#name) < next.firstSeq - 1
    if (isKept || isHeldByOthers) return 0
    return segment.firstSeq === firstSeq ? segment.bytes - offset : segment.bytes
  }
}
