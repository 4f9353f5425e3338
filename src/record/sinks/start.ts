// Where a sink goes on after a start. Called by `feed.ts`.

import type { RecordLog } from '../journal.ts'
import { listSegments } from '../segments.ts'
import type { SinkCursor } from './cursor.ts'

/** What is asked of the journal. */
interface StartOptions {
  readonly name: string
  readonly journal: { readonly dir: string; readonly head: { readonly seq: number } }
  readonly log: RecordLog
}

/**
 * Where a sink goes on. Retention may have taken the segment that it had read to its end; of a cursor that fits nothing
 * (another journal's, a future one) the nearest beginning is taken: rather twice than never.
 */
export function startingPlace(
  { journal, log, name }: StartOptions,
  cursor: SinkCursor | undefined,
): SinkCursor {
  const segments = listSegments(journal.dir)
  const isKnown = cursor !== undefined && cursor.seq <= journal.head.seq
  const isPlace = segments.some(
    ({ firstSeq, bytes }) => firstSeq === cursor?.firstSeq && cursor.offset <= bytes,
  )
  if (isKnown && isPlace) return cursor
  const next = isKnown ? cursor.seq + 1 : 0
  const nearest = segments.findLast(({ firstSeq }) => firstSeq <= next) ?? segments[0]
  const firstSeq = nearest?.firstSeq ?? 1
  if (cursor !== undefined && firstSeq !== next) {
    log.warn({ sink: name, cursor, from: firstSeq }, 'sink cursor does not fit the journal')
  }
  return { firstSeq, offset: 0, seq: firstSeq - 1, gaps: cursor?.gaps }
}
