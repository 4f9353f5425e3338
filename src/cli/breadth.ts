// How wide rules are, for `check`: as a table of the widest for people, whole for scripts. Called by `check.ts`.

import path from 'node:path'

import { breadthOfSet, WIDE_FROM, type Breadth, type SetBreadth } from '../policy/breadth.ts'
import type { RuleSet } from '../policy/rule-set.ts'
import { shortPath } from './common.ts'
import { paintFor, type CommandIo } from './io.ts'

/** How wide a set is, and which. */
interface NamedBreadth extends SetBreadth {
  readonly ruleset: string
  readonly file: string
}

const SHOWN_MAX = 5
// What narrower rules have is usual and tells nobody anything.
const SHOWN_FROM = 30
const NAME_WIDTH_MAX = 60

/** Measures sets, the widest first. */
export function breadthReport(sets: readonly RuleSet[]): NamedBreadth[] {
  return sets
    .map((set) => ({
      ruleset: set.name,
      file: shortPath(path.resolve(set.file)),
      ...breadthOfSet(set),
    }))
    .toSorted((one, other) => other.score - one.score)
}

/** Prints the widest rules. */
export function printBreadth(sets: readonly RuleSet[], io: CommandIo): void {
  const wide = breadthReport(sets)
    .flatMap(({ ruleset, rules }) =>
      rules.map((rule) => ({ ...rule, name: `${ruleset}/${rule.id}` })),
    )
    .filter(({ score }) => score >= SHOWN_FROM)
    .toSorted((one, other) => other.score - one.score)
  if (wide.length === 0) return
  const paint = paintFor(io)
  const shown = wide.slice(0, SHOWN_MAX)
  const width = Math.min(NAME_WIDTH_MAX, Math.max(...shown.map(({ name }) => name.length)))
  io.out(
    `${paint.bold('widest rules')} ${paint.dim('0 is one place for one task, 100 anything')}\n`,
  )
  for (const { name, score, parts } of shown) {
    const number = String(score).padStart(3)
    const mark = score >= WIDE_FROM ? paint.yellow(number) : number
    io.out(`  ${mark}  ${name.padEnd(width)}  ${paint.dim(describeParts(parts))}\n`)
  }
  const hidden = wide.length - shown.length
  if (hidden > 0) io.out(paint.dim(`  and ${hidden} more from ${SHOWN_FROM} on: --json has all\n`))
}

function describeParts(parts: Breadth['parts']): string {
  return parts.map(({ what, points }) => `${what} ${points}`).join(', ')
}
