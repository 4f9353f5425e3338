// The calls that have started and not ended, so that the next start can close what a crash left open without reading the
// whole journal, and how far each task's chain has come: kept in memory, and written beside the segments whenever a new one
// begins. Called by `writer.ts` and `recovery.ts`.

import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { chainOf, lineDigest } from './chain.ts'
import { actionOf, callIdOf, taskIdOf } from '../line.ts'
import type { OpenStart } from './open-starts.ts'
import { SEAL_ACTION, type NotedHead } from './task-heads.ts'

const FILE = 'open-calls.json'

/** What was open when a segment began. */
export interface OpenNote {
  /** The segment that began then. */
  readonly firstSeq: number
  /** Call id to the text of its `call-started`. */
  readonly calls: Map<string, string>
  /** Task id to the last record of its chain. */
  readonly tasks: Map<string, NotedHead>
}

/** Writes what is open at the beginning of a segment; by rename, so that a crash leaves the old note or the new one. */
export function noteOpen(
  dir: string,
  firstSeq: number,
  starts: Iterable<OpenStart>,
  heads: Iterable<NotedHead>,
): void {
  const path = join(dir, FILE)
  const beside = `${path}.new`
  const calls = Array.from(starts, ({ callId, text }) => [callId, text] as const)
  calls.sort(([one], [other]) => (one < other ? -1 : 1))
  try {
    writeFileSync(beside, JSON.stringify({ firstSeq, calls, tasks: [...heads] }), { mode: 0o640 })
    renameSync(beside, path)
  } catch (error) {
    rmSync(beside, { force: true })
    throw error
  }
}

/** Reads the note; undefined where there is none that can be read: then the journal has to be read from its beginning. */
export function readOpen(dir: string): OpenNote | undefined {
  try {
    const note: { firstSeq: number; calls: [string, string][]; tasks: NotedHead[] } = JSON.parse(
      readFileSync(join(dir, FILE), 'utf8'),
    )
    return {
      firstSeq: note.firstSeq,
      calls: new Map(note.calls),
      tasks: new Map(note.tasks.map((head) => [head.task, head])),
    }
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

/** Follows one line of a journal: a record of a task is the last one of its chain. @param text the same line */
export function followTask(tasks: Map<string, NotedHead>, line: Buffer, text: string): void {
  const place = chainOf(line)?.task
  if (place === undefined) return
  const task = taskIdOf(text)
  if (task === undefined) return
  const action = actionOf(text)
  const wasSealed = tasks.get(task)?.isSealed === true && action !== 'task-renewed'
  const isSealed = action === SEAL_ACTION || wasSealed
  if (action === SEAL_ACTION) tasks.delete(task)
  tasks.set(task, { task, seq: place.seq, hash: lineDigest(line), isSealed })
}
