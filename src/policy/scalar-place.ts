// Where a character of a YAML scalar's value stands in the file: through quotes, escapes, folded lines and the indentation of
// blocks. Exact for everything but white space, which YAML adds and takes away; that is placed beside its neighbour. Pure;
// called by `yaml-text.ts`.

/** A scalar as it is written. */
export interface WrittenScalar {
  /** The whole file. */
  readonly text: string
  /** Of the scalar, its quotes or block header included. */
  readonly start: number
  readonly end: number
  /** As the parser names it; undefined: plain. */
  readonly style: string | undefined
  readonly value: string
}

const HEX_DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 }
// Escapes that stand for white space, and a line that goes on.
const BLANK_ESCAPES = ' \t\n\rnrtvfLP_'

/** Finds the offset in the file of an offset in the value; behind its end: the end of what is written. */
export function offsetInFile(scalar: WrittenScalar, offset: number): number {
  const wanted = countInk(scalar.value, offset)
  const isBlank = offset >= scalar.value.length || /\s/.test(scalar.value[offset] ?? ' ')
  let seen = 0
  let last = contentStart(scalar)
  for (const { at, length, ink } of inkIn(scalar)) {
    if (ink === 0) continue
    if (!isBlank && seen + ink > wanted) return at
    seen += ink
    last = at + length
    if (isBlank && seen >= wanted) return wanted === 0 ? at : last
  }
  return last
}

// Characters before an offset that are no white space.
function countInk(text: string, end: number): number {
  let ink = 0
  for (let at = 0; at < Math.min(end, text.length); at += 1) if (/\S/.test(text[at]!)) ink += 1
  return ink
}

function contentStart({ text, start, style }: WrittenScalar): number {
  if (style === 'QUOTE_DOUBLE' || style === 'QUOTE_SINGLE') return start + 1
  if (style !== 'BLOCK_FOLDED' && style !== 'BLOCK_LITERAL') return start
  const line = text.indexOf('\n', start)
  return line < 0 ? text.length : line + 1
}

/** What stands for one piece of the value. */
interface Piece {
  readonly at: number
  readonly length: number
  /** Characters of the value, white space aside. */
  readonly ink: number
}

function* inkIn(scalar: WrittenScalar): Generator<Piece> {
  const { text, style } = scalar
  const isQuoted = style === 'QUOTE_DOUBLE' || style === 'QUOTE_SINGLE'
  const end = isQuoted ? scalar.end - 1 : scalar.end
  for (let at = contentStart(scalar); at < end;) {
    const piece = readPiece(text, at, style)
    yield piece
    at += piece.length
  }
}

function readPiece(text: string, at: number, style: string | undefined): Piece {
  const character = text[at] ?? ''
  if (style === 'QUOTE_DOUBLE' && character === '\\') return readEscape(text, at)
  // In single quotes a quote is written twice.
  const length = style === 'QUOTE_SINGLE' && character === "'" ? 2 : 1
  return { at, length, ink: countInk(character, 1) }
}

function readEscape(text: string, at: number): Piece {
  const kind = text[at + 1] ?? ''
  const digits = HEX_DIGITS[kind]
  if (digits === undefined) return { at, length: 2, ink: BLANK_ESCAPES.includes(kind) ? 0 : 1 }
  const code = Number.parseInt(text.slice(at + 2, at + 2 + digits), 16)
  const character = Number.isNaN(code) || code > 0x10_ff_ff ? '' : String.fromCodePoint(code)
  return { at, length: 2 + digits, ink: countInk(character, character.length) }
}
