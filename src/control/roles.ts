// Principals of the control API and their roles, and who may do what. Pure; the configuration names principals,
// `principals.ts` recognises them, the routes ask here.

import { ControlError } from '../tasks/control-error.ts'
import type { Actor, TaskView } from '../tasks/view.ts'

/** The roles that a principal can be given. */
export const ROLES = ['viewer', 'approver', 'operator', 'orchestrator'] as const

/** One of the roles. */
export type Role = (typeof ROLES)[number]

/** Names that no principal can be given, because they say who else acted. */
export const RESERVED_PRINCIPALS: readonly string[] = ['administrator', 'sidecar', 'configuration']

/** A principal as it is configured: what proves it, and what it may. */
export interface PrincipalDefinition {
  readonly name: string
  readonly proof:
    | { readonly kind: 'token'; readonly file: string }
    | { readonly kind: 'mtls'; readonly subject: string }
  readonly roles: readonly Role[]
  /** Owners' teams whose tasks it is limited to; empty: any. */
  readonly teams: readonly string[]
}

/** A caller that was recognised. */
export type Principal = Pick<PrincipalDefinition, 'name' | 'roles' | 'teams'>

/** The principal that may do everything. */
export const ADMINISTRATOR: Principal = { name: 'administrator', roles: ROLES, teams: [] }

/** Gives a principal as whoever is put on record. */
export function actorOf({ name }: Principal): Actor {
  return { kind: 'principal', name }
}

/** Whether a principal has one of these roles. */
export function hasRole({ roles }: Principal, ...wanted: readonly Role[]): boolean {
  return wanted.some((role) => roles.includes(role))
}

/** Refuses a principal that has none of these roles. @throws ControlError principal-not-allowed */
export function requireRole(principal: Principal, ...wanted: readonly Role[]): void {
  if (!hasRole(principal, ...wanted)) throw notAllowed(`this takes the role ${wanted.join(' or ')}`)
}

/** Refuses a principal that is limited to teams what concerns all of them. @throws ControlError principal-not-allowed */
export function requireUnlimited({ teams }: Principal): void {
  if (teams.length > 0) throw notAllowed('this concerns every team, and the principal is limited')
}

/** Refuses a principal a team beyond its own. @throws ControlError principal-not-allowed */
export function requireTeam(principal: Principal, team: string): void {
  if (!inTeams(principal, team))
    throw notAllowed("the task would be owned by a team that is not one of the principal's", {
      field: '/owner/team',
    })
}

/** Whether a principal may see a task. */
export function canSee(principal: Principal, task: TaskView): boolean {
  if (!inTeams(principal, task.owner.team)) return false
  return hasRole(principal, 'viewer', 'approver', 'operator') || isOrchestratorOf(principal, task)
}

/** Whether a principal may change a task. */
export function canChange(principal: Principal, task: TaskView): boolean {
  if (!inTeams(principal, task.owner.team)) return false
  return hasRole(principal, 'operator') || isOrchestratorOf(principal, task)
}

/** Makes the refusal of what a principal may not do. */
export function notAllowed(detail: string, { field }: { field?: string } = {}): ControlError {
  return new ControlError('principal-not-allowed', detail, field)
}

function isOrchestratorOf(principal: Principal, { createdBy, owner }: TaskView): boolean {
  const isIts = createdBy === principal.name || principal.teams.includes(owner.team)
  return isIts && hasRole(principal, 'orchestrator')
}

/** Whether a team is one of those that a principal is limited to, if it is limited to any. */
export function inTeams({ teams }: Principal, team: string): boolean {
  return teams.length === 0 || teams.includes(team)
}
