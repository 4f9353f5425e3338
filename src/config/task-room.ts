// The tasks room as a configuration describes it, with everything that hangs on a task's life: its rules, its CA, its
// listener, its records. Made by `sidecar.ts`, which hands in what calls run through.

import type { Call, Identity } from '../call.ts'
import type { LeaseStanding } from '../credentials/debt.ts'
import type { CredentialStore } from '../credentials/store.ts'
import type { TakeBack } from '../credentials/take-back.ts'
import type { FlowMarks, FlowMarksOptions } from '../ledger/flow-marks.ts'
import type { KnownTasks } from '../identify/identify.ts'
import type { TaskListeners } from '../listen/task-listeners.ts'
import { DurationCounts, ENDING_SECONDS, type TaskNumbers } from '../record/metrics/counts.ts'
import type { Log } from '../record/log.ts'
import { adoptStatic, endRedefined } from '../tasks/adopt.ts'
import { TaskClock } from '../tasks/clock.ts'
import { TaskDesk } from '../tasks/desk.ts'
import { EndingSaga, type EndsWithTask } from '../tasks/ending.ts'
import type { TaskEntry } from '../tasks/entry.ts'
import { ReceiptSigner } from '../tasks/receipt.ts'
import { SIDECAR, TaskRegistry, type Move } from '../tasks/registry.ts'
import type { EndHook } from '../tasks/sandbox.ts'
import { Switches } from '../tasks/switches.ts'
import { TaskWatch } from '../tasks/watch.ts'
import type { LeafServers } from '../tls/contexts.ts'
import type { TaskAuthorities } from '../tls/task-ca.ts'
import type { Config } from './config.ts'
import { isKilled, pauseTask, type PauseParts } from './endings.ts'
import { openFlow } from './flow.ts'
import { knownTasks } from './known-tasks.ts'
import type { Records } from './records.ts'
import { leaseItem } from './revocations.ts'
import { pinnedFinderFor } from './pinned-rules.ts'
import { surroundingsOf } from './regulated.ts'
import type { LoadedRules } from './rules.ts'
import { TaskCertificates } from './task-certificates.ts'
import { countTasks } from './task-numbers.ts'
import { TaskPolicies } from './task-policies.ts'
import type { TaskTools } from './task-tools.ts'
import { definitionAt, proofsOf } from './recorded-definition.ts'
import { tellObserving, warnObserving } from './observing.ts'
import { tellReceipt } from './task-receipts.ts'
import { recordWidenings } from './widenings.ts'
import { buildStaticTask } from './task.ts'

/** What the room is made with. */
export interface TaskRoomOptions {
  readonly config: Config
  readonly renew: boolean
  readonly log: Log
  readonly records: Pick<Records, 'recorder' | 'checkpoints'>
  readonly rules: () => LoadedRules | undefined
  readonly hooks: ReadonlyMap<string, EndHook>
  readonly participants: readonly EndsWithTask[]
  readonly listeners: TaskListeners
  readonly authorities: TaskAuthorities
  readonly leafServers: LeafServers
  readonly credentials: CredentialStore
  readonly takeBack: Pick<TakeBack, 'releaseCredential' | 'receiptKept'>
  readonly tools: Pick<TaskTools, 'quotas'>
  readonly holds: PauseParts['holds']
  readonly openCalls: (taskId: string) => number
  /** Cuts the open calls that match. @returns how many */
  readonly cutCalls: FlowMarksOptions['cut']
}

/** The tasks of one sidecar. */
export class TaskRoom {
  readonly clock: TaskClock
  readonly registry: TaskRegistry
  readonly switches: Switches
  readonly desk: TaskDesk
  readonly watch: TaskWatch
  readonly signer: ReceiptSigner
  readonly policies: TaskPolicies
  readonly certificates: TaskCertificates
  readonly flow: FlowMarks
  readonly #options: TaskRoomOptions
  readonly #saga: EndingSaga
  readonly #endings = new DurationCounts(ENDING_SECONDS)
  #own: TaskEntry | undefined

