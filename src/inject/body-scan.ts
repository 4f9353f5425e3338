// Finds placeholders in a body that streams by, across chunk borders, whatever way it is cut: as they are, in hex and in base64.
// Deliberately not in compressed or escaped bodies: they are worthless there and only worth an alert. Called by `watch-body.ts`.

import type { HeldPlaceholder } from '../credentials/placeholder.ts'
import { TextFinder, tracesOf } from '../wire/text-finder.ts'

/** Looks for any of some placeholders in a stream of chunks. */
export class PlaceholderScan {
  readonly #finder: TextFinder<string>
  /** The end of what went before: too short to hold a placeholder, long enough to begin one. */
  #tail: string = ''

  /** @param placeholders by their text, with what of each is random */
  constructor(
    placeholders: Iterable<readonly [text: string, held: Pick<HeldPlaceholder, 'pieces'>]>,
  ) {
    this.#finder = new TextFinder(
      [...placeholders].flatMap(([text, { pieces }]) =>
        pieces.flatMap(tracesOf).map((trace) => [trace, text] as const),
      ),
    )
  }

  /** Gives the placeholders seen with this chunk, whole or ending in it, in their order and none twice. */
  push(chunk: Uint8Array): ReadonlySet<string> {
    const text = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength).toString('latin1')
    const overlap = Math.max(0, this.#finder.lengthMax - 1)
    const border = this.#tail + text.slice(0, overlap)
    const seen = new Set<string>()
    this.#find(border, seen)
    this.#find(text, seen)
    this.#tail = overlap === 0 ? '' : (text.length < overlap ? border : text).slice(-overlap)
    return seen
  }

  #find(text: string, seen: Set<string>): void {
    let found = this.#finder.locate(text)
    while (found !== undefined) {
      seen.add(found.owner)
      found = this.#finder.locate(text, found.at + found.length)
    }
  }
}
