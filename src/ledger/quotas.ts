// What tasks may do in numbers: the limits of tasks, of their tools, and of rules as tasks use them, each charged to the task
// and to every task above it. A call takes from all of them or from none, in one go; what it took is on the disk (as the
// journal is: it survives the process) before anything leaves. Deliberately knows no rules: which of them owe what is
// `policy/`'s matter. Asked by `clear.ts` for every call that is allowed; ends with each task.

import { hash } from 'node:crypto'
import path from 'node:path'

import { EgressError } from '../errors.ts'
import type { Limits } from '../limits.ts'
import { LIMIT_NAMES } from '../tasks/limits-schema.ts'
import { StateLog } from '../tasks/state-log.ts'
import type { CallLimits, Task, TaskLimits } from '../tasks/task.ts'
import type { LimitUse } from '../tasks/view.ts'
import type { RawHeaders } from '../wire/body.ts'
import { Charge, type Due } from './charge.ts'
import { isKeptMeter, type KeptMeter } from './kept-meter.ts'
import { Meter, type LimitName } from './meter.ts'
import type { Unit } from './owed.ts'
import { QuotaClock, type Clocks } from './quota-clock.ts'
import { ToolLimits } from './tool-limits.ts'

/** What quotas need. */
export interface QuotaOptions {
  /** Directory of the state. */
  readonly dir: string
  readonly limits: Pick<Limits, 'quotaCountersPerTaskMax'>
  /** Asked for when the first call comes. */
  readonly clocks: () => Clocks
  /** Of a task that is held; those above a caller's own are asked for. */
  readonly limitsOf: (taskId: string) => TaskLimits | undefined
  /** Told of every refusal. */
  readonly onRefused: (limit: LimitName | 'counters') => void
  /** Told where what is used could not be written down: the call is refused then. */
  readonly onProblem: (error: unknown) => void
}

/** What a call asks for before it leaves. */
export interface Asked {
  readonly task: Pick<Task, 'id' | 'path' | 'limits'>
  /** Of the rules that allow it. */
  readonly quotas: Unit['quotas']
  /** What it counts as, where not one call. */
  readonly units: readonly Unit[] | undefined
  /** Undefined: a tunnel, whose bytes are all its own. */
  readonly head: Head | undefined
  /** Bytes of the body, as far as they are known. */
  readonly bodyBytes: number
}

/** A request's head, as far as its length goes. */
interface Head {
  readonly method: string
  readonly path: { readonly raw: string }
  readonly query: string | undefined
  readonly headers: RawHeaders
}

const FILE = 'quotas.ndjson'
const OWN = 'task'
const PURGE_EVERY_MS = 1000
// Colon and space, or the end of the line.
const FIELD_BYTES = 2

interface Book {
  readonly meters: Map<string, Meter>
  purgedAt: number
}

/** The quotas of one sidecar. */
export class Quotas {
  readonly #options: QuotaOptions
  readonly #log: StateLog<KeptMeter>
  readonly #books: Map<string, Book> = new Map()
  readonly #clock: QuotaClock
  readonly #tools = new ToolLimits()

  /** @throws Error where the file cannot be read, or a line of it is not what was written: what was used must stay so */
  constructor(options: QuotaOptions) {
    this.#options = options
    this.#clock = new QuotaClock(options.clocks)
    this.#log = new StateLog(path.join(options.dir, FILE), isKeptMeter)
    for (const kept of this.#log.values()) {
      if (kept.isGone === true) this.#log.forget(kept.id)
      else {
        const [taskId, key] = splitId(kept.id)
        this.#bookOf(taskId).meters.set(key, new Meter(kept.id, kept))
      }
    }
  }

  /**
   * Takes what a call needs of every limit that it counts against.
   * @returns undefined where there is none
   * @throws quota-exceeded, nothing is taken then; audit-unavailable where it cannot be written down
   */
  take(asked: Asked): Charge | undefined {
    const { task, quotas, units } = asked
    if (quotas === undefined && task.limits === undefined && task.path.length === 1)
      return undefined
    const dues = this.#duesOf(task, units !== undefined && units.length > 0 ? units : [{ quotas }])
    if (dues.length === 0) return undefined
    const charge = new Charge(dues, {
      taskId: task.id,
      now: () => this.#clock.now(),
      write: (lines) => this.#write(lines),
      onRefused: this.#options.onRefused,
    })
    charge.begin(lengthOf(asked.head), asked.bodyBytes)
    return charge
  }

  /** How the limits of a task stand; in the order of their names. */
  useOf(taskId: string, limits: TaskLimits): readonly LimitUse[] {
    const meters = this.#books.get(taskId)?.meters
    const now = this.#clock.now()
    const show = (key: string, of: CallLimits, tool?: string): LimitUse[] =>
      LIMIT_NAMES.flatMap((name) => {
        const max = of[name]
        if (max === undefined) return []
        const used = meters?.get(key)?.usedOf(name, now) ?? 0
        return [{ name, ...(tool !== undefined && { tool }), max, used }]
      })
    return [
      ...show(OWN, limits),
      ...Object.entries(limits.tools ?? {}).flatMap(([pattern, of]) =>
        show(toolKey(pattern), of, pattern),
      ),
    ]
  }

