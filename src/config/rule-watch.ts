// Keeps the rules in force: a changed file counts after two equal readings, all sets compile and pass their own tests before
// any is swapped in, and the last good ones stay where that fails (R26). Deliberately records nothing: `sidecar.ts` is told
// and does.

import type { Problem } from '../policy/problem.ts'
import { RuleFileReader, type RuleFilesRead } from './rule-files.ts'
import { judgeRules, type LoadedRules, type RuleDemands } from './rules.ts'

/** What a watch is made with. */
export interface RuleWatchOptions extends RuleDemands {
  readonly dir: string
  /** Called for the first sound rules and whenever others are swapped in. */
  readonly onLoaded: (rules: LoadedRules, before: LoadedRules | undefined) => void
  /** Called once for each content that is refused; what was in force stays so. */
  readonly onRefused: (problems: readonly Problem[]) => void
  /** Called when watching stops. */
  readonly onClosed?: () => void
}

const POLL_MS = 500

/** Watches the rule files of a directory: a change counts after two equal readings half a second apart. */
export class RuleWatch {
  readonly #options: RuleWatchOptions
  readonly #reader: RuleFileReader
  readonly #timer: NodeJS.Timeout
  #inForce: LoadedRules | undefined
  #refused: readonly Problem[] = []
  /** Digest of what was last judged, sound or not. */
  #judged: string | undefined
  /** Digest of the last reading where it was not judged yet. */
  #pending: string | undefined

  /** Loads the rules at once; `onLoaded` or `onRefused` has been called when this returns. */
  constructor(options: RuleWatchOptions) {
    this.#options = options
    this.#reader = new RuleFileReader([options.dir], options.limits.ruleFileBytesMax)
    this.#judge(this.#reader.read())
    this.#timer = setInterval(() => this.#poll(), POLL_MS)
    this.#timer.unref()
  }

  /** The last good rules; undefined where there never were any. */
  get inForce(): LoadedRules | undefined {
    return this.#inForce
  }

  /** Why the files as they now are were refused; empty where they are in force. */
  get refusedProblems(): readonly Problem[] {
    return this.#refused
  }

  /** Loads the files as they are now. @returns true where they are in force afterwards */
  reload(): boolean {
    const read = this.#reader.read()
    if (read.digest !== this.#judged || this.#refused.length > 0) this.#judge(read)
    return this.#refused.length === 0
  }

  /** Stops watching; what is in force stays so. */
  close(): void {
    clearInterval(this.#timer)
    this.#options.onClosed?.()
  }

  #poll(): void {
    const read = this.#reader.read()
    if (read.digest === this.#judged) this.#pending = undefined
    else if (read.digest === this.#pending) this.#judge(read)
    else this.#pending = read.digest
  }

  #judge(read: RuleFilesRead): void {
    this.#judged = read.digest
    this.#pending = undefined
    const sets = this.#inForce?.sets.values() ?? []
    const passed = new Set([...sets].map(({ version }) => version))
    const { rules, problems } = judgeRules(read, this.#options, passed)
    if (rules === undefined) {
      this.#refused = problems
      this.#options.onRefused(problems)
      return
    }
    const before = this.#inForce
    this.#refused = []
    this.#inForce = rules
    // A broken edit that is taken back is no change.
    if (before?.digest !== rules.digest) this.#options.onLoaded(rules, before)
  }
}
