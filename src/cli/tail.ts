// `sallyport tail`: records of the journal, one line each, and on as they come. Reads the files, so it needs no running
// sidecar. Called by `program.ts`.

import { Option, type Command } from 'commander'
import { RE2JS } from 're2js'

import { renderRecord } from '../record/read/render.ts'
import { tailRecords, type TailFilter } from '../record/read/tail.ts'
import { escapeHarmful } from '../wire/json-text.ts'
import { configFor, type CommonOptions } from './common.ts'
import { EXIT_CODES, UsageError, type CommandIo } from './io.ts'
import { readPeriod } from './period.ts'

interface TailFlags extends Omit<TailFilter, 'since' | 'until'> {
  readonly since?: string
  readonly until?: string
  readonly lines?: string
  readonly follow?: boolean
}

/** Adds the verb. */
export function registerTail(program: Command, io: CommandIo, exit: (code: number) => void): void {
  program
    .command('tail')
    .description('show call records, one line each')
    .argument('[DIR]', "default: the configuration's journal")
    .option('--task <id>', 'of this task or its children')
    .option('--host <name>', 'to this host, or *.name for those below it')
    .addOption(
      new Option('--verdict <verdict>', 'with this verdict').choices(['allow', 'deny', 'hold']),
    )
    .option('--reason <token>', 'with this reason')
    .option('--tool <name>', 'calls of this tool; * stands for any characters')
    .option('--rule <id>', 'decided by this rule, ID or RULESET/ID')
    .option('--credential <name>', 'with this credential')
    .option('--since <time>', 'from this time on: 15m, 2h, or 2027-01-31T12:00:00Z')
    .option('--until <time>', 'up to this time, written the same way')
    .option('--alerts', 'only alerts, detections among them')
    .option('--detection <name>', 'raised by this detection; * stands for any characters')
    .option('--grep <expression>', 'with a match of this RE2 expression in their JSON')
    .option('--all', 'also call-started and call-progress')
    .option('-n, --lines <number>', 'begin with the last so many')
    .option('-f, --follow', 'go on as records are written')
    .action(async (dir: string | undefined, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions & TailFlags>()
      const journalDir = dir ?? configFor(options, io, false).journal.dir
      exit(await printRecords(journalDir, options, io))
    })
}

async function printRecords(
  dir: string,
  options: TailFlags & { readonly json?: boolean },
  io: CommandIo,
): Promise<number> {
  const { since, until, lines, ...wanted } = options
  const filter = { ...wanted, ...readPeriod({ since, until }) }
  checkExpression(filter.grep)
  const last = lines === undefined ? undefined : readCount(lines)
  const records = tailRecords(dir, {
    filter,
    follow: options.follow === true,
    ...(last !== undefined && { last }),
    signal: io.signal,
    onBadLine: () => io.err('a line of the journal is no record: see `sallyport verify`\n'),
  })
  for await (const { line, record } of records)
    io.out(`${options.json === true ? escapeHarmful(line) : renderRecord(record, io.color)}\n`)
  return EXIT_CODES.ok
}

function checkExpression(grep: string | undefined): void {
  if (grep === undefined) return
  try {
    RE2JS.compile(grep)
  } catch {
    throw new UsageError(`\`--grep ${grep}\` is no RE2 expression`)
  }
}

function readCount(lines: string): number {
  if (/^\d{1,9}$/.test(lines)) return Number(lines)
  throw new UsageError(`\`--lines ${lines}\` is no number`)
}
