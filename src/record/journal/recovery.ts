// Reads a journal as the last run left it: where the chain stands, a torn end, calls that were still open. Moves a torn
// end aside; never repairs anything before it, because that would destroy the traces of tampering. Called by `journal.ts`.

import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'

import { parseJson } from '../../wire/parse-json.ts'
import { CHAIN_START, chainOf, lineDigest } from './chain.ts'
import type { RecordBody } from '../body.ts'
import { crashedCallRecord, eventRecord } from '../ecs.ts'
import { followLine, followTask, readOpen, type OpenNote } from './open-calls.ts'
import { listSegments, type SegmentFile } from './segments.ts'
import { systemErrorCode } from '../system-error.ts'
import type { NotedHead } from './task-heads.ts'

/** The end of a segment that was not a whole record. */
interface TornEnd {
  /** Name of the file that holds it now. */
  readonly file: string
  readonly bytes: number
  /** Lower-case hex SHA-256 of the moved bytes. */
  readonly sha256: string
}

/** What was found. */
export interface Recovered {
  /** The remaining segments, the last one is to be continued; empty: begin anew. */
  readonly segments: readonly SegmentFile[]
  /** Sequence number of the last record, 0 where there is none. */
  readonly seq: number
  /** Hash of the last record. */
  readonly prev: string
  readonly torn: TornEnd | undefined
  /** Call id to the line of its `call-started`, for calls without an end. */
  readonly openCalls: ReadonlyMap<string, string>
  /** How far each task's own chain has come; first those that are to be forgotten first. */
  readonly taskHeads: Iterable<NotedHead>
}

/** Reads and, at its torn end only, mends a journal directory. */
export function recoverDirectory(dir: string): Recovered {
  let segments = listSegments(dir)
  let torn: TornEnd | undefined
  for (;;) {
    const last = segments.at(-1)
    if (last === undefined) {
      return { segments: [], seq: 0, prev: CHAIN_START, torn, openCalls: new Map(), taskHeads: [] }
    }
    const bytes = readFileSync(last.path)
    const end = wholeLines(bytes)
    if (end < bytes.length) torn = moveAside(last, bytes.subarray(end), end)
    if (end > 0) {
      const place = lastPlace(bytes.subarray(0, end))
      const { calls, tasks } = openOf(dir, segments)
      const taskHeads = tasks.values()
      return { segments: listSegments(dir), ...place, torn, openCalls: calls, taskHeads }
    }
    // Made for a record that never came whole; the chain goes on behind the segment before.
    rmSync(last.path)
    segments = segments.slice(0, -1)
  }
}

/** How many bytes from the start are whole records, seen from the end: no further back than the first record found. */
function wholeLines(bytes: Buffer): number {
  let end = bytes.lastIndexOf(0x0a) + 1
  while (end > 0) {
    const start = bytes.lastIndexOf(0x0a, end - 2) + 1
    if (end >= 2 && isRecord(bytes.subarray(start, end - 1))) return end
    end = start
    if (end < 2) return 0
  }
  return 0
}

/** After a power cut a file may end in zeros or in another file's bytes, newlines among them. */
function isRecord(line: Buffer): boolean {
  if (chainOf(line) === undefined) return false
  try {
    JSON.parse(line.toString())
    return true
  } catch {
    return false
  }
}

function moveAside(segment: SegmentFile, torn: Buffer, end: number): TornEnd {
  const sha256 = lineDigest(torn)
  const path = `${segment.path.slice(0, -'.ndjson'.length)}.${sha256.slice(0, 12)}.torn`
  // First the copy, then the cut: a crash between them only repeats the copy.
  writeFileSync(path, torn, { mode: 0o640, flush: true })
  truncateSync(segment.path, end)
  return { file: basename(path), bytes: torn.length, sha256 }
}

function lastPlace(lines: Buffer): { seq: number; prev: string } {
  const line = lines.subarray(lines.lastIndexOf(0x0a, -2) + 1, -1)
  const chain = chainOf(line)
  return { seq: chain?.seq ?? 0, prev: lineDigest(line) }
}

/** The note tells what was open when its segment began; from there on the records do. */
function openOf(dir: string, segments: readonly SegmentFile[]): OpenNote {
  const note = readOpen(dir) ?? { firstSeq: 0, calls: new Map(), tasks: new Map() }
  const from = Math.min(note.firstSeq, segments.at(-1)?.firstSeq ?? 0)
  for (const segment of segments) {
    if (segment.firstSeq < from) continue
    const bytes = readFileSync(segment.path)
    for (let start = 0; start < bytes.length;) {
      const newline = bytes.indexOf(0x0a, start)
      const end = newline < 0 ? bytes.length : newline
      const line = bytes.subarray(start, end)
      const text = line.toString()
      followLine(note.calls, text)
      followTask(note.tasks, line, text)
      start = end + 1
    }
  }
  return note
}

/** Builds the records that tell what was found and close the calls that were open; none after an orderly end. */
export function recoveryRecords(recovered: Recovered, now: number): RecordBody[] {
  const { torn, openCalls } = recovered
  if (torn === undefined && openCalls.size === 0) return []
  const detail = { openCalls: openCalls.size, torn }
  const records = [eventRecord('journal-recovered', { now, detail })]
  for (const line of openCalls.values()) {
    const started: RecordBody = parseJson(line)
    records.push(crashedCallRecord(started, now))
  }
  return records
}

/** Builds the record with which the journal tells its own gap, written once the disk takes records again. */
export function failureRecord(cause: unknown, now: number): RecordBody {
  const detail = { code: systemErrorCode(cause) ?? 'unknown' }
  const reason = 'audit-unavailable'
  return eventRecord('journal-failed', { now, outcome: 'failure', reason, detail })
}
