// The calls that have started and not ended, so that the next start can close what a crash left open without reading the
// whole journal: kept in memory, and written beside the segments whenever a new one begins. Called by `journal.ts`.

import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { actionOf, callIdOf } from './line.ts'
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

/** Follows one line of a journal: a start opens its call, a terminal record closes it. */
export function followLine(calls: Map<string, string>, line: string): void {
  const action = actionOf(line)
  const isStart = action === 'call-started'
  if (!isStart && action !== 'call-ended' && action !== 'call-denied') return
  const id = callIdOf(line)
  if (id === undefined) return
  if (isStart) calls.set(id, line)
  else calls.delete(id)
}
