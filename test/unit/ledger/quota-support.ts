// Quotas in a directory with a clock that is moved by hand.

import { Quotas, type Asked, type QuotaOptions } from '../../../src/ledger/quotas.ts'
import type { TaskLimits } from '../../../src/tasks/task.ts'

/** Quotas, and what drives them. */
export interface Held {
  readonly quotas: Quotas
  readonly refused: string[]
  readonly problems: unknown[]
}

/** Both clocks, moved together or the wall clock alone. */
export class SteppedClock {
  wall = 1_800_000_000_000
  elapsed = 0

  pass(ms: number): void {
    this.wall += ms
    this.elapsed += ms
  }

  now(): number {
    return this.wall
  }

  monotonic(): number {
    return this.elapsed
  }
}

/** Opens quotas. @param tasks limits of tasks by id */
export function openQuotas(
  dir: string,
  clock: SteppedClock,
  tasks: Readonly<Record<string, TaskLimits>> = {},
  changes: Partial<QuotaOptions> = {},
): Held {
  const refused: string[] = []
  const problems: unknown[] = []
  const quotas = new Quotas({
    dir,
    limits: { quotaCountersPerTaskMax: 100 },
    clocks: () => clock,
    limitsOf: (id) => tasks[id],
    onRefused: (limit) => refused.push(limit),
    onProblem: (error) => problems.push(error),
    ...changes,
  })
  return { quotas, refused, problems }
}

/** A call of a task without rules that owe anything. */
export function askFor(limits: TaskLimits | undefined, changes: Partial<Asked> = {}): Asked {
  return {
    task: { id: 't_1', path: ['t_1'], ...(limits && { limits }) },
    quotas: undefined,
    units: undefined,
    head: undefined,
    bodyBytes: 0,
    ...changes,
  }
}
