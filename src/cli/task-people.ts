// The parts of `sallyport task` that are for people who answer for tasks: to extend what one declares, to see what agents ask
// for, to answer that. Called by `task.ts`.

import { Argument, Option, type Command } from 'commander'

import type { RequestView } from '../control/client.ts'
import { escapeUnprintable } from '../record/printable.ts'
import type { CommonOptions } from './common.ts'
import { callControl } from './control.ts'
import { EXIT_CODES, paintFor, printJson, UsageError, type CommandIo } from './io.ts'
import { printTask } from './task-text.ts'

interface ExtendFlags extends CommonOptions {
  readonly intent?: string
  readonly capability?: readonly string[]
  readonly label?: readonly string[]
  readonly reason: string
}

interface RequestFlags extends CommonOptions {
  readonly state: string
}

interface AnswerFlags extends CommonOptions {
  readonly reason?: string
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
  task
    .command('requests')
    .description('list what agents ask people for')
    .argument('[id]', 'of this task')
    .addOption(
      new Option('--state <state>', 'in this state, or all')
        .choices(['open', 'granted', 'refused', 'lapsed', 'all'])
        .default('open'),
    )
    .action(async (id: string | undefined, _options: unknown, command: Command) => {
      exit(await listRequests(id, command.optsWithGlobals<RequestFlags>(), io))
    })
  task
    .command('answer')
    .description('close a request of an agent; rules change in their files alone')
    .argument('<request>')
    .addArgument(new Argument('<answer>', 'what becomes of it').choices(['granted', 'refused']))
    .option('--reason <reason>', 'put on record, and told to the agent')
    .action(
      async (id: string, answer: 'granted' | 'refused', _options: unknown, command: Command) => {
        exit(await answerRequest(id, answer, command.optsWithGlobals<AnswerFlags>(), io))
      },
    )
}

function listRequests(
  task: string | undefined,
  options: RequestFlags,
  io: CommandIo,
): Promise<number> {
  const { state, json } = options
  const filter = { ...(state !== 'all' && { state }), ...(task !== undefined && { task }) }
  return callControl(options, io, async (client) => {
    const requests = await client.listRequests(filter)
    if (json === true) printJson(io, { requests })
    else for (const one of requests) printRequest(one, io)
    return EXIT_CODES.ok
  })
}

function answerRequest(
  id: string,
  answer: 'granted' | 'refused',
  options: AnswerFlags,
  io: CommandIo,
): Promise<number> {
  return callControl(options, io, async (client) => {
    const closed = await client.closeRequest(id, answer, options.reason)
    if (options.json === true) printJson(io, closed)
    else printRequest(closed, io)
    return EXIT_CODES.ok
  })
}

// What the agent says stands by itself and is said to be its words: whoever reads it takes nothing in it for ours.
function printRequest(one: RequestView, io: CommandIo): void {
  const { id, state, method, url, task, owner, agent, environment, closedBy, answer } = one
  const paint = paintFor(io)
  const shown = state === 'open' ? paint.yellow(state) : state
  io.out(
    `${escapeUnprintable(id)} ${shown} ${escapeUnprintable(`${one.openedAt} ${method} ${url}`)}\n`,
  )
  const who = `${task}, ${agent.instance} for ${owner.name} (${owner.team}), ${environment}`
  io.out(escapeUnprintable(`  task ${who}; the rules said ${one.verdict}: ${one.verdictReason}`))
  io.out(`\n  the agent says: "${escapeUnprintable(one.agentSays.replaceAll(/\s+/g, ' '))}"\n`)
  if (closedBy !== undefined)
    io.out(
      escapeUnprintable(`  ${state} by ${closedBy}${answer === undefined ? '' : `: ${answer}`}`) +
        '\n',
    )
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
