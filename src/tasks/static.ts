// The life of a sidecar's one static task: it starts, expires, stays ended over restarts until its definition changes or
// it is renewed, and takes its open calls with it. The state file is written before the change takes effect.
// Made by `sidecar.ts`, asked by `identify/`.

import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import type { Task, TaskState } from './task.ts'

/** What is kept of a task over restarts. */
interface KeptTask {
  readonly startsAt: number
  readonly expiresAt: number
  readonly state: TaskState
}

/** What the sidecar is told of the task's life; each is put on record. */
type TaskChange = 'task-created' | 'task-renewed' | 'task-resumed' | 'task-ended'

/** What the static task needs. */
export interface StaticTaskOptions {
  /** The task as it would start now. */
  readonly task: Task
  readonly stateDir: string
  /** Start it anew even where it has ended. */
  readonly renew: boolean
  readonly now: () => number
  readonly onChange: (change: TaskChange, task: Task) => void
  /** Cuts what is open. */
  readonly onEnd: () => void
}

const STATE_FILE = 'task.json'
// A timer holds at most a signed 32-bit count of milliseconds.
const TIMER_MAX_MS = 2 ** 31 - 1

/** The static task and its state. */
export class StaticTask {
  readonly task: Task
  #state: TaskState
  readonly #options: StaticTaskOptions
  #timer: NodeJS.Timeout | undefined

  /** @throws Error where the state file cannot be read or written: an ended task must not come back to life. */
  constructor(options: StaticTaskOptions) {
    this.#options = options
    const kept = this.#read()
    const now = options.now()
    const over = kept !== undefined && (kept.state === 'ended' || kept.expiresAt <= now)
    if (kept === undefined || options.renew) {
      this.task = options.task
      this.#state = 'active'
      this.#write()
      options.onChange(kept === undefined ? 'task-created' : 'task-renewed', this.task)
    } else {
      this.task = { ...options.task, startsAt: kept.startsAt, expiresAt: kept.expiresAt }
      this.#state = over ? 'ended' : kept.state
      if (over && kept.state !== 'ended') {
        this.#write()
        options.onChange('task-ended', this.task)
      } else if (!over) options.onChange('task-resumed', this.task)
    }
    if (this.#state === 'active') this.#watchExpiry()
  }

  get state(): TaskState {
    // The clock decides, not the timer: a suspended machine fires late.
    if (this.#state === 'active' && this.#options.now() >= this.task.expiresAt) this.#end()
    return this.#state
  }

  /** Stops watching the clock; the state stays as it is. */
  close(): void {
    clearTimeout(this.#timer)
  }

  #watchExpiry(): void {
    const leftMs = this.task.expiresAt - this.#options.now()
    if (leftMs <= 0) return this.#end()
    this.#timer = setTimeout(() => this.#watchExpiry(), Math.min(leftMs, TIMER_MAX_MS))
    this.#timer.unref()
  }

  #end(): void {
    if (this.#state === 'ended') return
    this.#state = 'ended'
    clearTimeout(this.#timer)
    this.#write()
    this.#options.onChange('task-ended', this.task)
    this.#options.onEnd()
  }

  #read(): KeptTask | undefined {
    let text: string
    try {
      text = readFileSync(this.#file, 'utf8')
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
      throw error
    }
    const all: unknown = JSON.parse(text)
    if (typeof all !== 'object' || all === null)
      throw new Error(`${this.#file} is not a task state file`)
    const kept: unknown = Reflect.get(all, this.#options.task.id)
    if (kept === undefined) return undefined
    if (!isKept(kept)) throw new Error(`${this.#file} is not a task state file`)
    return kept
  }

  #write(): void {
    const { startsAt, expiresAt, id } = this.task
    mkdirSync(this.#options.stateDir, { recursive: true, mode: 0o700 })
    const temporary = `${this.#file}.new`
    const kept: Record<string, KeptTask> = { [id]: { startsAt, expiresAt, state: this.#state } }
    writeFileSync(temporary, `${JSON.stringify(kept)}\n`, { mode: 0o600, flush: true })
    renameSync(temporary, this.#file)
  }

  get #file(): string {
    return path.join(this.#options.stateDir, STATE_FILE)
  }
}

function isKept(value: unknown): value is KeptTask {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof Reflect.get(value, 'startsAt') === 'number' &&
    typeof Reflect.get(value, 'expiresAt') === 'number' &&
    typeof Reflect.get(value, 'state') === 'string'
  )
}
