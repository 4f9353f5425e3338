// The `call-started` records of the calls that have not ended, by call id, in a table that is written over in place.
// Deliberately no Map: one that lives long and changes with every call leaves its outgrown tables among the old objects,
// and until the next full collection these keep alive, and have copied, what every call of theirs held. Called by
// `writer.ts`.

/** Where in the first text of a call what the second repeats begins and ends. */
export interface TextParts {
  /** From here to `addressAt`: rule, source, and the destination's name. */
  readonly ruleAt: number
  readonly addressAt: number
  /** From here to `bytesAt`: the destination's port, the URL, and the request up to its bytes. */
  readonly portAt: number
  readonly bytesAt: number
  /** From here to `credentialAt`: the user agent, the trace, and `sallyport` up to the decision. */
  readonly agentAt: number
  readonly credentialAt: number
}

/** A record that opens a call. */
export interface OpenStart {
  readonly callId: string
  /** JSON without chain. */
  readonly text: string
  /** For one that `call-text.ts` made. */
  readonly parts: TextParts | undefined
}

const CAPACITY_MIN = 64

/** Characters at the end of an id that tell it from others: all of the random part that differs within a millisecond. */
const TELLING_CHARACTERS = 8

/** The starts of open calls. */
export class OpenStarts {
  /** Open addressing: a start stands at its hash or behind it, with no gap between. At most half full. */
  #places: (OpenStart | undefined)[] = emptyPlaces(CAPACITY_MIN)
  #size = 0

  /** The start of an open call. */
  get(callId: string): OpenStart | undefined {
    return this.#places[this.#placeOf(callId)]
  }

  /** Opens a call, or replaces what opened it. */
  add(start: OpenStart): void {
    if ((this.#size + 1) * 2 > this.#places.length) this.#grow()
    const at = this.#placeOf(start.callId)
    if (this.#places[at] === undefined) this.#size += 1
    this.#places[at] = start
  }

  /** Closes a call; one that is not open stays so. */
  delete(callId: string): void {
    const places = this.#places
    const mask = places.length - 1
    let gap = this.#placeOf(callId)
    if (places[gap] === undefined) return
    this.#size -= 1
    for (let at = (gap + 1) & mask; ; at = (at + 1) & mask) {
      const start = places[at]
      if (start === undefined) break
      // What stands further from its hash than the gap does moves up into it.
      const distance = (at - hashOf(start.callId)) & mask
      if (distance < ((at - gap) & mask)) continue
      places[gap] = start
      gap = at
    }
    places[gap] = undefined
  }

  /** All open calls, in no order. */
  *[Symbol.iterator](): Generator<OpenStart> {
    for (const start of this.#places) if (start !== undefined) yield start
  }

  #placeOf(callId: string): number {
    const places = this.#places
    const mask = places.length - 1
    let at = hashOf(callId) & mask
    for (;;) {
      const start = places[at]
      if (start === undefined || start.callId === callId) return at
      at = (at + 1) & mask
    }
  }

  #grow(): void {
    const starts = [...this]
    this.#places = emptyPlaces(this.#places.length * 2)
    for (const start of starts) this.#places[this.#placeOf(start.callId)] = start
  }
}

function emptyPlaces(length: number): undefined[] {
  return Array.from({ length }, () => undefined)
}

function hashOf(callId: string): number {
  let hash = 0
  for (let at = Math.max(0, callId.length - TELLING_CHARACTERS); at < callId.length; at += 1)
    hash = (Math.imul(hash, 31) + callId.charCodeAt(at)) | 0
  return hash
}
