// `sallyport test`: runs the `tests:` inside rule files by the code that decides live traffic. Called by `program.ts`.

import type { Command } from 'commander'

import { loadRuleSets } from '../config/rules.ts'
import { checkTests } from '../policy/check.ts'
import { readContent } from '../understand/read-content.ts'
import type { Problem } from '../policy/problem.ts'
import type { RuleSet } from '../policy/rule-set.ts'
import { configFor, existing, shortPath, type CommonOptions } from './common.ts'
import { EXIT_CODES, paintFor, printJson, type CommandIo } from './io.ts'
import { countOf, formatProblems } from './problems.ts'

/** Adds the verb. */
export function registerTest(program: Command, io: CommandIo, exit: (code: number) => void): void {
  program
    .command('test')
    .description('run the tests inside rule files')
    .argument('[FILE...]', "files or directories; default: the configuration's rules")
    .action((files: readonly string[], _options: unknown, command: Command) => {
      exit(runTests(files, command.optsWithGlobals<CommonOptions>(), io))
    })
}

function runTests(files: readonly string[], options: CommonOptions, io: CommandIo): number {
  const places = files.length === 0 ? [configFor(options, io, true).rules.dir] : existing(files)
  const { sets, problems } = loadRuleSets(places)
  const errors = problems.filter(({ severity }) => severity === 'error')
  const results = [...sets.values()].map((set) => ({ set, tests: checkTests(set, readContent) }))
  const tests = results.flatMap((result) => result.tests)
  const failed = tests.filter(({ passed }) => !passed).length
  if (options.json === true)
    printJson(io, {
      passed: tests.length - failed,
      failed,
      problems: errors,
      ruleSets: results.map((result) => ({
        ruleset: result.set.name,
        file: result.set.file,
        tests: result.tests,
      })),
    })
  else printResults(results, errors, io)
  return failed === 0 && errors.length === 0 ? EXIT_CODES.ok : EXIT_CODES.no
}

function printResults(
  results: readonly { readonly set: RuleSet; readonly tests: ReturnType<typeof checkTests> }[],
  errors: readonly Problem[],
  io: CommandIo,
): void {
  const paint = paintFor(io)
  io.out(formatProblems(errors, io))
  for (const { set, tests } of results) {
    const failed = tests.filter(({ passed }) => !passed)
    const mark = failed.length === 0 ? paint.green('pass') : paint.red('FAIL')
    io.out(
      `${mark} ${set.name} ${paint.dim(`${shortPath(set.file)}, ${countOf(tests.length, 'test')}`)}\n`,
    )
    for (const { name, expected, got } of failed)
      io.out(`     ${name}\n       expected ${expected}\n       got      ${got}\n`)
  }
  const all = results.flatMap(({ tests }) => tests)
  const failed = all.filter(({ passed }) => !passed).length
  io.out(`${all.length - failed} of ${countOf(all.length, 'test')} passed\n`)
}
