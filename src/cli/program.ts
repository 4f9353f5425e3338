// The command line as commander reads it: verbs, common options, help. Deliberately no verb's own work. Called by
// `command.ts`.

import { Command, CommanderError } from 'commander'

import { EXIT_CODES, type CommandIo } from './io.ts'
import { registerStart, type RunSidecar } from './start.ts'

type Register = (program: Command, io: CommandIo, exit: (code: number) => void) => void

/** Each verb is loaded where it may be meant: a start does without the others. In the order of the help. */
const VERBS: Readonly<Record<string, () => Promise<Register>>> = {
  run: async () => (await import('./run.ts')).registerRun,
  check: async () => (await import('./check.ts')).registerCheck,
  test: async () => (await import('./test.ts')).registerTest,
  explain: async () => (await import('./explain.ts')).registerExplain,
  replay: async () => (await import('./replay.ts')).registerReplay,
  suggest: async () => (await import('./suggest.ts')).registerSuggest,
  env: async () => (await import('./env.ts')).registerEnv,
  task: async () => (await import('./task.ts')).registerTask,
  hold: async () => (await import('./hold.ts')).registerHold,
  kill: async () => (await import('./kill.ts')).registerKill,
  rules: async () => (await import('./rules.ts')).registerRules,
  tail: async () => (await import('./tail.ts')).registerTail,
  summary: async () => (await import('./summary.ts')).registerSummary,
  export: async () => (await import('./export.ts')).registerExport,
  verify: async () => (await import('./verify.ts')).registerVerify,
  evidence: async () => (await import('./evidence.ts')).registerEvidence,
  ca: async () => (await import('./ca.ts')).registerCa,
  doctor: async () => (await import('./doctor.ts')).registerDoctor,
}

/** Runs one command. @returns the exit code */
export async function runProgram(
  words: readonly string[],
  io: CommandIo,
  runSidecar: RunSidecar,
): Promise<number> {
  let code: number = EXIT_CODES.ok
  const exit = (exitCode: number): void => {
    code = exitCode
  }
  const program = buildProgram(io)
  // What follows inherits the program's settings.
  registerStart(program, io, exit, runSidecar)
  for (const load of verbsFor(words[0])) (await load())(program, io, exit)
  try {
    await program.parseAsync(words, { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_CODES.usage
    throw error
  }
  return code
}

/** Only the verb that stands first; all of them where none does, for the help and for what was meant. */
function verbsFor(first: string | undefined): (() => Promise<Register>)[] {
  if (first === 'start') return []
  const named = first !== undefined && Object.hasOwn(VERBS, first) ? VERBS[first] : undefined
  return named === undefined ? Object.values(VERBS) : [named]
}

function buildProgram(io: CommandIo): Command {
  return new Command('sallyport')
    .description("the only way out of an AI agent's sandbox")
    .version(io.version)
    .option('--config <file>', 'configuration (default: sallyport.yaml)')
    .option('--control <address>', "the sidecar's control listener")
    .option('--json', 'print JSON for scripts')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ writeOut: io.out, writeErr: io.err })
    .exitOverride()
}
