// Reads JSON so that nobody behind us can read it differently: what two parsers could take for different values is refused.
// Deliberately not lenient in anything and not streaming: the bytes are whole. One pass over the text checks it, `parseJson`
// makes the value. Called by every recogniser of this room.

import { Buffer } from 'node:buffer'

import { EgressError } from '../errors.ts'
import { parseJson } from '../wire/parse-json.ts'
import type { JsonValue } from './fields.ts'

const DEPTH_MAX = 64
// What reading costs goes by the number of values, of which a byte or two can be one each.
const VALUES_MAX = 500_000
// Nobody writes a double longer than this; one that is longer is only work for who reads it.
const NUMBER_LENGTH_MAX = 128
// A double tells 17 decimal digits apart, and no more.
const DIGITS_MAX = 17
const SMALLEST_NORMAL = 2.2250738585072014e-308
// Integers of at most so many digits are safe whatever the digits are.
const SAFE_DIGITS_MAX = 15
// Below this a list is faster than a set.
const FEW_KEYS_MAX = 8

const QUOTE = 0x22
const COMMA = 0x2c
const MINUS = 0x2d
const POINT = 0x2e
const ZERO = 0x30
const ONE = 0x31
const NINE = 0x39
const COLON = 0x3a
const OPEN_ARRAY = 0x5b
const BACKSLASH = 0x5c
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const NUMBER_PARTS = /^-?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,3}))?$/
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})/y
const LITERALS = ['true', 'false', 'null'] as const

// A byte order mark is looked at, not dropped.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Reads bytes that are one value of JSON and nothing else.
 *
 * Refused besides what the grammar refuses: bytes that are not UTF-8, a byte order mark, a key twice in an object (compared
 * unescaped), the key `__proto__` and keys with U+0000, escapes of lone surrogates, numbers that are read differently by
 * who has other numbers than doubles (beyond ±(2^53-1), more than 17 digits, a fraction that rounds to an integer,
 * subnormal, the integer `-0`), more than 500,000 values and keys.
 * @param depthMax arrays and objects in each other, 64 where it is not given
 * @returns a value whose objects have `Object.prototype`: ask them with `Object.hasOwn`
 * @throws malformed-body with `why` and `at`, the offset in bytes
 */
export function readJson(bytes: Uint8Array, depthMax: number = DEPTH_MAX): JsonValue {
  const text = decode(bytes)
  const scanner = new Scanner(text, depthMax)
  scanner.scan()
  const value: JsonValue = scanner.hasEscapedKey ? parseJson(text) : JSON.parse(text)
  return value
}

function decode(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw refusal('utf-8', findFirstFault(bytes))
  }
}

function findFirstFault(bytes: Uint8Array): number {
  const mended = Buffer.from(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString())
  return bytes.findIndex((byte, at) => byte !== mended[at])
}

function refusal(why: string, at: number): EgressError {
  return new EgressError('malformed-body', { part: 'json', why, at })
}

// The keys of an object that is being read.
class Keys {
  readonly #few: string[] = []
  #many: Set<string> | undefined

