// Every decision of a bundle made again, with the rules and definitions that are in the bundle. Called by `verify-bundle.ts`.

import { RulesThenReader } from '../config/rules-then.ts'
import { DEFAULT_LIMITS } from '../limits.ts'
import { policyDigestOf, type PolicyChain } from '../policy/conjunction.ts'
import { decideAgain, isSameOutcome, recordedOutcome } from '../record/again/decide.ts'
import { extendDefinition, readDefinition, type DefinedTask } from '../record/again/defined.ts'
import { readLoaded, type FoundCall, type LoadedAt } from '../record/again/find.ts'
import { CallStream } from '../record/again/stream.ts'
import type { RecordBody } from '../record/body.ts'

/** What came of it. */
export interface DecisionsReport {
  readonly same: number
  /** What its record, or the bundle, does not tell. */
  readonly untold: number
  /** At most 100. */
  readonly others: readonly { readonly record: string; readonly what: string }[]
}

const OTHERS_MAX = 100
const TASKS_MAX = 10_000
const LOADED_MAX = 1000

/** Makes decisions again as records come. */
export class DecisionCheck {
  readonly #texts: Map<string, () => string> = new Map()
  readonly #tasks: Map<string, DefinedTask> = new Map()
  readonly #loaded: LoadedAt[] = []
  readonly #stream = new CallStream()
  /** By the digest that records name. */
  readonly #policies: Map<string, PolicyChain> = new Map()
  readonly #rules: RulesThenReader = new RulesThenReader(
    (version) => this.#texts.get(version)?.(),
    DEFAULT_LIMITS,
  )
  readonly #report: { same: number; untold: number; others: { record: string; what: string }[] } = {
    same: 0,
    untold: 0,
    others: [],
  }

  /** Takes a rule file. */
  addRules(version: string, text: () => string): void {
    this.#texts.set(version, text)
  }

  /** Takes a record of no task; they come before all others. */
  addContext(record: RecordBody): void {
    if (record.event.action !== 'rules-loaded' || this.#loaded.length >= LOADED_MAX) return
    this.#loaded.push(readLoaded(record))
  }

  /** Takes the next record. */
  addRecord(record: RecordBody): void {
    this.#define(record)
    if (record.event.action === 'rules-loaded') this.addContext(record)
    for (const found of this.#stream.add(record)) this.#decide(found)
  }

  /** What came of it. */
  finish(): DecisionsReport {
    return this.#report
  }

  #define(record: RecordBody): void {
    const { task, detail } = record.sallyport
    const known = task && this.#tasks.get(task.id)
    if (task === undefined || (known === undefined && this.#tasks.size >= TASKS_MAX)) return
    const definition =
      readDefinition(detail?.['definition'], task) ?? (known && extendDefinition(known, record))
    if (definition === undefined) return
    this.#tasks.set(task.id, definition)
    // What was compiled for it, and for those below it, says what it declared before.
    if (known !== undefined) this.#policies.clear()
  }

  #decide(found: FoundCall): void {
    const recorded = recordedOutcome(found.record)
    if (recorded === undefined) return
    const policies = this.#policiesOf(found)
    const again = policies && decideAgain(found, policies)
    if (again?.outcome === undefined) this.#report.untold += 1
    else if (isSameOutcome(recorded, again.outcome)) this.#report.same += 1
    else if (this.#report.others.length < OTHERS_MAX)
      this.#report.others.push({
        record: found.record.event.id,
        what: `it says ${recorded.verdict} ${recorded.reason}, the rules say ${again.outcome.verdict} ${again.outcome.reason}`,
      })
  }

  #policiesOf({ record }: FoundCall): PolicyChain | undefined {
    const { task, decision } = record.sallyport
    if (task === undefined || decision === undefined) return undefined
    const key = `${task.id} ${decision.policy}`
    const known = this.#policies.get(key)
    if (known !== undefined) return known
    const chain = task.path.toReversed().flatMap((id) => this.#tasks.get(id) ?? [])
    if (chain.length !== task.path.length) return undefined
    for (const { sets, always } of this.#loaded.toReversed()) {
      const { policies } = this.#rules.compile(sets, always, chain)
      if (policies === undefined || policyDigestOf(policies) !== decision.policy) continue
      if (this.#policies.size < TASKS_MAX) this.#policies.set(key, policies)
      return policies
    }
    return undefined
  }
}
