// The texts of a credential as a provider gives them: which may stand where, and how their end is told. Pure; errors name what
// is wrong and never quote. Called by the issuers whose providers answer JSON.

import { parseMoment } from '../wire/time.ts'
import { ProviderError, type Material } from './issuer.ts'

/** What a provider said, as an object of JSON. */
export type JsonObject = Readonly<Record<string, unknown>>

/** The names that a part of a credential may have. */
export const PART_NAMES = [
  'value',
  'user',
  'accessKeyId',
  'secretAccessKey',
  'sessionToken',
  'certificate',
  'key',
] as const

/** One of these names. */
export type PartName = (typeof PART_NAMES)[number]

// RFC 9110 section 5.5, without the tab and beyond-ASCII: most parts stand in a head sooner or later.
const HEADER_TEXT = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/
const PEM_TEXT = /^[\x20-\x7e\r\n\t]*-----BEGIN [A-Z0-9 ]+-----[\x20-\x7e\r\n\t]*$/
// The end of the year 9999: beyond, it was meant in other units.
const EPOCH_SECONDS_MAX = 253_402_300_799
const EPOCH_PATTERN = /^\d{1,12}$/

/** Reads an object of JSON. @throws ProviderError @param what it is, such as `what the program printed` */
export function readObject(text: string, what: string): JsonObject {
  let read: unknown
  try {
    read = JSON.parse(text)
  } catch {
    // Its message would quote the text.
    throw new ProviderError(`${what} is no JSON`)
  }
  if (!isObject(read)) throw new ProviderError(`${what} is no JSON object`)
  return read
}

/** Tells whether a value is an object of JSON and no list. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * Makes material of what was given for each part; what is absent is left out.
 * @param bytesMax of each part
 * @throws ProviderError where a part is no text that can be sent, or there is none at all
 */
export function makeMaterial(
  given: Readonly<Partial<Record<PartName, unknown>>>,
  bytesMax: number,
): Material {
  const material: Partial<Record<PartName, string>> = {}
  for (const name of PART_NAMES) {
    const text = given[name]
    if (text === undefined || text === null || text === '') continue
    if (typeof text !== 'string') throw new ProviderError(`\`${name}\` is no text`)
    if (text.length > bytesMax) throw new ProviderError(`\`${name}\` is too long`)
    const isPem = name === 'certificate' || name === 'key'
    if (!HEADER_TEXT.test(text) && !(isPem && PEM_TEXT.test(text)))
      throw new ProviderError(`\`${name}\` has characters that cannot be sent`)
    material[name] = text
  }
  if (Object.keys(material).length === 0) throw new ProviderError('it holds no credential')
  return material
}

/**
 * Reads when something ends, RFC 3339 or epoch seconds, as epoch milliseconds; undefined where nothing is said.
 * @throws ProviderError
 */
export function readEnd(written: unknown, name: string): number | undefined {
  if (written === undefined || written === null) return undefined
  if (typeof written === 'string' && !EPOCH_PATTERN.test(written)) {
    const end = parseMoment(written)
    if (end !== undefined) return end
  } else if (typeof written === 'string' || typeof written === 'number') {
    const seconds = Number(written)
    if (Number.isFinite(seconds) && seconds > 0 && seconds <= EPOCH_SECONDS_MAX)
      return Math.floor(seconds * 1000)
  }
  throw new ProviderError(`\`${name}\` is no time`)
}

/**
 * Reads how long something lasts as the epoch milliseconds of its end; undefined where nothing is said.
 * @param from epoch milliseconds
 * @throws ProviderError
 */
export function readLifetime(written: unknown, name: string, from: number): number | undefined {
  if (written === undefined || written === null) return undefined
  const seconds = typeof written === 'string' && written !== '' ? Number(written) : written
  if (typeof seconds !== 'number' || !(seconds > 0 && seconds <= EPOCH_SECONDS_MAX))
    throw new ProviderError(`\`${name}\` is no number of seconds`)
  return from + Math.floor(seconds * 1000)
}
