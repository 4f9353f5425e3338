// Records that wait for the next write, and the one promise that all of them share. Called by `journal.ts` only.

import { NO_SECRETS, Redactor } from '../../inspect/redactor.ts'
import type { RecordBody, RecordChain } from '../body.ts'
import { eventRecord } from '../ecs.ts'
import type { TextParts } from './open-starts.ts'
import { redactRecord } from '../redact-record.ts'
import { recordText } from '../text.ts'

const KNOWS_NONE = new Redactor(NO_SECRETS)

/** A record on its way to the disk. */
export interface QueuedRecord {
  /** JSON without chain. */
  readonly text: string
  readonly action: string
  readonly callId: string | undefined
  /** The task in whose own chain it stands as well. */
  readonly taskId: string | undefined
  /** For a start that `call-text.ts` made. */
  readonly parts: TextParts | undefined
  /** Makes the text that is written instead, not much longer, where a record tells its own place; anew after a failure. */
  readonly late: ((place: RecordChain) => string) | undefined
}

/** The shared promise of all records appended within one turn of the event loop. */
export interface Batch {
  readonly written: Promise<void>
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** Makes the next batch's promise. */
export function makeBatch(): Batch {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  // An event that nobody waits for must not end the process; the journal itself counts and tells the failure.
  promise.catch(() => undefined)
  return { written: promise, resolve, reject }
}

/**
 * Turns a record into what is queued: nothing is text before secrets are out of it.
 * @param redactor default: one that knows none, and masks what looks like one
 */
export function queuedRecord(record: RecordBody, redactor: Redactor = KNOWS_NONE): QueuedRecord {
  return {
    text: recordText(redactRecord(record, redactor)),
    action: record.event.action,
    callId: record.sallyport.call?.id,
    taskId: record.sallyport.task?.id,
    parts: undefined,
    late: undefined,
  }
}

const NOT_OWED = new Set(['call-started', 'call-progress', 'message-allowed', 'checkpoint'])

/**
 * Tells whether a record whose write failed is owed, that is kept and written as soon as the disk takes writes again.
 * A call that could not be recorded as started does not start, a message that could not be recorded is not passed on,
 * progress is no loss, and the next checkpoint says more than one that is late.
 */
export function isOwed(action: string): boolean {
  return !NOT_OWED.has(action)
}

/**
 * Tells whether a record is taken at any bound: there are no more ends than calls that were allowed to start, few keys, and
 * what tells that segments go, or what a sink did not get, makes room.
 */
export function isAlwaysTaken(action: string): boolean {
  return (
    action === 'call-ended' ||
    action.startsWith('task-') ||
    action.startsWith('sink-') ||
    action === 'checkpoint-key' ||
    action === 'journal-segments-deleted'
  )
}

/** By which member of their detail counts are told apart. */
const COUNTED_BY: ReadonlyMap<string, string> = new Map([
  ['call-denied-repeated', 'reasons'],
  ['message-denied-repeated', 'reasons'],
  ['dns-denied-repeated', 'reasons'],
  ['alerts-repeated', 'names'],
  ['message-allowed-repeated', 'kinds'],
])

/** Exact numbers of refusals and messages that could not be recorded one by one. */
export class RepeatedCounts {
  #byAction = new Map<string, Map<string, number>>()

  /** Tells whether there is nothing to report. */
  get isEmpty(): boolean {
    return this.#byAction.size === 0
  }

  /** Counts one refused call, message or DNS query, one alert, or all of a record that is itself a count. */
  add({ event: { action, kind, reason }, sallyport }: RecordBody): void {
    if (action === 'call-denied' || action === 'message-denied' || action === 'dns-denied')
      this.#add(`${action}-repeated`, reason ?? 'internal', 1)
    const { detection, detail } = sallyport
    if (detection !== undefined && kind === 'alert') {
      const told = action === detection.name ? 1 : Number(detail?.['count'] ?? 1)
      this.#add('alerts-repeated', detection.name, told)
    }
    const counts: unknown = detail?.[COUNTED_BY.get(action) ?? '']
    if (typeof counts !== 'object' || counts === null) return
    for (const [name, count] of Object.entries(counts)) this.#add(action, name, Number(count))
  }

  /** Makes the records that tell the counts, and begins anew. @param now epoch milliseconds */
  take(now: number): QueuedRecord[] {
    const taken = [...this.#byAction].map(([action, counts]) => {
      const count = [...counts.values()].reduce((sum, one) => sum + one, 0)
      const detail = { count, [COUNTED_BY.get(action) ?? 'reasons']: Object.fromEntries(counts) }
      return queuedRecord(eventRecord(action, { now, detail }))
    })
    this.#byAction = new Map()
    return taken
  }

  #add(action: string, name: string, count: number): void {
    const counts = this.#byAction.get(action) ?? new Map<string, number>()
    counts.set(name, (counts.get(name) ?? 0) + count)
    this.#byAction.set(action, counts)
  }
}
