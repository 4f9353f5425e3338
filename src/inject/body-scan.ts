// Finds placeholders in a body that streams by, across chunk borders, whatever way it is cut: as they are, in hex and in base64.
// Deliberately not in compressed or escaped bodies: they are worthless there and only worth an alert. Called by `watch-body.ts`.

import type { HeldPlaceholder } from '../credentials/placeholder.ts'
import { tracesOf } from '../wire/text-finder.ts'
import { FormFinder } from './scrub/form-finder.ts'

/** Placeholders by their text, with what of each is random. */
type Placeholders = ReadonlyMap<string, Pick<HeldPlaceholder, 'pieces'>>

const NOTHING = new Uint8Array(0)
const NONE: ReadonlySet<string> = new Set()

const finders = new WeakMap<Placeholders, FormFinder>()

/** Looks for any of some placeholders in a stream of chunks. */
export class PlaceholderScan {
  readonly #finder: FormFinder | undefined
  /** The end of what went before: too short to hold a placeholder, long enough to begin one. */
  #tail: Uint8Array = NOTHING

  /** @param placeholders the same map as long as they are the same */
  constructor(placeholders: Placeholders) {
    this.#finder = placeholders.size === 0 ? undefined : finderOf(placeholders)
  }

  /** Gives the placeholders seen with this chunk, whole or ending in it, in their order and none twice. */
  push(chunk: Uint8Array): ReadonlySet<string> {
    const finder = this.#finder
    if (finder === undefined) return NONE
    const seen: { readonly at: number; readonly owner: string }[] = []
    const overlap = finder.lengthMax - 1
    const border = Buffer.concat([this.#tail, chunk.subarray(0, overlap)])
    finder.find(border, 0, border.length, (at, _length, owner) => seen.push({ at, owner }))
    const before = this.#tail.length
    finder.find(chunk, 0, chunk.length, (at, _length, owner) => {
      seen.push({ at: before + at, owner })
    })
    this.#tail = Uint8Array.from((chunk.length < overlap ? border : chunk).subarray(-overlap))
    if (seen.length === 0) return NONE
    return new Set(seen.sort((one, other) => one.at - other.at).map(({ owner }) => owner))
  }
}

function finderOf(placeholders: Placeholders): FormFinder {
  let finder = finders.get(placeholders)
  if (finder === undefined) {
    finder = new FormFinder(
      [...placeholders].flatMap(([owner, { pieces }]) =>
        pieces.flatMap(tracesOf).map((trace) => ({ bytes: Buffer.from(trace, 'latin1'), owner })),
      ),
    )
    finders.set(placeholders, finder)
  }
  return finder
}
