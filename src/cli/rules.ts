// `sallyport rules`: has a running sidecar load its rule files now and says what came of it; lists the sets in force; shows the text
// of one as it is or was in force, from what is kept by digest. Called by `program.ts`.

import type { Command } from 'commander'

import { escapeUnprintable } from '../record/printable.ts'
import type { Config } from '../config/config.ts'
import { readKeptRules } from '../config/kept-rules.ts'
import { readSetText } from '../config/pinned-rules.ts'
import { configFor, type CommonOptions } from './common.ts'
import { callControl } from './control.ts'
import { EXIT_CODES, paintFor, printJson, UsageError, type CommandIo } from './io.ts'

/** Adds the verb with its parts. */
export function registerRules(program: Command, io: CommandIo, exit: (code: number) => void): void {
  const rules = program.command('rules').description('the rules of a running sidecar')
  rules
    .command('show')
    .description('the sets in force, or the text of one as it is or was')
    .argument('[REFERENCE]', 'sha256:… as records name it, or NAME@sha256:…')
    .action(async (reference: string | undefined, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      exit(
        reference === undefined
          ? await listRules(options, io)
          : showText(reference, configFor(options, io, true), options, io),
      )
    })
  rules
    .command('reload')
    .description('load the rule files now and say what changed')
    .action(async (_options: unknown, command: Command) => {
      exit(await reloadRules(command.optsWithGlobals<CommonOptions>(), io))
    })
}

function listRules(options: CommonOptions, io: CommandIo): Promise<number> {
  return callControl(options, io, async (client) => {
    const rules = await client.showRules()
    if (options.json === true) printJson(io, { rules })
    else
      for (const { name, version, owner = '', description = '' } of rules)
        io.out(
          `${escapeUnprintable([`${name}@${version}`, owner, description].join('  ').trimEnd())}\n`,
        )
    return EXIT_CODES.ok
  })
}

// From the disk, so that no sidecar has to run.
function showText(
  reference: string,
  { stateDir, limits }: Config,
  { json }: CommonOptions,
  io: CommandIo,
): number {
  const [, name, version = ''] = /^(?:([^@]*)@)?(sha256:[0-9a-f]{64})$/.exec(reference) ?? []
  if (version === '') throw new UsageError(`\`${reference}\` is no sha256:… and no NAME@sha256:…`)
  const text = readKeptRules(stateDir, version)
  const set = text === undefined ? undefined : readSetText(text, version, limits)
  if (text === undefined || set === undefined || (name !== undefined && set.name !== name)) {
    io.err(`sallyport: no text of ${reference} is kept in ${stateDir}\n`)
    return EXIT_CODES.no
  }
  if (json === true) printJson(io, { name: set.name, version, text })
  else io.out(text)
  return EXIT_CODES.ok
}

function reloadRules(options: CommonOptions, io: CommandIo): Promise<number> {
  return callControl(options, io, async (client) => {
    const { inForce, changed, problems } = await client.reloadRules()
    const paint = paintFor(io)
    if (options.json === true) printJson(io, { inForce, changed, problems })
    else {
      for (const { file, line, column, message } of problems)
        io.out(
          `${paint.bold(escapeUnprintable(`${file}:${line}:${column}`))}: ${escapeUnprintable(message)}\n`,
        )
      if (!inForce) io.out(`${paint.red('refused')}: what was in force stays so\n`)
      else io.out(changed ? `${paint.green('changed')} rules are in force\n` : 'nothing changed\n')
    }
    return inForce ? EXIT_CODES.ok : EXIT_CODES.no
  })
}
