// The journal: every record, in order, in a hash chain, on the disk before `append` resolves. One write a turn of the
// event loop. Where it cannot write it says so (`audit-unavailable`) and goes on as soon as it can. Deliberately knows no
// sinks: they read its files. Opened by `config/records.ts`, written to by `recorder.ts` and `checkpoints.ts`.

import { mkdirSync } from 'node:fs'

import { EgressError } from '../../errors.ts'
import type { Redactor } from '../../inspect/redactor.ts'
import type { Limits } from '../../limits.ts'
import {
  isAlwaysTaken,
  isOwed,
  makeBatch,
  queuedRecord,
  RepeatedCounts,
  type Batch,
  type QueuedRecord,
} from './batch.ts'
import type { RecordBody } from '../body.ts'
import { lockDirectory, type DirectoryLock } from './lock.ts'
import type { OpenStart } from './open-starts.ts'
import { failureRecord, recoverDirectory, recoveryRecords, type Recovered } from './recovery.ts'
import { deletionRecord, reserveBytes } from './retention.ts'
import { ChainWriter, type JournalHead, type JournalStats } from './writer.ts'

/** What a part of this room tells the operator; a pino logger is one. */
export interface RecordLog {
  info(detail: object, message: string): void
  warn(detail: object, message: string): void
  error(detail: object, message: string): void
}

/** How a journal is kept. */
export interface JournalOptions {
  readonly dir: string
  /** `process`: survives the death of the process; `disk`: also that of the machine. */
  readonly sync: 'process' | 'disk'
  /** A segment is closed before it grows beyond this; at most 1 GiB. */
  readonly segmentBytes: number
  readonly retainMs: number
  readonly maxBytes: number
  readonly limits: Pick<Limits, 'recordsQueuedMax' | 'tasksMax' | 'tasksEndedMax'>
  readonly now: () => number
  readonly log: RecordLog
  readonly redactor?: Redactor
}

const RETRY_MS = 1000
const RETENTION_MS = 60_000
/** Owed records that are tried first after a failure, so that a disk that is still full costs little. */
const PROBE_RECORDS = 16

/** An append-only, chained journal of records in one directory. */
export class Journal {
  readonly #options: JournalOptions
  readonly #lock: DirectoryLock
  readonly #writer: ChainWriter
  readonly #reserveBytes: number
  readonly #passed = new Map<string, number>()
  readonly #listeners = new Set<() => void>()
  readonly #repeated = new RepeatedCounts()
  readonly #retentionTimer: NodeJS.Timeout
  #retryTimer: NodeJS.Timeout | undefined
  #queue: QueuedRecord[] = []
  #queuedBytes = 0
  /** How many records at the head of the queue have failed before. */
  #owed = 0
  #batch: Batch = makeBatch()
  #isScheduled = false
  #syncing: Promise<void> | undefined
  #isFailing = false
  #isClosed = false
  #errors = 0

  /**
   * Opens a journal directory, makes it where there is none, and closes what a crash left open.
   * @throws audit-unavailable when another sidecar uses it or it cannot be read and written
   */
  static open(options: JournalOptions): Journal {
    try {
      mkdirSync(options.dir, { recursive: true, mode: 0o750 })
      const lock = lockDirectory(options.dir)
      try {
        return new Journal(options, lock)
      } catch (error) {
        lock.release()
        throw error
      }
    } catch (error) {
      if (error instanceof EgressError) throw error
      throw new EgressError('audit-unavailable', { journal: options.dir }, { cause: error })
    }
  }

  private constructor(options: JournalOptions, lock: DirectoryLock) {
    this.#options = options
    this.#lock = lock
    this.#reserveBytes = reserveBytes(options.maxBytes)
    const recovered = recoverDirectory(options.dir)
    this.#writer = new ChainWriter(options, recovered)
    this.#recordRecovery(recovered)
    this.#retentionTimer = setInterval(() => void this.deleteExpired(), RETENTION_MS).unref()
  }

  /** The directory of the segments. */
  get dir(): string {
    return this.#options.dir
  }

  /** How far the files may be read. */
  get head(): JournalHead {
    return this.#writer.head
  }

  /** Numbers as of now. */
  get stats(): JournalStats {
    return {
      available: !this.#isFailing && this.#hasRoomFor('call-started'),
      seq: this.#writer.seq,
      bytes: this.#writer.bytes,
      segments: this.#writer.segments,
      queued: this.#queue.length,
      errors: this.#errors,
    }
  }

