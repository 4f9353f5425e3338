// A task as records define it: what of its definition decides on its calls, read from the record of its beginning and from those of
// what an approver added to it. Pure. Called by `find.ts` and by whoever decides a journal again.

import type { TaskFacts } from '../../policy/facts.ts'
import { declarationOf } from '../../tasks/intent.ts'
import { DATA_CLASSES, type DataClass } from '../../tasks/task.ts'
import type { RecordBody, RecordTask } from '../body.ts'

/** What of a task decides on its calls. */
export interface DefinedTask {
  readonly rules: readonly string[]
  readonly params: Readonly<Record<string, string>>
  /** Undefined where it is not known. */
  readonly environment: string | undefined
  /** What nothing allows passes. */
  readonly observe?: boolean
  /** What else of it rules may look at. */
  readonly facts?: TaskFacts
}

/**
 * What the record of a task's beginning says of its definition; undefined where it is none.
 * @param task as the record names it
 */
export function readDefinition(value: unknown, task?: RecordTask): DefinedTask | undefined {
  if (!isObject(value)) return undefined
  const { rules, params, environment, ceiling, intent, capabilities, labels, observe } = value
  if (typeof environment !== 'string') return undefined
  const values = textsIn(params)
  const facts: TaskFacts = {
    ...(typeof intent === 'string' && { intent }),
    ...(capabilities !== undefined && { capabilities: textsOf(capabilities) }),
    ...(labels !== undefined && { labels: textsIn(labels) }),
    ...(isClass(ceiling) && { ceiling }),
    ...(task && {
      owner: { name: task.owner, team: task.team },
      agent: { account: task.agent, instance: task.instance },
      depth: task.path.length - 1,
    }),
  }
  return {
    rules: textsOf(rules),
    params: values,
    environment,
    facts,
    ...(observe === true && { observe }),
  }
}

/** The task with what a `task-intent-extended` adds to it; undefined where a record is none. */
export function extendDefinition(
  known: DefinedTask,
  { event, sallyport: { detail = {} } }: RecordBody,
): DefinedTask | undefined {
  if (event.action !== 'task-intent-extended') return undefined
  const { facts = {} } = known
  const { intent, capabilities, labels } = detail
  return {
    ...known,
    facts: {
      ...facts,
      ...(typeof intent === 'string' && { intent }),
      ...(capabilities !== undefined && {
        capabilities: [...new Set([...(facts.capabilities ?? []), ...textsOf(capabilities)])],
      }),
      ...(labels !== undefined && { labels: { ...facts.labels, ...textsIn(labels) } }),
    },
  }
}

const digests = new WeakMap<TaskFacts, string>()

/** The digest by which records name what a task declares; undefined where that is not known. */
export function digestOfFacts(facts: TaskFacts): string | undefined {
  const { intent, capabilities, labels } = facts
  if (intent === undefined) return undefined
  let digest = digests.get(facts)
  if (digest === undefined) {
    digest = declarationOf({ intent, capabilities, labels }).intentDigest
    digests.set(facts, digest)
  }
  return digest
}

function isClass(value: unknown): value is DataClass {
  return DATA_CLASSES.some((each) => each === value)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function textsIn(value: unknown): Record<string, string> {
  const entries = isObject(value) ? Object.entries(value) : []
  return Object.fromEntries(
    entries.flatMap(([name, text]) => (typeof text === 'string' ? [[name, text]] : [])),
  )
}

/** The texts of a list; none where it is no list. */
export function textsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : []
}
