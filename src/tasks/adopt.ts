// The task that the configuration defines: taken into the registry at a start. Its id is a digest of its definition, so the
// same definition is the same task over restarts; once ended it stays so until that changes or an operator renews it.
// Called by `sidecar.ts`.

import type { TaskClock } from './clock.ts'
import type { KeptTask, TaskEntry } from './entry.ts'
import { SIDECAR, type TaskRegistry } from './registry.ts'
import { isOver } from './states.ts'
import type { Task } from './task.ts'

/** Ends static tasks that the configuration does not define any more. */
export function endRedefined(registry: TaskRegistry, staticId: string | undefined): void {
  const gone = [...registry.entries.live].filter(
    ({ kept }) => kept.isStatic && kept.id !== staticId,
  )
  void registry.end(gone, 'redefined', SIDECAR)
}

/**
 * Takes the static task in.
 * @param task as it would start now
 * @param renew start it anew even where it has ended
 * @throws Error of the system where it cannot be written down
 */
export function adoptStatic(
  registry: TaskRegistry,
  clock: TaskClock,
  task: Task,
  renew: boolean,
): TaskEntry {
  const known = registry.entries.get(task.id)
  if (known === undefined) return registry.add(beginning(task, clock.now()))
  // What was ending goes on ending, whoever asks.
  if (renew && known.kept.state !== 'revoking' && !waits(known, clock)) {
    const { receipt: _, endReason: __, ...kept } = known.kept
    known.kept = kept
    const cause = task.notBefore === undefined ? 'renewed' : 'not-before'
    registry.move(known, cause, SIDECAR, {
      change: { task, teardown: 'none', credentialsUsed: [] },
    })
    known.setExpiry(task.expiresAt)
    return known
  }
  // The definition gives what it says; when it began and ends is what it was.
  const { startsAt, notBefore, expiresAt, intent, intentDigest, capabilities, labels } = known.task
  const { notBefore: _, ...defined } = task
  const begins = notBefore === undefined ? {} : { notBefore }
  // An approver may have extended what it declares.
  const declared = {
    intent,
    intentDigest,
    ...(capabilities && { capabilities }),
    ...(labels && { labels }),
  }
  const kept = { ...defined, ...declared, startsAt, ...begins, expiresAt }
  known.kept = { ...known.kept, task: kept }
  // The clock may have ended it while nobody looked.
  if (!isOver(known.state)) registry.tellContinued(known)
  return known
}

// What has not begun needs no new beginning.
function waits({ kept }: TaskEntry, clock: TaskClock): boolean {
  return kept.state === 'pending' && (kept.task.notBefore ?? 0) > clock.now()
}

function beginning(task: Task, now: number): KeptTask {
  return {
    id: task.id,
    task,
    ...(task.notBefore === undefined
      ? { state: 'active', cause: 'created' }
      : { state: 'pending', cause: 'not-before' }),
    since: now,
    actor: SIDECAR.name,
    createdBy: 'configuration',
    isStatic: true,
    isTokenUsed: false,
    definitionDigest: '',
    unproven: [],
    hasListener: false,
    teardown: task.sandbox.hooks?.end === undefined ? 'none' : 'due',
    credentialsUsed: [],
  }
}
