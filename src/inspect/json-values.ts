// What readers ask of a value of JSON that nobody vouches for: of what kind it is, and what is its own. No meaning here. Used by
// the readers of MCP, models and GraphQL, and by `understand/`.

import type { JsonValue } from './fields.ts'

/** An object of JSON; its prototype is nobody's business: ask it with `own`. */
export interface JsonObject {
  readonly [key: string]: JsonValue
}

/** Whether a value is an object and no list. */
export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Whether a value is a list; `Array.isArray` does not tell readonly arrays from objects. */
export function isList(value: JsonValue | undefined): value is readonly JsonValue[] {
  return Array.isArray(value)
}

/** The member that an object itself has under a key. */
export function own(object: JsonObject, key: string): JsonValue | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined
}
