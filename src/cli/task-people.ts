// The parts of `sallyport task` that are for people who answer for a task: to extend what it declares. Called by `task.ts`.

import type { Command } from 'commander'

import type { CommonOptions } from './common.ts'
import { callControl } from './control.ts'
import { EXIT_CODES, printJson, UsageError, type CommandIo } from './io.ts'
import { printTask } from './task-text.ts'

interface ExtendFlags extends CommonOptions {
  readonly intent?: string
  readonly capability?: readonly string[]
  readonly label?: readonly string[]
  readonly reason: string
}

/** Adds the parts. */
export function registerPeople(task: Command, io: CommandIo, exit: (code: number) => void): void {
  task
    .command('extend-intent')
    .description('add to what a task declares it will do; takes the role approver')
    .argument('<id>')
    .option('--intent <text>', 'replaces the text')
    .option('--capability <name...>', 'further capabilities')
    .option('--label <name=value...>', 'further labels, or other values of those there are')
    .requiredOption('--reason <reason>', 'put on record')
    .action(async (id: string, _options: unknown, command: Command) => {
      exit(await extendIntent(id, command.optsWithGlobals<ExtendFlags>(), io))
    })
}

function extendIntent(id: string, options: ExtendFlags, io: CommandIo): Promise<number> {
  const { intent, capability, label, reason } = options
  const extension = {
    ...(intent !== undefined && { intent }),
    ...(capability && { addCapabilities: capability }),
    ...(label && { labels: Object.fromEntries(label.map(readLabel)) }),
    reason,
  }
  return callControl(options, io, async (client) => {
    const view = await client.extendIntent(id, extension)
    if (options.json === true) printJson(io, view)
    else printTask(view, io)
    return EXIT_CODES.ok
  })
}

function readLabel(written: string): readonly [string, string] {
  const at = written.indexOf('=')
  if (at < 1) throw new UsageError(`\`--label ${written}\`: expected NAME=VALUE`)
  return [written.slice(0, at), written.slice(at + 1)]
}
