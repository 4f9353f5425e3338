// What `start` prints once it listens: where, which CA, and what to paste. At most a dozen lines. Called by `main.ts`.

import path from 'node:path'

import type { Config } from '../config/config.ts'
import type { ListenAddress } from '../config/units.ts'
import type { Ca } from '../tls/ca.ts'
import type { Task, TaskState } from '../tasks/task.ts'
import { paintFor, type CommandIo } from './io.ts'

/** What is shown of a running sidecar. */
export interface Running {
  readonly ca: Ca
  readonly task: { readonly task: Task; readonly state: TaskState } | undefined
}

/** Prints the welcome on standard error: standard output may be a sink's. */
export function printWelcome(io: CommandIo, config: Config, { ca, task }: Running): void {
  const paint = paintFor(io)
  const file =
    config.file === undefined ? '' : ` --config ${path.relative(process.cwd(), config.file)}`
  // A task that is made has variables of its own, which its making prints.
  const start =
    task === undefined ? 'Make a task:' : 'In the sandbox, or in another terminal to try it:'
  const command =
    task === undefined
      ? `npx sallyport task create --file TASK.yaml${file}`
      : `eval "$(npx sallyport env --shell sh${file})"`
  const lines = [
    `${paint.bold('sallyport')} ${io.version}`,
    `  proxy   ${show(config.listen.proxy)}`,
    `  health  ${show(config.listen.health)} (/healthz /readyz /metrics)`,
    `  CA      ${relative(ca.certFile)}`,
    `  journal ${relative(config.journal.dir)}`,
    describeTask(task),
    '',
    start,
    `  ${command}`,
    `Watch: npx sallyport tail --follow${file}`,
  ]
  io.err(`${lines.join('\n')}\n`)
}

function describeTask(running: Running['task']): string {
  if (running === undefined)
    return '  task    none configured; whoever proves none that was made is refused'
  const { task, state } = running
  if (state === 'pending' && task.notBefore !== undefined)
    return `  task    ${task.id} begins at ${new Date(task.notBefore).toISOString()}: until then everything is refused`
  if (state !== 'active')
    return `  task    ${task.id} is ${state}: everything is refused (\`start --renew\` begins it anew)`
  return `  task    ${task.id} until ${new Date(task.expiresAt).toISOString()}, rules: ${task.rules.join(', ')}`
}

function show(address: ListenAddress): string {
  if (address.kind === 'unix') return `unix:${relative(address.path)}`
  return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`
}

function relative(file: string): string {
  const short = path.relative(process.cwd(), file)
  return short.startsWith('..') ? file : short
}
