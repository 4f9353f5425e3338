// What a feed is made with and what it tells of itself. Types only; used by `feed.ts` and by what starts sinks.

import type { Limits } from '../../limits.ts'
import type { RecordBody } from '../body.ts'
import type { RecordLog } from '../journal/journal.ts'
import type { JournalHead } from '../journal/writer.ts'
import type { BacklogOptions } from './backlog.ts'
import type { SinkFilter } from './filter.ts'

/** What a sink sees of the journal. */
interface JournalSource {
  readonly dir: string
  readonly head: JournalHead
  readonly stats: { readonly bytes: number }
  append(record: RecordBody): Promise<void>
  passed(sinkName: string, seq: number): void
  deleteExpired(): Promise<void>
  onWritten(listener: () => void): () => void
}

/** How a sink is fed. */
export interface FeedOptions {
  /** Unique, lower-case letters, digits and `-`. */
  readonly name: string
  readonly journal: JournalSource
  readonly stateDir: string
  /** Also `call-started` and `call-progress`. */
  readonly all?: boolean
  readonly filter?: SinkFilter
  readonly limits: Pick<Limits, 'sinkBatchMax'> & Partial<Pick<Limits, 'sinkBatchBytesMax'>>
  /** Undefined: unbounded. */
  readonly backlog?: BacklogOptions
  readonly log: RecordLog
  readonly now: () => number
}

/** Numbers for metrics and `/readyz`. */
export interface SinkStats {
  readonly name: string
  /** Records behind the cursor, those that the sink will not get included. */
  readonly backlog: number
  /** Bytes of the journal behind the cursor. */
  readonly backlogBytes: number
  /** Whether new calls are refused until the backlog has drained. */
  readonly isDenying: boolean
  /** Whether the backlog is at its bound. */
  readonly isFull: boolean
  /** Age of the oldest record that is not delivered, 0 where there is none. */
  readonly lagMs: number
  /** Records delivered since the start. */
  readonly sent: number
  /** Bytes of these, as the journal has them. */
  readonly sentBytes: number
  /** Deliveries that failed and are tried again. */
  readonly failures: number
  /** Deliveries that the sink refused as wrong; tried again slowly. */
  readonly refusals: number
  /** Records that the receiver said it will never take. */
  readonly refusedRecords: number
  /** Skips, each told by a record. */
  readonly gaps: number
  /** Records that were skipped. */
  readonly skippedRecords: number
}
