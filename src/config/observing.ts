// What makes tasks unmistakable that only observe: an alert as they begin, a warning at each start. Called by `task-room.ts`.

import type { Log } from '../record/log.ts'
import type { CallRecorder } from '../record/recorder.ts'
import type { TaskEntry } from '../tasks/entry.ts'
import type { Move } from '../tasks/registry.ts'

const NAMED_MAX = 20

/** Raises the alert that a task begins for which nothing is enforced. */
export function tellObserving(
  { entry: { task }, transition: { from, to }, cause, actor }: Omit<Move, 'reason'>,
  recorder: CallRecorder,
): void {
  const begins = from === undefined || cause === 'renewed'
  if (task.observe !== true || !begins || to === 'ended') return
  recorder.recordEvent('task-observing', {
    task,
    detail: { actor, rules: task.rules, expiresAt: new Date(task.expiresAt).toISOString() },
  })
}

/** Warns of those that go on after a start. */
export function warnObserving(live: readonly TaskEntry[], log: Log): void {
  const observing = live.filter(({ task }) => task.observe === true).map(({ id }) => id)
  if (observing.length === 0) return
  const named = observing.slice(0, NAMED_MAX)
  log.warn(
    { tasks: named, count: observing.length },
    'OBSERVE: what no rule allows passes for these tasks',
  )
}
