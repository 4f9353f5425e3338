// What a feed counts of itself since its start. Called by `feed.ts`.

import type { SinkStats } from './feed-options.ts'

/** The numbers that only grow. */
type SinkCounts = {
  -readonly [
    Key in
      'sent' | 'sentBytes' | 'failures' | 'refusals' | 'refusedRecords' | 'gaps' | 'skippedRecords'
  ]: SinkStats[Key]
}

/** Begins to count. */
export function startCounts(): SinkCounts {
  return {
    sent: 0,
    sentBytes: 0,
    failures: 0,
    refusals: 0,
    refusedRecords: 0,
    gaps: 0,
    skippedRecords: 0,
  }
}
