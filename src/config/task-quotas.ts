// What tasks may do in numbers, as a configuration describes it: the quotas beside the tasks whose limits they count. Called by
// `task-tools.ts`.

import { Quotas } from '../ledger/quotas.ts'
import type { Log } from '../record/log.ts'
import type { Metrics } from '../record/metrics/metrics.ts'
import type { TaskClock } from '../tasks/clock.ts'
import type { TaskRegistry } from '../tasks/registry.ts'
import type { Config } from './config.ts'

/** What quotas look at, once it is there: they are opened before the tasks are. */
export interface QuotaSurroundings {
  readonly room: { readonly clock: TaskClock; readonly registry: TaskRegistry }
  readonly metrics: Metrics
}

/** Opens the quotas. @throws Error where what was written cannot be read: what was used must stay so */
export function openTaskQuotas(
  { stateDir, limits }: Pick<Config, 'stateDir' | 'limits'>,
  log: Log,
  around: () => QuotaSurroundings,
): Quotas {
  return new Quotas({
    dir: stateDir,
    limits,
    clocks: () => around().room.clock,
    limitsOf: (taskId) => around().room.registry.entries.get(taskId)?.task.limits,
    onRefused: (limit) => around().metrics.countQuota(limit),
    onProblem: (error) =>
      log.error({ err: error }, 'what is used of limits could not be written; calls are refused'),
  })
}
