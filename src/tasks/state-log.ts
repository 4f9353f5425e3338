// A file that outlives the process: one JSON value a line, appended, the last line of an id counts. What takes away (an
// ending) is on the disk before it takes effect; what gives survives the process, not the machine. Torn ends are cut off.
// Used by `registry.ts`, `ending.ts` and `ledger/tool-pins.ts`.

import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import path from 'node:path'

/** What can be kept: known by its id. */
interface Identified {
  readonly id: string
}

const NEWLINE = 0x0a
const CLOSED = -1
// Rewritten when more than so many lines a value have gathered, and not for a few.
const LINES_PER_VALUE_MAX = 4
const LINES_SPARED = 1000

/** One such file. */
export class StateLog<Value extends Identified> {
  readonly #file: string
  #descriptor: number
  #bytes: number
  #lines = 0
  /** Beyond so many lines it is rewritten next. */
  #linesMax = 0
  readonly #values: Map<string, Value> = new Map()

  /**
   * Opens the file, or makes it.
   * @throws Error where it cannot be read or written, or where a whole line is no value: what ended must not come back
   */
  constructor(file: string, isValue: (value: unknown) => value is Value) {
    this.#file = file
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 })
    this.#bytes = this.#read(isValue)
    this.#descriptor = openSync(file, 'a', 0o600)
    ftruncateSync(this.#descriptor, this.#bytes)
    this.#shrink()
  }

  /** The values, each as its last line says. */
  values(): IterableIterator<Value> {
    return this.#values.values()
  }

  /** The value of an id. */
  get(id: string): Value | undefined {
    return this.#values.get(id)
  }

  /**
   * Writes a value; nothing of it where that fails.
   * @param isSynced wait for the disk
   * @throws Error of the system
   */
  append(value: Value, isSynced: boolean): void {
    this.appendAll([value], isSynced)
  }

  /** Writes values in one go: all of them or none. @throws Error of the system */
  appendAll(values: readonly Value[], isSynced: boolean): void {
    if (this.#descriptor === CLOSED) throw new Error(`${this.#file} is closed`)
    const lines = Buffer.from(values.map((value) => `${JSON.stringify(value)}\n`).join(''))
    try {
      for (let at = 0; at < lines.length;) at += writeSync(this.#descriptor, lines, at)
      if (isSynced) fdatasyncSync(this.#descriptor)
    } catch (error) {
      ftruncateSync(this.#descriptor, this.#bytes)
      throw error
    }
    this.#bytes += lines.length
    this.#lines += values.length
    for (const value of values) this.#values.set(value.id, value)
    this.#shrink()
  }

  /** Forgets a value; its lines go with the next rewriting. */
  forget(id: string): void {
    this.#values.delete(id)
  }

  /** Closes the file; what is appended afterwards is an error, and never lands in a file that got its number. */
  close(): void {
    if (this.#descriptor === CLOSED) return
    closeSync(this.#descriptor)
    this.#descriptor = CLOSED
  }

  #read(isValue: (value: unknown) => value is Value): number {
    if (!existsSync(this.#file)) return 0
    const bytes = readFileSync(this.#file)
    let at = 0
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, at)) {
      const value = parse(bytes.toString('utf8', at, end))
      if (!isValue(value))
        throw new Error(
          `${this.#file}: line ${this.#lines + 1} is not what was written: restore the file, or move it away to begin without what it held`,
        )
      this.#values.set(value.id, value)
      this.#lines += 1
      at = end + 1
    }
    return at
  }

  // What was appended counts already: where there is no room for another file, this one goes on growing for a while.
  #shrink(): void {
    const due = this.#values.size * LINES_PER_VALUE_MAX + LINES_SPARED
    if (this.#lines <= Math.max(due, this.#linesMax)) return
    const beside = `${this.#file}.new`
    let descriptor = CLOSED
    try {
      const lines = [...this.#values.values()].map((value) => `${JSON.stringify(value)}\n`)
      writeFileSync(beside, lines.join(''), { mode: 0o600, flush: true })
      // Before the old one is given up: there may be none left.
      descriptor = openSync(beside, 'a')
      renameSync(beside, this.#file)
    } catch {
      if (descriptor !== CLOSED) closeSync(descriptor)
      this.#linesMax = this.#lines + LINES_SPARED
      return
    }
    closeSync(this.#descriptor)
    this.#descriptor = descriptor
    this.#bytes = fstatSync(descriptor).size
    this.#lines = this.#values.size
    this.#linesMax = 0
  }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
