// A hold as it is opened: what a rule holds, of whom, and by what it was judged. Pure. Called by `holds.ts`.

import type { HoldTerms, RuleRef } from '../../policy/decision.ts'
import type { HeldRequest, HeldTask } from '../../tasks/hold-view.ts'
import type { Task } from '../../tasks/task.ts'
import { makeUlid } from '../../wire/ulid.ts'
import type { KeptHold } from './kept-hold.ts'
import { requestersOf } from './reviewers.ts'

/** A call that a rule holds. */
export interface AskedHold {
  readonly task: Task
  readonly digest: string
  /** What it was judged by: an answer counts as long as it is the same. */
  readonly basis: string
  readonly rule: RuleRef
  readonly terms: HoldTerms
  /** What the reviewer sees; asked for where a hold is opened. */
  describe(): HeldRequest
}

/** When a hold is opened, and who asked for its task. */
interface Opening {
  /** Epoch milliseconds. */
  readonly now: number
  readonly holdTtlMs: number
  readonly askers: readonly string[]
}

/** Makes the hold of a call. */
export function openHold(asked: AskedHold, { now, holdTtlMs, askers }: Opening): KeptHold {
  const { task, digest, basis, rule, terms } = asked
  return {
    id: makeUlid(now),
    state: 'pending',
    digest,
    basis,
    task: heldTask(task),
    path: task.path,
    requesters: requestersOf(task, askers),
    rule,
    request: asked.describe(),
    separate: terms.separate,
    ...(terms.reviewers && { reviewers: terms.reviewers }),
    openedAt: now,
    waitsUntil: now + holdTtlMs,
  }
}

function heldTask({
  id,
  intent,
  intentDigest,
  owner,
  agent,
  principal,
  environment,
}: Task): HeldTask {
  return {
    id,
    intent,
    intentDigest,
    owner: { name: owner.name, team: owner.team },
    agent,
    ...(principal !== undefined && { principal }),
    environment,
  }
}