  /** Forgets what a task used. @returns how many counters that were */
  forget(taskId: string): number {
    const book = this.#books.get(taskId)
    if (book === undefined) return 0
    this.#books.delete(taskId)
    const ids = Array.from(book.meters.values(), (meter) => {
      meter.isGone = true
      return meter.id
    })
    this.#drop(ids)
    return ids.length
  }

  /** Writes down exactly what is used, and closes the file. */
  close(): void {
    const lines: KeptMeter[] = []
    const now = this.#books.size === 0 ? 0 : this.#clock.now()
    for (const { meters } of this.#books.values())
      for (const meter of meters.values()) {
        const line = meter.settle(now)
        if (line === undefined) continue
        lines.push(line)
        // What would come now would have to be written, and is refused.
        meter.cover(line)
      }
    try {
      if (lines.length > 0) this.#log.appendAll(lines, false)
    } catch (error) {
      this.#options.onProblem(error)
    }
    this.#log.close()
  }

  #duesOf(task: Asked['task'], units: readonly Unit[]): readonly Due[] {
    const dues: Due[] = []
    const owe = (
      unit: Unit,
      taskId: string,
      key: string,
      limits: CallLimits,
      of: Due['of'],
    ): void => {
      const known = dues.find((due) => due.key === key && due.taskId === taskId)
      if (known === undefined)
        dues.push({
          taskId,
          key,
          limits,
          of,
          calls: 1,
          unit,
          meter: this.#meterOf(taskId, key, dues),
        })
      // One message counts once, by however many of its names the rule allows it.
      else if (known.unit !== unit) {
        known.unit = unit
        known.calls += 1
      }
    }
    for (const unit of units) {
      const { quotas, tool } = unit
      for (const taskId of task.path) {
        const limits = taskId === task.id ? task.limits : this.#options.limitsOf(taskId)
        if (limits === undefined) continue
        owe(unit, taskId, OWN, limits, { kind: 'task' })
        if (tool === undefined || limits.tools === undefined) continue
        for (const { pattern, of } of this.#tools.find(limits.tools, tool))
          owe(unit, taskId, toolKey(pattern), of, { kind: 'tool' })
      }
      for (const { rule, limits, ancestor = 0 } of quotas ?? []) {
        const taskId = task.path.at(-1 - ancestor) ?? task.id
        const name = `${rule.ruleset}/${rule.id}`
        const key = limits.perTool === true ? `rule ${name} ${digestOf(tool)}` : `rule ${name}`
        owe(unit, taskId, key, limits, { kind: 'rule', rule: name })
      }
    }
    return dues
  }

  #meterOf(taskId: string, key: string, dues: readonly Due[]): Meter {
    const book = this.#bookOf(taskId)
    const known = book.meters.get(key)
    if (known !== undefined) return known
    this.#makeRoom(book, dues)
    const meter = new Meter(`${taskId} ${key}`, undefined)
    book.meters.set(key, meter)
    return meter
  }

  // Names of tools are a stranger's choice: how many of them are counted has an end.
  #makeRoom(book: Book, dues: readonly Due[]): void {
    const { quotaCountersPerTaskMax } = this.#options.limits
    if (book.meters.size < quotaCountersPerTaskMax) return
    const now = this.#clock.now()
    if (now - book.purgedAt >= PURGE_EVERY_MS) {
      book.purgedAt = now
      // What the call itself is about to be charged to must still be counted after it.
      const due = new Set(dues.map(({ meter }) => meter))
      const empty = [...book.meters].filter(([, meter]) => !due.has(meter) && meter.isEmpty(now))
      for (const [key] of empty) book.meters.delete(key)
      this.#drop(empty.map(([, { id }]) => id))
    }
    if (book.meters.size < quotaCountersPerTaskMax) return
    this.#options.onRefused('counters')
    throw new EgressError('quota-exceeded', { limit: 'counters' })
  }

  #bookOf(taskId: string): Book {
    let book = this.#books.get(taskId)
    if (book === undefined) {
      book = { meters: new Map(), purgedAt: Number.NEGATIVE_INFINITY }
      this.#books.set(taskId, book)
    }
    return book
  }

  #write(lines: readonly KeptMeter[]): void {
    try {
      this.#log.appendAll(lines, false)
    } catch (error) {
      this.#options.onProblem(error)
      throw new EgressError('audit-unavailable', { part: 'quotas' }, { cause: error })
    }
  }

  // What cannot be written is kept for longer than it has to be.
  #drop(ids: readonly string[]): void {
    const written = ids.filter((id) => this.#log.get(id) !== undefined)
    if (written.length === 0) return
    try {
      this.#log.appendAll(
        written.map((id) => ({ id, isGone: true })),
        false,
      )
    } catch (error) {
      this.#options.onProblem(error)
      return
    }
    for (const id of written) this.#log.forget(id)
  }
}

// As it came, give or take the version: what the sandbox chose is what counts.
function lengthOf(head: Head | undefined): number {
  if (head === undefined) return 0
  let bytes = head.method.length + head.path.raw.length + (head.query?.length ?? 0)
  for (const text of head.headers) bytes += text.length + FIELD_BYTES
  return bytes
}

function toolKey(pattern: string): string {
  return `tool ${pattern}`
}

// A tool's name is as long as a stranger likes.
function digestOf(tool = ''): string {
  return hash('sha256', tool, 'base64url')
}

function splitId(id: string): [taskId: string, key: string] {
  const space = id.indexOf(' ')
  return [id.slice(0, space), id.slice(space + 1)]
}
