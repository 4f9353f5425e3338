// Texts by a seed, close to JSON, and what readers make of them. Not a test itself; used by `json.test.ts` and by
// `test/fuzz/json.ts`.

import {
  array,
  boolean,
  constant,
  constantFrom,
  dictionary,
  double,
  integer,
  letrec,
  oneof,
  sample,
  string,
  tuple,
  type Arbitrary,
} from 'fast-check'

import { EgressError } from '../../../src/errors.ts'
import type { JsonValue } from '../../../src/inspect/fields.ts'
import { readJson } from '../../../src/inspect/json.ts'
import { EVASIONS, latin1 } from './json-evasions.ts'
import { describe, readWithParse, readWithPython, type Heard } from './json-readers.ts'

/** What a comparison has come to. */
export interface Comparison {
  readonly accepted: number
  /** Texts of which the others make different values. */
  readonly differing: number
  /** How many others there are. */
  readonly readers: number
  /** Texts that ours accepts and some other does not, or as another value. */
  readonly failures: readonly string[]
}

const number = oneof(
  integer(),
  double({ noNaN: true, noDefaultInfinity: true, min: -1e15, max: 1e15 }),
)
/** Any value with numbers that all can hold. */
export const jsonValue: Arbitrary<JsonValue> = letrec<{ value: JsonValue }>((tie) => ({
  value: oneof(
    { maxDepth: 4, depthSize: 'small', withCrossShrink: true },
    constant(null),
    boolean(),
    number,
    string({ unit: 'binary' }),
    array(tie('value'), { maxLength: 5 }),
    dictionary(string({ unit: 'grapheme', maxLength: 4 }), tie('value'), { maxKeys: 5 }),
  ),
})).value

const PIECES = [
  '"', '\\', '\\u', '\\u0000', '\\u006d', '\\ud800', '\\udc00', 'method', '"method":', '__proto__', '{', '}', '[', ']', ',',
  ':', ' ', '\n', '\0', '\x0b', '\u00a0', '\uFEFF', '0', '1', '-', '-0', '.', '.0', 'e', 'E+', '1e30', '1e400', '1e-400',
  '12345678901234567890', '9007199254740993', '0.1', 'NaN', 'Infinity', 'true', 'null', '//', '/**/', "'", '\xc0\xa2',
  '\xed\xa0\x80', '\xff\xfe', '\xef\xbb\xbf', '\xe4', '\ud83d',
] // prettier-ignore
const piece = constantFrom(...PIECES).map((text) =>
  /^[\x80-\xff]+$/.test(text) ? latin1(text) : Buffer.from(text),
)
/** The short texts of the table. */
export const CORPUS: readonly Buffer[] = EVASIONS.flatMap(([, refused, , twin]) => [refused, twin])
  .map((each) => Buffer.from(each))
  .filter(({ length }) => length < 1000)

// A document, or one of the table, with a few places changed.
const mutant: Arbitrary<Buffer> = tuple(
  oneof(
    jsonValue.map((value) => Buffer.from(JSON.stringify(value))),
    constantFrom(...CORPUS),
    array(piece, { maxLength: 8 }).map((pieces) => Buffer.concat(pieces)),
  ),
  array(tuple(integer({ min: 0, max: 2 ** 20 }), integer({ min: 0, max: 3 }), piece), {
    maxLength: 3,
  }),
).map(([seed, changes]) => {
  let bytes = seed
  for (const [place, cut, added] of changes) {
    const at = place % (bytes.length + 1)
    bytes = Buffer.concat([bytes.subarray(0, at), added, bytes.subarray(at + cut)])
  }
  return bytes
})

/** Documents, texts of the table and scraps, with a few places changed. */
export function makeMutants(seed: number, count: number): Buffer[] {
  return sample(mutant, { seed, numRuns: count })
}

/** Why it is refused and where; undefined where it is not. */
export function refusalOf(bytes: Uint8Array, depthMax?: number): string | undefined {
  try {
    readJson(bytes, depthMax)
    return undefined
  } catch (error) {
    if (!(error instanceof EgressError)) throw error
    if (error.reason !== 'malformed-body' || error.detail['part'] !== 'json') throw error
    return `${error.detail['why']} ${error.detail['at']}`
  }
}

/** Puts texts to our reader and to the others. */
export function compareReaders(texts: readonly Uint8Array[]): Comparison {
  const others = [readWithParse, readWithPython]
    .map((reader) => reader(texts))
    .filter((heard) => heard !== undefined)
  let [accepted, differing] = [0, 0]
  const failures: string[] = []
  for (const [at, bytes] of texts.entries()) {
    const heard: readonly Heard[] = others.map((each) => each[at])
    if (new Set(heard).size > 1) differing += 1
    if (refusalOf(bytes) !== undefined) continue
    accepted += 1
    const ours = describe(readJson(bytes))
    if (heard.some((each) => each !== ours))
      failures.push(JSON.stringify([Buffer.from(bytes).toString('latin1'), ours, ...heard]))
  }
  return { accepted, differing, readers: others.length, failures }
}
