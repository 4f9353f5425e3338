// What a decision looks at beside the call: the task as conditions see it, the time, what the task has read. Values only;
// `config/` makes them of a task, `decide.ts` is handed them.

import { DATA_CLASSES, type DataClass, type Task } from '../tasks/task.ts'

/** A task as rules see it; what is not known is absent. */
export interface TaskFacts {
  readonly intent?: string | undefined
  readonly labels?: Readonly<Record<string, string>> | undefined
  readonly capabilities?: readonly string[] | undefined
  readonly owner?:
    { readonly name?: string | undefined; readonly team?: string | undefined } | undefined
  readonly agent?:
    { readonly account?: string | undefined; readonly instance?: string | undefined } | undefined
  readonly environment?: string | undefined
  readonly params?: Readonly<Record<string, string>> | undefined
  /** Highest class that it may touch; absent: any. */
  readonly ceiling?: DataClass | undefined
  /** How many tasks are above it. */
  readonly depth?: number | undefined
  /** What nothing allows passes; no condition sees it. */
  readonly observe?: boolean | undefined
}

/** When a call is decided, and after what. */
export interface Moment {
  /** Epoch milliseconds. */
  readonly now: number
  /** The highest class that the tree of the task has read. */
  readonly read: DataClass
}

/** Describes a task for rules. */
export function factsOf(task: Task): TaskFacts {
  const { intent, labels, capabilities, owner, agent, environment, params, ceiling, path } = task
  const declared = { intent, ...(labels && { labels }), ...(capabilities && { capabilities }) }
  const depth = path.length - 1
  const observing = task.observe && { observe: true }
  return { ...declared, owner, agent, environment, params, ceiling, depth, ...observing }
}

/** Whether a class is more guarded than another. */
export function isAbove(one: DataClass, other: DataClass): boolean {
  return DATA_CLASSES.indexOf(one) > DATA_CLASSES.indexOf(other)
}
