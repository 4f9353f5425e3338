// The process's edge: arguments to a command, signals, exit code. Deliberately nothing that a test could not do better
// elsewhere.

import { readFileSync } from 'node:fs'
import { flushCompileCache } from 'node:module'
import path from 'node:path'
import { isatty } from 'node:tty'

import { runCommand } from './cli/command.ts'
import type { CommandIo } from './cli/io.ts'
import type { StartOptions } from './cli/start.ts'
import { openLog, startSidecar } from './cli/sidecar-process.ts'
import { printWelcome } from './cli/welcome.ts'
import { PROGRAM_DIR } from './program.ts'
import type { Sidecar } from './sidecar.ts'

const { env } = process
const interrupted = new AbortController()

// The streams are made where something is written to them: making one changes how what it leads to is written, and `run`
// shares both with its command.
const io: CommandIo = {
  out: writeOut,
  err: (text) => void process.stderr.write(text),
  environment: env,
  color: (env['NO_COLOR'] ?? '') === '' && (isatty(1) || (env['FORCE_COLOR'] ?? '') !== ''),
  signal: interrupted.signal,
  version: readVersion(),
}

process.on('SIGINT', () => interrupted.abort())
process.on('SIGTERM', () => interrupted.abort())

process.exitCode = await runCommand(process.argv.slice(2), io, runSidecar)

function writeOut(text: string): void {
  const { stdout } = process
  // A reader that has seen enough (`sallyport tail | head`) is no failure.
  if (stdout.listenerCount('error') === 0) stdout.on('error', () => process.exit(0))
  stdout.write(text)
}

async function runSidecar({ config, renew }: StartOptions): Promise<number> {
  const { log, guard } = openLog(env, 'info')
  let sidecar: Sidecar
  try {
    const { version } = io
    sidecar = await startSidecar({ config, environment: env, renew, log, guard, version })
  } catch (error) {
    log.error({ err: error }, 'the sidecar did not start')
    return 1
  }
  process.on('SIGHUP', () => sidecar.reloadRules())
  printWelcome(io, config, sidecar)
  // What `bin/` lets node keep is written now: a process that a signal ends never comes to it.
  flushCompileCache()
  await new Promise<void>((resolve) => {
    if (interrupted.signal.aborted) resolve()
    interrupted.signal.addEventListener('abort', () => resolve())
  })
  log.info('stopping: no new calls, open ones may finish')
  await sidecar.stop()
  return 0
}

function readVersion(): string {
  const file = readFileSync(path.join(PROGRAM_DIR, 'package.json'), 'utf8')
  const { version }: { version: string } = JSON.parse(file)
  return version
}