  /** @returns false where it is there already */
  add(key: string): boolean {
    if (this.#many) return this.#many.size !== this.#many.add(key).size
    if (this.#few.includes(key)) return false
    this.#few.push(key)
    if (this.#few.length > FEW_KEYS_MAX) this.#many = new Set(this.#few)
    return true
  }
}

// Goes over the text once and throws where it is to be refused. Nesting is a list, not recursion.
class Scanner {
  readonly #text: string
  readonly #depthMax: number
  // What is open, from the outside on: the keys of an object, null for an array.
  readonly #open: (Keys | null)[] = []
  #at = 0
  #values = 0
  #hasEscapedKey = false

  constructor(text: string, depthMax: number) {
    this.#text = text
    this.#depthMax = depthMax
  }

  /** Whether a key of it is written with an escape. */
  get hasEscapedKey(): boolean {
    return this.#hasEscapedKey
  }

  scan(): void {
    if (this.#text.startsWith('\uFEFF')) throw refusal('bom', 0)
    do {
      this.#skipSpace()
      while (this.#opensContainer()) this.#skipSpace()
    } while (!this.#isOverAfterValue())
  }

  // Reads a scalar, an empty container, or the beginning of one up to its first value.
  #opensContainer(): boolean {
    const code = this.#text.charCodeAt(this.#at)
    this.#count()
    if (code === QUOTE) this.#scanString()
    else if (code === OPEN_OBJECT || code === OPEN_ARRAY)
      return this.#openContainer(code === OPEN_OBJECT)
    else if (code === MINUS || (code >= ZERO && code <= NINE)) this.#scanNumber(code)
    else this.#scanLiteral()
    return false
  }

  #openContainer(isObject: boolean): boolean {
    if (this.#open.length >= this.#depthMax) throw this.#refusal('depth')
    this.#at += 1
    this.#skipSpace()
    if (this.#text.charCodeAt(this.#at) === (isObject ? CLOSE_OBJECT : CLOSE_ARRAY)) {
      this.#at += 1
      return false
    }
    const keys = isObject ? new Keys() : null
    this.#open.push(keys)
    if (keys) this.#scanKey(keys)
    return true
  }

  // Reads what stands between a value and the next one.
  #isOverAfterValue(): boolean {
    for (;;) {
      this.#skipSpace()
      const keys = this.#open.at(-1)
      if (keys === undefined) {
        if (this.#at < this.#text.length) throw this.#refusal('trailing')
        return true
      }
      const code = this.#text.charCodeAt(this.#at)
      if (code === COMMA) {
        this.#at += 1
        if (keys) {
          this.#skipSpace()
          this.#scanKey(keys)
        }
        return false
      }
      if (code !== (keys ? CLOSE_OBJECT : CLOSE_ARRAY)) throw this.#refusal('grammar')
      this.#at += 1
      this.#open.pop()
    }
  }

  #scanKey(keys: Keys): void {
    const start = this.#at
    this.#count()
    if (this.#text.charCodeAt(start) !== QUOTE) throw this.#refusal('grammar')
    const hasEscapes = this.#scanString()
    const key: string = hasEscapes
      ? JSON.parse(this.#text.slice(start, this.#at))
      : this.#text.slice(start + 1, this.#at - 1)
    this.#hasEscapedKey ||= hasEscapes
    if (hasEscapes && key.includes('\0')) throw this.#refusal('nul in key', start)
    // Some readers drop it, some refuse it, some make it the prototype.
    if (key === '__proto__') throw this.#refusal('proto key', start)
    if (!keys.add(key)) throw this.#refusal('duplicate key', start)
    this.#skipSpace()
    if (this.#text.charCodeAt(this.#at) !== COLON) throw this.#refusal('grammar')
    this.#at += 1
  }

  /** @returns whether it has escapes */
  #scanString(): boolean {
    const text = this.#text
    const { length } = text
    let hasEscapes = false
    let at = this.#at + 1
    while (at < length) {
      const code = text.charCodeAt(at)
      if (code === QUOTE) {
        this.#at = at + 1
        return hasEscapes
      }
      if (code === BACKSLASH) {
        hasEscapes = true
        at = this.#scanEscape(at)
      } else if (code < 0x20) throw this.#refusal('control', at)
      else at += 1
    }
    throw this.#refusal('end', length)
  }

  #scanEscape(at: number): number {
    const unit = this.#readEscapedUnit(at)
    const end = at + (unit === undefined ? 2 : 6)
    if (unit === undefined || unit < 0xd800 || unit > 0xdfff) return end
    const low = unit < 0xdc00 ? this.#readEscapedUnit(end) : undefined
    if (low === undefined || low < 0xdc00 || low > 0xdfff) throw this.#refusal('surrogate', at)
    return end + 6
  }

  // The code unit of a `\u` escape, undefined for the short escapes and for what is none.
  #readEscapedUnit(at: number): number | undefined {
    if (this.#text.charCodeAt(at) !== BACKSLASH) return undefined
    ESCAPE.lastIndex = at
    if (!ESCAPE.test(this.#text)) throw this.#refusal('escape', at)
    return ESCAPE.lastIndex === at + 6
      ? Number.parseInt(this.#text.slice(at + 2, at + 6), 16)
      : undefined
  }

  #scanNumber(first: number): void {
    const start = this.#at
    let at = start
    if (first >= ONE)
      while (this.#text.charCodeAt(at) >= ZERO && this.#text.charCodeAt(at) <= NINE) at += 1
    const next = this.#text.charCodeAt(at)
    if (at > start && at - start <= SAFE_DIGITS_MAX && next !== POINT && (next | 0x20) !== 0x65) {
      this.#at = at
      return
    }
    NUMBER.lastIndex = start
    if (!NUMBER.test(this.#text)) throw this.#refusal('grammar')
    this.#at = NUMBER.lastIndex
    if (this.#at - start > NUMBER_LENGTH_MAX || !isSameForAll(this.#text.slice(start, this.#at)))
      throw this.#refusal('number', start)
  }

  #scanLiteral(): void {
    const literal = LITERALS.find((word) => this.#text.startsWith(word, this.#at))
    if (literal === undefined) throw this.#refusal(this.#at < this.#text.length ? 'grammar' : 'end')
    this.#at += literal.length
  }

  #skipSpace(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at)
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return
      this.#at += 1
    }
  }

  #count(): void {
    this.#values += 1
    if (this.#values > VALUES_MAX) throw this.#refusal('values')
  }

  #refusal(why: string, at: number = this.#at): EgressError {
    return refusal(why, Buffer.byteLength(this.#text.slice(0, at)))
  }
}

// Whether all who read the number read the same one, doubles or not.
function isSameForAll(source: string): boolean {
  if (source === '-0') return false
  const parts = NUMBER_PARTS.exec(source)
  if (!parts) return false
  const [, whole = '', fraction = '', exponent = '0'] = parts
  const digits = (whole + fraction).replace(/^0+/, '')
  if (digits === '') return true
  const significant = digits.replace(/0+$/, '')
  const isInteger = Number(exponent) - fraction.length + digits.length - significant.length >= 0
  const value = Math.abs(Number(source))
  if (significant.length > DIGITS_MAX || value < SMALLEST_NORMAL) return false
  return value <= Number.MAX_SAFE_INTEGER && Number.isInteger(value) === isInteger
}
