// What `sallyport replay` prints for people: what would change, the largest groups first, and what a record cannot tell.
// Called by `replay.ts`.

import { escapeUnprintable } from '../record/printable.ts'
import type { ReplayGroup, ReplayReport, ReplaySide } from '../record/again/replay.ts'
import { paintFor, type CommandIo } from './io.ts'
import { countOf } from './problems.ts'

/** What a replay comes to, as scripts read it. */
export interface ReplayResult extends ReplayReport {
  readonly journal: string
  readonly rules: {
    readonly dir: string
    readonly sets: readonly string[]
  }
  /** Lines of the journal that were looked at. */
  readonly records: number
  /** Why tasks would have no rules, such as a set that the directory does not have. */
  readonly withoutRules: readonly string[]
}

const SHOWN_MAX = 50
const COUNT_WIDTH = 7

/** Prints what a replay came to. */
export function printReplay(result: ReplayResult, io: CommandIo): void {
  const paint = paintFor(io)
  const { changes, others, untold, changed, otherwise, unrecorded, groupsLeftOut } = result
  printGroups('would change', changes, io)
  printGroups('the same verdict by another rule or for another reason', others, io)
  printGroups('cannot be told', untold, io)
  if (groupsLeftOut > 0) io.out(`${countOf(groupsLeftOut, 'decision')} more in further groups\n`)
  for (const why of result.withoutRules)
    io.out(`${paint.yellow('without rules')}: ${escapeUnprintable(why)}\n`)
  const mark = changed === 0 ? paint.green('no verdict changes') : paint.red('verdicts change')
  io.out(
    `${mark}: ${countOf(result.decisions, 'decision')} of ${countOf(result.records, 'record')}, ` +
      `${changed} changed, ${result.same} the same, ${otherwise} otherwise, ${unrecorded} cannot be told; ` +
      `${countOf(result.aside, 'refusal')} beside the rules\n`,
  )
}

function printGroups(title: string, groups: readonly ReplayGroup[], io: CommandIo): void {
  if (groups.length === 0) return
  const paint = paintFor(io)
  io.out(`${paint.bold(title)}\n`)
  for (const group of groups.slice(0, SHOWN_MAX)) printGroup(group, io)
  const more = groups.length - SHOWN_MAX
  if (more > 0) io.out(`  and ${countOf(more, 'group')} more: \`--json\` lists all\n`)
}

function printGroup(
  { count, host, from, to, missing, examples }: ReplayGroup,
  io: CommandIo,
): void {
  const paint = paintFor(io)
  const came = to === undefined ? '' : ` -> ${sideText(to)}`
  const lacking = missing === undefined ? '' : `: a record does not have ${missing.join(', ')}`
  const text = `${host}  ${sideText(from)}${came}${lacking}`
  io.out(`${String(count).padStart(COUNT_WIDTH)}  ${escapeUnprintable(text)}\n`)
  for (const { id, what } of examples)
    io.out(`${' '.repeat(COUNT_WIDTH + 4)}${paint.dim(`${id} ${escapeUnprintable(what)}`)}\n`)
}

function sideText({ verdict, reason, rule }: ReplaySide): string {
  const why = verdict === 'allow' ? '' : ` ${reason}`
  return `${verdict}${why}${rule === undefined ? '' : ` by ${rule}`}`
}
