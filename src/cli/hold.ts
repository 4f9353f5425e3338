// `sallyport hold`: the queue of calls that wait for a person, and answering for one, through the control API of a running
// sidecar. Called by `program.ts`.

import { Option, type Command } from 'commander'

import type { ControlClient, HoldAnswer, HoldView } from '../control/client.ts'
import { HOLD_STATES } from '../tasks/hold-view.ts'
import type { CommonOptions } from './common.ts'
import { callControl } from './control.ts'
import { printHold, printHoldLine } from './hold-text.ts'
import { EXIT_CODES, printJson, type CommandIo } from './io.ts'

interface HoldFlags extends CommonOptions {
  readonly task?: string
  readonly state?: string
  readonly all?: boolean
  readonly reason?: string
}

type Exit = (code: number) => void

/** Adds the verb with its parts. */
export function registerHold(program: Command, io: CommandIo, exit: Exit): void {
  const hold = program.command('hold').description('calls that wait for a person: list, answer')
  hold
    .command('list')
    .description('list held calls that wait, one line each')
    .option('--task <id>', 'of this task')
    .addOption(
      new Option('--state <state>', 'in this state (default: pending)').choices(HOLD_STATES),
    )
    .option('--all', 'in any state')
    .action(async (_options: unknown, command: Command) => {
      exit(await listHolds(command.optsWithGlobals<HoldFlags>(), io))
    })
  hold
    .command('show')
    .description('show what would be sent')
    .argument('<id>')
    .action(async (id: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<HoldFlags>()
      exit(await printOne(options, io, (client) => client.showHold(id)))
    })
  addAnswer(hold, io, exit, 'approve', 'let the held call through, once')
  addAnswer(hold, io, exit, 'deny', 'refuse the held call')
}

function addAnswer(
  hold: Command,
  io: CommandIo,
  exit: Exit,
  answer: HoldAnswer,
  description: string,
): void {
  hold
    .command(answer)
    .description(description)
    .argument('<id>')
    .option('--reason <reason>', 'put on record')
    .action(async (id: string, _options: unknown, command: Command) => {
      const options = command.optsWithGlobals<HoldFlags>()
      exit(await printOne(options, io, (client) => client.answerHold(id, answer, options.reason)))
    })
}

function listHolds(options: HoldFlags, io: CommandIo): Promise<number> {
  const { task, all, state = all === true ? undefined : 'pending' } = options
  const filter = { ...(task !== undefined && { task }), ...(state !== undefined && { state }) }
  return callControl(options, io, async (client) => {
    const holds = await client.listHolds(filter)
    if (options.json === true) printJson(io, { holds })
    else for (const each of holds) printHoldLine(each, io)
    return EXIT_CODES.ok
  })
}

function printOne(
  options: HoldFlags,
  io: CommandIo,
  ask: (client: ControlClient) => Promise<HoldView>,
): Promise<number> {
  return callControl(options, io, async (client) => {
    const hold = await ask(client)
    if (options.json === true) printJson(io, hold)
    else printHold(hold, io)
    return EXIT_CODES.ok
  })
}
