// How old the values of static credentials are: since when each is the one that it is now, as far as this installation has
// seen. Of a value a keyed digest is kept, never the value; the key is the installation's own. Asked by metrics.

import { createHmac } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import { revealAll } from './reveal.ts'
import type { Secret } from './secret.ts'

/** What looking needs. */
export interface SecretAgeOptions {
  readonly stateDir: string
  /** 32 bytes, of the installation. */
  readonly key: Uint8Array
  readonly names: readonly string[]
  /** Undefined: no task has it just now, and it is not asked for. @throws credential-unavailable as a rejection */
  readonly secretOf: (name: string) => Promise<Secret | undefined>
  /** Told where the file cannot be read or written. */
  readonly onProblem: (error: unknown) => void
  /** Epoch milliseconds. */
  readonly now: () => number
}

interface Seen {
  readonly digest: string
  /** Epoch milliseconds. */
  readonly since: number
}

const FILE = 'secret-ages.json'
const PURPOSE = 'age of '

/** The ages of all static credentials. */
export class SecretAges {
  readonly #options: SecretAgeOptions
  readonly #file: string
  #seen: ReadonlyMap<string, Seen>

  constructor(options: SecretAgeOptions) {
    this.#options = options
    this.#file = path.join(options.stateDir, FILE)
    this.#seen = this.#read()
  }

  /** How many static credentials are configured. */
  get count(): number {
    return this.#options.names.length
  }

  /** Seconds since the oldest value is what it is; 0 where none was seen yet. */
  get oldestSeconds(): number {
    const since = [...this.#seen.values()].map((seen) => seen.since)
    const now = this.#options.now()
    return since.length === 0 ? 0 : Math.max(0, now - Math.min(...since)) / 1000
  }

  /** Whole seconds since a value is what it is; undefined where it was not seen yet. */
  secondsOf(name: string): number | undefined {
    const since = this.#seen.get(name)?.since
    return since === undefined
      ? undefined
      : Math.max(0, Math.floor((this.#options.now() - since) / 1000))
  }

  /** Looks at the values as they are now. @returns names of those that have none */
  async look(): Promise<string[]> {
    const { names, secretOf, now, onProblem } = this.#options
    const seen = new Map<string, Seen>()
    const absent: string[] = []
    for (const name of names) {
      const known = this.#seen.get(name)
      const digest = await secretOf(name).then(
        (secret) => (secret === undefined ? known?.digest : this.#digestOf(name, secret)),
        // One that is not there just now is not another one.
        () => {
          absent.push(name)
          return known?.digest
        },
      )
      if (digest === undefined) continue
      seen.set(name, known?.digest === digest ? known : { digest, since: now() })
    }
    const isChanged = [...seen].some(([name, value]) => this.#seen.get(name) !== value)
    this.#seen = seen
    try {
      if (isChanged) this.#write()
    } catch (error) {
      onProblem(error)
    }
    return absent
  }

  #digestOf(name: string, secret: Secret): string {
    return createHmac('sha256', this.#options.key)
      .update(`${PURPOSE}${name}\0`)
      .update(revealAll(secret, 'telling whether it changed').join('\0'))
      .digest('base64url')
  }

  #read(): Map<string, Seen> {
    const seen = new Map<string, Seen>()
    try {
      const kept: unknown = JSON.parse(readFileSync(this.#file, 'utf8'))
      if (typeof kept !== 'object' || kept === null) return seen
      for (const [name, value] of Object.entries(kept))
        if (this.#options.names.includes(name) && isSeen(value)) seen.set(name, value)
    } catch (error) {
      const isAbsent = error instanceof Error && 'code' in error && error.code === 'ENOENT'
      if (!isAbsent) this.#options.onProblem(error)
    }
    return seen
  }

  #write(): void {
    const beside = `${this.#file}.new`
    mkdirSync(path.dirname(this.#file), { recursive: true, mode: 0o700 })
    writeFileSync(beside, JSON.stringify(Object.fromEntries(this.#seen)), { mode: 0o600 })
    renameSync(beside, this.#file)
  }
}

function isSeen(value: unknown): value is Seen {
  if (typeof value !== 'object' || value === null) return false
  if (!('digest' in value) || !('since' in value)) return false
  return typeof value.digest === 'string' && Number.isSafeInteger(value.since)
}
