// What the tests of leases share: a clock that goes when it is told to, an issuer that gives what a test says, tasks.

import type { Issuer, Minted, MintRequest } from '../../../src/credentials/issuer.ts'
import { KnownSecrets } from '../../../src/credentials/known-secrets.ts'
import type { LeaseView } from '../../../src/credentials/lease.ts'
import type { LeaseFailure, LeaseWatcher, Refresh } from '../../../src/credentials/lease-watcher.ts'
import { Leases, type LeasesOptions } from '../../../src/credentials/leases.ts'
import { reveal } from '../../../src/credentials/reveal.ts'
import type { Timing } from '../../../src/credentials/timing.ts'
import { EgressError } from '../../../src/errors.ts'
import { DEFAULT_LIMITS } from '../../../src/limits.ts'
import type { Task } from '../../../src/tasks/task.ts'

export const START = 1_000_000_000
export const HOUR = 3_600_000

/** Lets everything that waits for nothing but promises go on. */
export async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}

export class FakeTiming implements Timing {
  time: number = START
  chance = 0
  readonly #timers: Set<{ readonly at: number; readonly run: () => void }> = new Set()

  get timers(): number {
    return this.#timers.size
  }

  now(): number {
    return this.time
  }

  random(): number {
    return this.chance
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.time + ms, run }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Goes on, timer by timer. */
  async advance(ms: number): Promise<void> {
    await settle()
    const end = this.time + ms
    for (;;) {
      const [next] = [...this.#timers].toSorted((one, other) => one.at - other.at)
      if (next === undefined || next.at > end) break
      this.#timers.delete(next)
      this.time = Math.max(this.time, next.at)
      next.run()
      await settle()
    }
    this.time = end
    await settle()
  }
}

export function taskOf(id: string, more: Partial<Task> = {}): Task {
  return {
    id,
    path: [id],
    intent: 'test',
    intentDigest: 'sha256:0',
    owner: { name: 'o', team: 't' },
    agent: { account: 'a', instance: 'a/1' },
    sandbox: { id: 'box' },
    rules: [],
    params: {},
    environment: 'test',
    ceiling: 'internal',
    sources: [],
    startsAt: START,
    expiresAt: START + 8 * HOUR,
    ...more,
  }
}

/** Everything that was told, in order. */
class Told implements LeaseWatcher {
  readonly minted: LeaseView[] = []
  readonly leased: LeaseView[] = []
  readonly refreshed: Refresh[] = []
  readonly failed: LeaseFailure[] = []
  readonly replaced: LeaseView[] = []
  readonly orphans: LeaseView[] = []
  readonly unexpected: unknown[] = []

  onMinted(lease: LeaseView): void {
    this.minted.push(lease)
  }
  onLeased(lease: LeaseView): void {
    this.leased.push(lease)
  }
  onRefreshed(_lease: LeaseView, refresh: Refresh): void {
    this.refreshed.push(refresh)
  }
  onFailed(failure: LeaseFailure): void {
    this.failed.push(failure)
  }
  onReplaced(lease: LeaseView): void {
    this.replaced.push(lease)
  }
  onOrphan(lease: LeaseView): void {
    this.orphans.push(lease)
  }
  onUnexpected(error: unknown): void {
    this.unexpected.push(error)
  }
}

/** An issuer that numbers what it gives, with a life of an hour. */
class FakeIssuer implements Issuer {
  isStatic = false
  requests: MintRequest[] = []
  lifeMs: number | undefined = HOUR
  answer: (request: MintRequest, at: number) => Minted | Promise<Minted>
  declare renew?: NonNullable<Issuer['renew']>
  readonly #timing: FakeTiming

  constructor(timing: FakeTiming) {
    this.#timing = timing
    this.answer = (_request, at) => this.give(at)
  }

  give(at: number): Minted {
    return {
      material: { value: `minted-value-${at}` },
      expiresAt: this.lifeMs === undefined ? undefined : this.#timing.now() + this.lifeMs,
      handle: this.isStatic ? undefined : { number: at },
      id: `id-${at}`,
    }
  }

  async mint(request: MintRequest): Promise<Minted> {
    this.requests.push(request)
    return this.answer(request, this.requests.length)
  }
}

export interface World {
  readonly timing: FakeTiming
  readonly issuer: FakeIssuer
  readonly other: FakeIssuer
  readonly told: Told
  readonly known: KnownSecrets
  readonly tasks: Map<string, Task>
  readonly leases: Leases
  /** The value that a task has now, or why it has none. */
  readonly ask: (taskId: string, name?: string) => Promise<string>
}

/** Leases of `api`, and of `other` beside it. */
export function makeWorld(more: Partial<LeasesOptions['limits']> = {}): World {
  const timing = new FakeTiming()
  const [issuer, other] = [new FakeIssuer(timing), new FakeIssuer(timing)]
  const told = new Told()
  const known = new KnownSecrets()
  const tasks = new Map(['t_1', 't_2', 't_3'].map((id) => [id, taskOf(id)]))
  const leases = new Leases({
    issuers: new Map([
      ['api', issuer],
      ['other', other],
    ]),
    limits: { ...DEFAULT_LIMITS, ...more },
    known,
    above: () => [],
    activeTask: ({ id }) => tasks.get(id),
    watcher: told,
    timing,
  })
  const ask = async (taskId: string, name = 'api'): Promise<string> => {
    try {
      return reveal(await leases.secretFor(taskOf(taskId), name), 'test')
    } catch (error) {
      if (!(error instanceof EgressError)) throw error
      return `${error.reason}: ${error.detail['why']} (${error.wait})`
    }
  }
  return { timing, issuer, other, told, known, tasks, leases, ask }
}
