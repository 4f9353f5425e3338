// The hash chain's arithmetic: how a record's text gets its place, and how a line tells its place again. Pure.
// Called by `journal.ts`, which writes, and by `recovery.ts` and `verify.ts`, which read.

import { hash } from 'node:crypto'

import type { RecordChain } from './body.ts'

/** What the first record of a journal names as the line before it. */
export const CHAIN_START: string = '0'.repeat(64)

/** The hash of a line (without its newline) that the next line names. */
export function lineDigest(line: string | Uint8Array): string {
  return hash('sha256', line, 'hex')
}

/** The most bytes that a record of so many characters takes as a line. */
export function lineBytesMax(characters: number): number {
  return characters * 3 + CHAIN_BYTES_MAX
}

/**
 * Writes a record's text with its place in the chain, without newline, and returns where the line ends.
 * The text's last member is a non-empty `sallyport` object; it is cut open instead of being made again: a second
 * `JSON.stringify` would double the cost of a record.
 */
export function writeLine(
  target: Buffer,
  offset: number,
  text: string,
  { seq, prev }: RecordChain,
): number {
  const cut = offset + target.write(text, offset) - '}}'.length
  return cut + target.write(`,"chain":{"seq":${String(seq)},"prev":"${prev}"}}}`, cut, 'latin1')
}

/** Longest `chain` member with the braces that close the record, in bytes. */
const CHAIN_BYTES_MAX = 128

const CHAIN_AT_END = /,"chain":\{"seq":(0|[1-9]\d{0,15}),"prev":"([0-9a-f]{64})"\}\}\}$/

/** Reads a line's place in the chain; undefined where the line does not end as every record does. */
export function chainOf(line: Buffer): RecordChain | undefined {
  const end = line.toString('latin1', Math.max(0, line.length - CHAIN_BYTES_MAX))
  const match = CHAIN_AT_END.exec(end)
  if (match === null) return undefined
  return { seq: Number(match[1]), prev: match[2] ?? '' }
}

/** The line as it would read if it named another line before it; for telling which of two lines was edited. */
export function withPrev(line: Buffer, prev: string): Buffer {
  const changed = Buffer.from(line)
  changed.write(prev, changed.length - prev.length - '"}}}'.length, 'latin1')
  return changed
}
