// Puts records into the chain and onto the disk: composes a batch, writes it whole or not at all, begins new segments,
// keeps what calls are open. Deliberately has no queue, no timer and no promise of its own. Called by `journal.ts` only.

import { fdatasync, rmSync } from 'node:fs'

import type { Limits } from '../../limits.ts'
import type { QueuedRecord } from './batch.ts'
import { lineBytesMax, lineDigest, writeLine } from './chain.ts'
import { noteOpen } from './open-calls.ts'
import { OpenStarts, type OpenStart } from './open-starts.ts'
import type { Recovered } from './recovery.ts'
import { expiredSegments, type SegmentCount } from './retention.ts'
import {
  closeSegment,
  cutBack,
  openSegment,
  syncDirectory,
  syncSegment,
  writeWhole,
  type OpenSegment,
} from './segments.ts'
import { TaskHeads } from './task-heads.ts'

/** How far the files of a journal may be read: what lies behind is not accepted yet. */
export interface JournalHead {
  /** Sequence number of the last accepted record, 0 where there is none. */
  readonly seq: number
  /** First sequence number of the segment in use. */
  readonly firstSeq: number
  /** Accepted bytes of the segment in use. */
  readonly bytes: number
  /** Bytes accepted since the journal was opened: what lies between two looks at it. */
  readonly written: number
  /** Lower-case hex SHA-256 of the last accepted line without its newline. */
  readonly hash: string
}

/** Numbers for metrics and `/readyz`. */
export interface JournalStats {
  /** False while the last write failed or `maxBytes` is reached: no new call can be recorded. */
  readonly available: boolean
  /** Sequence number of the last record on the disk. */
  readonly seq: number
  /** Bytes of all segments. */
  readonly bytes: number
  readonly segments: number
  /** Records that wait for a write. */
  readonly queued: number
  /** Failed writes since the start. */
  readonly errors: number
}

/** What the writer needs to know. */
export interface WriterOptions {
  readonly dir: string
  readonly sync: 'process' | 'disk'
  readonly segmentBytes: number
  readonly limits: Pick<Limits, 'tasksMax' | 'tasksEndedMax'>
  readonly now: () => number
}

interface Written {
  readonly entries: readonly QueuedRecord[]
  readonly seq: number
  readonly prev: string
  readonly bytes: number
}

const NEWLINE = 0x0a

/** The most characters by which the text of a record that tells its own place outgrows the one it was queued with. */
const LATE_CHARACTERS_MAX = 4096

/** A batch is composed in one buffer; up to this size it is used again and again. */
const LINES_BYTES_KEPT = 1024 * 1024

/** A segment is read in one piece after a crash. */
const SEGMENT_BYTES_MAX = 1024 * 1024 * 1024

/** The chain's end and the files that hold it. */
export class ChainWriter {
  readonly #options: WriterOptions
  readonly #openStarts = new OpenStarts()
  readonly #taskHeads: TaskHeads
  #closed: readonly SegmentCount[]
  #closedBytes = 0
  #writtenBytes = 0
  #segment: OpenSegment
  #lines: Buffer = Buffer.allocUnsafeSlow(LINES_BYTES_KEPT)
  #seq: number
  #prev: string
  /** There may be bytes behind the accepted ones that could not be cut off yet. */
  #isDirty = false

