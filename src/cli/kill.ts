// `sallyport kill`: the kill switch of a running sidecar: what it is thrown for ends and stays refused until it is lifted.
// Called by `program.ts`.

import type { Command } from 'commander'

import type { Kill, KillScope } from '../control/client.ts'
import { escapeUnprintable } from '../record/printable.ts'
import type { CommonOptions } from './common.ts'
import { callControl } from './control.ts'
import { EXIT_CODES, printJson, UsageError, type CommandIo } from './io.ts'
import { countOf } from './problems.ts'

const VALUE_SCOPES = ['host', 'credential', 'tool', 'agent', 'owner', 'task'] as const

type KillFlags = CommonOptions &
  Partial<Record<(typeof VALUE_SCOPES)[number] | 'lift' | 'reason', string>> & {
    readonly all?: boolean
    readonly list?: boolean
  }

/** Adds the verb. */
export function registerKill(program: Command, io: CommandIo, exit: (code: number) => void): void {
  program
    .command('kill')
    .description('the kill switch: end what matches, and refuse it until lifted')
    .option('--host <name>', 'calls to this host')
    .option('--credential <name>', 'calls with this credential')
    .option('--tool <name>', 'calls of this tool, NAME or HOST/NAME')
    .option('--agent <name>', 'tasks of this agent')
    .option('--owner <name>', 'tasks of this owner')
    .option('--task <id>', 'this task')
    .option('--all', 'everything')
    .option('--reason <reason>', 'put on record')
    .option('--list', 'show what is switched off')
    .option('--lift <id>', 'switch it on again; what has ended stays ended')
    .action(async (_options: unknown, command: Command) => {
      exit(await kill(command.optsWithGlobals<KillFlags>(), io))
    })
}

function kill(options: KillFlags, io: CommandIo): Promise<number> {
  const scopes: readonly (readonly [KillScope, string])[] = [
    ...VALUE_SCOPES.flatMap((scope) => {
      const value = options[scope]
      return value === undefined ? [] : [[scope, value] as const]
    }),
    ...(options.all === true ? [['all', ''] as const] : []),
  ]
  const others = (options.list === true ? 1 : 0) + (options.lift === undefined ? 0 : 1)
  const [chosen] = scopes
  if (scopes.length + others !== 1)
    throw new UsageError(
      'kill needs one of --host, --credential, --tool, --agent, --owner, --task, --all, --list and --lift',
    )
  if (options.list === true) return listKills(options, io)
  if (options.lift !== undefined) return liftKill(options.lift, options, io)
  return callControl(options, io, async (client) => {
    const [scope, value] = chosen ?? ['all', '']
    const done = await client.kill(scope, value, options.reason)
    if (options.json === true) printJson(io, done)
    else {
      const what = `${countOf(done.ended.length, 'task')} ended, ${countOf(done.cut, 'call')} cut`
      io.out(`${lineOf(done.kill)}\n${what}\n`)
    }
    return EXIT_CODES.ok
  })
}

function listKills(options: KillFlags, io: CommandIo): Promise<number> {
  return callControl(options, io, async (client) => {
    const kills = await client.listKills()
    if (options.json === true) printJson(io, { kills })
    else for (const one of kills) io.out(`${lineOf(one)}\n`)
    return EXIT_CODES.ok
  })
}

function liftKill(id: string, options: KillFlags, io: CommandIo): Promise<number> {
  return callControl(options, io, async (client) => {
    const lifted = await client.liftKill(id)
    if (options.json === true) printJson(io, lifted)
    else io.out(`lifted ${lineOf(lifted)}\n`)
    return EXIT_CODES.ok
  })
}

function lineOf({ id, scope, value, by, at, reason }: Kill): string {
  const why = reason === undefined ? '' : `: ${reason.replaceAll(/\s+/g, ' ')}`
  return escapeUnprintable(
    `${id} ${scope}${value === '' ? '' : ` ${value}`} by ${by} at ${at}${why}`,
  )
}
