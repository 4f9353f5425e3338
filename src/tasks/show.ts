// What is shown of a task to whoever may see it: no token, no hash, no secret. Called by `desk.ts`.

import type { TaskClock } from './clock.ts'
import type { TaskEntry } from './entry.ts'
import type { DataClass, Task } from './task.ts'
import type { LimitUse, TaskView } from './view.ts'

/** What a view takes from elsewhere. */
export interface ViewSources {
  /** Names of the credentials that the task's rules name. */
  readonly credentialsOf: (entry: TaskEntry) => readonly string[]
  readonly openCalls: (taskId: string) => number
  /** How the task's limits stand. */
  readonly usesOf: (entry: TaskEntry) => readonly LimitUse[]
  /** Path of the task's own listener. */
  readonly socketOf: (taskId: string) => string | undefined
  /** The highest class that the tree of a task has read. */
  readonly readOf: (task: Task) => DataClass
  readonly clock: TaskClock
}

/** Shows a task. */
export function viewOf(entry: TaskEntry, sources: ViewSources): TaskView {
  const { kept, task } = entry
  const { owner, agent, sandbox, sources: addresses, subject, principal } = task
  const parent = task.path.at(-2)
  const socket = kept.hasListener ? sources.socketOf(task.id) : undefined
  return {
    id: task.id,
    state: entry.state,
    path: task.path,
    ...(parent !== undefined && { parent }),
    children: [...entry.children],
    intent: task.intent,
    intentDigest: task.intentDigest,
    ...(task.capabilities && { capabilities: task.capabilities }),
    ...(task.labels && { labels: task.labels }),
    owner: { name: owner.name, team: owner.team, ...(owner.source && { source: owner.source }) },
    agent: { account: agent.account, instance: agent.instance },
    ...(principal !== undefined && { principal }),
    identity: {
      token: kept.tokenHash !== undefined,
      ...(subject !== undefined && { subject }),
      sources: addresses,
      ...(socket !== undefined && { socket }),
      ...(kept.evidence !== undefined && { evidence: kept.evidence }),
    },
    sandbox: {
      id: sandbox.id,
      ...(sandbox.image !== undefined && { image: sandbox.image }),
      teardown: kept.teardown,
    },
    rules: task.rules,
    params: task.params,
    environment: task.environment,
    ceiling: task.ceiling,
    read: sources.readOf(task),
    ...(task.observe && { observe: true }),
    ...(task.limits && entry.state !== 'ended' && { limits: sources.usesOf(entry) }),
    credentials: sources
      .credentialsOf(entry)
      .map((name) => ({ name, used: entry.credentialsUsed.has(name) })),
    createdAt: isoTime(task.startsAt),
    createdBy: kept.createdBy,
    ...(task.notBefore !== undefined && { notBefore: isoTime(task.notBefore) }),
    expiresAt: isoTime(task.expiresAt),
    ...heartbeatDue(entry, sources.clock),
    since: isoTime(entry.kept.since),
    cause: entry.kept.cause,
    actor: entry.kept.actor,
    unproven: kept.unproven,
    calls: { open: sources.openCalls(task.id), allowed: entry.allowed, denied: entry.denied },
    ...(entry.kept.receipt && { receipt: entry.kept.receipt }),
  }
}

function heartbeatDue(entry: TaskEntry, clock: TaskClock): { readonly heartbeatDueAt?: string } {
  const { heartbeat, state } = entry.kept
  if (heartbeat === undefined || state !== 'active') return {}
  const leftMs = entry.lastBeat + heartbeat.withinMs - clock.monotonic()
  return { heartbeatDueAt: isoTime(clock.now() + leftMs) }
}

function isoTime(time: number): string {
  return new Date(time).toISOString()
}
