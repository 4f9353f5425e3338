// One task as the registry holds it: its definition, the state it is in and why, what proves it, and what has been counted.
// Changed by `registry.ts` and `ending.ts` alone; the rest of the program reads `task` and `state`.

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

import type { TaskClock } from './clock.ts'
import type { Cause } from './states.ts'
import type { Task, TaskStanding, TaskState } from './task.ts'
import type { Receipt } from './view.ts'

/** What must be shown before a task becomes active. */
export interface Requirement {
  readonly image?: string | undefined
  readonly selectors?: Readonly<Record<string, string>> | undefined
}

/** How long a heartbeat may be missing. */
interface HeartbeatTerms {
  /** Beyond it the task is suspended, milliseconds. */
  readonly withinMs: number
  /** Beyond it the task ends, milliseconds. */
  readonly endAfterMs: number
}

/** Whether the sandbox was seen to end. */
type Teardown = 'none' | 'due' | 'confirmed' | 'unconfirmed'

/** What is kept of a task on the disk. */
export interface KeptTask {
  readonly id: string
  readonly task: Task
  readonly state: TaskState
  /** Epoch milliseconds. */
  readonly since: number
  readonly cause: Cause
  readonly actor: string
  readonly createdBy: string
  /** Whether it is the configuration's own. */
  readonly isStatic: boolean
  /** Hex SHA-256 of the token; only this is kept of it. */
  readonly tokenHash?: string
  readonly isTokenUsed: boolean
  /** The orchestrator's key of idempotent creation, with its name in front. */
  readonly key?: string
  /** Hex SHA-256 of the definition, to tell a repetition from another task. */
  readonly definitionDigest: string
  readonly requirement?: Requirement
  /** `sha256:` of the evidence that was accepted. */
  readonly evidence?: string
  readonly heartbeat?: HeartbeatTerms
  /** How many levels may be below it; undefined: as many as the limit says. */
  readonly depth?: number
  readonly unproven: readonly string[]
  readonly hasListener: boolean
  readonly teardown: Teardown
  /** Of `sandbox.pid`, so that another process of the same number is not taken for it. */
  readonly processStart?: string
  /** What an operator wrote when the task was ended. */
  readonly endReason?: string
  readonly credentialsUsed: readonly string[]
  readonly receipt?: Receipt
}

// 256 bits, told apart from other secrets by whoever finds one.
const TOKEN_PREFIX = 'spt_'
const TOKEN_BYTES = 32

/** A new token. */
export function makeToken(): string {
  return TOKEN_PREFIX + randomBytes(TOKEN_BYTES).toString('base64url')
}

/** What is kept of a token: hex SHA-256. */
export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}

/** A task that is held. */
export class TaskEntry implements TaskStanding {
  kept: KeptTask
  readonly children: Set<string> = new Set()
  /** When children were made, for their rate; epoch milliseconds. */
  readonly childTimes: number[] = []
  readonly credentialsUsed: Set<string>
  allowed = 0
  denied = 0
  /** The window in which refusals are counted: when it began (monotonic), and how many. */
  denialsFrom = 0
  denialsInWindow = 0
  /** By the monotonic clock, milliseconds. */
  deadline: number
  lastBeat: number
  /** Set while it is being ended in this process. */
  ending: Promise<Receipt> | undefined
  readonly #clock: TaskClock
  readonly #onDue: (entry: TaskEntry) => void

  /** @param onDue called when somebody asks for the state past its end or its beginning: the clock decides, no timer does */
  constructor(kept: KeptTask, clock: TaskClock, onDue: (entry: TaskEntry) => void) {
    this.kept = kept
    this.#clock = clock
    this.#onDue = onDue
    this.credentialsUsed = new Set(kept.credentialsUsed)
    this.lastBeat = clock.monotonic()
    this.deadline = this.lastBeat + (kept.task.expiresAt - clock.now())
  }

  get id(): string {
    return this.kept.id
  }

  get task(): Task {
    return this.kept.task
  }

  get state(): TaskState {
    const { state } = this.kept
    if (state === 'revoking' || state === 'ended') return state
    const isDueToBegin = this.#isDueToBegin()
    if (!isDueToBegin && !this.isExpired()) return state
    // Its heart is not expected to have beaten before.
    if (isDueToBegin) this.lastBeat = this.#clock.monotonic()
    this.#onDue(this)
    return this.kept.state
  }

  /** Whether either clock is past the task's end. */
  isExpired(): boolean {
    return this.#clock.monotonic() >= this.deadline || this.#clock.now() >= this.kept.task.expiresAt
  }

  /** Sets another end, by both clocks. @param expiresAt epoch milliseconds */
  setExpiry(expiresAt: number): void {
    this.kept = { ...this.kept, task: { ...this.kept.task, expiresAt } }
    this.deadline = this.#clock.monotonic() + (expiresAt - this.#clock.now())
  }

  /** Whether a token's hash is this task's, in the same time whatever it is. */
  hasTokenHash(hash: string): boolean {
    const { tokenHash } = this.kept
    if (tokenHash === undefined) return false
    return timingSafeEqual(Buffer.from(hash, 'hex'), Buffer.from(tokenHash, 'hex'))
  }

  // Nothing but a move keeps it from being active: its time has come, and what it asks for was proved.
  #isDueToBegin(): boolean {
    const { state, task, requirement, evidence } = this.kept
    if (state !== 'pending' || task.notBefore === undefined) return false
    const isProved = requirement === undefined || evidence !== undefined
    return isProved && this.#clock.now() >= task.notBefore
  }
}
