// `sallyport run`: runs a command in namespaces whose only way out is a sidecar in this process. Puts the parts together: the
// task, the sidecar, the sandbox. Called by `program.ts`.

import { mkdirSync, writeSync } from 'node:fs'
import { homedir } from 'node:os'
import path from 'node:path'

import type { Command } from 'commander'

import { checkInstallation } from '../config/check-installation.ts'
import { clientVariables } from '../config/client-variables.ts'
import type { Config } from '../config/config.ts'
import { placeholderKey } from '../config/placeholder-key.ts'
import { loadRuleSets } from '../config/rules.ts'
import { CredentialStore } from '../credentials/store.ts'
import { EgressError } from '../errors.ts'
import { PROGRAM_DIR } from '../program.ts'
import { sandboxEnvironment } from '../sandbox/environment.ts'
import { MaskConflict } from '../sandbox/masks.ts'
import { Sandbox } from '../sandbox/outer.ts'
import { lookAround, type SandboxView } from '../sandbox/places.ts'
import { secretNames } from '../sandbox/secret-files.ts'
import { findTools, SandboxProblem } from '../sandbox/tools.ts'
import type { Sidecar } from '../sidecar.ts'
import { loadFor, shortPath, type CommonOptions } from './common.ts'
import { EXIT_CODES, UsageError, type CommandIo } from './io.ts'
import { formatProblems } from './problems.ts'
import { osUser } from './os-user.ts'
import { runTaskOf, type RunTaskOptions } from './run-task.ts'
import { openLog, startSidecar } from './sidecar-process.ts'

interface RunFlags extends CommonOptions, RunTaskOptions {
  readonly prove?: boolean
}

/** Where the explicit proxy is, seen from inside. */
const INNER_PROXY = { host: '127.0.0.1', port: 3128 }

/** Adds the verb. */
export function registerRun(program: Command, io: CommandIo, exit: (code: number) => void): void {
  program
    .command('run')
    .description('run a command in namespaces whose only way out is the sidecar')
    .usage('[options] -- COMMAND…')
    .argument('<command...>')
    .option('--task <file>', "the task's definition, YAML or JSON")
    .option('--rules <names...>', 'rule sets of a task that is made for this command')
    .option('--prove', 'try every other way out first, and do not run the command if one is open')
    .action(async (words: string[], _options: unknown, command: Command) => {
      exit(await runCommandInside(words, command.optsWithGlobals<RunFlags>(), io))
    })
}

async function runCommandInside(
  words: readonly string[],
  flags: RunFlags,
  io: CommandIo,
): Promise<number> {
  if (process.platform !== 'linux')
    throw new UsageError('`run` takes Linux, whose namespaces it is made of')
  const config = configOf(words, flags, io)
  try {
    const tools = findTools(io.environment['PATH'])
    return await new Run(config, words, flags.task, io).run(
      new Sandbox(tools),
      flags.prove === true,
    )
  } catch (error) {
    if (error instanceof SandboxProblem || error instanceof MaskConflict) say(error.message)
    else if (error instanceof EgressError) say(whyNotStarted(error))
    else throw error
    return EXIT_CODES.no
  }
}

/** The configuration with the task of this run in it, checked with its rules. @throws UsageError with every problem */
function configOf(words: readonly string[], flags: RunFlags, io: CommandIo): Config {
  const { config: loaded, problems, placeOf } = loadFor(flags, io, true)
  say(formatProblems(problems, io))
  if (loaded === undefined) throw new UsageError('the configuration is not valid')
  const task = runTaskOf(flags, words, loaded, osUser().name, io)
  const config = { ...loaded, task, sinks: loaded.sinks.filter(({ kind }) => kind !== 'stdout') }
  if (config.sinks.length < loaded.sinks.length)
    say("standard output is the command's: the sink `stdout` is left out")
  const { sets, problems: read } = loadRuleSets(config.rules.dir, config.limits)
  const wrong = [...read, ...checkInstallation(config, sets, placeOf)].filter(
    ({ severity }) => severity === 'error',
  )
  if (wrong.length > 0)
    throw new UsageError(`the rules are not valid\n${formatProblems(wrong, io).trimEnd()}`)
  if (task.rules.length === 0)
    say('no rules: everything is refused; name rule sets by `--rules`, or write a `--task` file')
  return config
}

