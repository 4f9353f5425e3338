// The installation's CA as it is now: renewed before it ends, while the sidecar runs. Made by `sidecar.ts`.

import type { Log } from '../record/log.ts'
import { loadOrMakeCa, type Ca } from '../tls/ca.ts'
import type { Config } from './config.ts'

const CHECK_MS = 3_600_000
const CHECKS_PER_LIFE = 20

/** The CA, and the timer that renews it. */
export class CaWatch {
  readonly #timer: NodeJS.Timeout
  #current: Ca

  /** @param ca to begin with */
  constructor(ca: Ca, { ca: options }: Pick<Config, 'ca'>, log: Log) {
    this.#current = ca
    const renew = (): void => {
      try {
        this.#current = loadOrMakeCa({ ...options, now: Date.now })
      } catch (error) {
        log.error({ err: error }, 'the CA could not be renewed')
      }
    }
    this.#timer = setInterval(renew, Math.min(CHECK_MS, options.lifetimeMs / CHECKS_PER_LIFE))
    this.#timer.unref()
  }

  /** The one in use. */
  get current(): Ca {
    return this.#current
  }

  close(): void {
    clearInterval(this.#timer)
  }
}
