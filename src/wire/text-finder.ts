// Finds any of many random texts in a text, without case, in a fraction of a comparison per character. Knows nothing of
// placeholders, secrets or heads. Called where placeholders are screened and where known secrets are masked.
//
// Of each text sought the four-character pieces at its beginning are kept; of the text searched only every n-th piece is
// looked at, n being such that no text sought fits between two looks. A look that meets compares the whole.

import assert from 'node:assert'

const PIECE = 4
/** Characters of a text that is sought, at the least. */
export const SOUGHT_LENGTH_MIN = 8
// ASCII letters of both cases become one; what else this bit makes equal is told from them nowhere in random texts.
const CASE_BIT = 0x20

/** Where a text that is sought stands. */
export interface Found<T> {
  readonly at: number
  readonly length: number
  readonly owner: T
}

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

  /** @param texts with their owners; each of 8 characters at least, and random enough not to be met by accident */
  constructor(texts: Iterable<readonly [text: string, owner: T]>) {
    const all = [...texts]
    const lengths = all.map(([text]) => text.length)
    this.lengthMax = Math.max(0, ...lengths)
    this.#lengthMin = Math.min(Number.MAX_SAFE_INTEGER, ...lengths)
    assert(this.#lengthMin >= SOUGHT_LENGTH_MIN, 'texts long enough to be looked for by pieces')
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
    return this.locate(text)?.owner
  }

  /** Finds where the first of them stands, behind a place; of two that meet there the one that begins first, the longer one. */
  locate(text: string, from = 0): Found<T> | undefined {
    if (text.length - from < this.#lengthMin) return undefined
    for (let at = from; at + PIECE <= text.length; at += this.#stride) {
      const sightings = this.#sightings.get(pieceAt(text, at))
      const found = sightings && firstOf(sightings, text, at, from)
      if (found !== undefined) return found
    }
    return undefined
  }

  /**
   * Finds where the beginning of one of them, 8 characters of it at least, is the end of a text: what is left of one that was cut
   * through. Undefined where there is none.
   */
  locateCut(text: string): Found<T> | undefined {
    const last = text.length - SOUGHT_LENGTH_MIN
    for (let at = Math.max(0, text.length - this.lengthMax); at <= last; at += 1) {
      const length = text.length - at
      const found = this.#sightings
        .get(pieceAt(text, at))
        ?.find(({ text: sought, offset }) => offset === 0 && occursAt(text, at, sought, length))
      if (found !== undefined) return { at, length, owner: found.owner }
    }
    return undefined
  }
}

function firstOf<T>(
  sightings: readonly Sighting<T>[],
  text: string,
  seenAt: number,
  from: number,
): Found<T> | undefined {
  let first: Found<T> | undefined
  for (const { text: sought, offset, owner } of sightings) {
    const at = seenAt - offset
    if (at < from || !occursAt(text, at, sought)) continue
    const isFirst = first === undefined || at < first.at
    if (isFirst || (at === first?.at && sought.length > first.length))
      first = { at, length: sought.length, owner }
  }
  return first
}

function pieceAt(text: string, at: number): number {
  return (
    ((text.charCodeAt(at) | CASE_BIT) << 24) |
    ((text.charCodeAt(at + 1) | CASE_BIT) << 16) |
    ((text.charCodeAt(at + 2) | CASE_BIT) << 8) |
    (text.charCodeAt(at + 3) | CASE_BIT)
  )
}

// Of the text that is sought so many characters.
function occursAt(
  text: string,
  from: number,
  sought: string,
  length: number = sought.length,
): boolean {
  if (from < 0 || from + length > text.length || length > sought.length) return false
  for (let at = 0; at < length; at += 1)
    if ((text.charCodeAt(from + at) | CASE_BIT) !== (sought.charCodeAt(at) | CASE_BIT)) return false
  return true
}

/**
 * Lists texts of which one occurs wherever another text does in base64: what base64 makes of it at each of the three ways in
 * which it can lie across groups of three bytes, without the characters that its neighbours have a share in.
 */
export function base64TracesOf(text: string): string[] {
  return [0, 1, 2].map((before) => {
    const length = before + text.length
    const encoded = Buffer.from(text.padStart(length, ' '), 'latin1').toString('base64')
    return encoded.slice(Math.ceil((before * 8) / 6), Math.floor((length * 8) / 6))
  })
}

/** Lists texts of which one occurs wherever another text, of a placeholder's letters and digits, does: as it is, in hex, in base64. */
export function tracesOf(text: string): string[] {
  return [text, Buffer.from(text, 'latin1').toString('hex'), ...base64TracesOf(text)]
}
