// Starts a sidecar in this process: its log, its CA, its parts. Deliberately waits for nothing and stops nothing: that is
// whoever started it. Called by `main.ts` for `start`, and by `run.ts`.

import type { LogGuard } from '../config/secrets.ts'
import type { SidecarOptions } from '../config/sidecar-options.ts'
import { LOG_LEVELS, makeLog, type Log, type LogLevel } from '../record/log.ts'
import type { Sidecar } from '../sidecar.ts'

/** The log of this process, and what takes secrets out of it once there are any. */
export interface ProcessLog {
  readonly log: Log
  readonly guard: LogGuard
}

/** Makes the log of a sidecar's process. @param usual the level where `SALLYPORT_LOG` names none */
export function openLog(environment: SidecarOptions['environment'], usual: LogLevel): ProcessLog {
  const level = LOG_LEVELS.find((one) => one === environment['SALLYPORT_LOG']) ?? usual
  const guard: LogGuard = { mask: (line) => line }
  const log = makeLog({ level, mask: (line) => guard.mask(line) })
  // An error that nobody awaited has failed its call closed already; the others go on.
  process.on('unhandledRejection', (error) =>
    log.error({ err: error }, 'an error that nobody awaited'),
  )
  return { log, guard }
}

/**
 * Starts a sidecar. The CA first: whoever waits for its file to start a client has it while the rest is loaded. The other
 * verbs do without the data path, so it is loaded here.
 * @throws Error saying which part did not start and why
 */
export async function startSidecar(options: Omit<SidecarOptions, 'ca'>): Promise<Sidecar> {
  const { loadOrMakeCa } = await import('../tls/ca.ts')
  const ca = loadOrMakeCa({ ...options.config.ca, now: Date.now })
  const parts = await import('../sidecar.ts')
  return parts.Sidecar.start({ ...options, ca })
}
