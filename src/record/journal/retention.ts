// Decides which segments of the journal may go. Deliberately deletes nothing younger than `retain`, nothing that a sink
// has yet to read, and never the segment in use: at `maxBytes` calls are refused instead. Makes the record of what goes.
// Called by `journal.ts`.

import type { RecordBody } from '../body.ts'
import { lineDigest } from './chain.ts'
import { eventRecord } from '../ecs.ts'
import { lastLineOf } from './segments.ts'

/** A closed or open segment as the journal counts it. */
export interface SegmentCount {
  readonly path: string
  readonly firstSeq: number
  readonly bytes: number
  /** Epoch milliseconds of the last write. */
  readonly writtenAt: number
}

/** Tells how many segments, counted from the oldest, are older than `retain` and passed by every sink. */
export function expiredSegments(
  segments: readonly SegmentCount[],
  passed: Iterable<number>,
  oldestKept: number,
): number {
  let slowest = Infinity
  for (const seq of passed) slowest = Math.min(slowest, seq)
  let expired = 0
  for (; expired < segments.length - 1; expired++) {
    const segment = segments[expired]
    const next = segments[expired + 1]
    if (segment === undefined || next === undefined) break
    if (segment.writtenAt >= oldestKept || slowest < next.firstSeq - 1) break
  }
  return expired
}

/** What the record of deleted segments says in its detail. */
export interface DeletedSegments {
  readonly segments: number
  /** Sequence numbers of the first and the last record that went. */
  readonly from: number
  readonly to: number
  /** Lower-case hex SHA-256 of the last one's line: what the first remaining record names. */
  readonly hash: string
}

/**
 * Makes the record of segments that are about to be deleted.
 * @param next the first that remains
 * @param now epoch milliseconds
 * @throws the system's error where the last of them cannot be read
 */
export function deletionRecord(
  expired: readonly SegmentCount[],
  next: SegmentCount,
  now: number,
): RecordBody {
  const detail: DeletedSegments = {
    segments: expired.length,
    from: expired[0]?.firstSeq ?? next.firstSeq,
    to: next.firstSeq - 1,
    hash: lineDigest(lastLineOf(expired.at(-1)?.path ?? '')),
  }
  return eventRecord('journal-segments-deleted', { now, detail: { ...detail } })
}

/** How much of `maxBytes` is kept back for calls that already run, so that they can be recorded to their end. */
export function reserveBytes(maxBytes: number): number {
  return Math.min(8 * 1024 * 1024, Math.floor(maxBytes / 8))
}
