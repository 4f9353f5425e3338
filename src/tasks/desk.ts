// What may be done with tasks from outside, one method an operation: checks that it may be done now, does it, shows the
// task. Every change is a transition of the registry or an event with the actor's name. Called by `control/`.

import { ControlError } from './control-error.ts'
import { createTask, type CreateOptions } from './create.ts'
import type { Requirement, TaskEntry } from './entry.ts'
import { checkExpiry } from './expiry.ts'
import { canonicalJson, sha256 } from './canonical.ts'
import {
  checkCapabilities,
  declarationOf,
  extendDeclaration,
  type IntentExtension,
} from './intent.ts'
import { isLive } from './registry.ts'
import type { TaskDefinition } from './schema.ts'
import { viewOf, type ViewSources } from './show.ts'
import type { Actor, Evidence, Receipt, TaskView } from './view.ts'

/** What the desk needs. */
export interface DeskOptions extends CreateOptions, ViewSources {
  /** Puts on record what is no transition. */
  readonly onEvent: (
    action: string,
    entry: TaskEntry,
    detail: Readonly<Record<string, unknown>>,
  ) => void
  /** Brings what hangs on a task's end up to date, such as its CA. */
  readonly onExtended: (entry: TaskEntry) => void
  /** Told of a task that declares something else now: what was made of it is made anew. */
  readonly onDeclared: (entry: TaskEntry) => void
}

/** The desk of one sidecar. */
export class TaskDesk {
  readonly #options: DeskOptions

  constructor(options: DeskOptions) {
    this.#options = options
  }

