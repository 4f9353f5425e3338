// `sallyport verify BUNDLE`: a bundle of evidence checked offline, with the public key that was given by another way.
// Called by `verify.ts`.

import { closeSync, openSync, readSync } from 'node:fs'

import type { CheckpointKey } from '../record/proof/checkpoint.ts'
import { verifyBundle, type BundleReport } from '../record/evidence/verify-bundle.ts'
import { escapeUnprintable } from '../record/printable.ts'
import { DecisionCheck, type DecisionsReport } from './verify-decisions.ts'
import { EXIT_CODES, paintFor, printJson, UsageError, type CommandIo } from './io.ts'
import { countOf } from './problems.ts'

const MAGIC = 'ustar'
const MAGIC_AT = 257
const TOLD_MAX = 20

/** Whether a file is a bundle, and no file of records: an archive, by what stands in it or by its name. */
export function isBundle(file: string): boolean {
  if (file.endsWith('.tar')) return true
  if (file === '-') return false
  const fd = openSync(file, 'r')
  try {
    const magic = Buffer.alloc(MAGIC.length)
    readSync(fd, magic, 0, MAGIC.length, MAGIC_AT)
    return magic.toString('latin1') === MAGIC
  } finally {
    closeSync(fd)
  }
}

/** Checks a bundle and prints what was found. @param keys that are trusted; none: those of the bundle */
export function verifyBundleFile(
  file: string,
  keys: readonly CheckpointKey[],
  json: boolean,
  io: CommandIo,
): number {
  const decisions = new DecisionCheck()
  const report = check(file, keys, decisions)
  const decided = decisions.finish()
  const isOk = report.ok && decided.others.length === 0
  if (json) printJson(io, { ...report, ok: isOk, decisions: decided })
  else printReport(report, decided, isOk, io)
  return isOk ? EXIT_CODES.ok : EXIT_CODES.no
}

function check(
  file: string,
  keys: readonly CheckpointKey[],
  decisions: DecisionCheck,
): BundleReport {
  try {
    return verifyBundle(file, {
      keys,
      onRecord: (record) => decisions.addRecord(record),
      onContext: (record) => decisions.addContext(record),
      onRules: (version, text) => decisions.addRules(version, text),
    })
  } catch (error) {
    throw new UsageError(`cannot read ${file}: ${error instanceof Error ? error.message : ''}`, {
      cause: error,
    })
  }
}

function printReport(
  report: BundleReport,
  decided: DecisionsReport,
  isOk: boolean,
  io: CommandIo,
): void {
  const paint = paintFor(io)
  const { problems, notes, records, chains, manifest } = report
  for (const { member, line, what } of problems) {
    const place =
      member === '' ? 'bundle' : line === undefined ? member : `${member}:${String(line)}`
    io.out(`${paint.bold(escapeUnprintable(place))}: ${escapeUnprintable(what)}\n`)
  }
  for (const { record, what } of decided.others)
    io.out(`${paint.bold('decisions.ndjson')}: ${escapeUnprintable(`${record}: ${what}`)}\n`)
  for (const note of notes.slice(0, TOLD_MAX))
    io.out(`${paint.yellow('note')}: ${escapeUnprintable(note)}\n`)
  if (notes.length > TOLD_MAX)
    io.out(`and ${String(notes.length - TOLD_MAX)} more: --json has them\n`)
  const sealed = chains.filter(({ isSealed }) => isSealed).length
  const told = `${String(decided.same)} decisions made again and the same, ${String(decided.untold)} that a record does not tell`
  const verdict = isOk
    ? paint.green('intact')
    : paint.red(countOf(problems.length + decided.others.length, 'problem'))
  const about =
    manifest === undefined
      ? ''
      : `: ${countOf(records, 'record')}, ${countOf(chains.length, 'chain')}, ${String(sealed)} sealed, ${told}`
  io.out(`${verdict}${about}\n`)
}
