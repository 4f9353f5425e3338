// `sallyport env`: every variable that a sandbox needs for its clients to use the proxy, trust the CA and hold
// placeholders. Called by `program.ts`.

import { existsSync } from 'node:fs'
import path from 'node:path'

import { Option, type Command } from 'commander'

import type { Config } from '../config/config.ts'
import { placeholderKey } from '../config/placeholder-key.ts'
import type { ListenAddress } from '../config/units.ts'
import { CredentialStore } from '../credentials/store.ts'
import { clientVariables, type ClientFacts } from '../config/client-variables.ts'
import { configFor, shortPath, staticTaskFor, staticTaskOf, type CommonOptions } from './common.ts'
import { EXIT_CODES, UsageError, type CommandIo } from './io.ts'
import { SHELLS, writeVariables, type Shell } from './shells.ts'

interface EnvFlags {
  readonly task?: string
  readonly shell: Shell
}

/** Adds the verb. */
export function registerEnv(program: Command, io: CommandIo, exit: (code: number) => void): void {
  program
    .command('env')
    .description('print the variables that clients in a sandbox need')
    .option('--task <id>', 'the task; default: the static one')
    .addOption(new Option('--shell <shell>', 'how they are written').choices(SHELLS).default('sh'))
    .action(async (_options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions & EnvFlags>()
      exit(await printEnvFor(options, options.json === true ? 'json' : options.shell, io))
    })
}

/** The static task's variables are known here; another task's, or another machine's, are the control API's to tell. */
async function printEnvFor(
  options: CommonOptions & EnvFlags,
  shell: Shell,
  io: CommandIo,
): Promise<number> {
  const { task: taskId } = options
  const isRemote = (options.control ?? io.environment['SALLYPORT_CONTROL']) !== undefined
  const config = taskId === undefined || !isRemote ? configFor(options, io, false) : undefined
  if (config !== undefined && (taskId === undefined || taskId === staticTaskOf(config)?.id))
    return printEnv(config, shell, taskId, io)
  // Only for whoever asks for it: most have a static task.
  const { printTaskEnv } = await import('./env-task.ts')
  return printTaskEnv(taskId ?? '', shell, options, io)
}

function printEnv(config: Config, shell: Shell, taskId: string | undefined, io: CommandIo): number {
  const { proxy } = config.listen
  const caFile = path.join(config.ca.dir, 'ca.crt')
  const variables = {
    ...clientVariables({
      proxy: reachableFrom(proxy),
      caFile,
      bundleFile: path.join(config.ca.dir, 'ca-bundle.crt'),
    }),
    ...placeholderVariables(config, taskId, io),
  }
  io.out(writeVariables(variables, shell))
  if (!existsSync(caFile))
    io.err(`${shortPath(caFile)} is made at the first start; clients trust nothing before\n`)
  if (proxy.kind === 'tcp') return EXIT_CODES.ok
  io.err(
    `the proxy listens on unix:${shortPath(proxy.path)}, which no variable can name: ` +
      'give the sandbox a TCP address that leads there, such as by socat\n',
  )
  return EXIT_CODES.no
}

/** An address that means every interface is reached on this machine by the loopback one. */
function reachableFrom(listen: ListenAddress): ClientFacts['proxy'] {
  if (listen.kind === 'unix') return undefined
  const { host, port } = listen
  if (port === 0)
    throw new UsageError('`listen.proxy` has port 0: the port is chosen, and printed, at the start')
  return { host: host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host, port }
}

function placeholderVariables(
  config: Config,
  taskId: string | undefined,
  io: CommandIo,
): Record<string, string> {
  const task = staticTaskFor(config, taskId)
  if (task === undefined || config.credentials.length === 0) return {}
  const store = new CredentialStore(config.credentials, {
    environment: io.environment,
    limits: config.limits,
    placeholderKey: placeholderKey(config.stateDir),
  })
  return store.placeholderVariables(task.id)
}
