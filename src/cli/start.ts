// `sallyport start`: reads the configuration and hands it on to what runs the sidecar. Deliberately does not know how
// that is done: `main.ts` passes it. Called by `program.ts`.

import type { Command } from 'commander'

import type { Config } from '../config/config.ts'
import { loadFor, type CommonOptions } from './common.ts'
import { EXIT_CODES, type CommandIo } from './io.ts'
import { formatProblems } from './problems.ts'

/** What the sidecar is started with. */
export interface StartOptions {
  readonly config: Config
  /** Start the static task anew even where it has ended. */
  readonly renew: boolean
  /** What to print is for a script. */
  readonly json: boolean
}

/** What a start's command line says. */
export type StartFlags = CommonOptions & { readonly renew?: boolean }

/** Runs the sidecar until it is told to stop and resolves with the exit code. */
export type RunSidecar = (options: StartOptions) => Promise<number>

/** Adds the verb. */
export function registerStart(
  program: Command,
  io: CommandIo,
  exit: (code: number) => void,
  run: RunSidecar,
): void {
  program
    .command('start')
    .description('run the sidecar in the foreground until SIGTERM, then drain')
    .option('--renew', 'start the static task anew even where it has ended; this is recorded')
    .action(async (_options: unknown, command: Command) => {
      exit(await runStart(command.optsWithGlobals<StartFlags>(), io, run))
    })
}

/** Starts from the configuration. @returns the exit code */
export async function runStart(flags: StartFlags, io: CommandIo, run: RunSidecar): Promise<number> {
  const { config, problems } = loadFor(flags, io, false)
  io.err(formatProblems(problems, io))
  if (config === undefined) return EXIT_CODES.usage
  return run({ config, renew: flags.renew === true, json: flags.json === true })
}
