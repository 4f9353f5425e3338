// The making of a task: every demand on a definition that is more than its grammar, each refused by the field that is at
// fault; then the task, its token and its place below its parent. Called by `desk.ts`.

import type { Limits } from '../limits.ts'
import type { Policy } from '../policy/compile.ts'
import type { LifetimeBound } from '../policy/profiles.ts'
import type { TaskClock } from './clock.ts'
import { ControlError } from './control-error.ts'
import { compareWithParent, depthBelow, parentFor } from './delegation.ts'
import { checkExpiry } from './expiry.ts'
import { hashToken, makeToken, type KeptTask, type TaskEntry } from './entry.ts'
import { checkCapabilities } from './intent.ts'
import { definitionDigest, makeTask } from './make-task.ts'
import { SIDECAR, type TaskRegistry } from './registry.ts'
import { processStart } from './sandbox.ts'
import type { TaskDefinition } from './schema.ts'
import type { Cause } from './states.ts'
import type { Task, TaskProof, TaskState } from './task.ts'
import type { Actor } from './view.ts'

/** What making tasks needs. */
export interface CreateOptions {
  readonly registry: TaskRegistry
  readonly clock: TaskClock
  readonly limits: Limits
  /** How callers can prove a task by configuration. */
  readonly proofs: { readonly token: boolean; readonly subject: boolean }
  /** Names of the configured hooks. */
  readonly hooks: ReadonlySet<string>
  /** The rules in force for a task, or why there are none. */
  readonly policyOf: (task: Task) => {
    readonly policy?: Policy
    /** What of the definition is at fault where there is none; `/rules` unless given. */
    readonly field?: '/params' | '/observe'
    readonly problems: readonly string[]
  }
  /** How long tasks of such rule sets live at the most; undefined where the rules do not say. */
  readonly lifetimeBound: (rules: readonly string[]) => LifetimeBound | undefined
  /** Why nothing may be made for an agent and owner at the moment. */
  readonly barred: (task: Task) => { readonly field: string; readonly detail: string } | undefined
  /** Makes what belongs to a task: its CA, its listener. @throws Error: the task is not made then */
  readonly onMade: (entry: TaskEntry) => void
}

/** A task that was made, or was there already. */
export interface Made {
  readonly entry: TaskEntry
  /** Shown once; undefined where it was shown before, or there is none. */
  readonly token: string | undefined
  readonly isNew: boolean
}

/** Makes a task. @throws ControlError */
export function createTask(
  definition: TaskDefinition,
  actor: Actor,
  key: string | undefined,
  options: CreateOptions,
): Made {
  const { registry, clock, limits } = options
  const digest = definitionDigest(definition)
  const ownKey = key === undefined ? undefined : `${actor.name} ${key}`
  const known = ownKey === undefined ? undefined : registry.entries.byKey(ownKey)
  if (known !== undefined) return repeat(known, digest, registry)

  const now = clock.now()
  checkRoom(options)
  const parent =
    definition.parent === undefined
      ? undefined
      : parentFor(definition.parent, registry, limits, now)
  const depth = depthBelow(definition, parent, limits)
  checkExpiry(definition.expires, limits, options.lifetimeBound(definition.rules))
  checkBeginning(definition.notBefore, now, limits)
  checkCapabilities(definition.capabilities, parent?.task, '/capabilities')
  checkObserving(definition, parent?.task)
  checkIdentity(definition, options)
  checkSandbox(definition, options)
  const task = makeTask(definition, now, parent?.task)
  const barred = options.barred(task)
  if (barred) throw new ControlError('conflict', barred.detail, barred.field)
  const unproven = checkRules(task, parent, options)

  const token = options.proofs.token ? makeToken() : undefined
  const kept = keptFor(definition, task, actor, { token, key: ownKey, digest, unproven, depth })
  const entry = registry.add(kept)
  parent?.childTimes.push(now)
  try {
    options.onMade(entry)
  } catch (error) {
    void registry.end([entry], 'revoked', SIDECAR, 'it could not be set up')
    const why = error instanceof Error ? error.message : String(error)
    throw new ControlError('conflict', `the task could not be set up: ${why}`)
  }
  return { entry, token, isNew: true }
}

interface Particulars {
  readonly token: string | undefined
  readonly key: string | undefined
  readonly digest: string
  readonly unproven: readonly string[]
  readonly depth: number | undefined
}

function keptFor(
  { heartbeat, require: requirement, sandbox, identity }: TaskDefinition,
  task: Task,
  actor: Actor,
  { token, key, digest, unproven, depth }: Particulars,
): KeptTask {
  const started = sandbox.pid === undefined ? undefined : processStart(sandbox.pid)
  return {
    id: task.id,
    task: { ...task, proofs: proofsOf(identity, token) },
    ...beginning(requirement !== undefined, task.notBefore !== undefined),
    since: task.startsAt,
    actor: actor.name,
    createdBy: actor.name,
    isStatic: false,
    isTokenUsed: false,
    definitionDigest: digest,
    unproven,
    hasListener: identity.listener !== undefined,
    teardown: sandbox.hooks?.end === undefined && started === undefined ? 'none' : 'due',
    credentialsUsed: [],
    ...(token !== undefined && { tokenHash: hashToken(token) }),
    ...(key !== undefined && { key }),
    ...(requirement !== undefined && { requirement }),
    ...(heartbeat && {
      heartbeat: { withinMs: heartbeat.within, endAfterMs: heartbeat.endAfter },
    }),
    ...(depth !== undefined && { depth }),
    ...(started !== undefined && { processStart: started }),
  }
}

