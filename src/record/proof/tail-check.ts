// Whether the end of the journal still is what was written: its last lines are read back from the disk and compared with
// what the writer knows. Finds who edits or cuts a live journal at once; all of it is for `verify`. Called by the
// self-checks.

import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

import { chainOf, lineDigest } from '../journal/chain.ts'
import type { Journal } from '../journal/journal.ts'
import { segmentPath } from '../journal/segments.ts'

/** So much of the end is read back. */
const TAIL_BYTES = 256 * 1024
const NEWLINE = 0x0a

/** Says what is wrong with the end of the journal in use; undefined where it is as it was written. */
export function findTailTampering({
  dir,
  head,
}: Pick<Journal, 'dir' | 'head'>): string | undefined {
  const { firstSeq, bytes, hash } = head
  if (bytes === 0) return undefined
  const from = Math.max(0, bytes - TAIL_BYTES)
  const tail = Buffer.allocUnsafe(bytes - from)
  const descriptor = openSync(segmentPath(dir, firstSeq), 'r')
  try {
    if (fstatSync(descriptor).size < bytes) return 'the journal is shorter than what was written'
    for (let at = 0; at < tail.length;) {
      const read = readSync(descriptor, tail, at, tail.length - at, from + at)
      if (read === 0) return 'the journal is shorter than what was written'
      at += read
    }
  } finally {
    closeSync(descriptor)
  }
  if (tail.at(-1) !== NEWLINE) return 'the last line of the journal is not what was written'
  return findBreak(tail, from > 0, hash)
}

// From the last line to the first whole one: each must be what the one after it names.
function findBreak(tail: Buffer, isCut: boolean, hash: string): string | undefined {
  let wanted: string | undefined = hash
  let end = tail.length - 1
  for (;;) {
    const newline = end === 0 ? -1 : tail.lastIndexOf(NEWLINE, end - 1)
    if (newline < 0 && isCut) return undefined
    const line = tail.subarray(newline + 1, end)
    if (lineDigest(line) !== wanted)
      return 'a line at the end of the journal is not what was written'
    wanted = chainOf(line)?.prev
    if (newline < 0) return undefined
    end = newline
  }
}
