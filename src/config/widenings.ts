// What changed rules allow running tasks beyond what they were given: each such task has a record that says by which axis.
// Narrowing needs none, it binds at the next request. Compares in slices, so that nothing waits for it. Called by
// `task-room.ts`.

import { setImmediate as nextTurn } from 'node:timers/promises'

import { comparePolicies, type Comparison } from '../policy/narrow.ts'
import type { CallRecorder } from '../record/recorder.ts'
import type { Task } from '../tasks/task.ts'
import type { LoadedRules } from './rules.ts'
import type { TaskPolicies } from './task-policies.ts'

/** What is compared. */
export interface WideningOptions {
  readonly tasks: readonly Task[]
  /** The rules that were in force until now. */
  readonly before: LoadedRules
  readonly policies: TaskPolicies
  readonly recorder: CallRecorder
}

const SHOWN_MAX = 20

/** Puts `task-widened` on record for each task that may do more than before, or of which that cannot be ruled out. */
export async function recordWidenings(options: WideningOptions): Promise<void> {
  const { tasks, before, policies, recorder } = options
  // Many tasks say the same of rules, parameters and environment.
  const compared = new Map<string, Comparison | undefined>()
  for (const task of tasks) {
    const key = JSON.stringify([task.rules, task.params, task.environment, task.observe])
    if (!compared.has(key)) {
      await nextTurn()
      const now = policies.policyOf(task).policy
      const then = policies.policyUnder(before, task)
      const isChanged = now !== undefined && then !== undefined && now.digest !== then.digest
      compared.set(key, isChanged ? comparePolicies(now, then, Date.now()) : undefined)
    }
    const comparison = compared.get(key)
    if (comparison === undefined) continue
    const { widened, unproven } = comparison
    if (widened.length === 0 && unproven.length === 0) continue
    recorder.recordEvent('task-widened', {
      task,
      detail: {
        widened: widened
          .slice(0, SHOWN_MAX)
          .map(({ axis, rule, detail }) => `${axis} ${rule.ruleset}/${rule.id}: ${detail}`),
        ...(unproven.length > 0 && { unproven }),
      },
    })
  }
}
