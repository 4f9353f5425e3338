// Who acted in a bundle, with what, and what was reached: sandbox, agent, workload identity, credentials and owner of every task,
// its children, its states and its end. Counted record by record. Pure. Called by `derive.ts`.

import type { RecordBody, RecordTask } from '../body.ts'
import { SummaryCounter, type Summary } from '../read/summary.ts'

/** One step in a task's life. */
interface LifeStep {
  readonly time: string
  readonly action: string
  readonly to: string | undefined
  readonly cause: string | undefined
  readonly actor: string | undefined
  readonly reason: string | undefined
}

/** A task with what is bound to it. */
interface InventoryTask {
  readonly id: string
  readonly parent: string | undefined
  readonly path: readonly string[]
  readonly sandbox: { readonly id: string; readonly image: string | undefined }
  readonly agent: { readonly account: string; readonly instance: string }
  readonly identity: {
    readonly subject: string | undefined
    readonly sources: readonly string[]
    readonly sourcesSeen: readonly string[]
  }
  readonly owner: { readonly name: string; readonly team: string }
  readonly principal: string | undefined
  readonly autonomous: boolean
  readonly delegation: RecordTask['delegation']
  /** `sha256:` of the intent. */
  readonly intent: string
  /** Its definition as far as it decides on calls; absent where the beginning is not in the bundle. */
  readonly definition: Readonly<Record<string, unknown>> | undefined
  readonly life: readonly LifeStep[]
}

/** What `inventory.json` holds. */
export interface Inventory {
  readonly tasks: readonly InventoryTask[]
  /** Tasks beyond those that are listed. */
  readonly tasksOmitted: number
  readonly activity: Summary
}

interface Gathered {
  readonly task: RecordTask
  definition: Readonly<Record<string, unknown>> | undefined
  readonly sourcesSeen: Set<string>
  readonly life: LifeStep[]
}

const TASKS_MAX = 1000
const STEPS_MAX = 1000
const SOURCES_MAX = 100

/** Gathers an inventory. */
export class InventoryCounter {
  readonly #tasks: Map<string, Gathered> = new Map()
  readonly #omitted: Set<string> = new Set()
  readonly #summary = new SummaryCounter()

  /** Counts one record. */
  add(record: RecordBody): void {
    this.#summary.add(record)
    const { task } = record.sallyport
    if (task === undefined) return
    const gathered = this.#gather(task)
    if (gathered === undefined) return
    const { source, event } = record
    if (source?.ip !== undefined && gathered.sourcesSeen.size < SOURCES_MAX)
      gathered.sourcesSeen.add(source.ip)
    if (!event.action.startsWith('task-') || gathered.life.length >= STEPS_MAX) return
    gathered.life.push(stepOf(record))
    const definition = record.sallyport.detail?.['definition']
    if (isObject(definition)) gathered.definition = definition
  }

  /** What was gathered. */
  inventory(): Inventory {
    return {
      tasks: [...this.#tasks.values()].map(describeTask),
      tasksOmitted: this.#omitted.size,
      activity: this.#summary.summary(),
    }
  }

  #gather(task: RecordTask): Gathered | undefined {
    const known = this.#tasks.get(task.id)
    if (known !== undefined) return known
    if (this.#tasks.size >= TASKS_MAX) {
      if (this.#omitted.size < TASKS_MAX * TASKS_MAX) this.#omitted.add(task.id)
      return undefined
    }
    const begun = { task, definition: undefined, sourcesSeen: new Set<string>(), life: [] }
    this.#tasks.set(task.id, begun)
    return begun
  }
}

function stepOf({ '@timestamp': time, event, sallyport: { detail } }: RecordBody): LifeStep {
  const text = (name: string): string | undefined => {
    const value = detail?.[name]
    return typeof value === 'string' ? value : undefined
  }
  return {
    time,
    action: event.action,
    to: text('to'),
    cause: text('cause'),
    actor: text('actor'),
    reason: text('reason'),
  }
}

function describeTask({ task, definition, sourcesSeen, life }: Gathered): InventoryTask {
  const { subject, sources, image } = definition ?? {}
  return {
    id: task.id,
    parent: task.path.at(-2),
    path: task.path,
    sandbox: { id: task.sandbox, image: typeof image === 'string' ? image : undefined },
    agent: { account: task.agent, instance: task.instance },
    identity: {
      subject: typeof subject === 'string' ? subject : undefined,
      sources: Array.isArray(sources) ? sources.filter((each) => typeof each === 'string') : [],
      sourcesSeen: [...sourcesSeen],
    },
    owner: { name: task.owner, team: task.team },
    principal: task.principal,
    autonomous: task.autonomous,
    delegation: task.delegation,
    intent: task.intent,
    definition,
    life,
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}
