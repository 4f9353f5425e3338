// What a sidecar is started from. Types only; made by `main.ts`, read by `sidecar.ts`.

import type { Log } from '../record/log.ts'
import type { Ca } from '../tls/ca.ts'
import type { Config } from './config.ts'
import type { LogGuard } from './secrets.ts'

/** What starting takes besides the configuration. */
export interface SidecarOptions {
  readonly config: Config
  /** The interception CA to begin with. */
  readonly ca: Ca
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Start the static task anew even where it has ended. */
  readonly renew: boolean
  /** Opens no door of its own, and no health listener: all that leads to it is handed over, by `adopt`. */
  readonly handed?: boolean
  /** Ends the sandbox of the configuration's own task, and resolves once it is gone; undefined: it is not known here. */
  readonly endSandbox?: () => Promise<void>
  readonly log: Log
  readonly guard: LogGuard
  /** The program's. */
  readonly version: string
}
