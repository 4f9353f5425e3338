// Records in order, put together to calls that can be decided again: a message with its call, a call with what was said in it.
// Bounded: what is open at one time. Pure. Called by `cli/verify-decisions.ts` and `cli/replay.ts`.

import type { RecordBody } from '../body.ts'
import type { FoundCall } from './find.ts'

interface Open {
  call: RecordBody | undefined
  readonly said: RecordBody[]
}

const OPEN_MAX = 20_000
const SAID_MAX = 1000

/** Puts records together. */
export class CallStream {
  readonly #open: Map<string, Open> = new Map()

  /** Takes the next record. @returns what can be decided again with it */
  add(record: RecordBody): readonly FoundCall[] {
    const { call, message } = record.sallyport
    if (call === undefined) return []
    const { action } = record.event
    if (message === undefined && !action.startsWith('call-')) return []
    const open = this.#openOf(call.id)
    if (message !== undefined) {
      if (open.said.length < SAID_MAX) open.said.push(record)
      return open.call === undefined ? [] : this.#messageOf(record, open.call)
    }
    const isFirst = open.call === undefined
    open.call ??= record
    // Messages of a call that was refused are written before it is.
    const early = isFirst ? open.said.flatMap((said) => this.#messageOf(said, record)) : []
    if (action !== 'call-ended' && action !== 'call-denied') return early
    this.#open.delete(call.id)
    const messages = open.said.filter(
      ({ sallyport }) => sallyport.message?.direction === 'to-server',
    )
    return [...early, { record, messages, around: undefined }]
  }

  /** What is still open, as far as it is on record. */
  finish(): readonly FoundCall[] {
    const open = [...this.#open.values()]
    this.#open.clear()
    return open.flatMap(({ call, said }) => {
      if (call === undefined) return []
      const messages = said.filter(({ sallyport }) => sallyport.message?.direction === 'to-server')
      return [{ record: call, messages, around: undefined }]
    })
  }

  #messageOf(record: RecordBody, around: RecordBody): FoundCall[] {
    return [{ record, messages: [], around }]
  }

  #openOf(id: string): Open {
    let open = this.#open.get(id)
    if (open !== undefined) return open
    open = { call: undefined, said: [] }
    if (this.#open.size < OPEN_MAX) this.#open.set(id, open)
    return open
  }
}
