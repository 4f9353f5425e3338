// A call or a tunnel that is asked about, and what is worked out of it only where a rule asks: readings without case, the
// query, the values of conditions. Made once a question; `match.ts` reads them. Pure.

import type { Endpoint } from '../wire/authority.ts'
import type { BoundRule } from './bound-rule.ts'
import { ConditionFacts, judgeCondition, type Condition } from './condition/condition.ts'
import type { Question } from './decision.ts'
import type { Moment, TaskFacts } from './facts.ts'
import { foldReading } from './path-pattern.ts'
import { readQuery, type QueryReading } from './query.ts'
import type { Asked } from './written-call.ts'

/** How a tunnel to an endpoint would be carried. */
export type TunnelMode = 'inspect' | 'tls' | 'tcp'

/** What all questions have. */
export class Circumstances {
  readonly moment: Moment
  readonly #task: TaskFacts
  readonly #asked: Asked
  #facts: ConditionFacts | undefined
  #outcomes: Map<BoundRule, boolean | 'error'> | undefined

  constructor(asked: Asked, task: TaskFacts, moment: Moment) {
    this.#asked = asked
    this.#task = task
    this.moment = moment
  }

  /** The question as conditions see it. */
  get facts(): ConditionFacts {
    this.#facts ??= new ConditionFacts(this.#task, this.#asked, this.moment.now)
    return this.#facts
  }

  /** Whether a rule's condition was asked. */
  hasJudged(rule: BoundRule): boolean {
    return this.#outcomes?.has(rule) ?? false
  }

  /** What a rule's condition comes to: asked once, however many destinations the rule has. */
  judge(rule: BoundRule, when: Condition): boolean | 'error' {
    this.#outcomes ??= new Map()
    let outcome = this.#outcomes.get(rule)
    if (outcome === undefined) {
      outcome = judgeCondition(when, this.facts, rule.destination)
      this.#outcomes.set(rule, outcome)
    }
    return outcome
  }
}

/** A call, and what is worked out of it only where a rule asks. */
export class Facts extends Circumstances {
  readonly question: Question
  #folded: readonly (readonly string[])[] | undefined
  #query: readonly QueryReading[] | undefined

  constructor(question: Question, task: TaskFacts, moment: Moment) {
    super(question, task, moment)
    this.question = question
  }

  /** The path's readings without case. */
  get folded(): readonly (readonly string[])[] {
    this.#folded ??= this.question.path.readings.map(foldReading)
    return this.#folded
  }

  /** The readings of the query. */
  get query(): readonly QueryReading[] {
    this.#query ??= readQuery(this.question.query)
    return this.#query
  }
}

/** A tunnel that is asked for, and how it would be carried. */
export class TunnelFacts extends Circumstances {
  readonly port: number
  readonly mode: TunnelMode

  constructor(connect: Endpoint, mode: TunnelMode, task: TaskFacts, moment: Moment) {
    super({ connect }, task, moment)
    this.port = connect.port
    this.mode = mode
  }
}
