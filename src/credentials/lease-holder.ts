// The life of what is minted for one task and credential, or for all tasks where it is the same for them: minted once it is
// needed, refreshed before it ends, left alone while its provider fails, dropped with its task. Deliberately takes nothing
// back: it tells what there is to be taken back. Made by `leases.ts`.

import { EgressError } from '../errors.ts'
import type { Task } from '../tasks/task.ts'
import { asProviderError, unavailable } from './ask-problem.ts'
import { BackOff } from './backoff.ts'
import type { Issuer, Minted } from './issuer.ts'
import { makeLease, viewOf, type DroppedLease, type Lease, type LeaseTerms } from './lease.ts'
import type { LeaseWatcher, RefreshCause } from './lease-watcher.ts'
import { MintCall, type Asked } from './mint-call.ts'
import type { MintGate } from './mint-gate.ts'
import { RetiredLeases } from './retired-leases.ts'
import type { Secret } from './secret.ts'
import { settledWithin } from './timing.ts'

/** Whom a lease is for, as things are now. */
export interface Subject {
  readonly task: Task
  /** Those above it, its parent first. */
  readonly above: readonly Task[]
}

/** What a holder needs. */
export interface HolderOptions extends LeaseTerms {
  readonly issuer: Issuer
  readonly providerTimeoutMs: number
  readonly gate: MintGate
  /** Undefined: no such task is active. */
  readonly subject: () => Subject | undefined
  /** Whether the credential may be minted once more because an upstream refused one; asking takes that chance. */
  readonly mayReplace: () => boolean
  readonly watcher: LeaseWatcher
}

/** How a holder stands. */
export interface HolderStanding {
  /** Leases that it holds, those among them that will be taken back soon. */
  readonly leases: number
  readonly isUsable: boolean
  /** When the lease in use ends, epoch milliseconds. */
  readonly endsAt: number | undefined
  readonly failure: BackOff['last']
}

/** What is being minted as its task ends may still come, to be taken back. */
const LATE_WAIT_MS = 2000
/** An upstream that goes on refusing what it is sent has a lease replaced ever more seldom. */
const REFUSED_FIRST_MS = 60_000
const REFUSED_LONGEST_MS = 3_600_000

/** Holds one credential's lease. */
export class LeaseHolder {
  readonly #options: HolderOptions
  readonly #backOff: BackOff
  readonly #retired: RetiredLeases
  #lease: Lease | undefined
  #minting: Promise<Lease> | undefined
  #call: MintCall | undefined
  #callOff: () => void = () => undefined
  #wasUsed = false
  #toldProblem: string | undefined
  #refusals = 0
  #replaceableAt = 0
  #isDropped = false
  /** Came while it was dropped; undefined once nobody waits for that any more. */
  #late: DroppedLease[] | undefined = []

  constructor(options: HolderOptions) {
    this.#options = options
    this.#backOff = new BackOff(options.timing)
    this.#retired = new RetiredLeases(options.timing, options.watcher)
  }

  get standing(): HolderStanding {
    const lease = this.#usable(this.#options.subject())
    return {
      leases: this.#retired.count + Number(this.#lease !== undefined),
      isUsable: lease !== undefined,
      endsAt: lease && this.#endOf(lease, this.#options.subject()),
      failure: this.#backOff.last,
    }
  }

  /** What it holds just now, without a use being made of it. */
  get heldSecret(): Secret | undefined {
    return this.#usable(this.#options.subject())?.secret
  }

