// Finds any of many forms of values in bytes, in a fraction of a comparison a byte, and where one may have begun at their end.
// Knows neither secrets nor encodings. Called by `scrubber.ts`.
//
// Letters of both cases are one, `-` and space are `+`, `_` is `/`: either alphabet of base64, either case of hex, `+` for space.
// Of each form the four-byte pieces at its beginning are kept; of the bytes searched only every n-th piece is looked at, n being
// such that no form fits between two looks. A look that meets compares the whole.

import assert from 'node:assert'

/** Bytes of a form, at the least. */
export const FORM_BYTES_MIN = 16

const PIECE = 4
const STRIDE = FORM_BYTES_MIN - PIECE + 1
const FILTER_BITS_MIN = 12
const FILTER_BITS_MAX = 18
// Knuth's multiplier: the upper bits of the product depend on all bits of the piece.
const SPREAD = 0x9e3779b1

const FOLDED: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) => foldOf(byte))

/** A form that is looked for, and whose it is. */
export interface Form {
  readonly bytes: Uint8Array
  readonly owner: string
}

/** Told of each place where a form stands. */
export type OnFound = (at: number, length: number, owner: string) => void

interface Sighting extends Form {
  readonly offset: number
}

/** Looks for several forms at once. */
export class FormFinder {
  /** Bytes of the longest form. */
  readonly lengthMax: number
  readonly #filter: Uint8Array
  readonly #shift: number
  readonly #sightings: ReadonlyMap<number, readonly Sighting[]>
  /** Beginnings shorter than a piece, with their lengths. */
  readonly #beginnings: ReadonlySet<number>

  /** @param forms each of 16 bytes at least */
  constructor(forms: readonly Form[]) {
    const sightings = new Map<number, Sighting[]>()
    const beginnings = new Set<number>()
    const folded = forms.map(({ bytes, owner }) => ({ bytes: fold(bytes), owner }))
    for (const { bytes, owner } of folded) {
      assert(bytes.length >= FORM_BYTES_MIN, 'forms long enough to be looked for by pieces')
      for (let offset = 0; offset < STRIDE; offset += 1) {
        const piece = pieceAt(bytes, offset)
        const others = sightings.get(piece)
        if (others) others.push({ bytes, owner, offset })
        else sightings.set(piece, [{ bytes, owner, offset }])
      }
      for (let length = 1; length < PIECE; length += 1) beginnings.add(startKey(bytes, 0, length))
    }
    const bits = Math.ceil(Math.log2(sightings.size * 32 + 1))
    const filterBits = Math.min(FILTER_BITS_MAX, Math.max(FILTER_BITS_MIN, bits))
    this.#shift = 32 - filterBits
    this.#filter = new Uint8Array(2 ** filterBits)
    for (const piece of sightings.keys()) this.#filter[Math.imul(piece, SPREAD) >>> this.#shift] = 1
    this.lengthMax = Math.max(...folded.map(({ bytes }) => bytes.length))
    this.#sightings = sightings
    this.#beginnings = beginnings
  }

  /** Tells of every place where a form stands, each once, in no order. */
  find(bytes: Uint8Array, from: number, to: number, onFound: OnFound): void {
    const filter = this.#filter
    const shift = this.#shift
    for (let at = from; at + PIECE <= to; at += STRIDE) {
      const piece = pieceAt(bytes, at)
      if (filter[Math.imul(piece, SPREAD) >>> shift] === 0) continue
      for (const { bytes: form, owner, offset } of this.#sightings.get(piece) ?? []) {
        const start = at - offset
        if (start >= from && start + form.length <= to && isAt(bytes, start, form, form.length))
          onFound(start, form.length, owner)
      }
    }
  }

  /** Where the longest end of some bytes begins that is the beginning of a form; `to` where none is. */
  beginning(bytes: Uint8Array, from: number, to: number): number {
    const last = to - PIECE
    let at = Math.max(from, to - this.lengthMax + 1)
    for (; at <= last; at += 1) {
      const piece = pieceAt(bytes, at)
      if (this.#filter[Math.imul(piece, SPREAD) >>> this.#shift] === 0) continue
      const length = to - at
      const isBegun = this.#sightings
        .get(piece)
        ?.some(
          ({ bytes: form, offset }) =>
            offset === 0 && length < form.length && isAt(bytes, at, form, length),
        )
      if (isBegun === true) return at
    }
    for (; at < to; at += 1) if (this.#beginnings.has(startKey(bytes, at, to - at))) return at
    return to
  }
}

function foldOf(byte: number): number {
  if (byte >= 0x41 && byte <= 0x5a) return byte | 0x20
  if (byte === 0x2d || byte === 0x20) return 0x2b
  return byte === 0x5f ? 0x2f : byte
}

function fold(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte) => FOLDED[byte]!)
}

function pieceAt(bytes: Uint8Array, at: number): number {
  return (
    (FOLDED[bytes[at]!]! << 24) |
    (FOLDED[bytes[at + 1]!]! << 16) |
    (FOLDED[bytes[at + 2]!]! << 8) |
    FOLDED[bytes[at + 3]!]!
  )
}

function startKey(bytes: Uint8Array, from: number, length: number): number {
  let key = length
  for (let at = 0; at < length; at += 1) key = key * 256 + FOLDED[bytes[from + at]!]!
  return key
}

function isAt(bytes: Uint8Array, from: number, form: Uint8Array, length: number): boolean {
  for (let at = 0; at < length; at += 1) if (FOLDED[bytes[from + at]!]! !== form[at]!) return false
  return true
}
