// Who may answer for a held call: named reviewers, by name or team, and nobody who asked for it where the rule keeps them
// apart. Pure. Called by `holds.ts`.

import { ControlError } from '../../tasks/control-error.ts'
import type { HoldReviewer } from '../../tasks/hold-view.ts'
import { personName } from '../../tasks/person-name.ts'
import type { Task } from '../../tasks/task.ts'

/** What a hold says of its reviewers. */
export interface HeldFor {
  readonly team: string
  readonly separate: boolean
  readonly reviewers: readonly string[] | undefined
  /** Normal forms of the names of everybody who asked for the call. */
  readonly requesters: readonly string[]
}

const TEAM = 'team:'

/**
 * Names everybody who asked for what a task does, each in normal form.
 * @param askers who made it and the tasks above it, and on whose behalf they act
 */
export function requestersOf(task: Task, askers: readonly string[]): readonly string[] {
  const { owner, agent, principal, delegation = [] } = task
  const names = [
    owner.name,
    agent.account,
    agent.instance,
    ...(principal === undefined ? [] : [principal]),
    ...askers,
    ...delegation.flatMap((above) => [above.owner, above.agent, above.instance]),
  ]
  return [...new Set(names.map(personName))]
}

/** Tells why somebody may not answer; undefined where it may. */
export function objectionTo(
  { name, teams }: Pick<HoldReviewer, 'name' | 'teams'>,
  { team, separate, reviewers, requesters }: HeldFor,
): string | undefined {
  // Whom the rule names it means, of whatever team the task is.
  if (reviewers === undefined) {
    if (teams.length > 0 && !teams.includes(team))
      return "the task is of a team that is not one of the reviewer's"
  } else if (!reviewers.some((named) => isMeant(named, name, teams)))
    return 'the rule names other reviewers'
  if (separate && requesters.includes(personName(name)))
    return 'who owns the task, made it or acts in it does not answer for it'
  return undefined
}

/** Refuses who may not answer. @throws ControlError principal-not-allowed */
export function checkReviewer(reviewer: HoldReviewer, held: HeldFor): void {
  const objection = objectionTo(reviewer, held)
  if (objection !== undefined) throw new ControlError('principal-not-allowed', objection)
}

function isMeant(named: string, name: string, teams: readonly string[]): boolean {
  if (named.startsWith(TEAM)) return teams.includes(named.slice(TEAM.length))
  // To let one in, a name is that name.
  return named === name
}
