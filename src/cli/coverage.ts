// Which rules the tests of a file decide by, for people. Called by `test.ts`.

import type { Coverage, RuleCoverage } from '../policy/coverage.ts'
import { paintFor, type CommandIo } from './io.ts'
import { countOf } from './problems.ts'

/** Prints the coverage of one set. @param min percent below which it is too little */
export function printCoverage(
  { rules, covered, percent }: Coverage,
  min: number,
  io: CommandIo,
): void {
  const paint = paintFor(io)
  const text = `${covered} of ${countOf(rules.length, 'rule')}, ${percent}%`
  const isEnough = percent >= min
  const told = isEnough ? text : `${text}: less than ${min}%`
  io.out(`     coverage ${isEnough ? told : paint.red(told)}\n`)
  for (const rule of rules) {
    const times = String(rule.decided[rule.verdict] ?? 0).padStart(5)
    const mark = rule.isCovered ? times : paint.yellow(times)
    io.out(`     ${mark}  ${rule.verdict.padEnd(5)} ${rule.id}${paint.dim(describeRest(rule))}\n`)
  }
}

function describeRest({ verdict, decided, matched, missed, isCovered }: RuleCoverage): string {
  const others = Object.entries(decided).filter(([other]) => other !== verdict)
  const parts = [
    ...(isCovered ? [] : [matched > 0 ? 'no test decides by it' : 'no test calls it']),
    ...others.map(([other, times]) => `${times} came to ${other}`),
    ...(!isCovered && matched > 0 ? [`${matched} matched`] : []),
    ...(missed > 0 ? [`${missed} missed it`] : []),
  ]
  return parts.length === 0 ? '' : `  ${parts.join(', ')}`
}