  /** The secret as it is now, minted where there is none. @throws credential-unavailable */
  async secret(): Promise<Secret> {
    const subject = this.#options.subject()
    const held = this.#usable(subject)
    const { secret } = held ?? (await this.#obtain('due'))
    this.#wasUsed = true
    if (held !== undefined && this.#isDue(held, subject)) this.#obtainBehind()
    return secret
  }

  /** Puts in place what came by another way than minting. @throws ProviderError where it cannot be used */
  async adopt(minted: Minted): Promise<Secret> {
    const asked: Asked = { minted, by: 'mint' }
    const lease = await this.#accept(asked)
    this.#install(lease, asked, 'due')
    this.#schedule()
    return lease.secret
  }

  /** Another secret than one that an upstream refused; undefined where there is none, or asking for one is not yet due. */
  async inPlaceOf(refused: Secret): Promise<Secret | undefined> {
    const { subject, timing, mayReplace, issuer } = this.#options
    const lease = this.#usable(subject())
    if (lease !== undefined && lease.secret !== refused) return lease.secret
    if (issuer.take !== undefined) return undefined
    // Calls that were refused together wait for the same other one.
    if (this.#minting === undefined) {
      if (timing.now() < this.#replaceableAt || !mayReplace()) return undefined
      const waitMs = Math.min(REFUSED_LONGEST_MS, REFUSED_FIRST_MS * 2 ** this.#refusals)
      this.#refusals = Math.min(this.#refusals + 1, 16)
      this.#replaceableAt = timing.now() + waitMs
    }
    try {
      const { secret } = await this.#obtain('refused')
      return secret === refused ? undefined : secret
    } catch (error) {
      if (error instanceof EgressError) return undefined
      throw error
    }
  }

  /** Nothing is handed out or asked for any more. @returns what is to be taken back */
  async drop(): Promise<DroppedLease[]> {
    const left = this.#retired.drain()
    const lease = this.#lease
    this.#lease = undefined
    this.#isDropped = true
    this.#callOff()
    if (lease) {
      this.#retired.forget(lease)
      left.push(lease.view)
    }
    await this.#awaitLate()
    left.push(...(this.#late ?? []))
    this.#late = undefined
    return left
  }

  #usable(subject: Subject | undefined): Lease | undefined {
    const lease = this.#lease
    if (lease === undefined || subject === undefined) return undefined
    return this.#endOf(lease, subject) > this.#options.timing.now() ? lease : undefined
  }

  // Never beyond its task, however long the provider would have it.
  #endOf({ endsAt }: Lease, subject: Subject | undefined): number {
    if (this.#options.taskId === undefined || subject === undefined) return endsAt
    return Math.min(endsAt, subject.task.expiresAt)
  }

  // One that lasts as long as its task needs no other, unless the task is extended.
  #isDue({ refreshAt, endsAt }: Lease, subject: Subject | undefined): boolean {
    const { timing, taskId, issuer } = this.#options
    // Only its client can have the next one of what was captured.
    if (issuer.take !== undefined) return false
    if (subject === undefined || timing.now() < refreshAt || this.#backOff.waitMs > 0) return false
    return taskId === undefined || endsAt < subject.task.expiresAt
  }

  // Single flight: whoever comes meanwhile gets what comes of it.
  #obtain(cause: RefreshCause): Promise<Lease> {
    this.#minting ??= this.#mint(cause).finally(() => {
      this.#minting = undefined
      this.#schedule()
    })
    return this.#minting
  }

  // Why it failed is told where it is noted; the lease that there is goes on.
  #obtainBehind(): void {
    this.#obtain('due').catch(() => undefined)
  }

  async #mint(cause: RefreshCause): Promise<Lease> {
    const { credential, subject, watcher, timing } = this.#options
    const { last, waitMs } = this.#backOff
    if (last !== undefined && waitMs > 0) throw unavailable(credential, last.problem, { waitMs })
    const whom = subject()
    const isOver = (whom?.task.expiresAt ?? 0) <= timing.now()
    if (whom === undefined || isOver || this.#isDropped)
      throw unavailable(credential, 'the task is not active', {})
    try {
      const asked = await this.#ask(whom, cause)
      const lease = await this.#accept(asked)
      this.#install(lease, asked, cause)
      return lease
    } catch (error) {
      if (this.#isDropped) throw unavailable(credential, 'the task has ended', {})
      const problem = asProviderError(error, watcher)
      this.#noteFailure(this.#backOff.fail(problem))
      throw unavailable(credential, problem.message, { waitMs: this.#backOff.waitMs, cause: error })
    }
  }

  async #ask({ task, above }: Subject, cause: RefreshCause): Promise<Asked> {
    const { providerTimeoutMs: timeoutMs, taskId, watcher, credential } = this.#options
    const call = new MintCall({
      ...this.#options,
      timeoutMs,
      onLate: (minted) => watcher.onOrphan?.(viewOf(credential, taskId, minted)),
    })
    this.#call = call
    const notAfter = taskId === undefined ? Infinity : task.expiresAt
    const before = cause === 'due' ? this.#lease?.minted : undefined
    try {
      return await call.run({ task, above, notAfter }, before)
    } finally {
      this.#call = undefined
    }
  }

  // What cannot be used is taken back as any other.
  async #accept({ minted, by }: Asked): Promise<Lease> {
    const { credential, taskId, watcher } = this.#options
    const view = viewOf(credential, taskId, minted)
    let lease: Lease | undefined
    try {
      lease = makeLease(minted, this.#options, this.#lease)
      await watcher.onMinted?.(view)
      if (!this.#isDropped) return lease
      if (this.#late === undefined) watcher.onOrphan?.(view)
      else if (by === 'mint') this.#late.push(view)
    } catch (error) {
      watcher.onReplaced?.(view)
      lease?.forget()
      throw error
    }
    this.#retired.forget(lease)
    throw unavailable(credential, 'the task has ended', {})
  }

  #install(lease: Lease, { by }: Asked, cause: RefreshCause): void {
    const { watcher } = this.#options
    const before = this.#lease
    this.#lease = lease
    this.#backOff.succeed()
    this.#toldProblem = undefined
    if (cause === 'due') this.#refusals = 0
    if (before === undefined) watcher.onLeased?.(lease.view)
    else {
      this.#retired.add(before, by === 'mint')
      watcher.onRefreshed?.(lease.view, { by, cause, isSame: before.secret === lease.secret })
    }
  }

  #noteFailure(failure: NonNullable<BackOff['last']>): void {
    const { credential, taskId, watcher, subject } = this.#options
    const isNew = this.#toldProblem !== failure.problem
    this.#toldProblem = failure.problem
    const isUsable = this.#usable(subject()) !== undefined
    watcher.onFailed?.({ ...failure, credential, taskId, isUsable, isNew })
  }

  #schedule(): void {
    const lease = this.#lease
    if (lease === undefined || this.#isDropped) return
    const dueAt = Math.max(lease.refreshAt, this.#backOff.last?.retryAt ?? 0)
    this.#wakeAt(Math.min(dueAt, lease.endsAt))
  }

  #wakeAt(at: number): void {
    const { timing } = this.#options
    this.#callOff()
    if (at === Infinity) return
    this.#callOff = timing.after(at - timing.now(), () => this.#onTimer(at))
  }

  #onTimer(at: number): void {
    const { timing, subject } = this.#options
    const lease = this.#lease
    if (lease === undefined) return
    if (timing.now() >= lease.endsAt) {
      this.#lease = undefined
      this.#retired.forget(lease)
      this.#options.watcher.onReplaced?.(lease.view)
    } else if (timing.now() < at) this.#wakeAt(at)
    else if (this.#wasUsed && this.#isDue(lease, subject())) {
      // What nobody uses any more is not refreshed twice; who uses it then has it minted.
      this.#wasUsed = false
      this.#obtainBehind()
    } else this.#wakeAt(lease.endsAt)
  }

  async #awaitLate(): Promise<void> {
    if (this.#minting === undefined) return
    if (this.#call?.hasAsked !== true) this.#call?.stop()
    await settledWithin(LATE_WAIT_MS, this.#minting, this.#options.timing)
  }
}
