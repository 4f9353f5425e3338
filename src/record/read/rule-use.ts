// Which rules a journal's records cite, and since when sets are in force, counted record by record in memory that grows with
// the rules alone. Deliberately knows no rule file: `cli/unused-rules.ts` holds the two against each other. Pure.

import type { RecordBody } from '../body.ts'

const NAMES_MAX = 100_000

/** Counts which rules decided something. */
export class RuleUse {
  #firstSeen: string | undefined
  readonly #cited: Set<string> = new Set()
  /** By name: the version that was loaded last, and since when without a break. */
  #loaded: Map<string, { readonly version: string; readonly since: string }> = new Map()

  /** When the first record was made; undefined where there is none. */
  get firstSeen(): string | undefined {
    return this.#firstSeen
  }

  /** Counts one record. */
  add({ '@timestamp': at, event, rule, sallyport }: RecordBody): void {
    this.#firstSeen ??= at
    if (event.action === 'rules-loaded') this.#load(sallyport.detail?.['sets'], at)
    if (rule === undefined || this.#cited.size >= NAMES_MAX) return
    this.#cited.add(`${rule.ruleset}/${rule.id}`)
    // The journal may begin later than the set was loaded.
    if (!this.#loaded.has(rule.ruleset))
      this.#loaded.set(rule.ruleset, { version: rule.version, since: this.#firstSeen })
  }

  /** Whether some record cites a rule, of whatever version of its set. */
  isCited(ruleset: string, id: string): boolean {
    return this.#cited.has(`${ruleset}/${id}`)
  }

  /** Since when a version of a set is in force, as far as the records tell; undefined where it is not. */
  inForceSince(ruleset: string, version: string): string | undefined {
    const loaded = this.#loaded.get(ruleset)
    return loaded?.version === version ? loaded.since : undefined
  }

  #load(sets: unknown, at: string): void {
    if (!Array.isArray(sets)) return
    const before = this.#loaded
    this.#loaded = new Map()
    for (const each of sets.slice(0, NAMES_MAX)) {
      const [name = '', version = ''] = typeof each === 'string' ? each.split('@', 2) : []
      const known = before.get(name)
      this.#loaded.set(name, known?.version === version ? known : { version, since: at })
    }
  }
}