/** One command and all that is around it. */
class Run {
  readonly #config: Config
  readonly #words: readonly string[]
  readonly #taskFile: string | undefined
  readonly #io: CommandIo

  constructor(
    config: Config,
    words: readonly string[],
    taskFile: string | undefined,
    io: CommandIo,
  ) {
    this.#config = config
    this.#words = words
    this.#taskFile = taskFile
    this.#io = io
  }

  async run(sandbox: Sandbox, isProved: boolean): Promise<number> {
    let sidecar: Sidecar | undefined
    let isRunning = false
    try {
      sidecar = await this.#startSidecar(() => sandbox.end())
      const { task } = sidecar
      if (task === undefined) throw new SandboxProblem('the task did not begin')
      const view = this.#look()
      await sandbox.setUp(view.mounts, process.cwd(), (door) => sidecar?.adopt(door))
      const command = {
        words: this.#words,
        variables: this.#variables(task.id, view),
        workDir: process.cwd(),
        proof: isProved ? this.#proof() : undefined,
      }
      isRunning = true
      const { code } = await sandbox.run(command)
      if (task.state === 'active' || task.state === 'suspended') {
        await sidecar.endTask(`the command ended with ${code}`)
        return code
      }
      // Its receipt is there before the sidecar stops.
      await sidecar.endTask('')
      say(
        `the task is over (${task.kept.cause}${task.kept.endReason === undefined ? '' : `: ${task.kept.endReason}`}), and so is the command`,
      )
      return code === 0 ? EXIT_CODES.no : code
    } finally {
      await sandbox.end()
      if (!isRunning) await sidecar?.endTask('the command did not begin')
      await sidecar?.stop()
    }
  }

  #startSidecar(endSandbox: () => Promise<void>): Promise<Sidecar> {
    const { environment, version } = this.#io
    // What is not there cannot be kept from being written to.
    mkdirSync(this.#config.rules.dir, { recursive: true })
    const options = { config: this.#config, environment, version, endSandbox }
    return startSidecar({ ...options, ...openLog(environment, 'error'), renew: true, handed: true })
  }

  #look(): SandboxView {
    const view = lookAround({
      config: this.#config,
      environment: this.#io.environment,
      workDir: process.cwd(),
      homes: [...new Set([homedir(), osUser().home])],
      programDir: PROGRAM_DIR,
      taskFile: this.#taskFile === undefined ? undefined : path.resolve(this.#taskFile),
    })
    for (const file of view.loose)
      say(
        `${shortPath(file)} is hidden, a file that replaces it is not: keep it in a directory of its own, mode 0700`,
      )
    return view
  }

  #variables(taskId: string, view: SandboxView): Record<string, string> {
    const config = this.#config
    const { environment } = this.#io
    const { ca, credentials, limits, stateDir } = config
    const store = new CredentialStore(credentials, {
      environment,
      limits,
      placeholderKey: placeholderKey(stateDir),
    })
    return sandboxEnvironment({
      outer: environment,
      clients: {
        ...clientVariables({
          proxy: INNER_PROXY,
          caFile: path.join(ca.dir, 'ca.crt'),
          bundleFile: path.join(ca.dir, 'ca-bundle.crt'),
        }),
        ...store.placeholderVariables(taskId),
      },
      secretNames: secretNames(config),
      workDir: process.cwd(),
      isVisible: (place) => path.isAbsolute(place) && !view.plan.hides(path.resolve(place)),
    })
  }

  #proof(): readonly string[] {
    const { file } = this.#config
    const program = [process.execPath, path.join(PROGRAM_DIR, 'bin/sallyport.js')]
    const words = [...program, 'doctor', '--inside']
    // Also where it is hidden: another one in the working directory governs nothing here.
    return file === undefined ? words : [...words, '--config', file]
  }
}

function whyNotStarted(error: EgressError): string {
  const { journal, heldBy } = error.detail
  if (error.reason === 'audit-unavailable' && heldBy !== undefined)
    return `another sidecar (process ${heldBy}) writes the journal ${shortPath(String(journal))}: give this one other directories by --config, or end that one`
  return `the sidecar did not start: ${error.message}`
}

// Past the stream of this process, which would change how the command's own output is written.
function say(text: string): void {
  if (text === '') return
  try {
    writeSync(2, text.endsWith('\n') ? text : `sallyport: ${text}\n`)
  } catch {
    // Nobody reads it.
  }
}
