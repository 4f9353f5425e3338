// `sallyport check`: lints configuration and rules, alone and together, and says how to mend what it finds.
// Called by `program.ts`.

import { readFileSync, statSync } from 'node:fs'
import path from 'node:path'

import { Option, type Command } from 'commander'

import { checkInstallation, checkRuleFiles } from '../config/check-installation.ts'
import type { Problem } from '../policy/problem.ts'
import type { RuleSet } from '../policy/rule-set.ts'
import { breadthReport, printBreadth } from './breadth.ts'
import { configFile, existing, loadFor, shortPath, type CommonOptions } from './common.ts'
import { EXIT_CODES, paintFor, printJson, UsageError, type CommandIo } from './io.ts'
import { readPeriod } from './period.ts'
import {
  formatGithub,
  formatProblems,
  FORMATS,
  summarizeProblems,
  type Format,
} from './problems.ts'
import { toSarif } from './sarif.ts'
import { findUnusedRules } from './unused-rules.ts'

interface CheckFlags extends CommonOptions {
  readonly format: Format
  readonly journal?: string | true
  readonly since?: string
}

/** Adds the verb. */
export function registerCheck(program: Command, io: CommandIo, exit: (code: number) => void): void {
  program
    .command('check')
    .description('check configuration and rules: what is wrong, where, and how to mend it')
    .argument('[FILE...]', 'configurations, rule files or directories of them; default: everything')
    .addOption(
      new Option('--format <format>', 'how problems are printed').choices(FORMATS).default('human'),
    )
    .option(
      '--journal [dir]',
      "also name rules that no record cites; default: the configuration's journal",
    )
    .option('--since <time>', 'of `--journal`: from this time on: 15m, 2h, or 2027-01-31T12:00:00Z')
    .action(async (files: readonly string[], _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CheckFlags>()
      const checked = files.length === 0 ? checkAll(options, io) : checkFiles(files, options, io)
      const unused = await findUnused(checked, options, io)
      const problems = sortProblems([...checked.problems, ...unused])
      const format = options.json === true ? 'json' : options.format
      printChecked({ ...checked, problems }, format, io)
      exit(problems.some(({ severity }) => severity === 'error') ? EXIT_CODES.no : EXIT_CODES.ok)
    })
}

/** What was found, and in which rule sets. */
interface Checked {
  readonly problems: readonly Problem[]
  readonly sets: readonly RuleSet[]
}

/** The configuration, its rules, and the two together. */
function checkAll(options: CommonOptions, io: CommandIo): Checked {
  const file = configFile(options, io)
  const { config, problems, placeOf } = loadFor(options, io, false)
  // Rules are looked at also where the configuration that names their directory cannot be read.
  const places = [config?.rules.dir ?? path.join(path.dirname(file), 'rules')]
  const rules = checkRuleFiles(places, Date.now(), config)
  const together = config === undefined ? [] : checkInstallation(config, rules.sets, placeOf)
  return {
    problems: [...problems, ...rules.problems, ...together],
    sets: [...rules.sets.values()],
  }
}

async function findUnused(
  { sets }: Checked,
  options: CheckFlags,
  io: CommandIo,
): Promise<Problem[]> {
  const { journal, since } = options
  if (journal === undefined) {
    if (since !== undefined) throw new UsageError('`--since` goes with `--journal`')
    return []
  }
  const { config } = loadFor(options, io, journal !== true)
  const dir = journal === true ? config?.journal.dir : journal
  if (dir === undefined)
    throw new UsageError('the configuration names no journal: write --journal DIR')
  const period = readPeriod({ since })
  return findUnusedRules(dir, period, sets, config?.rules.always ?? [], io)
}

function checkFiles(files: readonly string[], options: CommonOptions, io: CommandIo): Checked {
  const configurations = existing(files).filter((file) => isConfiguration(file))
  const places = files.filter((file) => !configurations.includes(file))
  const checked = configurations.map((file) => checkAll({ ...options, config: file }, io))
  const rules = places.length === 0 ? undefined : checkRules(places, options, io)
  return {
    problems: [...checked.flatMap(({ problems }) => problems), ...(rules?.problems ?? [])],
    sets: [...checked.flatMap(({ sets }) => sets), ...(rules?.sets.values() ?? [])],
  }
}

// Where there is a configuration, it may define profiles.
function checkRules(
  places: readonly string[],
  options: CommonOptions,
  io: CommandIo,
): ReturnType<typeof checkRuleFiles> {
  return checkRuleFiles(places, Date.now(), loadFor(options, io, true).config)
}

/** A rule file names its rule set; any other file is a configuration. */
function isConfiguration(file: string): boolean {
  return !statSync(file).isDirectory() && !/^ruleset\s*:/m.test(readFileSync(file, 'utf8'))
}

function printChecked({ problems, sets }: Checked, format: Format, io: CommandIo): void {
  switch (format) {
    case 'json':
      return printJson(io, { problems, breadth: breadthReport(sets) })
    case 'github':
      return io.out(formatGithub(problems))
    case 'sarif':
      return printJson(io, toSarif(problems, io.version))
    case 'human':
    default:
      io.out(formatProblems(problems, io))
      printBreadth(sets, io)
      if (problems.length > 0) io.out(`${summarizeProblems(problems)}\n`)
      else io.out(`${paintFor(io).green('no problems')}\n`)
  }
}

function sortProblems(problems: readonly Problem[]): Problem[] {
  const short = problems.map((problem) => ({
    ...problem,
    file: shortPath(path.resolve(problem.file)),
  }))
  // What is wrong with one set is wrong with it among others too.
  return [...new Map(short.map((problem) => [JSON.stringify(problem), problem])).values()].toSorted(
    (a, b) => compare(a.file, b.file) || a.line - b.line || a.column - b.column,
  )
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0
}
