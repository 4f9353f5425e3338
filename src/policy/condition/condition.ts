// Provisional.
import type { DataClass } from '../../tasks/task.ts'
import type { TaskFacts } from '../facts.ts'
import type { Inspector } from '../subject.ts'
import type { Asked } from '../written-call.ts'

/** A condition that was read and checked. */
export interface Condition {
  readonly text: string
  /** What it reads of the bytes of a call. */
  readonly needs: readonly Inspector[]
  readonly readsNow: boolean
}
/** What is wrong with a condition. */
export interface ConditionFault {
  readonly message: string
  readonly hint?: string
  /** In characters from its beginning. */
  readonly offset: number
}
/** A rule's destination as conditions see it. */
export interface DestinationFacts {
  readonly data?: DataClass
  readonly environment?: string
}
/** A part of a condition and what it comes to. */
export interface Clause {
  readonly clause: string
  readonly value: string
}
/** Reads a condition. */
export function readCondition(
  _text: string,
): { readonly condition: Condition } | { readonly faults: readonly ConditionFault[] } {
  return { faults: [{ message: 'not there yet', offset: 0 }] }
}
/** A question as conditions see it. */
export class ConditionFacts {
  readonly task: TaskFacts
  constructor(task: TaskFacts, _asked: Asked, _now: number) {
    this.task = task
  }
}
/** Evaluates. */
export function judgeCondition(
  _condition: Condition,
  _facts: ConditionFacts,
  _destination: DestinationFacts,
): boolean | 'error' {
  return 'error'
}
/** Explains. */
export function explainCondition(
  _condition: Condition,
  _facts: ConditionFacts,
  _destination: DestinationFacts,
): readonly Clause[] {
  return []
}
