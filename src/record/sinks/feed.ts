// Feeds one sink from the journal: reads behind a durable cursor, in batches, at least once and in order, and keeps trying
// for as long as it takes. Never in the way of the journal: it only reads its files. How a batch is delivered is a `Deliver`;
// how far a sink may be behind is `backlog.ts`, what it does not get is `skip.ts`. Started by `config/`, closed by `sidecar.ts`.

import { chainOf } from '../journal/chain.ts'
import { JournalReader } from '../read/reader.ts'
import { backOffMs, type Setback } from './back-off.ts'
import { Backlog } from './backlog.ts'
import { cursorPath, loadCursor, saveCursor, type SinkCursor } from './cursor.ts'
import type { Deliver, Delivery, SinkRecord } from './delivery.ts'
import { lineFilter } from './filter.ts'
import type { FeedOptions, SinkStats } from './feed-options.ts'
import { Pending } from './pending.ts'
import { refusalRecord, refusedAs, type Refused } from './refusals.ts'
import { gapRecord, planSkip } from './skip.ts'
import { startCounts } from './sink-counts.ts'
import { startingPlace } from './start.ts'
import { Waits } from './waits.ts'

export type { FeedOptions, SinkStats } from './feed-options.ts'

/** How long a first record waits for company; with the delivery it must stay far below a second. */
const GATHER_MS = 100
/** What is read for a batch is measured by the records that are usual: what is read beyond the batch is read again. */
const RECORD_BYTES = 2048
const BATCH_BYTES_MIN = 64 * 1024
/** A single record up to this size that is too large for a receiver says that the receiver is set up wrongly. */
const RECORD_BYTES_TAKEN = 16 * 1024

/** One sink's way through the journal. */
export class SinkFeed {
  readonly #options: FeedOptions
  readonly #deliver: Deliver
  readonly #reader: JournalReader
  readonly #accepts: (line: Buffer) => boolean
  readonly #path: string
  readonly #backlog: Backlog
  readonly #stop = new AbortController()
  readonly #waits = new Waits(this.#stop.signal)
  readonly #unsubscribe: () => void
  readonly #running: Promise<void>
  #cursor: SinkCursor
  #pending: Pending | undefined
  #recordsMax: number
  /** A skip found a record in its way that must not be skipped, at this cursor. */
  #blockedAt: number | undefined
  #isDraining = false
  #behindSince: number | undefined
  #attempt = 0
  /** When the next attempt may be made, epoch milliseconds. */
  #retryAt = 0
  /** Something was no JSON: a line of the journal, perhaps. */
  #isSuspicious = false
  readonly #counts = startCounts()

  constructor(options: FeedOptions, deliver: Deliver) {
    const { name, journal, limits, stateDir, now, backlog } = options
    this.#options = options
    this.#deliver = deliver
    this.#reader = new JournalReader(journal.dir)
    this.#accepts = lineFilter(options.all === true, options.filter)
    this.#recordsMax = limits.sinkBatchMax
    this.#path = cursorPath(stateDir, name)
    this.#cursor = startingPlace(options, loadCursor(this.#path))
    this.#backlog = new Backlog(name, backlog, journal, now)
    this.#backlog.measure(this.#cursor)
    this.#tellPassed()
    this.#noticeWritten()
    this.#unsubscribe = journal.onWritten(() => this.#noticeWritten())
    this.#running = this.#run()
  }

