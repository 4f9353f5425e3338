// Finds the records that a receiver will never take where it only says that there is one among many: the batch is sent in
// pieces. A record is given up only where the same receiver takes others, in the same go or one that it had before: else it
// is the receiver, or its configuration, and not the record. Called by `otlp.ts` and `splunk.ts`.

import type { Deliver, Delivery, RefusedRecord, SinkRecord } from './delivery.ts'

/** One attempt may also come to this: something among the records is wrong. */
export interface Unfit {
  readonly outcome: 'unfit'
  /** Which, as the receiver says; checked, not believed. */
  readonly at?: number
  readonly detail: string
}

/** Sends records once. */
export interface Attempt {
  (records: readonly SinkRecord[], signal: AbortSignal): Promise<Delivery | Unfit>
}

type Stopped = Extract<Delivery, { readonly outcome: 'later' | 'refused' }>

/** Attempts for one batch; what is left then waits for the next delivery. */
const ATTEMPTS_MAX = 64

/** Makes a delivery of attempts. */
export function isolating(attempt: Attempt): Deliver {
  const control = new Control()
  return (records, signal) => new Isolation(attempt, records, control).run(signal)
}

/** A record that a receiver is known to have taken, to be sent once more where it is in doubt whether it takes any. */
export class Control {
  #record: SinkRecord | undefined

  /** Remembers one. */
  remember({ line, seq, id }: SinkRecord): void {
    // Of its own: the line is a part of all that was read with it.
    this.#record = { line: Buffer.from(line), seq, id }
  }

  /** Tells whether it is taken still; false where there is none. @throws Error of the attempt */
  async isTaken(attempt: Attempt, signal: AbortSignal): Promise<boolean> {
    if (this.#record === undefined) return false
    const result = await attempt([this.#record], signal)
    return result.outcome === 'taken' && !result.refused && !result.refusedCount
  }
}

class Isolation {
  readonly #attempt: Attempt
  readonly #control: Control
  readonly #refused: RefusedRecord[] = []
  /** Refused too, if it turns out that the receiver takes others. */
  readonly #suspects: RefusedRecord[] = []
  #pieces: (readonly SinkRecord[])[]
  #taken = 0
  #refusedCount = 0
  #detail = ''

  constructor(attempt: Attempt, records: readonly SinkRecord[], control: Control) {
    this.#attempt = attempt
    this.#control = control
    this.#pieces = [records]
  }

  async run(signal: AbortSignal): Promise<Delivery> {
    for (let attempts = 0; attempts < ATTEMPTS_MAX; attempts += 1) {
      const piece = this.#pieces.shift()
      if (piece === undefined) break
      const ending = await this.#deliver(piece, attempts === 0, signal)
      if (ending !== undefined) return ending
    }
    return this.#end({ outcome: 'later', afterMs: 0, detail: this.#detail }, signal)
  }

  /** Gives the end of the whole delivery, or undefined where it goes on. */
  async #deliver(
    piece: readonly SinkRecord[],
    isFirst: boolean,
    signal: AbortSignal,
  ): Promise<Delivery | undefined> {
    let result: Delivery | Unfit
    try {
      result = await this.#attempt(piece, signal)
    } catch (error) {
      if (isFirst || signal.aborted) throw error
      this.#pieces.unshift(piece)
      return this.#end({ outcome: 'later', detail: 'the connection failed' }, signal)
    }
    if (result.outcome === 'taken') {
      this.#taken += piece.length - (result.refused?.length ?? 0) - (result.refusedCount ?? 0)
      const [first] = piece
      if (first !== undefined && !result.refused && !result.refusedCount)
        this.#control.remember(first)
      this.#refusedCount += result.refusedCount ?? 0
      this.#refused.push(...(result.refused ?? []))
      this.#detail = result.detail ?? this.#detail
      return undefined
    }
    if (result.outcome === 'unfit') {
      this.#part(piece, result)
      return undefined
    }
    // Of what is too large the feed learns by itself, where it is all of the batch.
    if (isFirst) return result
    if (result.outcome === 'smaller') {
      this.#part(piece, { outcome: 'unfit', detail: 'too large' })
      return undefined
    }
    this.#pieces.unshift(piece)
    return this.#end(result, signal)
  }

  #part(piece: readonly SinkRecord[], { at, detail }: Unfit): void {
    this.#detail = detail
    const only = piece.length === 1 ? piece[0] : undefined
    if (only !== undefined) {
      this.#suspects.push({ id: only.id, seq: only.seq, detail })
      return
    }
    const isNamed = at !== undefined && Number.isSafeInteger(at) && at >= 0 && at < piece.length
    const cuts = isNamed ? [0, at, at + 1] : [0, piece.length >> 1]
    const parts = cuts.map((from, index) => piece.slice(from, cuts[index + 1]))
    this.#pieces.unshift(...parts.filter(({ length }) => length > 0))
  }

  /** @param stopped what it comes to where pieces are left */
  async #end(stopped: Stopped, signal: AbortSignal): Promise<Delivery> {
    const left = this.#pieces.flat()
    const isDoubtful = this.#taken === 0 && this.#suspects.length > 0
    if (isDoubtful && !(await this.#control.isTaken(this.#attempt, signal)))
      return { outcome: 'refused', detail: this.#detail }
    const refused = [...this.#refused, ...this.#suspects]
    const told = {
      ...(refused.length > 0 && { refused }),
      ...(this.#refusedCount > 0 && { refusedCount: this.#refusedCount }),
    }
    if (left.length === 0) {
      const isTold = this.#refusedCount > 0 && this.#detail !== ''
      return { outcome: 'taken', ...told, ...(isTold && { detail: this.#detail }) }
    }
    const detail = stopped.detail ?? this.#detail
    const afterMs = stopped.outcome === 'later' ? stopped.afterMs : undefined
    return { outcome: 'later', left, ...told, detail, ...(afterMs !== undefined && { afterMs }) }
  }
}
