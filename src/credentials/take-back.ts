// The leases of all tasks from when they are minted until nothing of them works any more: each that is over is asked of its
// provider at once, and again until it is confirmed or has expired, over restarts too. Deliberately does not know when one is
// over: tasks, the kill switch and `leases.ts` say so. Made by `config/revocations.ts`.

import { setTimeout as delay } from 'node:timers/promises'

import { Debt, type LeaseStanding } from './debt.ts'
import { ProviderError, type Issuer, type Minted, type RevocationHandle } from './issuer.ts'
import type { OwedLeases } from './owed-leases.ts'
import { Revoker } from './revoker.ts'

/** What taking back needs. */
export interface TakeBackOptions {
  readonly owed: OwedLeases
  readonly limits: { readonly providerTimeoutMs: number }
  /** Whether a task may use its leases, or its receipt is still to come. */
  readonly taskState: (taskId: string) => 'live' | 'ending' | 'over'
  /** Whether an operator switched a credential off. */
  readonly isKilled: (credential: string) => boolean
  /** Told of what is worth a record, each time it is something else. */
  readonly onOutcome: (standing: LeaseStanding) => void
  /** Told of a lease that stands otherwise than the receipt of its task says. */
  readonly onLate: (standing: LeaseStanding) => void
  /** Told of what no table foresees. */
  readonly onProblem: (error: unknown) => void
  /** Epoch milliseconds. */
  readonly now: () => number
}

const LATE_MS = 5 * 60_000

/** All leases that are held or to be taken back. */
export class TakeBack {
  readonly #options: TakeBackOptions
  readonly #debts: Map<string, Debt> = new Map()
  readonly #byTask: Map<string, Set<Debt>> = new Map()
  readonly #revoker: Revoker
  #isStopped = false

  constructor(options: TakeBackOptions) {
    this.#options = options
    this.#revoker = new Revoker({ ...options, onSettled: (debt) => this.#finish(debt) })
    for (const owed of options.owed.kept()) this.#add(new Debt(owed))
  }

