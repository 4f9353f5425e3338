// The hash chains' arithmetic: how a record's text gets its place, in the journal's chain and in that of its task, and how a
// line tells its place again. Pure. Called by `writer.ts`, which writes, and by all that read lines.

import { hash } from 'node:crypto'

import type { RecordChain } from '../body.ts'

/** What the first record of a chain names as the line before it. */
export const CHAIN_START: string = '0'.repeat(64)

/** Which of its two chains a line is looked at in. */
export type ChainScope = 'journal' | 'task'

/** A place in one chain: the number of a record, and the hash of the line before it. */
export type ChainPlace = Pick<RecordChain, 'seq' | 'prev'>

/** The hash of a line (without its newline) that the next line names. */
export function lineDigest(line: string | Uint8Array): string {
  return hash('sha256', line, 'hex')
}

/** The most bytes that a record of so many characters takes as a line. */
export function lineBytesMax(characters: number): number {
  return characters * 3 + CHAIN_BYTES_MAX
}

/**
 * Writes a record's text with its place in the chains, without newline, and returns where the line ends.
 * The text's last member is a non-empty `sallyport` object; it is cut open instead of being made again: a second
 * `JSON.stringify` would double the cost of a record.
 */
export function writeLine(
  target: Buffer,
  offset: number,
  text: string,
  { seq, prev, task }: RecordChain,
): number {
  const cut = offset + target.write(text, offset) - '}}'.length
  const own = `,"chain":{"seq":${String(seq)},"prev":"${prev}"`
  const rest =
    task === undefined ? '}}}' : `,"task":{"seq":${String(task.seq)},"prev":"${task.prev}"}}}}`
  return cut + target.write(own + rest, cut, 'latin1')
}

/** Longest `chain` member with the braces that close the record, in bytes. */
const CHAIN_BYTES_MAX = 256

const CHAIN_AT_END =
  /,"chain":\{"seq":(0|[1-9]\d{0,15}),"prev":"([0-9a-f]{64})"(?:,"task":\{"seq":([1-9]\d{0,15}),"prev":"([0-9a-f]{64})"\})?\}\}\}$/

/** Reads a line's place in the chains; undefined where the line does not end as every record does. */
export function chainOf(line: Buffer): RecordChain | undefined {
  const end = line.toString('latin1', Math.max(0, line.length - CHAIN_BYTES_MAX))
  const match = CHAIN_AT_END.exec(end)
  if (match === null) return undefined
  const [, seq, prev = '', taskSeq, taskPrev = ''] = match
  const place = { seq: Number(seq), prev }
  return taskSeq === undefined
    ? place
    : { ...place, task: { seq: Number(taskSeq), prev: taskPrev } }
}

/**
 * The line as it would read if it named another line before it, in one of its chains; for telling which of two lines was
 * edited. A line that is in no such chain stays as it is.
 */
export function withPrev(line: Buffer, prev: string, scope: ChainScope): Buffer {
  const task = chainOf(line)?.task
  const ofTask =
    task === undefined ? 0 : `,"task":{"seq":${String(task.seq)},"prev":"${task.prev}"}`.length
  if (scope === 'task' && task === undefined) return line
  const behind = scope === 'task' ? '"}}}}'.length : '"'.length + ofTask + '}}}'.length
  const changed = Buffer.from(line)
  changed.write(prev, changed.length - prev.length - behind, 'latin1')
  return changed
}