  constructor(options: WriterOptions, recovered: Recovered) {
    this.#options = options
    this.#seq = recovered.seq
    this.#prev = recovered.prev
    for (const [callId, text] of recovered.openCalls)
      this.#openStarts.add({ callId, text, parts: undefined })
    const { tasksMax, tasksEndedMax } = options.limits
    // Room for those that an earlier state of the sidecar left unended.
    const headsMax = { live: tasksMax * 2, sealed: tasksEndedMax }
    this.#taskHeads = new TaskHeads(headsMax, recovered.taskHeads)
    this.#closed = recovered.segments.slice(0, -1)
    for (const segment of this.#closed) this.#closedBytes += segment.bytes
    const last = recovered.segments.at(-1)
    if (last === undefined) noteOpen(options.dir, 1, this.#openStarts, this.#taskHeads)
    this.#segment = openSegment(options.dir, last?.firstSeq ?? recovered.seq + 1)
  }

  /** How far the files may be read. */
  get head(): JournalHead {
    const { firstSeq, bytes } = this.#segment
    return { seq: this.#seq, firstSeq, bytes, hash: this.#prev, written: this.#writtenBytes }
  }

  /** Accepted bytes of all segments. */
  get bytes(): number {
    return this.#closedBytes + this.#segment.bytes
  }

  /** The accepted `call-started` of a call that has not ended. */
  startOf(callId: string): OpenStart | undefined {
    return this.#openStarts.get(callId)
  }

  /** How many files there are. */
  get segments(): number {
    return this.#closed.length + 1
  }

  /** Sequence number of the last accepted record. */
  get seq(): number {
    return this.#seq
  }

  /**
   * Writes records and accepts them, with `sync: disk` after the disk has them; all or none.
   * @throws the system's error
   */
  accept(entries: readonly QueuedRecord[]): void {
    if (entries.length === 0) return
    const written = this.#write(entries)
    try {
      if (this.#options.sync === 'disk') syncSegment(this.#segment)
    } catch (error) {
      this.#cutBack()
      throw error
    }
    this.#commit(written)
  }

  /** The same with `sync: disk`, without making the event loop wait for the disk; one at a time. */
  async acceptLater(entries: readonly QueuedRecord[]): Promise<void> {
    const written = this.#write(entries)
    try {
      await new Promise<void>((resolve, reject) => {
        fdatasync(this.#segment.fd, (error) => {
          if (error === null) resolve()
          else reject(error)
        })
      })
    } catch (error) {
      this.#cutBack()
      throw error
    }
    this.#commit(written)
  }

  /** Segments older than a time (epoch milliseconds) that every sink has passed, and the one behind them. */
  expired(
    passed: Iterable<number>,
    oldestKept: number,
  ): { readonly expired: readonly SegmentCount[]; readonly next: SegmentCount } {
    const current = this.#current()
    const count = expiredSegments([...this.#closed, current], passed, oldestKept)
    return { expired: this.#closed.slice(0, count), next: this.#closed[count] ?? current }
  }

  /** Deletes closed segments. */
  delete(segments: readonly SegmentCount[]): void {
    for (const segment of segments) {
      if (!this.#closed.includes(segment)) continue
      rmSync(segment.path, { force: true })
      this.#closedBytes -= segment.bytes
      this.#closed = this.#closed.filter((other) => other !== segment)
    }
  }

  /** Closes the segment in use. */
  close(): void {
    closeSegment(this.#segment)
  }

  #write(entries: readonly QueuedRecord[]): Written {
    if (this.#isDirty) this.#cutBack()
    if (this.#isDirty) throw new Error('the journal holds bytes that cannot be cut off')
    const composed = this.#compose(entries)
    const { segmentBytes } = this.#options
    const bytes = this.#segment.bytes + composed.bytes
    const isFull = bytes > Math.min(segmentBytes, SEGMENT_BYTES_MAX)
    if (isFull && this.#segment.bytes > 0) this.#beginSegment()
    try {
      writeWhole(this.#segment, this.#lines.subarray(0, composed.bytes))
    } catch (error) {
      this.#cutBack()
      throw error
    }
    return composed
  }

  #compose(entries: readonly QueuedRecord[]): Written {
    const heads = this.#taskHeads
    heads.rollBack()
    let bytesMax = 0
    for (const { text, late } of entries)
      bytesMax += lineBytesMax(text.length + (late === undefined ? 0 : LATE_CHARACTERS_MAX))
    const isUsual = bytesMax <= LINES_BYTES_KEPT
    if (this.#lines.length < bytesMax || isUsual !== (this.#lines.length === LINES_BYTES_KEPT)) {
      this.#lines = Buffer.allocUnsafeSlow(isUsual ? LINES_BYTES_KEPT : bytesMax)
    }
    let seq = this.#seq
    let prev = this.#prev
    let at = 0
    for (const { text, taskId, action, late } of entries) {
      seq += 1
      const place = taskId === undefined ? { seq, prev } : { seq, prev, task: heads.next(taskId) }
      const end = writeLine(this.#lines, at, late === undefined ? text : late(place), place)
      prev = lineDigest(this.#lines.subarray(at, end))
      if (taskId !== undefined) heads.advance(prev, action)
      this.#lines[end] = NEWLINE
      at = end + 1
    }
    return { entries, seq, prev, bytes: at }
  }

  #commit(written: Written): void {
    this.#seq = written.seq
    this.#prev = written.prev
    this.#segment.bytes += written.bytes
    this.#taskHeads.commit()
    this.#writtenBytes += written.bytes
    for (const { action, callId, text, parts } of written.entries) {
      if (callId === undefined) continue
      if (action === 'call-started') this.#openStarts.add({ callId, text, parts })
      else if (action === 'call-ended' || action === 'call-denied') this.#openStarts.delete(callId)
    }
  }

  #beginSegment(): void {
    const { dir, sync } = this.#options
    const firstSeq = this.#seq + 1
    noteOpen(dir, firstSeq, this.#openStarts, this.#taskHeads)
    const next = openSegment(dir, firstSeq)
    if (sync === 'disk') syncDirectory(dir)
    closeSegment(this.#segment)
    const closed = this.#current()
    this.#closed = [...this.#closed, closed]
    this.#closedBytes += closed.bytes
    this.#segment = next
  }

  #current(): SegmentCount {
    const { path, firstSeq, bytes } = this.#segment
    return { path, firstSeq, bytes, writtenAt: this.#options.now() }
  }

  #cutBack(): void {
    try {
      cutBack(this.#segment)
      this.#isDirty = false
    } catch {
      this.#isDirty = true
    }
  }
}
