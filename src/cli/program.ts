// The command line: verbs, common options, exit codes. Deliberately no verb's own work. Called by `main.ts`.

import { Command, CommanderError } from 'commander'

import { registerCa } from './ca.ts'
import { registerCheck } from './check.ts'
import { registerEnv } from './env.ts'
import { registerExplain } from './explain.ts'
import { EXIT_CODES, UsageError, type CommandIo } from './io.ts'
import { registerNotServed } from './not-served.ts'
import { registerStart, type RunSidecar } from './start.ts'
import { registerTail } from './tail.ts'
import { registerTest } from './test.ts'
import { registerVerify } from './verify.ts'

/**
 * Runs one command.
 * @param words the command line after the program's own name
 * @returns the exit code: 0 yes, 1 no, 2 wrong usage
 */
export async function runCommand(
  words: readonly string[],
  io: CommandIo,
  runSidecar: RunSidecar,
): Promise<number> {
  let code: number = EXIT_CODES.ok
  const program = buildProgram(io, runSidecar, (exitCode) => {
    code = exitCode
  })
  try {
    await program.parseAsync(words, { from: 'user' })
  } catch (error) {
    if (error instanceof UsageError) {
      io.err(`sallyport: ${error.message}\n`)
      return EXIT_CODES.usage
    }
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_CODES.usage
    throw error
  }
  return code
}

function buildProgram(
  io: CommandIo,
  runSidecar: RunSidecar,
  exit: (code: number) => void,
): Command {
  const program = new Command('sallyport')
    .description("the only way out of an AI agent's sandbox")
    .version(io.version)
    .option('--config <file>', 'configuration (default: sallyport.yaml)')
    .option('--control <address>', "the sidecar's control listener")
    .option('--json', 'print JSON for scripts')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ writeOut: io.out, writeErr: io.err })
    .exitOverride()
  // What follows inherits the settings above.
  registerStart(program, io, exit, runSidecar)
  registerCheck(program, io, exit)
  registerTest(program, io, exit)
  registerExplain(program, io, exit)
  registerEnv(program, io, exit)
  registerTail(program, io, exit)
  registerVerify(program, io, exit)
  registerCa(program, io, exit)
  registerNotServed(program)
  return program
}
