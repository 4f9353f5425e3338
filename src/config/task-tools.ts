// What is remembered of the tools that tasks use, as a configuration describes it: the definitions they have seen and the
// requests that wait for a response; and what tasks have used of their limits. Called by `sidecar.ts`.

import { OpenRequests } from '../ledger/open-requests.ts'
import type { Quotas } from '../ledger/quotas.ts'
import { ToolPins } from '../ledger/tool-pins.ts'
import type { Log } from '../record/log.ts'
import type { Config } from './config.ts'
import { openTaskQuotas, type QuotaSurroundings } from './task-quotas.ts'

/** The memory of tools, which ends with each task. */
export interface TaskTools {
  readonly pins: ToolPins
  readonly requests: OpenRequests
  readonly quotas: Quotas
  /** Forgets all of a task. @returns how many tools, servers and requests that were */
  forget(taskId: string): number
  close(): void
}

/** Opens what is remembered. @throws Error where what was written cannot be read: a tool that was refused must stay so */
export function openTaskTools(
  config: Config,
  log: Log,
  around: () => QuotaSurroundings,
): TaskTools {
  const { stateDir, limits } = config
  const pins = new ToolPins({
    dir: stateDir,
    toolsPinnedMax: limits.toolsPinnedMax,
    onProblem: (error) =>
      log.error({ err: error }, 'what is remembered of tools could not be written; it is in force'),
  })
  // A task that leaves more requests open than it may have calls under way forgets only its own.
  const requests = new OpenRequests(limits.callsPerTaskMax)
  const quotas = openTaskQuotas(config, log, around)
  return {
    pins,
    requests,
    quotas,
    forget: (taskId) => {
      quotas.forget(taskId)
      return pins.forget(taskId) + requests.forget(taskId)
    },
    close: () => {
      pins.close()
      quotas.close()
    },
  }
}
