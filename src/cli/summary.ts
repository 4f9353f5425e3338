// `sallyport summary`: what a task, or all of them, did, counted from the journal's files, so it needs no running sidecar.
// Called by `program.ts`.

import type { Command } from 'commander'

import { escapeUnprintable } from '../record/printable.ts'
import { SummaryCounter, type Summary } from '../record/read/summary.ts'
import { tailRecords } from '../record/read/tail.ts'
import type { TallyTable } from '../record/read/tally.ts'
import { bytesText } from '../record/read/render.ts'
import { configFor, type CommonOptions } from './common.ts'
import { EXIT_CODES, paintFor, printJson, type CommandIo } from './io.ts'
import { readPeriod } from './period.ts'
import { countOf } from './problems.ts'

interface SummaryFlags extends CommonOptions {
  readonly task?: string
  readonly since?: string
  readonly until?: string
}

const SHOWN_MAX = 20
const NAME_WIDTH_MAX = 60
const BYTES: ReadonlySet<string> = new Set(['bytesOut', 'bytesIn'])

/** Adds the verb. */
export function registerSummary(
  program: Command,
  io: CommandIo,
  exit: (code: number) => void,
): void {
  program
    .command('summary')
    .description('what a task, or all of them, did: hosts, verdicts, bytes, tools, credentials')
    .argument('[DIR]', "default: the configuration's journal")
    .option('--task <id>', 'of this task and its children')
    .option('--since <time>', 'from this time on: 15m, 2h, or 2027-01-31T12:00:00Z')
    .option('--until <time>', 'up to this time, written the same way')
    .action(async (dir: string | undefined, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<SummaryFlags>()
      exit(await summarize(dir ?? configFor(options, io, false).journal.dir, options, io))
    })
}

async function summarize(dir: string, options: SummaryFlags, io: CommandIo): Promise<number> {
  const { task, json } = options
  const counter = new SummaryCounter()
  const filter = { all: true, ...(task !== undefined && { task }), ...readPeriod(options) }
  const onBadLine = (): void =>
    io.err('a line of the journal is no record: see `sallyport verify`\n')
  const records = tailRecords(dir, { filter, follow: false, signal: io.signal, onBadLine })
  for await (const { record } of records) counter.add(record)
  const summary = counter.summary()
  if (json === true) printJson(io, { ...(task !== undefined && { task }), ...summary })
  else printSummary(summary, task, io)
  return EXIT_CODES.ok
}

function printSummary(summary: Summary, task: string | undefined, io: CommandIo): void {
  const paint = paintFor(io)
  const { calls, messages, records, firstSeen, lastSeen } = summary
  const line = (name: string, text: string): void =>
    io.out(`${paint.bold(name.padEnd(10))} ${escapeUnprintable(text)}\n`)
  if (records === 0) return line(task ?? 'records', 'nothing is on record')
  printActors(summary, task, line)
  line('seen', `${firstSeen ?? ''} to ${lastSeen ?? ''}, ${countOf(records, 'record')}`)
  const { allowed, denied, failed, observed, open, folded, inspectedTunnels } = calls
  const parts = [
    paint.green(`${String(allowed)} allowed`),
    paint.red(`${String(denied)} denied`),
    ...(folded > 0 ? [`${String(folded)} of them folded`] : []),
    ...(failed > 0 ? [paint.yellow(`${String(failed)} failed`)] : []),
    ...(observed > 0 ? [paint.yellow(`${String(observed)} only observed`)] : []),
    ...(open > 0 ? [paint.cyan(`${String(open)} open`)] : []),
    ...(inspectedTunnels > 0 ? [`in ${countOf(inspectedTunnels, 'inspected tunnel')}`] : []),
  ]
  io.out(`${paint.bold('calls'.padEnd(10))} ${String(calls.total)}: ${parts.join(', ')}\n`)
  if (messages.total > 0)
    line(
      'messages',
      `${String(messages.total)}: ${String(messages.allowed)} allowed, ${String(messages.denied)} denied` +
        (messages.folded > 0 ? `, ${String(messages.folded)} of them folded` : ''),
    )
  line('bytes', `↑${bytesText(calls.bytesOut)} ↓${bytesText(calls.bytesIn)}`)
  printTables(summary, task, io)
}

