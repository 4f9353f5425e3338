// Decides which segments of the journal may go. Deliberately deletes nothing younger than `retain`, nothing that a sink
// has yet to read, and never the segment in use: at `maxBytes` calls are refused instead. Pure; called by `journal.ts`.

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

/** How much of `maxBytes` is kept back for calls that already run, so that they can be recorded to their end. */
export function reserveBytes(maxBytes: number): number {
  return Math.min(8 * 1024 * 1024, Math.floor(maxBytes / 8))
}
