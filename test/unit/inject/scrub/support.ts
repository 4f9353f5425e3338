// What the tests of scrubbing share: ways to cut bytes, and a slow reading of what has to be masked that has nothing of the fast
// one but the forms of a value.

import { FormFinder } from '../../../../src/inject/scrub/form-finder.ts'
import { formsOf } from '../../../../src/inject/scrub/value-forms.ts'

export const VALUE = 'canary-Vq7/"x+2_k<9\\Zé'

export function finderFor(...values: readonly string[]): FormFinder {
  return new FormFinder(values.flatMap((value) => formsOf(value, value)))
}

/** Bytes as they are meant, one escape after the other, each with where it began and ended. */
interface Meant {
  readonly byte: number
  readonly from: number
  readonly to: number
}

const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }
const LETTERS: Readonly<Record<string, string>> = {
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
}
const plain = (text: string): Buffer => Buffer.from(text, 'latin1')
const character = (code: number): Buffer | undefined => {
  if (code > 0x10ffff) return undefined
  // As it would be written for a character, which half of a pair is none of.
  if (code >= 0xd800 && code <= 0xdfff)
    return Buffer.from([0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f)])
  return Buffer.from(String.fromCodePoint(code))
}
const READERS: readonly [RegExp, (match: readonly string[]) => Buffer | undefined][] = [
  [/%([0-9a-f]{2})/iy, ([, hex]) => Buffer.from(hex!, 'hex')],
  [
    /\\(?:u([0-9a-f]{4})|u\{([0-9a-f]{1,8})\}|x([0-9a-f]{2})|([bfnrt])|([ -/:-@[-`{-~]))/iy,
    ([, unit, braced, byte, letter, itself]) => {
      const code = unit ?? braced
      if (code !== undefined) return character(parseInt(code, 16))
      if (byte !== undefined) return Buffer.from(byte, 'hex')
      const meant = itself ?? LETTERS[letter!]
      return meant === undefined ? undefined : plain(meant)
    },
  ],
  [
    /&(?:#([0-9]{1,8})(?![0-9]);?|#x([0-9a-f]{1,8})(?![0-9a-f]);?|(apos);|(amp|lt|gt|quot);?)/iy,
    ([, decimal, hex, apostrophe, bare]) => {
      const name = apostrophe ?? bare
      if (name !== undefined) return plain(NAMED[name.toLowerCase()]!)
      return character(decimal === undefined ? parseInt(hex!, 16) : parseInt(decimal, 10))
    },
  ],
]

function meantBy(text: string, [pattern, read]: (typeof READERS)[number]): Meant[] {
  const all: Meant[] = []
  for (let at = 0; at < text.length;) {
    pattern.lastIndex = at
    const match = /^(?:\\[UX])/.test(text.slice(at, at + 2)) ? null : pattern.exec(text)
    const meant = match && read(match)
    const to = at + (meant ? match[0].length : 1)
    for (const byte of meant ?? plain(text[at]!)) all.push({ byte, from: at, to })
    at = to
  }
  return all
}

const folded = (bytes: Buffer): string =>
  bytes
    .toString('latin1')
    .replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase())
    .replaceAll(/[- ]/g, '+')
    .replaceAll('_', '/')

/** What has to come of bytes, found by looking everywhere for everything. */
export function scrubSlowly(bytes: Buffer, values: readonly string[]): Buffer {
  const out = Buffer.from(bytes)
  const text = bytes.toString('latin1')
  const asIs = Array.from(text, (one, at): Meant => ({
    byte: one.charCodeAt(0),
    from: at,
    to: at + 1,
  }))
  for (const read of [asIs, ...READERS.map((reader) => meantBy(text, reader))]) {
    const searched = folded(Buffer.from(read.map(({ byte }) => byte)))
    for (const { bytes: form } of values.flatMap((value) => formsOf(value, value))) {
      const sought = folded(Buffer.from(form))
      for (let at = searched.indexOf(sought); at >= 0; at = searched.indexOf(sought, at + 1))
        out.fill('*', read[at]!.from, read[at + sought.length - 1]!.to)
    }
  }
  return out
}

/** Cuts bytes at places. */
export function cutAt(bytes: Buffer, places: readonly number[]): Buffer[] {
  const cuts = [0, ...places.toSorted((one, other) => one - other), bytes.length]
  return cuts.slice(1).map((to, at) => bytes.subarray(cuts[at], to))
}