function printActors(
  { actors }: Summary,
  task: string | undefined,
  line: (name: string, text: string) => void,
): void {
  const own = actors.find(({ id }) => id === task)
  if (own === undefined) return
  line('task', own.id)
  line('agent', `${own.agent} (${own.instance}) in ${own.sandbox}`)
  line('owner', `${own.owner}, ${own.team}`)
}

function printTables(summary: Summary, task: string | undefined, io: CommandIo): void {
  const { reasons, hosts, tools, methods, models, credentials, rules, alerts, events } = summary
  const flow = ['allowed', 'denied', 'bytesOut', 'bytesIn']
  printTable('verdict and reason', reasons, ['calls', 'messages'], io)
  printTable('host', hosts, flow, io)
  printTable('tool', tools, ['allowed', 'denied', 'failed'], io)
  printTable('message', methods, ['allowed', 'denied'], io)
  printTable('model', models, ['calls', 'inputTokens', 'outputTokens'], io)
  printTable('credential', credentials, ['calls'], io)
  printTable('rule', rules, ['allowed', 'denied'], io)
  printTable('alert', alerts, ['times'], io)
  const others = summary.tasks.rows.filter(({ name }) => name !== task)
  if (others.length > 0 || summary.tasks.others !== undefined)
    printTable(
      task === undefined ? 'task' : 'child',
      { ...summary.tasks, rows: others },
      ['allowed', 'denied'],
      io,
    )
  printTable('event', events, ['times'], io)
}

function printTable(
  title: string,
  { rows, others }: TallyTable,
  columns: readonly string[],
  io: CommandIo,
): void {
  if (rows.length === 0 && others === undefined) return
  const paint = paintFor(io)
  const shown = rows.slice(0, SHOWN_MAX).map(({ name, counts }) => ({
    name: shorten(escapeUnprintable(name)),
    cells: columns.map((column) => cellOf(column, counts[column])),
  }))
  const width = Math.max(title.length, ...shown.map(({ name }) => name.length))
  const widths = columns.map((column, at) =>
    Math.max(headOf(column).length, ...shown.map(({ cells }) => cells[at]?.length ?? 0)),
  )
  const heads = columns.map((column, at) => headOf(column).padStart(widths[at] ?? 0)).join('  ')
  io.out(`\n${paint.bold(title.padEnd(width))}  ${paint.dim(heads)}\n`)
  for (const { name, cells } of shown) {
    const numbers = cells.map((cell, at) => {
      const padded = cell.padStart(widths[at] ?? 0)
      return columns[at] === 'denied' && cell !== '-' ? paint.red(padded) : padded
    })
    io.out(`${paintName(name, paint)}${' '.repeat(width - name.length)}  ${numbers.join('  ')}\n`)
  }
  const hidden = rows.length - shown.length
  if (hidden > 0) io.out(paint.dim(`and ${String(hidden)} more: --json has them\n`))
  if (others === undefined) return
  const rest = columns.map((column) => `${headOf(column)} ${cellOf(column, others[column])}`)
  io.out(paint.dim(`and others beyond those that are kept apart: ${rest.join(', ')}\n`))
}

function paintName(name: string, paint: ReturnType<typeof paintFor>): string {
  if (name.startsWith('deny ')) return paint.red(name)
  return name.startsWith('allow ') ? paint.green(name) : name
}

function headOf(column: string): string {
  const heads: Readonly<Record<string, string>> = {
    bytesOut: '↑',
    bytesIn: '↓',
    inputTokens: 'tokens in',
    outputTokens: 'tokens out',
  }
  return heads[column] ?? column
}

function cellOf(column: string, value: number | undefined): string {
  if (value === undefined) return '-'
  return BYTES.has(column) ? bytesText(value) : String(value)
}

function shorten(name: string): string {
  return name.length > NAME_WIDTH_MAX ? `${name.slice(0, NAME_WIDTH_MAX - 1)}…` : name
}
