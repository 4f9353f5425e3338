// `sallyport verify`: checks the hash chain of a journal directory. Called by `program.ts`.

import { existsSync, statSync } from 'node:fs'

import type { Command } from 'commander'

import { verifyDirectory } from '../record/verify.ts'
import { configFor, type CommonOptions } from './common.ts'
import { EXIT_CODES, paintFor, printJson, UsageError, type CommandIo } from './io.ts'
import { verifyBundleFile } from './verify-bundle.ts'
import { countOf } from './problems.ts'

/** Adds the verb. */
export function registerVerify(
  program: Command,
  io: CommandIo,
  exit: (code: number) => void,
): void {
  program
    .command('verify')
    .description('check the hash chain of a journal')
    .argument('[DIR]', "default: the configuration's journal; or a bundle of `sallyport evidence`")
    .option('--key <file>', 'of a bundle: the public key, as JWK or PEM')
    .option('--anchor <checkpoint>', 'not served by this version')
    .action((dir: string | undefined, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<
        CommonOptions & { readonly anchor?: string; readonly key?: string }
      >()
      if (dir !== undefined && statSync(dir, { throwIfNoEntry: false })?.isFile() === true) {
        exit(verifyBundleFile(dir, options.key, options.json === true, io))
        return
      }
      if (options.anchor !== undefined)
        throw new UsageError('`--anchor` is not served by this version.')
      exit(
        verifyJournal(dir ?? configFor(options, io, false).journal.dir, options.json === true, io),
      )
    })
}

function verifyJournal(dir: string, json: boolean, io: CommandIo): number {
  if (!existsSync(dir)) throw new UsageError(`there is no directory ${dir}`)
  const report = verifyDirectory(dir)
  const code = report.ok ? EXIT_CODES.ok : EXIT_CODES.no
  if (json) {
    printJson(io, report)
    return code
  }
  const paint = paintFor(io)
  for (const { file, line, what } of report.problems)
    io.out(`${paint.bold(`${file}:${line}`)}: ${what}\n`)
  if (report.torn)
    io.out(`${report.torn.file}: the last ${report.torn.bytes} bytes are no whole line yet\n`)
  const { head } = report
  const seen = `${countOf(report.records, 'record')} from ${report.from}`
  const ended = head === undefined ? '' : `, head ${head.seq} sha256:${head.hash}`
  const verdict = report.ok
    ? paint.green('intact')
    : paint.red(countOf(report.problems.length, 'problem'))
  io.out(`${verdict}: ${seen}${ended}\n`)
  return code
}
