// Finds any of many forms of values in bytes, in a fraction of a comparison a byte, and where one may have begun at their end.
// Knows neither secrets nor encodings. Called by `scrubber.ts` and `body-scan.ts`.
//
// Letters of both cases are one, `-` and space are `+`, `_` is `/`: either alphabet of base64, either case of hex, `+` for space.
// Of each form the four-byte pieces at its beginning are kept; of the bytes searched only every n-th piece is looked at, n being
// such that no form fits between two looks. A filter passes over most looks, by the bytes as they are but for one bit, which tells
// the cases of letters apart; one that meets compares the whole.

import assert from 'node:assert'

/** Bytes of a form of a value, at the least. */
export const FORM_BYTES_MIN = 16

const PIECE = 4
/** Bytes of any form: shorter ones would be looked for at every place. */
const BYTES_MIN = 8
/** Bytes between two looks, at the most: for each of them every form has a piece. */
const STRIDE_MAX = 32
const CASE_BITS = 0x20202020
const FILTER_BITS_MIN = 12
const FILTER_BITS_MAX = 18
/** As far as the filter counts. */
const GROUPS_MAX = 0xffff
// Knuth's multiplier: the upper bits of the product depend on all bits of the piece.
const SPREAD = 0x9e3779b1

const FOLDED: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) => foldOf(byte))
/** The other bytes that fold to one; but for letters. */
const SPELLINGS: ReadonlyMap<number, readonly number[]> = new Map([
  [0x2b, [0x2b, 0x2d, 0x20]],
  [0x2f, [0x2f, 0x5f]],
])

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
  readonly #stride: number
  /** By what spreads from a piece: which of the groups of sightings it may be of, 0 where it is of none. */
  readonly #filter: Uint16Array
  readonly #shift: number
  readonly #groups: readonly (readonly Sighting[])[]
  /** Beginnings shorter than a piece, with their lengths. */
  readonly #beginnings: ReadonlySet<number>

  /** @param forms one at least, each of 8 bytes at least */
  constructor(forms: readonly Form[]) {
    const folded = forms.map(({ bytes, owner }) => ({ bytes: fold(bytes), owner }))
    const lengths = folded.map(({ bytes }) => bytes.length)
    const shortest = Math.min(...lengths)
    assert(shortest >= BYTES_MIN, 'forms long enough to be looked for by pieces')
    this.lengthMax = Math.max(...lengths)
    this.#stride = Math.min(STRIDE_MAX, shortest - PIECE + 1)
    const bits = Math.ceil(Math.log2(forms.length * this.#stride * 32 + 1))
    const filterBits = Math.min(FILTER_BITS_MAX, Math.max(FILTER_BITS_MIN, bits))
    this.#shift = 32 - filterBits
    this.#filter = new Uint16Array(2 ** filterBits)
    const groups: Sighting[][] = [[]]
    const beginnings = new Set<number>()
    for (const { bytes, owner } of folded) {
      for (let offset = 0; offset < this.#stride; offset += 1)
        this.#note({ bytes, owner, offset }, groups)
      for (let length = 1; length < PIECE; length += 1) beginnings.add(startKey(bytes, 0, length))
    }
    this.#groups = groups
    this.#beginnings = beginnings
  }

  /** Tells of every place where a form stands, each once, in no order. */
  find(bytes: Uint8Array, from: number, to: number, onFound: OnFound): void {
    const filter = this.#filter
    const shift = this.#shift
    const stride = this.#stride
    const last = to - PIECE
    for (let at = from; at <= last; at += stride) {
      const group = filter[Math.imul(keyAt(bytes, at), SPREAD) >>> shift]!
      if (group === 0) continue
      for (const { bytes: form, owner, offset } of this.#groups[group]!) {
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
      const group = this.#filter[Math.imul(keyAt(bytes, at), SPREAD) >>> this.#shift]!
      if (group === 0) continue
      const length = to - at
      const isBegun = this.#groups[group]!.some(
        ({ bytes: form, offset }) =>
          offset === 0 && length < form.length && isAt(bytes, at, form, length),
      )
      if (isBegun) return at
    }
    for (; at < to; at += 1) if (this.#beginnings.has(startKey(bytes, at, to - at))) return at
    return to
  }

  // Under each way to write its piece; what spreads to the same place is looked at together, and so is what is too much to count.
  #note(sighting: Sighting, groups: Sighting[][]): void {
    const filter = this.#filter
    const numbers = keysOf(sighting.bytes, sighting.offset).map((key) => {
      const slot = Math.imul(key, SPREAD) >>> this.#shift
      if (filter[slot] === 0) {
        if (groups.length <= GROUPS_MAX) groups.push([])
        filter[slot] = groups.length - 1
      }
      return filter[slot]!
    })
    for (const number of new Set(numbers)) groups[number]!.push(sighting)
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

// What the filter knows a piece by, as it stands.
function keyAt(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]! | CASE_BITS
  )
}

// The same of every way to write a piece of a folded form.
function keysOf(form: Uint8Array, offset: number): number[] {
  let keys = [0]
  for (const byte of form.subarray(offset, offset + PIECE))
    keys = keys.flatMap((key) => (SPELLINGS.get(byte) ?? [byte]).map((one) => (key << 8) | one))
  return keys.map((key) => key | CASE_BITS)
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
