// Time that nobody can turn back: the wall clock beside the monotonic one, and the highest wall time ever seen, kept over
// restarts. A task ends at the earlier of both deadlines; a wall clock that is behind makes no new tasks.
// Made by `sidecar.ts`, read by `registry.ts`.

import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'

const CLOCK_FILE = 'clock'
const KEEP_EVERY_MS = 10_000
// While only this file knows what time it is, a start must not give back much.
const KEEP_EVERY_BEHIND_MS = 1000
// What a time service may step back without anybody having touched the clock.
const TOLERANCE_MS = 5000

/** Both clocks. */
export class TaskClock {
  readonly #file: string
  readonly #wall: () => number
  readonly #monotonic: () => number
  #highest: number
  #kept: number
  /** Up to when, by the monotonic clock, the highest time has gone on. */
  #wentOnAt: number

  /**
   * @param wall epoch milliseconds
   * @param monotonic milliseconds since some beginning
   */
  constructor(
    stateDir: string,
    wall: () => number = Date.now,
    monotonic: () => number = () => performance.now(),
  ) {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 })
    this.#file = path.join(stateDir, CLOCK_FILE)
    this.#wall = wall
    this.#monotonic = monotonic
    this.#highest = readKept(this.#file)
    this.#kept = this.#highest
    this.#wentOnAt = monotonic()
  }

  /**
   * The wall time, never earlier than one that was seen before; epoch milliseconds. Goes on where the wall clock was turned
   * back: else every start would give a task the whole rest of its life again.
   */
  now(): number {
    const wall = this.#wall()
    const wentMs = Math.floor(this.#monotonic() - this.#wentOnAt)
    this.#wentOnAt += wentMs
    if (wall >= this.#highest) this.#highest = wall
    else if (this.#highest - wall > TOLERANCE_MS) this.#highest += wentMs
    return this.#highest
  }

  /** Milliseconds since some beginning; only differences mean something. */
  monotonic(): number {
    return this.#monotonic()
  }

  /** Milliseconds by which the wall clock is behind the highest time seen; 0 while that is no more than a correction. */
  behindMs(): number {
    const behind = this.now() - this.#wall()
    return behind > TOLERANCE_MS ? behind : 0
  }

  /** Notes a time that is known from elsewhere, such as a record of before the start. */
  see(time: number): void {
    this.#highest = Math.max(this.#highest, time)
  }

  /** Writes the highest time down now and then. @throws Error of the system */
  keep(): void {
    const everyMs = this.behindMs() > 0 ? KEEP_EVERY_BEHIND_MS : KEEP_EVERY_MS
    if (this.#highest - this.#kept < everyMs) return
    const beside = `${this.#file}.new`
    writeFileSync(beside, `${Math.floor(this.#highest)}\n`, { mode: 0o600 })
    renameSync(beside, this.#file)
    this.#kept = this.#highest
  }
}

function readKept(file: string): number {
  try {
    const time = Number(readFileSync(file, 'utf8'))
    return Number.isFinite(time) ? time : 0
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return 0
    throw error
  }
}
