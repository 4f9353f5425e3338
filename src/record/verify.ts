// Checks the hash chain of a journal directory and names what was edited, dropped, reordered or inserted. Reads only.
// What no chain can show: an end that was cut off or rewritten; compare the head with what a sink has. Called by the CLI.

import { closeSync, openSync, readSync } from 'node:fs'
import { basename } from 'node:path'

import { chainOf, lineDigest } from './chain.ts'
import { listSegments, type SegmentFile } from './segments.ts'
import { findProblems, type ChainLine, type ChainProblem } from './tampering.ts'

/** What was found. */
export interface VerifyReport {
  readonly ok: boolean
  /** Lines read. */
  readonly records: number
  /** First sequence number; above 1 where retention deleted older segments. */
  readonly from: number
  /** The last record: what a checkpoint or a sink must agree with. */
  readonly head: { readonly seq: number; readonly hash: string } | undefined
  /** The end of the last file that is no whole line: being written, or torn by a crash and moved aside at the next start. */
  readonly torn: { readonly file: string; readonly bytes: number } | undefined
  /** In the order of the journal; none where `ok`. At most 100. */
  readonly problems: readonly ChainProblem[]
}

/** Checks every segment of a journal directory, in order. */
export function verifyDirectory(dir: string): VerifyReport {
  const segments = listSegments(dir)
  const state: ReadState = { records: 0, head: undefined, torn: undefined }
  const from = segments[0]?.firstSeq ?? 1
  const problems = findProblems(chainLines(segments, state), from)
  return {
    ok: problems.length === 0,
    records: state.records,
    from,
    head: state.head,
    torn: state.torn,
    problems,
  }
}

interface ReadState {
  records: number
  head: VerifyReport['head']
  torn: VerifyReport['torn']
}

function* chainLines(segments: readonly SegmentFile[], state: ReadState): Generator<ChainLine> {
  for (const segment of segments) {
    const file = basename(segment.path)
    let line = 0
    for (const { bytes, isWhole } of readLines(segment.path)) {
      if (!isWhole && segment === segments.at(-1)) {
        state.torn = { file, bytes: bytes.length }
        return
      }
      line += 1
      state.records += 1
      const chain = chainOf(bytes)
      const hash = lineDigest(bytes)
      const seq = chain?.seq ?? -1
      state.head = { seq, hash }
      yield {
        file,
        line,
        seq,
        prev: chain?.prev ?? '',
        hash,
        bytes,
        isWhole,
        begins: line === 1 ? segment.firstSeq : undefined,
      }
    }
  }
}

const PIECE_BYTES = 1024 * 1024

function* readLines(path: string): Generator<{ bytes: Buffer; isWhole: boolean }> {
  const fd = openSync(path, 'r')
  try {
    const piece = Buffer.allocUnsafe(PIECE_BYTES)
    let rest: Buffer = Buffer.alloc(0)
    for (let read = readSync(fd, piece); read > 0; read = readSync(fd, piece)) {
      // Lines are kept for a while by the caller, so they must not be views of the reused piece.
      const bytes = Buffer.concat([rest, piece.subarray(0, read)])
      let start = 0
      for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, start)) {
        yield { bytes: bytes.subarray(start, end), isWhole: true }
        start = end + 1
      }
      rest = bytes.subarray(start)
    }
    if (rest.length > 0) yield { bytes: rest, isWhole: false }
  } finally {
    closeSync(fd)
  }
}
