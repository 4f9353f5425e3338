// `sallyport doctor`: is the installation as it must be; with `--inside`, in the sandbox: is there another way out.
// Called by `program.ts`.

import path from 'node:path'

import { InvalidArgumentError, type Command } from 'commander'

import { escapeUnprintable } from '../record/printable.ts'
import type { Finding, FindingStatus } from '../sandbox/finding.ts'
import { filesOf, usualFiles, type KnownFiles } from '../sandbox/probes/known-files.ts'
import { canonicalAddress } from '../wire/address.ts'
import { configFile, loadFor, type CommonOptions } from './common.ts'
import { EXIT_CODES, paintFor, printJson, UsageError, type CommandIo } from './io.ts'

interface DoctorFlags extends CommonOptions {
  readonly inside?: boolean
  readonly target?: readonly string[]
}

/** Adds the verb. */
export function registerDoctor(
  program: Command,
  io: CommandIo,
  exit: (code: number) => void,
): void {
  program
    .command('doctor')
    .description('check the installation; in a sandbox, try every other way out')
    .option('--inside', 'run in the sandbox: fail where there is a way out around the sidecar')
    .option(
      '--target <address>',
      'of `--inside`, may be repeated: an address elsewhere that must not be reached; default: public resolvers',
      addTarget,
    )
    .action(async (_options: unknown, command: Command) => {
      const options = command.optsWithGlobals<DoctorFlags>()
      if (options.inside !== true && options.target !== undefined)
        throw new UsageError('`--target` goes with `--inside`')
      const findings = await (options.inside === true
        ? lookInside(options, io)
        : lookOutside(options, io))
      printFindings(findings, options, io)
      exit(findings.some(({ status }) => status === 'fail') ? EXIT_CODES.no : EXIT_CODES.ok)
    })
}

function addTarget(text: string, before: readonly string[] = []): readonly string[] {
  const address = canonicalAddress(text)
  if (address === undefined) throw new InvalidArgumentError('expected an IPv4 or IPv6 address.')
  return [...before, address.host]
}

async function lookInside(options: DoctorFlags, io: CommandIo): Promise<readonly Finding[]> {
  // Only for whoever asks for it.
  const { probeInside } = await import('../sandbox/inside.ts')
  const { readSurroundings } = await import('../sandbox/probes/surroundings.ts')
  const around = readSurroundings(io.environment, options.target ?? [], knownFiles(options, io))
  return probeInside(around)
}

/** What the configuration says; in a sandbox it is often not there, or names files that are not. */
function knownFiles(options: DoctorFlags, io: CommandIo): KnownFiles {
  // Whose control API is tried is the variable's to say, not what the configuration's own would be.
  const environment = { ...io.environment, SALLYPORT_CONTROL: undefined }
  const { config } = loadFor(options, { ...io, environment }, true)
  return config === undefined ? usualFiles(path.resolve(configFile(options, io))) : filesOf(config)
}

async function lookOutside(options: DoctorFlags, io: CommandIo): Promise<readonly Finding[]> {
  const { checkOutside } = await import('../sandbox/outside.ts')
  return checkOutside(configFile(options, io), loadFor(options, io, true), io.environment)
}

function printFindings(
  findings: readonly Finding[],
  { inside, json }: DoctorFlags,
  io: CommandIo,
): void {
  const count = (wanted: FindingStatus): number =>
    findings.filter(({ status }) => status === wanted).length
  const [fail, warn, ok] = [count('fail'), count('warn'), count('ok')]
  if (json === true) return printJson(io, { ok: fail === 0, counts: { ok, warn, fail }, findings })
  for (const finding of foldSame(findings)) io.out(formatFinding(finding, io))
  const paint = paintFor(io)
  io.out(`${ok} ok, ${warn} to look at, ${fail} failed\n`)
  const isInside = inside === true
  if (fail === 0)
    io.out(paint.green(isInside ? 'no other way out was found\n' : 'the installation is well\n'))
  else
    io.out(
      paint.red(isInside ? 'this sandbox is not sealed\n' : 'the installation needs mending\n'),
    )
}

/** Attempts of one family that came to the same, in one line where all is well with them. */
function foldSame(findings: readonly Finding[]): readonly Finding[] {
  const groups = Map.groupBy(findings, ({ check, status, tried, happened, means }) =>
    [check, status, happened, means, status === 'ok' ? '' : tried].join('\n'),
  )
  return [...groups.values()].flatMap(([first, ...others]) =>
    first === undefined
      ? []
      : [{ ...first, tried: [first, ...others].map(({ tried }) => tried).join('; ') }],
  )
}

function formatFinding(
  { check, status, tried, happened, means, mend }: Finding,
  io: CommandIo,
): string {
  const paint = paintFor(io)
  const color = { ok: paint.green, warn: paint.yellow, fail: paint.red }[status]
  // Names of files and processes are strangers' words.
  const line = escapeUnprintable(`${check}: ${tried}: ${happened}; ${means}`)
  const mending = mend === undefined ? '' : ` ${paint.dim('→')} ${escapeUnprintable(mend)}`
  return `${color(status.padEnd(4))} ${line}${mending}\n`
}
