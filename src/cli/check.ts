// `sallyport check`: lints configuration and rules, alone and together, and says how to mend what it finds.
// Called by `program.ts`.

import { readFileSync, statSync } from 'node:fs'
import path from 'node:path'

import { Option, type Command } from 'commander'

import { checkInstallation, checkRuleFiles } from '../config/check-installation.ts'
import type { Problem } from '../policy/problem.ts'
import { configFile, existing, loadFor, shortPath, type CommonOptions } from './common.ts'
import { EXIT_CODES, paintFor, printJson, type CommandIo } from './io.ts'
import {
  formatGithub,
  formatProblems,
  FORMATS,
  summarizeProblems,
  type Format,
} from './problems.ts'
import { toSarif } from './sarif.ts'

/** Adds the verb. */
export function registerCheck(program: Command, io: CommandIo, exit: (code: number) => void): void {
  program
    .command('check')
    .description('check configuration and rules: what is wrong, where, and how to mend it')
    .argument('[FILE...]', 'configurations, rule files or directories of them; default: everything')
    .addOption(
      new Option('--format <format>', 'how problems are printed').choices(FORMATS).default('human'),
    )
    .action((files: readonly string[], _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions & { readonly format: Format }>()
      const problems = sortProblems(
        files.length === 0 ? checkAll(options, io) : checkFiles(files, options, io),
      )
      printProblems(problems, options.json === true ? 'json' : options.format, io)
      exit(problems.some(({ severity }) => severity === 'error') ? EXIT_CODES.no : EXIT_CODES.ok)
    })
}

/** The configuration, its rules, and the two together. */
function checkAll(options: CommonOptions, io: CommandIo): Problem[] {
  const file = configFile(options, io)
  const { config, problems, placeOf } = loadFor(options, io, false)
  // Rules are looked at also where the configuration that names their directory cannot be read.
  const places = [config?.rules.dir ?? path.join(path.dirname(file), 'rules')]
  const rules = checkRuleFiles(places, config?.profiles)
  const together = config === undefined ? [] : checkInstallation(config, rules.sets, placeOf)
  return [...problems, ...rules.problems, ...together]
}

function checkFiles(files: readonly string[], options: CommonOptions, io: CommandIo): Problem[] {
  const configurations = existing(files).filter((file) => isConfiguration(file))
  const places = files.filter((file) => !configurations.includes(file))
  return [
    ...configurations.flatMap((file) => checkAll({ ...options, config: file }, io)),
    ...(places.length === 0 ? [] : checkRules(places, options, io)),
  ]
}

// Where there is a configuration, it may define profiles.
function checkRules(places: readonly string[], options: CommonOptions, io: CommandIo): Problem[] {
  return checkRuleFiles(places, loadFor(options, io, true).config?.profiles).problems
}

/** A rule file names its rule set; any other file is a configuration. */
function isConfiguration(file: string): boolean {
  return !statSync(file).isDirectory() && !/^ruleset\s*:/m.test(readFileSync(file, 'utf8'))
}

function printProblems(problems: readonly Problem[], format: Format, io: CommandIo): void {
  switch (format) {
    case 'json':
      return printJson(io, { problems })
    case 'github':
      return io.out(formatGithub(problems))
    case 'sarif':
      return printJson(io, toSarif(problems, io.version))
    case 'human':
    default:
      io.out(formatProblems(problems, io))
      if (problems.length > 0) io.out(`${summarizeProblems(problems)}\n`)
      else io.out(`${paintFor(io).green('no problems')}\n`)
  }
}

function sortProblems(problems: readonly Problem[]): Problem[] {
  return problems
    .map((problem) => ({ ...problem, file: shortPath(path.resolve(problem.file)) }))
    .toSorted((a, b) => compare(a.file, b.file) || a.line - b.line || a.column - b.column)
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0
}
