// The ending saga: everything that registered itself is ended, item by item, each outcome written down before the next, so
// that an ending that was interrupted goes on where it was. Deliberately decides nothing: `registry.ts` has refused the
// task's calls before the saga begins (I10).

import path from 'node:path'

import { tearDown, type EndHook } from './sandbox.ts'
import type { TaskEntry } from './entry.ts'
import type { ReceiptSigner } from './receipt.ts'
import { StateLog } from './state-log.ts'
import type { Task } from './task.ts'
import type { Receipt, ReceiptItem } from './view.ts'

/** What of a task is to be ended. */
export interface EndingTask {
  readonly task: Task
  readonly credentialsUsed: ReadonlySet<string>
}

/** Something that ends with a task. It may be asked more than once. */
export interface EndsWithTask {
  readonly kind: ReceiptItem['kind']
  /**
   * Ends what there is of the task.
   * @param deadline by when, of `performance.now()`
   */
  end(ending: EndingTask, deadline: number): Promise<readonly ReceiptItem[]>
}

/** What the saga needs. */
export interface EndingOptions {
  readonly stateDir: string
  readonly participants: readonly EndsWithTask[]
  readonly hooks: ReadonlyMap<string, EndHook>
  readonly signer: ReceiptSigner
  /** Epoch milliseconds. */
  readonly now: () => number
  /** Told where an outcome cannot be written down; the ending goes on. */
  readonly onProblem: (error: unknown) => void
}

interface KeptEnding {
  readonly id: string
  readonly startedAt: string
  readonly items: readonly ReceiptItem[]
}

const ENDINGS_FILE = 'endings.ndjson'
// Live streams are cut within it.
const CUT_MS = 2000
const HOOKS_AT_ONCE = 32

/** Ends tasks. */
export class EndingSaga {
  readonly #options: EndingOptions
  readonly #log: StateLog<KeptEnding>
  readonly #waiting: (() => void)[] = []
  #running = 0

  /** @throws Error where the saga's journal cannot be read or written */
  constructor(options: EndingOptions) {
    this.#options = options
    this.#log = new StateLog(path.join(options.stateDir, ENDINGS_FILE), isKeptEnding)
  }

