// The records of a journal, one after the other, put together to decisions and made again. Bounded: what calls are open at one
// time, and definitions of tasks. Called by `replay.ts`.

import { LRUCache } from 'lru-cache'

import type { FindPinned } from '../config/pinned-rules.ts'
import { RulesAgain } from '../config/rules-again.ts'
import type { TaskRules } from '../config/rules.ts'
import type { RuleSet } from '../policy/rule-set.ts'
import { decideAgain, recordedOutcome, type DecidedAgain } from '../record/again/decide.ts'
import { extendDefinition, readDefinition } from '../record/again/defined.ts'
import { readLoaded, type FoundCall } from '../record/again/find.ts'
import { ReplayCount, type ReplayReport } from '../record/again/replay.ts'
import { CallStream } from '../record/again/stream.ts'
import type { RecordBody } from '../record/body.ts'

/** Which decisions are wanted; members left out do not restrict. */
export interface ReplayWanted {
  /** A task's id; its children count as its own. */
  readonly task?: string
  /** Epoch milliseconds. */
  readonly since?: number
}

/** What replaying needs. */
export interface ReplayOptions {
  readonly sets: ReadonlyMap<string, RuleSet>
  /** Sets that bind every task until the journal says which. */
  readonly always: readonly string[]
  /** Finds what tasks pin. */
  readonly findPinned: FindPinned | undefined
  /** Tasks of which the journal may have no beginning any more. */
  readonly tasks: readonly (readonly [id: string, task: TaskRules])[]
  readonly wanted: ReplayWanted
}

/** Tasks that may be open at one time, and then some: a definition is a few hundred bytes. */
const TASKS_MAX = 50_000
const WITHOUT_RULES_MAX = 100
const NO_RULES: DecidedAgain = {
  outcome: {
    verdict: 'deny',
    reason: 'policy-unavailable',
    rule: undefined,
    wouldDeny: undefined,
  },
  policy: undefined,
  missing: [],
  aside: undefined,
  trace: [],
}

/** One replay. */
export class Replay {
  readonly #wanted: ReplayWanted
  readonly #rules: RulesAgain
  readonly #tasks: LRUCache<string, TaskRules> = new LRUCache({ max: TASKS_MAX })
  readonly #stream = new CallStream()
  readonly #count = new ReplayCount()
  readonly #withoutRules: Set<string> = new Set()
  #records = 0

  constructor({ sets, always, findPinned, tasks, wanted }: ReplayOptions) {
    this.#rules = new RulesAgain(sets, always, findPinned)
    for (const [id, task] of tasks) this.#tasks.set(id, task)
    this.#wanted = wanted
  }

  /** Takes the next record of the journal. */
  add(record: RecordBody): void {
    this.#records += 1
    const { event, sallyport } = record
    const { task, detail } = sallyport
    const known = task && this.#tasks.get(task.id)
    const definition =
      readDefinition(detail?.['definition'], task) ?? (known && extendDefinition(known, record))
    if (task !== undefined && definition !== undefined) {
      this.#tasks.set(task.id, definition)
      // The chains of those below it are made anew, too.
      if (known !== undefined) this.#rules.forget()
    }
    if (event.action === 'rules-loaded') this.#rules.bindAll(readLoaded(record).always)
    else if (event.action.endsWith('-denied-repeated')) this.#addRepeated(record)
    else for (const found of this.#stream.add(record)) this.#decide(found)
  }

  /** What it came to, once all records were taken. */
  finish(): {
    readonly report: ReplayReport
    readonly records: number
    readonly withoutRules: readonly string[]
  } {
    for (const found of this.#stream.finish()) this.#decide(found)
    return {
      report: this.#count.report(),
      records: this.#records,
      withoutRules: [...this.#withoutRules],
    }
  }

  #decide(found: FoundCall): void {
    const { record } = found
    if (!this.#isWanted(record)) return
    const [own, ...above] = record.sallyport.task?.path.toReversed() ?? []
    const task = own === undefined ? undefined : this.#tasks.get(own)
    if (own === undefined || recordedOutcome(record) === undefined) {
      this.#count.addAside()
      return
    }
    const chain = [task, ...above.map((id) => this.#tasks.get(id))]
    const known = chain.filter((each) => each !== undefined)
    if (task === undefined || known.length < chain.length) {
      this.#count.addUntold(record, ['how its task was defined'])
      return
    }
    const rules = this.#rules.chainFor([task, ...known.slice(1)])
    if ('policies' in rules)
      this.#count.add(record, decideAgain(found, rules.policies, 'without-trace'))
    else {
      if (this.#withoutRules.size < WITHOUT_RULES_MAX) this.#withoutRules.add(rules.why)
      this.#count.add(record, NO_RULES)
    }
  }

  #addRepeated(record: RecordBody): void {
    const count = record.sallyport.detail?.['count']
    if (typeof count !== 'number' || !this.#isWanted(record)) return
    this.#count.addCounted(record, count, 'each of those that were only counted')
  }

  #isWanted(record: RecordBody): boolean {
    const { task, since } = this.#wanted
    return (
      (task === undefined || record.sallyport.task?.path.includes(task) === true) &&
      (since === undefined || Date.parse(record['@timestamp']) >= since)
    )
  }
}
