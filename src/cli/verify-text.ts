// What `sallyport verify` prints for people: each problem with its place, and one sentence at the end. Called by `verify.ts`.

import type { CheckpointsFound } from '../record/proof/checkpoint-check.ts'
import { escapeUnprintable } from '../record/printable.ts'
import type { ChainProblem } from '../record/proof/tampering.ts'
import type { TaskReport } from '../record/proof/verify-task.ts'
import type { VerifyOptions, VerifyReport } from '../record/proof/verify.ts'
import { paintFor, type CommandIo } from './io.ts'
import { countOf } from './problems.ts'

/** Prints what was found of a journal. */
export function printReport(report: VerifyReport, options: VerifyOptions, io: CommandIo): void {
  const { records, from, head, torn, gaps, repeats, checkpoints, anchored } = report
  printProblems(report.problems, io)
  if (torn) io.out(`${torn.file}: the last ${torn.bytes} bytes are no whole line yet\n`)
  if (repeats > 0)
    io.out(`${countOf(repeats, 'record')} came again, as delivery is at least once\n`)
  if (gaps.count > 0)
    io.out(
      `left out: ${countOf(gaps.records, 'record')} in ${countOf(gaps.count, 'gap')}, of which nothing is said\n`,
    )
  const ended = head === undefined ? '' : `, head ${head.seq} sha256:${head.hash}`
  io.out(`${verdictOf(report.problems, io)}: ${countOf(records, 'record')} from ${from}${ended}\n`)
  printCheckpoints(checkpoints, options, io)
  if (report.ok) printTail({ anchored, from, head: head?.seq ?? 0, checkpoints }, options, io)
}

/** Prints what was found of a task. */
export function printTaskReport(report: TaskReport, options: VerifyOptions, io: CommandIo): void {
  const { task, records, from, head, repeats, isSealed, checkpoints, anchored } = report
  printProblems(report.problems, io)
  if (repeats > 0)
    io.out(`${countOf(repeats, 'record')} came again, as delivery is at least once\n`)
  const ended = head === undefined ? '' : `, head ${head.seq} sha256:${head.hash}`
  const sealed = isSealed ? sealedText(report) : unsealedText(report)
  io.out(
    `${verdictOf(report.problems, io)}: ${countOf(records, 'record')} of ${task} from ${from}${ended}${sealed}\n`,
  )
  printCheckpoints(checkpoints, options, io)
  if (report.ok) printTail({ anchored, from, head: head?.seq ?? 0, checkpoints, task }, options, io)
}

function unsealedText({ checkpoints: { unchecked } }: TaskReport): string {
  return unchecked > 0 ? ', no seal that could be checked' : ', not sealed'
}

// The record of the seal is behind what it seals.
function sealedText({ head, checkpoints: { last } }: TaskReport): string {
  const behind = (head?.seq ?? 0) - (last?.seq ?? 0) - 1
  return behind > 0 && last?.final === true
    ? `, sealed up to ${last.seq}, ${countOf(behind, 'record')} behind the seal`
    : ', sealed'
}

function printProblems(problems: readonly ChainProblem[], io: CommandIo): void {
  const paint = paintFor(io)
  for (const { file, line, seq, what } of problems) {
    const place = line > 0 ? `${file}:${line}` : `record ${seq}`
    io.out(`${paint.bold(place)}: ${what}\n`)
  }
}

function verdictOf(problems: readonly ChainProblem[], io: CommandIo): string {
  const paint = paintFor(io)
  return problems.length === 0
    ? paint.green('intact')
    : paint.red(countOf(problems.length, 'problem'))
}

function printCheckpoints(
  { verified, untrusted, unchecked }: CheckpointsFound,
  { keys }: VerifyOptions,
  io: CommandIo,
): void {
  if (verified > 0) {
    const by =
      keys === undefined ? 'keys that the records name themselves' : 'keys that --key vouches for'
    io.out(`${countOf(verified, 'checkpoint')} signed by ${by}\n`)
  }
  if (untrusted > 0)
    io.out(`${countOf(untrusted, 'checkpoint')} signed by keys that --key does not vouch for\n`)
  if (unchecked > 0)
    io.out(
      `${countOf(unchecked, 'checkpoint')} unchecked: no record here announces the key, --key names one\n`,
    )
}

function printTail(
  {
    anchored,
    from,
    head,
    checkpoints: { last, unchecked },
    task,
  }: {
    readonly anchored: boolean
    readonly from: number
    readonly head: number
    /** That all of it is about; absent: the journal. */
    readonly task?: string
  } & Pick<TaskReport, 'checkpoints'>,
  { anchor }: VerifyOptions,
  io: CommandIo,
): void {
  const end = anchor?.points.at(-1)?.seq ?? 0
  if (anchored) {
    const rest = head - end
    const behind =
      anchor?.task === undefined && rest > 0
        ? `; the ${countOf(rest, 'record')} behind it could have been more`
        : ''
    const begin = from > 1 ? `from record ${from} ` : ''
    const what =
      anchor?.task === undefined || anchor.task === task
        ? `nothing ${begin}up to record ${end} is gone or changed`
        : `nothing of ${escapeUnprintable(anchor.task)} up to its record ${end} is gone or changed; of others this anchor says nothing`
    io.out(`anchored: ${what}${behind}\n`)
    return
  }
  const covered =
    last === undefined
      ? `no checkpoint${unchecked > 0 ? ' that could be checked' : ''} covers the whole`
      : `the last checkpoint covers record ${last.seq}`
  const why =
    anchor === undefined
      ? 'without --anchor nobody can tell whether more was behind'
      : 'not all up to the anchor is here'
  io.out(`tail-unanchored: ${covered}; ${why}\n`)
}
