// How far a sink has read the journal, durably: one small file a sink in the state directory, written beside and renamed
// after each delivery, so that after a crash a sink repeats at most its last batch. Called by `feed.ts`.

import { hash } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

import type { JournalPlace } from '../read/reader.ts'

/** Records that a sink was not given. */
export interface Gap {
  /** `event.id` of the record that tells of it: the same after a crash. */
  readonly id: string
  /** Sequence numbers of the first and the last record that were skipped. */
  readonly from: number
  readonly to: number
  /** Those among them that the sink would have got. */
  readonly count: number
  /** The same by `event.action`. */
  readonly actions: Readonly<Record<string, number>>
}

/** How far a sink is. */
export interface SinkCursor extends JournalPlace {
  /** Sequence number of the last record that it needs no more, 0 for none. */
  readonly seq: number
  /** Of that record's line, by `lineDigest`: where another stands there, the place is one of a past that the disk has lost. */
  readonly hash?: string | undefined
  /** Records that it was not given and that the journal does not tell of yet. */
  readonly gaps?: readonly Gap[] | undefined
}

/** Where a sink's cursor lies; names are lower-case letters, digits and `-`. */
export function cursorPath(stateDir: string, sinkName: string): string {
  return join(stateDir, 'cursors', `${sinkName}.json`)
}

/**
 * Reads a cursor; undefined where there is none, or none that can be trusted: the sink then begins at the beginning, because
 * a number that a disk has changed would lose what lies before it.
 */
export function loadCursor(path: string): SinkCursor | undefined {
  try {
    const { check, ...cursor }: SinkCursor & { check: unknown } = JSON.parse(
      readFileSync(path, 'utf8'),
    )
    const { seq, firstSeq, offset } = cursor
    const isSound = [seq, firstSeq, offset].every(
      (number) => Number.isSafeInteger(number) && number >= 0,
    )
    return isSound && check === checkOf(cursor) ? cursor : undefined
  } catch {
    return undefined
  }
}

/** Writes a cursor so that a crash leaves the old one or the new one. */
export function saveCursor(path: string, cursor: SinkCursor): void {
  const beside = `${path}.new`
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const text = JSON.stringify({ ...canonical(cursor), check: checkOf(cursor) })
  writeFileSync(beside, text, { mode: 0o600 })
  renameSync(beside, path)
}

function canonical({ seq, firstSeq, offset, hash: digest, gaps = [] }: SinkCursor): SinkCursor {
  const last = digest !== undefined && { hash: digest }
  return { seq, firstSeq, offset, ...last, ...(gaps.length > 0 && { gaps }) }
}

function checkOf(cursor: SinkCursor): string {
  return hash('sha256', JSON.stringify(canonical(cursor)), 'hex').slice(0, 16)
}