  /** Leases that are to be taken back and may still work. */
  get pending(): number {
    return [...this.#debts.values()].filter((debt) => debt.isWanted && !debt.isSettled).length
  }

  /** Attempts that came to nothing. */
  get failures(): number {
    return this.#revoker.failures
  }

  /** Names of the credentials of which a provider has taken nothing back for a while. */
  late(): string[] {
    const before = this.#options.now() - LATE_MS
    const late = [...this.#debts.values()].filter(
      ({ isWanted, state, wantedAt }) => isWanted && state === 'pending' && wantedAt < before,
    )
    return [...new Set(late.map(({ owed }) => owed.credential))]
  }

  /** Says what takes a credential's leases back. @param source digest of where it comes from */
  know(credential: string, source: string, issuer: Issuer): void {
    this.#revoker.know(credential, source, issuer)
  }

  /** Takes back what the last process left: nobody holds its values any more. */
  begin(): void {
    for (const debt of this.#debts.values()) {
      const { settlement } = debt.owed
      if (settlement === undefined) void this.#want(debt)
      else {
        debt.note(settlement)
        this.#finish(debt)
      }
    }
  }

  /** Writes down that something is about to be minted. @throws ProviderError where it must not be */
  beginMint(credential: string, task: string): Debt {
    this.#checkMayHold(credential, task)
    return this.begunMint(credential, task)
  }

  /** Writes down that something has come by another way: `keep` says whether it may be used. @throws ProviderError as it is full */
  begunMint(credential: string, task: string): Debt {
    const source = this.#revoker.sourceOf(credential)
    const debt = new Debt(this.#options.owed.begin({ task, credential, source }))
    debt.minting = Promise.withResolvers()
    this.#add(debt)
    return debt
  }

  /** Nothing was minted after all. */
  cancelMint(debt: Debt): void {
    debt.minting?.resolve()
    debt.minting = undefined
    debt.note('absent')
    this.#finish(debt)
  }

  /** It was asked for and nobody knows whether it was minted: one of them says so for all. */
  doubtMint(debt: Debt): void {
    const { task, credential } = debt.owed
    const isTold = this.#ofTask(task).some(
      (one) => one !== debt && one.isHopeless && one.owed.credential === credential,
    )
    if (isTold) {
      this.cancelMint(debt)
      return
    }
    debt.minting?.resolve()
    debt.minting = undefined
    void this.#want(debt)
  }

  /** Writes down what was minted or prolonged. @throws ProviderError where it must not be used: it is taken back then */
  keep(debt: Debt, minted: Omit<Minted, 'material'>): void {
    const { owed, onProblem } = this.#options
    debt.owed = owed.describe(debt.owed, minted)
    // It was over before it was prolonged.
    if (!this.#debts.has(debt.owed.id)) {
      debt.note('pending')
      this.#add(debt)
    }
    const { minting } = debt
    debt.minting = undefined
    try {
      owed.save(debt.owed)
      this.#checkMayHold(debt.owed.credential, debt.owed.task)
      if (debt.isWanted) throw new ProviderError('it is taken back')
    } catch (error) {
      void this.#want(debt)
      if (error instanceof ProviderError) throw error
      onProblem(error)
      throw new ProviderError('it cannot be written down, and is taken back', { cause: error })
    } finally {
      minting?.resolve()
    }
  }

  /** A lease that may be used. @throws ProviderError where there is none */
  held(id: unknown): { readonly debt: Debt; readonly handle: RevocationHandle | undefined } {
    const debt = this.#find(id)
    if (debt === undefined || debt.isWanted)
      throw new ProviderError('it is taken back', { isLasting: true })
    return { debt, handle: this.#options.owed.handleOf(debt.owed) }
  }

  /** Takes one lease back. @returns how it stands after the first attempt; undefined: it is not known (any more) */
  async release(id: unknown): Promise<LeaseStanding | undefined> {
    const debt = this.#find(id)
    if (debt === undefined) return undefined
    await this.#want(debt)
    return debt.standing()
  }

  /** Takes back all leases of a credential, of whichever task. */
  releaseCredential(credential: string): void {
    for (const debt of this.#debts.values())
      if (debt.owed.credential === credential) void this.#want(debt)
  }

  /** Takes back all that a task holds. */
  endTask(taskId: string): void {
    for (const debt of this.#ofTask(taskId)) void this.#want(debt)
  }

  /** Says how all that an ending task held stands, once all was asked for or the time is over. */
  async standingsOf(taskId: string, timeoutMs: number): Promise<readonly LeaseStanding[]> {
    await this.#rest(this.#ofTask(taskId), timeoutMs)
    return this.#ofTask(taskId).map((debt) => {
      debt.reported = debt.state
      return debt.standing()
    })
  }

  /** The receipt of a task is kept: what has changed since it was made is told now. */
  receiptKept(taskId: string): void {
    for (const debt of this.#ofTask(taskId))
      if (debt.isSettled || debt.isHopeless) this.#finish(debt)
  }

  /** Takes back all that is held, waits a while, and ends; what is left then is asked for after the next start. */
  async stop(timeoutMs: number): Promise<void> {
    this.#isStopped = true
    const debts = [...this.#debts.values()]
    for (const debt of debts) if (!debt.isWanted) void this.#want(debt)
    await this.#rest(debts, timeoutMs)
    for (const debt of this.#debts.values()) clearTimeout(debt.timer)
    this.#revoker.stop()
    this.#options.owed.close()
  }

  #find(id: unknown): Debt | undefined {
    return typeof id === 'string' ? this.#debts.get(id) : undefined
  }

  #ofTask(taskId: string): Debt[] {
    return [...(this.#byTask.get(taskId) ?? [])]
  }

  #checkMayHold(credential: string, task: string): void {
    if (this.#isStopped || this.#options.taskState(task) !== 'live')
      throw new ProviderError('the task is over', { isLasting: true })
    if (this.#options.isKilled(credential))
      throw new ProviderError('it is switched off', { isLasting: true })
  }

  // What is being minted is taken back once it is there.
  async #want(debt: Debt): Promise<void> {
    if (!debt.isWanted) debt.wantedAt = this.#options.now()
    debt.isWanted = true
    if (debt.minting === undefined && !debt.isSettled) await this.#revoker.attempt(debt)
  }

  async #rest(debts: readonly Debt[], timeoutMs: number): Promise<void> {
    const all = Promise.all(debts.map((debt) => debt.rest()))
    const stop = new AbortController()
    const late = delay(timeoutMs, undefined, { signal: stop.signal }).catch(() => undefined)
    await Promise.race([all, late])
    stop.abort()
  }

  // Nothing more comes of it: a receipt that says otherwise is told, and it is forgotten.
  #finish(debt: Debt): void {
    const { taskState, owed, onLate } = this.#options
    const { task } = debt.owed
    const state = taskState(task)
    if (state === 'ending' || (state === 'live' && debt.isHopeless)) {
      // The receipt is still to come.
      if (debt.state === 'confirmed' || debt.state === 'expired')
        owed.settle({ ...debt.owed, phase: 'settled', settlement: debt.state })
      return
    }
    if (state === 'over' && debt.reported !== debt.state) onLate(debt.standing())
    this.#drop(debt)
  }

  #add(debt: Debt): void {
    const { id, task } = debt.owed
    this.#debts.set(id, debt)
    this.#byTask.set(task, (this.#byTask.get(task) ?? new Set()).add(debt))
  }

  #drop(debt: Debt): void {
    const { id, task } = debt.owed
    clearTimeout(debt.timer)
    if (!this.#debts.delete(id)) return
    const ofTask = this.#byTask.get(task)
    ofTask?.delete(debt)
    if (ofTask?.size === 0) this.#byTask.delete(task)
    this.#options.owed.forget(debt.owed)
  }
}
