// `sallyport task`: the life of tasks, through the control API of a running sidecar. Called by `program.ts`.

import { readFileSync } from 'node:fs'

import type { Command } from 'commander'

import type { ControlClient, TaskView, WrittenTask } from '../control/client.ts'
import { readYamlText, type YamlText } from '../policy/yaml-text.ts'
import type { CommonOptions } from './common.ts'
import { callControl } from './control.ts'
import { EXIT_CODES, printJson, UsageError, type CommandIo } from './io.ts'
import { formatProblems } from './problems.ts'
import { writeVariables } from './shells.ts'
import { registerPeople } from './task-people.ts'
import { printReceipt, printTask, printTaskLine } from './task-text.ts'

interface TaskFlags extends CommonOptions {
  readonly file?: string
  readonly reason?: string
  readonly state?: string
  readonly owner?: string
  readonly agent?: string
  readonly limit?: string
}

type Exit = (code: number) => void

const FILE_BYTES_MAX = 256 * 1024

/** Adds the verb with its parts. */
export function registerTask(program: Command, io: CommandIo, exit: Exit): void {
  const task = program.command('task').description('make, show, change and end tasks')
  task
    .command('create')
    .description('make a task; prints its id, its proxy URL and the variables of its sandbox')
    .requiredOption('--file <file>', "the task's definition, YAML or JSON")
    .action(async (_options: unknown, command: Command) => {
      exit(await createTask(command.optsWithGlobals<TaskFlags>(), io))
    })
  task
    .command('list')
    .description('list tasks, one line each')
    .option('--state <state>', 'in this state')
    .option('--owner <name>', 'of this owner')
    .option('--agent <name>', 'of this agent')
    .option('--limit <number>', 'so many at the most, those made last (default: 1000)')
    .action(async (_options: unknown, command: Command) => {
      exit(await listTasks(command.optsWithGlobals<TaskFlags>(), io))
    })
  addChange(task, io, exit, 'show <id>', 'show a task', (client, [id]) => client.showTask(id))
  addChange(
    task,
    io,
    exit,
    'extend <id> <expires>',
    'let a task live on, such as 30m from now',
    (client, [id, expires]) => client.extendTask(id, expires),
  )
  addChange(task, io, exit, 'suspend <id>', 'suspend a task', (client, [id], reason) =>
    client.suspendTask(id, reason),
  )
  addChange(task, io, exit, 'resume <id>', 'let a suspended task go on', (client, [id], reason) =>
    client.resumeTask(id, reason),
  )
  registerPeople(task, io, exit)
  task
    .command('reset-flow')
    .description('take back what a task and its tree have read, as somebody who has looked at it')
    .argument('<id>')
    .requiredOption('--reason <reason>', 'put on record')
    .action(async (id: string, _options: unknown, command: Command) => {
      exit(await resetFlow(id, command.optsWithGlobals<TaskFlags>(), io))
    })
  task
    .command('revoke')
    .description('end a task and everything of it; prints the receipt')
    .argument('<id>')
    .option('--reason <reason>', 'put on record')
    .action(async (id: string, _options: unknown, command: Command) => {
      exit(await revokeTask(id, command.optsWithGlobals<TaskFlags>(), io))
    })
}

function addChange(
  task: Command,
  io: CommandIo,
  exit: Exit,
  usage: string,
  description: string,
  change: (
    client: ControlClient,
    words: readonly [string, string],
    reason: string | undefined,
  ) => Promise<TaskView>,
): void {
  const verb = task.command(usage).description(description)
  if (/^(suspend|resume)/.test(usage)) verb.option('--reason <reason>', 'put on record')
  verb.action(async () => {
    const [id = '', expires = ''] = verb.args
    const options = verb.optsWithGlobals<TaskFlags>()
    exit(
      await callControl(options, io, async (client) => {
        const view = await change(client, [id, expires], options.reason)
        if (options.json === true) printJson(io, view)
        else printTask(view, io)
        return EXIT_CODES.ok
      }),
    )
  })
}

async function createTask(options: TaskFlags, io: CommandIo): Promise<number> {
  const file = options.file ?? ''
  const yaml = readDefinition(file, io)
  return callControl(
    options,
    io,
    async (client) => {
      // Whatever stands in the file: the API says what is wrong with it.
      const definition: WrittenTask = JSON.parse(JSON.stringify(yaml.value ?? null))
      const made = await client.createTask(definition)
      if (options.json === true) {
        printJson(io, made)
        return EXIT_CODES.ok
      }
      io.out(`# task ${made.id}\n`)
      if (made.proxy !== undefined) io.out(`# proxy ${made.proxy}\n`)
      if (made.socket !== undefined) io.out(`# socket ${made.socket}\n`)
      io.out(writeVariables(made.env, 'sh'))
      return EXIT_CODES.ok
    },
    (field) => {
      const keys = field.split('/').slice(1).map(unescapeKey)
      const { line, column } = yaml.place(keys, 'value')
      return `${file}:${line}:${column}: ${field}`
    },
  )
}

/** A key of a JSON pointer (RFC 6901); a number is an index here, because no key of a definition is one. */
function unescapeKey(written: string): string | number {
  if (/^\d+$/.test(written)) return Number(written)
  return written.replaceAll('~1', '/').replaceAll('~0', '~')
}

function readDefinition(file: string, io: CommandIo): YamlText {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    throw new UsageError(`cannot read ${file}`)
  }
  if (text.length > FILE_BYTES_MAX) throw new UsageError(`${file} is too large`)
  const yaml = readYamlText(text, file)
  if (yaml.problems.length > 0)
    throw new UsageError(
      `the definition is not valid\n${formatProblems(yaml.problems, io).trimEnd()}`,
    )
  return yaml
}

function listTasks(options: TaskFlags, io: CommandIo): Promise<number> {
  const { state, owner, agent, limit } = options
  const filter = {
    ...(state !== undefined && { state }),
    ...(owner !== undefined && { owner }),
    ...(agent !== undefined && { agent }),
    ...(limit !== undefined && { limit }),
  }
  return callControl(options, io, async (client) => {
    const { tasks, more } = await client.listTasks(filter)
    if (options.json === true) printJson(io, { tasks, more })
    else for (const view of tasks) printTaskLine(view, io)
    if (more) io.err(`there are older ones: narrow what is asked for, or give a higher --limit\n`)
    return EXIT_CODES.ok
  })
}

function resetFlow(id: string, options: TaskFlags, io: CommandIo): Promise<number> {
  const { reason = '' } = options
  return callControl(options, io, async (client) => {
    const view = await client.resetFlow(id, reason)
    if (options.json === true) printJson(io, view)
    else printTask(view, io)
    return EXIT_CODES.ok
  })
}

function revokeTask(id: string, options: TaskFlags, io: CommandIo): Promise<number> {
  return callControl(options, io, async (client) => {
    const receipt = await client.revokeTask(id, options.reason)
    if (options.json === true) printJson(io, receipt)
    else printReceipt(receipt, io)
    return receipt.complete ? EXIT_CODES.ok : EXIT_CODES.no
  })
}
