// Every rule that was looked at, one line each, and below it what each clause of its condition came to where it was asked.
// Called by `explain.ts` and `explain-call.ts`.

import type { TraceStep } from '../policy/decision.ts'
import { escapeUnprintable } from '../record/printable.ts'
import { shortPath } from './common.ts'
import { paintFor, type CommandIo } from './io.ts'

/** Prints how far a call got with every rule, in order. */
export function printTrace(trace: readonly TraceStep[], io: CommandIo): void {
  const paint = paintFor(io)
  for (const step of trace) {
    const whose = step.ancestor === undefined ? '' : ` (of the task ${step.ancestor} above)`
    const mark = step.matched
      ? paint.bold('matched')
      : paint.dim(`not by ${step.failedAt ?? 'condition'}`)
    const at = step.at.replace(
      /^(.*?)(:\d+:\d+)$/,
      (_all, file: string, place: string) => `${shortPath(file)}${place}`,
    )
    io.out(
      `  ${step.verdict.padEnd(5)} ${step.rule.ruleset}/${step.rule.id}${whose}  ${mark}  ${paint.dim(at)}\n`,
    )
    // What each part of its condition comes to, on one line however it is written.
    for (const { clause, value } of step.clauses ?? [])
      io.out(
        `        ${escapeUnprintable(clause.replaceAll(/\s+/g, ' '))}  ${paint.dim(escapeUnprintable(value))}\n`,
      )
  }
}