function beginning(
  needsEvidence: boolean,
  isLater: boolean,
): { readonly state: TaskState; readonly cause: Cause } {
  if (needsEvidence) return { state: 'pending', cause: 'evidence-required' }
  return isLater ? { state: 'pending', cause: 'not-before' } : { state: 'active', cause: 'created' }
}

function proofsOf(
  { subject, listener }: TaskDefinition['identity'],
  token: string | undefined,
): readonly TaskProof[] {
  const proofs: TaskProof[] = []
  if (token !== undefined) proofs.push('token')
  if (listener !== undefined) proofs.push('listener')
  if (subject !== undefined) proofs.push('subject')
  return proofs
}

/** @throws ControlError where a child would observe below a task that enforces */
function checkObserving({ observe }: TaskDefinition, parent: Task | undefined): void {
  if (observe === true && parent !== undefined && parent.observe !== true)
    throw new ControlError(
      'delegation-widening',
      'axis observe: the parent enforces its rules',
      '/observe',
    )
}

function checkRoom({ registry, clock, limits }: CreateOptions): void {
  const behindMs = clock.behindMs()
  if (behindMs > 0)
    throw new ControlError(
      'conflict',
      `the clock is ${Math.round(behindMs / 1000)} s behind a time that was seen before: no task is made until it is right`,
    )
  if (registry.entries.live.size >= limits.tasksMax)
    throw new ControlError('busy', `limits.tasksMax is ${limits.tasksMax}`)
}

// A task that waits holds what a task holds: a CA, a listener, an id of an instance.
function checkBeginning(
  notBefore: number | undefined,
  now: number,
  { taskLifetimeMs }: Pick<Limits, 'taskLifetimeMs'>,
): void {
  if (notBefore === undefined || notBefore - now <= taskLifetimeMs) return
  const detail = `at most limits.taskLifetimeMs, ${taskLifetimeMs / 1000} s, from now`
  throw new ControlError('definition-invalid', detail, '/notBefore')
}

// Whoever lost the answer gets another token, as long as nobody has used the one it held.
function repeat(entry: TaskEntry, digest: string, registry: TaskRegistry): Made {
  if (entry.kept.definitionDigest !== digest)
    throw new ControlError('conflict', 'this Idempotency-Key was used for another definition')
  const { tokenHash, isTokenUsed } = entry.kept
  const isLive = registry.entries.live.has(entry)
  if (!isLive || isTokenUsed || tokenHash === undefined)
    return { entry, token: undefined, isNew: false }
  const token = makeToken()
  registry.update(entry, { tokenHash: hashToken(token) })
  return { entry, token, isNew: false }
}

function checkIdentity({ identity, agent }: TaskDefinition, options: CreateOptions): void {
  const { registry, proofs } = options
  const { subject, listener } = identity
  if (subject !== undefined && !proofs.subject)
    throw new ControlError(
      'definition-invalid',
      'a subject is proved by `identity.jwt` or `identity.mtls`, and neither is configured',
      '/identity/subject',
    )
  if (!proofs.token && subject === undefined && listener === undefined)
    throw new ControlError(
      'definition-invalid',
      'tokens are switched off, so it needs a subject or a listener',
      '/identity',
    )
  if (subject !== undefined && registry.entries.bySubject(subject) !== undefined)
    throw new ControlError('conflict', 'another task has this subject', '/identity/subject')
  const other = registry.entries.byInstance(agent.account, agent.instance)
  if (other !== undefined)
    throw new ControlError(
      'conflict',
      `this instance was ${other.id}: an instance has one identity for its life`,
      '/agent/instance',
    )
}

function checkSandbox({ sandbox }: TaskDefinition, options: CreateOptions): void {
  const { id, pid, shared, hooks } = sandbox
  const occupants = options.registry.entries.inSandbox(id)
  const dead = occupants.find((entry) => !options.registry.entries.live.has(entry))
  if (dead !== undefined)
    throw new ControlError(
      'conflict',
      `the sandbox was ${dead.id}'s, and its end is not confirmed`,
      '/sandbox/id',
    )
  const [other] = occupants
  if (
    other !== undefined &&
    !(shared === true && occupants.every(({ task }) => task.sandbox.shared))
  )
    throw new ControlError(
      'conflict',
      `the sandbox serves ${other.id}; one task at a time, unless each says shared: true`,
      '/sandbox/id',
    )
  if (hooks?.end !== undefined && !options.hooks.has(hooks.end))
    throw new ControlError(
      'definition-invalid',
      `there is no hook ${hooks.end}; the configuration names them under \`hooks\``,
      '/sandbox/hooks/end',
    )
  if (pid === undefined) return
  const isOwn = pid <= 1 || pid === process.pid || pid === process.ppid
  if (isOwn || processStart(pid) === undefined)
    throw new ControlError('definition-invalid', 'there is no such process', '/sandbox/pid')
  // A hook ends it: nobody names the process that is another's sandbox.
  for (const { task } of options.registry.entries.live)
    if (task.sandbox.pid === pid && task.sandbox.id !== id)
      throw new ControlError('conflict', 'the process is another sandbox', '/sandbox/pid')
}

function checkRules(
  task: Task,
  parent: TaskEntry | undefined,
  { policyOf }: CreateOptions,
): readonly string[] {
  const own = policyOf(task)
  if (own.policy === undefined)
    throw new ControlError('definition-invalid', own.problems.join('; '), own.field ?? '/rules')
  if (parent === undefined) return []
  const { policy } = policyOf(parent.task)
  if (policy === undefined)
    throw new ControlError('conflict', 'the parent has no valid rules at the moment', '/parent')
  return compareWithParent(
    { task, policy: own.policy },
    { task: parent.task, policy },
    task.startsAt,
  )
}
