// Time that nobody can turn back: the wall clock beside the monotonic one, and the highest wall time ever seen, kept over
// restarts. A task ends at the earlier of both deadlines; a wall clock that is behind makes no new tasks.
// Made by `sidecar.ts`, read by `registry.ts`.

import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'

const CLOCK_FILE = 'clock'
const KEEP_EVERY_MS = 10_000
// What a time service may step back without anybody having touched the clock.
const TOLERANCE_MS = 5000

/** Both clocks. */
export class TaskClock {
  readonly #file: string
  readonly #wall: () => number
  readonly #monotonic: () => number
  #highest: number
  #kept: number

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
  }

  /** The wall time, never earlier than one that was seen before; epoch milliseconds. */
  now(): number {
    this.#highest = Math.max(this.#highest, this.#wall())
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
    if (this.now() - this.#kept < KEEP_EVERY_MS) return
    const beside = `${this.#file}.new`
    writeFileSync(beside, `${Math.floor(this.now())}\n`, { mode: 0o600 })
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
