// The escapes in which text says its bytes: percent, JSON's and a script's backslash, HTML's entities. Each reads one escape and
// says what it stands for, how long it is, or that its end has not come. Pure; called by `unescape.ts`.

/** Added to what an escape means where that is a byte and no character. */
export const BYTE = 0x200000

/** What stands at a place: `size` bytes that mean `code`; size 0: no escape, -1: one whose end has not come. */
export interface Escape {
  code: number
  size: number
}

/** A way to escape. */
export interface Escaping {
  /** The byte that begins every escape. */
  readonly marker: number
  /** Reads what begins at a marker. @param isLast nothing comes behind `to` */
  read(bytes: Uint8Array, at: number, to: number, escape: Escape, isLast: boolean): void
}

const NONE = 0
const CUT = -1
const NUMBER_DIGITS_MAX = 8
const SEMICOLON = 0x3b
const HASH = 0x23
const LETTER_U = 0x75
const BRACE = 0x7b
const BRACE_END = 0x7d
const CODE_MAX = 0x10ffff
const LETTER_X = 0x78
// By their bytes as one number; none begins with another.
const NAMES: ReadonlyMap<number, number> = new Map(
  ['&amp', '<lt', '>gt', '"quot', "'apos"].map((pair) => [
    Number(`0x${Buffer.from(pair.slice(1)).toString('hex')}`),
    pair.charCodeAt(0),
  ]),
)
const NAME_LENGTH_MAX = 4
/** The only one that HTML does not know without its semicolon. */
const APOSTROPHE = 0x27
// What a byte behind a backslash means, all but letters and digits itself; 0 where nothing.
const BEHIND_BACKSLASH = Uint8Array.from({ length: 256 }, (_, byte) =>
  /[ -/:-@[-`{-~]/.test(String.fromCharCode(byte)) ? byte : 0,
)
for (const pair of ['b\b', 'f\f', 'n\n', 'r\r', 't\t'])
  BEHIND_BACKSLASH[pair.charCodeAt(0)] = pair.charCodeAt(1)

/** `%41`. */
const PERCENT: Escaping = {
  marker: 0x25,
  read: (bytes, at, to, escape) => readDigits(bytes, at, at + 1, 2, to, escape),
}

/** `\u0041`, `\u{41}`, `\x41`, `\/`. */
const BACKSLASH: Escaping = {
  marker: 0x5c,
  read(bytes, at, to, escape) {
    escape.size = at + 1 === to ? CUT : NONE
    if (escape.size === CUT) return
    const letter = bytes[at + 1]!
    if (letter === LETTER_U && bytes[at + 2] === BRACE) readBraced(bytes, at, to, escape)
    else if (letter === LETTER_U) readDigits(bytes, at, at + 2, 4, to, escape)
    else if (letter === LETTER_X) readDigits(bytes, at, at + 2, 2, to, escape)
    else {
      escape.code = BEHIND_BACKSLASH[letter]!
      escape.size = escape.code === 0 ? NONE : 2
    }
  },
}

/** `&quot;`, `&#65;`, `&#x41;`; without the semicolon, as browsers bear it, too. */
const ENTITY: Escaping = {
  marker: 0x26,
  read(bytes, at, to, escape, isLast) {
    escape.size = at + 1 === to ? CUT : NONE
    if (escape.size === CUT) return
    if (bytes[at + 1] === HASH) readNumber(bytes, at, to, escape, isLast)
    else readName(bytes, at, to, escape, isLast)
  },
}

/** All of them. */
export const ESCAPINGS: readonly Escaping[] = [PERCENT, BACKSLASH, ENTITY]

function readDigits(
  bytes: Uint8Array,
  at: number,
  from: number,
  digits: number,
  to: number,
  escape: Escape,
): void {
  let code = 0
  for (let digit = from; digit < from + digits; digit += 1) {
    if (digit >= to) {
      escape.size = CUT
      return
    }
    const value = digitOf(bytes[digit]!)
    if (value < 0) {
      escape.size = NONE
      return
    }
    code = code * 16 + value
  }
  escape.code = digits === 2 ? BYTE + code : code
  escape.size = from + digits - at
}

function readBraced(bytes: Uint8Array, at: number, to: number, escape: Escape): void {
  const from = at + 3
  const last = Math.min(to, from + NUMBER_DIGITS_MAX)
  let code = 0
  let end = from
  for (; end < last; end += 1) {
    const value = digitOf(bytes[end]!)
    if (value < 0) break
    code = code * 16 + value
  }
  escape.code = code
  if (end === to) escape.size = CUT
  else if (bytes[end] === BRACE_END && end > from && code <= CODE_MAX) escape.size = end + 1 - at
  else escape.size = NONE
}

function readNumber(
  bytes: Uint8Array,
  at: number,
  to: number,
  escape: Escape,
  isLast: boolean,
): void {
  const isHex = at + 2 < to && (bytes[at + 2]! | 0x20) === LETTER_X
  const base = isHex ? 16 : 10
  const from = at + (isHex ? 3 : 2)
  let code = 0
  let end = from
  for (; end < to; end += 1) {
    const value = digitOf(bytes[end]!)
    if (value < 0 || value >= base) break
    code = code * base + value
    if (end - from === NUMBER_DIGITS_MAX) {
      escape.size = NONE
      return
    }
  }
  escape.code = code
  if (end === to && !isLast) escape.size = CUT
  else if (end > from && code <= CODE_MAX) endEntity(bytes, at, end, to, escape, isLast)
  else escape.size = NONE
}

function readName(
  bytes: Uint8Array,
  at: number,
  to: number,
  escape: Escape,
  isLast: boolean,
): void {
  let name = 0
  for (let letter = at + 1; letter <= at + NAME_LENGTH_MAX; letter += 1) {
    if (letter >= to) {
      escape.size = CUT
      return
    }
    const lower = bytes[letter]! | 0x20
    if (lower < 0x61 || lower > 0x7a) break
    name = name * 256 + lower
    const code = NAMES.get(name)
    if (code !== undefined) {
      escape.code = code
      endEntity(bytes, at, letter + 1, to, escape, isLast)
      return
    }
  }
  escape.size = NONE
}

// With its semicolon, where there is one.
function endEntity(
  bytes: Uint8Array,
  at: number,
  end: number,
  to: number,
  escape: Escape,
  isLast: boolean,
): void {
  const isEnded = end < to && bytes[end] === SEMICOLON
  if (end === to && !isLast) escape.size = CUT
  else if (isEnded) escape.size = end + 1 - at
  else escape.size = escape.code === APOSTROPHE && bytes[at + 1] !== HASH ? NONE : end - at
}

function digitOf(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const letter = byte | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1
}
