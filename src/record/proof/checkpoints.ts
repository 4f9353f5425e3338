// Says in time how far the journal has come, signed: after so many records or so long, where a segment begins, at the end,
// and when it is asked; closes the part of a task that has ended; takes a new key in time and puts it on record. Never part
// of a call's own way. Made by `config/records.ts`.

import type { Limits } from '../../limits.ts'
import type { Task } from '../../tasks/task.ts'
import { queuedRecord, type QueuedRecord } from '../journal/batch.ts'
import type { RecordChain } from '../body.ts'
import type { CheckpointKeys, ShownKey } from './checkpoint-keys.ts'
import type { Checkpoint } from './checkpoint.ts'
import { eventRecord } from '../ecs.ts'
import type { Journal, RecordLog } from '../journal/journal.ts'
import type { KeyAnnouncement } from './key-announcement.ts'
import type { TextSignature } from '../detect/self-check.ts'
import { SEAL_ACTION } from '../journal/task-heads.ts'
import { recordText } from '../text.ts'

/** What making checkpoints takes. */
export interface CheckpointsOptions {
  readonly journal: Journal
  readonly keys: CheckpointKeys
  readonly limits: Pick<Limits, 'checkpointRecords' | 'checkpointMs' | 'checkpointKeyLifetimeMs'>
  /** Epoch milliseconds. */
  readonly now: () => number
  readonly log: RecordLog
}

/** What is told of the checkpoints of a journal. */
export interface CheckpointsView {
  /** The id of the journal. */
  readonly journal: string
  /** The one in use first. */
  readonly keys: readonly ShownKey[]
  /** The latest of the whole journal since the start, newest last. */
  readonly checkpoints: readonly Checkpoint[]
}

const LATEST_KEPT = 20

/** The checkpoints of one journal. */
export class Checkpoints {
  readonly #options: CheckpointsOptions
  readonly #timer: NodeJS.Timeout
  readonly #stopListening: () => void
  readonly #latest: Checkpoint[] = []
  #segments: number
  /** Sequence number of the latest record that is a checkpoint: what is behind it is not covered. */
  #coveredSeq = 0
  #isUnderWay = false

  constructor(options: CheckpointsOptions) {
    this.#options = options
    const { journal, keys, limits } = options
    this.#segments = journal.stats.segments
    if (!this.#renewKey()) this.#announce(keys.announcements.slice(-1))
    this.#stopListening = journal.onWritten(() => this.#onWritten())
    this.#timer = setInterval(() => this.#onTime(), limits.checkpointMs)
    this.#timer.unref()
  }

  /** Keys and the latest checkpoints. */
  get view(): CheckpointsView {
    const { journal, shown } = this.#options.keys
    return { journal, keys: shown, checkpoints: [...this.#latest] }
  }

  /** Signs what else is to be proved by the same keys; the text's first line says what it is. */
  signText(text: string): TextSignature {
    return this.#options.keys.signText(text)
  }

  /** Puts on record how far the journal has come. @throws audit-unavailable as a rejection */
  make(): Promise<Checkpoint> {
    return this.#append('checkpoint', undefined)
  }

  /** The same for the records of one task. @throws audit-unavailable as a rejection */
  makeOf(task: Task): Promise<Checkpoint> {
    return this.#append('checkpoint', task)
  }

  /** Closes the part of a task that has ended and whose receipt is on record; later records go on behind it. */
  seal(task: Task): void {
    // What cannot be written now is owed, and told by the journal.
    this.#append(SEAL_ACTION, task).catch(() => undefined)
  }

  /** Covers what is not covered yet, and makes no more of them. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#stopListening()
    await this.make().catch(() => undefined)
  }

  async #append(action: string, task: Task | undefined): Promise<Checkpoint> {
    const { journal, now } = this.#options
    const at = now()
    const record = eventRecord(action, { now: at, ...(task && { task }) })
    const time = new Date(at).toISOString()
    const closing = action === SEAL_ACTION ? ({ final: true } as const) : {}
    let made: Checkpoint | undefined
    const sign = (place: RecordChain): Checkpoint => {
      const { seq, prev } = (task && place.task) ?? place
      const statement = { seq: seq - 1, hash: prev, time, ...closing }
      return this.#options.keys.sign({ ...(task && { task: task.id }), ...statement })
    }
    let writtenSeq = 0
    const queued: QueuedRecord = {
      ...queuedRecord(record),
      late: (place) => {
        made = sign(place)
        writtenSeq = place.seq
        return recordText({ ...record, sallyport: { ...record.sallyport, checkpoint: made } })
      },
    }
    await journal.appendText(queued)
    if (made === undefined) throw new Error('a checkpoint was written without being made')
    if (task === undefined) this.#cover(made, writtenSeq)
    return made
  }

  #cover(checkpoint: Checkpoint, seq: number): void {
    this.#coveredSeq = Math.max(this.#coveredSeq, seq)
    this.#latest.push(checkpoint)
    if (this.#latest.length > LATEST_KEPT) this.#latest.shift()
  }

  #onTime(): void {
    this.#renewKey()
    this.#makeIfNew()
  }

  #onWritten(): void {
    const { journal, keys, limits } = this.#options
    const { seq, segments } = journal.stats
    const before = this.#segments
    this.#segments = segments
    // The records that told the keys may have gone with their segments.
    if (segments < before) this.#announce(keys.announcements)
    if (segments > before || seq - this.#coveredSeq >= limits.checkpointRecords) this.#makeIfNew()
  }

  #makeIfNew(): void {
    if (this.#isUnderWay || this.#options.journal.stats.seq <= this.#coveredSeq) return
    this.#isUnderWay = true
    const settle = (): void => {
      this.#isUnderWay = false
    }
    // The next one says as much and more.
    this.make().then(settle, settle)
  }

  /** @returns whether there is a new key */
  #renewKey(): boolean {
    const { keys, limits, now, log } = this.#options
    if (!keys.isOver(limits.checkpointKeyLifetimeMs, now())) return false
    try {
      this.#announce([keys.rotate(now())])
      return true
    } catch (error) {
      log.error({ err: error }, 'the key of checkpoints could not be renewed; it is tried again')
      return false
    }
  }

  #announce(announcements: readonly KeyAnnouncement[]): void {
    const { journal, now } = this.#options
    for (const announcement of announcements)
      journal
        .append(eventRecord('checkpoint-key', { now: now(), detail: { ...announcement } }))
        .catch(() => undefined)
  }
}
