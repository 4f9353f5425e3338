// Finds any of many random texts in a text, without case, in a fraction of a comparison per character. Knows nothing of
// placeholders or heads. Called by `screen.ts` and `body-scan.ts`.
//
// Of each text sought the four-character pieces at its beginning are kept; of the text searched only every n-th piece is
// looked at, n being such that no text sought fits between two looks. A look that meets compares the whole.

import assert from 'node:assert'

const PIECE = 4
// ASCII letters of both cases become one; what else this bit makes equal is told from them nowhere in random texts.
const CASE_BIT = 0x20

interface Sighting<T> {
  readonly text: string
  readonly offset: number
  readonly owner: T
}

/** Looks for several texts at once. */
export class TextFinder<T> {
  /** Characters of the longest text sought; 0 where there is none. */
  readonly lengthMax: number
  readonly #lengthMin: number
  readonly #stride: number
  readonly #sightings: ReadonlyMap<number, readonly Sighting<T>[]>

  /** @param texts with their owners; each of 16 characters at least, and random enough not to be met by accident */
  constructor(texts: Iterable<readonly [text: string, owner: T]>) {
    const all = [...texts]
    const lengths = all.map(([text]) => text.length)
    this.lengthMax = Math.max(0, ...lengths)
    this.#lengthMin = Math.min(Number.MAX_SAFE_INTEGER, ...lengths)
    assert(this.#lengthMin >= 16, 'texts long enough to be looked for by pieces')
    this.#stride = this.#lengthMin - PIECE + 1
    const sightings = new Map<number, Sighting<T>[]>()
    for (const [text, owner] of all)
      for (let offset = 0; offset < this.#stride; offset += 1) {
        const piece = pieceAt(text, offset)
        const others = sightings.get(piece)
        if (others) others.push({ text, offset, owner })
        else sightings.set(piece, [{ text, offset, owner }])
      }
    this.#sightings = sightings
  }

  /** Finds the owner of the first text that occurs; undefined where none does. */
  find(text: string): T | undefined {
    if (text.length < this.#lengthMin) return undefined
    for (let at = 0; at + PIECE <= text.length; at += this.#stride) {
      const sightings = this.#sightings.get(pieceAt(text, at))
      if (sightings === undefined) continue
      for (const sighting of sightings)
        if (occursAt(text, at - sighting.offset, sighting.text)) return sighting.owner
    }
    return undefined
  }
}

function pieceAt(text: string, at: number): number {
  return (
    ((text.charCodeAt(at) | CASE_BIT) << 24) |
    ((text.charCodeAt(at + 1) | CASE_BIT) << 16) |
    ((text.charCodeAt(at + 2) | CASE_BIT) << 8) |
    (text.charCodeAt(at + 3) | CASE_BIT)
  )
}

function occursAt(text: string, from: number, sought: string): boolean {
  if (from < 0 || from + sought.length > text.length) return false
  for (let at = 0; at < sought.length; at += 1)
    if ((text.charCodeAt(from + at) | CASE_BIT) !== (sought.charCodeAt(at) | CASE_BIT)) return false
  return true
}