  /** Makes a task. @throws ControlError */
  create(
    definition: TaskDefinition,
    actor: Actor,
    key: string | undefined,
  ): { readonly task: TaskView; readonly token: string | undefined; readonly created: boolean } {
    const { entry, token, isNew } = createTask(definition, actor, key, this.#options)
    return { task: this.#view(entry), token, created: isNew }
  }

  /** All tasks that are held, the newest first; each is looked at when it is asked for. */
  *list(): Generator<TaskView> {
    for (const entry of [...this.#options.registry.entries.values()].toReversed())
      yield this.#view(entry)
  }

  show(id: string): TaskView | undefined {
    const entry = this.#options.registry.entries.get(id)
    return entry && this.#view(entry)
  }

  /** Gives a task another end, from now on. @throws ControlError */
  extend(id: string, lifetimeMs: number, actor: Actor, evidence?: Evidence): TaskView {
    const { registry, clock, limits, lifetimeBound, onEvent, onExtended } = this.#options
    const entry = this.#live(id)
    checkExpiry(lifetimeMs, limits, lifetimeBound(entry.task.rules))
    // A renewal stands on what the task stood on at first.
    if (entry.kept.requirement !== undefined) this.#accept(entry, evidence ?? {}, actor)
    const expiresAt = Math.max(clock.now(), entry.task.notBefore ?? 0) + lifetimeMs
    const parent = registry.ancestors(entry.task)?.[0]
    if (parent !== undefined && expiresAt > parent.task.expiresAt)
      throw new ControlError(
        'delegation-widening',
        `axis expiry: the parent ends at ${new Date(parent.task.expiresAt).toISOString()}`,
        '/expires',
      )
    const before = entry.task.expiresAt
    entry.setExpiry(expiresAt)
    registry.update(entry, {})
    onExtended(entry)
    onEvent('task-extended', entry, {
      actor: actor.name,
      before: new Date(before).toISOString(),
      after: new Date(expiresAt).toISOString(),
    })
    return this.#view(entry)
  }

  /** Adds to what a task declares; binds its next request. The caller has made sure that an approver asks. @throws ControlError */
  extendIntent(id: string, extension: IntentExtension, actor: Actor): TaskView {
    const { registry, onEvent, onDeclared } = this.#options
    const entry = this.#live(id)
    const { task } = entry
    const { reason, addCapabilities, labels } = extension
    checkCapabilities(addCapabilities, registry.ancestors(task)?.[0]?.task, '/addCapabilities')
    const declared = declarationOf(extendDeclaration(task, extension))
    if (declared.intentDigest === task.intentDigest)
      throw new ControlError('conflict', 'the task declares this already')
    registry.update(entry, { task: { ...task, ...declared } })
    onDeclared(entry)
    onEvent('task-intent-extended', entry, {
      actor: actor.name,
      reason,
      before: task.intentDigest,
      after: declared.intentDigest,
      ...(declared.intent !== task.intent && { intent: declared.intent }),
      ...(addCapabilities && { capabilities: addCapabilities }),
      ...(labels && { labels }),
    })
    return this.#view(entry)
  }

  /** Stops a task's calls until it is resumed. @throws ControlError */
  suspend(id: string, actor: Actor, reason: string | undefined): TaskView {
    const entry = this.#live(id)
    if (entry.kept.state === 'suspended') return this.#view(entry)
    if (!this.#options.registry.move(entry, 'suspended', actor, { reason }))
      throw new ControlError('conflict', `the task is ${entry.kept.state}`)
    return this.#view(entry)
  }

  /** Lets a suspended task go on. @throws ControlError */
  resume(id: string, actor: Actor, reason: string | undefined): TaskView {
    const { registry, barred, clock } = this.#options
    const entry = this.#live(id)
    if (entry.kept.state === 'active') return this.#view(entry)
    const bar = barred(entry.task)
    if (bar) throw new ControlError('conflict', bar.detail)
    entry.lastBeat = clock.monotonic()
    if (!registry.move(entry, 'resumed', actor, { reason }))
      throw new ControlError('conflict', `the task is ${entry.kept.state}`)
    return this.#view(entry)
  }

  /** Says that the sandbox lives; resumes what only a missing heartbeat suspended. @throws ControlError */
  heartbeat(id: string, actor: Actor): TaskView {
    const { registry, clock, barred } = this.#options
    const entry = this.#live(id)
    entry.lastBeat = clock.monotonic()
    const { state, cause } = entry.kept
    if (state === 'suspended' && cause === 'heartbeat-lost' && barred(entry.task) === undefined)
      registry.move(entry, 'heartbeat', actor)
    return this.#view(entry)
  }

  /**
   * Shows what a pending task waits for; one that is not to begin yet waits on.
   * @throws ControlError attestation-failed where it does not match; conflict where its owner may have no active task
   */
  attest(id: string, evidence: Evidence, actor: Actor): TaskView {
    const entry = this.#live(id)
    if (entry.kept.requirement === undefined)
      throw new ControlError('conflict', 'the task asks for no evidence')
    if (entry.kept.state !== 'pending')
      throw new ControlError('conflict', `the task is ${entry.kept.state}`)
    const bar = this.#options.barred(entry.task)
    if (bar) throw new ControlError('conflict', bar.detail)
    const digest = this.#accept(entry, evidence, actor)
    const change = { evidence: digest, task: { ...entry.task, evidence: digest } }
    entry.lastBeat = this.#options.clock.monotonic()
    if ((entry.task.notBefore ?? 0) <= this.#options.clock.now())
      this.#options.registry.move(entry, 'attested', actor, { change })
    else {
      this.#options.registry.update(entry, { ...change, cause: 'not-before', actor: actor.name })
      this.#options.onEvent('task-attested', entry, { actor: actor.name, evidence: digest })
    }
    return this.#view(entry)
  }

  /** Ends a task and everything below it; answers the same receipt where it has ended. @throws ControlError */
  async revoke(id: string, actor: Actor, reason: string | undefined): Promise<Receipt> {
    const { registry } = this.#options
    const entry = registry.entries.get(id)
    if (entry === undefined) throw new ControlError('not-found', `there is no task ${id}`)
    const [receipt] = await registry.end([entry], 'revoked', actor, reason)
    if (receipt === undefined)
      throw new ControlError('conflict', 'the task ended without a receipt')
    return receipt
  }

  #view(entry: TaskEntry): TaskView {
    return viewOf(entry, this.#options)
  }

  #live(id: string): TaskEntry {
    const entry = this.#options.registry.entries.get(id)
    if (entry === undefined) throw new ControlError('not-found', `there is no task ${id}`)
    // The clock may have ended it just now.
    void entry.state
    if (!isLive(entry))
      throw new ControlError('task-ended', `the task has ended: ${entry.kept.cause}`)
    return entry
  }

  #accept(entry: TaskEntry, evidence: Evidence, actor: Actor): string {
    const digest = `sha256:${sha256(canonicalJson(evidence))}`
    const missing = unmet(entry.kept.requirement ?? {}, evidence)
    if (missing === undefined) return digest
    this.#options.onEvent('attestation-failed', entry, {
      actor: actor.name,
      evidence: digest,
      field: missing,
    })
    throw new ControlError(
      'attestation-failed',
      'the evidence is not what the task asks for',
      missing,
    )
  }
}

function unmet(required: Requirement, evidence: Evidence): string | undefined {
  if (required.image !== undefined && evidence.image !== required.image) return '/image'
  for (const [name, value] of Object.entries(required.selectors ?? {}))
    if (!Object.hasOwn(evidence.selectors ?? {}, name) || evidence.selectors?.[name] !== value)
      return `/selectors/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
  return undefined
}
