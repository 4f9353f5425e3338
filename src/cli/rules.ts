// `sallyport rules reload`: has a running sidecar load its rule files now, and says what came of it. Called by `program.ts`.

import type { Command } from 'commander'

import { escapeUnprintable } from '../record/printable.ts'
import type { CommonOptions } from './common.ts'
import { callControl } from './control.ts'
import { EXIT_CODES, paintFor, printJson, type CommandIo } from './io.ts'

/** Adds the verb with its parts. */
export function registerRules(program: Command, io: CommandIo, exit: (code: number) => void): void {
  const rules = program.command('rules').description('the rules of a running sidecar')
  rules
    .command('reload')
    .description('load the rule files now and say what changed')
    .action(async (_options: unknown, command: Command) => {
      exit(await reloadRules(command.optsWithGlobals<CommonOptions>(), io))
    })
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
