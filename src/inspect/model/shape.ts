// Looks into values of JSON that nobody vouches for: what is not of the wanted kind is undefined. No meaning here; used by
// every file of this folder.

import type { JsonValue } from '../fields.ts'
import { parseJson as parseAnyJson } from '../../wire/parse-json.ts'
import { isList, isObject, own, type JsonObject } from '../json-values.ts'

/** The value where it is an object. */
export function asObject(value: JsonValue | undefined): JsonObject | undefined {
  return isObject(value) ? value : undefined
}

/** The value where it is a list. */
export function asList(value: JsonValue | undefined): readonly JsonValue[] | undefined {
  return isList(value) ? value : undefined
}

/** The value where it is a string. */
export function asText(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** The value where it is a count: finite and not negative. */
export function asCount(value: JsonValue | undefined): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined
}

/** An object's own member. */
export function memberOf(object: JsonObject | undefined, name: string): JsonValue | undefined {
  return object && own(object, name)
}

/** The first of some members that is there and not null: the spellings of one. */
export function anyMemberOf(
  object: JsonObject | undefined,
  names: readonly string[],
): JsonValue | undefined {
  for (const name of names) {
    const value = memberOf(object, name)
    if (value !== undefined && value !== null) return value
  }
  return undefined
}

/** A list, or a list of the one value that stands instead of it; empty where nothing is there. */
export function listOf(value: JsonValue | undefined): readonly JsonValue[] {
  if (value === undefined || value === null) return []
  return asList(value) ?? [value]
}

/** The value of a text that is JSON; undefined where it is not. */
export function parseJson(text: string): JsonValue | undefined {
  try {
    const value: JsonValue = parseAnyJson(text)
    return value
  } catch {
    return undefined
  }
}