  /** @throws Error where what is kept of tasks cannot be read or written */
  constructor(options: TaskRoomOptions) {
    this.#options = options
    const { config, log, participants, hooks, records, cutCalls } = options
    const { recorder } = records
    const { stateDir, limits } = config
    const onProblem = (error: unknown): void =>
      log.error({ err: error }, 'what is kept of tasks could not be written; it is tried again')
    this.clock = new TaskClock(stateDir)
    this.flow = openFlow(stateDir, cutCalls, recorder)
    this.signer = new ReceiptSigner(stateDir)
    const now = (): number => this.clock.now()
    const { signer, clock, flow } = this
    this.#saga = new EndingSaga({ stateDir, participants, hooks, signer, now, onProblem })
    this.registry = new TaskRegistry({
      stateDir,
      clock,
      limits,
      saga: this.#saga,
      isBarred: (task) => this.switches.barred(task) !== undefined,
      onMove: (move) => this.#onMove(move),
      onReceipt: (entry, receipt) =>
        tellReceipt(entry, receipt, { log, records, endings: this.#endings }),
      // Taking a file away needs no room on the disk.
      onUnsavedEnd: ({ id }) => options.authorities.drop(id),
      onForgotten: (id) => flow.forget(id),
      onProblem,
    })
    const { registry } = this
    this.policies = new TaskPolicies({
      rules: options.rules,
      always: config.rules.always,
      around: surroundingsOf(config),
      findPinned: pinnedFinderFor(config),
      above: (task) => registry.ancestors(task)?.map((entry) => entry.task),
    })
    this.certificates = new TaskCertificates({
      refusals: config.refusals,
      policies: this.policies,
      authorities: options.authorities,
      leafServers: options.leafServers,
      onProblem: (error) => log.error({ err: error }, "a task's CA could not be written"),
    })
    this.switches = new Switches({
      stateDir,
      now,
      registry,
      cut: (scope, value) => {
        if (scope === 'credential') {
          options.credentials.dropLeases(value)
          options.takeBack.releaseCredential(value)
        }
        return cutCalls(isKilled(scope, value), 'killed')
      },
      credentials: config.credentials.map(({ name }) => name),
      onEvent: (action, detail) => recorder.recordEvent(action, { kind: 'alert', detail }),
      onProblem,
    })
    const { switches } = this
    this.watch = new TaskWatch({ registry, switches, saga: this.#saga, clock, limits, onProblem })
    this.desk = this.#makeDesk()
  }

  /** Takes in the configuration's own task, goes on with what was ending, and opens what tasks listen on. */
  begin(): void {
    const { config, renew, listeners, authorities } = this.#options
    const own = config.task && buildStaticTask(config.task, this.clock.now())
    endRedefined(this.registry, own?.id)
    this.switches.finishKills()
    if (own) this.#own = adoptStatic(this.registry, this.clock, own, renew)
    // A start, renewed or redefined, lets no owner have tasks again.
    if (this.#own && this.switches.disabled().includes(this.#own.task.owner.name))
      this.registry.move(this.#own, 'owner-disabled', SIDECAR)
    this.registry.resumeEndings()
    this.#endUnsaved()
    const live = [...this.registry.entries.live]
    authorities.dropOthers(new Set(live.map(({ id }) => id)))
    for (const entry of live) if (entry.kept.hasListener) listeners.open(entry)
    this.certificates.certifyAll(live)
    this.flow.forgetUnless((id) => this.registry.entries.get(id) !== undefined)
    warnObserving(live, this.#options.log)
  }

  /** The configuration's own task; undefined where it has none. */
  get own(): TaskEntry | undefined {
    return this.#own
  }

  /** Ends it because its sandbox has ended; resolves once nothing of it is left. */
  async endOwn(reason: string): Promise<void> {
    if (this.#own) await this.registry.end([this.#own], 'sandbox-exited', SIDECAR, reason)
  }

  /** The tasks as identifying asks for them. */
  get known(): KnownTasks {
    return knownTasks(this.registry, () => this.#own)
  }

  /** Notes that a credential is about to be used for a task. */
  noteCredential({ task: { id } }: Identity['standing'], name: string): void {
    const entry = this.registry.entries.get(id)
    if (entry === undefined || entry.credentialsUsed.has(name)) return
    entry.credentialsUsed.add(name)
    this.registry.update(entry, { credentialsUsed: [...entry.credentialsUsed] })
  }

  /** Has the receipt of a task that has ended say what became of a lease since. */
  amendLease(standing: LeaseStanding): void {
    const entry = this.registry.entries.get(standing.task)
    const receipt = entry?.kept.receipt
    if (entry === undefined || receipt === undefined) return
    const item = leaseItem(standing, new Date(this.clock.now()).toISOString())
    this.registry.amend(entry, this.#saga.amend(receipt, item))
  }

  /** Counts a call that is over. */
  count({ task, reason, inspection }: Call, wasDenied: boolean): void {
    // Somebody else's attempts with its credential are not the task's.
    if (reason === 'identity-shared' || reason === 'unknown-client') return
    const entry = task && this.registry.entries.get(task.id)
    if (entry === undefined) return
    const messages = inspection?.units?.filter(({ isRefused }) => isRefused === true).length ?? 0
    this.watch.count(entry, wasDenied ? { reason, messages } : undefined)
  }

  /** Brings what hangs on rules up to date for every task, after they have changed; who may do more now is put on record. */
  onRulesChanged(before: LoadedRules): void {
    const { live } = this.registry.entries
    this.certificates.certifyAll(live)
    const { log, records } = this.#options
    const tasks = [...live].map(({ task }) => task)
    const told = { tasks, before, policies: this.policies, recorder: records.recorder }
    recordWidenings(told).catch((error: unknown) =>
      log.error({ err: error }, 'what the changed rules widen could not be told'),
    )
  }

  /** How the tasks stand. */
  numbers(): TaskNumbers {
    return countTasks(this.registry.entries, this.#endings)
  }

  close(): void {
    this.watch.close()
    this.certificates.close()
    this.#options.listeners.closeAll()
    this.registry.close()
    this.flow.close()
    this.#saga.close()
  }

  // Without its key a task had begun to end when there was no room to write that down.
  #endUnsaved(): void {
    const { authorities } = this.#options
    const ended = [...this.registry.entries.live].filter(
      ({ id, kept }) => !kept.isStatic && !authorities.has(id),
    )
    void this.registry.end(ended, 'revoked', SIDECAR, 'its end was not written down before')
  }

  #makeDesk(): TaskDesk {
    const { config, hooks, listeners, openCalls, records, tools } = this.#options
    const { identity, limits } = config
    return new TaskDesk({
      registry: this.registry,
      clock: this.clock,
      limits,
      proofs: {
        token: identity.token,
        subject: identity.jwt !== undefined || identity.clientCaFile !== undefined,
      },
      hooks: new Set(hooks.keys()),
      policyOf: (task) => this.policies.policyOf(task),
      lifetimeBound: (rules) => this.policies.lifetimeBound(rules),
      barred: (task) => this.switches.barred(task),
      onMade: (entry) => this.#onMade(entry),
      onExtended: (entry) => this.certificates.certify(entry),
      onDeclared: () => this.policies.forget(),
      onEvent: (action, { task }, detail) => records.recorder.recordEvent(action, { task, detail }),
      credentialsOf: ({ task }) => this.policies.credentialsOf(task),
      openCalls,
      usesOf: ({ id, task }) => tools.quotas.useOf(id, task.limits ?? {}),
      socketOf: (taskId) => listeners.pathOf(taskId),
      readOf: (task) => this.flow.read(task),
    })
  }

  #onMade(entry: TaskEntry): void {
    this.certificates.certify(entry)
    if (entry.kept.hasListener) this.#options.listeners.open(entry)
  }

  #onMove({ entry, transition, cause, actor, reason }: Move): void {
    const { records, log } = this.#options
    const { task, kept } = entry
    const { action, from, to } = transition
    // Its calls are refused by now; those that were let out before must not go on either.
    const cut = to === 'suspended' ? pauseTask(task.id, this.#options) : 0
    if (to === 'revoking') log.warn({ task: task.id, cause }, 'the task ends: nothing more leaves')
    records.recorder.recordEvent(action, {
      task,
      detail: {
        ...(from !== undefined && { from }),
        to,
        cause,
        actor,
        ...(reason !== undefined && { reason }),
        ...(cut > 0 && { cut }),
        ...proofsOf(transition, cause, kept),
        ...definitionAt(cause, task),
      },
    })
    tellObserving({ entry, transition, cause, actor }, records.recorder)
    // The last of its records: its receipt is there by now.
    if (to !== 'ended') return
    records.checkpoints.seal(task)
    // Not before the ending itself is over: what has changed meanwhile is a receipt of its own.
    setImmediate(() => this.#options.takeBack.receiptKept(task.id))
  }
}
