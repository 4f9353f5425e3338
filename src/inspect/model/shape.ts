// Looks into values of JSON that nobody vouches for: what is not of the wanted kind is undefined. No meaning here; used by
// every file of this folder.

import type { JsonValue } from '../fields.ts'

/** An object of JSON; ask it with `memberOf`, never by an index that its prototype could answer. */
export type JsonObject = { readonly [key: string]: JsonValue }

/** The value where it is an object. */
export function asObject(value: JsonValue | undefined): JsonObject | undefined {
  return typeof value === 'object' && value !== null && !isList(value) ? value : undefined
}

/** The value where it is a list. */
export function asList(value: JsonValue | undefined): readonly JsonValue[] | undefined {
  return value !== undefined && isList(value) ? value : undefined
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
  return object !== undefined && Object.hasOwn(object, name) ? object[name] : undefined
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

/** Whether the value is a list; `Array.isArray` does not tell readonly arrays from objects. */
export function isList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value)
}

/** The value of a text that is JSON; undefined where it is not. */
export function parseJson(text: string): JsonValue | undefined {
  try {
    const value: JsonValue = JSON.parse(text)
    return value
  } catch {
    return undefined
  }
}
