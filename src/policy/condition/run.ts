// One evaluation of a condition: what it may look at, in one reading of the call, and the work it may still do. Pure; made by
// `condition.ts`, read by what `compile.ts` and its neighbours make.

import type { DataClass } from '../../tasks/task.ts'
import type { QueryReading } from '../query.ts'
import type { ConditionFacts } from './condition-facts.ts'
import type { Budget, Value } from './values.ts'

/** What a rule says of the place that a call goes to. */
export interface DestinationFacts {
  /** The class of what comes back; absent where the rule names none. */
  readonly data?: DataClass
  /** The environment that the rule is for; absent where it names none, or several. */
  readonly environment?: string
}

/** One way in which an upstream may read a call's method, path and query. */
export interface Reading {
  readonly method: string | undefined
  readonly segments: readonly string[] | undefined
  /** Undefined where nothing asks for it. */
  readonly query: QueryReading | undefined
}

/** A part of a condition, ready to be evaluated; never throws. */
export type Evaluate = (run: Run) => Value

/** One evaluation. */
export class Run implements Budget {
  readonly facts: ConditionFacts
  readonly destination: DestinationFacts
  reading: Reading
  /** The item that the comprehension looks at: there is one at a time. */
  item: Value = null
  #steps: number

  constructor(
    facts: ConditionFacts,
    destination: DestinationFacts,
    { reading, steps }: { reading: Reading; steps: number },
  ) {
    this.facts = facts
    this.destination = destination
    this.reading = reading
    this.#steps = steps
  }

  /** Steps that may still be taken; below 0 where more was asked for. */
  get stepsLeft(): number {
    return this.#steps
  }

  /** Takes steps away. @returns false where they are used up, from then on */
  spend(steps: number): boolean {
    this.#steps -= steps
    return this.#steps >= 0
  }
}
