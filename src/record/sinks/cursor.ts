// How far a sink has read the journal, durably: one small file a sink in the state directory, written beside and renamed
// after each delivery, so that after a crash a sink repeats at most its last batch. Called by `feed.ts`.

import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

import type { JournalPlace } from '../reader.ts'

/** How far a sink is. */
export interface SinkCursor extends JournalPlace {
  /** Sequence number of the last record that it needs no more, 0 for none. */
  readonly seq: number
}

/** Where a sink's cursor lies; names are lower-case letters, digits and `-`. */
export function cursorPath(stateDir: string, sinkName: string): string {
  return join(stateDir, 'cursors', `${sinkName}.json`)
}

/** Reads a cursor; undefined where there is none, or none that can be read: the sink then begins at the beginning. */
export function loadCursor(path: string): SinkCursor | undefined {
  try {
    const { seq, firstSeq, offset }: SinkCursor = JSON.parse(readFileSync(path, 'utf8'))
    if (![seq, firstSeq, offset].every((number) => Number.isSafeInteger(number) && number >= 0)) {
      return undefined
    }
    return { seq, firstSeq, offset }
  } catch {
    return undefined
  }
}

/** Writes a cursor so that a crash leaves the old one or the new one. */
export function saveCursor(path: string, cursor: SinkCursor): void {
  const { seq, firstSeq, offset } = cursor
  const beside = `${path}.new`
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  writeFileSync(beside, JSON.stringify({ seq, firstSeq, offset }), { mode: 0o600 })
  renameSync(beside, path)
}
