// `sallyport export`: a journal in the vocabulary of whoever reads it, one JSON value a line. Reads the files, so it needs no
// running sidecar, and holds no more than a batch of them. Called by `program.ts`.

import { existsSync } from 'node:fs'
import path from 'node:path'

import { Option, type Command } from 'commander'

import { FORMATS, type Format, type Origin } from '../record/project/format.ts'
import { projectionFor } from '../record/project/load.ts'
import { otlpRequest, projectOtlp, type OtlpLogRecord } from '../record/project/otlp.ts'
import { tailRecords, type TailedRecord, type TailOptions } from '../record/read/tail.ts'
import { jsonText } from '../wire/json-text.ts'
import { configFor, type CommonOptions } from './common.ts'
import { EXIT_CODES, UsageError, type CommandIo } from './io.ts'
import { readPeriod } from './period.ts'
import { countOf } from './problems.ts'

interface ExportFlags extends CommonOptions {
  readonly format: Format
  readonly task?: string
  readonly since?: string
  readonly until?: string
  readonly all?: boolean
}

/** Log records in one request of OTLP, which is one line: what collectors read a file by. */
const REQUEST_RECORDS = 100

/** Records among which the journal's id is looked for: it is said at every start and with every checkpoint. */
const LOOKED_AT_MAX = 20_000

/** Adds the verb. */
export function registerExport(
  program: Command,
  io: CommandIo,
  exit: (code: number) => void,
): void {
  program
    .command('export')
    .description('the journal in another vocabulary, one JSON value a line')
    .argument('[DIR]', "default: the configuration's journal")
    .addOption(
      new Option('--format <format>', 'the vocabulary').choices(FORMATS).makeOptionMandatory(),
    )
    .option('--task <id>', 'of this task and its children')
    .option('--since <time>', 'from this time on: 15m, 2h, or 2027-01-31T12:00:00Z')
    .option('--until <time>', 'up to this time, written the same way')
    .option('--all', 'also call-started and call-progress')
    .action(async (dir: string | undefined, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<ExportFlags>()
      exit(await exportJournal(dir ?? configFor(options, io, false).journal.dir, options, io))
    })
}

async function exportJournal(dir: string, options: ExportFlags, io: CommandIo): Promise<number> {
  if (!existsSync(dir)) throw new UsageError(`there is no directory ${dir}`)
  const { task, all, format } = options
  let badLines = 0
  const reading: TailOptions = {
    filter: { all: all === true, ...(task !== undefined && { task }), ...readPeriod(options) },
    follow: false,
    signal: io.signal,
    onBadLine: () => (badLines += 1),
  }
  const origin = { version: io.version, journal: await journalOf(dir, io.signal) }
  const records = tailRecords(dir, reading)
  if (format === 'otlp') await printRequests(records, origin, io)
  else await printProjected(records, format, origin, io)
  if (badLines === 0) return EXIT_CODES.ok
  io.err(`left out ${countOf(badLines, 'line')} that cannot be read: see \`sallyport verify\`\n`)
  return EXIT_CODES.no
}

async function printProjected(
  records: AsyncIterable<TailedRecord>,
  format: Format,
  origin: Origin,
  io: CommandIo,
): Promise<void> {
  const project = await projectionFor(format)
  for await (const { line, record } of records) {
    const projected = project(record, origin)
    // The journal's own line is what its chain is made of.
    if (projected === record) io.out(`${line}\n`)
    else if (projected !== undefined) io.out(`${jsonText(projected)}\n`)
  }
}

async function printRequests(
  records: AsyncIterable<TailedRecord>,
  origin: Origin,
  io: CommandIo,
): Promise<void> {
  let batch: OtlpLogRecord[] = []
  const print = (): void => {
    if (batch.length > 0) io.out(`${jsonText(otlpRequest(batch, origin))}\n`)
    batch = []
  }
  for await (const { record } of records) {
    batch.push(projectOtlp(record, origin))
    if (batch.length === REQUEST_RECORDS) print()
  }
  print()
}

/** The id of a journal, as its checkpoints and keys tell it; without either the name of the directory stands for it. */
async function journalOf(dir: string, signal: AbortSignal): Promise<string> {
  let count = 0
  for await (const { record } of tailRecords(dir, {
    filter: { all: true },
    follow: false,
    signal,
  })) {
    const { checkpoint, detail } = record.sallyport
    const isKey = record.event.action === 'checkpoint-key'
    const journal = isKey ? detail?.['journal'] : checkpoint?.journal
    if (typeof journal === 'string' && journal !== '') return journal
    count += 1
    if (count === LOOKED_AT_MAX) break
  }
  return path.basename(path.resolve(dir))
}
