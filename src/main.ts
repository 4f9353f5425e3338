// The process's edge: arguments to a command, signals, exit code. Deliberately nothing that a test could not do better
// elsewhere.

import { readFileSync } from 'node:fs'
import { flushCompileCache } from 'node:module'

import { runCommand } from './cli/command.ts'
import type { CommandIo } from './cli/io.ts'
import type { StartOptions } from './cli/start.ts'
import { printWelcome } from './cli/welcome.ts'
import type { LogGuard } from './config/secrets.ts'
import { LOG_LEVELS, makeLog } from './record/log.ts'
import type { Sidecar } from './sidecar.ts'

const { env, stdout, stderr } = process
const interrupted = new AbortController()

const io: CommandIo = {
  out: (text) => void stdout.write(text),
  err: (text) => void stderr.write(text),
  environment: env,
  color: (env['NO_COLOR'] ?? '') === '' && (stdout.isTTY || (env['FORCE_COLOR'] ?? '') !== ''),
  signal: interrupted.signal,
  version: readVersion(),
}

// A reader that has seen enough (`sallyport tail | head`) is no failure.
stdout.on('error', () => process.exit(0))
process.on('SIGINT', () => interrupted.abort())
process.on('SIGTERM', () => interrupted.abort())

process.exitCode = await runCommand(process.argv.slice(2), io, runSidecar)

async function runSidecar({ config, renew }: StartOptions): Promise<number> {
  const level = LOG_LEVELS.find((one) => one === env['SALLYPORT_LOG']) ?? 'info'
  // Filled in as soon as there are secrets.
  const guard: LogGuard = { mask: (line) => line }
  const log = makeLog({ level, mask: (line) => guard.mask(line) })
  // An error that nobody awaited has failed its call closed already; the others go on.
  process.on('unhandledRejection', (error) =>
    log.error({ err: error }, 'an error that nobody awaited'),
  )
  let sidecar: Sidecar
  try {
    // The CA first: whoever waits for its file to start a client has it while the rest is loaded. The other verbs do
    // without the data path.
    const { loadOrMakeCa } = await import('./tls/ca.ts')
    const ca = loadOrMakeCa({ ...config.ca, now: Date.now })
    const parts = await import('./sidecar.ts')
    sidecar = await parts.Sidecar.start({
      config,
      ca,
      environment: env,
      renew,
      log,
      guard,
      version: io.version,
    })
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
  const file = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  const { version }: { version: string } = JSON.parse(file)
  return version
}
