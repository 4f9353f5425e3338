// How the tasks of a sidecar stand, in numbers for its metrics. Called by `task-room.ts`.

import type { DurationCounts, TaskNumbers } from '../record/metrics/counts.ts'
import type { TaskIndex } from '../tasks/task-index.ts'

/** Counts tasks by state, those whose parent has ended, those whose sandbox may still run. */
export function countTasks(entries: TaskIndex, endings: DurationCounts): TaskNumbers {
  const byState = { pending: 0, active: 0, suspended: 0, revoking: 0 }
  let orphaned = 0
  let observing = 0
  for (const entry of entries.values()) {
    const { state } = entry.kept
    if (state !== 'ended') byState[state] += 1
    if (!entries.live.has(entry)) continue
    if (entry.task.observe === true) observing += 1
    const parent = entry.task.path.at(-2)
    if (parent !== undefined && entries.get(parent)?.kept.state === 'ended') orphaned += 1
  }
  return { byState, observing, orphaned, unconfirmed: entries.unconfirmed.size, endings }
}
