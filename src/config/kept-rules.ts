// Keeps the text of every rule file that was in force, by its digest, as long as a record that is kept may name it: so that a
// decision can be made again, and proved, after the file has changed. Deliberately judges nothing. Made by `open-rules.ts`,
// read by the command line.

import { createHash } from 'node:crypto'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'

import { listSegments } from '../record/journal/segments.ts'

/** What keeping rules needs. */
export interface KeptRulesOptions {
  readonly stateDir: string
  /** The journal whose records name them. */
  readonly journal: { readonly dir: string; readonly retainMs: number }
  /** Default 256 MiB; beyond it the ones that are longest out of force go before their time. */
  readonly bytesMax?: number
  readonly now: () => number
  /** Digests that tasks pin: their texts stay. Undefined while that is not known: then nothing goes. */
  readonly pins: () => ReadonlySet<string> | undefined
  /** Told of what could not be kept or cleared away; the rules are in force all the same. */
  readonly onProblem: (error: unknown) => void
}

const FILE_NAME = /^[0-9a-f]{64}\.yaml$/
/** A call that goes on is decided by the rules it began with, and on record with them when it ends. */
const GRACE_MS = 7 * 86_400_000
const BYTES_MAX = 256 * 1024 * 1024
const REFRESH_MS = 3_600_000

/** The texts of rule files by their digests; the time of a file is when it was last known to be in force. */
export class KeptRules {
  readonly #options: KeptRulesOptions
  readonly #dir: string
  readonly #timer: NodeJS.Timeout
  #inForce: ReadonlySet<string> = new Set()

  constructor(options: KeptRulesOptions) {
    this.#options = options
    this.#dir = keptRulesDir(options.stateDir)
    this.#timer = setInterval(() => this.refresh(), REFRESH_MS)
    this.#timer.unref()
  }

  /** Keeps the texts that are in force from now on. @param texts by `sha256:` digest */
  keep(texts: ReadonlyMap<string, string>): void {
    try {
      mkdirSync(this.#dir, { recursive: true, mode: 0o700 })
      this.#touch()
      for (const [version, text] of texts) this.#write(fileName(version), text)
      this.#inForce = new Set([...texts.keys()].map(fileName))
      this.refresh()
    } catch (error) {
      this.#options.onProblem(error)
    }
  }

  /** Notes what is still in force, and clears away what no kept record can name; by itself once an hour. */
  refresh(): void {
    try {
      this.#touch()
      this.#clear()
    } catch (error) {
      this.#options.onProblem(error)
    }
  }

  /** Stops refreshing. */
  close(): void {
    clearInterval(this.#timer)
    this.refresh()
  }

  #touch(): void {
    const seconds = this.#options.now() / 1000
    for (const name of this.#inForce) utimesSync(path.join(this.#dir, name), seconds, seconds)
  }

  #write(name: string, text: string): void {
    const file = path.join(this.#dir, name)
    if (statSync(file, { throwIfNoEntry: false })?.size !== Buffer.byteLength(text)) {
      const beside = `${file}.new`
      writeFileSync(beside, text, { mode: 0o600, flush: true })
      renameSync(beside, file)
    }
    const seconds = this.#options.now() / 1000
    utimesSync(file, seconds, seconds)
  }

  #clear(): void {
    const { journal, now, pins, bytesMax = BYTES_MAX } = this.#options
    const pinned = pins()
    // Where no rules were ever in force there is nothing.
    if (pinned === undefined || !existsSync(this.#dir)) return
    const staying = new Set([...this.#inForce, ...[...pinned].map(fileName)])
    const oldest = oldestRecordAt(journal.dir) ?? now()
    const keptFrom = Math.min(now() - journal.retainMs, oldest) - GRACE_MS
    let bytes = 0
    for (const { name, size, inForceAt } of this.#newestFirst()) {
      bytes += size
      if (staying.has(name)) continue
      if (inForceAt < keptFrom || bytes > bytesMax)
        rmSync(path.join(this.#dir, name), { force: true })
    }
  }

  #newestFirst(): { name: string; size: number; inForceAt: number }[] {
    return readdirSync(this.#dir)
      .filter((name) => FILE_NAME.test(name))
      .flatMap((name) => {
        const stat = statSync(path.join(this.#dir, name), { throwIfNoEntry: false })
        return stat === undefined ? [] : [{ name, size: stat.size, inForceAt: stat.mtimeMs }]
      })
      .toSorted((a, b) => b.inForceAt - a.inForceAt)
  }
}

/** Where the texts of rule files are kept. */
export function keptRulesDir(stateDir: string): string {
  return path.join(stateDir, 'rules')
}

/** Reads the text of a rule file that was in force; undefined where it is not kept or is not what its name says. */
export function readKeptRules(stateDir: string, version: string): string | undefined {
  const name = fileName(version)
  if (!FILE_NAME.test(name)) return undefined
  try {
    const text = readFileSync(path.join(keptRulesDir(stateDir), name), 'utf8')
    return digestOf(text) === version ? text : undefined
  } catch {
    return undefined
  }
}

/** The digest of a rule file's text, as `rule.version` has it. */
export function digestOf(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`
}

function fileName(version: string): string {
  return `${version.replace(/^sha256:/, '')}.yaml`
}

const HEAD_BYTES = 64

/** When the oldest record that is kept was written, in epoch milliseconds. */
function oldestRecordAt(journalDir: string): number | undefined {
  const [first] = listSegments(journalDir)
  if (first === undefined) return undefined
  const fd = openSync(first.path, 'r')
  try {
    const head = Buffer.alloc(HEAD_BYTES)
    const read = readSync(fd, head, 0, HEAD_BYTES, 0)
    const [, written] = /^\{"@timestamp":"([^"]+)"/.exec(head.toString('latin1', 0, read)) ?? []
    const time = written === undefined ? Number.NaN : Date.parse(written)
    // What cannot be told lets nothing go.
    return Number.isNaN(time) ? (read === 0 ? undefined : 0) : time
  } finally {
    closeSync(fd)
  }
}