  /**
   * Runs an ending, or the rest of one, and signs what came of it.
   * @param children receipts of the tasks below, which end at the same time
   * @param mayTearDown false where others live in the sandbox
   */
  async run(
    entry: TaskEntry,
    children: Promise<readonly Receipt[]>,
    mayTearDown: boolean,
  ): Promise<Receipt> {
    const { participants, hooks, now } = this.#options
    const steps = this.#resume(entry)
    const ending = { task: entry.task, credentialsUsed: entry.credentialsUsed }
    const deadline = performance.now() + CUT_MS
    for (const participant of participants) {
      try {
        steps.add(...(await participant.end(ending, deadline)))
      } catch (error) {
        const detail = error instanceof Error ? error.message : String(error)
        steps.add({
          kind: participant.kind,
          name: participant.kind,
          outcome: 'failed',
          at: isoTime(now()),
          detail,
        })
      }
    }
    const done = steps.done('sandbox')
    if (mayTearDown && done?.outcome !== 'ended')
      steps.add(await this.#inTurn(() => tearDown(entry, hooks, () => isoTime(now()))))
    for (const receipt of await children)
      steps.add({
        kind: 'child',
        name: receipt.task,
        outcome: receipt.complete ? 'ended' : 'unconfirmed',
        at: receipt.endedAt,
      })
    return this.#sign(entry, steps)
  }

  /** Tells a sandbox to end once more. @returns the receipt that says so; undefined where it still has not */
  async retryTeardown(entry: TaskEntry): Promise<Receipt | undefined> {
    const { hooks, now } = this.#options
    const before = entry.kept.receipt
    if (before === undefined) return undefined
    const item = await tearDown(entry, hooks, () => isoTime(now()))
    return item.outcome === 'unconfirmed' ? undefined : this.amend(before, item)
  }

  /** Signs a receipt anew in which an item says what became of it since. */
  amend(before: Receipt, item: ReceiptItem): Receipt {
    const { signature: _, ...receipt } = before
    const others = receipt.items.filter((one) => keyOf(one) !== keyOf(item))
    const isKnown = others.length < receipt.items.length
    const items = isKnown
      ? receipt.items.map((one) => (keyOf(one) === keyOf(item) ? item : one))
      : [...others, item]
    const complete = items.every(isDone)
    return this.#options.signer.sign({ ...receipt, endedAt: item.at, complete, items })
  }

  /** Forgets the journal of an ending whose receipt is kept. */
  forget(taskId: string): void {
    this.#log.forget(taskId)
  }

  close(): void {
    this.#log.close()
  }

  // Many tasks may end at once; not so many hooks run at once.
  async #inTurn<Outcome>(run: () => Promise<Outcome>): Promise<Outcome> {
    if (this.#running >= HOOKS_AT_ONCE) await new Promise<void>((go) => this.#waiting.push(go))
    this.#running += 1
    try {
      return await run()
    } finally {
      this.#running -= 1
      this.#waiting.shift()?.()
    }
  }

  #sign(entry: TaskEntry, { startedAt, items }: Steps): Receipt {
    const { cause, actor, endReason } = entry.kept
    return this.#options.signer.sign({
      task: entry.id,
      cause,
      actor,
      ...(endReason !== undefined && { reason: endReason }),
      startedAt,
      endedAt: isoTime(this.#options.now()),
      complete: items.every(isDone),
      items,
    })
  }

  #resume(entry: TaskEntry): Steps {
    const before = this.#log.get(entry.id)
    const startedAt = before?.startedAt ?? isoTime(entry.kept.since)
    return new Steps(startedAt, before?.items ?? [], (items) => {
      try {
        this.#log.append({ id: entry.id, startedAt, items }, false)
      } catch (error) {
        this.#options.onProblem(error)
      }
    })
  }
}

// What has come of an ending so far. An outcome counts once: asked again after a crash, a part finds nothing left.
class Steps {
  readonly startedAt: string
  readonly #items: Map<string, ReceiptItem> = new Map()
  readonly #keep: (items: readonly ReceiptItem[]) => void

  constructor(
    startedAt: string,
    before: readonly ReceiptItem[],
    keep: (items: readonly ReceiptItem[]) => void,
  ) {
    this.startedAt = startedAt
    this.#keep = keep
    for (const item of before) this.#items.set(keyOf(item), item)
  }

  get items(): ReceiptItem[] {
    return [...this.#items.values()]
  }

  done(kind: ReceiptItem['kind']): ReceiptItem | undefined {
    return this.items.find((item) => item.kind === kind)
  }

  add(...added: readonly ReceiptItem[]): void {
    for (const item of added) {
      const before = this.#items.get(keyOf(item))
      if (before === undefined || item.outcome !== 'none' || !isSuccess(before))
        this.#items.set(keyOf(item), item)
    }
    // What found nothing finds nothing again after a crash.
    if (added.some(({ outcome }) => outcome !== 'none')) this.#keep(this.items)
  }
}

function keyOf({ kind, name, lease = '' }: ReceiptItem): string {
  return `${kind} ${name} ${lease}`
}

function isDone({ outcome }: ReceiptItem): boolean {
  return outcome !== 'unconfirmed' && outcome !== 'failed'
}

function isSuccess({ outcome }: ReceiptItem): boolean {
  return outcome === 'ended' || outcome === 'forgotten'
}

function isoTime(now: number): string {
  return new Date(now).toISOString()
}

function isKeptEnding(value: unknown): value is KeptEnding {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof Reflect.get(value, 'id') === 'string' &&
    typeof Reflect.get(value, 'startedAt') === 'string' &&
    Array.isArray(Reflect.get(value, 'items'))
  )
}