  /** Numbers as of now. */
  get stats(): SinkStats {
    const { name, journal, now } = this.#options
    const lagMs = this.#behindSince === undefined ? 0 : now() - this.#behindSince
    return {
      name,
      backlog: Math.max(0, journal.head.seq - this.#cursor.seq),
      backlogBytes: this.#backlog.bytes,
      isDenying: this.#backlog.isDenying,
      isFull: this.#backlog.isFull,
      lagMs: Math.max(0, lagMs),
      ...this.#counts,
    }
  }

  /** Delivers what is there, for so long at the most, and stops; the rest is delivered after the next start. */
  async close(deadlineMs = 2000): Promise<void> {
    // What was appended within this turn of the event loop is written at its end.
    await new Promise((resolve) => setImmediate(resolve))
    this.#isDraining = true
    this.#waits.wake()
    if (this.#waits.isBackingOff) this.#stop.abort()
    const timer = setTimeout(() => this.#stop.abort(), deadlineMs)
    await this.#running
    clearTimeout(timer)
    this.#unsubscribe()
    this.#backlog.end()
    await this.#reader.close()
  }

  #noticeWritten(): void {
    this.#backlog.check()
    if (this.#options.journal.head.seq <= this.#cursor.seq) return
    this.#behindSince ??= this.#options.now()
    this.#waits.wake()
    // What has to be skipped does not wait until a dead receiver is asked again.
    if (this.#waits.isBackingOff && this.#bytesToSkip() > 0) this.#waits.cutBackOff()
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      try {
        const waitMs = this.#retryAt - this.#options.now()
        if (waitMs > 0) await this.#waits.backOff(waitMs)
        await this.#tellGaps()
        for (let bytes = this.#bytesToSkip(); bytes > 0; bytes = this.#bytesToSkip())
          await this.#skip(bytes)
        // A skip does not bring the next attempt forward.
        if (this.#retryAt > this.#options.now()) continue
        const waiting = this.#options.journal.head.seq - this.#cursor.seq
        if (waiting <= 0) {
          if (this.#isDraining) return
          await this.#waits.forRecords()
          continue
        }
        const isEarly = waiting < this.#recordsMax && this.#attempt === 0 && !this.#isDraining
        const ageMs = this.#options.now() - (this.#behindSince ?? 0)
        if (isEarly && ageMs < GATHER_MS) await this.#waits.forMs(GATHER_MS - Math.max(0, ageMs))
        await this.#deliverNext()
      } catch (error) {
        if (signal.aborted) return
        this.#counts.failures += 1
        this.#isSuspicious = error instanceof SyntaxError
        this.#backOff({ outcome: 'later' }, error)
      }
    }
  }

  async #deliverNext(): Promise<void> {
    const pending = (this.#pending ??= await this.#readNext())
    if (this.#isSuspicious) await this.#passDamaged(pending)
    const piece = pending.first(this.#recordsMax)
    if (piece.length > 0) {
      this.#behindSince = pending.since ?? this.#options.now()
      const delivery = await this.#deliver(piece, this.#stop.signal)
      await this.#settle(delivery, pending, piece)
      if (!pending.isEmpty) return
    }
    this.#advance(pending.cursor, pending.bytes)
    this.#attempt = 0
    this.#recordsMax = Math.min(this.#recordsMax * 2, this.#options.limits.sinkBatchMax)
    this.#pending = undefined
  }

  async #readNext(): Promise<Pending> {
    const { journal, limits, name, log } = this.#options
    const { sinkBatchBytesMax = Infinity } = limits
    const usualBytes = Math.max(BATCH_BYTES_MIN, this.#recordsMax * RECORD_BYTES)
    const bytesMax = Math.min(sinkBatchBytesMax, usualBytes)
    const read = await this.#reader.read(this.#cursor, this.#recordsMax, journal.head, bytesMax)
    const first = read.lines[0]
    if (first === undefined) throw new Error('the journal is shorter than it was')
    const firstSeq = chainOf(first)?.seq
    if (firstSeq !== this.#cursor.seq + 1) {
      log.error({ sink: name, after: this.#cursor.seq, next: firstSeq }, 'records are missing')
      this.#backlog.measure(this.#cursor)
    }
    return new Pending(read, this.#cursor.seq, this.#accepts)
  }

  /** What a delivery came to; what is left of it is tried again. */
  async #settle(delivery: Delivery, pending: Pending, piece: readonly SinkRecord[]): Promise<void> {
    if (delivery.outcome === 'smaller') return this.#divide(pending, piece)
    if (delivery.outcome === 'refused') {
      this.#counts.refusals += 1
      // Read again, with what has come by then: beside others it may show that it is a record and not the receiver.
      if (pending.taken.size === 0) this.#pending = undefined
      return this.#backOff(delivery)
    }
    const refused = delivery.refused ?? []
    const gone = new Set(refused.map(({ seq }) => seq))
    const left = delivery.outcome === 'taken' ? [] : (delivery.left ?? piece)
    const leftSeqs = new Set(left.map(({ seq }) => seq).filter((seq) => !gone.has(seq)))
    const settled = piece.filter(({ seq }) => !leftSeqs.has(seq))
    const { refusedCount: unnamed = 0, detail } = delivery
    await this.#tellRefused({ named: refused, unnamed, detail }, piece)
    pending.settle(settled)
    this.#counts.sent -= unnamed
    for (const { seq, line } of settled) {
      if (gone.has(seq)) continue
      this.#counts.sent += 1
      this.#counts.sentBytes += line.length + 1
    }
    if (settled.length > 0) this.#attempt = 0
    if (delivery.outcome === 'taken') return undefined
    this.#counts.failures += 1
    return this.#backOff(delivery)
  }

  async #divide(pending: Pending, piece: readonly SinkRecord[]): Promise<void> {
    const [first] = piece
    if (piece.length > 1 || first === undefined) {
      this.#recordsMax = Math.ceil(piece.length / 2)
      return undefined
    }
    if (first.line.length <= RECORD_BYTES_TAKEN) {
      this.#counts.refusals += 1
      return this.#backOff({ outcome: 'refused' })
    }
    // The code in the sandbox makes records long: none of them may stop those behind it.
    await this.#tellRefused(refusedAs('too large', piece), piece)
    pending.settle(piece)
    return undefined
  }

  async #tellRefused(refused: Refused, piece: readonly SinkRecord[]): Promise<void> {
    const count = refused.named.length + refused.unnamed
    if (count === 0) return
    const { name, journal, now, log } = this.#options
    const record = refusalRecord(name, refused, piece, now())
    if (record !== undefined) await journal.append(record)
    this.#counts.refusedRecords += count
    log.warn({ sink: name, count }, 'sink refuses records for good')
  }

  /** What the disk has damaged cannot be told to anybody: it is named instead, and does not stop what is behind it. */
  async #passDamaged(pending: Pending): Promise<void> {
    const damaged = pending.damaged()
    await this.#tellRefused(refusedAs('damaged in the journal', damaged), damaged)
    pending.settle(damaged)
    this.#isSuspicious = false
  }

  #bytesToSkip(): number {
    return this.#blockedAt === this.#cursor.seq ? 0 : this.#backlog.bytesToSkip(this.#cursor)
  }

  /** The cursor moves together with what has to be told, and what has to be told is told before anything else is delivered. */
  async #skip(bytes: number): Promise<void> {
    const { name, journal, log, now } = this.#options
    const skip = await planSkip(this.#reader, {
      sinkName: name,
      cursor: this.#cursor,
      end: journal.head,
      bytes,
      accepts: this.#accepts,
      taken: this.#pending?.taken ?? new Set(),
      now: now(),
    })
    if (skip.isBlocked || skip.bytes === 0) this.#blockedAt = skip.cursor.seq
    if (skip.bytes === 0) return
    this.#advance({ ...skip.cursor, gaps: skip.gaps }, skip.bytes)
    this.#pending = undefined
    this.#counts.skippedRecords += skip.count
    for (const { from, to, count } of skip.gaps)
      log.error({ sink: name, from, to, count }, 'sink skips records')
    await this.#tellGaps()
  }

  async #tellGaps(): Promise<void> {
    const { name, journal, now } = this.#options
    const [gap, ...others] = this.#cursor.gaps ?? []
    if (gap === undefined) return
    await journal.append(gapRecord(name, gap, now()))
    this.#counts.gaps += 1
    this.#advance({ ...this.#cursor, gaps: others }, 0)
    await journal.deleteExpired()
    await this.#tellGaps()
  }

  #backOff(delivery: Setback, error?: unknown): void {
    const { name, log, now } = this.#options
    if (this.#attempt === 0) {
      const { outcome, afterMs, detail } = delivery
      const told = { sink: name, backlog: this.stats.backlog, afterMs, detail, err: error }
      if (outcome === 'later') log.warn(told, 'sink does not take records; trying on')
      else log.error(told, 'sink refuses records; trying on slowly')
    }
    if (this.#isDraining) this.#stop.abort()
    this.#retryAt = now() + backOffMs(delivery, this.#attempt)
    this.#attempt += 1
  }

  #advance(cursor: SinkCursor, bytes: number): void {
    saveCursor(this.#path, cursor) // Where this fails nothing has moved, and only this is tried again.
    this.#cursor = cursor
    this.#backlog.advance(bytes)
    this.#tellPassed()
    if (this.#options.journal.head.seq <= cursor.seq) this.#behindSince = undefined
  }

  #tellPassed(): void {
    const { journal, name, backlog } = this.#options
    journal.passed(name, this.#cursor.seq)
    backlog?.gate.passed(name, this.#cursor.seq)
  }
}