  /**
   * Appends a record; resolves once it is written, together with all records of the same turn of the event loop (I4).
   * After a rejection a `call-started`, `call-progress` or `message-allowed` is gone and must not go on. Every other is
   * owed: the journal keeps it, or counts it, and writes it when it can again, so it must not be appended a second time.
   * @throws audit-unavailable as a rejection
   */
  append(record: RecordBody): Promise<void> {
    const { redactor } = this.#options
    if (this.#hasRoomFor(record.event.action))
      return this.appendText(queuedRecord(record, redactor))
    this.#repeated.add(record)
    return this.#refuse()
  }

  /** The same for the start or the end of a call that is text already. @throws audit-unavailable as a rejection */
  appendText(record: QueuedRecord): Promise<void> {
    if (!this.#hasRoomFor(record.action)) return this.#refuse()
    this.#queue.push(record)
    this.#queuedBytes += record.text.length
    this.#schedule()
    return this.#batch.written
  }

  /** The `call-started`, once written, of a call that has not ended. */
  startOf(callId: string): OpenStart | undefined {
    return this.#writer.startOf(callId)
  }

  /** Remembers that a sink needs nothing up to and including a sequence number; 0 for a sink that has read nothing. */
  passed(sinkName: string, seq: number): void {
    this.#passed.set(sinkName, seq)
  }

  /** Calls a listener after each accepted write, within its turn, so it must be quick; returns how to end that. */
  onWritten(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
    }
  }

  /** Deletes segments that `retain` and every sink have passed; the journal does so by itself once a minute. */
  async deleteExpired(): Promise<void> {
    const { now, retainMs, log } = this.#options
    try {
      const { expired, next } = this.#writer.expired(this.#passed.values(), now() - retainMs)
      if (expired.length === 0) return
      // At a full disk it is said once there is the room that this makes.
      await this.append(deletionRecord(expired, next, now())).catch(() => undefined)
      this.#writer.delete(expired)
      log.info({ segments: expired.length }, 'journal segments past their retention deleted')
    } catch (error) {
      log.error({ err: error }, 'journal segments could not be deleted')
    }
  }

  /** Writes what is queued, closes the files and gives the directory free; later appends are refused. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    clearInterval(this.#retentionTimer)
    await this.#syncing
    this.#queueRepeated()
    this.#flush()
    await this.#syncing
    clearTimeout(this.#retryTimer)
    this.#writer.close()
    this.#lock.release()
  }

  #hasRoomFor(action: string): boolean {
    if (this.#isClosed) return false
    if (isAlwaysTaken(action)) return true
    const { maxBytes, limits } = this.#options
    if (this.#queue.length >= limits.recordsQueuedMax) return false
    const bytes = this.#writer.bytes + this.#queuedBytes
    return bytes < maxBytes - (isOwed(action) ? this.#reserveBytes / 2 : this.#reserveBytes)
  }

  #refuse(): Promise<never> {
    const { length: queued } = this.#queue
    return Promise.reject(new EgressError('audit-unavailable', { queued, errors: this.#errors }))
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => this.#flush())
  }

  #flush(): void {
    this.#isScheduled = false
    // What arrives until the disk has answered goes out together after that.
    if (this.#syncing !== undefined || this.#queue.length === 0) return
    const batch = this.#batch
    let entries = this.#queue
    const owed = this.#owed
    this.#batch = makeBatch()
    this.#queue = []
    this.#queuedBytes = 0
    this.#owed = 0
    try {
      if (owed > 0) {
        this.#writer.accept(entries.slice(0, Math.min(owed, PROBE_RECORDS)))
        entries = entries.slice(Math.min(owed, PROBE_RECORDS))
      }
      if (this.#options.sync === 'disk' && entries.length > 0) {
        this.#syncing = this.#acceptLater(entries, batch)
        return
      }
      this.#writer.accept(entries)
    } catch (error) {
      this.#fail(entries, batch, error)
      return
    }
    this.#succeed(batch)
  }

  async #acceptLater(entries: QueuedRecord[], batch: Batch): Promise<void> {
    try {
      await this.#writer.acceptLater(entries)
    } catch (error) {
      this.#syncing = undefined
      this.#fail(entries, batch, error)
      return
    }
    this.#syncing = undefined
    this.#succeed(batch)
    if (this.#queue.length > 0) this.#schedule()
  }

  #succeed(batch: Batch): void {
    if (this.#isFailing) {
      this.#isFailing = false
      this.#options.log.info({ seq: this.#writer.seq }, 'journal takes records again')
    }
    batch.resolve()
    for (const listener of this.#listeners) listener()
    if (this.#hasRoomFor('call-denied') && this.#queueRepeated()) this.#schedule()
  }

  #queueRepeated(): boolean {
    if (this.#repeated.isEmpty) return false
    this.#queue.push(...this.#repeated.take(this.#options.now()))
    return true
  }

  #fail(entries: readonly QueuedRecord[], batch: Batch, cause: unknown): void {
    this.#errors += 1
    const owed = entries.filter(({ action }) => isOwed(action))
    if (!this.#isFailing) {
      this.#isFailing = true
      this.#options.log.error({ err: cause }, 'journal cannot be written: calls are refused')
      // Owed as well, so that there is something to try with, and the journal tells its own gap.
      owed.push(queuedRecord(failureRecord(cause, this.#options.now()), this.#options.redactor))
    }
    this.#queue = [...owed, ...this.#queue]
    this.#owed = owed.length
    for (const { text } of owed) this.#queuedBytes += text.length
    clearTimeout(this.#retryTimer)
    this.#retryTimer = setTimeout(() => this.#flush(), RETRY_MS).unref()
    batch.reject(new EgressError('audit-unavailable', { errors: this.#errors }, { cause }))
  }

  #recordRecovery(recovered: Recovered): void {
    const { now, log, redactor } = this.#options
    const records = recoveryRecords(recovered, now())
    if (records.length === 0) return
    const { torn, openCalls } = recovered
    log.warn({ torn, openCalls: openCalls.size }, 'journal recovered after a crash')
    this.#queue.push(...records.map((record) => queuedRecord(record, redactor)))
    this.#flush()
  }
}
