// The life of a task as one table: from which state to which, for what cause, under what name it is recorded. Everything
// that moves a task asks here. Pure.

import type { TaskState } from './task.ts'

/** Why a task moved. */
export type Cause =
  | 'created'
  | 'evidence-required'
  | 'not-before'
  | 'begun'
  | 'attested'
  | 'suspended'
  | 'heartbeat-lost'
  | 'owner-disabled'
  | 'resumed'
  | 'heartbeat'
  | 'renewed'
  | 'revoked'
  | 'expired'
  | 'sandbox-exited'
  | 'parent-ended'
  | 'killed'
  | 'denials'
  | 'redefined'
  | 'torn-down'

/** One way from a state to another. */
export interface Transition {
  /** Undefined: the task begins with it. */
  readonly from: TaskState | undefined
  readonly to: TaskState
  readonly causes: readonly Cause[]
  /** The `event.action` of its record. */
  readonly action: string
}

const ENDING: readonly Cause[] = [
  'revoked',
  'expired',
  'sandbox-exited',
  'parent-ended',
  'killed',
  'denials',
  'heartbeat-lost',
  'redefined',
]
const SUSPENDING: readonly Cause[] = ['suspended', 'heartbeat-lost', 'owner-disabled', 'denials']

/** Every transition there is. Only the static task is ever renewed: by the operator who starts the sidecar so. */
// prettier-ignore
export const TRANSITIONS: readonly Transition[] = [
  { from: undefined, to: 'active', causes: ['created'], action: 'task-created' },
  { from: undefined, to: 'pending', causes: ['evidence-required', 'not-before'], action: 'task-created' },
  { from: 'pending', to: 'active', causes: ['attested', 'begun'], action: 'task-activated' },
  { from: 'active', to: 'suspended', causes: SUSPENDING, action: 'task-suspended' },
  { from: 'suspended', to: 'active', causes: ['resumed', 'heartbeat'], action: 'task-resumed' },
  { from: 'pending', to: 'revoking', causes: ENDING, action: 'task-revoked' },
  { from: 'active', to: 'revoking', causes: ENDING, action: 'task-revoked' },
  { from: 'suspended', to: 'revoking', causes: ENDING, action: 'task-revoked' },
  { from: 'revoking', to: 'ended', causes: ['torn-down'], action: 'task-ended' },
  { from: 'pending', to: 'active', causes: ['renewed'], action: 'task-renewed' },
  { from: 'active', to: 'active', causes: ['renewed'], action: 'task-renewed' },
  { from: 'suspended', to: 'active', causes: ['renewed'], action: 'task-renewed' },
  { from: 'ended', to: 'active', causes: ['renewed'], action: 'task-renewed' },
  { from: 'ended', to: 'pending', causes: ['not-before'], action: 'task-renewed' },
]

/** The transition for a cause; undefined where the state knows none. */
export function transitionFor(
  from: TaskState | undefined,
  cause: Cause,
  to?: TaskState,
): Transition | undefined {
  return TRANSITIONS.find(
    (transition) =>
      transition.from === from &&
      transition.causes.includes(cause) &&
      (to === undefined || transition.to === to),
  )
}

/** Whether a state is one in which nothing comes back: the task ends or has ended. */
export function isOver(state: TaskState): boolean {
  return state === 'revoking' || state === 'ended'
}
