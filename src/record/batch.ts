// Records that wait for the next write, and the one promise that all of them share. Called by `journal.ts` only.

import type { RecordBody } from './body.ts'
import type { TextParts } from './open-starts.ts'
import { recordText } from './text.ts'

/** A record on its way to the disk. */
export interface QueuedRecord {
  /** JSON without chain. */
  readonly text: string
  readonly action: string
  readonly callId: string | undefined
  /** For a start that `call-text.ts` made. */
  readonly parts: TextParts | undefined
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

/** Turns a record into what is queued. */
export function queuedRecord(record: RecordBody): QueuedRecord {
  return {
    text: recordText(record),
    action: record.event.action,
    callId: record.sallyport.call?.id,
    parts: undefined,
  }
}

/**
 * Tells whether a record whose write failed is owed, that is kept and written as soon as the disk takes writes again.
 * A call that could not be recorded as started does not start, and its progress is no loss.
 */
export function isOwed(action: string): boolean {
  return action !== 'call-started' && action !== 'call-progress'
}

/** Tells whether a record is taken at any bound: there are no more ends than calls that were allowed to start. */
export function isAlwaysTaken(action: string): boolean {
  return action === 'call-ended' || action.startsWith('task-')
}

/** Exact numbers of refusals that could not be recorded one by one. */
export class DenialCount {
  #byReason = new Map<string, number>()

  /** Tells whether there is nothing to report. */
  get isEmpty(): boolean {
    return this.#byReason.size === 0
  }

  /** Counts one refused call, or all of a record that is itself a count. */
  add(record: RecordBody): void {
    if (record.event.action === 'call-denied') this.#addReason(record.event.reason ?? 'internal', 1)
    if (record.event.action !== 'call-denied-repeated') return
    const reasons: unknown = record.sallyport.detail?.['reasons']
    if (typeof reasons !== 'object' || reasons === null) return
    for (const [reason, count] of Object.entries(reasons)) this.#addReason(reason, Number(count))
  }

  /** Hands the counts over and begins anew. */
  take(): { count: number; reasons: Record<string, number> } {
    let count = 0
    for (const number of this.#byReason.values()) count += number
    const reasons = Object.fromEntries(this.#byReason)
    this.#byReason = new Map()
    return { count, reasons }
  }

  #addReason(reason: string, count: number): void {
    this.#byReason.set(reason, (this.#byReason.get(reason) ?? 0) + count)
  }
}
