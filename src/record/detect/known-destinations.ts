// Which destinations an agent's tasks have been at, over tasks and restarts: the first call to another one is worth a
// look. Kept in a file of one JSON line each; bounded an agent, those that were not used for longest are forgotten. What
// cannot be read or written is forgotten too: it is then new once more. Called by `detector.ts`.

import { appendFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import { LRUCache } from 'lru-cache'

import type { Limits } from '../../limits.ts'
import type { Endpoint } from '../../wire/authority.ts'
import { systemErrorCode } from '../system-error.ts'

/** What remembering needs. */
export interface DestinationOptions {
  readonly stateDir: string
  readonly limits: Pick<Limits, 'destinationsRemembered' | 'alertFoldMs'>
  /** Told where the file cannot be read or written. */
  readonly onProblem: (error: unknown) => void
  /** Epoch milliseconds. */
  readonly now: () => number
}

/** Known; new to an agent that is known; new to one that is new itself and has just been told of. */
export type DestinationStanding = 'known' | 'new' | 'new-among-new'

interface Agent {
  /** Epoch milliseconds; 0 where it is from the file. */
  readonly since: number
  readonly destinations: LRUCache<string, true>
}

const FILE = 'destinations.ndjson'
const AGENTS_MAX = 1000
const SAVE_AFTER_MS = 500
// The file is rewritten when it has so many times the lines of what it says.
const LINES_PER_VALUE_MAX = 4
const LINES_SPARED = 1000

/** The destinations of all agents of one sidecar. */
export class KnownDestinations {
  readonly #options: DestinationOptions
  readonly #file: string
  readonly #agents: LRUCache<string, Agent> = new LRUCache({ max: AGENTS_MAX })
  #unsaved: string[] = []
  #lines = 0
  #timer: NodeJS.Timeout | undefined

  constructor(options: DestinationOptions) {
    this.#options = options
    this.#file = path.join(options.stateDir, FILE)
    this.#read()
  }

  /** Tells how a destination stands, and remembers it. @param account of the agent */
  note(account: string, { host, port }: Pick<Endpoint, 'host' | 'port'>): DestinationStanding {
    const key = port === 443 ? host : `${host} ${port}`
    const known = this.#agents.get(account)
    if (known?.destinations.get(key) === true) return 'known'
    this.#unsaved.push(`${JSON.stringify([account, key])}\n`)
    this.#timer ??= setTimeout(() => this.#save(), SAVE_AFTER_MS)
    this.#timer.unref()
    const { now, limits } = this.#options
    if (known === undefined) {
      this.#agentOf(account, now()).destinations.set(key, true)
      return 'new'
    }
    known.destinations.set(key, true)
    const age = now() - known.since
    return age >= 0 && age < limits.alertFoldMs ? 'new-among-new' : 'new'
  }

  /** Writes what is not written yet. */
  close(): void {
    this.#save()
  }

  #agentOf(account: string, since: number): Agent {
    let agent = this.#agents.get(account)
    if (agent === undefined) {
      const max = this.#options.limits.destinationsRemembered
      agent = { since, destinations: new LRUCache({ max }) }
      this.#agents.set(account, agent)
    }
    return agent
  }

  #read(): void {
    let text: string
    try {
      text = readFileSync(this.#file, 'utf8')
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') this.#options.onProblem(error)
      return
    }
    for (const line of text.split('\n')) {
      this.#lines += 1
      const [account, key] = readLine(line) ?? []
      if (account === undefined || key === undefined) continue
      this.#agentOf(account, 0).destinations.set(key, true)
    }
  }

  #save(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#unsaved.length === 0) return
    const lines = this.#unsaved
    this.#unsaved = []
    this.#lines += lines.length
    try {
      if (this.#lines > LINES_PER_VALUE_MAX * this.#count() + LINES_SPARED) this.#rewrite()
      else appendFileSync(this.#file, lines.join(''), { mode: 0o600 })
    } catch (error) {
      this.#options.onProblem(error)
    }
  }

  #count(): number {
    let count = 0
    for (const { destinations } of this.#agents.values()) count += destinations.size
    return count
  }

  #rewrite(): void {
    const lines: string[] = []
    // From the one that was not used for longest, as the reader takes them in.
    for (const account of this.#agents.rkeys()) {
      const keys = this.#agents.peek(account)?.destinations.rkeys() ?? []
      for (const key of keys) lines.push(`${JSON.stringify([account, key])}\n`)
    }
    const beside = `${this.#file}.new`
    mkdirSync(path.dirname(this.#file), { recursive: true, mode: 0o700 })
    writeFileSync(beside, lines.join(''), { mode: 0o600, flush: true })
    renameSync(beside, this.#file)
    this.#lines = lines.length
  }
}

function readLine(line: string): [account: string, key: string] | undefined {
  try {
    const value: unknown = JSON.parse(line)
    if (!Array.isArray(value)) return undefined
    const [account, key]: unknown[] = value
    return typeof account === 'string' && typeof key === 'string' ? [account, key] : undefined
  } catch {
    return undefined
  }
}
