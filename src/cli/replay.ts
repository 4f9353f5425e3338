// `sallyport replay`: decides recorded calls and messages again under the rules of a directory, and lists what would change and
// what a record cannot tell. Reads the journal's files alone, also while a sidecar writes them. Called by `program.ts`.

import { existsSync } from 'node:fs'

import type { Command } from 'commander'

import { pinnedFinderFor } from '../config/pinned-rules.ts'
import { readRulesAgain } from '../config/rules-again.ts'
import { factsOf } from '../policy/facts.ts'
import type { RuleSet } from '../policy/rule-set.ts'
import { tailRecords } from '../record/read/tail.ts'
import { existing, loadFor, shortPath, staticTaskOf, type CommonOptions } from './common.ts'
import { EXIT_CODES, printJson, UsageError, type CommandIo } from './io.ts'
import { readPeriod } from './period.ts'
import { formatProblems } from './problems.ts'
import { printReplay, type ReplayResult } from './replay-text.ts'
import { Replay, type ReplayWanted } from './replay-records.ts'

interface ReplayFlags extends CommonOptions {
  readonly rules?: string
  readonly task?: string
  readonly since?: string
}

/** Adds the verb. */
export function registerReplay(
  program: Command,
  io: CommandIo,
  exit: (code: number) => void,
): void {
  program
    .command('replay')
    .description('recorded calls under other rules; exit 0 nothing changes, 1 something does')
    .argument('<JOURNAL>', 'the directory of a journal')
    .option('--rules <dir>', 'the rules to decide by')
    .option('--task <id>', 'only calls of this task and its children')
    .option('--since <time>', 'only from this time on: 15m, 2h, or 2027-01-31T12:00:00Z')
    .action(async (journal: string, _options: unknown, command: Command) => {
      exit(await replay(journal, command.optsWithGlobals<ReplayFlags>(), io))
    })
}

async function replay(journal: string, options: ReplayFlags, io: CommandIo): Promise<number> {
  const { rules: dir, task } = options
  if (dir === undefined) throw new UsageError('replay needs `--rules DIR`, the rules to decide by')
  existing([journal, dir])
  const config = loadFor(options, io, true).config
  const limits = config?.limits
  const sets = readSets(dir, limits, io)
  const own = config && staticTaskOf(config)
  const wanted: ReplayWanted = { ...(task !== undefined && { task }), ...readPeriod(options) }
  const run = new Replay({
    sets,
    always: config?.rules.always ?? [],
    findPinned: config && pinnedFinderFor(config),
    tasks: own === undefined ? [] : [[own.id, { ...own, facts: factsOf(own) }]],
    wanted,
  })
  const onBadLine = (): void =>
    io.err('a line of the journal is no record: see `sallyport verify`\n')
  const records = tailRecords(journal, {
    filter: { all: true },
    follow: false,
    signal: io.signal,
    onBadLine,
  })
  for await (const { record } of records) run.add(record)
  const { report, records: read, withoutRules } = run.finish()
  const result: ReplayResult = {
    journal: shortPath(journal),
    rules: {
      dir: shortPath(dir),
      sets: [...sets.values()].map(({ name, version }) => `${name}@${version}`),
    },
    records: read,
    withoutRules,
    ...report,
  }
  if (options.json === true) printJson(io, result)
  else printReplay(result, io)
  return result.changed === 0 ? EXIT_CODES.ok : EXIT_CODES.no
}

function readSets(
  dir: string,
  limits: Parameters<typeof readRulesAgain>[1] | undefined,
  io: CommandIo,
): ReadonlyMap<string, RuleSet> {
  if (!existsSync(dir)) throw new UsageError(`there is no ${dir}`)
  const { sets, problems } = readRulesAgain(dir, limits)
  if (problems.length > 0)
    throw new UsageError(
      `a sidecar would not take these rules\n${formatProblems(problems, io).trimEnd()}`,
    )
  return sets
}
