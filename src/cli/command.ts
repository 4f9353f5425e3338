// Runs one command line. A start as it is usually written is read here without commander, because it is what clients wait
// for; every other line, and every start that is not understood here, goes to `program.ts`, which also says what is wrong.
// Called by `main.ts`.

import { parseArgs } from 'node:util'

import { escapeUnprintable } from '../record/printable.ts'
import { systemErrorCode } from '../record/system-error.ts'
import { EXIT_CODES, UsageError, type CommandIo } from './io.ts'
import { runStart, type RunSidecar, type StartFlags } from './start.ts'

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
  try {
    const flags = readPlainStart(words)
    if (flags !== undefined) return await runStart(flags, io, runSidecar)
    const { runProgram } = await import('./program.ts')
    return await runProgram(words, io, runSidecar)
  } catch (error) {
    if (isOfSystem(error)) io.err(`sallyport: ${escapeUnprintable(error.message)}\n`)
    else if (error instanceof UsageError) io.err(`sallyport: ${error.message}\n`)
    else throw error
    return EXIT_CODES.usage
  }
}

// A file that cannot be read or written is no answer to what was asked.
function isOfSystem(error: unknown): error is Error {
  return systemErrorCode(error) !== undefined && error instanceof Error && 'syscall' in error
}

/** The flags of a start that holds nothing else. */
function readPlainStart([verb, ...rest]: readonly string[]): StartFlags | undefined {
  if (verb !== 'start') return undefined
  try {
    return parseArgs({
      args: rest,
      options: {
        config: { type: 'string' },
        control: { type: 'string' },
        json: { type: 'boolean' },
        renew: { type: 'boolean' },
      },
    }).values
  } catch {
    return undefined
  }
}
