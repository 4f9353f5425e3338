// Where a sink goes on after a start. Called by `feed.ts`.

import { lineDigest } from '../journal/chain.ts'
import type { RecordLog } from '../journal/journal.ts'
import { lastLineOf, listSegments, type SegmentFile } from '../journal/segments.ts'
import type { SinkCursor } from './cursor.ts'

/** What is asked of the journal. */
interface StartOptions {
  readonly name: string
  readonly journal: { readonly dir: string; readonly head: { readonly seq: number } }
  readonly log: RecordLog
}

/**
 * Where a sink goes on. Retention may have taken the segment that it had read to its end; of a cursor that fits nothing
 * (another journal's, one that is ahead of what a dead machine's disk has kept) the oldest beginning is taken: rather twice
 * than never.
 */
export function startingPlace(
  { journal, log, name }: StartOptions,
  cursor: SinkCursor | undefined,
): SinkCursor {
  const segments = listSegments(journal.dir)
  const segment = segments.find(({ firstSeq }) => firstSeq === cursor?.firstSeq)
  const isOfThis = segment === undefined || isPlaceIn(segment, cursor)
  const isKnown = cursor !== undefined && cursor.seq <= journal.head.seq && isOfThis
  if (isKnown && segment !== undefined) return cursor
  const next = isKnown ? cursor.seq + 1 : 0
  const nearest = segments.findLast(({ firstSeq }) => firstSeq <= next) ?? segments[0]
  const firstSeq = nearest?.firstSeq ?? 1
  if (cursor !== undefined && firstSeq !== next) {
    log.warn({ sink: name, cursor, from: firstSeq }, 'sink cursor does not fit the journal')
  }
  return { firstSeq, offset: 0, seq: firstSeq - 1, gaps: cursor?.gaps }
}

/** Whether the line before the place is the one that the sink had last: others may have been written since the disk lost it. */
function isPlaceIn(
  { path, bytes, firstSeq }: SegmentFile,
  cursor: SinkCursor | undefined,
): boolean {
  if (cursor === undefined || cursor.offset > bytes) return false
  if (cursor.offset === 0) return cursor.seq === firstSeq - 1
  return cursor.hash === lineDigest(lastLineOf(path, cursor.offset))
}
