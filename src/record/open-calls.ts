// The calls that have started and not ended, so that the next start can close what a crash left open without reading the
// whole journal: kept in memory, and written beside the segments whenever a new one begins. Called by `journal.ts`.

import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import type { OpenStart } from './open-starts.ts'

const FILE = 'open-calls.json'

/** What was open when a segment began. */
export interface OpenCallsNote {
  /** The segment that began then. */
  readonly firstSeq: number
  /** Call id to the text of its `call-started`. */
  readonly calls: Map<string, string>
}

/** Writes which calls are open at the beginning of a segment; by rename, so that a crash leaves the old note or the new one. */
export function noteOpenCalls(dir: string, firstSeq: number, starts: Iterable<OpenStart>): void {
  const path = join(dir, FILE)
  const beside = `${path}.new`
  const calls = Array.from(starts, ({ callId, text }) => [callId, text] as const)
  calls.sort(([one], [other]) => (one < other ? -1 : 1))
  try {
    writeFileSync(beside, JSON.stringify({ firstSeq, calls }), { mode: 0o640 })
    renameSync(beside, path)
  } catch (error) {
    rmSync(beside, { force: true })
    throw error
  }
}

/** Reads the note; undefined where there is none that can be read: then the journal has to be read from its beginning. */
export function readOpenCalls(dir: string): OpenCallsNote | undefined {
  try {
    const note: { firstSeq: number; calls: [string, string][] } = JSON.parse(
      readFileSync(join(dir, FILE), 'utf8'),
    )
    return { firstSeq: note.firstSeq, calls: new Map(note.calls) }
  } catch {
    return undefined
  }
}

const STARTED = '"action":"call-started"'
const ENDED = /"action":"call-(?:ended|denied)"/
const CALL_ID = '"call":{"id":"'

/**
 * Follows one line of a journal: a start opens its call, a terminal record closes it.
 * Looking for our own text is enough: within a string of JSON every quote has a backslash before it.
 */
export function followLine(calls: Map<string, string>, line: string): void {
  const isStart = line.includes(STARTED)
  if (!isStart && !ENDED.test(line)) return
  const at = line.indexOf(CALL_ID)
  if (at < 0) return
  const from = at + CALL_ID.length
  const id = line.slice(from, line.indexOf('"', from))
  if (isStart) calls.set(id, line)
  else calls.delete(id)
}
