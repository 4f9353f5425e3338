// `sallyport test`: runs the `tests:` inside rule files by the code that decides live traffic. Called by `program.ts`.

import type { Command } from 'commander'

import { loadRuleSets } from '../config/rules.ts'
import { coverageOf, type Coverage } from '../policy/coverage.ts'
import type { Problem } from '../policy/problem.ts'
import type { RuleSet } from '../policy/rule-set.ts'
import { traceTests, type TracedTest } from '../policy/rule-tests.ts'
import { readContent } from '../understand/read-content.ts'
import { configFor, existing, shortPath, type CommonOptions } from './common.ts'
import { printCoverage } from './coverage.ts'
import { EXIT_CODES, paintFor, printJson, UsageError, type CommandIo } from './io.ts'
import { countOf, formatProblems } from './problems.ts'
import { printTrace } from './trace.ts'

interface TestFlags extends CommonOptions {
  readonly coverage?: boolean
  readonly min?: string
}

interface Tested {
  readonly set: RuleSet
  readonly tests: readonly TracedTest[]
  readonly coverage: Coverage
}

/** What of a run is wanted beyond its results. */
interface Wanted {
  readonly coverage: boolean
  /** Percent of the rules of each set. */
  readonly min: number
}

const NEAR_MAX = 5

/** Adds the verb. */
export function registerTest(program: Command, io: CommandIo, exit: (code: number) => void): void {
  program
    .command('test')
    .description('run the tests inside rule files')
    .argument('[FILE...]', "files or directories; default: the configuration's rules")
    .option('--coverage', 'also say which rules no test decided by')
    .option('--min <percent>', 'fail where fewer of the rules of a set are covered')
    .action((files: readonly string[], _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<TestFlags>()
      exit(runTests(files, options, readWanted(options), io))
    })
}

function readWanted({ coverage = false, min }: TestFlags): Wanted {
  if (min === undefined) return { coverage, min: 0 }
  const percent = /^\d{1,3}$/.test(min) ? Number(min) : Infinity
  if (percent > 100) throw new UsageError(`\`--min ${min}\` is no percentage from 0 to 100`)
  return { coverage: true, min: percent }
}

function runTests(
  files: readonly string[],
  options: CommonOptions,
  wanted: Wanted,
  io: CommandIo,
): number {
  const places = files.length === 0 ? [configFor(options, io, true).rules.dir] : existing(files)
  const { sets, problems } = loadRuleSets(places)
  const errors = problems.filter(({ severity }) => severity === 'error')
  const results = [...sets.values()].map((set): Tested => {
    const tests = traceTests(set, readContent)
    return { set, tests, coverage: coverageOf(set, tests) }
  })
  if (options.json === true) printResultsJson(results, errors, wanted, io)
  else printResults(results, errors, wanted, io)
  const isSound = results.every(
    ({ tests, coverage }) => tests.every(({ passed }) => passed) && coverage.percent >= wanted.min,
  )
  return isSound && errors.length === 0 ? EXIT_CODES.ok : EXIT_CODES.no
}

function printResultsJson(
  results: readonly Tested[],
  problems: readonly Problem[],
  wanted: Wanted,
  io: CommandIo,
): void {
  const all = results.flatMap(({ tests }) => tests)
  const failed = all.filter(({ passed }) => !passed).length
  printJson(io, {
    passed: all.length - failed,
    failed,
    problems,
    ruleSets: results.map(({ set, tests, coverage }) => ({
      ruleset: set.name,
      file: set.file,
      // Why is asked of what is not as it should be.
      tests: tests.map(({ trace, ...test }) => (test.passed ? test : { ...test, trace })),
      ...(wanted.coverage && { coverage }),
    })),
  })
}

function printResults(
  results: readonly Tested[],
  errors: readonly Problem[],
  { coverage: isWanted, min }: Wanted,
  io: CommandIo,
): void {
  const paint = paintFor(io)
  io.out(formatProblems(errors, io))
  for (const { set, tests, coverage } of results) {
    const failed = tests.filter(({ passed }) => !passed)
    const mark = failed.length === 0 ? paint.green('pass') : paint.red('FAIL')
    io.out(
      `${mark} ${set.name} ${paint.dim(`${shortPath(set.file)}, ${countOf(tests.length, 'test')}`)}\n`,
    )
    for (const test of failed) printFailed(test, io)
    if (isWanted) printCoverage(coverage, min, io)
  }
  const all = results.flatMap(({ tests }) => tests)
  const failed = all.filter(({ passed }) => !passed).length
  io.out(`${all.length - failed} of ${countOf(all.length, 'test')} passed\n`)
}

// Rules for other hosts say nothing of why.
function printFailed(test: TracedTest, io: CommandIo): void {
  const { name, expected, got, file, line, trace } = test
  io.out(
    `     ${name} ${paintFor(io).dim(`${shortPath(file)}:${line}`)}\n       expected ${expected}\n       got      ${got}\n`,
  )
  const [, meant] = expected.split(' ')
  const near = trace.filter(
    ({ rule, matched, failedAt }) => matched || failedAt !== 'host' || rule.id === meant,
  )
  printTrace(near.slice(0, NEAR_MAX), { ...io, out: (text) => io.out(`     ${text}`) })
  const hidden = near.length - NEAR_MAX
  if (hidden > 0) io.out(`       and ${countOf(hidden, 'rule')} more: \`sallyport explain\`\n`)
}
